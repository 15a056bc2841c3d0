//! `create`.

use super::Invocation;
use super::container_flags::ContainerFlags;
use super::error::CliError;
use super::error::Kind;
use super::progress::Bars;
use crate::engine::request::{CreateRequest, PullPolicy};
use crate::engine::{Engine, EngineError};
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
    let image = image_for(invocation, &engine, &request, Kind::Failed)?;
    let created = engine.create(&request, &image);
    let (record, _) = created.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    invocation.ui.line(record.id.as_str())?;
    Ok(0)
}

/// The image of a container, fetched first where the pull policy says so; `kind` is what failing means to the verb.
pub fn image_for(
    invocation: &Invocation,
    engine: &Engine,
    request: &CreateRequest,
    kind: Kind,
) -> Result<Image, CliError> {
    let bars = Bars::new(&invocation.ui);
    let progress = bars.unless(request.quiet_pull);
    let image = engine.obtain(request, progress, &mut |line| invocation.ui.note(line));
    image.map_err(|error| {
        let unknown = matches!(&error, EngineError::Image(_));
        let error = CliError::engine(kind, &error);
        match request.pull {
            PullPolicy::Never if unknown => error.hint(format!("bryo pull {}", request.image)),
            _ => error,
        }
    })
}
