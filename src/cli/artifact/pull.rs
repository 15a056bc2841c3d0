//! podman's `artifact pull`.

use super::{failed, named};
use crate::cli::Invocation;
use crate::cli::error::CliError;
use crate::cli::progress::Bars;
use crate::cli::registry_flags::RegistryFlags;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "ARTIFACT")]
    name: String,
    /// Print only the digest
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

pub fn run(args: &Args, invocation: &Invocation) -> Result<u8, CliError> {
    let name = named(&args.name)?;
    let access = args.registry.access(invocation)?;
    let engine = invocation.engine()?.with_access(access);
    let bars = Bars::new(&invocation.ui);
    let progress = bars.unless(args.quiet);
    let digest = engine.pull_artifact(&name, progress).map_err(failed)?;
    invocation.ui.line(digest.hex())?;
    Ok(0)
}
