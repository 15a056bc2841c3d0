//! Owner, mode, extended attributes and time of what is unpacked, in the order the kernel needs: a `chown` clears setuid
//! and capabilities, a write clears them too, so they come after both.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Mutex;

use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_NOW, Uid};
use rustix::io::Errno;

use super::super::layer::LayerPath;
use super::super::tar::Entry;
use super::{UnpackError, UnpackOptions};
use crate::sys::xattr;

/// What an entry says of itself beside content and place.
#[derive(Clone, Debug)]
pub(super) struct Attributes {
    uid: u32,
    gid: u32,
    pub(super) mode: u32,
    pub(super) mtime: (i64, u32),
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Attributes {
    pub(super) fn of(entry: &mut Entry, path: &LayerPath) -> Result<Attributes, UnpackError> {
        let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
        let (Some(uid), Some(gid)) = (id(entry.uid), id(entry.gid)) else {
            return Err(UnpackError::Owner {
                path: path.clone(),
                uid: entry.uid,
                gid: entry.gid,
            });
        };
        Ok(Attributes {
            uid,
            gid,
            mode: entry.mode,
            mtime: entry.mtime,
            xattrs: std::mem::take(&mut entry.xattrs),
        })
    }
}

/// Applies attributes; shared by the writer threads.
#[derive(Debug)]
pub(super) struct Applier {
    /// Who owns what we make, as archives call it: no `chown` is needed for that.
    ours: (u32, u32),
    /// Nobody else's files can be made here, and none are met.
    only_ours: bool,
    single_id: bool,
    /// What was lost, said once per kind with the first path.
    losses: Mutex<BTreeMap<String, LayerPath>>,
}

impl Applier {
    pub(super) fn new(options: &UnpackOptions) -> Applier {
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        let only_ours = options.ids.is_outside();
        Applier {
            ours: if only_ours { (0, 0) } else { (uid, gid) },
            only_ours,
            single_id: options.single_id,
            losses: Mutex::new(BTreeMap::new()),
        }
    }

    /// A file whose content is written, before it is closed.
    pub(super) fn file(
        &self,
        fd: &OwnedFd,
        attributes: &Attributes,
        path: &LayerPath,
    ) -> Result<(), UnpackError> {
        let owner = self.owner_of(attributes);
        self.chown(owner, attributes, path, |uid, gid| {
            rustix::fs::fchown(fd, uid, gid)
        })?;
        rustix::fs::fchmod(fd, Mode::from_raw_mode(attributes.mode))
            .map_err(UnpackError::io("set the mode of", path))?;
        self.xattrs(fd, attributes, path);
        rustix::fs::futimens(fd, &times(attributes.mtime))
            .map_err(UnpackError::io("set the time of", path))
    }

    /// A directory when it is listed; its mode and time come last of all, since entries below change them.
    pub(super) fn directory(
        &self,
        fd: &OwnedFd,
        attributes: &Attributes,
        path: &LayerPath,
    ) -> Result<(), UnpackError> {
        // It may exist already with another owner, so it is always set.
        let owner = match self.only_ours {
            true => self.owner_of(attributes),
            false => Some((attributes.uid, attributes.gid)),
        };
        self.chown(owner, attributes, path, |uid, gid| {
            rustix::fs::fchown(fd, uid, gid)
        })?;
        self.xattrs(fd, attributes, path);
        Ok(())
    }

    /// Mode and time of a directory below which nothing will change any more.
    pub(super) fn directory_last(
        fd: &OwnedFd,
        mode: u32,
        mtime: (i64, u32),
        path: &LayerPath,
    ) -> Result<(), UnpackError> {
        rustix::fs::fchmod(fd, Mode::from_raw_mode(mode))
            .map_err(UnpackError::io("set the mode of", path))?;
        rustix::fs::futimens(fd, &times(mtime)).map_err(UnpackError::io("set the time of", path))
    }

    /// A symlink or FIFO just made in `parent`, by name.
    pub(super) fn special(
        &self,
        parent: &OwnedFd,
        attributes: &Attributes,
        path: &LayerPath,
        is_fifo: bool,
    ) -> Result<(), UnpackError> {
        let name = path.name();
        let owner = self.owner_of(attributes);
        self.chown(owner, attributes, path, |uid, gid| {
            rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        })?;
        if is_fifo {
            let mode = Mode::from_raw_mode(attributes.mode);
            rustix::fs::chmodat(parent, name, mode, AtFlags::empty())
                .map_err(UnpackError::io("set the mode of", path))?;
        }
        for (key, _) in &attributes.xattrs {
            self.lost(&format!("extended attribute {}", shown(key)), path);
        }
        let times = times(attributes.mtime);
        rustix::fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(UnpackError::io("set the time of", path))
    }

