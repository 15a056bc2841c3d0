//! `compose config`: the project as its files describe it.

use super::{Globals, Invocation};
use crate::cli::error::CliError;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Services to show (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let project = globals.load(&args.services, invocation)?;
    let shown = serde_json::to_string_pretty(&project).expect("keys are texts");
    invocation.ui.line(&shown)?;
    Ok(0)
}
