//! `manifest create`.

use super::{failed, named};
use crate::cli::Invocation;
use crate::cli::error::CliError;
use crate::cli::registry_flags::RegistryFlags;
use crate::image::Reference;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "MANIFEST_LIST")]
    list: String,
    /// Images of a registry
    #[arg(value_name = "MANIFEST")]
    manifests: Vec<String>,
    /// Add to a list that there is already
    #[arg(short, long)]
    amend: bool,
    /// Speak to a registry without TLS, or with a certificate that nobody vouches for
    #[arg(long)]
    insecure: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let list = named(&args.list)?;
    let manifests = args.manifests.iter().map(|text| named(text));
    let manifests: Vec<Reference> = manifests.collect::<Result<_, _>>()?;
    let access = args.registry.access_of(args.insecure, invocation)?;
    let engine = invocation.engine()?.with_access(access);
    let created = engine.create_manifest_list(&list, &manifests, args.amend);
    created.map_err(failed)?;
    invocation
        .ui
        .line(&format!("Created manifest list {list}"))?;
    Ok(0)
}
