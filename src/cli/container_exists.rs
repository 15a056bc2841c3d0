//! `container exists`, podman's: the answer is the exit code.

use super::Invocation;
use super::error::{CliError, Kind};
use crate::container::ContainerError;
use crate::engine::EngineError;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "CONTAINER")]
    name: String,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    match invocation.engine()?.find(&args.name) {
        Ok(_) => Ok(0),
        Err(EngineError::Container(ContainerError::NotFound { .. })) => Ok(1),
        Err(error) => Err(CliError::engine(Kind::Engine, &error)),
    }
}
