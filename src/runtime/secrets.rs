//! Files of a container that must never be on a disk: on a tmpfs of its own, each bound to its place, read-only.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, PROC_SUPER_MAGIC, Uid};

use super::rootfs::{TargetKind, mount_target};
use crate::sys::copy::Owners;
use crate::sys::mount::{self, Attributes};

/// One file with its owner, as the container numbers it.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SecretFile {
    /// Absolute, in the container.
    pub target: PathBuf,
    pub content: Vec<u8>,
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretFile")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// Mounts them below `root`. The tmpfs itself is mounted over `room`, a directory of the host that this mount namespace has
/// no use for: only its files are seen in the container.
pub fn mount(
    root: BorrowedFd<'_>,
    room: &Path,
    files: &[SecretFile],
    owners: Owners,
) -> io::Result<()> {
    let pages = files.iter().map(|file| file.content.len() / 4096 + 1);
    let size = ((pages.sum::<usize>() + 16) * 4096).to_string();
    let options = [("size", size.as_str()), ("mode", "0700")];
    let hardened = Attributes {
        no_suid: true,
        no_dev: true,
        no_exec: true,
        ..Attributes::default()
    };
    let tmpfs = mount::create("tmpfs", "tmpfs", &options, hardened)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let room = rustix::fs::open(room, flags, Mode::empty())?;
    mount::attach(tmpfs.as_fd(), room.as_fd())?;
    for (number, secret) in files.iter().enumerate() {
        let name = number.to_string();
        write(tmpfs.as_fd(), &name, secret, owners)?;
        let tree = mount::clone_tree(tmpfs.as_fd(), Path::new(&name))?;
        let read_only = Attributes {
            read_only: true,
            ..hardened
        };
        mount::set_attributes(tree.as_fd(), read_only)?;
        let target = mount_target(root, &secret.target, TargetKind::File)?;
        if rustix::fs::fstatfs(&target)?.f_type == PROC_SUPER_MAGIC {
            return Err(io::Error::other("a secret's place is in /proc"));
        }
        mount::attach(tree.as_fd(), target.as_fd())?;
    }
    Ok(())
}

fn write(
    directory: BorrowedFd<'_>,
    name: &str,
    secret: &SecretFile,
    owners: Owners,
) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR)?;
    let mut file = File::from(file);
    file.write_all(&secret.content)?;
    if owners == Owners::Kept {
        let (uid, gid) = (Uid::from_raw(secret.uid), Gid::from_raw(secret.gid));
        rustix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(secret.mode))?)
}
