//! A directory as a tar: everything below it by descriptors, nothing followed (`fs/in-root`). Others may change it
//! meanwhile: what is gone when its turn comes is left out.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::layer::LayerPath;
use super::tar::{Entry, EntryKind, TarStream};
use crate::sys::fs::list_directory;
use crate::sys::xattr;

/// One descriptor stays open for each level.
const DEPTH_MAX: usize = 512;

#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("write the archive: {source}")]
    Write { source: io::Error },
    #[error("read {path}: {source}")]
    Read { path: LayerPath, source: io::Error },
    #[error("{path}: deeper than {DEPTH_MAX} directories")]
    Depth { path: LayerPath },
}

/// Names and values.
type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

struct Level {
    directory: OwnedFd,
    entries: Vec<Vec<u8>>,
    path: Vec<u8>,
}

struct Packer<W> {
    tar: TarStream<W>,
    /// The first path of a file with several, by device and inode.
    linked: HashMap<(u64, u64), Vec<u8>>,
}

/// Writes the directory and all that is in it but sockets; names in order, so that the same tree gives the same archive.
pub fn pack(top: BorrowedFd<'_>, out: impl Write) -> Result<(), PackError> {
    let mut packer = Packer {
        tar: TarStream::new(out),
        linked: HashMap::new(),
    };
    let directory = open_directory(top, b".").map_err(read(b""))?;
    packer.directory(&directory, b"./")?;
    let mut stack = vec![Level {
        entries: sorted(&directory, b"")?,
        directory,
        path: Vec::new(),
    }];
    while let Some(level) = stack.last_mut() {
        let Some(name) = level.entries.pop() else {
            stack.pop();
            continue;
        };
        let path = match level.path.is_empty() {
            true => name.clone(),
            false => [&level.path[..], b"/", &name].concat(),
        };
        let depth = stack.len();
        let level = &stack[depth - 1];
        match packer.entry(level, &name, &path)? {
            Some(_) if depth >= DEPTH_MAX => {
                return Err(PackError::Depth {
                    path: LayerPath(path),
                });
            }
            Some(below) => stack.push(below),
            None => {}
        }
    }
    let finished = packer.tar.finish();
    finished.map(drop).map_err(write)
}

impl<W: Write> Packer<W> {
    /// Writes one entry; a directory is given back to be walked.
    fn entry(
        &mut self,
        level: &Level,
        name: &[u8],
        path: &[u8],
    ) -> Result<Option<Level>, PackError> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let stat = match rustix::fs::statat(&level.directory, name, flags) {
            Err(Errno::NOENT) => return Ok(None),
            other => other.map_err(read(path))?,
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let directory = match open_directory(level.directory.as_fd(), name) {
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                    other => other.map_err(read(path))?,
                };
                self.directory(&directory, &[path, b"/"].concat())?;
                Ok(Some(Level {
                    entries: sorted(&directory, path)?,
                    directory,
                    path: path.to_vec(),
                }))
            }
            FileType::RegularFile => self.file(level, name, path).map(|()| None),
            FileType::Symlink => {
                let link = match rustix::fs::readlinkat(&level.directory, name, Vec::new()) {
                    Err(Errno::NOENT | Errno::INVAL) => return Ok(None),
                    other => other.map_err(read(path))?,
                };
                self.special(path, &stat, EntryKind::Symlink, link.into_bytes())?;
                Ok(None)
            }
            FileType::Fifo => {
                self.special(path, &stat, EntryKind::Fifo, Vec::new())?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn directory(&mut self, directory: &OwnedFd, path: &[u8]) -> Result<(), PackError> {
        let stat = rustix::fs::fstat(directory).map_err(read(path))?;
        let mut entry = entry(path, &stat, EntryKind::Directory);
        entry.xattrs = xattrs(directory, path)?;
        self.tar.entry(&entry).map_err(write)
    }

    fn file(&mut self, level: &Level, name: &[u8], path: &[u8]) -> Result<(), PackError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&level.directory, name, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(()),
            other => other.map_err(read(path))?,
        };
        let stat = rustix::fs::fstat(&file).map_err(read(path))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(());
        }
        if stat.st_nlink > 1 {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.linked.get(&key).cloned() {
                return self.special(path, &stat, EntryKind::HardLink, first);
            }
            self.linked.insert(key, path.to_vec());
        }
        let mut entry = entry(path, &stat, EntryKind::File);
        entry.size = stat.st_size.try_into().unwrap_or(0);
        entry.xattrs = xattrs(&file, path)?;
        self.tar.entry(&entry).map_err(write)?;
        let content = self.tar.content(File::from(file), entry.size);
        content.map_err(write)
    }

    fn special(
        &mut self,
        path: &[u8],
        stat: &Stat,
        kind: EntryKind,
        link: Vec<u8>,
    ) -> Result<(), PackError> {
        let entry = Entry {
            link,
            ..entry(path, stat, kind)
        };
        self.tar.entry(&entry).map_err(write)
    }
}

fn entry(path: &[u8], stat: &Stat, kind: EntryKind) -> Entry {
    Entry {
        path: path.to_vec(),
        link: Vec::new(),
        kind,
        mode: stat.st_mode & 0o7777,
        uid: u64::from(stat.st_uid),
        gid: u64::from(stat.st_gid),
        mtime: (stat.st_mtime, stat.st_mtime_nsec.try_into().unwrap_or(0)),
        size: 0,
        device: (0, 0),
        xattrs: Vec::new(),
    }
}

/// Those that unpacking may set again.
fn xattrs(fd: &OwnedFd, path: &[u8]) -> Result<Xattrs, PackError> {
    let failed = |source| PackError::Read {
        path: LayerPath(path.to_vec()),
        source,
    };
    let mut found = Vec::new();
    for name in xattr::list(fd).map_err(failed)? {
        let kept = name.starts_with(b"user.")
            || name == b"security.capability"
            || name.starts_with(b"system.posix_acl_");
        if let Some(value) = xattr::get(fd, &name).map_err(failed)?.filter(|_| kept) {
            found.push((name, value));
        }
    }
    Ok(found)
}

/// The last one first, to be taken from the end.
fn sorted(directory: &OwnedFd, path: &[u8]) -> Result<Vec<Vec<u8>>, PackError> {
    let entries = list_directory(directory).map_err(|source| PackError::Read {
        path: LayerPath(path.to_vec()),
        source,
    })?;
    let mut names: Vec<Vec<u8>> = entries.into_iter().map(|(name, _)| name).collect();
    names.sort_by(|a, b| b.cmp(a));
    Ok(names)
}

fn open_directory(directory: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::empty())
}

fn read(path: &[u8]) -> impl FnOnce(Errno) -> PackError {
    let path = LayerPath(path.to_vec());
    move |errno| PackError::Read {
        path,
        source: errno.into(),
    }
}

fn write(source: io::Error) -> PackError {
    PackError::Write { source }
}
