//! `stop`.

use super::Invocation;
use super::container_flags::value;
use super::error::CliError;
use crate::engine::request::{StopRequest, StopTimeout};

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
    invocation.each(&request.names, |name| {
        engine.stop(&engine.find(name)?, request.signal, request.timeout)?;
        Ok(Some(name.to_owned()))
    })
}
