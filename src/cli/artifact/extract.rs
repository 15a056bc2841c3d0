//! podman's `artifact extract`.

use std::path::PathBuf;

use super::failed;
use crate::cli::Invocation;
use crate::cli::error::CliError;
use crate::engine::WhichBlobs;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "ARTIFACT")]
    name: String,
    /// Directory, or for a single file its path
    #[arg(value_name = "PATH")]
    target: PathBuf,
    /// Only the blob of this digest
    #[arg(long, value_name = "DIGEST", conflicts_with = "title")]
    digest: Option<String>,
    /// Only the blob of this title
    #[arg(long, value_name = "TITLE")]
    title: Option<String>,
}

pub fn run(args: &Args, invocation: &Invocation) -> Result<u8, CliError> {
    let which = match (&args.digest, &args.title) {
        (Some(digest), _) => WhichBlobs::Digest(digest.clone()),
        (None, Some(title)) => WhichBlobs::Title(title.clone()),
        (None, None) => WhichBlobs::All,
    };
    let engine = invocation.engine()?;
    let extracted = engine.extract_artifact(&args.name, &args.target, &which);
    extracted.map_err(failed)?;
    Ok(0)
}
