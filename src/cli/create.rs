//! `create`.

use super::Session;
use super::container_flags::ContainerFlags;
use super::error::CliError;

#[derive(clap::Args, Debug)]
#[command(override_usage = "bryo create [OPTIONS] IMAGE [COMMAND] [ARG...]")]
pub struct Args {
    #[command(flatten)]
    container: ContainerFlags,
}

pub fn run(args: Args, session: &Session) -> Result<u8, CliError> {
    let _request = args.container.request(&session.ui)?;
    Err(CliError::not_yet("create"))
}
