//! The root filesystem of a container: overlay layers mounted inside its own namespaces, and every path below it.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::paths::Paths;
use crate::sys::fs::{self, Links, open_in_root};
use crate::sys::{disk, mount};

/// What stacks the layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    /// The kernel, inside the container's own namespaces.
    #[default]
    Overlay,
    /// A program, outside of them.
    FuseOverlayfs,
    /// Nothing: each container has a copy of them.
    Copy,
}

impl Driver {
    pub fn name(self) -> &'static str {
        match self {
            Driver::Overlay => "overlay",
            Driver::FuseOverlayfs => "fuse-overlayfs",
            Driver::Copy => "copy",
        }
    }
}

/// Whether a test wants what older kernels have.
pub fn old_overlay() -> bool {
    cfg!(debug_assertions) && std::env::var_os("BRYO_TEST_OLD_OVERLAY").is_some()
}

/// What is remembered, until the next boot or login, of a kernel or file system that can't stack layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallback {
    /// The store's file system.
    device: u64,
    pub reason: String,
}

impl Fallback {
    pub fn remember(paths: &Paths, reason: &str) -> io::Result<()> {
        let fallback = Fallback {
            device: rustix::fs::stat(&paths.data)?.st_dev,
            reason: reason.to_owned(),
        };
        let text = serde_json::to_vec(&fallback)?;
        let path = paths.storage_fallback();
        let temporary = path.with_extension(std::process::id().to_string());
        std::fs::write(&temporary, text)?;
        std::fs::rename(temporary, path)
    }

    /// What is known of the file system that the store is on now: the kernel lays no overlay on another.
    pub fn known(paths: &Paths) -> Option<Fallback> {
        Fallback::recall(paths).or_else(|| Fallback::of_overlay(&paths.data))
    }

    fn of_overlay(store: &Path) -> Option<Fallback> {
        let store_type = fs::file_system_type(&rustix::fs::statfs(store).ok()?);
        (store_type == fs::OVERLAY_MAGIC).then(|| Fallback {
            device: 0,
            reason: format!("{} is on an overlay itself", store.display()),
        })
    }

    fn recall(paths: &Paths) -> Option<Fallback> {
        let text = std::fs::read(paths.storage_fallback()).ok()?;
        let found: Fallback = serde_json::from_slice(&text).ok()?;
        let device = rustix::fs::stat(&paths.data).ok()?.st_dev;
        (found.device == device).then_some(found)
    }
}

/// Read-only layers below one writable directory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rootfs {
    /// Bottom first, each an overlay lower directory.
    pub lower: Vec<PathBuf>,
    pub upper: PathBuf,
    pub work: PathBuf,
    /// An empty directory that the root is mounted on, in the container's mount namespace only.
    pub merged: PathBuf,
    /// Do not sync when unmounted: for containers that are removed when they end.
    pub volatile: bool,
    /// Mount as kernels without `lowerdir+` must (before 6.8).
    pub by_names: bool,
    pub driver: Driver,
    /// Try what comes next if that fails: fuse-overlayfs, then a copy.
    pub may_fall_back: bool,
}

impl Rootfs {
    /// Where a copy of the layers is, or would be: beside what overlayfs works with.
    pub fn copy(&self) -> PathBuf {
        self.work.join("root")
    }

    /// What of the copy was lent to the container (`lend`), below its root: whatever is there is no change of the container's.
    pub fn lent(&self) -> io::Result<Vec<PathBuf>> {
        let text = match std::fs::read(self.lent_record()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read?,
        };
        let paths = text
            .split(|byte| *byte == 0)
            .filter(|path| !path.is_empty());
        Ok(paths
            .map(|path| PathBuf::from(OsString::from_vec(path.to_vec())))
            .collect())
    }

    pub(super) fn write_lent(&self, paths: &[PathBuf]) -> io::Result<()> {
        let mut text = Vec::new();
        for path in paths {
            text.extend_from_slice(path.as_os_str().as_encoded_bytes());
            text.push(0);
        }
        let record = self.lent_record();
        let temporary = record.with_extension("lent-new");
        disk::write(&temporary, text)?;
        disk::rename(&temporary, &record)
    }

    fn lent_record(&self) -> PathBuf {
        self.copy().with_extension("lent")
    }

    /// Where the named pipes are that a container without /proc has as its outputs.
    pub fn named_streams(&self) -> [PathBuf; 2] {
        ["stdout", "stderr"].map(|name| self.work.join(name))
    }

    /// Mounts the root and gives its top directory: `given` is a mount that fuse-overlayfs made, or a copy, or the kernel's overlay is
    /// used; `place` is where (`open_place`) if it was opened before. Must run in the container's mount namespace, after its id map is written: before, overlayfs fails with EACCES.
    pub fn mount(
        &self,
        given: Option<BorrowedFd<'_>>,
        place: Option<OwnedFd>,
    ) -> io::Result<OwnedFd> {
        match given {
            Some(tree) => self.attach(tree, place),
            None => self.mount_overlay(),
        }
    }

