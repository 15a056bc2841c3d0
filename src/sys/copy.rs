//! Copies of whole trees by descriptors: owners, modes, times, extended attributes, links and hard links. Never follows a
//! link, never replaces anything (`fs/in-root`).

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::fs::list_directory;
use super::xattr;

/// Two descriptors stay open for each level.
const DEPTH_MAX: usize = 400;

/// What happens to owners that the running user namespace does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// All of them are kept; one that cannot be is an error.
    Kept,
    /// Only one id is mapped: everything belongs to it.
    Single,
}

/// What a copy has of its original, beside mode and times.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    pub owners: Owners,
    /// By their names.
    pub xattrs: fn(&[u8]) -> bool,
}

impl Kept {
    fn all(owners: Owners) -> Kept {
        Kept {
            owners,
            xattrs: |_| true,
        }
    }
}

/// What could not be copied.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {path}: {source}")]
pub struct CopyError {
    operation: &'static str,
    /// Below the tree's top.
    path: PathBuf,
    source: io::Error,
}

impl From<CopyError> for io::Error {
    fn from(error: CopyError) -> io::Error {
        io::Error::new(error.source.kind(), error.to_string())
    }
}

/// One directory of the walk.
struct Level {
    source: OwnedFd,
    target: OwnedFd,
    entries: Vec<Vec<u8>>,
    path: Vec<u8>,
}

struct Copier<'a> {
    top: BorrowedFd<'a>,
    kept: Kept,
    /// Where the first name of a file with several is, by device and inode.
    linked: HashMap<(u64, u64), Vec<u8>>,
}

/// Copies everything in the directory `source` into the empty directory `target`, and then what `source` itself is like.
/// Devices, which only root can make, are left out.
pub fn copy_tree(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    owners: Owners,
) -> Result<(), CopyError> {
    let failed = |error: io::Error| failure("open", b"/", error);
    let mut copier = Copier {
        top: target,
        kept: Kept::all(owners),
        linked: HashMap::new(),
    };
    let mut stack = vec![Level {
        entries: list(source, b"/")?,
        source: source.try_clone_to_owned().map_err(failed)?,
        target: target.try_clone_to_owned().map_err(failed)?,
        path: Vec::new(),
    }];
    while let Some(level) = stack.last_mut() {
        match level.entries.pop() {
            Some(name) => {
                if let Some(below) = copier.entry(level, &name)? {
                    if stack.len() >= DEPTH_MAX {
                        let error = io::Error::other("too many directories inside each other");
                        return Err(failure("copy", &below.path, error));
                    }
                    stack.push(below);
                }
            }
            None => {
                // Its time comes last: entries below change it.
                copy_attributes(level.source.as_fd(), level.target.as_fd(), copier.kept)
                    .map_err(|error| failure("set the attributes of", &level.path, error))?;
                stack.pop();
            }
        }
    }
    Ok(())
}

/// Gives one directory the owner, mode, attributes and times of another.
pub fn copy_directory_attributes(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    owners: Owners,
) -> io::Result<()> {
    copy_attributes(source, target, Kept::all(owners))
}

/// The same for a directory or a file, as far as it is to be kept.
pub fn copy_attributes(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    kept: Kept,
) -> io::Result<()> {
    let stat = rustix::fs::fstat(source)?;
    attributes(source, target, &stat, kept)
}

/// Copies what `name` is in `source`, which is no directory and looks like `stat`, into `target`. Devices are left out.
pub fn copy_entry(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    name: &[u8],
    stat: &Stat,
    kept: Kept,
) -> io::Result<()> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => copy_file(source, target, name, kept),
        FileType::Symlink | FileType::Fifo | FileType::Socket => {
            copy_special(source, target, name, stat, kept)
        }
        _ => Ok(()),
    }
}

