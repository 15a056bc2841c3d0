//! `network ls`.

use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};
use crate::cli::filters::filtered;
use crate::cli::table::{Columns, Row};
use crate::engine::NetworkSummary;
use crate::engine::request::NetworkFilters;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show only what fits: dangling, driver, id, label, name, scope, type
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// `table`, `json` or a Go template
    #[arg(long)]
    format: Option<String>,
    /// Show whole ids
    #[arg(long)]
    no_trunc: bool,
    /// Show only ids
    #[arg(short, long)]
    quiet: bool,
}

const HEADINGS: &[(&str, &str)] = &[
    ("ID", "NETWORK ID"),
    ("Name", "NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("IPv4", "IPV4"),
    ("IPv6", "IPV6"),
    ("Internal", "INTERNAL"),
    ("Labels", "LABELS"),
    ("CreatedAt", "CREATED AT"),
];

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let filters = filtered("-f, --filter", &args.filter, NetworkFilters::add)?;
    let listed = invocation.engine()?.list_networks(&filters);
    let networks = listed.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    let rows: Vec<Row> = networks.iter().map(|n| row(n, args.no_trunc)).collect();
    let columns = Columns {
        headings: HEADINGS,
        shown: vec!["ID", "Name", "Driver", "Scope"],
        quiet: "ID",
    };
    invocation.listed(&columns, args.format.as_deref(), args.quiet, &rows)
}

fn row(summary: &NetworkSummary, whole: bool) -> Row {
    let network = &summary.network;
    let labels = &network.labels;
    let id = match whole {
        true => network.id.as_str(),
        false => network.id.get(..12).unwrap_or(&network.id),
    };
    let mut row = Row::default();
    row.set("ID", id);
    row.set("Name", network.name.as_str());
    row.set("Driver", network.driver.name());
    row.set("Scope", "local");
    row.set("IPv4", "true");
    row.set("IPv6", network.ipv6.to_string());
    row.set("Internal", network.internal.to_string());
    let pairs: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    row.set("Labels", pairs.join(","));
    row.set("CreatedAt", network.created.as_str());
    row.labels = labels
        .iter()
        .map(|(k, v)| (k.clone(), v.as_str().into()))
        .collect();
    row
}
