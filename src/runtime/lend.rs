//! What the engine puts into a copied root where nothing can be mounted over it. It is written down beside the copy before it is there, so
//! that it never becomes part of a layer. Every step is by descriptors inside the root, whatever its image has in its way.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::defaults::{DEVICE_LINKS, DEVICES};
use super::plan::{Content, Lent};
use super::rootfs::{Rootfs, clean, make_directories};
use crate::sys::copy::{
    Kept, Owners, copy_attributes, copy_directory_attributes, copy_tree, times,
};
use crate::sys::fs::{
    Links, open_directory, open_directory_readable, open_in_root, path_of, remove_tree,
};

/// The name in the directory beside the copy of what is about to be put into it.
const NEW: &[u8] = b"lent-new";

/// What a container sees of the kernel's there, or nothing, is none of its own.
const HIDDEN: [&str; 2] = ["proc", "sys"];

pub struct Lending<'a> {
    /// The copy.
    pub root: BorrowedFd<'a>,
    pub rootfs: &'a Rootfs,
}

impl Lending<'_> {
    /// A new /dev. Where no nodes can be made there is a file in the place of /dev/null, and no other.
    pub fn devices(&self) -> io::Result<()> {
        self.note(&HIDDEN.map(PathBuf::from))?;
        let place = Lent {
            target: "/dev".into(),
            content: Content::Nothing,
        };
        self.lend(&place, Owners::Kept)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let devices = open_in_root(self.root, b"dev", flags, Mode::empty(), Links::Refuse)?;
        for path in DEVICES {
            node(devices.as_fd(), Path::new(path))?;
        }
        let work = open_directory(&self.rootfs.work)?;
        for (link, target) in DEVICE_LINKS {
            let name = name_of(Path::new(link))?;
            // With a terminal there are none of these.
            let named = rustix::fs::linkat(&work, name, &devices, name, AtFlags::empty());
            // There are no terminals of its own.
            if named.is_err() && link != "/dev/ptmx" {
                rustix::fs::symlinkat(target, &devices, name)?;
            }
        }
        rustix::fs::mkdirat(&devices, "shm", Mode::RWXU)?;
        let shared = Mode::from_raw_mode(0o1777);
        rustix::fs::chmodat(&devices, "shm", shared, AtFlags::empty())?;
        Ok(())
    }

    /// What is at that place goes: the image has it still.
    pub fn lend(&self, lent: &Lent, owners: Owners) -> io::Result<()> {
        let target = clean(&lent.target);
        let name = name_of(&target)?;
        let above = target.parent().unwrap_or(Path::new("/"));
        let parent = make_directories(self.root, above)?;
        self.note(&[self.inside(parent.as_fd())?.join(name)])?;
        let parent = open_directory_readable(parent)?;
        let work = open_directory(&self.rootfs.work)?;
        remove_tree(&work, NEW).map_err(|error| error.source)?;
        make(work.as_fd(), &lent.content, owners)?;
        let before = rustix::fs::fstat(&parent)?;
        // Never moved out of the root: whoever were in it would be out of it as well.
        remove_tree(&parent, name.as_bytes()).map_err(|error| error.source)?;
        rustix::fs::renameat(&work, NEW, &parent, name)?;
        rustix::fs::futimens(&parent, &times(&before)).map_err(io::Error::from)
    }

    /// Where a directory of the copy is, seen from its root and without links.
    fn inside(&self, directory: BorrowedFd<'_>) -> io::Result<PathBuf> {
        let (root, path) = (path_of(self.root)?, path_of(directory)?);
        let below = Path::new(OsStr::from_bytes(&path)).strip_prefix(OsStr::from_bytes(&root));
        let below = below.map_err(|_| io::Error::other("it is not in the container"))?;
        Ok(below.to_owned())
    }

    fn note(&self, paths: &[PathBuf]) -> io::Result<()> {
        let mut all = self.rootfs.lent()?;
        let known = all.len();
        for path in paths {
            if !all.contains(path) {
                all.push(path.clone());
            }
        }
        match all.len() == known {
            true => Ok(()),
            false => self.rootfs.write_lent(&all),
        }
    }
}

fn name_of(path: &Path) -> io::Result<&OsStr> {
    let name = path.file_name();
    name.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
}

/// As `NEW`.
fn make(work: BorrowedFd<'_>, content: &Content, owners: Owners) -> io::Result<()> {
    let Content::CopyOf { source, subpath } = content else {
        return Ok(rustix::fs::mkdirat(work, NEW, Mode::from_raw_mode(0o755))?);
    };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let mut from = rustix::fs::open(source, flags, Mode::empty())?;
    if !subpath.as_os_str().is_empty() {
        let below = subpath.as_os_str().as_bytes();
        from = open_in_root(&from, below, OFlags::PATH, Mode::empty(), Links::InRoot)?;
    }
    match FileType::from_raw_mode(rustix::fs::fstat(&from)?.st_mode) {
        FileType::Directory => {
            rustix::fs::mkdirat(work, NEW, Mode::RWXU)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let new = rustix::fs::openat(work, NEW, flags, Mode::empty())?;
            let from = open_directory_readable(from)?;
            copy_tree(from.as_fd(), new.as_fd(), owners)?;
            copy_directory_attributes(from.as_fd(), new.as_fd(), owners)
        }
        FileType::RegularFile => copy_of_file(&from, work, owners),
        kind => Err(io::Error::other(format!(
            "a {kind:?} can be bound, and not copied"
        ))),
    }
}

