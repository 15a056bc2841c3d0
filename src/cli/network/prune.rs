//! `network prune`.

use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};
use crate::cli::filters::filtered;
use crate::engine::request::PruneFilters;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Remove only what fits: label, label!, until
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let now = jiff::Timestamp::now();
    let filters = filtered(
        "--filter",
        &args.filter,
        |filters: &mut PruneFilters, text| filters.add(text, now),
    )?;
    let warning =
        "WARNING! This will remove all custom networks not used by at least one container.";
    if !invocation.confirmed("network prune", args.force, warning)? {
        return Ok(0);
    }
    let pruned = invocation.engine()?.prune_networks(&filters);
    let names = pruned.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    if !names.is_empty() {
        let text = format!("Deleted Networks:\n{}\n\n", names.join("\n"));
        invocation.ui.result(&text)?;
    }
    Ok(0)
}
