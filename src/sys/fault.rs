//! The points at which something on the disk changes: where a test lets a process die or the disk fail. One counter for all
//! roles of a command, because it is a file. Nothing of it is in a release build.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::io::{Errno, Result};

use super::{process, role};

/// Bytes of a line of the list: its length is the counter.
const LINE: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Kill,
    Fail(Errno),
}

/// Which point is struck.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Number(u64),
    /// Each that has this name.
    Change(String),
}

/// `BRYO_TEST_POINTS` names the list that every point is appended to; `BRYO_TEST_FAULT` is `kill:`, `enospc:` or `eio:` and the
/// number or the name of a point.
struct Plan {
    list: PathBuf,
    strikes: Option<(Fault, Target)>,
}

/// Passed before each change, which is not made if this fails. A change that frees space does not fail for the want of it.
pub fn at(change: &str) -> Result<()> {
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    match PLAN.get_or_init(plan) {
        Some(plan) => pass(plan, change),
        None => Ok(()),
    }
}

/// Lets what a test names in `BRYO_TEST_LINGERS` happen late.
pub fn linger(at: &str) {
    if cfg!(debug_assertions)
        && std::env::var_os("BRYO_TEST_LINGERS").is_some_and(|wanted| wanted == at)
    {
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
}

fn plan() -> Option<Plan> {
    let list = std::env::var_os("BRYO_TEST_POINTS")?.into();
    let text = std::env::var("BRYO_TEST_FAULT").unwrap_or_default();
    let strikes = text.split_once(':').and_then(|(kind, target)| {
        let fault = match kind {
            "kill" => Fault::Kill,
            "enospc" => Fault::Fail(Errno::NOSPC),
            "eio" => Fault::Fail(Errno::IO),
            _ => return None,
        };
        let named = |_| Target::Change(target.to_owned());
        Some((fault, target.parse().map_or_else(named, Target::Number)))
    });
    Some(Plan { list, strikes })
}

fn pass(plan: &Plan, change: &str) -> Result<()> {
    let Some(number) = note(plan, change) else {
        // Inside a container's root: nothing there is of the store.
        return Ok(());
    };
    let is_meant = |target: &Target| match target {
        Target::Number(wanted) => *wanted == number,
        Target::Change(wanted) => wanted == change,
    };
    let struck = plan.strikes.as_ref();
    match struck.filter(|(_, target)| is_meant(target)) {
        Some((Fault::Kill, _)) => process::exit_now(137),
        Some((Fault::Fail(errno), _)) => {
            let frees = change.starts_with("remove");
            match frees && *errno == Errno::NOSPC {
                true => Ok(()),
                false => Err(*errno),
            }
        }
        None => Ok(()),
    }
}

/// Appends the point; its number, from 1.
fn note(plan: &Plan, change: &str) -> Option<u64> {
    let name = role::get();
    // A container's name is another in every run.
    let name = name.split(' ').next().unwrap_or_default();
    let mut line = format!("{name}: {change}");
    line.truncate(LINE - 1);
    let line = format!("{line:<width$}\n", width = LINE - 1);
    let mut options = File::options();
    options.append(true).custom_flags(libc::O_NOFOLLOW);
    let mut list = options.open(&plan.list).ok()?;
    list.write_all(line.as_bytes()).ok()?;
    Some(list.stream_position().ok()? / LINE as u64)
}