fn copy_of_file(from: &OwnedFd, work: BorrowedFd<'_>, owners: Owners) -> io::Result<()> {
    let mut from = File::open(format!("/proc/self/fd/{}", from.as_raw_fd()))?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    let new = rustix::fs::openat(work, NEW, flags, Mode::RUSR | Mode::WUSR)?;
    let mut new = File::from(new);
    io::copy(&mut from, &mut new)?;
    let kept = Kept {
        owners,
        xattrs: |_| true,
    };
    copy_attributes(from.as_fd(), new.as_fd(), kept)
}

/// The same as the host's, in a directory that is new.
fn node(devices: BorrowedFd<'_>, host: &Path) -> io::Result<()> {
    let stat = rustix::fs::stat(host)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice {
        return Err(io::Error::other(format!(
            "{} of the host is no device",
            host.display()
        )));
    }
    let name = name_of(host)?;
    let all = Mode::from_raw_mode(0o666);
    let kind = FileType::CharacterDevice;
    match rustix::fs::mknodat(devices, name, kind, all, stat.st_rdev) {
        Err(rustix::io::Errno::PERM) if name == "null" => {
            rustix::fs::mknodat(devices, name, FileType::RegularFile, all, 0)?;
        }
        Err(rustix::io::Errno::PERM) => return Ok(()),
        made => made?,
    }
    // Whatever the umask.
    let flags = AtFlags::empty();
    rustix::fs::chmodat(devices, name, all, flags).map_err(io::Error::from)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A copy in a directory that has something beside it, and a file to lend.
    fn scratch(name: &str) -> (Scratch, Rootfs, Lent) {
        let top = std::env::temp_dir().join(format!("bryo-lend-{name}-{}", std::process::id()));
        fs::create_dir_all(top.join("work/root/etc")).unwrap();
        fs::create_dir(top.join("canary")).unwrap();
        fs::write(top.join("canary/kept"), "kept").unwrap();
        fs::write(top.join("hosts"), "127.0.0.1 localhost").unwrap();
        let rootfs = Rootfs {
            work: top.join("work"),
            ..Rootfs::default()
        };
        let lent = Lent {
            target: "/etc/hosts".into(),
            content: Content::CopyOf {
                source: top.join("hosts"),
                subpath: PathBuf::new(),
            },
        };
        (Scratch(top), rootfs, lent)
    }

    fn lend(rootfs: &Rootfs, lent: &Lent) -> io::Result<()> {
        let root = open_directory(&rootfs.copy())?;
        let lending = Lending {
            root: root.as_fd(),
            rootfs,
        };
        lending.devices()?;
        lending.lend(lent, Owners::Kept)
    }

    #[test]
    fn whatever_the_image_has_there_nothing_outside_is_touched() {
        let evil: [(&str, &str); 6] = [
            ("dev", "../../canary"),
            ("etc/hosts", "../../../canary/kept"),
            ("etc", "../../canary"),
            ("etc", "/other"),
            ("etc", "../../../../../../../../../../deep/below"),
            ("dev", "etc"),
        ];
        for (number, (name, target)) in evil.into_iter().enumerate() {
            let (top, rootfs, lent) = scratch(&number.to_string());
            let place = rootfs.copy().join(name);
            let _ = fs::remove_dir(&place);
            symlink(target, &place).unwrap();
            lend(&rootfs, &lent).unwrap();
            let canary: Vec<_> = fs::read_dir(top.0.join("canary")).unwrap().collect();
            assert_eq!(canary.len(), 1, "{name}: {target}");
            assert_eq!(
                fs::read_to_string(top.0.join("canary/kept")).unwrap(),
                "kept"
            );
            assert!(
                fs::symlink_metadata(rootfs.copy().join("dev"))
                    .unwrap()
                    .is_dir()
            );
            // Where it came to lie is what is no change of the container's.
            let noted = rootfs.lent().unwrap();
            let hosts = noted.iter().find(|path| path.ends_with("hosts")).unwrap();
            let text = fs::read_to_string(rootfs.copy().join(hosts)).unwrap();
            assert_eq!(text, "127.0.0.1 localhost", "{name}: {target}");
        }
    }

    #[test]
    fn what_is_lent_is_written_down_and_the_directory_keeps_its_time() {
        let (_top, rootfs, lent) = scratch("time");
        let etc = rootfs.copy().join("etc");
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        fs::File::open(&etc).unwrap().set_modified(old).unwrap();
        lend(&rootfs, &lent).unwrap();
        lend(&rootfs, &lent).unwrap();
        assert_eq!(fs::metadata(&etc).unwrap().modified().unwrap(), old);
        let noted = ["proc", "sys", "dev", "etc/hosts"].map(PathBuf::from);
        assert_eq!(rootfs.lent().unwrap(), noted);
        let left: Vec<_> = fs::read_dir(&rootfs.work).unwrap().collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }
}
