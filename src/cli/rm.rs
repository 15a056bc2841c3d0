//! `rm`.

use super::Session;
use super::error::CliError;
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

pub fn run(args: Args, _session: &Session) -> Result<u8, CliError> {
    let _request = RemoveRequest {
        names: args.names,
        force: args.force,
        volumes: args.volumes,
    };
    Err(CliError::not_yet("rm"))
}
