//! What is mounted below a container's root that is new or the host's devices: file systems, devices, covers. By descriptors inside
//! that root, so that nothing an image contains is followed out of it. Knows no launch.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags};

use super::plan::FileSystemMount;
use super::rootfs::{TargetKind, engine_directory, mount_target};
use super::spec::is_own_sysctl;
use crate::sys::fs::{Links, open_in_root};
use crate::sys::mount::{self, Attributes};

pub const DEVICES: &str = "/dev";

/// Where something is mounted.
enum Place<'d, 'w> {
    /// At this name in a directory of the engine's own.
    New(BorrowedFd<'d>, &'w Path),
    Found(OwnedFd),
}

/// What this process sees at that place, with everything that covers parts of it.
fn bound(wanted: &FileSystemMount) -> io::Result<OwnedFd> {
    let tree = mount::clone_tree(rustix::fs::CWD, &wanted.target)?;
    mount::set_attributes(tree.as_fd(), wanted.attributes)?;
    Ok(tree)
}

/// A root and what the next mounts below it depend on.
pub struct Mounts {
    pub root: OwnedFd,
    /// The engine's own /dev: what is new in it was put there by the engine.
    pub devices: Option<OwnedFd>,
    /// What covers directories, once there is one.
    cover: Option<OwnedFd>,
    /// Its `/proc` is the one of the container around, which may be read-only.
    has_bound_proc: bool,
}

impl Mounts {
    pub fn below(root: OwnedFd) -> Mounts {
        Mounts {
            root,
            devices: None,
            cover: None,
            has_bound_proc: false,
        }
    }

    pub fn file_system(&mut self, wanted: &FileSystemMount) -> io::Result<()> {
        let Some(tree) = self.made(wanted)? else {
            return Ok(());
        };
        match self.place_of(wanted)? {
            Place::New(devices, name) => mount::attach_at(tree.as_fd(), devices, name)?,
            Place::Found(target) => mount::attach(tree.as_fd(), target.as_fd())?,
        }
        if wanted.engine && wanted.target == Path::new(DEVICES) {
            self.devices = Some(tree);
        }
        Ok(())
    }

    /// One that is attached nowhere yet; `None`: the kernel does not know it, and it is not needed.
    fn made(&mut self, wanted: &FileSystemMount) -> io::Result<Option<OwnedFd>> {
        let options: Vec<(&str, &str)> = wanted
            .options
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        let make = |options: &[(&str, &str)]| {
            mount::create(&wanted.kind, &wanted.source, options, wanted.attributes)
        };
        match make(&options) {
            Err(error) if wanted.optional && error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
            Err(error) if wanted.or_bound && error.raw_os_error() == Some(libc::EPERM) => {
                tracing::debug!(%error, kind = wanted.kind, "bind what is mounted here already");
                self.has_bound_proc |= wanted.kind == "proc";
                bound(wanted).map(Some)
            }
            // The container's map has no group 5: terminals are then of whoever opens them.
            Err(error) if wanted.kind == "devpts" && error.raw_os_error() == Some(libc::EINVAL) => {
                let options: Vec<_> = options
                    .into_iter()
                    .filter(|(key, _)| *key != "gid")
                    .collect();
                make(&options).map(Some)
            }
            created => created.map(Some),
        }
    }

