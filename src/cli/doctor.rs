//! `doctor`: the words for what `runtime::doctor` finds.

use super::Session;
use super::error::CliError;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args, _session: &Session) -> Result<u8, CliError> {
    let _ = args.json;
    Err(CliError::not_yet("doctor"))
}
