//! `pause`.

use super::Invocation;
use super::error::CliError;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "CONTAINER")]
    names: Vec<String>,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let engine = invocation.engine()?;
    invocation.each(&args.names, |name| {
        engine.pause(&engine.find(name)?)?;
        Ok(Some(name.to_owned()))
    })
}
