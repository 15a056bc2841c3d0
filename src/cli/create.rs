//! `create`.

use super::Invocation;
use super::container_flags::ContainerFlags;
use super::error::CliError;
use super::error::Kind;
use crate::engine::Engine;
use crate::engine::request::{CreateRequest, PullPolicy};
use crate::image::Image;

#[derive(clap::Args, Debug)]
#[command(override_usage = "bryo create [OPTIONS] IMAGE [COMMAND] [ARG...]")]
pub struct Args {
    #[command(flatten)]
    container: ContainerFlags,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.container.request(&invocation.ui)?;
    let engine = invocation.engine()?;
    let image = image_for(&engine, &request)?;
    let created = engine.create(&request, &image);
    let record = created.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    invocation.ui.line(record.id.as_str())?;
    Ok(0)
}

/// The image in the store, or what the pull policy says about a missing one.
pub fn image_for(engine: &Engine, request: &CreateRequest) -> Result<Image, CliError> {
    let store = engine
        .images()
        .map_err(|error| CliError::engine(Kind::Engine, &error))?;
    match store.resolve(&request.image) {
        Ok(image) if request.pull != PullPolicy::Always => Ok(image),
        Ok(_) => Err(CliError::not_yet("run --pull always")),
        Err(error) => {
            Err(CliError::of(Kind::Engine, &error).hint(format!("bryo pull {}", request.image)))
        }
    }
}
