//! `image prune`.

use super::Invocation;
use super::error::{CliError, Kind};
use super::filters::filtered;
use super::rmi::words;
use super::units;
use crate::engine::images::PrunedImages;
use crate::engine::request::{FilterError, PruneFilters};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Remove all images without a container, not just those without a tag
    #[arg(short, long)]
    all: bool,
    /// Remove only what fits: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE], dangling=BOOL
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let mut all = args.all;
    let now = jiff::Timestamp::now();
    let add = |filters: &mut PruneFilters, text: &str| match text.strip_prefix("dangling=") {
        Some(value) => dangling(value).map(|dangling| all |= !dangling),
        None => filters.add(text, now),
    };
    let filters = filtered("--filter", &args.filter, add)?;
    let which = match all {
        true => "all images without at least one container associated to them",
        false => "all dangling images",
    };
    let warning = format!("WARNING! This will remove {which}.");
    if !invocation.confirmed("image prune", args.force, &warning)? {
        return Ok(0);
    }
    let pruned = invocation.engine()?.prune_images(all, &filters);
    let pruned = pruned.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    let size = units::size(pruned.reclaimed);
    let text = format!("{}Total reclaimed space: {size}\n", removed(&pruned));
    invocation.ui.result(&text)?;
    Ok(0)
}

fn dangling(value: &str) -> Result<bool, FilterError> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(FilterError::Value {
            key: "dangling".to_owned(),
            value: value.to_owned(),
            expected: "true or false",
        }),
    }
}

/// What went, in docker's words, with an empty line behind it.
pub(super) fn removed(pruned: &PrunedImages) -> String {
    if pruned.removed.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = pruned
        .removed
        .iter()
        .map(|line| {
            let words = words(line);
            // Docker writes these two in small letters here.
            let (first, rest) = words.split_at(1);
            first.to_lowercase() + rest
        })
        .collect();
    format!("Deleted Images:\n{}\n\n", lines.join("\n"))
}
