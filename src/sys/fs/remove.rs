//! Removal of whole trees, by descriptors: never through a symlink, and with bounded memory whatever the depth.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};

use super::{list, random_name};
use crate::sys::fault;

/// What could not be removed, and where.
#[derive(Debug, thiserror::Error)]
#[error("remove {path}: {source}")]
pub struct RemoveError {
    pub path: PathBuf,
    pub source: io::Error,
}

/// Removes `name` in `directory` with everything below it, by descriptors, never through a symlink and never into
/// another file system's mount root by name. Directories without permissions (overlay's `work/incompat/volatile` has
/// mode 000) are opened up first. A missing name is fine. Goes on after a failure and reports the first
/// (`cleanup/all`).
pub fn remove_tree(directory: impl AsFd, name: &[u8]) -> Result<(), RemoveError> {
    let struck = fault::at("remove tree").map_err(|errno| remove_error(name, errno));
    struck?;
    match rustix::fs::unlinkat(&directory, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => return Ok(()),
        Err(rustix::io::Errno::ISDIR | rustix::io::Errno::PERM) => {}
        Err(errno) => return Err(remove_error(name, errno)),
    }
    let mut first = None;
    empty_directory(directory.as_fd(), name, &mut first);
    let gone = remove_at(&directory, name, AtFlags::REMOVEDIR);
    match (first, gone) {
        (_, Ok(()) | Err(rustix::io::Errno::NOENT)) => Ok(()),
        (Some(error), _) => Err(error),
        (None, Err(errno)) => Err(remove_error(name, errno)),
    }
}

fn remove_at(directory: &impl AsFd, name: &[u8], flags: AtFlags) -> rustix::io::Result<()> {
    fault::at("remove entry")?;
    rustix::fs::unlinkat(directory, name, flags)
}

fn remove_error(name: &[u8], errno: rustix::io::Errno) -> RemoveError {
    RemoveError {
        path: PathBuf::from(OsStr::from_bytes(name)),
        source: errno.into(),
    }
}

/// One open directory of the walk; the stack is explicit because a hostile tree may be thousands of levels deep.
struct Level {
    entries: Vec<(Vec<u8>, bool)>,
    fd: OwnedFd,
    name: Vec<u8>,
}

/// Levels whose descriptors stay open; deeper trees are flattened by moving directories up, so that neither
/// descriptors nor memory depend on the depth.
const OPEN_LEVELS: usize = 200;

fn empty_directory(parent: BorrowedFd<'_>, name: &[u8], first: &mut Option<RemoveError>) {
    let mut stack = match enter(parent, name) {
        Ok(level) => vec![level],
        Err(errno) => {
            first.get_or_insert_with(|| remove_error(name, errno));
            return;
        }
    };
    loop {
        let depth = stack.len();
        let Some(level) = stack.last_mut() else {
            return;
        };
        let Some((name, is_directory)) = level.entries.pop() else {
            let Some(done) = stack.pop() else { return };
            if let Some(above) = stack.last() {
                let gone = remove_at(&above.fd, &done.name, AtFlags::REMOVEDIR);
                note(first, &done.name, gone);
            }
            continue;
        };
        if !is_directory {
            let gone = remove_at(&level.fd, &name, AtFlags::empty());
            note(first, &name, gone);
        } else if depth >= OPEN_LEVELS {
            lift(&mut stack, name, first);
        } else {
            match enter(level.fd.as_fd(), &name) {
                Ok(below) => stack.push(below),
                Err(errno) => note(first, &name, Err(errno)),
            }
        }
    }
}

/// Moves a directory that lies too deep into the top of the tree, to be emptied there later.
fn lift(stack: &mut [Level], name: Vec<u8>, first: &mut Option<RemoveError>) {
    let Some(last) = stack.last() else { return };
    let lifted = format!(".deep-{}", random_name()).into_bytes();
    match rustix::fs::renameat(&last.fd, &name, &stack[0].fd, &lifted) {
        Ok(()) => stack[0].entries.push((lifted, true)),
        Err(errno) => note(first, &name, Err(errno)),
    }
}

fn note(first: &mut Option<RemoveError>, name: &[u8], result: rustix::io::Result<()>) {
    match result {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(errno) => {
            first.get_or_insert_with(|| remove_error(name, errno));
        }
    }
}

fn enter(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<Level> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Err(rustix::io::Errno::ACCESS) => {
            open_up(parent, name)?;
            rustix::fs::openat(parent, name, flags, Mode::empty())?
        }
        other => other?,
    };
    let listed = list(&fd)?.into_iter();
    let mut entries: Vec<(Vec<u8>, bool)> = listed
        .map(|(name, kind)| (name, kind == FileType::Directory))
        .collect();
    if !entries.is_empty()
        && rustix::fs::accessat(&fd, ".", WRITE_AND_SEARCH, AtFlags::EACCESS).is_err()
    {
        // A read-only directory of our own: without the capability its entries can't be unlinked.
        let _ = rustix::fs::fchmod(&fd, Mode::RWXU);
    }
    entries.reverse();
    Ok(Level {
        entries,
        fd,
        name: name.to_vec(),
    })
}

const WRITE_AND_SEARCH: rustix::fs::Access =
    rustix::fs::Access::WRITE_OK.union(rustix::fs::Access::EXEC_OK);

/// Gives ourselves access to a directory of mode 000, without following a symlink that may have taken its place.
fn open_up(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(rustix::io::Errno::ACCESS);
    }
    rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())
}

/// Removes a path of our own with everything below it; see [`remove_tree`].
pub fn remove_path(path: &Path) -> Result<(), RemoveError> {
    remove_tree(CWD, path.as_os_str().as_bytes())
}
