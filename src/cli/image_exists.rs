//! podman's `image exists` and `untag`.

use super::Invocation;
use super::error::{CliError, Kind};

#[derive(clap::Args, Debug)]
pub struct ExistsArgs {
    #[arg(value_name = "IMAGE")]
    image: String,
}

/// 0: it exists; 1: it does not.
pub fn exists(args: &ExistsArgs, invocation: &Invocation) -> Result<u8, CliError> {
    let exists = invocation.engine()?.image_exists(&args.image);
    let exists = exists.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    Ok(u8::from(!exists))
}

#[derive(clap::Args, Debug)]
pub struct UntagArgs {
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Names to take away; all of them without one
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

pub fn untag(args: &UntagArgs, invocation: &Invocation) -> Result<u8, CliError> {
    let untagged = invocation.engine()?.untag_image(&args.image, &args.names);
    untagged.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    Ok(0)
}
