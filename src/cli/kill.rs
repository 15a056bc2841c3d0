//! `kill`.

use super::Invocation;
use super::error::CliError;
use crate::engine::request::{KillRequest, Signal};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "CONTAINER")]
    names: Vec<String>,
    /// Signal to send
    #[arg(short, long, default_value = "KILL")]
    signal: String,
}

impl Args {
    fn request(self) -> Result<KillRequest, CliError> {
        let signal = self.signal.parse::<Signal>();
        Ok(KillRequest {
            signal: signal.map_err(|error| CliError::failed(&error))?,
            names: self.names,
        })
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.request()?;
    let engine = invocation.engine()?;
    invocation.each(&request.names, |name| {
        engine.kill(&engine.find(name)?, request.signal)?;
        Ok(Some(name.to_owned()))
    })
}
