//! podman's `manifest exists`.

use super::{failed, named};
use crate::cli::Invocation;
use crate::cli::error::CliError;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "LIST")]
    list: String,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let list = named(&args.list)?;
    let exists = invocation.engine()?.manifest_list_exists(&list);
    Ok(u8::from(!exists.map_err(failed)?))
}
