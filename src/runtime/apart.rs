//! A mount that is made by a role in a mount namespace of its own, and handed over as a descriptor: what fuse-overlayfs serves, or the
//! copy of a container's layers. Nobody sees it at a path.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::sched::CloneFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::execute::SetupError;
use super::rootfs::Rootfs;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::process::{self, Forked};
use crate::sys::socket::{self, Received};
use crate::sys::{mount, namespace, pidfd, role, signal};

/// What a role could not do, in the words of whoever asks for the mount.
pub(super) type Failed<E> = fn(&'static str, io::Error) -> E;

/// Lets `make` make the mount in a role, which keeps no descriptor of the caller's. The caller has one thread and reaps no child meanwhile.
pub(super) fn handed_over<E: Serialize + DeserializeOwned>(
    patience: Option<Duration>,
    failed: Failed<E>,
    make: impl FnOnce() -> Result<OwnedFd, E>,
) -> Result<OwnedFd, E> {
    let made = in_role(patience, failed, || make().map(Some))?;
    made.ok_or_else(|| {
        let error = io::ErrorKind::UnexpectedEof.into();
        failed("wait for a role", error)
    })
}

/// The same where there may be nothing to hand over.
fn in_role<E: Serialize + DeserializeOwned>(
    patience: Option<Duration>,
    failed: Failed<E>,
    make: impl FnOnce() -> Result<Option<OwnedFd>, E>,
) -> Result<Option<OwnedFd>, E> {
    let (ours, theirs) = socket::pair().map_err(|error| failed("make a socket pair", error))?;
    let child = match process::fork().map_err(|error| failed("fork a role", error))? {
        Forked::Parent(child) => child,
        Forked::Child => process::exit_now(report(theirs, make)),
    };
    drop(theirs);
    let mut set = PollSet::new();
    set.add(ours.as_fd(), Interest::Read, ());
    if set.wait(patience).is_ok_and(|ready| ready.is_empty()) {
        return Err(failed("wait", io::ErrorKind::TimedOut.into()));
    }
    let mut buffer = vec![0; socket::MESSAGE_MAX];
    let received = socket::receive(ours.as_fd(), &mut buffer);
    let _ = pidfd::wait_child(child);
    match received {
        Ok(Received::Message(length, mut fds)) => match &buffer[..length] {
            b"r" => Ok(fds.pop()),
            error => Err(serde_json::from_slice(error)
                .unwrap_or_else(|error| failed("read the answer of a role", error.into()))),
        },
        _ => Err(failed(
            "wait for a role",
            io::ErrorKind::UnexpectedEof.into(),
        )),
    }
}

/// The role sends the mount, or the reason why there is none.
fn report<E: Serialize>(socket: OwnedFd, make: impl FnOnce() -> Result<Option<OwnedFd>, E>) -> i32 {
    role::set("mount");
    let _ = process::close_all_except(&[socket.as_fd()]);
    let _ = signal::reset_all();
    let sent = match make() {
        Ok(tree) => {
            let trees: Vec<_> = tree.iter().map(AsFd::as_fd).collect();
            socket::send(socket.as_fd(), &[b"r"], &trees)
        }
        Err(error) => {
            let text = serde_json::to_vec(&error).unwrap_or_default();
            socket::send(socket.as_fd(), &[&text], &[])
        }
    };
    i32::from(sent.is_err())
}

/// From here on the caller sees its own mounts only.
pub(super) fn leave_mounts() -> io::Result<()> {
    namespace::leave(CloneFlags::CLONE_NEWNS).and_then(|()| mount::isolate_propagation())
}

/// The copy of a container's layers, once `copy` has made sure that it is there; nothing where it is not `mounted` but used as it is. It may
/// take as long as it takes.
pub fn copied(
    rootfs: &Rootfs,
    mounted: bool,
    copy: impl FnOnce() -> io::Result<()>,
) -> Result<Option<OwnedFd>, SetupError> {
    let step = |what: &'static str, error: io::Error| SetupError::step(what, &error);
    in_role(None, step, || {
        let failed = |what: &'static str| move |error: io::Error| SetupError::step(what, &error);
        process::allow_descriptors();
        copy().map_err(failed("copy the image's layers"))?;
        if !mounted {
            return Ok(None);
        }
        leave_mounts().map_err(failed("make a mount namespace"))?;
        let here = rustix::fs::CWD;
        let tree = mount::clone_tree(here, &rootfs.copy());
        tree.map(Some)
            .map_err(failed("mount the copy of the layers"))
    })
}
