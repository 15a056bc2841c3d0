//! `network disconnect`.

use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "NETWORK")]
    network: String,
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// A container that is not in the network is no error
    #[arg(short, long)]
    force: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let disconnected =
        invocation
            .engine()?
            .disconnect_network(&args.network, &args.container, args.force);
    disconnected.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    Ok(0)
}
