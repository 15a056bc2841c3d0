//! `info` and `system info`.

use super::Invocation;
use super::error::CliError;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// `json` or a Go template
    #[arg(short, long)]
    format: Option<String>,
}

pub fn run(args: Args, _invocation: &Invocation) -> Result<u8, CliError> {
    let _ = args.format;
    Err(CliError::not_yet("info"))
}
