//! `network rm`.

use crate::cli::Invocation;
use crate::cli::error::CliError;
use crate::engine::EngineError;
use crate::net::record::NetworkError;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "NETWORK")]
    names: Vec<String>,
    /// A network that does not exist is no error
    #[arg(short, long)]
    force: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let engine = invocation.engine()?;
    invocation.each(&args.names, |name| match engine.remove_network(name) {
        Err(EngineError::Network(NetworkError::NotFound { .. })) if args.force => Ok(None),
        removed => removed.map(|()| Some(name.to_owned())),
    })
}
