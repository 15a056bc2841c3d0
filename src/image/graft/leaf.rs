//! What is copied that is no directory: files, links and pipes, each into an open directory of the layer.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timestamps, Uid};

use super::copiers::Job;
use super::origins::Given;
use super::{Appearance, Graft, GraftError, Place, failed, is_directory};
use crate::image::layer::join_path;
use crate::image::merged::{Merged, Shown};
use crate::sys::{fault, fs};

/// What is copied that is no directory, as [`Merged::look`] showed it.
pub(super) struct Leaf<'a> {
    pub source: &'a Merged,
    pub part: usize,
    pub name: &'a [u8],
    pub stat: &'a Stat,
}

/// What it becomes.
pub(super) struct Target<'a> {
    pub place: &'a Place,
    pub name: &'a [u8],
    pub appearance: &'a Appearance<'a>,
}

impl Target<'_> {
    fn owner(&self, stat: &Stat) -> (u32, u32) {
        self.appearance.owner.unwrap_or((stat.st_uid, stat.st_gid))
    }

    fn mode(&self, stat: &Stat) -> Mode {
        let mode = stat.st_mode & 0o7777;
        let changed = self
            .appearance
            .mode
            .map_or(mode, |change| change(mode, false));
        Mode::from_raw_mode(changed)
    }

    fn times(&self, stat: &Stat) -> Timestamps {
        self.appearance.times(stat)
    }
}

impl Graft<'_> {
    pub(super) fn leaf(&mut self, leaf: &Leaf<'_>, target: &Target<'_>) -> Result<(), GraftError> {
        let path = join_path(&target.place.path, target.name);
        let kind = FileType::from_raw_mode(leaf.stat.st_mode);
        if !matches!(
            kind,
            FileType::RegularFile | FileType::Symlink | FileType::Fifo
        ) {
            let what = match kind {
                FileType::Socket => "a socket",
                _ => "a device, which only root can make,",
            };
            let path = String::from_utf8_lossy(&path).into_owned();
            self.warnings.push(format!("/{path}: {what} is not copied"));
            return Ok(());
        }
        self.clear(target.place, target.name, &path)?;
        if leaf.stat.st_nlink > 1 {
            let key = (leaf.stat.st_dev, leaf.stat.st_ino);
            if let Some(first) = self.linked.get(&key) {
                self.copiers.settle()?;
                let (root, upper) = (self.layer.root(), &target.place.upper);
                let flags = AtFlags::empty();
                let linked = rustix::fs::linkat(root, &first[..], upper, target.name, flags);
                return linked.map_err(failed("link", &path));
            }
            self.linked.insert(key, path.clone());
        }
        match kind {
            FileType::RegularFile => self.file(leaf, target, path),
            _ => {
                let copied = self.special(leaf, target, kind);
                copied.map_err(failed("copy", &path))
            }
        }
    }

    /// Takes away what lies at a name that a file gets; a directory stays and is an error.
    pub(super) fn clear(
        &mut self,
        place: &Place,
        name: &[u8],
        path: &[u8],
    ) -> Result<(), GraftError> {
        if place.is_new {
            return Ok(());
        }
        let is_taken = || {
            let error = io::Error::from_raw_os_error(libc::EISDIR);
            failed("copy a file to", path)(error)
        };
        let here = fs::stat_at(&place.upper, name).map_err(failed("look at", path))?;
        match here {
            Some(stat) if is_directory(&stat) => Err(is_taken()),
            Some(_) => {
                if let Some(origins) = &mut self.origins {
                    origins.forget(path);
                }
                let removed = rustix::fs::unlinkat(&place.upper, name, AtFlags::empty());
                removed.map_err(failed("replace", path))
            }
            None => match place.below.look(name).map_err(failed("look at", path))? {
                Some(Shown::Directory { .. }) => Err(is_taken()),
                _ => Ok(()),
            },
        }
    }

    fn file(
        &mut self,
        leaf: &Leaf<'_>,
        target: &Target<'_>,
        path: Vec<u8>,
    ) -> Result<(), GraftError> {
        if let Some(origins) = &mut self.origins {
            origins.note(&path, leaf.stat);
        }
        let owner = self.new_owner(target.place, target.owner(leaf.stat));
        let former = self.former.as_ref().zip(target.place.former.as_ref());
        let former = former.filter(|(former, _)| former.has_copy(&path, leaf.stat));
        self.copiers.copy(Job {
            former: former.map(|(_, directory)| Arc::clone(directory)),
            source: leaf.source.shared_part(leaf.part),
            from: leaf.name.to_owned(),
            directory: Arc::clone(&target.place.upper),
            name: target.name.to_owned(),
            path,
            owner,
            given: Given {
                size: leaf.stat.st_size as u64,
                owner: owner.unwrap_or((0, 0)),
                mode: target.mode(leaf.stat),
                times: target.times(leaf.stat),
            },
        })
    }

    fn special(&self, leaf: &Leaf<'_>, target: &Target<'_>, kind: FileType) -> io::Result<()> {
        let (upper, name) = (&target.place.upper, target.name);
        if kind == FileType::Symlink {
            let link = leaf.source.read_link(leaf.part, leaf.name)?;
            rustix::fs::symlinkat(&link[..], upper, name)?;
        } else {
            rustix::fs::mknodat(upper, name, kind, Mode::RUSR, 0)?;
            rustix::fs::chmodat(upper, name, target.mode(leaf.stat), AtFlags::empty())?;
        }
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        if !self.single_id {
            let (uid, gid) = target.owner(leaf.stat);
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::fs::chownat(upper, name, Some(uid), Some(gid), flags)?;
        }
        Ok(rustix::fs::utimensat(
            upper,
            name,
            &target.times(leaf.stat),
            flags,
        )?)
    }
}

pub(super) fn create(directory: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    fault::at("make file")?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(
        directory,
        name,
        flags,
        Mode::RUSR | Mode::WUSR,
    )?)
}
