//! `doctor`: the words for what `runtime::doctor` finds.

use super::Invocation;
use super::error::CliError;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args, _invocation: &Invocation) -> Result<u8, CliError> {
    let _ = args.json;
    Err(CliError::not_yet("doctor"))
}