    fn owner_of(&self, attributes: &Attributes) -> Option<(u32, u32)> {
        let owner = (attributes.uid, attributes.gid);
        (owner != self.ours).then_some(owner)
    }

    fn chown(
        &self,
        owner: Option<(u32, u32)>,
        attributes: &Attributes,
        path: &LayerPath,
        chown: impl FnOnce(Option<Uid>, Option<Gid>) -> rustix::io::Result<()>,
    ) -> Result<(), UnpackError> {
        let Some((uid, gid)) = owner else {
            return Ok(());
        };
        if self.only_ours {
            return Err(UnpackError::io("set the owner of", path)(Errno::PERM));
        }
        match chown(Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))) {
            Ok(()) => Ok(()),
            Err(Errno::INVAL | Errno::PERM) if self.single_id => {
                self.lost("owners other than the user's own", path);
                Ok(())
            }
            Err(Errno::INVAL) => Err(UnpackError::Owner {
                path: path.clone(),
                uid: u64::from(attributes.uid),
                gid: u64::from(attributes.gid),
            }),
            Err(errno) => Err(UnpackError::io("set the owner of", path)(errno)),
        }
    }

    fn xattrs(&self, fd: impl AsFd, attributes: &Attributes, path: &LayerPath) {
        for (key, value) in &attributes.xattrs {
            let set = match stored_name(key) {
                Some(name) => xattr::set(&fd, &name, value).is_ok(),
                None => false,
            };
            if !set {
                self.lost(&format!("extended attribute {}", shown(key)), path);
            }
        }
    }

    pub(super) fn lost(&self, what: &str, path: &LayerPath) {
        let mut losses = self
            .losses
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        // Names come from the archive: only so many are worth remembering.
        if losses.len() < 32 && !losses.contains_key(what) {
            losses.insert(what.to_owned(), path.clone());
        }
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let losses = self
            .losses
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let say = |(what, path): (&String, &LayerPath)| format!("{what} not kept (first: {path})");
        losses.iter().map(say).collect()
    }
}

fn shown(key: &[u8]) -> String {
    String::from_utf8_lossy(key).chars().take(64).collect()
}

/// The name under which an attribute of the archive is stored. Overlay's own are escaped as overlayfs does it
/// (`overlayfs.rst`, "Nested overlayfs"), so that they are never obeyed and reappear inside; `None` for those that no
/// user may set, for those that fuse-overlayfs obeys, and for labels of the machine the archive was made on.
pub(super) fn stored_name(key: &[u8]) -> Option<Vec<u8>> {
    if let Some(rest) = key.strip_prefix(b"user.overlay.") {
        return Some([&b"user.overlay.overlay."[..], rest].concat());
    }
    if key.starts_with(b"user.fuseoverlayfs.") || key.starts_with(b"user.containers.") {
        return None;
    }
    let kept = key.starts_with(b"user.")
        || key == b"security.capability"
        || key.starts_with(b"system.posix_acl_");
    kept.then(|| key.to_vec())
}

fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        },
        last_modification: Timespec {
            tv_sec: seconds,
            tv_nsec: i64::from(nanoseconds),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_that_overlayfs_would_obey_are_escaped_or_dropped() {
        let stored = |key: &str| {
            stored_name(key.as_bytes()).map(|name| String::from_utf8_lossy(&name).into_owned())
        };
        assert_eq!(
            stored("user.overlay.opaque").as_deref(),
            Some("user.overlay.overlay.opaque")
        );
        assert_eq!(
            stored("user.overlay.overlay.opaque").as_deref(),
            Some("user.overlay.overlay.overlay.opaque")
        );
        assert_eq!(stored("trusted.overlay.opaque"), None);
        assert_eq!(stored("security.selinux"), None);
        assert_eq!(stored("user.fuseoverlayfs.opaque"), None);
        assert_eq!(stored("user.containers.override_stat"), None);
        assert_eq!(
            stored("security.capability").as_deref(),
            Some("security.capability")
        );
        assert_eq!(stored("user.mime_type").as_deref(), Some("user.mime_type"));
    }
}
