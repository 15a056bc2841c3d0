//! `restart`.

use super::Invocation;
use super::error::CliError;
use super::stop::{EndFlags, note};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "CONTAINER")]
    names: Vec<String>,
    #[command(flatten)]
    end: EndFlags,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let (signal, timeout) = args.end.parse()?;
    let engine = invocation.engine()?;
    invocation.each(&args.names, |name| {
        let how = engine.restart(&engine.find(name)?, signal, timeout)?;
        note(&invocation.ui, name, how);
        Ok(Some(name.to_owned()))
    })
}
