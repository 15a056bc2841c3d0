//! `rm`.

use super::Invocation;
use super::error::CliError;
use super::error::{Kind, chain};
use crate::container::ContainerError;
use crate::engine::EngineError;
use crate::engine::request::RemoveRequest;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "CONTAINER")]
    names: Vec<String>,
    /// Kill running containers first
    #[arg(short, long)]
    force: bool,
    /// Remove their anonymous volumes too
    #[arg(short, long)]
    volumes: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = RemoveRequest {
        names: args.names,
        force: args.force,
        volumes: args.volumes,
    };
    let engine = invocation.engine()?;
    let ended = invocation.each(&request.names, |name| {
        let record = match engine.find(name) {
            // docker says so and goes on
            Err(error @ EngineError::Container(ContainerError::NotFound { .. }))
                if request.force =>
            {
                invocation.ui.note(&chain(&error));
                return Ok(None);
            }
            found => found?,
        };
        engine.remove(&record, request.force, request.volumes)?;
        Ok(Some(name.to_owned()))
    });
    let emptied = engine.empty_trash();
    emptied.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    ended
}
