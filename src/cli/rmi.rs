//! `rmi` and `image rm`.

use super::Invocation;
use super::error::{CliError, Kind};
use crate::engine::EngineError;
use crate::image::{ImageError, Removed};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "IMAGE")]
    names: Vec<String>,
    /// Remove every name, and images that stopped containers use
    #[arg(short, long)]
    force: bool,
    /// Keep untagged images that a removed one was made from
    #[arg(long)]
    no_prune: bool,
    /// Remove only images of this platform (os/arch[/variant])
    #[arg(long)]
    platform: Option<String>,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let engine = invocation.engine()?;
    let mut failed = false;
    // As docker has it: with -f an image that is not there is said, and is no failure.
    let is_gone = |error: &EngineError| matches!(error, EngineError::Image(why) if matches!(**why, ImageError::Unknown { .. }));
    for name in &args.names {
        match engine.remove_image(name, args.force, !args.no_prune, args.platform.as_deref()) {
            Ok(removed) => {
                for line in &removed {
                    invocation.ui.line(&words(line))?;
                }
            }
            Err(error @ EngineError::Interrupted { .. }) => {
                return Err(CliError::engine(Kind::Failed, &error));
            }
            Err(error) => {
                invocation.ui.error(&CliError::engine(Kind::Failed, &error));
                failed |= !(args.force && is_gone(&error));
            }
        }
    }
    match failed {
        true => Err(CliError::said(Kind::Failed)),
        false => Ok(0),
    }
}

pub(super) fn words(removed: &Removed) -> String {
    match removed {
        Removed::Untagged(name) => format!("Untagged: {}", name.familiar()),
        Removed::Deleted(digest) => format!("Deleted: {digest}"),
    }
}
