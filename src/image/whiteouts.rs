//! How a layer's directory says what it deletes from the layers below: a 0:0 character device as overlayfs wants it or, where the
//! store's file system keeps none, an empty `.wh.name` beside it, which fuse-overlayfs and our own readers obey.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::sys::fs;

/// What the name of a file begins with that deletes the rest of its name.
pub(super) const MARKER: &[u8] = b".wh.";

/// Whether something in a layer is a whiteout.
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Whether `.wh.` files of a layer that lies here may be whiteouts: on an overlay, which takes 0:0 devices for its own whiteouts (ovl_mknod
/// refuses them), or on a fuse file system, which may.
pub(super) fn are_files(directory: impl AsFd) -> bool {
    let stat = rustix::fs::fstatfs(directory);
    stat.is_ok_and(|stat| {
        [fs::OVERLAY_MAGIC, fs::FUSE_MAGIC].contains(&fs::file_system_type(&stat))
    })
}

/// The name of the file that deletes `name`.
pub(super) fn marker_of(name: &[u8]) -> Vec<u8> {
    [MARKER, name].concat()
}

/// Whether a file in `directory` deletes `name`.
pub(super) fn has_marker(directory: impl AsFd, name: &[u8]) -> io::Result<bool> {
    Ok(fs::stat_at(directory, &marker_of(name))?.is_some())
}

/// Writes the whiteout of `name`. One that is there already, through another name of the same place, is an [`Errno::EXIST`].
pub(super) fn make(directory: &OwnedFd, name: &[u8]) -> rustix::io::Result<()> {
    let made = rustix::fs::mknodat(directory, name, FileType::CharacterDevice, Mode::empty(), 0);
    let is_kept = || fs::stat_at(directory, name).is_ok_and(|stat| stat.is_some());
    match made {
        Ok(()) | Err(Errno::PERM) if are_files(directory) && !is_kept() => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            rustix::fs::openat(directory, marker_of(name), flags, Mode::RUSR).map(drop)
        }
        made => made,
    }
}
