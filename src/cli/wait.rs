//! `wait`.

use std::time::Duration;

use super::Invocation;
use super::container_flags::value;
use super::error::CliError;
use crate::container::ContainerError;
use crate::engine::EngineError;
use crate::engine::request::{WaitRequest, parse_go_duration};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "CONTAINER")]
    names: Vec<String>,
    /// Wait for this instead: created, running, stopped (may be given several times)
    #[arg(long, value_name = "CONDITION")]
    condition: Vec<String>,
    /// Look at the condition at least so often (250ms, or 250 for as many milliseconds)
    #[arg(short, long, value_name = "DURATION", default_value = "250ms")]
    interval: String,
    /// Say -1 of a container that does not exist
    #[arg(long)]
    ignore: bool,
}

impl Args {
    fn request(self) -> Result<WaitRequest, CliError> {
        let conditions = self.condition.iter();
        Ok(WaitRequest {
            conditions: conditions
                .map(|text| value("--condition", text))
                .collect::<Result<_, _>>()?,
            interval: interval(&self.interval)?,
            ignore: self.ignore,
            names: self.names,
        })
    }
}

fn interval(text: &str) -> Result<Duration, CliError> {
    let milliseconds = text.parse().ok().map(Duration::from_millis);
    let duration = || {
        let nanoseconds = u64::try_from(parse_go_duration(text)?).ok()?;
        Some(Duration::from_nanos(nanoseconds))
    };
    milliseconds.or_else(duration).ok_or_else(|| {
        CliError::usage(format!(
            "invalid argument {text:?} for \"-i, --interval\" flag: no duration"
        ))
    })
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.request()?;
    let engine = invocation.engine()?;
    invocation.each(&request.names, |name| {
        let record = match engine.find(name) {
            Err(EngineError::Container(ContainerError::NotFound { .. })) if request.ignore => {
                return Ok(Some(-1));
            }
            found => found?,
        };
        let code = match request.conditions.is_empty() {
            true => engine.wait(&record)?,
            false => engine.wait_for(&record, &request)?,
        };
        Ok(Some(code))
    })
}
