//! `compose top`: the processes of a project.

use super::found::{self, Which};
use super::{Globals, Invocation};
use crate::cli::error::{CliError, Kind};
use crate::cli::{table, top};
use crate::compose::labels::OneOff;
use crate::engine::EngineError;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Services whose processes are shown (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// Docker's columns are as wide as this at least here, and two blanks apart.
const NARROWEST: usize = 4;
const GAP: usize = 2;

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let name = globals.name(invocation)?;
    let engine = invocation.engine()?;
    let which = Which {
        oneoff: OneOff::Include,
        all: false,
        services: &args.services,
    };
    let mut found = found::containers(&engine, &name, which)?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let selection = top::Selection::parse(&[])?;
    let mut lines = Vec::new();
    for container in &found {
        let rows = match top::rows(&engine, &container.record, &selection) {
            // It has ended since, or is between two runs.
            Err(EngineError::NotRunning { .. } | EngineError::Restarting { .. }) => continue,
            rows => rows.map_err(|error| CliError::engine(Kind::Failed, &error))?,
        };
        let owner = [found::service(container), found::number(container)];
        let owner = owner.map(found::shown);
        lines.extend(rows.into_iter().map(|row| [owner.to_vec(), row].concat()));
    }
    if lines.is_empty() {
        return Ok(0);
    }
    let head = ["SERVICE", "#"].map(str::to_owned).to_vec();
    let head = [head, selection.headings()].concat();
    let lines = std::iter::once(head).chain(lines);
    invocation
        .ui
        .result(&table::align_to(lines, NARROWEST, GAP))?;
    Ok(0)
}
