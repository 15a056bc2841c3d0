//! Files by directory descriptor: the in-root resolver, atomic replacement, bounded reads, removal of whole trees. Never
//! follows a link out of the root it was given (`fs/in-root`).

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{fault, lock};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat};

/// How a path below a root may be walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Symlinks are followed as if the root were `/`; `..` cannot leave it.
    InRoot,
    /// A symlink anywhere in the path, the last part included, is an error (`ELOOP`).
    Refuse,
}

/// Opens `path` (a relative or absolute path, read as one below `root`) with `openat2(2)`: `fs/in-root`.
/// An empty path or `/` is the root itself.
pub fn open_in_root(
    root: impl AsFd,
    path: &[u8],
    flags: OFlags,
    mode: Mode,
    links: Links,
) -> io::Result<OwnedFd> {
    let trimmed = match path.iter().position(|byte| *byte != b'/') {
        Some(start) => &path[start..],
        None => b".",
    };
    let how = match links {
        Links::InRoot => ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        Links::Refuse => ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS,
    };
    loop {
        // EAGAIN: a rename raced with the walk and the kernel could not prove that it stayed inside (openat2(2)).
        match rustix::fs::openat2(&root, trimmed, flags | OFlags::CLOEXEC, mode, how) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

/// Opens a directory for the `*at` calls; it need not be readable.
pub fn open_directory_in_root(root: impl AsFd, path: &[u8], links: Links) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    open_in_root(root, path, flags, Mode::empty(), links)
}

/// Opens a directory named by a path of our own (not one below a foreign root) for reading and `*at` calls.
pub fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// The same directory again, with a position of its own.
pub fn open_directory_readable(directory: impl AsFd) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, ".", flags, Mode::empty())?)
}

/// Where a descriptor points now, as the kernel prints it. Needs `/proc`.
pub fn path_of(fd: impl AsFd) -> io::Result<Vec<u8>> {
    let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    Ok(rustix::fs::readlink(link, Vec::new())?.into_bytes())
}

/// What `lstat` says of `name` in `directory`; `None` where there is nothing.
pub fn stat_at(directory: impl AsFd, name: &[u8]) -> io::Result<Option<Stat>> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether the directory belongs to a file system that the kernel makes up (linux/magic.h: proc, sysfs, cgroup2, devpts,
/// mqueue): what is in it are no files to be copied.
pub fn is_pseudo(fd: impl AsFd) -> bool {
    const PSEUDO: [u64; 5] = [0x9fa0, 0x6265_6572, 0x6367_7270, 0x1cd1, 0x1980_0202];
    rustix::fs::fstatfs(fd).is_ok_and(|stat| PSEUDO.contains(&(stat.f_type as u64)))
}

/// Reads a whole file; one that is larger than `limit` bytes is an error, never truncated.
pub fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    // One read for the content and one for its end, not a dozen that double.
    let expected = meta.len().min(limit) as usize + 1;
    let mut bytes = Vec::with_capacity(expected);
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than the {limit} bytes allowed"),
        ));
    }
    Ok(bytes)
}

/// Replaces `path` by a file with these bytes so that a reader, or the next boot, sees the old content or the new:
/// temporary name → fsync → rename → fsync the directory (`store/visible-after-rename`).
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    place_file(path, bytes, RenameFlags::empty())
}

/// The same where there is no file of this name; `false` if there is one.
pub fn create_file(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    match place_file(path, bytes, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn place_file(path: &Path, bytes: &[u8], flags: RenameFlags) -> io::Result<()> {
    let mut draft = Draft::write(path, bytes)?;
    draft.sync()?;
    draft.rename(flags)?;
    sync_directory(&draft.directory)
}

/// What could not be written, and where.
#[derive(Debug, thiserror::Error)]
#[error("write {path}: {source}")]
pub struct ReplaceError {
    pub path: PathBuf,
    pub source: io::Error,
}

/// The same as `replace_file` for several, which get their names in this order. Costs little more than one: a file system with a
/// journal commits it once for all contents and once for all names.
pub fn replace_files(files: &[(PathBuf, &[u8])]) -> Result<(), ReplaceError> {
    let at = |number: usize| {
        let path: &Path = &files[number].0;
        move |source| ReplaceError {
            path: path.to_owned(),
            source,
        }
    };
    let drafts = files.iter().enumerate();
    let drafts = drafts.map(|(n, (path, bytes))| Draft::write(path, bytes).map_err(at(n)));
    let mut drafts = drafts.collect::<Result<Vec<Draft<'_>>, _>>()?;
    for (number, draft) in drafts.iter().enumerate() {
        write_pages(draft.file.as_fd(), BEGIN_WRITING).map_err(at(number))?;
    }
    for (number, draft) in drafts.iter().enumerate() {
        write_pages(draft.file.as_fd(), END_WRITING).map_err(at(number))?;
    }
    for (number, draft) in drafts.iter().enumerate() {
        draft.sync().map_err(at(number))?;
    }
    for (number, draft) in drafts.iter_mut().enumerate() {
        draft.rename(RenameFlags::empty()).map_err(at(number))?;
    }
    let mut synced = Vec::new();
    for (number, draft) in drafts.iter().enumerate() {
        let directory = files[number].0.parent();
        if !synced.contains(&directory) {
            sync_directory(&draft.directory).map_err(at(number))?;
            synced.push(directory);
        }
    }
    Ok(())
}

/// A file on its way to its name; without it, it is removed.
struct Draft<'a> {
    directory: OwnedFd,
    name: &'a OsStr,
    temporary: String,
    file: File,
    is_named: bool,
}

impl Draft<'_> {
    fn write<'a>(path: &'a Path, bytes: &[u8]) -> io::Result<Draft<'a>> {
        let (directory, name) = split(path)?;
        let (temporary, file) = temporary_file(&directory, name)?;
        let mut draft = Draft {
            directory,
            name,
            temporary,
            file,
            is_named: false,
        };
        fault::at("write record")?;
        draft.file.write_all(bytes)?;
        Ok(draft)
    }

    fn sync(&self) -> io::Result<()> {
        fault::at("fsync record")?;
        self.file.sync_all()
    }

    fn rename(&mut self, flags: RenameFlags) -> io::Result<()> {
        fault::at("rename record")?;
        let (directory, temporary) = (&self.directory, &self.temporary);
        rustix::fs::renameat_with(directory, temporary, directory, self.name, flags)?;
        self.is_named = true;
        Ok(())
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.is_named {
            // What it failed by is reported; a leftover temporary name is swept later.
            let _ = rustix::fs::unlinkat(&self.directory, &self.temporary, AtFlags::empty());
        }
    }
}

