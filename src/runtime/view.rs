//! The way into a container's root for a role of ours that copies files: the mount namespace of a running container, or one
//! made for the purpose where it does not run. Afterwards `/` is the container's root and everything below it is hostile.
//! Never executes anything there.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sched::CloneFlags;
use rustix::process::DumpableBehavior;

use super::apart::leave_mounts;
use super::execute::{SetupError, open_directory};
use super::fuse;
use super::isolation::Isolation;
use super::plan::BindMount;
use super::rootfs::{Driver, Rootfs};
use super::steps;
use crate::sys::{mount, namespace};

/// What a container that does not run consists of.
pub struct Rest {
    pub rootfs: Rootfs,
    pub binds: Vec<BindMount>,
    /// The root itself, not what is bound below it.
    pub read_only: bool,
    /// With `Chroot` it has no mounts of its own, running or not: its root is the copy of its layers, and what would be bound is in that.
    pub isolation: Isolation,
}

/// Makes what the container's processes must not see of this one invisible, before they could.
fn hide() -> io::Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(io::Error::from)
}

/// Joins the mount namespace of a running container, and the user namespace that has the rights over it. The caller lives in
/// the home namespace with one thread; `init` is the pidfd of the process `pid`.
pub fn join(init: BorrowedFd<'_>, pid: i32) -> io::Result<()> {
    let own = namespace::open(rustix::process::getpid().as_raw_nonzero().get(), "user")?;
    let theirs = namespace::open(pid, "user")?;
    let mut kinds = CloneFlags::CLONE_NEWNS;
    // Joining the one that one is in already is an error.
    if namespace::identity(own.as_fd())? != namespace::identity(theirs.as_fd())? {
        kinds |= CloneFlags::CLONE_NEWUSER;
    }
    hide()?;
    namespace::join(init, kinds)?;
    rustix::process::chdir("/").map_err(io::Error::from)
}

/// Mounts the root of a container that does not run with its binds and volumes, in a mount namespace of the caller's own, and
/// makes it the caller's root. Whoever calls holds the container's record. Lives in the home namespace with one thread; with
/// fuse-overlayfs it is PID 1 of a pid namespace.
pub fn enter(rest: &Rest) -> Result<(), SetupError> {
    let failed = |what: &'static str| move |error: io::Error| SetupError::step(what, &error);
    if rest.isolation == Isolation::Chroot {
        return confine(&rest.rootfs).map_err(failed("change to the copy of the layers"));
    }
    let root = mount_all(rest)?;
    hide().map_err(failed("make the role undumpable"))?;
    mount::pivot(root.as_fd()).map_err(failed("change to the container's root"))
}

/// Makes the copy of a container's layers the caller's root.
pub fn confine(rootfs: &Rootfs) -> io::Result<()> {
    let root = open_directory(&rootfs.copy())?;
    hide()?;
    steps::confine(root.as_fd())
}

/// The same without going in: the root is mounted in the caller's mount namespace only, and becomes its working directory. Not
/// with fuse-overlayfs.
pub fn show(rest: &Rest) -> Result<(), SetupError> {
    let root = mount_all(rest)?;
    let attributes = mount::Attributes {
        no_suid: true,
        no_dev: true,
        ..mount::Attributes::default()
    };
    mount::set_attributes(root.as_fd(), attributes)
        .map_err(|error| SetupError::step("take rights from the mount", &error))?;
    rustix::process::fchdir(root)
        .map_err(|error| SetupError::step("enter the container's root", &error.into()))
}

fn mount_all(rest: &Rest) -> Result<OwnedFd, SetupError> {
    let root = mount_apart(&rest.rootfs)?;
    for wanted in &rest.binds {
        let bound = steps::bind(root.as_fd(), wanted);
        bound.map_err(|error| {
            let step = format!(
                "mount {} at {}",
                wanted.source.display(),
                wanted.target.display()
            );
            SetupError::step(step, &error)
        })?;
    }
    if rest.read_only {
        let read_only = mount::Attributes {
            read_only: true,
            ..mount::Attributes::default()
        };
        mount::set_attributes_here(root.as_fd(), read_only)
            .map_err(|error| SetupError::step("make the root read-only", &error))?;
    }
    Ok(root)
}

/// Mounts the root in a mount namespace of the caller's own. A copy is there already.
fn mount_apart(rootfs: &Rootfs) -> Result<OwnedFd, SetupError> {
    let failed = |what: &'static str| move |error: io::Error| SetupError::step(what, &error);
    let given = match rootfs.driver {
        Driver::Overlay | Driver::Copy => None,
        Driver::FuseOverlayfs => Some(fuse::mount(rootfs, None).map_err(SetupError::Fuse)?.tree),
    };
    leave_mounts().map_err(failed("make a mount namespace"))?;
    let given = match rootfs.driver {
        Driver::Copy => Some(
            mount::clone_tree(rustix::fs::CWD, &rootfs.copy())
                .map_err(failed("mount the copy of the layers"))?,
        ),
        Driver::Overlay | Driver::FuseOverlayfs => given,
    };
    rootfs.forget_volatile();
    let root = rootfs.mount(given.as_ref().map(AsFd::as_fd), None);
    root.map_err(|error| SetupError::root(&error))
}
