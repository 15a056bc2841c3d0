//! `system reset`.

use super::Invocation;
use super::error::{CliError, Kind};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

const WARNING: &str = "WARNING! This will remove:
  - all containers, running ones too
  - all images
  - all volumes with what is in them
  - all secrets
  - the build cache and unfinished downloads
";

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    if !invocation.confirmed("system reset", args.force, WARNING)? {
        return Ok(0);
    }
    let reset = invocation.engine()?.reset();
    reset.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    Ok(0)
}