/// Gives everything in a tree, and its top, to `uid` and `gid`.
pub fn own_tree(top: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<(), CopyError> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let give = |directory: BorrowedFd<'_>, name: &[u8], flags: AtFlags| {
        let flags = flags | AtFlags::SYMLINK_NOFOLLOW;
        let given = rustix::fs::chownat(directory, name, Some(uid), Some(gid), flags);
        given.map_err(|errno| failure("change the owner of", name, errno.into()))
    };
    give(top, b"", AtFlags::EMPTY_PATH)?;
    let stat = rustix::fs::fstat(top).map_err(|errno| failure("look at", b"/", errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Ok(());
    }
    let mut stack = vec![open_below(top, b".")?];
    let mut waiting = vec![list(stack[0].as_fd(), b"/")?];
    while let (Some(directory), Some(entries)) = (stack.last(), waiting.last_mut()) {
        let Some(name) = entries.pop() else {
            stack.pop();
            waiting.pop();
            continue;
        };
        match give(directory.as_fd(), &name, AtFlags::empty()) {
            // Removed meanwhile by a program that uses it too.
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        }
        match open_below(directory.as_fd(), &name) {
            Ok(_) if stack.len() >= 2 * DEPTH_MAX => {
                let error = io::Error::other("too many directories inside each other");
                return Err(failure("change the owner in", &name, error));
            }
            Ok(below) => {
                waiting.push(list(below.as_fd(), &name)?);
                stack.push(below);
            }
            Err(error)
                if matches!(
                    error.source.raw_os_error(),
                    Some(libc::ENOTDIR | libc::ENOENT | libc::ELOOP)
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Copier<'_> {
    /// Copies one entry; a directory is only made, and given to be walked.
    fn entry(&mut self, level: &Level, name: &[u8]) -> Result<Option<Level>, CopyError> {
        let mut path = level.path.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        let failed = |errno: Errno| failure("copy", &path, errno.into());
        let stat = rustix::fs::statat(&level.source, name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(failed)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            rustix::fs::mkdirat(&level.target, name, Mode::RWXU).map_err(failed)?;
            let source = open_below(level.source.as_fd(), name)?;
            let target = open_below(level.target.as_fd(), name)?;
            let entries = list(source.as_fd(), &path)?;
            return Ok(Some(Level {
                source,
                target,
                entries,
                path,
            }));
        }
        if stat.st_nlink > 1 {
            match self.linked.get(&(stat.st_dev, stat.st_ino)) {
                Some(first) => {
                    // A path of what was just made here, where nobody else is.
                    let flags = AtFlags::empty();
                    rustix::fs::linkat(self.top, &first[..], &level.target, name, flags)
                        .map_err(failed)?;
                    return Ok(None);
                }
                None => {
                    let key = (stat.st_dev, stat.st_ino);
                    self.linked.insert(key, path.clone());
                }
            }
        }
        let (source, target) = (level.source.as_fd(), level.target.as_fd());
        let copied = copy_entry(source, target, name, &stat, self.kept);
        copied.map_err(|error| failure("copy", &path, error))?;
        Ok(None)
    }
}

fn copy_file(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    name: &[u8],
    kept: Kept,
) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = rustix::fs::openat(source, name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&source)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    let target = rustix::fs::openat(target, name, flags, mode)?;
    let (mut source, mut target) = (File::from(source), File::from(target));
    // Where the file system can share the blocks of two files, or else by copy_file_range(2).
    if stat.st_size > 0 && rustix::fs::ioctl_ficlone(&target, &source).is_err() {
        io::copy(&mut source, &mut target)?;
    }
    attributes(source.as_fd(), target.as_fd(), &stat, kept)
}

/// What has no content of its own to open.
fn copy_special(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    name: &[u8],
    stat: &Stat,
    kept: Kept,
) -> io::Result<()> {
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::Symlink {
        let link = rustix::fs::readlinkat(source, name, Vec::new())?;
        rustix::fs::symlinkat(&link, target, name)?;
    } else {
        rustix::fs::mknodat(target, name, kind, Mode::RUSR, 0)?;
    }
    if kept.owners == Owners::Kept {
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(target, name, Some(uid), Some(gid), flags)?;
    }
    if kind != FileType::Symlink {
        let mode = Mode::from_raw_mode(stat.st_mode);
        rustix::fs::chmodat(target, name, mode, AtFlags::empty())?;
    }
    rustix::fs::utimensat(target, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

/// In the order the kernel needs: a change of owner clears setuid and capabilities.
fn attributes(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    stat: &Stat,
    kept: Kept,
) -> io::Result<()> {
    if kept.owners == Owners::Kept {
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        rustix::fs::fchown(target, Some(uid), Some(gid))?;
    }
    rustix::fs::fchmod(target, Mode::from_raw_mode(stat.st_mode))?;
    copy_xattrs(source, target, kept.xattrs)?;
    Ok(rustix::fs::futimens(target, &times(stat))?)
}

/// A file's capabilities, its access control lists and the user's own attributes, as far as they are `wanted`.
pub fn copy_xattrs(
    source: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    wanted: impl Fn(&[u8]) -> bool,
) -> io::Result<()> {
    for name in xattr::list(source)? {
        let kept = name.starts_with(b"user.")
            || name == b"security.capability"
            || name.starts_with(b"system.posix_acl_");
        if !kept || !wanted(&name) {
            continue;
        }
        let Some(value) = xattr::get(source, &name)? else {
            continue;
        };
        match xattr::set(target, &name, &value) {
            // The other file system has no such attributes.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
            other => other?,
        }
    }
    Ok(())
}

/// The times that `stat` has, as the calls that set them want them.
pub fn times(stat: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds.try_into().unwrap_or(0),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// The same for one time in whole seconds.
pub fn times_at(seconds: i64) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

fn open_below(directory: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, CopyError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::empty())
        .map_err(|errno| failure("open", name, errno.into()))
}

fn list(directory: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<Vec<u8>>, CopyError> {
    let entries = list_directory(directory).map_err(|error| failure("list", path, error))?;
    Ok(entries.into_iter().map(|(name, _)| name).collect())
}

fn failure(operation: &'static str, path: &[u8], source: io::Error) -> CopyError {
    CopyError {
        operation,
        path: PathBuf::from(OsStr::from_bytes(path)),
        source,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sys::fs::{open_directory, remove_path};
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn a_copy_has_the_same_kinds_modes_times_links_and_attributes() {
        let top = std::env::temp_dir().join(format!("bryo-copy-{}", std::process::id()));
        let (source, target) = (top.join("source"), top.join("target"));
        fs::create_dir_all(source.join("a/b")).unwrap();
        fs::create_dir(&target).unwrap();
        fs::create_dir(top.join("outside")).unwrap();
        fs::write(source.join("a/b/file"), "content").unwrap();
        fs::hard_link(source.join("a/b/file"), source.join("twin")).unwrap();
        symlink(top.join("outside"), source.join("link")).unwrap();
        fs::set_permissions(source.join("a/b/file"), PermissionsExt::from_mode(0o4751)).unwrap();
        fs::set_permissions(source.join("a"), PermissionsExt::from_mode(0o1755)).unwrap();
        let from = open_directory(&source).unwrap();
        rustix::fs::mknodat(&from, "pipe", FileType::Fifo, Mode::RUSR, 0).unwrap();
        let file = File::open(source.join("twin")).unwrap();
        let attributed = xattr::set(&file, b"user.bryo", b"kept").is_ok();
        let old = Timespec {
            tv_sec: 1_000_000,
            tv_nsec: 5,
        };
        let old = Timestamps {
            last_access: old,
            last_modification: old,
        };
        rustix::fs::futimens(&file, &old).unwrap();
        rustix::fs::utimensat(&from, "a", &old, AtFlags::empty()).unwrap();
        let to = open_directory(&target).unwrap();
        copy_tree(from.as_fd(), to.as_fd(), Owners::Kept).unwrap();

        let meta = |path: &str| fs::symlink_metadata(target.join(path)).unwrap();
        assert_eq!(fs::read(target.join("twin")).unwrap(), b"content");
        assert_eq!(meta("twin").ino(), meta("a/b/file").ino());
        assert_eq!(meta("a/b/file").mode() & 0o7777, 0o4751);
        assert_eq!(meta("a").mode() & 0o7777, 0o1755);
        assert_eq!((meta("a").mtime(), meta("a").mtime_nsec()), (1_000_000, 5));
        assert_eq!(meta("twin").mtime(), 1_000_000);
        assert_eq!(
            fs::read_link(target.join("link")).unwrap(),
            top.join("outside")
        );
        assert_eq!(FileType::from_raw_mode(meta("pipe").mode()), FileType::Fifo);
        let copy = File::open(target.join("twin")).unwrap();
        let kept = xattr::get(&copy, b"user.bryo").unwrap();
        assert_eq!(kept.is_some(), attributed);
        assert_eq!(fs::read_dir(top.join("outside")).unwrap().count(), 0);
        remove_path(&top).unwrap();
    }
}