    /// A directory that was just made in the engine's own /dev needs no looking for.
    fn place_of<'w>(&self, wanted: &'w FileSystemMount) -> io::Result<Place<'_, 'w>> {
        if let Some((devices, name)) = self.device_place(&wanted.target) {
            match rustix::fs::mkdirat(devices, name, Mode::from_raw_mode(0o755)) {
                Ok(()) => return Ok(Place::New(devices, name)),
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let found = match wanted.engine {
            true => engine_directory(self.root.as_fd(), &wanted.target),
            false => mount_target(self.root.as_fd(), &wanted.target, TargetKind::Directory),
        };
        found.map(Place::Found)
    }

    /// The engine's own /dev and the name in it, for what lies directly in it.
    fn device_place<'w>(&self, path: &'w Path) -> Option<(BorrowedFd<'_>, &'w Path)> {
        let devices = self.devices.as_ref()?;
        let name = path.strip_prefix(DEVICES).ok()?;
        let mut parts = name.components();
        let single = matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none();
        single.then_some((devices.as_fd(), name))
    }

    pub fn device(&self, path: &str) -> io::Result<()> {
        let host = Path::new(path);
        let tree = mount::clone_tree(rustix::fs::CWD, host)?;
        if FileType::from_raw_mode(rustix::fs::fstat(&tree)?.st_mode) != FileType::CharacterDevice {
            return Err(io::Error::other(format!(
                "{} of the host is no device",
                host.display()
            )));
        }
        let Some((devices, name)) = self.device_place(host) else {
            let target = mount_target(self.root.as_fd(), host, TargetKind::File)?;
            return mount::attach(tree.as_fd(), target.as_fd());
        };
        let mode = Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(devices, name, FileType::RegularFile, mode, 0)?;
        mount::attach_at(tree.as_fd(), devices, name)
    }

    /// In a directory that the engine has just mounted and nobody else has seen.
    pub fn link(&self, link: &str, target: &str) -> io::Result<()> {
        let link = link.trim_start_matches('/');
        rustix::fs::symlinkat(target, self.root.as_fd(), link).map_err(io::Error::from)
    }

    /// A file is covered by the host's real null device, a directory by an empty read-only tmpfs; what is not there needs
    /// no mask.
    pub fn mask(&mut self, path: &Path) -> io::Result<()> {
        let Some(target) = self.existing(path)? else {
            return Ok(());
        };
        let is_directory =
            FileType::from_raw_mode(rustix::fs::fstat(&target)?.st_mode) == FileType::Directory;
        let cover = if is_directory {
            self.cover_of_directory()?
        } else {
            let null = mount::clone_tree(rustix::fs::CWD, Path::new("/dev/null"))?;
            if rustix::fs::fstat(&null)?.st_rdev != rustix::fs::makedev(1, 3) {
                return Err(io::Error::other(
                    "the host's /dev/null is not the null device",
                ));
            }
            null
        };
        mount::attach(cover.as_fd(), target.as_fd())?;
        if is_directory && self.cover.is_none() {
            self.cover = Some(cover);
        }
        Ok(())
    }

    /// The same for all of them: there is nothing in it, and nothing can be put there. A copy can be made of what is mounted.
    fn cover_of_directory(&self) -> io::Result<OwnedFd> {
        if let Some(cover) = &self.cover {
            return mount::clone_mount(cover.as_fd());
        }
        let read_only = Attributes {
            read_only: true,
            ..Attributes::default()
        };
        let options = [("size", "0"), ("nr_inodes", "1")];
        mount::create("tmpfs", "tmpfs", &options, read_only)
    }

    pub fn make_read_only(&self, path: &Path) -> io::Result<()> {
        let Some(target) = self.existing(path)? else {
            return Ok(());
        };
        let tree = mount::clone_tree(target.as_fd(), Path::new(""))?;
        mount::set_attributes(
            tree.as_fd(),
            Attributes {
                read_only: true,
                ..Attributes::default()
            },
        )?;
        mount::attach(tree.as_fd(), target.as_fd())
    }

    fn existing(&self, path: &Path) -> io::Result<Option<OwnedFd>> {
        let bytes = path.as_os_str().as_encoded_bytes();
        match open_in_root(
            self.root.as_fd(),
            bytes,
            OFlags::PATH,
            Mode::empty(),
            Links::Refuse,
        ) {
            Ok(found) => Ok(Some(found)),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// `net.ipv4.ip_forward` is `/proc/sys/net/ipv4/ip_forward`, on the procfs that was just mounted and no other
    /// (CVE-2025-52881).
    pub fn write_sysctl(&self, key: &str, value: &str) -> io::Result<()> {
        let path = format!("proc/sys/{}", key.replace('.', "/"));
        let file = match open_in_root(
            self.root.as_fd(),
            path.as_bytes(),
            OFlags::WRONLY,
            Mode::empty(),
            Links::Refuse,
        ) {
            // Another container's /proc can't be written, and an older kernel has not all.
            Err(error)
                if is_own_sysctl(key, value)
                    && (error.raw_os_error() == Some(libc::ENOENT)
                        || self.has_bound_proc && error.raw_os_error() == Some(libc::EROFS)) =>
            {
                tracing::debug!(%error, key, "not set");
                return Ok(());
            }
            opened => opened?,
        };
        let written = rustix::io::write(&file, value.as_bytes())?;
        if written == value.len() {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::WriteZero))
        }
    }
}
