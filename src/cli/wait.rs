//! `wait`.

use super::Session;
use super::error::CliError;
use crate::engine::request::WaitRequest;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "CONTAINER")]
    names: Vec<String>,
}

pub fn run(args: Args, _session: &Session) -> Result<u8, CliError> {
    let _request = WaitRequest { names: args.names };
    Err(CliError::not_yet("wait"))
}
