//! `compose pause` and `compose unpause`.

use super::found::{self, Which};
use super::{Globals, Invocation};
use crate::cli::error::{CliError, Kind};
use crate::compose::labels::OneOff;
use crate::compose::report::{Phase, Report};
use crate::container::Record;
use crate::engine::{Engine, EngineError};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    each(args, globals, invocation, "Paused", Engine::pause)
}

pub fn run_unpause(
    args: &Args,
    globals: &Globals,
    invocation: &Invocation,
) -> Result<u8, CliError> {
    each(args, globals, invocation, "Unpaused", Engine::unpause)
}

/// All are tried; the first failure is what is said.
fn each(
    args: &Args,
    globals: &Globals,
    invocation: &Invocation,
    done: &str,
    verb: impl Fn(&Engine, &Record) -> Result<(), EngineError>,
) -> Result<u8, CliError> {
    let scope = globals.scope(&args.services, invocation)?;
    scope.check(&args.services)?;
    let engine = invocation.engine()?;
    let which = Which {
        oneoff: OneOff::Exclude,
        all: false,
        services: &args.services,
    };
    let mut found = found::containers(&engine, &scope.name, which)?;
    if let Some(known) = scope.services() {
        found.retain(|container| known.iter().any(|name| name == found::service(container)));
    }
    let progress = globals.told(&invocation.ui)?;
    let mut failure = None;
    for container in &found {
        let ended = match globals.dry_run {
            true => Ok(()),
            false => verb(&engine, &container.record),
        };
        match ended {
            Ok(()) => progress.container(&container.name, Phase::Done, done),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure {
        None => Ok(0),
        Some(error) => Err(CliError::engine(Kind::Failed, &error)),
    }
}
