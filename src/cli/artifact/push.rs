//! podman's `artifact push`.

use std::path::PathBuf;

use super::failed;
use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};
use crate::cli::progress::Bars;
use crate::cli::registry_flags::RegistryFlags;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "ARTIFACT")]
    name: String,
    /// Print only the digest
    #[arg(short, long)]
    quiet: bool,
    /// Write the manifest's digest to a file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    #[command(flatten)]
    registry: RegistryFlags,
}

pub fn run(args: &Args, invocation: &Invocation) -> Result<u8, CliError> {
    let access = args.registry.access(invocation)?;
    let engine = invocation.engine()?.with_access(access);
    let bars = Bars::new(&invocation.ui);
    let progress = bars.unless(args.quiet);
    let digest = engine.push_artifact(&args.name, progress).map_err(failed)?;
    if let Some(path) = &args.digestfile {
        let shown = path.display();
        std::fs::write(path, digest.as_str())
            .map_err(|error| CliError::new(Kind::Failed, format!("write {shown}: {error}")))?;
    }
    invocation.ui.line(digest.hex())?;
    Ok(0)
}
