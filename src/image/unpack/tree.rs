//! Entry by entry into the tree: files, links, directories; what has to wait for the end is collected.

use std::io::Read;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use super::super::digest::Digest;
use super::super::layer::{LayerPath, LayerReport};
use super::super::tar::{Entry, EntryKind, Extent, Limits, TarReader};
use super::aside::Aside;
use super::attributes::{Applier, Attributes};
use super::place::{Directories, normalise, open_made};
use super::whiteout::{Marker, Whiteouts, marker};
use super::writers::{Job, Writers};
use super::{UnpackError, UnpackOptions};
use crate::sys::fault;
use crate::sys::fs;

/// Files up to this size are written by the writer threads; larger ones straight from the reader's buffer.
const SMALL: u64 = 256 * 1024;

pub(super) struct Tree<'a, 'scope> {
    directories: Directories<'a>,
    root: BorrowedFd<'a>,
    limits: Limits,
    plain: bool,
    applier: Arc<Applier>,
    writers: Writers<'scope>,
    whiteouts: Whiteouts,
    /// Mode and time of listed directories, set when nothing below them changes any more.
    last: Vec<(LayerPath, u32, (i64, u32))>,
    size: u64,
    entries: u64,
}

impl<'a, 'scope> Tree<'a, 'scope> {
    pub(super) fn new(
        root: BorrowedFd<'a>,
        options: &UnpackOptions,
        writers: Writers<'scope>,
        aside: Option<Aside<'a>>,
    ) -> Result<Tree<'a, 'scope>, UnpackError> {
        Ok(Tree {
            directories: Directories::new(root, &options.limits, aside)?,
            root,
            limits: options.limits,
            plain: options.plain,
            applier: writers.applier(),
            writers,
            whiteouts: Whiteouts::default(),
            last: Vec::new(),
            size: 0,
            entries: 0,
        })
    }

    pub(super) fn add<R: Read>(
        &mut self,
        mut entry: Entry,
        archive: &mut TarReader<R>,
    ) -> Result<(), UnpackError> {
        self.entries += 1;
        let path = normalise(&entry.path, &self.limits)?;
        let marked = match self.plain {
            true => Marker::None,
            false => marker(&path)?,
        };
        match marked {
            Marker::None => {}
            Marker::Skipped => return Ok(()),
            found => {
                self.directories.remember(&path)?;
                self.whiteouts.add(found);
                return Ok(());
            }
        }
        if path.0.is_empty() && entry.kind != EntryKind::Directory {
            return Err(UnpackError::Root {
                path: String::from_utf8_lossy(&entry.path).into_owned(),
            });
        }
        let attributes = Attributes::of(&mut entry, &path)?;
        match entry.kind {
            EntryKind::File => self.file(path, entry.size, attributes, archive),
            EntryKind::Directory => self.directory(path, attributes),
            EntryKind::HardLink => self.hard_link(&path, &entry.link),
            EntryKind::Symlink => {
                let parent = self.make(&path, |parent, name| {
                    fault::at("make link")?;
                    rustix::fs::symlinkat(&entry.link[..], parent, name)
                })?;
                self.applier.special(&parent, &attributes, &path, false)
            }
            EntryKind::Fifo => {
                let parent = self.make(&path, |parent, name| {
                    fault::at("make fifo")?;
                    rustix::fs::mknodat(parent, name, FileType::Fifo, Mode::RUSR, 0)
                })?;
                self.applier.special(&parent, &attributes, &path, true)
            }
            EntryKind::CharDevice | EntryKind::BlockDevice => {
                self.applier
                    .lost("device nodes, which only root can make,", &path);
                Ok(())
            }
        }
    }

    /// Makes something at `path`, in the place of whatever is there.
    fn make(
        &mut self,
        path: &LayerPath,
        mut make: impl FnMut(&OwnedFd, &[u8]) -> rustix::io::Result<()>,
    ) -> Result<std::rc::Rc<OwnedFd>, UnpackError> {
        let parent = self.directories.parent(path)?;
        match make(&parent, path.name()) {
            Ok(()) => return Ok(parent),
            Err(Errno::EXIST) => self.directories.clear(&parent, path)?,
            Err(errno) => return Err(UnpackError::io("make", path)(errno)),
        }
        make(&parent, path.name()).map_err(UnpackError::io("make", path))?;
        Ok(parent)
    }

