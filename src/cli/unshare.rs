//! `unshare`, which podman has and docker has not.

use super::Invocation;
use super::error::{CliError, Kind};
use crate::engine::EngineError;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Command and its arguments; without, the user's shell
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    words: Vec<String>,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    code(invocation.engine()?.unshare(&args.words))
}

/// The command's exit code is ours.
pub(super) fn code(ended: Result<i32, EngineError>) -> Result<u8, CliError> {
    let code = ended.map_err(|error| CliError::engine(Kind::Engine, &error))?;
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}
