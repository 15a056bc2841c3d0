//! `create`.

use super::Invocation;
use super::container_flags::ContainerFlags;
use super::error::CliError;
use super::error::Kind;
use super::pull::pull;
use crate::engine::Engine;
use crate::engine::request::{CreateRequest, PullPolicy};
use crate::image::{Image, ImageError, Reference};

#[derive(clap::Args, Debug)]
#[command(override_usage = "bryo create [OPTIONS] IMAGE [COMMAND] [ARG...]")]
pub struct Args {
    #[command(flatten)]
    container: ContainerFlags,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.container.request(&invocation.ui)?;
    let engine = invocation.engine()?;
    let image = image_for(invocation, &engine, &request)?;
    let created = engine.create(&request, &image);
    let record = created.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    invocation.ui.line(record.id.as_str())?;
    Ok(0)
}

/// The image in the store, downloaded first where the pull policy says so.
pub fn image_for(
    invocation: &Invocation,
    engine: &Engine,
    request: &CreateRequest,
) -> Result<Image, CliError> {
    let store = engine.images();
    let store = store.map_err(|error| CliError::engine(Kind::Engine, &error))?;
    let found = store.resolve(&request.image);
    let unknown = matches!(found, Err(ImageError::Unknown { .. }));
    let download = match request.pull {
        PullPolicy::Always => true,
        PullPolicy::Missing => unknown,
        PullPolicy::Never => false,
    };
    // an id names nothing that a registry has
    let reference = request.image.parse::<Reference>();
    let found = match reference {
        Ok(reference) if download => {
            if found.is_err() {
                let name = reference.familiar();
                invocation
                    .ui
                    .note(&format!("Unable to find image '{name}' locally"));
            }
            let (platform, quiet) = (request.platform.clone(), request.quiet_pull);
            pull(
                invocation,
                engine,
                &request.image,
                &reference,
                platform,
                quiet,
            )
            .map_err(|error| error.for_container())?;
            store.resolve(&request.image)
        }
        _ => found,
    };
    found.map_err(|error| {
        let error = CliError::of(Kind::Engine, &error);
        match request.pull {
            PullPolicy::Never => error.hint(format!("bryo pull {}", request.image)),
            _ => error,
        }
    })
}
