//! `manifest annotate`.

use super::words::Words;
use super::{failed, named};
use crate::cli::Invocation;
use crate::cli::error::CliError;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "MANIFEST_LIST")]
    list: String,
    #[arg(value_name = "MANIFEST")]
    manifest: String,
    #[command(flatten)]
    words: Words,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let (list, manifest) = (named(&args.list)?, named(&args.manifest)?);
    let words = args.words.parsed()?;
    let annotated = invocation
        .engine()?
        .annotate_manifest(&list, &manifest, &words);
    annotated.map_err(failed)?;
    Ok(0)
}
