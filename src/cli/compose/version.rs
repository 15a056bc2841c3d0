//! `compose version`: bryo's own, in docker's words.

use serde_json::json;

use super::Invocation;
use crate::cli::error::CliError;

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
    let version = env!("CARGO_PKG_VERSION");
    let text = match (args.short, args.format.as_deref()) {
        (true, _) => version.to_owned(),
        (false, Some("json")) => json!({"version": version}).to_string(),
        (false, None | Some("pretty")) => format!("bryo compose version {version}"),
        (false, Some(other)) => {
            return Err(CliError::usage(format!(
                "format value {other:?} could not be parsed: pretty and json are known"
            )));
        }
    };
    invocation.ui.line(&text)?;
    Ok(0)
}
