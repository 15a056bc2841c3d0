//! `secret exists`.

use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};
use crate::container::SecretError;
use crate::engine::EngineError;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "SECRET")]
    name: String,
}

/// As podman: 0 if there is one, 1 if not.
pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    match invocation.engine()?.secret(&args.name) {
        Ok(_) => Ok(0),
        Err(EngineError::Secret(SecretError::NotFound { .. })) => Ok(1),
        Err(error) => Err(CliError::engine(Kind::Engine, &error)),
    }
}
