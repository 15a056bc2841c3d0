//! `compose version`: whose compose this does as, in docker's words, and whose it is.

use serde_json::json;

use super::Invocation;
use crate::cli::error::CliError;

/// The release of docker compose that this is held against; scripts look for a number of docker's.
pub const DOCKERS: &str = "2.40.3";

#[derive(clap::Args, Debug)]
pub struct Args {
    /// How it is shown: pretty, json
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show the number alone
    #[arg(long)]
    short: bool,
}

pub fn run(args: &Args, invocation: &Invocation) -> Result<u8, CliError> {
    let text = match (args.short, args.format.as_deref()) {
        (true, _) => DOCKERS.to_owned(),
        (false, Some("json")) => json!({"version": DOCKERS}).to_string(),
        (false, None | Some("pretty")) => {
            let own = env!("CARGO_PKG_VERSION");
            format!("Docker Compose version {DOCKERS} (as bryo {own} has it)")
        }
        (false, Some(other)) => {
            return Err(CliError::usage(format!("unsupported format {other:?}")));
        }
    };
    invocation.ui.line(&text)?;
    Ok(0)
}