    /// A volatile overlay that was not unmounted in an orderly way can't be mounted again (overlayfs.rst, "Volatile mount"):
    /// after a crash of the machine its files may be older than they look. After the death of a monitor they are not, and a
    /// container that is removed when it ends promises no more.
    pub fn forget_volatile(&self) {
        if !self.volatile {
            return;
        }
        let volatile = self.work.join("work/incompat/volatile");
        // It is hardly ever there.
        if std::fs::remove_file(volatile.join("dirty")).is_ok() {
            let _ = std::fs::remove_dir(&volatile);
            let _ = volatile.parent().map(std::fs::remove_dir);
        }
    }

    /// The directory that the root is mounted on.
    pub fn open_place(&self) -> io::Result<OwnedFd> {
        open_path(&self.merged)
    }

    fn attach(&self, tree: BorrowedFd<'_>, place: Option<OwnedFd>) -> io::Result<OwnedFd> {
        let place = place.map_or_else(|| self.open_place(), Ok)?;
        mount::attach(tree, place.as_fd())?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(tree, ".", flags, Mode::empty()).map_err(io::Error::from)
    }

    fn mount_overlay(&self) -> io::Result<OwnedFd> {
        if !self.by_names {
            let overlay = mount::Overlay {
                lower: &self.lower,
                upper: &self.upper,
                work: &self.work,
                volatile: self.volatile,
            };
            match mount::create_overlay(&overlay) {
                Ok(tree) => return self.attach(tree.as_fd(), None),
                // Unknown option or call: an older kernel.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {
                }
                Err(error) => return Err(error),
            }
        }
        self.mount_by_names()
    }

    /// The option string of mount(2) is one page: short names make 500 layers fit.
    fn mount_by_names(&self) -> io::Result<OwnedFd> {
        let names = self.short_names()?;
        let volatile = if self.volatile { ",volatile" } else { "" };
        let options = format!(
            "userxattr,lowerdir={},upperdir=u,workdir=w{volatile}",
            names.lower
        );
        let options = CString::new(options)?;
        mount::mount_overlay_by_names(Path::new(names.target), &options)?;
        let root = open_path(Path::new(names.target))?;
        rustix::process::chdir("/")?;
        Ok(root)
    }

    /// On a private tmpfs, which becomes the working directory, each layer gets a symlink of two or three digits, `u` is the
    /// upper and `w` the work directory.
    pub(super) fn short_names(&self) -> io::Result<ShortNames> {
        let here = mount::create(
            "tmpfs",
            "tmpfs",
            &[("size", "1m"), ("mode", "0700")],
            mount::Attributes::default(),
        )?;
        mount::attach(here.as_fd(), open_path(&self.merged)?.as_fd())?;
        let directory = open_path(&self.merged)?;
        rustix::process::fchdir(&directory)?;
        let mut names = Vec::new();
        for (number, lower) in self.lower.iter().enumerate().rev() {
            rustix::fs::symlink(lower, number.to_string())?;
            names.push(number.to_string());
        }
        rustix::fs::symlink(&self.upper, "u")?;
        rustix::fs::symlink(&self.work, "w")?;
        rustix::fs::mkdir("m", Mode::from_raw_mode(0o755))?;
        Ok(ShortNames {
            lower: names.join(":"),
            target: "m",
        })
    }
}

/// Names relative to the working directory.
pub(super) struct ShortNames {
    /// Topmost first, as overlay wants them.
    pub lower: String,
    /// An empty directory to mount on.
    pub target: &'static str,
}

fn open_path(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)
}

/// What a mount target must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    Directory,
    File,
}

/// How many symlinks to nowhere are followed one after the other, as the kernel limits it.
const LINKS_MAX: u32 = 40;

/// Opens the place at `path` below `root` for a mount, making what is missing (0755 directories, an empty file), every
/// step by descriptor: `fs/in-root`. Where a symlink leads to nothing, what is missing is made there, as docker does it: the
/// `/etc/resolv.conf` of many images is one.
pub fn mount_target(root: BorrowedFd<'_>, path: &Path, kind: TargetKind) -> io::Result<OwnedFd> {
    follow_target(root, path, kind, LINKS_MAX)
}

fn follow_target(
    root: BorrowedFd<'_>,
    path: &Path,
    kind: TargetKind,
    links: u32,
) -> io::Result<OwnedFd> {
    let bytes = path.as_os_str().as_encoded_bytes();
    match open_in_root(root, bytes, OFlags::PATH, Mode::empty(), Links::InRoot) {
        Ok(found) => check_kind(found, kind),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
            make_target(root, &clean(path), kind, links)
        }
        Err(error) => Err(error),
    }
}

fn make_target(
    root: BorrowedFd<'_>,
    path: &Path,
    kind: TargetKind,
    links: u32,
) -> io::Result<OwnedFd> {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    let parent = follow_directories(root, above, links)?;
    if let Some(link) = dangling(&parent, name, links)? {
        return follow_target(root, &above.join(link), kind, links - 1);
    }
    let made = match kind {
        TargetKind::Directory => rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)),
        TargetKind::File => {
            let flags =
                OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
        }
    };
    match made {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let found = open_in_root(
        &parent,
        name.as_encoded_bytes(),
        OFlags::PATH,
        Mode::empty(),
        Links::Refuse,
    )?;
    check_kind(found, kind)
}

