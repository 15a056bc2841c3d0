//! The host's side of a copy: a fork that never enters the container and has no more rights than the user, at the other end
//! of a pipe from the one that does.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};

use super::super::EngineError;
use super::super::worker::RoleFailure;
use super::door::failure;
use crate::sys::capability::{self, Masks};
use crate::sys::process::{self, Forked};
use crate::sys::{pidfd, role, signal};

/// What one side of a copy came to.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Done {
    /// Of the archive.
    pub bytes: u64,
    pub warnings: Vec<String>,
}

/// Why one side stopped.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stopped {
    pub failure: RoleFailure,
    /// Only because the other side had.
    pub consequence: bool,
}

/// The fork at work.
pub struct Side {
    child: rustix::process::Pid,
    result: std::fs::File,
}

impl Side {
    /// Forks; the child does `job` with `pipe`, its end of the stream. With `own_rights` it has the user's own and no others:
    /// not those that root of the home namespace has.
    pub fn start(
        pipe: OwnedFd,
        own_rights: bool,
        job: impl FnOnce(OwnedFd) -> Result<Done, Stopped>,
    ) -> Result<Side, EngineError> {
        let (result, report) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|error| EngineError::System {
                operation: "make a pipe",
                source: error.into(),
            })?;
        let parent = rustix::process::getpid();
        let forked = process::fork().map_err(EngineError::system("fork a role"))?;
        let child = match forked {
            Forked::Parent(child) => child,
            Forked::Child => process::exit_now(run(pipe, report, parent, own_rights, job)),
        };
        Ok(Side {
            child,
            result: result.into(),
        })
    }

    /// What it came to, once it has ended.
    pub fn wait(mut self) -> Result<Done, Stopped> {
        let mut text = Vec::new();
        let read = self.result.read_to_end(&mut text);
        let ended = pidfd::wait_child(self.child);
        let died = || Stopped {
            failure: failure(&EngineError::RoleDied {
                role: "copier",
                code: *ended.as_ref().unwrap_or(&255),
            }),
            consequence: false,
        };
        match read {
            Ok(_) => serde_json::from_slice(&text).unwrap_or_else(|_| Err(died())),
            Err(_) => Err(died()),
        }
    }
}

fn run(
    pipe: OwnedFd,
    report: OwnedFd,
    parent: rustix::process::Pid,
    own_rights: bool,
    job: impl FnOnce(OwnedFd) -> Result<Done, Stopped>,
) -> i32 {
    role::set("copier");
    let mut kept: Vec<BorrowedFd<'_>> = vec![pipe.as_fd(), report.as_fd()];
    kept.extend(role::trace_fd());
    let _ = process::close_all_except(&kept);
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    if rustix::process::getppid() != Some(parent) || signal::ignore_broken_pipes().is_err() {
        return 125;
    }
    if own_rights && capability::set(Masks::default()).is_err() {
        return 125;
    }
    say(&report, &job(pipe))
}

/// Writes a result for whoever forked this role; gives its exit code.
pub fn say<T: Serialize>(report: &OwnedFd, result: &T) -> i32 {
    let text = serde_json::to_vec(result).expect("plain data always serialises");
    let mut rest = text.as_slice();
    while !rest.is_empty() {
        match rustix::io::write(report, rest) {
            Ok(written) => rest = &rest[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return 125,
        }
    }
    0
}
