//! Namespaces: joining one by descriptor, leaving some, id maps, and whose they are.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sched::{CloneFlags, setns};
use rustix::fs::{Mode, OFlags};

/// Joins the namespaces `kinds` of what `fd` stands for: a namespace file, or a pidfd for several at once (Linux 5.8).
pub fn join(fd: BorrowedFd<'_>, kinds: CloneFlags) -> io::Result<()> {
    setns(fd, kinds).map_err(io::Error::from)
}

/// Leaves the namespaces `kinds` for new ones.
pub fn leave(kinds: CloneFlags) -> io::Result<()> {
    nix::sched::unshare(kinds).map_err(io::Error::from)
}

/// Opens `/proc/PID/ns/KIND`; the descriptor keeps the namespace alive.
pub fn open(pid: i32, kind: &str) -> io::Result<OwnedFd> {
    let path = format!("/proc/{pid}/ns/{kind}");
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(io::Error::from)
}

/// Whether a file stands for a network namespace. Any other is only looked at.
pub fn is_network(path: &Path) -> io::Result<bool> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    if rustix::fs::fstatfs(&file)?.f_type as u64 != NSFS_MAGIC {
        return Ok(false);
    }
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let kind = rustix::fs::readlink(format!("/proc/self/fd/{}", file.as_raw_fd()), Vec::new())?;
    Ok(kind.as_bytes().starts_with(b"net:["))
}

/// linux/magic.h.
const NSFS_MAGIC: u64 = 0x6e73_6673;

/// The calling process's own.
pub fn open_own(kind: &str) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/ns/{kind}");
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(io::Error::from)
}

/// The inode that identifies a namespace.
pub fn identity(namespace: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(rustix::fs::fstat(namespace)?.st_ino)
}

/// The same of the calling process's own.
pub fn own_identity(kind: &str) -> io::Result<u64> {
    Ok(rustix::fs::stat(format!("/proc/self/ns/{kind}"))?.st_ino)
}

/// Writes a file below `/proc` in one write(2), which id maps demand.
pub fn write_proc(path: &str, text: &str) -> io::Result<()> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    let written = rustix::io::write(&file, text.as_bytes())?;
    if written == text.len() {
        Ok(())
    } else {
        Err(io::Error::from(io::ErrorKind::WriteZero))
    }
}
