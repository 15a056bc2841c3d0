//! `compose config`: the project as its files describe it.

use super::{Globals, Invocation};
use crate::cli::error::CliError;
use crate::compose;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Services to show (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let project = globals.load(&args.services, invocation)?;
    invocation.ui.result(&compose::project_yaml(&project))?;
    Ok(0)
}
