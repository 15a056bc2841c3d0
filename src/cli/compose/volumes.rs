//! `compose volumes`: the volumes of a project.

use super::found::{self, Which};
use super::{Globals, Invocation};
use crate::cli::error::{CliError, Kind};
use crate::cli::volume;
use crate::compose::labels::{self, OneOff};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Services whose volumes are shown (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// `table`, `json` or a Go template
    #[arg(long, default_value = "table")]
    format: String,
    /// Show only names
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let scope = globals.scope(&args.services, invocation)?;
    scope.check(&args.services)?;
    let engine = invocation.engine()?;
    let listed = engine.list_volumes(&labels::volumes(&scope.name));
    let mut volumes = listed.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    if !args.services.is_empty() {
        let which = Which {
            oneoff: OneOff::Include,
            all: true,
            services: &args.services,
        };
        let found = found::containers(&engine, &scope.name, which)?;
        volumes.retain(|volume| {
            let mut users = volume.users.iter();
            users.any(|user| found.iter().any(|container| container.record.id == *user))
        });
    }
    if args.quiet {
        let names = volumes.iter();
        let names = names.map(|volume| format!("{}\n", volume.volume.name.as_str()));
        invocation.ui.result(&names.collect::<String>())?;
        return Ok(0);
    }
    volume::ls::show(&volumes, Some(&args.format), false, invocation)
}
