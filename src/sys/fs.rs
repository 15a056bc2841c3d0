//! Files by directory descriptor: the in-root resolver, bounded reads, lists. Never follows a link out of the root it was given
//! (`fs/in-root`).

mod records;
mod remove;
mod stamp;
mod sync;

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

pub use records::{
    Drafts, ReplaceError, TEMPORARY_FILE, create_file, random_name, replace_file, replace_files,
    sweep_temporary_files, sync_together,
};
pub use remove::{RemoveError, remove_path, remove_tree};
pub use stamp::{Stamp, now};
pub use sync::{Unsynced, begin_writing, open_few, sync_directory, sync_filesystem, write_ahead};

use super::fault;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat, StatFs};

/// The type of a file system that is an overlay, or that a program serves (statfs(2)).
pub const OVERLAY_MAGIC: u64 = 0x794c_7630;
pub const FUSE_MAGIC: u64 = 0x6573_5546;

/// Its sign depends on the architecture.
pub fn file_system_type(stat: &StatFs) -> u64 {
    stat.f_type as u64 & 0xffff_ffff
}

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

/// What is in a directory, as far as names are text; nothing where there is no directory. In no order.
pub fn names_in(path: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let names: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.file_name())).collect();
    let texts = names?.into_iter();
    Ok(texts.filter_map(|name| name.into_string().ok()).collect())
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

/// The names in a directory, and what each was when it was listed.
fn list(fd: &OwnedFd) -> rustix::io::Result<Vec<(Vec<u8>, FileType)>> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(fd)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_dot(name) {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => {
                let stat = rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode)
            }
            kind => kind,
        };
        entries.push((name.to_bytes().to_vec(), kind));
    }
    Ok(entries)
}

/// The names in a directory, `.` and `..` left out, each with its kind; in no order.
pub fn list_kinds(directory: impl AsFd) -> io::Result<Vec<(Vec<u8>, FileType)>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(directory, ".", flags, Mode::empty())?;
    Ok(list(&fd)?)
}

/// The same, each with whether it is a directory.
pub fn list_directory(directory: impl AsFd) -> io::Result<Vec<(Vec<u8>, bool)>> {
    let listed = list_kinds(directory)?.into_iter();
    let directories = listed.map(|(name, kind)| (name, kind == FileType::Directory));
    Ok(directories.collect())
}

fn is_dot(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

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
