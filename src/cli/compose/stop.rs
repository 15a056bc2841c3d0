//! `compose stop`.

use super::Globals;
use super::project::{failed, known, stop_timeout, timeout};
use crate::cli::Invocation;
use crate::cli::error::CliError;
use crate::compose::labels::OneOff;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Services to stop (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Seconds before a container is killed
    #[arg(short, long, value_name = "SECONDS", allow_hyphen_values = true)]
    timeout: Option<String>,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let project = globals.load_or_named(&args.services, invocation)?;
    known(&project, &args.services)?;
    let engine = invocation.engine()?;
    let progress = globals.told(&invocation.ui)?;
    let executor = globals.executor(&engine, &project, &progress);
    let timeout = stop_timeout(timeout(args.timeout.as_deref())?);
    let all = executor
        .containers_of(&args.services, false, OneOff::Exclude)
        .map_err(failed)?;
    for group in executor.in_order_of_end(all) {
        executor.stop_group(&group, timeout).map_err(failed)?;
    }
    Ok(0)
}
