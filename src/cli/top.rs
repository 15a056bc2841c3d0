//! `top`: the processes of a container, in the columns that options of ps(1) or podman's words name.

mod columns;
mod options;

use super::Invocation;
use super::error::{CliError, Kind};
use super::table;
use crate::container::Record;
use crate::engine::{ContainerProcess, Engine, EngineError};
use columns::Moment;
pub(super) use options::Selection;

#[derive(clap::Args, Debug)]
#[command(override_usage = "bryo top CONTAINER [ps OPTIONS]")]
pub struct Args {
    /// Container, then options of ps (-ef, aux, -o pid,args) or words (pid user args)
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_names = ["CONTAINER", "OPTION"])]
    words: Vec<String>,
}

/// Docker's columns are as wide as this at least, and three blanks apart.
const NARROWEST: usize = 20;
const GAP: usize = 3;

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let (name, options) = args.words.split_first().expect("one is required");
    let selection = Selection::parse(options)?;
    let engine = invocation.engine()?;
    let found = engine.find(name);
    let rows = found.and_then(|record| rows(&engine, &record, &selection));
    let rows = rows.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    let headed = selection.headed.then(|| selection.headings());
    let lines = headed.into_iter().chain(rows);
    invocation
        .ui
        .result(&table::align_to(lines, NARROWEST, GAP))?;
    Ok(0)
}

/// A line of cells for each process of a container.
pub(super) fn rows(
    engine: &Engine,
    record: &Record,
    selection: &Selection,
) -> Result<Vec<Vec<String>>, EngineError> {
    let processes = engine.processes(record)?;
    let moment = Moment {
        now: jiff::Timestamp::now(),
        zone: super::units::local_zone(),
    };
    let cells = |process: &ContainerProcess| {
        let columns = selection.columns.iter();
        let shown = columns.map(|(column, _)| (column.show)(process, &moment));
        shown.collect()
    };
    Ok(processes.iter().map(cells).collect())
}
