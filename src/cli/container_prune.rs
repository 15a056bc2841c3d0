//! `container prune`.

use super::Invocation;
use super::error::{CliError, Kind};
use super::filters::filtered;
use super::units;
use crate::engine::request::PruneFilters;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Remove only what fits: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]
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
    let engine = invocation.engine()?;
    let warning = "WARNING! This will remove all stopped containers.";
    if !invocation.confirmed("container prune", args.force, warning)? {
        return Ok(0);
    }
    let pruned = engine.prune_containers(&filters);
    let pruned = pruned.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    if !pruned.ids.is_empty() {
        invocation.ui.line("Deleted Containers:")?;
        for id in &pruned.ids {
            invocation.ui.line(id.as_str())?;
        }
        invocation.ui.line("")?;
    }
    let size = units::size(pruned.reclaimed);
    invocation
        .ui
        .line(&format!("Total reclaimed space: {size}"))?;
    Ok(0)
}
