//! `network update`: podman's, other name servers for a network that is there; and another limit of what its containers reach.

use super::create::servers;
use crate::cli::Invocation;
use crate::cli::container_flags::value;
use crate::cli::error::{CliError, Kind};
use crate::engine::request::NetworkChange;

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
    /// Let its containers reach nothing outside but these (none, any, or HOST, ADDRESS, SUBNET, *.DOMAIN, each with :PORT or not)
    #[arg(long, value_name = "DESTINATIONS")]
    egress: Vec<String>,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let add = servers("--dns-add", &args.dns_add)?;
    let drop = servers("--dns-drop", &args.dns_drop)?;
    let reach = match args.egress.as_slice() {
        [] => None,
        given => Some(value("--egress", &given.join(","))?),
    };
    let change = NetworkChange { add, drop, reach };
    let updated = invocation.engine()?.update_network(&args.name, change);
    let name = updated.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    invocation.ui.line(&name)?;
    Ok(0)
}
