//! `network reload`: podman's, makes containers' places in their networks anew.

use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "CONTAINER", required_unless_present = "all")]
    names: Vec<String>,
    /// All containers that share networks now
    #[arg(short, long, conflicts_with = "names")]
    all: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let engine = invocation.engine()?;
    if !args.all {
        return invocation.each(&args.names, |name| engine.reload_networks(name).map(Some));
    }
    let reloaded = engine.reload_all_networks();
    for id in reloaded.map_err(|error| CliError::engine(Kind::Failed, &error))? {
        invocation.ui.line(&id)?;
    }
    Ok(0)
}
