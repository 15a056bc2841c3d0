//! `volume rm`.

use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};
use crate::container::VolumeError;
use crate::engine::EngineError;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "VOLUME")]
    names: Vec<String>,
    /// A volume that does not exist is no error
    #[arg(short, long)]
    force: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let engine = invocation.engine()?;
    let ended = invocation.each(&args.names, |name| {
        match engine.remove_volume(name) {
            Err(EngineError::Volume(VolumeError::NotFound { .. })) if args.force => {}
            removed => removed?,
        }
        Ok(Some(name.to_owned()))
    });
    let emptied = engine.empty_trash();
    emptied.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    ended
}