const BEGIN_WRITING: u32 = libc::SYNC_FILE_RANGE_WRITE;
const END_WRITING: u32 =
    libc::SYNC_FILE_RANGE_WAIT_BEFORE | BEGIN_WRITING | libc::SYNC_FILE_RANGE_WAIT_AFTER;

/// Writes a file's content to the disk, ahead of the sync that makes sure of it: after that of several files their syncs find one
/// commit of the file system's journal to be made, and not one each. An error counts: the kernel tells it once, and the sync would not
/// hear of it any more.
fn write_pages(file: BorrowedFd<'_>, flags: u32) -> io::Result<()> {
    // SAFETY: the call touches no memory of this process, and the descriptor is borrowed for its time.
    let written = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, flags) };
    match nix::errno::Errno::result(written) {
        // Where it is not to be had nothing was written, and the sync does all.
        Ok(_) | Err(nix::errno::Errno::ENOSYS | nix::errno::Errno::EPERM) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes the temporary files in a directory whose writers are gone.
pub fn sweep_temporary_files(directory: &Path) -> io::Result<()> {
    let directory = open_directory(directory)?;
    for (name, _) in list_directory(&directory)? {
        if !name.starts_with(TEMPORARY_FILE.as_bytes()) {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::openat(&directory, &name[..], flags, Mode::empty()) else {
            continue;
        };
        if lock::try_hold_alone(&file)? {
            let _ = rustix::fs::unlinkat(&directory, &name[..], AtFlags::empty());
        }
    }
    Ok(())
}

fn split(path: &Path) -> io::Result<(OwnedFd, &OsStr)> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other("a path without a file name"))?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    Ok((open_directory(parent)?, name))
}

/// How the names of temporary files begin.
pub const TEMPORARY_FILE: &str = ".tmp-";

