//! `compose start`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Globals;
use super::project::{choose, failed};
use crate::cli::Invocation;
use crate::cli::container_flags::value;
use crate::cli::error::CliError;
use crate::compose::execute::{ExecuteError, Orders};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Services to start, with those that they need (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Wait until the services run or are healthy
    #[arg(long)]
    wait: bool,
    /// Wait so many seconds at the most
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    wait_timeout: Option<String>,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let project = globals.load_or_named(&args.services, invocation)?;
    let engine = invocation.engine()?;
    let progress = globals.told(&invocation.ui)?;
    let executor = globals.executor(&engine, &project, &progress);
    let chosen = choose(&project, &args.services, true)?;
    let wait_timeout = args.wait_timeout.as_deref();
    let wait_timeout = wait_timeout
        .map(|text| value::<u64>("--wait-timeout", text))
        .transpose()?;
    let mut members = BTreeMap::new();
    for name in &chosen {
        let there = executor.there(name).map_err(ExecuteError::from);
        let there = there.map_err(failed)?;
        if there.is_empty() && executor.count(name, &BTreeMap::new()) > 0 {
            let service = name.clone();
            return Err(failed(ExecuteError::NoContainer { service }));
        }
        members.insert(name.clone(), there);
    }
    let orders = Orders {
        members,
        chosen,
        wait: args.wait.then(|| wait_timeout.map(Duration::from_secs)),
        ..Orders::default()
    };
    executor.start(&orders).map_err(failed)?;
    Ok(0)
}
