//! `wait`.

use super::Invocation;
use super::error::CliError;
use crate::engine::request::WaitRequest;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "CONTAINER")]
    names: Vec<String>,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = WaitRequest { names: args.names };
    let engine = invocation.engine()?;
    invocation.each(&request.names, |name| {
        engine.wait(&engine.find(name)?).map(Some)
    })
}
