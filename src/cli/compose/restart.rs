//! `compose restart`.

use std::collections::{BTreeMap, BTreeSet};

use super::Globals;
use super::project::{choose, failed, stop_timeout, timeout};
use crate::cli::Invocation;
use crate::cli::error::CliError;
use crate::compose::execute::Executor;
use crate::compose::labels::OneOff;
use crate::compose::{labels, order};
use crate::engine::request::StopTimeout;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Services to restart (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Leave those running that are started again with these
    #[arg(long)]
    no_deps: bool,
    /// Seconds before a container is killed
    #[arg(short, long, value_name = "SECONDS", allow_hyphen_values = true)]
    timeout: Option<String>,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let project = globals.load_or_named(&args.services, invocation)?;
    let engine = invocation.engine()?;
    let progress = globals.told(&invocation.ui)?;
    let executor = globals.executor(&engine, &project, &progress);
    let mut chosen = choose(&project, &args.services, false)?;
    if !args.no_deps {
        add_restarting(&executor, &mut chosen);
    }
    let timeout = stop_timeout(timeout(args.timeout.as_deref())?);
    restart(&executor, &chosen, timeout)?;
    Ok(0)
}

/// Those that say that they are to be started again with these.
fn add_restarting(executor: &Executor<'_>, chosen: &mut BTreeSet<String>) {
    loop {
        let services = executor.project.services.iter();
        let more = services.filter(|(name, service)| {
            let mut needs = order::needs(service).into_iter();
            !chosen.contains(*name)
                && needs.any(|need| need.restart && chosen.contains(&need.service))
        });
        let more: Vec<String> = more.map(|(name, _)| name.clone()).collect();
        if more.is_empty() {
            return;
        }
        chosen.extend(more);
    }
}

/// All are ended before any of them is started again, in the order in which they need each other.
fn restart(
    executor: &Executor<'_>,
    chosen: &BTreeSet<String>,
    timeout: StopTimeout,
) -> Result<(), CliError> {
    let names: Vec<String> = chosen.iter().cloned().collect();
    let all = executor
        .containers_of(&names, false, OneOff::Exclude)
        .map_err(failed)?;
    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in &all {
        let service = one.config.labels.get(labels::SERVICE).cloned();
        let service = members.entry(service.unwrap_or_default()).or_default();
        service.push(one.name.clone());
    }
    executor
        .restart(all, members, chosen, timeout)
        .map_err(failed)
}
