//! `system prune`.

use super::Invocation;
use super::error::{CliError, Kind};
use super::image_prune::removed;
use super::units;
use crate::engine::EngineError;
use crate::engine::request::{CacheFilters, CachePrune, PruneFilters, VolumeFilters};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Remove all images without a container, not just those without a tag
    #[arg(short, long)]
    all: bool,
    /// Remove only what fits: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Remove anonymous volumes too
    #[arg(long)]
    volumes: bool,
}

impl Args {
    fn warning(&self, filters: &[String]) -> String {
        let images = match self.all {
            true => "all images without at least one container associated to them",
            false => "all dangling images",
        };
        let mut lines = vec!["all stopped containers"];
        if self.volumes {
            lines.push("all anonymous volumes not used by at least one container");
        }
        lines.push(images);
        lines.push(match self.all {
            true => "all build cache",
            false => "unused build cache",
        });
        let lines: Vec<String> = lines.iter().map(|line| format!("  - {line}")).collect();
        let mut text = format!("WARNING! This will remove:\n{}\n", lines.join("\n"));
        if !filters.is_empty() {
            let filters: Vec<String> = filters.iter().map(|one| format!("  - {one}")).collect();
            text += &format!(
                "\n  Items to be pruned will be filtered with:\n{}\n",
                filters.join("\n")
            );
        }
        text
    }
}

/// What was not used since then was not used for so long.
fn unused_for(until: jiff::Timestamp, now: jiff::Timestamp) -> std::time::Duration {
    let passed = now.duration_since(until);
    passed.try_into().unwrap_or_default()
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let mut filters = PruneFilters::default();
    let mut of_volumes = VolumeFilters::default();
    let now = jiff::Timestamp::now();
    for text in &args.filter {
        let added = filters.add(text, now);
        added.map_err(|error| CliError::filter("--filter", text, &error))?;
        if text.starts_with("label") {
            let added = of_volumes.add_to_prune(text);
            added.map_err(|error| CliError::filter("--filter", text, &error))?;
        } else if args.volumes {
            return Err(CliError::usage(
                "ERROR: The \"until\" filter is not supported with \"--volumes\"",
            ));
        }
    }
    if !invocation.confirmed("system prune", args.force, &args.warning(&args.filter))? {
        return Ok(0);
    }
    let failed = |error: EngineError| CliError::engine(Kind::Failed, &error);
    let engine = invocation.engine()?;
    // Containers first: they keep volumes and images.
    let containers = engine.prune_containers(&filters).map_err(failed)?;
    let mut text = String::new();
    if !containers.ids.is_empty() {
        let ids: Vec<&str> = containers.ids.iter().map(|id| id.as_str()).collect();
        text += &format!("Deleted Containers:\n{}\n\n", ids.join("\n"));
    }
    let mut reclaimed = containers.reclaimed;
    if args.volumes {
        let volumes = engine.prune_volumes(&of_volumes).map_err(failed)?;
        reclaimed += volumes.reclaimed;
        if !volumes.names.is_empty() {
            text += &format!("Deleted Volumes:\n{}\n\n", volumes.names.join("\n"));
        }
    }
    let images = engine.prune_images(args.all, &filters).map_err(failed)?;
    reclaimed += images.reclaimed;
    text += &removed(&images);
    // What builds keep has no labels.
    if !args.filter.iter().any(|text| text.starts_with("label")) {
        let prune = CachePrune {
            all: args.all,
            filters: CacheFilters {
                unused_for: filters.until.map(|until| unused_for(until.0, now)),
                ..CacheFilters::default()
            },
            ..CachePrune::default()
        };
        let cache = engine.prune_build_cache(&prune).map_err(failed)?;
        if !cache.is_empty() {
            let ids: Vec<&str> = cache.iter().map(|entry| entry.id.as_str()).collect();
            text += &format!("Deleted build cache objects:\n{}\n\n", ids.join("\n"));
        }
        let gone = cache.iter().filter(|entry| !entry.shared);
        reclaimed += gone.map(|entry| entry.size).sum::<u64>();
    }
    text += &format!("Total reclaimed space: {}\n", units::size(reclaimed));
    invocation.ui.result(&text)?;
    Ok(0)
}
