//! fuse-overlayfs, which stacks layers where the kernel's overlay can't: its start in a mount namespace of its own, its
//! failures explained. Never enters a container.
//!
//! How fuse-overlayfs behaves, and the choices that follow from it:
//! - It serves a container from outside: a child of the monitor, in the home user namespace. What the container gets is a
//!   detached copy of the mount, as a descriptor, so no other process ever sees the mount at a path.
//! - The process that was started ends when the mount is there; the daemon it leaves behind has closed its stderr by then
//!   and belongs to the monitor, PID 1 of its pid namespace, and dies with it.
//! - The daemon ends when the last copy of its mount goes. Its own namespace must keep none: it is taken off there.
//! - It splits its options at commas and colons and knows several ways to escape them: it gets short relative names
//!   (`Rootfs::short_names`), so that any path and any number of layers fit.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::mount::UnmountFlags;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::apart::{handed_over, leave_mounts};
use super::idmap::IdMap;
use super::rootfs::Rootfs;
use super::userns::Maps;
use crate::sys::{mount, process, program};

/// Why there is no mount. Crosses the sockets to the monitor and to its client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum FuseError {
    #[error("fuse-overlayfs is not installed")]
    Missing,
    #[error("fuse-overlayfs can't use /dev/fuse: {message}")]
    Device { message: String },
    #[error("fuse-overlayfs failed: {message}")]
    Failed { message: String },
    #[error("{operation} for fuse-overlayfs: {message}")]
    Step { operation: String, message: String },
}

/// The installed program.
pub fn find() -> Option<PathBuf> {
    program::find("fuse-overlayfs")
}

/// Whether it can be used at all, without trying it.
pub fn usable() -> Result<(), FuseError> {
    find().ok_or(FuseError::Missing)?;
    let device = open_device().map_err(|error| FuseError::Device {
        message: error.to_string(),
    });
    device.map(drop)
}

/// It takes milliseconds where nothing is wrong.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// A mount that is attached nowhere yet, and who serves it.
pub struct Mounted {
    pub tree: OwnedFd,
    /// A child of the caller; `None` where procfs does not tell.
    pub daemon: Option<Pid>,
}

/// Mounts the layers of `rootfs`, whose files are shown under the ids that `shift` gives to those of the store. The caller has one thread, no child, lives in the home namespace as PID 1 of a pid namespace,
/// and reaps the daemon when it ends. Must be called before anything reaps children of its own accord.
pub fn mount(rootfs: &Rootfs, shift: Option<&Maps>) -> Result<Mounted, FuseError> {
    let binary = find().ok_or(FuseError::Missing)?;
    // One that loses its daemon in the moment of its birth waits for it for ever.
    let tree = handed_over(Some(READY_TIMEOUT), failed_step, || {
        mount_here(&binary, rootfs, shift)
    })?;
    Ok(Mounted {
        tree,
        daemon: process::only_child(),
    })
}

fn failed_step(operation: &'static str, error: io::Error) -> FuseError {
    FuseError::Step {
        operation: operation.to_owned(),
        message: error.to_string(),
    }
}

/// Opens `/dev/fuse`, if that is what is there (Documentation/admin-guide/devices.txt: 10, 229).
pub fn open_device() -> io::Result<OwnedFd> {
    let device = rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    if rustix::fs::fstat(&device)?.st_rdev == rustix::fs::makedev(10, 229) {
        Ok(device)
    } else {
        Err(io::Error::other("it is not the fuse device"))
    }
}

fn mount_here(binary: &Path, rootfs: &Rootfs, shift: Option<&Maps>) -> Result<OwnedFd, FuseError> {
    let failed = |operation: &'static str| move |error| failed_step(operation, error);
    open_device().map_err(|error| FuseError::Device {
        message: error.to_string(),
    })?;
    leave_mounts().map_err(failed("make a mount namespace"))?;
    let names = rootfs.short_names().map_err(failed("name the layers"))?;
    let volatile = if rootfs.volatile { ",volatile" } else { "" };
    let options = format!(
        "lowerdir={},upperdir=u,workdir=w{volatile}{}",
        names.lower,
        shift.map(shifted).unwrap_or_default()
    );
    let output = Command::new(binary)
        .args(["-o", &options, names.target])
        .env_clear()
        .stdin(Stdio::null())
        .output();
    let output = output.map_err(failed("start the program"))?;
    if !output.status.success() {
        return Err(explain(&String::from_utf8_lossy(&output.stderr)));
    }
    let here = rustix::fs::CWD;
    let tree =
        mount::clone_tree(here, Path::new(names.target)).map_err(failed("copy the mount"))?;
    rustix::mount::unmount(names.target, UnmountFlags::DETACH)
        .map_err(|error| failed("take off the first mount")(error.into()))?;
    Ok(tree)
}

/// `disk:presented:count` triples; whoever the presented ids are mapped for must be let in.
fn shifted(maps: &Maps) -> String {
    let triples = |map: &IdMap| {
        let lines = map.0.iter();
        let triples = lines.map(|line| format!("{}:{}:{}", line.inside, line.outside, line.size));
        triples.collect::<Vec<_>>().join(":")
    };
    let (users, groups) = (triples(&maps.users), triples(&maps.groups));
    format!(",allow_other,uidmapping={users},gidmapping={groups}")
}

/// The program's last words. Pure.
fn explain(messages: &str) -> FuseError {
    // Every start ignores an option of its own making.
    let lines = messages.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("unknown argument"));
    let lines: Vec<&str> = lines.collect();
    let message = match lines.as_slice() {
        [] => "it gave no reason".to_owned(),
        lines => lines.join("; "),
    };
    FuseError::Failed { message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_kept_without_the_complaint_of_every_start() {
        let failed = |message: &str| FuseError::Failed {
            message: message.to_owned(),
        };
        let words = "unknown argument ignored: lazytime\nfuse: mount failed: Invalid argument\nfuse-overlayfs: cannot mount: Invalid argument\n";
        assert_eq!(
            explain(words),
            failed(
                "fuse: mount failed: Invalid argument; fuse-overlayfs: cannot mount: Invalid argument"
            )
        );
        assert_eq!(explain("\n"), failed("it gave no reason"));
    }
}
