//! Everything in a container's cgroup stopped for as long as a guard lives (`cgroup.freeze`, cgroups(7)). A process of its own
//! lets it go on, so that whoever holds the guard may be killed.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::cgroup;
use crate::sys::process::{self, Forked};
use crate::sys::{pidfd, role, signal};

/// Why a container can't be stopped in its tracks.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    #[error("it has no cgroup of its own that this user may freeze")]
    NoCgroup,
    #[error("freeze {path}: {source}")]
    Freeze { path: PathBuf, source: io::Error },
}

/// A container whose processes stand still.
pub struct Frozen {
    /// None: it stood still before.
    thaw: Option<(OwnedFd, Pid)>,
}

impl Frozen {
    /// Freezes the cgroup of the container's init; `id` is what the cgroup is called by. The caller has one thread.
    pub fn freeze(init: i32, id: &str) -> Result<Frozen, FreezeError> {
        let directory = find(init, id).ok_or(FreezeError::NoCgroup)?;
        let switch = directory.join("cgroup.freeze");
        let failed = |source: io::Error| FreezeError::Freeze {
            path: switch.clone(),
            source,
        };
        let now = fs::read_to_string(&switch).map_err(|_| FreezeError::NoCgroup)?;
        if now.trim() == "1" {
            return Ok(Frozen { thaw: None });
        }
        let (waits, holds) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
        let child = match process::fork().map_err(failed)? {
            Forked::Parent(child) => child,
            Forked::Child => process::exit_now(thaw_later(waits, &switch)),
        };
        let frozen = Frozen {
            thaw: Some((holds, child)),
        };
        // What fails from here on is undone with the guard.
        cgroup::freeze(&directory, true).map_err(failed)?;
        Ok(frozen)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Some((holds, child)) = self.thaw.take() {
            drop(holds);
            // It ends when the container runs again.
            let _ = pidfd::wait_child(child);
        }
    }
}

/// The role that waits for the end of whoever froze the cgroup.
fn thaw_later(waits: OwnedFd, switch: &Path) -> i32 {
    role::set("thaw");
    let _ = process::close_all_except(&[waits.as_fd()]);
    let _ = signal::reset_all();
    let _ = process::detach_standard_streams();
    // A signal to the group of the command must not end it first.
    let _ = rustix::process::setsid();
    while rustix::io::read(&waits, &mut [0; 1]) == Err(rustix::io::Errno::INTR) {}
    i32::from(fs::write(switch, "0").is_err())
}

/// The cgroup that the process is in, if it is the container's own.
fn find(init: i32, id: &str) -> Option<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{init}/cgroup")).ok()?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let is_own = Path::new(own).file_name()?.to_str()?.contains(id);
    let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    let mut found = mounts.iter().map(|mount| Path::new(mount).join(own));
    found
        .find(|directory| directory.join("cgroup.freeze").exists())
        .filter(|_| is_own)
}
