//! `compose ls`: the projects that there are containers of.

use std::collections::BTreeMap;

use serde_json::json;

use super::Invocation;
use super::found::{self, failed};
use crate::cli::error::{CliError, Kind};
use crate::cli::{status, table};
use crate::compose::labels;
use crate::engine::ListedContainer;
use crate::engine::request::{PsFilters, PsRequest};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show also projects that have nothing that runs
    #[arg(short, long)]
    all: bool,
    /// Show only what fits: name
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// How it is shown: table, json
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: String,
    /// Show only names
    #[arg(short, long)]
    quiet: bool,
}

/// Docker's columns of lists of its own are as wide as this at least, and three blanks apart.
pub(super) const NARROWEST: usize = 20;
pub(super) const GAP: usize = 3;

struct Listed {
    name: String,
    status: String,
    files: String,
}

impl Args {
    fn filters(&self) -> Result<PsFilters, CliError> {
        let mut filters = PsFilters::default();
        for text in &self.filter {
            let key = text.split_once('=').map_or(text.as_str(), |(key, _)| key);
            if key.trim() != "name" {
                return Err(failed(format!("invalid filter '{}'", key.trim())));
            }
            let added = filters.add(text);
            added.map_err(|error| CliError::argument("--filter", text, &error))?;
        }
        Ok(filters)
    }
}

pub fn run(args: &Args, invocation: &Invocation) -> Result<u8, CliError> {
    let filters = args.filters()?;
    let request = PsRequest {
        all: args.all,
        filters: labels::every_container(),
        ..PsRequest::default()
    };
    let found = invocation.engine()?.list(&request);
    let found = found.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    let mut projects: BTreeMap<&str, Vec<&ListedContainer>> = BTreeMap::new();
    for container in &found {
        let name = found::project(container);
        if filters.name_matches(name) {
            projects.entry(name).or_default().push(container);
        }
    }
    let listed = projects.into_iter().map(|(name, containers)| Listed {
        name: found::shown(name),
        status: combined_status(&containers),
        files: found::shown(&files(&containers)),
    });
    let text = shown(args, &listed.collect::<Vec<_>>())?;
    invocation.ui.result(&text)?;
    Ok(0)
}

fn shown(args: &Args, listed: &[Listed]) -> Result<String, CliError> {
    if args.quiet {
        let names = listed.iter().map(|project| format!("{}\n", project.name));
        return Ok(names.collect());
    }
    match args.format.to_lowercase().as_str() {
        "table" | "pretty" | "" => {
            let head = ["NAME", "STATUS", "CONFIG FILES"].map(str::to_owned);
            let rows = listed.iter().map(|project| {
                vec![
                    project.name.clone(),
                    project.status.clone(),
                    project.files.clone(),
                ]
            });
            let lines = std::iter::once(head.to_vec()).chain(rows);
            Ok(table::align_to(lines, NARROWEST, GAP))
        }
        "json" => {
            let document = |project: &Listed| {
                json!({
                    "Name": project.name,
                    "Status": project.status,
                    "ConfigFiles": project.files,
                })
            };
            let all: serde_json::Value = listed.iter().map(document).collect();
            Ok(format!("{all}\n"))
        }
        _ => Err(unknown_format(&args.format)),
    }
}

/// Docker's words.
pub(super) fn unknown_format(format: &str) -> CliError {
    failed(format!(
        "format value {format:?} could not be parsed: parsing failed"
    ))
}

/// `exited(1), running(2)`
fn combined_status(containers: &[&ListedContainer]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for container in containers {
        *counts.entry(status::state(&container.status)).or_default() += 1;
    }
    let counted = counts.iter().map(|(state, n)| format!("{state}({n})"));
    counted.collect::<Vec<_>>().join(", ")
}

/// The files that the containers were made from; `N/A` where one does not say.
fn files(containers: &[&ListedContainer]) -> String {
    let mut files: Vec<&str> = Vec::new();
    for container in containers {
        let Some(label) = container.config.labels.get(labels::CONFIG_FILES) else {
            return "N/A".to_owned();
        };
        for file in label.split(',') {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    files.join(",")
}
