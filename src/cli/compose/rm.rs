//! `compose rm`.

use std::io::{BufRead, IsTerminal, Write};

use super::Globals;
use super::project::{engine_failed, failed, known};
use crate::cli::Invocation;
use crate::cli::error::CliError;
use crate::compose::labels::OneOff;
use crate::engine::request::StopTimeout;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Services whose stopped containers are removed (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Stop those that run, and remove them too
    #[arg(short, long)]
    stop: bool,
    /// Remove their anonymous volumes too
    #[arg(short, long)]
    volumes: bool,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let project = globals.load_or_named(&args.services, invocation)?;
    known(&project, &args.services)?;
    let engine = invocation.engine()?;
    let progress = globals.told(&invocation.ui)?;
    let executor = globals.executor(&engine, &project, &progress);
    let mut all = executor
        .containers_of(&args.services, false, OneOff::Exclude)
        .map_err(failed)?;
    if !args.stop {
        all.retain(|one| !one.status.is_running());
    }
    if all.is_empty() {
        invocation.ui.note("No stopped containers");
        return Ok(0);
    }
    let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
    let list = names.join(", ");
    if args.force {
        invocation.ui.note(&format!("Going to remove {list}"));
    } else if !is_wanted(&list) {
        return Ok(0);
    }
    for group in executor.in_order_of_end(all) {
        if args.stop {
            executor
                .stop_group(&group, StopTimeout::Default)
                .map_err(failed)?;
        }
        for one in &group {
            let removed = executor.remove(one.record.id.as_str(), args.volumes);
            removed.map_err(failed)?;
        }
    }
    if !globals.dry_run {
        engine.empty_trash().map_err(engine_failed)?;
    }
    Ok(0)
}

/// Where nobody is there to answer, docker takes it for a yes.
fn is_wanted(list: &str) -> bool {
    let mut err = std::io::stderr().lock();
    let question = format!("? Going to remove {list} (y/N) ");
    let _ = err.write_all(question.as_bytes());
    let stdin = std::io::stdin();
    let is_terminal = stdin.is_terminal();
    let mut answer = String::new();
    let read = stdin.lock().read_line(&mut answer);
    if !is_terminal {
        let _ = err.write_all(b"\n");
    }
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}
