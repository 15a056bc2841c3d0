//! What makes sure that something is on the disk, and what has it written before that. An error of either counts.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

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

/// Has a file's content written, and does not wait for the end of that. An error counts.
pub fn begin_writing(file: impl AsFd) -> io::Result<()> {
    write_pages(file.as_fd(), BEGIN_WRITING)
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

/// Files and directories, open, that are to be on the disk before something gets its name.
#[derive(Debug)]
pub struct Unsynced {
    /// What messages say could not be written.
    pub(super) path: PathBuf,
    files: Vec<OwnedFd>,
    /// Each after the one that holds it.
    directories: Vec<OwnedFd>,
}

/// A tree of at most `most` files and directories. Files that are on the disk already, by their paths in the tree, are left out and not
/// counted. `None` if there are more, or something that can't be opened for a sync: then only `sync_filesystem` is left, which waits
/// for what others have not written yet as well.
pub fn open_few(
    path: &Path,
    directory: impl AsFd,
    most: usize,
    is_there: &dyn Fn(&[u8]) -> bool,
) -> io::Result<Option<Unsynced>> {
    let mut directories = vec![(open_directory_readable(directory.as_fd())?, Vec::new())];
    let mut files = Vec::new();
    let mut next = 0;
    while let Some((fd, above)) = directories.get(next) {
        next += 1;
        let mut inside = Vec::new();
        for (name, kind) in list_kinds(fd)? {
            let path: Vec<u8> = match above.is_empty() {
                true => name.clone(),
                false => [&above[..], b"/", &name].concat(),
            };
            let is_directory = kind == FileType::Directory;
            let is_file = kind == FileType::RegularFile;
            if is_file && is_there(&path) {
                continue;
            }
            let count = files.len() + directories.len() + inside.len();
            if count == most || !(is_directory || is_file) {
                return Ok(None);
            }
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let Ok(opened) = rustix::fs::openat(fd, &name[..], flags, Mode::empty()) else {
                return Ok(None);
            };
            match is_directory {
                true => inside.push((opened, path)),
                false => files.push(opened),
            }
        }
        directories.extend(inside);
    }
    Ok(Some(Unsynced {
        path: path.to_owned(),
        files,
        directories: directories.into_iter().map(|(fd, _)| fd).collect(),
    }))
}

impl Unsynced {
    pub(super) fn write_pages(&self, flags: u32) -> io::Result<()> {
        let mut files = self.files.iter();
        files.try_for_each(|file| write_pages(file.as_fd(), flags))
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.files.iter().try_for_each(sync_directory)?;
        // What is in a directory before the directory.
        self.directories.iter().rev().try_for_each(sync_directory)
    }
}
