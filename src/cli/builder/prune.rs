//! `builder prune`, `buildx prune`.

use super::Invocation;
use super::du::{details, filters, summary, table};
use crate::cli::container_flags::value;
use crate::cli::error::{CliError, Kind};
use crate::config::Size;
use crate::engine::request::{CacheLimits, CachePrune};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Remove also what images have
    #[arg(short, long)]
    all: bool,
    /// Remove only what fits: until=DURATION, id=ID, type=TYPE, description=TEXT, shared=BOOL, private=BOOL
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Leave no more than that
    #[arg(long, value_name = "BYTES")]
    max_used_space: Option<String>,
    /// Leave no less than that
    #[arg(long, value_name = "BYTES", alias = "keep-storage")]
    reserved_space: Option<String>,
    /// Remove until so much of the file system is free
    #[arg(long, value_name = "BYTES")]
    min_free_space: Option<String>,
    /// Show everything of what goes
    #[arg(long)]
    verbose: bool,
    /// Builder whose cache it is: there is one, whatever it is called
    #[arg(long, value_name = "NAME")]
    builder: Option<String>,
    /// Write a line per step of the engine
    #[arg(short = 'D', long)]
    debug: bool,
}

fn size(flag: &str, text: Option<&str>) -> Result<u64, CliError> {
    text.map_or(Ok(0), |text| value::<Size>(flag, text).map(|size| size.0))
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let prune = CachePrune {
        all: args.all,
        filters: filters(&args.filter)?,
        limits: CacheLimits {
            max_used: size("--max-used-space", args.max_used_space.as_deref())?,
            reserved: size("--reserved-space", args.reserved_space.as_deref())?,
            min_free: size("--min-free-space", args.min_free_space.as_deref())?,
        },
    };
    let which = if args.all { "all" } else { "all dangling" };
    let warning = format!("WARNING! This will remove {which} build cache.");
    if !invocation.confirmed("builder prune", args.force, &warning)? {
        return Ok(0);
    }
    let engine = invocation.engine_with(args.debug)?;
    tracing::debug!(builder = ?args.builder, "there is one builder");
    let pruned = engine.prune_build_cache(&prune);
    let pruned = pruned.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    let mut text = match (pruned.is_empty(), args.verbose) {
        (true, _) => String::new(),
        (false, true) => details(&pruned),
        (false, false) => table(&pruned),
    };
    // What images have stays on the disk.
    let gone = pruned.iter().filter(|entry| !entry.shared);
    text += &summary(&[("Total:", gone.map(|entry| entry.size).sum())]);
    invocation.ui.result(&text)?;
    Ok(0)
}
