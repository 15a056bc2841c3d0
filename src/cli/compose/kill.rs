//! `compose kill`.

use super::Globals;
use super::project::{failed, known};
use crate::cli::Invocation;
use crate::cli::container_flags::value;
use crate::cli::error::{CliError, Kind};
use crate::compose::labels::OneOff;
use crate::engine::request::Signal;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Services to end (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// End the containers of services too that the files do not have
    #[arg(long)]
    remove_orphans: bool,
    /// Signal to send
    #[arg(short, long, value_name = "SIGNAL", default_value = "SIGKILL")]
    signal: String,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let signal: Signal = value("-s, --signal", &args.signal)?;
    let project = globals.load_or_named(&args.services, invocation)?;
    known(&project, &args.services)?;
    let engine = invocation.engine()?;
    let progress = globals.told(&invocation.ui)?;
    let executor = globals.executor(&engine, &project, &progress);
    let orphans = args.remove_orphans;
    let all = executor
        .containers_of(&args.services, orphans, OneOff::Exclude)
        .map_err(failed)?;
    let is_any = all.iter().any(|one| one.status.is_running());
    if !is_any {
        return Err(CliError::new(Kind::Failed, "no container to kill"));
    }
    executor.kill_group(&all, signal).map_err(failed)?;
    Ok(0)
}
