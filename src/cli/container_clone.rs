//! `container clone`, podman's: another container of the same image with the same settings.

use super::Invocation;
use super::error::{CliError, Kind};
use crate::engine::StartOptions;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "CONTAINER")]
    source: String,
    /// Its name [default: that of the other, and -clone]
    #[arg(value_name = "NAME", conflicts_with = "name")]
    new_name: Option<String>,
    /// Its name
    #[arg(long)]
    name: Option<String>,
    /// Remove the other one
    #[arg(long)]
    destroy: bool,
    /// With --destroy: although it runs
    #[arg(short, long, requires = "destroy")]
    force: bool,
    /// Start it
    #[arg(long)]
    run: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let engine = invocation.engine()?;
    let name = args.name.as_deref().or(args.new_name.as_deref());
    let cloned = engine.find(&args.source).and_then(|record| {
        let (clone, _) = engine.clone_container(&record, name)?;
        if args.destroy {
            engine.remove(&record, args.force)?;
            engine.empty_trash()?;
        }
        if args.run {
            engine.start(&clone, StartOptions::default())?;
        }
        Ok(clone)
    });
    let clone = cloned.map_err(|error| CliError::engine(Kind::Engine, &error))?;
    invocation.ui.line(clone.id.as_str())?;
    Ok(0)
}
