//! The image store's locks: who may add, who may collect garbage, who changes the names. A lock is liveness: a killed
//! holder leaves nothing behind.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::sys::fs;

/// A held lock file; dropped = released.
#[derive(Debug)]
pub struct HeldLock {
    _file: File,
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Waits for a lock that may be held together with others of its kind.
pub fn shared(path: &Path) -> io::Result<HeldLock> {
    let file = open(path)?;
    fs::flock(&file, false, true)?;
    Ok(HeldLock { _file: file })
}

/// Waits for a lock that nobody else holds in any way.
pub fn exclusive(path: &Path) -> io::Result<HeldLock> {
    let file = open(path)?;
    fs::flock(&file, true, true)?;
    Ok(HeldLock { _file: file })
}

/// An exclusive lock if nobody holds it now.
pub fn try_exclusive(path: &Path) -> io::Result<Option<HeldLock>> {
    let file = open(path)?;
    Ok(fs::flock(&file, true, false)?.then_some(HeldLock { _file: file }))
}
