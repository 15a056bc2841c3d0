//! `compose ps`: the containers of a project.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::found::{self, Which, failed};
use super::{Globals, Invocation};
use crate::cli::error::CliError;
use crate::cli::published::ShownPort;
use crate::cli::table::{Columns, Layout, Row, Wanted};
use crate::cli::{status, units};
use crate::compose::labels::OneOff;
use crate::engine::ListedContainer;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Services to show (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Show those that do not run, and those of `run`, too
    #[arg(short, long)]
    all: bool,
    /// Show only what fits: status
    #[arg(long, value_name = "FILTER")]
    filter: Option<String>,
    /// `table`, `json` or a Go template
    #[arg(long)]
    format: Option<String>,
    /// Show whole commands
    #[arg(long)]
    no_trunc: bool,
    /// Show also containers of services that the files do not have (`--orphans=false` does not)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    orphans: bool,
    /// Show only ids
    #[arg(short, long)]
    quiet: bool,
    /// Show only names of services
    #[arg(long = "services")]
    names_only: bool,
    /// Show only those in this state: paused, restarting, removing, running, dead, created, exited
    #[arg(long, value_name = "STATUS")]
    status: Vec<String>,
}

const HEADINGS: &[(&str, &str)] = &[
    ("ID", "CONTAINER ID"),
    ("Name", "NAME"),
    ("Names", "NAMES"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("Project", "PROJECT"),
    ("Service", "SERVICE"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("State", "STATE"),
    ("Status", "STATUS"),
    ("Health", "HEALTH"),
    ("ExitCode", "EXIT CODE"),
    ("Ports", "PORTS"),
    ("Publishers", "PUBLISHERS"),
    ("Size", "SIZE"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
];

impl Args {
    /// The states that are wanted; empty: any.
    fn states(&self) -> Result<Vec<&str>, CliError> {
        let mut states: Vec<&str> = self.status.iter().map(String::as_str).collect();
        match self.filter.as_deref().map(|text| text.split_once('=')) {
            None => {}
            Some(Some(("status", state))) => states.push(state),
            Some(Some((key, _))) => return Err(failed(format!("unknown filter {key}"))),
            Some(None) => {
                return Err(failed("arguments to --filter should be in form KEY=VAL"));
            }
        }
        Ok(states)
    }
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let states = args.states()?;
    let scope = globals.scope(&args.services, invocation)?;
    scope.check(&args.services)?;
    let all = args.all || !states.is_empty();
    let known = scope.services().filter(|_| !args.orphans);
    let services = match args.services.is_empty() {
        true => known.as_deref().unwrap_or_default(),
        false => args.services.as_slice(),
    };
    let which = Which {
        oneoff: if all {
            OneOff::Include
        } else {
            OneOff::Exclude
        },
        all,
        services,
    };
    let engine = invocation.engine()?;
    let mut found = match (&known, services) {
        // None at all, where an empty list would be every one.
        (Some(_), []) => Vec::new(),
        _ => found::containers(&engine, &scope.name, which)?,
    };
    found.retain(|container| {
        states.is_empty() || states.contains(&status::state(&container.status))
    });
    found.sort_by(|a, b| a.name.cmp(&b.name));
    if args.quiet {
        let ids = found
            .iter()
            .map(|container| format!("{}\n", container.record.id));
        invocation.ui.result(&ids.collect::<String>())?;
        return Ok(0);
    }
    if args.names_only {
        let mut names: Vec<&str> = found.iter().map(found::service).collect();
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(*name));
        let names: Vec<String> = names.into_iter().map(found::shown).collect();
        invocation.ui.line(&names.join("\n"))?;
        return Ok(0);
    }
    show(args, &found, invocation)
}

fn show(args: &Args, found: &[ListedContainer], invocation: &Invocation) -> Result<u8, CliError> {
    let columns = Columns {
        headings: HEADINGS,
        shown: vec![
            "Name",
            "Image",
            "Command",
            "Service",
            "RunningFor",
            "Status",
            "Ports",
        ],
        quiet: "ID",
    };
    let format = args.format.as_deref();
    let wanted = match columns.wanted(&Layout::new(format, false)) {
        Wanted::All => Wanted::Fields(HEADINGS.iter().map(|(field, _)| *field).collect()),
        some => some,
    };
    let (now, zone) = (Timestamp::now(), units::local_zone());
    let rows: Vec<Row> = found
        .iter()
        .map(|container| {
            let mut row = status::row(container, &wanted, args.no_trunc, now, &zone);
            let own: [(&str, Value); 6] = [
                ("Name", container.name.as_str().into()),
                ("Project", found::shown(found::project(container)).into()),
                ("Service", found::shown(found::service(container)).into()),
                ("Health", health(container).into()),
                ("ExitCode", container.exit_code().unwrap_or(0).into()),
                ("Publishers", publishers(container)),
            ];
            for (field, value) in own {
                if wanted.has(field) {
                    row.set(field, value);
                }
            }
            row
        })
        .collect();
    invocation.listed(&columns, format, false, &rows)
}

fn health(container: &ListedContainer) -> &'static str {
    match container.health_word() {
        "none" => "",
        word => word,
    }
}

/// Published and exposed ports, as docker writes them for programs.
fn publishers(container: &ListedContainer) -> Value {
    let mut ports = status::shown_ports(container);
    ports.sort_by_key(|port| port.inside);
    let document = |port: &ShownPort| {
        let url = port.outside.map(|(ip, _)| ip.to_string());
        json!({
            "URL": url.unwrap_or_default(),
            "TargetPort": port.inside,
            "PublishedPort": port.outside.map_or(0, |(_, number)| number),
            "Protocol": port.protocol,
        })
    };
    ports.iter().map(document).collect()
}
