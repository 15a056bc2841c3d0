//! `manifest push`.

use super::{failed, named};
use crate::cli::Invocation;
use crate::cli::error::CliError;
use crate::cli::progress::Bars;
use crate::cli::registry_flags::RegistryFlags;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "MANIFEST_LIST")]
    list: String,
    /// Name to push it under, if not its own
    #[arg(value_name = "DESTINATION")]
    destination: Option<String>,
    /// Forget the list afterwards
    #[arg(short, long, visible_alias = "rm")]
    purge: bool,
    /// Print only the digest
    #[arg(short, long)]
    quiet: bool,
    /// Speak to a registry without TLS, or with a certificate that nobody vouches for
    #[arg(long)]
    insecure: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let list = named(&args.list)?;
    let destination = match &args.destination {
        Some(text) => named(text)?,
        None => list.clone(),
    };
    let access = args.registry.access_of(args.insecure, invocation)?;
    let engine = invocation.engine()?.with_access(access);
    let bars = Bars::new(&invocation.ui);
    let progress = bars.unless(args.quiet);
    let pushed = engine.push_manifest_list(&list, &destination, progress);
    let digest = pushed.map_err(failed)?;
    if args.purge {
        engine.remove_manifest_list(&list).map_err(failed)?;
    }
    invocation.ui.line(digest.as_str())?;
    Ok(0)
}
