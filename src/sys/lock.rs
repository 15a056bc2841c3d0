//! File locks: OFD locks that mean "its holder lives", and flock guards for short critical sections.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::FlockOperation;

/// Takes a write lock on the whole file for as long as this open file description lives (fcntl_locking(2), F_OFD_SETLK).
/// `false` if another description holds it.
pub fn try_hold(file: BorrowedFd<'_>) -> io::Result<bool> {
    let request = whole_file();
    match fcntl(file, FcntlArg::F_OFD_SETLK(&request)) {
        Ok(_) => Ok(true),
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether somebody holds the lock; asks without taking it, so two askers never see each other.
pub fn is_held(file: BorrowedFd<'_>) -> io::Result<bool> {
    let mut request = whole_file();
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut request))?;
    Ok(i32::from(request.l_type) != libc::F_UNLCK)
}

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// A flock(2) on a file, released when dropped.
#[derive(Debug)]
pub struct Guard(OwnedFd);

impl Guard {
    /// For a fork, which holds the lock by it.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// What `into_fd` gave.
    pub fn of(fd: OwnedFd) -> Guard {
        Guard(fd)
    }
}

impl AsFd for Guard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Which flock(2) to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Shared,
    Exclusive,
}

/// Opens (creating it, 0600) and locks a file; waits for other holders.
pub fn lock(path: &Path, mode: Mode) -> io::Result<Guard> {
    let file = open(path)?;
    flock(&file, mode, true)?;
    Ok(Guard(file.into()))
}

/// The same without waiting: `None` if it is held in a way that conflicts.
pub fn try_lock(path: &Path, mode: Mode) -> io::Result<Option<Guard>> {
    let file = open(path)?;
    Ok(flock(&file, mode, false)?.then(|| Guard(file.into())))
}

/// Locks an open file or directory for as long as this open file description lives; `false` if it is held in a way that
/// conflicts. What is made under a temporary name is locked by its maker: unlocked, it is rubbish.
pub fn try_hold_alone(fd: impl AsFd) -> io::Result<bool> {
    flock(fd, Mode::Exclusive, false)
}

/// Gives up what `try_hold_alone` has taken.
pub fn release(fd: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::flock(fd, FlockOperation::Unlock)?)
}

/// The same beside others that share it.
pub fn try_share(fd: impl AsFd) -> io::Result<bool> {
    flock(fd, Mode::Shared, false)
}

/// The same beside others, waiting for one that holds it alone.
pub fn share(fd: impl AsFd) -> io::Result<()> {
    flock(fd, Mode::Shared, true).map(drop)
}

/// The same, waiting for other holders.
pub fn hold_alone(fd: impl AsFd) -> io::Result<()> {
    flock(fd, Mode::Exclusive, true).map(drop)
}

fn flock(fd: impl AsFd, mode: Mode, wait: bool) -> io::Result<bool> {
    let operation = match (mode, wait) {
        (Mode::Shared, true) => FlockOperation::LockShared,
        (Mode::Shared, false) => FlockOperation::NonBlockingLockShared,
        (Mode::Exclusive, true) => FlockOperation::LockExclusive,
        (Mode::Exclusive, false) => FlockOperation::NonBlockingLockExclusive,
    };
    loop {
        match rustix::fs::flock(&fd, operation) {
            Ok(()) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_seen_by_another_description_and_free_after_close() {
        let path = std::env::temp_dir().join(format!("bryo-lock-{}", std::process::id()));
        let holder = open(&path).expect("temporary file");
        let asker = open(&path).expect("temporary file");
        assert!(!is_held(asker.as_fd()).expect("getlk"));
        assert!(try_hold(holder.as_fd()).expect("setlk"));
        assert!(is_held(asker.as_fd()).expect("getlk"));
        assert!(!try_hold(asker.as_fd()).expect("setlk"));
        drop(holder);
        assert!(!is_held(asker.as_fd()).expect("getlk"));
        std::fs::remove_file(path).expect("temporary file");
    }
}
