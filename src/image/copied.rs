//! A container's root as a copy of its layers, where nothing can stack them: made once, before the first start, and the container's own
//! from then on. What it has changed is found by comparing. Never mounts anything. Runs in the home namespace.

mod upper;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use serde::{Deserialize, Serialize};

use super::layer::LayerPath;
use super::merged::{Merged, Shown};
use super::tar::Limits;
use crate::sys::copy::{Kept, Owners, copy_attributes, copy_entry};
use crate::sys::{disk, fault, fs};

#[derive(Debug, thiserror::Error)]
pub enum CopiedError {
    #[error("{operation} {path}: {source}")]
    Inside {
        operation: &'static str,
        /// In the container.
        path: LayerPath,
        source: io::Error,
    },
    #[error("{operation} {}: {source}", path.display())]
    Beside {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

/// A copy, made or to be made. Whoever has it holds the container's record, or the layer that a build makes.
#[derive(Clone, Copy, Debug)]
pub struct CopiedRoot<'a> {
    /// Where it is, when it is whole: then, and never before, there is a directory of this name (`store/visible-after-rename`). Beside it
    /// are files of the same name with an ending.
    pub place: &'a Path,
    /// The directories of the image's layers, bottom first.
    pub below: &'a [PathBuf],
    /// The container's own layer, from the times when something stacked them.
    pub upper: &'a Path,
    /// What is the engine's in it, below its root: that has not changed, whatever is there.
    pub lent: &'a [PathBuf],
}

/// Seconds and nanoseconds, as the file system counts them.
type Time = (i64, u64);

/// When it was made. Nothing that was changed inside it since then has a ctime of that time; nobody but the kernel sets those.
#[derive(Serialize, Deserialize)]
struct Made {
    began: Time,
    ended: Time,
    /// There was nothing in the container's own layer.
    is_of_image: bool,
}

/// What says how long a wait for the next tick of a file system's clock can take: some count in seconds.
const TICK_MAX: Duration = Duration::from_secs(3);

/// Attributes by which overlays mark their directories mean nothing in a copy.
pub(super) const KEPT: Kept = Kept {
    owners: Owners::Kept,
    xattrs: is_kept,
};

fn is_kept(name: &[u8]) -> bool {
    let is_mark = name.starts_with(b"user.overlay.") && !name.starts_with(b"user.overlay.overlay.");
    !is_mark && !name.starts_with(b"user.fuseoverlayfs.")
}

impl CopiedRoot<'_> {
    pub fn is_whole(&self) -> bool {
        self.place.is_dir()
    }

    fn beside(&self, ending: &str) -> PathBuf {
        self.place.with_extension(ending)
    }

    /// Makes it unless it is there. What a copy that was interrupted has left is rubbish. With `lasting` it survives a power loss.
    pub fn make(&self, lasting: bool) -> Result<(), CopiedError> {
        if self.is_whole() {
            return Ok(());
        }
        let new = self.beside("new");
        let failed = |operation| beside(operation, &new);
        match fs::remove_path(&new) {
            Err(error) if error.source.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove")(error.source));
            }
            _ => {}
        }
        disk::create_dir(&new).map_err(failed("make"))?;
        let target = fs::open_directory(&new).map_err(failed("open"))?;
        let clock = Clock::start(self.beside("clock"))?;
        let began = clock.now()?;
        let own = fs::open_directory(self.upper).and_then(|upper| fs::list_directory(&upper));
        let is_of_image = own.map_err(beside("read", self.upper))?.is_empty();
        let mut copier = Copier::into(&target);
        let top = LayerPath(Vec::new());
        copier.directory(&self.all()?, &target, &top, 0)?;
        let made = Made {
            began,
            ended: clock.now()?,
            is_of_image,
        };
        clock.wait_beyond(made.ended)?;
        let record = serde_json::to_vec(&made).expect("plain data always serialises");
        let path = self.beside("json");
        disk::write(&path, record).map_err(beside("write", &path))?;
        if lasting {
            fs::sync_filesystem(&target).map_err(failed("write ahead"))?;
        }
        disk::rename(&new, self.place).map_err(beside("name", self.place))
    }

    /// Everything that the container sees at first.
    fn all(&self) -> Result<Merged, CopiedError> {
        let upper = self.upper.to_owned();
        let layers: Vec<PathBuf> = self.below.iter().cloned().chain([upper]).collect();
        Merged::of_layers(&layers).map_err(beside("open the layers below", self.place))
    }

    fn made(&self) -> Result<Made, CopiedError> {
        let path = self.beside("json");
        std::fs::read(&path)
            .and_then(|text| Ok(serde_json::from_slice(&text)?))
            .map_err(beside("read", &path))
    }
}