/// What the symlink `name`, which was found to lead to nothing, says.
fn dangling(parent: &OwnedFd, name: &OsStr, links: u32) -> io::Result<Option<PathBuf>> {
    match rustix::fs::readlinkat(parent, name, Vec::new()) {
        Ok(_) if links == 0 => Err(io::Error::from_raw_os_error(libc::ELOOP)),
        Ok(link) => Ok(Some(OsString::from_vec(link.into_bytes()).into())),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Without `.` and `..`, by the text alone, as docker cleans paths.
pub fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => cleaned.push(name),
            Component::ParentDir => drop(cleaned.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    cleaned
}

fn check_kind(found: OwnedFd, kind: TargetKind) -> io::Result<OwnedFd> {
    let is_directory =
        FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) == FileType::Directory;
    match (kind, is_directory) {
        (TargetKind::Directory, false) => Err(io::Error::from_raw_os_error(libc::ENOTDIR)),
        (TargetKind::File, true) => Err(io::Error::from_raw_os_error(libc::EISDIR)),
        _ => Ok(found),
    }
}

/// `mkdir -p` below `root`: existing parts may be symlinks inside it, new ones are real directories.
pub fn make_directories(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    follow_directories(root, &clean(path), LINKS_MAX)
}

fn follow_directories(root: BorrowedFd<'_>, path: &Path, links: u32) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let bytes = path.as_os_str().as_encoded_bytes();
    let missing = |error: &io::Error| error.raw_os_error() == Some(libc::ENOENT);
    match open_in_root(root, bytes, flags, Mode::empty(), Links::InRoot) {
        Err(error) if missing(&error) => {}
        other => return other,
    }
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from_raw_os_error(libc::ENOENT));
    };
    let parent = follow_directories(root, above, links)?;
    if let Some(link) = dangling(&parent, name, links)? {
        return follow_directories(root, &clean(&above.join(link)), links - 1);
    }
    match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let name = name.as_encoded_bytes();
    open_in_root(&parent, name, flags, Mode::empty(), Links::Refuse)
}

/// Opens a directory that the engine itself fills or mounts over (`/proc`, `/dev`, `/sys`): a symlink in its place is an
/// image's attempt to redirect us (CVE-2019-16884, CVE-2023-27561) and refused.
pub fn engine_directory(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let open = || {
        open_in_root(
            root,
            bytes,
            OFlags::PATH | OFlags::DIRECTORY,
            Mode::empty(),
            Links::Refuse,
        )
    };
    match open() {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
            let parent = path.parent().unwrap_or(Path::new("/"));
            let name = path
                .file_name()
                .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
            let parent = make_directories_without_links(root, parent)?;
            match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => open(),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => Err(io::Error::other(
            "the image has a symlink there, which could lead anywhere",
        )),
        other => other,
    }
}

fn make_directories_without_links(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    if path == Path::new("/") {
        root.try_clone_to_owned()
    } else {
        engine_directory(root, path)
    }
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

    /// `root` in a directory that holds a canary beside it.
    fn scratch(name: &str) -> (Scratch, OwnedFd) {
        let top = std::env::temp_dir().join(format!("bryo-root-{name}-{}", std::process::id()));
        fs::create_dir_all(top.join("root/etc")).unwrap();
        fs::create_dir(top.join("canary")).unwrap();
        let root = open_path(&top.join("root")).unwrap();
        (Scratch(top), root)
    }

    #[test]
    fn what_a_symlink_to_nowhere_names_is_made_inside_the_root() {
        let (top, root) = scratch("dangling");
        let inside = |path: &str| top.0.join("root").join(path);
        symlink("../run/resolve/stub.conf", inside("etc/resolv.conf")).unwrap();
        symlink(top.0.join("canary/hosts"), inside("etc/hosts")).unwrap();
        symlink("../../../../canary/up", inside("up")).unwrap();
        symlink("around", inside("around")).unwrap();
        for (path, made) in [
            ("/etc/resolv.conf", "run/resolve/stub.conf"),
            ("/up", "canary/up"),
            ("/a/../b/./c", "b/c"),
        ] {
            mount_target(root.as_fd(), Path::new(path), TargetKind::File).unwrap();
            assert!(inside(made).is_file(), "{path}");
        }
        mount_target(root.as_fd(), Path::new("/etc/hosts"), TargetKind::File).unwrap();
        make_directories(root.as_fd(), Path::new("/up2/../../x")).unwrap();
        assert!(inside("x").is_dir() && !inside("up2").exists());
        symlink("/data/../not/there", inside("volume")).unwrap();
        let deep = Path::new("/volume/deep");
        mount_target(root.as_fd(), deep, TargetKind::Directory).unwrap();
        assert!(inside("not/there/deep").is_dir());
        let error = mount_target(root.as_fd(), Path::new("/around"), TargetKind::File);
        assert_eq!(error.unwrap_err().raw_os_error(), Some(libc::ELOOP));
        assert_eq!(fs::read_dir(top.0.join("canary")).unwrap().count(), 0);
    }
}
