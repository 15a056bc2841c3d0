//! `stop`.

use super::Invocation;
use super::container_flags::value;
use super::error::{CliError, Kind};
use crate::engine::request::{StopRequest, StopTimeout};
use crate::engine::{EngineError, Stopped};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "CONTAINER")]
    names: Vec<String>,
    /// Signal to send
    #[arg(short, long)]
    signal: Option<String>,
    /// Seconds to wait before killing it (-1: for ever)
    #[arg(
        short,
        long,
        visible_alias = "time",
        value_name = "SECONDS",
        allow_hyphen_values = true
    )]
    timeout: Option<String>,
}

impl Args {
    fn request(self) -> Result<StopRequest, CliError> {
        let signal = self.signal.as_deref();
        let timeout = self.timeout.as_deref();
        let timeout: Option<i32> = timeout
            .map(|text| value("-t, --timeout", text))
            .transpose()?;
        Ok(StopRequest {
            names: self.names,
            signal: signal
                .map(|signal| value("-s, --signal", signal))
                .transpose()?,
            timeout: match timeout {
                None => StopTimeout::Default,
                Some(seconds) => match u32::try_from(seconds) {
                    Ok(seconds) => StopTimeout::Seconds(seconds),
                    Err(_) => StopTimeout::Forever,
                },
            },
        })
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.request()?;
    let engine = invocation.engine()?;
    let mut failed = false;
    let mut fail = |error: &EngineError| {
        let error = CliError::engine(Kind::Failed, error);
        invocation.ui.error(&error);
        failed = true;
    };
    let (mut names, mut records) = (Vec::new(), Vec::new());
    for name in &request.names {
        match engine.find(name) {
            Ok(record) => {
                names.push(name);
                records.push(record);
            }
            Err(error) => fail(&error),
        }
    }
    let mut closed = Ok(());
    let stopped = engine.stop_all(records, request.signal, request.timeout, |index, how| {
        let name = names[index];
        match how {
            Err(error) => return fail(&error),
            Ok(Stopped::Deaf(signal)) => invocation.ui.note(&format!(
                "{name}: its program has no handler for {signal}, so it was killed at once"
            )),
            Ok(Stopped::Ended) => {}
        }
        if closed.is_ok() {
            closed = invocation.ui.line(name);
        }
    });
    stopped.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    closed?;
    match failed {
        true => Err(CliError::said(Kind::Failed)),
        false => Ok(0),
    }
}
