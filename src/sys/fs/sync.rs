//! What makes sure that something is on the disk, and what has it written before that. An error of either counts.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{FileType, Mode, OFlags};

use super::{list_kinds, open_directory_readable};
use crate::sys::fault;

pub(super) const BEGIN_WRITING: u32 = libc::SYNC_FILE_RANGE_WRITE;
pub(super) const END_WRITING: u32 =
    libc::SYNC_FILE_RANGE_WAIT_BEFORE | BEGIN_WRITING | libc::SYNC_FILE_RANGE_WAIT_AFTER;

/// Writes a file's content to the disk, ahead of the sync that makes sure of it: after that of several files their syncs find one
/// commit of the file system's journal to be made, and not one each. An error counts: the kernel tells it once, and the sync would not
/// hear of it any more.
pub(super) fn write_pages(file: BorrowedFd<'_>, flags: u32) -> io::Result<()> {
    if flags == END_WRITING {
        fault::at("write pages")?;
    }
    // SAFETY: the call touches no memory of this process, and the descriptor is borrowed for its time.
    let written = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, flags) };
    match nix::errno::Errno::result(written) {
        // Where it is not to be had nothing was written, and the sync does all.
        Ok(_) | Err(nix::errno::Errno::ENOSYS | nix::errno::Errno::EPERM) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Makes a rename or unlink in this directory survive a power loss.
pub fn sync_directory(directory: impl AsFd) -> io::Result<()> {
    fault::at("fsync directory")?;
    Ok(rustix::fs::fsync(directory)?)
}

/// Writes everything of the file system that holds `fd` to its disk.
pub fn sync_filesystem(fd: impl AsFd) -> io::Result<()> {
    fault::at("sync file system")?;
    Ok(rustix::fs::syncfs(fd)?)
}

/// The same before all is there: the sync that counts finds less to do. An error counts, since that sync need not hear of it any more.
pub fn write_ahead(fd: impl AsFd) -> io::Result<()> {
    fault::at("write ahead")?;
    Ok(rustix::fs::syncfs(fd)?)
}

/// Writes a tree of at most `most` files and directories to the disk, and does not wait for what others have not written yet, as
/// `sync_filesystem` does. Files that are there already, by their paths in the tree, are not counted. `false`, and nothing is promised, if there
/// are more, or something that can't be opened for that.
pub fn sync_few(
    directory: impl AsFd,
    most: usize,
    is_there: &dyn Fn(&[u8]) -> bool,
) -> io::Result<bool> {
    let mut opened = vec![(open_directory_readable(directory.as_fd())?, Vec::new())];
    let mut files = Vec::new();
    let mut next = 0;
    while let Some((fd, path)) = opened.get(next) {
        next += 1;
        if FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) == FileType::RegularFile {
            files.push(next - 1);
            continue;
        }
        let mut inside = Vec::new();
        for (name, kind) in list_kinds(fd)? {
            let path: Vec<u8> = match path.is_empty() {
                true => name.clone(),
                false => [&path[..], b"/", &name].concat(),
            };
            if kind == FileType::RegularFile && is_there(&path) {
                continue;
            }
            let can_be = matches!(kind, FileType::Directory | FileType::RegularFile);
            if opened.len() + inside.len() == most || !can_be {
                return Ok(false);
            }
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let Ok(found) = rustix::fs::openat(fd, &name[..], flags, Mode::empty()) else {
                return Ok(false);
            };
            inside.push((found, path));
        }
        opened.extend(inside);
    }
    for flags in [BEGIN_WRITING, END_WRITING] {
        for number in &files {
            write_pages(opened[*number].0.as_fd(), flags)?;
        }
    }
    // What is in a directory before the directory.
    for (fd, _) in opened.into_iter().rev() {
        sync_directory(fd)?;
    }
    Ok(true)
}
