//! Tries things in a forked child that ends right after, so that the caller's namespaces stay as they are.

use std::io;

use nix::sched::CloneFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitOptions, waitpid};

use crate::sys::process::{self, Forked};
use crate::sys::{mount, namespace};

/// How far an attempt came. The discriminants travel over a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::runtime) enum Step {
    UserNamespace = 1,
    WriteMap = 2,
    MountNamespace = 3,
    Job = 4,
}

/// What an attempt came to.
#[derive(Debug)]
pub(in crate::runtime) enum Outcome {
    Done,
    Failed {
        step: Step,
        source: io::Error,
    },
    /// No child could be made or heard.
    Untried {
        source: io::Error,
    },
}

/// Runs `job` in a new user namespace, as its root, with a mount namespace of its own.
pub(in crate::runtime) fn in_new_namespace(job: impl FnOnce() -> io::Result<()>) -> Outcome {
    match fork_and_listen(job) {
        Ok(outcome) => outcome,
        Err(source) => Outcome::Untried { source },
    }
}

fn fork_and_listen(job: impl FnOnce() -> io::Result<()>) -> io::Result<Outcome> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    let child = match process::fork()? {
        Forked::Parent(child) => child,
        Forked::Child => {
            if let Err((step, error)) = attempt(job) {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                let mut report = [step as u8, 0, 0, 0, 0];
                report[1..].copy_from_slice(&errno.to_ne_bytes());
                let _ = rustix::io::write(&writer, &report);
                process::exit_now(1);
            }
            process::exit_now(0);
        }
    };
    drop(writer);
    let mut report = [0u8; 5];
    let heard = rustix::io::read(&reader, &mut report);
    let ended = waitpid(Some(child), WaitOptions::empty())?;
    match heard? {
        5 => {
            let step = match report[0] {
                1 => Step::UserNamespace,
                2 => Step::WriteMap,
                3 => Step::MountNamespace,
                _ => Step::Job,
            };
            let errno = i32::from_ne_bytes([report[1], report[2], report[3], report[4]]);
            let source = io::Error::from_raw_os_error(errno);
            Ok(Outcome::Failed { step, source })
        }
        _ if ended.is_some_and(|(_, status)| status.exit_status() == Some(0)) => Ok(Outcome::Done),
        _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
    }
}

fn attempt(job: impl FnOnce() -> io::Result<()>) -> Result<(), (Step, io::Error)> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    namespace::leave(CloneFlags::CLONE_NEWUSER).map_err(|e| (Step::UserNamespace, e))?;
    let map = |file: &str, text: &str| {
        namespace::write_proc(&format!("/proc/self/{file}"), text).map_err(|e| (Step::WriteMap, e))
    };
    map("setgroups", "deny")?;
    map("uid_map", &format!("0 {uid} 1"))?;
    map("gid_map", &format!("0 {gid} 1"))?;
    let own_mounts = || {
        namespace::leave(CloneFlags::CLONE_NEWNS)?;
        mount::isolate_propagation()
    };
    own_mounts().map_err(|e| (Step::MountNamespace, e))?;
    job().map_err(|e| (Step::Job, e))
}