    fn file<R: Read>(
        &mut self,
        path: LayerPath,
        size: u64,
        attributes: Attributes,
        archive: &mut TarReader<R>,
    ) -> Result<(), UnpackError> {
        let mut made = None;
        self.make(&path, |parent, name| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let mode = Mode::RUSR | Mode::WUSR;
            fault::at("make file")?;
            made = Some(rustix::fs::openat(parent, name, flags, mode)?);
            Ok(())
        })?;
        let fd = made.expect("make succeeded, so the file was opened");
        if let Some(extents) = archive.take_extents() {
            return self.sparse(&fd, (path, size), &extents, attributes, archive);
        }
        self.size += size;
        if size > 0
            && let Some(real) = self.directories.file_to_keep(&path)?
        {
            archive.keep_content(&real.0)?;
        }
        if self.writers.are_running() && size <= SMALL {
            let mut content = Vec::with_capacity(size as usize);
            while content.len() < size as usize {
                content.extend_from_slice(archive.content_slice()?);
            }
            return self.writers.send(Job {
                fd,
                content,
                attributes,
                path,
            });
        }
        loop {
            let slice = archive.content_slice()?;
            if slice.is_empty() {
                break;
            }
            write_all(&fd, slice).map_err(UnpackError::io("write", &path))?;
        }
        self.applier.file(&fd, &attributes, &path)
    }

    /// What the archive does not have of a file stays a hole.
    fn sparse<R: Read>(
        &mut self,
        fd: &OwnedFd,
        (path, size): (LayerPath, u64),
        extents: &[Extent],
        attributes: Attributes,
        archive: &mut TarReader<R>,
    ) -> Result<(), UnpackError> {
        if !extents.is_empty()
            && let Some(real) = self.directories.file_to_keep(&path)?
        {
            archive.keep_extents(&real.0, extents)?;
        }
        for extent in extents {
            self.size += extent.length;
            let start = SeekFrom::Start(extent.offset);
            rustix::fs::seek(fd, start).map_err(UnpackError::io("write", &path))?;
            let mut left = extent.length;
            while left > 0 {
                let slice = archive.content_slice_of(left)?;
                write_all(fd, slice).map_err(UnpackError::io("write", &path))?;
                left -= slice.len() as u64;
            }
        }
        rustix::fs::ftruncate(fd, size).map_err(UnpackError::io("write", &path))?;
        self.applier.file(fd, &attributes, &path)
    }

    fn directory(&mut self, path: LayerPath, attributes: Attributes) -> Result<(), UnpackError> {
        let fd = if path.0.is_empty() {
            open_made(&self.directories.open_or_make(&path)?, b".", &path)?
        } else {
            self.make_directory(&path)?
        };
        self.directories.listed(&fd, &path)?;
        self.applier.directory(&fd, &attributes, &path)?;
        self.directories.remember(&path)?;
        self.last.push((path, attributes.mode, attributes.mtime));
        Ok(())
    }

    fn make_directory(&mut self, path: &LayerPath) -> Result<OwnedFd, UnpackError> {
        let parent = self.directories.parent(path)?;
        let name = path.name();
        let make = || {
            fault::at("make directory")?;
            rustix::fs::mkdirat(&*parent, name, Mode::RWXU)
        };
        match make() {
            Ok(()) => return open_made(&parent, name, path),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(UnpackError::io("make", path)(errno)),
        }
        let stat = fs::stat_at(&*parent, name).map_err(UnpackError::io("look at", path))?;
        let is_directory =
            |stat: rustix::fs::Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if !stat.is_some_and(is_directory) {
            self.directories.clear(&parent, path)?;
            make().map_err(UnpackError::io("make", path))?;
        }
        open_made(&parent, name, path)
    }

    /// The target is resolved like every path, its last part not followed: a link to a symlink is one to itself.
    fn hard_link(&mut self, path: &LayerPath, target: &[u8]) -> Result<(), UnpackError> {
        let error = || UnpackError::HardLink {
            path: path.clone(),
            target: String::from_utf8_lossy(target).into_owned(),
        };
        let target = normalise(target, &self.limits)?;
        let above = target.parent().ok_or_else(error)?;
        let above = self.directories.open(&above)?.ok_or_else(error)?;
        let found = fs::stat_at(&above, target.name()).map_err(UnpackError::io("look at", path))?;
        let found = found.ok_or_else(error)?;
        let parent = self.directories.parent(path)?;
        let there = fs::stat_at(&*parent, path.name()).map_err(UnpackError::io("look at", path))?;
        if let Some(there) = there {
            if (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino) {
                return Ok(());
            }
            self.directories.clear(&parent, path)?;
        }
        let flags = AtFlags::empty();
        let link = || {
            fault::at("link")?;
            rustix::fs::linkat(&above, target.name(), &*parent, path.name(), flags)
        };
        match link() {
            Ok(()) => Ok(()),
            Err(Errno::NOENT | Errno::PERM) => Err(error()),
            Err(errno) => Err(UnpackError::io("link", path)(errno)),
        }
    }

    /// Waits for the writers, then what had to come last: whiteouts, then modes and times of directories.
    pub(super) fn finish(mut self) -> Result<LayerReport, UnpackError> {
        self.writers.finish()?;
        let placed = self.whiteouts.place(self.root, &mut self.directories)?;
        for (path, mode, mtime) in &self.last {
            // Another entry may have taken its place since.
            if let Some(fd) = self.directories.open(path)? {
                let fd = open_made(&fd, b".", path)?;
                Applier::directory_last(&fd, *mode, *mtime, path)?;
            }
        }
        let (implicit_dirs, replaced) = self.directories.into_records();
        Ok(LayerReport {
            diff_id: Digest::of(b""),
            size: self.size,
            tar_size: 0,
            tar_crc: None,
            entries: self.entries,
            implicit_dirs,
            replaced,
            blobs: Vec::new(),
            whiteouts: placed.whiteouts,
            opaque_root: placed.opaque_root,
            warnings: self.applier.warnings(),
        })
    }
}

pub(super) fn write_all(fd: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    fault::at("write content")?;
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
