//! `logout`.

use super::Invocation;
use super::error::{CliError, Kind};
use crate::engine::Engine;
use crate::registry::Server;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Registry to log out of; Docker Hub where none is named
    #[arg(value_name = "SERVER", conflicts_with = "all")]
    server: Option<String>,
    /// Log out of every registry
    #[arg(short, long)]
    all: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let engine = invocation.engine()?;
    if !args.all {
        forget(&engine, &Server::named(args.server.as_deref()), invocation)?;
        return Ok(0);
    }
    let servers = engine.logins();
    for server in servers.map_err(|error| CliError::engine(Kind::Failed, &error))? {
        forget(&engine, &server, invocation)?;
    }
    Ok(0)
}

fn forget(engine: &Engine, server: &Server, invocation: &Invocation) -> Result<(), CliError> {
    let name = server.name();
    invocation
        .ui
        .line(&format!("Removing login credentials for {name}"))?;
    match engine.logout(server) {
        Ok(None) => {}
        Ok(Some(path)) => {
            let text = format!("{} still has credentials for {name}", path.display());
            invocation.ui.warning(&text);
        }
        // docker's words: what can't be erased is no failure of the command.
        Err(error) => {
            let error = CliError::engine(Kind::Failed, &error);
            let text = format!("could not erase credentials: {name}: {}", error.message);
            invocation.ui.warning(&text);
        }
    }
    Ok(())
}
