//! `system check`.

use std::time::Duration;

use super::Invocation;
use super::error::{CliError, Kind};
use crate::engine::CheckRequest;
use crate::engine::request::parse_go_duration;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// With --repair: remove containers of broken images that can't be fetched again too
    #[arg(short, long, requires = "repair")]
    force: bool,
    /// Count layers of no image and no container that are older than this as broken
    #[arg(short, long, value_name = "DURATION")]
    max: Option<String>,
    /// Do not read the contents of layers
    #[arg(short, long)]
    quick: bool,
    /// Fetch again or remove what is broken
    #[arg(short, long)]
    repair: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let max = args.max.as_deref().map(duration).transpose()?;
    let request = CheckRequest {
        quick: args.quick,
        repair: args.repair,
        force: args.force,
        max,
    };
    let checked = invocation.engine()?.check(request);
    let report = checked.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    for line in report.faults.iter().chain(&report.repairs) {
        invocation.ui.line(line)?;
    }
    for note in &report.notes {
        invocation.ui.note(note);
    }
    match report.left {
        0 => Ok(0),
        left => {
            let faults = if left == 1 { "fault" } else { "faults" };
            let error = CliError::new(Kind::Failed, format!("{left} {faults} in the store"));
            Err(match args.repair {
                true => error,
                false => error.hint("bryo system check --repair"),
            })
        }
    }
}

fn duration(text: &str) -> Result<Duration, CliError> {
    let nanoseconds = parse_go_duration(text).and_then(|value| u64::try_from(value).ok());
    let parsed = nanoseconds.map(Duration::from_nanos);
    parsed.ok_or_else(|| CliError::usage(format!("--max: {text:?} is no duration, as in 24h")))
}
