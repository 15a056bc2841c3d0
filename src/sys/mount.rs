//! Mounts, as descriptors (fsopen, open_tree, move_mount, mount_setattr) with the older calls where the kernel lacks them.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};

/// The attributes of a mount that bryo sets, as mount_setattr(2) knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub read_only: bool,
    pub no_suid: bool,
    pub no_dev: bool,
    pub no_exec: bool,
    pub access_times: AccessTimes,
    /// Those of directories are never written.
    pub no_directory_times: bool,
}

/// When times of access are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessTimes {
    /// Once a day, and after a change: `relatime`.
    #[default]
    Relative,
    /// `noatime`.
    Never,
    /// `strictatime`.
    Always,
}

impl Attributes {
    fn bits(self) -> u64 {
        let times = self.access_times;
        let flags = [
            (
                times == AccessTimes::Never,
                MountAttrFlags::MOUNT_ATTR_NOATIME,
            ),
            (
                times == AccessTimes::Always,
                MountAttrFlags::MOUNT_ATTR_STRICTATIME,
            ),
            (
                self.no_directory_times,
                MountAttrFlags::MOUNT_ATTR_NODIRATIME,
            ),
            (self.read_only, MountAttrFlags::MOUNT_ATTR_RDONLY),
            (self.no_suid, MountAttrFlags::MOUNT_ATTR_NOSUID),
            (self.no_dev, MountAttrFlags::MOUNT_ATTR_NODEV),
            (self.no_exec, MountAttrFlags::MOUNT_ATTR_NOEXEC),
        ];
        flags
            .iter()
            .filter(|(on, _)| *on)
            .fold(0, |bits, (_, flag)| bits | u64::from(flag.bits()))
    }

    /// What has to be cleared where another value is set.
    fn cleared(self) -> u64 {
        match self.access_times {
            AccessTimes::Relative => 0,
            _ => u64::from(MountAttrFlags::MOUNT_ATTR__ATIME.bits()),
        }
    }
}

/// Makes a file system that is mounted nowhere yet. `source` is what lists of mounts call it; options with an empty value are flags.
pub fn create(
    kind: &str,
    source: &str,
    options: &[(&str, &str)],
    attributes: Attributes,
) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(&context, "source", source)?;
    for (key, value) in options {
        if value.is_empty() {
            rustix::mount::fsconfig_set_flag(&context, *key)?;
        } else {
            rustix::mount::fsconfig_set_string(&context, *key, *value)?;
        }
    }
    rustix::mount::fsconfig_create(&context)?;
    let flags = MountAttrFlags::from_bits_retain(attributes.bits() as u32);
    Ok(rustix::mount::fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        flags,
    )?)
}

/// An overlay for use in a user namespace.
pub struct Overlay<'a> {
    /// Bottom first.
    pub lower: &'a [std::path::PathBuf],
    pub upper: &'a Path,
    pub work: &'a Path,
    /// Unmounting does not sync; the upper directory is rubbish after a crash.
    pub volatile: bool,
}

/// Mounts an overlay by the new mount API: a `lowerdir+` a layer, so that neither their number nor their length is
/// limited by a page. Linux 6.8; before it fails with EINVAL and `mount_overlay_by_names` serves.
pub fn create_overlay(overlay: &Overlay<'_>) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(&context, "source", "overlay")?;
    rustix::mount::fsconfig_set_flag(&context, "userxattr")?;
    for lower in overlay.lower.iter().rev() {
        rustix::mount::fsconfig_set_string(&context, "lowerdir+", lower)?;
    }
    rustix::mount::fsconfig_set_string(&context, "upperdir", overlay.upper)?;
    rustix::mount::fsconfig_set_string(&context, "workdir", overlay.work)?;
    if overlay.volatile {
        rustix::mount::fsconfig_set_flag(&context, "volatile")?;
    }
    rustix::mount::fsconfig_create(&context)?;
    Ok(rustix::mount::fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )?)
}

/// mount(2) of an overlay whose option string the caller has made short (names relative to the working directory).
pub fn mount_overlay_by_names(target: &Path, options: &CStr) -> io::Result<()> {
    rustix::mount::mount("overlay", target, "overlay", MountFlags::empty(), options)
        .map_err(io::Error::from)
}

/// A copy, mounted nowhere yet, of the whole mount tree at `path` below `dir`; `path` may be empty for `dir` itself.
pub fn clone_tree(dir: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(dir, path, flags).map_err(io::Error::from)
}

/// A copy, mounted nowhere yet, of the one mount that `top` is the top of: without what is mounted below it.
pub fn clone_mount(top: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    rustix::mount::open_tree(top, "", flags).map_err(io::Error::from)
}

/// Attaches a mount to the directory or file that `target` was opened on (O_PATH), following nothing.
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", target, "", flags).map_err(io::Error::from)
}

/// Attaches a mount to what is called `name` in `directory`, which may not be a symlink.
pub fn attach_at(mount: BorrowedFd<'_>, directory: BorrowedFd<'_>, name: &Path) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", directory, name, flags).map_err(io::Error::from)
}

/// `struct mount_attr` of linux/mount.h.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Sets attributes on a whole mount tree (mount_setattr(2) with AT_RECURSIVE, Linux 5.12).
pub fn set_attributes(tree: BorrowedFd<'_>, attributes: Attributes) -> io::Result<()> {
    set_attributes_with(tree, attributes, libc::AT_RECURSIVE)
}

fn set_attributes_with(
    mount: BorrowedFd<'_>,
    attributes: Attributes,
    flags: i32,
) -> io::Result<()> {
    let attr = MountAttr {
        set: attributes.bits(),
        clear: attributes.cleared(),
        propagation: 0,
        user_namespace: 0,
    };
    let flags = libc::AT_EMPTY_PATH | flags;
    // SAFETY: the path is an empty C string, and `attr` is a whole struct of the size given.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Makes every mount of this namespace a slave: what the host mounts later comes in, nothing of ours goes out.
pub fn isolate_propagation() -> io::Result<()> {
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).map_err(io::Error::from)
}

/// Gives the mount tree at `path` the propagation its caller asks for.
pub fn set_propagation(path: &Path, flags: MountPropagationFlags) -> io::Result<()> {
    rustix::mount::mount_change(path, flags).map_err(io::Error::from)
}

/// Makes `root` the root of this mount namespace and lets go of the old one (pivot_root(2), the "." "." way).
pub fn pivot(root: BorrowedFd<'_>) -> io::Result<()> {
    rustix::process::fchdir(root.as_fd())?;
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/").map_err(io::Error::from)
}

/// Takes off what is mounted at `path`; who still has files of it open keeps them.
pub fn detach(path: &Path) -> io::Result<()> {
    rustix::mount::unmount(path, UnmountFlags::DETACH).map_err(io::Error::from)
}

/// Sets attributes on one mount, not on those below it.
pub fn set_attributes_here(mount: BorrowedFd<'_>, attributes: Attributes) -> io::Result<()> {
    set_attributes_with(mount, attributes, 0)
}
