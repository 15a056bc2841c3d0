//! `network update`: podman's, other name servers for a network that is there.

use super::create::servers;
use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "NETWORK")]
    name: String,
    /// One more name server to ask instead of the host's
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    dns_add: Vec<String>,
    /// Name server that is asked no more
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    dns_drop: Vec<String>,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let add = servers("--dns-add", &args.dns_add)?;
    let drop = servers("--dns-drop", &args.dns_drop)?;
    let updated = invocation.engine()?.update_network(&args.name, &add, &drop);
    let name = updated.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    invocation.ui.line(&name)?;
    Ok(0)
}
