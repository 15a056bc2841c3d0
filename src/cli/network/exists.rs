//! `network exists`: podman's, for scripts.

use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};
use crate::engine::EngineError;
use crate::net::record::NetworkError;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "NETWORK")]
    name: String,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    match invocation.engine()?.network(&args.name) {
        Ok(_) => Ok(0),
        Err(EngineError::Network(NetworkError::NotFound { .. })) => Ok(1),
        Err(error) => Err(CliError::engine(Kind::Engine, &error)),
    }
}