fn temporary_file(directory: &OwnedFd, name: &OsStr) -> io::Result<(String, File)> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    fault::at("make record")?;
    loop {
        let temporary = format!(
            "{TEMPORARY_FILE}{}-{}",
            random_name(),
            name.to_string_lossy()
        );
        match rustix::fs::openat(directory, &temporary, flags, Mode::RUSR | Mode::WUSR) {
            // Locked by its writer: an unlocked one is rubbish. A sweep may have been faster than the lock.
            Ok(fd) if lock::try_hold_alone(&fd)? && rustix::fs::fstat(&fd)?.st_nlink > 0 => {
                return Ok((temporary, File::from(fd)));
            }
            Ok(_) | Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// 16 hex digits that no other temporary name has: from the kernel's generator, through the standard library's hasher keys.
pub fn random_name() -> String {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    hasher.write_u128(now.map_or(0, |since| since.as_nanos()));
    format!("{:016x}", hasher.finish())
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
    Ok(rustix::fs::syncfs(fd)?)
}

/// Writes a tree of at most `most` files and directories to the disk, and does not wait for what others have not written yet, as
/// `sync_filesystem` does. `false`, and nothing is promised, if there are more, or something that can't be opened for that.
pub fn sync_few(directory: impl AsFd, most: usize) -> io::Result<bool> {
    let mut opened = vec![open_directory_readable(directory.as_fd())?];
    let mut next = 0;
    let mut files = Vec::new();
    while let Some(fd) = opened.get(next) {
        next += 1;
        if FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) == FileType::RegularFile {
            files.push(next - 1);
            continue;
        }
        let mut inside = Vec::new();
        for (name, is_directory) in list_directory(fd)? {
            let is_file = || Ok::<_, io::Error>(is_regular(stat_at(fd, &name)?.as_ref()));
            if opened.len() + inside.len() == most || !(is_directory || is_file()?) {
                return Ok(false);
            }
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let Ok(found) = rustix::fs::openat(fd, &name[..], flags, Mode::empty()) else {
                return Ok(false);
            };
            inside.push(found);
        }
        opened.extend(inside);
    }
    for flags in [BEGIN_WRITING, END_WRITING] {
        for number in &files {
            write_pages(opened[*number].as_fd(), flags)?;
        }
    }
    // What is in a directory before the directory.
    for fd in opened.into_iter().rev() {
        sync_directory(fd)?;
    }
    Ok(true)
}

fn is_regular(stat: Option<&Stat>) -> bool {
    stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

/// Renames unless the new name exists; `false` if it does.
pub fn rename_new(directory: impl AsFd, from: &[u8], to: &[u8]) -> io::Result<bool> {
    let directory = directory.as_fd();
    fault::at("rename")?;
    match rustix::fs::renameat_with(directory, from, directory, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::EXIST | rustix::io::Errno::NOTEMPTY) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

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
    let mut entries = list(&fd)?;
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

/// The names in a directory, and whether each is a directory itself.
fn list(fd: &OwnedFd) -> rustix::io::Result<Vec<(Vec<u8>, bool)>> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(fd)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_dot(name) {
            continue;
        }
        let is_directory = match entry.file_type() {
            FileType::Directory => true,
            FileType::Unknown => {
                let stat = rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            }
            _ => false,
        };
        entries.push((name.to_bytes().to_vec(), is_directory));
    }
    Ok(entries)
}

/// The names in a directory, `.` and `..` left out, each with whether it is a directory; in no order.
pub fn list_directory(directory: impl AsFd) -> io::Result<Vec<(Vec<u8>, bool)>> {
    let fd = rustix::fs::openat(
        directory,
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    Ok(list(&fd)?)
}

fn is_dot(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

/// Removes a path of our own with everything below it; see [`remove_tree`].
pub fn remove_path(path: &Path) -> Result<(), RemoveError> {
    remove_tree(CWD, path.as_os_str().as_bytes())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Scratch {
            let path = std::env::temp_dir().join(format!("bryo-fs-{}", random_name()));
            fs::create_dir(&path).unwrap();
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            remove_path(&self.0).unwrap();
            assert!(!self.0.exists());
        }
    }

    #[test]
    fn links_stay_inside_the_root() {
        let scratch = Scratch::new();
        let root = scratch.0.join("root");
        fs::create_dir_all(root.join("usr/lib")).unwrap();
        fs::create_dir(scratch.0.join("outside")).unwrap();
        symlink("usr/lib", root.join("lib")).unwrap();
        symlink("/usr/lib", root.join("absolute")).unwrap();
        symlink("../../outside", root.join("escape")).unwrap();
        let fd = open_directory(&root).unwrap();
        for inside in ["lib", "/lib", "absolute", "/../../usr/lib", "//usr//lib/"] {
            let found = open_directory_in_root(&fd, inside.as_bytes(), Links::InRoot).unwrap();
            assert_eq!(
                path_of(found).unwrap(),
                root.join("usr/lib").as_os_str().as_bytes()
            );
        }
        assert!(open_directory_in_root(&fd, b"escape", Links::InRoot).is_err());
        assert!(open_directory_in_root(&fd, b"lib", Links::Refuse).is_err());
        assert!(open_directory_in_root(&fd, b"", Links::Refuse).is_ok());
    }

    #[test]
    fn a_tree_with_closed_directories_and_links_is_removed_and_nothing_else() {
        let scratch = Scratch::new();
        let canary = scratch.0.join("canary");
        fs::create_dir(&canary).unwrap();
        fs::write(canary.join("kept"), "x").unwrap();
        let tree = scratch.0.join("tree");
        fs::create_dir_all(tree.join("work/incompat/volatile")).unwrap();
        symlink(&canary, tree.join("link")).unwrap();
        for closed in ["work/incompat/volatile", "work/incompat", "work"] {
            fs::set_permissions(tree.join(closed), fs::Permissions::from_mode(0o0)).unwrap();
        }
        remove_path(&tree).unwrap();
        assert!(!tree.exists());
        assert!(canary.join("kept").exists());
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        let scratch = Scratch::new();
        let mut fd = open_directory(&scratch.0).unwrap();
        for _ in 0..1000 {
            rustix::fs::mkdirat(&fd, "deep", Mode::RWXU).unwrap();
            fd = open_directory_in_root(&fd, b"deep", Links::Refuse).unwrap();
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_reads_are_bounded() {
        let scratch = Scratch::new();
        let path = scratch.0.join("record");
        replace_file(&path, b"one").unwrap();
        replace_file(&path, b"two two").unwrap();
        assert_eq!(read_bounded(&path, 7).unwrap(), b"two two");
        assert!(read_bounded(&path, 6).is_err());
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1);
    }
}
