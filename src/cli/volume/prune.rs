//! `volume prune`.

use crate::cli::error::{CliError, Kind};
use crate::cli::filters::filtered;
use crate::cli::{Invocation, units};
use crate::engine::request::VolumeFilters;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Remove all unused volumes, not just anonymous ones
    #[arg(short, long)]
    all: bool,
    /// Remove only what fits: label, label!, all
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let mut filters = filtered("--filter", &args.filter, VolumeFilters::add_to_prune)?;
    filters.all |= args.all;
    let which = match filters.all {
        true => "all local volumes",
        false => "anonymous local volumes",
    };
    let warning = format!("WARNING! This will remove {which} not used by at least one container.");
    if !invocation.confirmed("volume prune", args.force, &warning)? {
        return Ok(0);
    }
    let pruned = invocation.engine()?.prune_volumes(&filters);
    let pruned = pruned.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    let mut text = String::new();
    if !pruned.names.is_empty() {
        text = format!("Deleted Volumes:\n{}\n\n", pruned.names.join("\n"));
    }
    text += &format!("Total reclaimed space: {}\n", units::size(pruned.reclaimed));
    invocation.ui.result(&text)?;
    Ok(0)
}
