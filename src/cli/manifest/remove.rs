//! podman's `manifest remove`.

use super::{failed, named};
use crate::cli::Invocation;
use crate::cli::error::CliError;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "LIST")]
    list: String,
    /// Digest of a manifest, or the name it was added with
    #[arg(value_name = "DIGEST")]
    which: String,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let list = named(&args.list)?;
    let engine = invocation.engine()?;
    let removed = engine.remove_from_manifest_list(&list, &args.which);
    removed.map_err(failed)?;
    invocation.ui.line(&list.to_string())?;
    Ok(0)
}
