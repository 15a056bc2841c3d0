//! `top`: the processes of a container, in the columns that options of ps(1) or podman's words name.

mod columns;
mod options;

use super::Invocation;
use super::error::{CliError, Kind};
use columns::Moment;
use options::Selection;

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
    let processes = found.and_then(|record| engine.processes(&record));
    let processes = processes.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    let moment = Moment {
        now: jiff::Timestamp::now(),
        zone: super::units::local_zone(),
    };
    let columns = &selection.columns;
    let head = columns.iter().map(|(_, heading)| heading.clone()).collect();
    let rows = processes.iter().map(|process| {
        let cells = columns.iter();
        cells
            .map(|(column, _)| (column.show)(process, &moment))
            .collect()
    });
    let headed = selection.headed.then_some(head);
    let lines: Vec<Vec<String>> = headed.into_iter().chain(rows).collect();
    invocation.ui.result(&align(&lines))?;
    Ok(0)
}

fn align(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max();
        (widest.unwrap_or(0) + GAP).max(NARROWEST)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let padded = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(at, (cell, width))| match at + 1 == line.len() {
                true => cell.clone(),
                false => format!("{cell:<width$}"),
            });
        text += &padded.collect::<String>();
        text.push('\n');
    }
    text
}
