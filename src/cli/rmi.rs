//! `rmi` and `image rm`.

use super::Invocation;
use super::error::CliError;
use crate::engine::request::RemoveImageRequest;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "IMAGE")]
    names: Vec<String>,
    /// Remove every name, and images that stopped containers use
    #[arg(short, long)]
    force: bool,
}

pub fn run(args: Args, _invocation: &Invocation) -> Result<u8, CliError> {
    let _request = RemoveImageRequest {
        names: args.names,
        force: args.force,
    };
    Err(CliError::not_yet("rmi"))
}
