//! podman's `manifest add`.

use super::words::Words;
use super::{failed, named};
use crate::cli::Invocation;
use crate::cli::error::CliError;
use crate::cli::registry_flags::RegistryFlags;
use crate::engine::manifests::OfIndex;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "LIST")]
    list: String,
    /// Image of a registry
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Add every platform of an image that is a list itself
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    words: Words,
    #[command(flatten)]
    registry: RegistryFlags,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let (list, image) = (named(&args.list)?, named(&args.image)?);
    let of_index = match args.all {
        true => OfIndex::All,
        false => OfIndex::Host,
    };
    let words = args.words.parsed()?;
    let access = args.registry.access(invocation)?;
    let engine = invocation.engine()?.with_access(access);
    let added = engine.add_to_manifest_list(&list, &image, of_index, &words);
    added.map_err(failed)?;
    invocation.ui.line(&list.to_string())?;
    Ok(0)
}