fn beside(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CopiedError {
    let path = path.to_owned();
    move |source| CopiedError::Beside {
        operation,
        path,
        source,
    }
}

pub(super) fn inside<E: Into<io::Error>>(
    operation: &'static str,
    path: &LayerPath,
) -> impl FnOnce(E) -> CopiedError + use<E> {
    let path = path.clone();
    move |source| CopiedError::Inside {
        operation,
        path,
        source: source.into(),
    }
}

fn changed_at(stat: &Stat) -> Time {
    (stat.st_ctime, stat.st_ctime_nsec)
}

/// The file system's own: that of its server, if it has one, in its own ticks. A file that goes when this does.
struct Clock {
    file: File,
    path: PathBuf,
}

impl Clock {
    fn start(path: PathBuf) -> Result<Clock, CopiedError> {
        let file = File::create(&path).map_err(beside("make", &path))?;
        Ok(Clock { file, path })
    }

    fn now(&self) -> Result<Time, CopiedError> {
        let written = self.file.write_all_at(b".", 0);
        let stat = written.and_then(|()| Ok(rustix::fs::fstat(&self.file)?));
        Ok(changed_at(&stat.map_err(beside("ask", &self.path))?))
    }

    fn wait_beyond(&self, time: Time) -> Result<(), CopiedError> {
        let began = std::time::Instant::now();
        while self.now()? <= time {
            // What is changed in that tick could not be told from the copy.
            if began.elapsed() > TICK_MAX {
                return Err(beside("wait for the clock of", &self.path)(
                    io::ErrorKind::TimedOut.into(),
                ));
            }
            // Nobody tells when a file system's clock ticks.
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

pub(super) struct Copier<'a> {
    top: &'a OwnedFd,
    /// Where the first name of a file with several is, by device and inode.
    linked: HashMap<(u64, u64), LayerPath>,
}

impl<'a> Copier<'a> {
    pub(super) fn into(top: &'a OwnedFd) -> Copier<'a> {
        Copier {
            top,
            linked: HashMap::new(),
        }
    }

    pub(super) fn directory(
        &mut self,
        source: &Merged,
        target: &OwnedFd,
        path: &LayerPath,
        depth: usize,
    ) -> Result<(), CopiedError> {
        check_depth(path, depth)?;
        for name in source.list().map_err(inside("list", path))? {
            let child = path.join(&name);
            match source.look(&name).map_err(inside("look at", &child))? {
                Some(Shown::Directory { directory, .. }) => {
                    let made = fault::at("make directory")
                        .and_then(|()| rustix::fs::mkdirat(target, &name, Mode::RWXU));
                    made.map_err(inside("make", &child))?;
                    let below = open_directory(target, &name).map_err(inside("open", &child))?;
                    self.directory(&directory, &below, &child, depth + 1)?;
                }
                Some(Shown::Other { stat, part }) => {
                    self.entry((source, part), target, &stat, &child)?;
                }
                None => {}
            }
        }
        // Its time comes last: entries below change it.
        let copied = source
            .top()
            .map_or(Ok(()), |top| copy_attributes(top, target.as_fd(), KEPT));
        copied.map_err(inside("set the attributes of", path))
    }

    pub(super) fn entry(
        &mut self,
        (source, part): (&Merged, usize),
        target: &OwnedFd,
        stat: &Stat,
        path: &LayerPath,
    ) -> Result<(), CopiedError> {
        let name = path.name();
        let failed = inside("copy", path);
        if stat.st_nlink > 1 {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.linked.get(&key) {
                let linked = fault::at("link").and_then(|()| {
                    rustix::fs::linkat(self.top, &first.0[..], target, name, AtFlags::empty())
                });
                return linked.map_err(inside("link", path));
            }
            if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice {
                self.linked.insert(key, path.clone());
            }
        }
        fault::at("copy file")
            .map_err(io::Error::from)
            .and_then(|()| copy_entry(source.part(part), target.as_fd(), name, stat, KEPT))
            .map_err(failed)
    }
}

pub(super) fn check_depth(path: &LayerPath, depth: usize) -> Result<(), CopiedError> {
    match depth > Limits::default().depth {
        true => Err(inside("enter", path)(io::Error::from_raw_os_error(
            libc::ENAMETOOLONG,
        ))),
        false => Ok(()),
    }
}

pub(super) fn open_directory(parent: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(io::Error::from)
}

#[cfg(test)]
mod tests;
