//! A directory tree as a tar stream: `cp`, `export` and, from a container's own layer, `commit`. Every step is taken from an
//! open directory and follows no symlink, so that whoever changes the tree meanwhile changes what is read, never where.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::layer::LayerPath;
use super::outside::Ids;
use super::tar::{Entry, EntryKind, Limits, TarSink, TarStream};
use super::whiteouts::{MARKER, is_whiteout, marker_of};
use crate::sys::fs;
use crate::sys::xattr;

mod ahead;
mod content;

use ahead::{Queue, Wanted};

#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("{operation} {path}: {source}")]
    Io {
        operation: &'static str,
        path: LayerPath,
        source: io::Error,
    },
    #[error("write the archive: {source}")]
    Write { source: io::Error },
    #[error("{path}: deeper than {limit} directories, or its name is too long")]
    Depth { path: LayerPath, limit: usize },
}

impl PackError {
    /// Whoever reads the archive has stopped: what it says about that counts.
    pub fn is_closed(&self) -> bool {
        matches!(self, PackError::Write { source } if source.kind() == io::ErrorKind::BrokenPipe)
    }

    fn io<'p, E: Into<io::Error>>(
        operation: &'static str,
        path: &'p [u8],
    ) -> impl FnOnce(E) -> PackError + use<'p, E> {
        move |source| PackError::Io {
            operation,
            path: LayerPath(path.to_vec()),
            source: source.into(),
        }
    }
}

/// What kind of tree it is.
#[derive(Clone, Copy, Debug)]
pub enum Tree<'a> {
    /// As it is seen; pseudo file systems (`/proc`, `/sys`) appear empty.
    Plain {
        /// Owners as they are, or everything root's.
        keep_owners: bool,
    },
    /// An overlay's upper directory as a layer: whiteouts and opaque directories in the words of the image specification.
    Layer {
        /// What is no part of it.
        hidden: &'a HashSet<LayerPath>,
        /// `.wh.` files are whiteouts; elsewhere a program made them.
        marker_files: bool,
        ids: Ids,
    },
}

/// Writes trees into one archive.
pub struct Packer<'a, W> {
    stream: TarStream<W>,
    tree: Tree<'a>,
    /// Where a file with several names was written first.
    links: HashMap<(u64, u64), Vec<u8>>,
    /// What is not the tree's own, though it is there: directories of that kind appear empty, all else is left out.
    lent: HashSet<LayerPath>,
    warnings: Vec<String>,
    buffer: Vec<u8>,
    /// What waits for files that are read ahead.
    queue: Option<Queue>,
}

/// What is in a directory, in the order of the bytes of the names, as docker writes them.
type Names = std::vec::IntoIter<(Vec<u8>, FileType)>;

/// An extended attribute: its name and its value.
type Attribute = (Vec<u8>, Vec<u8>);
type Xattrs = Vec<Attribute>;

struct Level {
    fd: Arc<OwnedFd>,
    names: Names,
    /// Of the archive, with a slash at the end, or empty.
    path: Vec<u8>,
}

/// Warnings beyond these are not collected: a tree may hold millions of reasons.
const MAX_WARNINGS: usize = 16;

/// How files of a layer are opened, whatever takes their place in that moment: no waiting for a FIFO, no terminal of ours. To note that a
/// file was read costs as much as to read it, and nobody asks.
const LAYER_FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NOATIME)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

const OPAQUE: &[u8] = b"user.overlay.opaque";
const FUSE_OPAQUE: &[u8] = b"user.fuseoverlayfs.opaque";

impl<'a, W: TarSink> Packer<'a, W> {
    pub fn new(out: W, tree: Tree<'a>) -> Packer<'a, W> {
        Packer {
            stream: TarStream::new(out),
            tree,
            links: HashMap::new(),
            lent: HashSet::new(),
            warnings: Vec::new(),
            buffer: vec![0; 128 * 1024],
            queue: None,
        }
    }

    /// Without what was lent to the container whose root it is.
    pub fn without(mut self, lent: &[PathBuf]) -> Packer<'a, W> {
        let paths = lent.iter().map(|path| path.as_os_str().as_encoded_bytes());
        self.lent = paths.map(|path| LayerPath(path.to_vec())).collect();
        self
    }

    fn is_lent(&self, path: &[u8]) -> bool {
        !self.lent.is_empty() && self.lent.contains(&LayerPath(path.to_vec()))
    }

    /// With further threads that read the files of a layer which nobody changes any more.
    pub fn reading_ahead(mut self) -> Packer<'a, W> {
        self.queue = Queue::new();
        self
    }

    /// Writes what `name` in `parent` is, with everything below it, as `path` of the archive.
    pub fn add(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
    ) -> Result<(), PackError> {
        match self.object(parent, (name, None), path)? {
            Some(level) => self.walk(level),
            None => Ok(()),
        }
    }

    /// Writes everything in a directory, which itself is `path` of the archive; an empty path leaves it out.
    pub fn add_directory(&mut self, fd: OwnedFd, path: &[u8]) -> Result<(), PackError> {
        let level = if path.is_empty() {
            Level {
                names: names(&fd, path)?,
                fd: Arc::new(fd),
                path: Vec::new(),
            }
        } else {
            self.directory(fd, path)?
        };
        self.walk(level)
    }

    /// Writes what was opened already as `path` of the archive; `false` if it is neither a directory nor a file.
    pub fn add_open(&mut self, fd: OwnedFd, path: &[u8]) -> Result<bool, PackError> {
        let stat = rustix::fs::fstat(&fd).map_err(PackError::io("look at", path))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.add_directory(fd, path).map(|()| true),
            FileType::RegularFile => self.file(&fd, path).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Ends the archive: its size and what could not be kept.
    pub fn finish(mut self) -> Result<(u64, Vec<String>), PackError> {
        self.catch_up(true)?;
        let ended = self.stream.finish();
        let size = ended.map_err(|source| PackError::Write { source })?;
        Ok((size, self.warnings))
    }

    fn walk(&mut self, top: Level) -> Result<(), PackError> {
        let limits = Limits::default();
        let mut stack = vec![top];
        while let Some(level) = stack.last_mut() {
            let Some((name, kind)) = level.names.next() else {
                stack.pop();
                continue;
            };
            let path = [&level.path[..], &name].concat();
            if path.len() as u64 > limits.path || stack.len() > limits.depth {
                return Err(PackError::Depth {
                    path: LayerPath(path),
                    limit: limits.depth,
                });
            }
            let directory = &stack[stack.len() - 1].fd;
            let fd = directory.as_fd();
            let named = (&name[..], Some(kind));
            let below = match self.tree {
                // Something else may be mounted there than what is in the list, such as a device on a file.
                Tree::Plain { .. } if kind != FileType::Directory && self.is_lent(&path) => None,
                Tree::Plain { .. } => self.object(fd, (&name, None), &path)?,
                Tree::Layer {
                    hidden,
                    marker_files,
                    ..
                } => {
                    if hidden.contains(&LayerPath(path.clone())) {
                        continue;
                    }
                    match name.strip_prefix(MARKER) {
                        Some(_) if !marker_files => {
                            self.warn("a name that would delete files of the image", &path);
                            None
                        }
                        Some(hidden) if !hidden.starts_with(MARKER) => {
                            let parent = &path[..path.len() - name.len()];
                            self.whiteout(&[parent, hidden].concat())?
                        }
                        None if kind == FileType::RegularFile && self.queue.is_some() => {
                            let directory = Arc::clone(directory);
                            self.defer(Wanted {
                                directory,
                                name,
                                path,
                            })?;
                            continue;
                        }
                        // fuse-overlayfs' opaque directories.
                        Some(_) | None => self.object(fd, named, &path)?,
                    }
                }
            };
            stack.extend(below);
        }
        Ok(())
    }

    /// Writes one entry; for a directory gives what is in it. What vanished or became something else meanwhile is left out.
    fn object(
        &mut self,
        parent: BorrowedFd<'_>,
        (name, listed): (&[u8], Option<FileType>),
        path: &[u8],
    ) -> Result<Option<Level>, PackError> {
        let kind = listed.unwrap_or(FileType::Unknown);
        if matches!(kind, FileType::Directory | FileType::RegularFile) {
            return self.opened(parent, name, kind, path);
        }
        let found = fs::stat_at(parent, name).map_err(PackError::io("look at", path))?;
        let Some(stat) = found else { return Ok(None) };
        match FileType::from_raw_mode(stat.st_mode) {
            kind @ (FileType::Directory | FileType::RegularFile) => {
                self.opened(parent, name, kind, path)
            }
            FileType::Symlink => match rustix::fs::readlinkat(parent, name, Vec::new()) {
                Ok(link) => {
                    let mut entry = self.described(&stat, path, EntryKind::Symlink)?;
                    entry.link = link.into_bytes();
                    self.special(&stat, entry).map(|()| None)
                }
                Err(Errno::NOENT | Errno::INVAL) => Ok(None),
                Err(errno) => Err(PackError::io("read the link", path)(errno)),
            },
            FileType::CharacterDevice if is_whiteout(&stat) => self.whiteout(path),
            FileType::CharacterDevice => self.device(&stat, path, EntryKind::CharDevice),
            FileType::BlockDevice => self.device(&stat, path, EntryKind::BlockDevice),
            FileType::Fifo => {
                let entry = self.described(&stat, path, EntryKind::Fifo)?;
                self.special(&stat, entry).map(|()| None)
            }
            // A socket is nothing without its process; docker leaves it out too.
            _ => Ok(None),
        }
    }

    /// What is looked at once it is open.
    fn opened(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        kind: FileType,
        path: &[u8],
    ) -> Result<Option<Level>, PackError> {
        let mut flags = LAYER_FILE;
        if matches!(self.tree, Tree::Plain { .. }) {
            flags -= OFlags::NOATIME;
        }
        if kind == FileType::Directory {
            return match open(parent, name, flags | OFlags::DIRECTORY, path)? {
                Some(fd) => self.directory(fd, path).map(Some),
                None => Ok(None),
            };
        }
        if let Some(fd) = open(parent, name, flags, path)? {
            self.file(&fd, path)?;
        }
        Ok(None)
    }

    fn directory(&mut self, fd: OwnedFd, path: &[u8]) -> Result<Level, PackError> {
        let stat = rustix::fs::fstat(&fd).map_err(PackError::io("look at", path))?;
        let mut entry = self.described(&stat, path, EntryKind::Directory)?;
        let xattrs = attributes(&fd).map_err(PackError::io("read the attributes of", path))?;
        entry.xattrs = self.kept(&xattrs, path)?;
        self.write(entry)?;
        let mut prefix = path.to_vec();
        if !prefix.ends_with(b"/") {
            prefix.push(b'/');
        }
        let is_layer = matches!(self.tree, Tree::Layer { .. });
        let opaque =
            |(name, value): &Attribute| value == b"y" && (name == OPAQUE || name == FUSE_OPAQUE);
        if is_layer && xattrs.iter().any(opaque) {
            let path = [&prefix[..], b".wh..wh..opq"].concat();
            let marker = self.described(&stat, &path, EntryKind::File)?;
            self.write(Entry {
                mode: 0o600,
                ..marker
            })?;
        }
        let pseudo = !is_layer && (fs::is_pseudo(&fd) || self.is_lent(path));
        let names = match pseudo {
            true => Vec::new().into_iter(),
            false => names(&fd, path)?,
        };
        Ok(Level {
            fd: Arc::new(fd),
            names,
            path: prefix,
        })
    }

    fn device(
        &mut self,
        stat: &Stat,
        path: &[u8],
        kind: EntryKind,
    ) -> Result<Option<Level>, PackError> {
        let mut entry = self.described(stat, path, kind)?;
        entry.device = (
            rustix::fs::major(stat.st_rdev),
            rustix::fs::minor(stat.st_rdev),
        );
        self.special(stat, entry).map(|()| None)
    }

    /// Writes what is neither file nor directory; in a layer its second name is a link to the first one.
    fn special(&mut self, stat: &Stat, mut entry: Entry) -> Result<(), PackError> {
        if stat.st_nlink > 1 && matches!(self.tree, Tree::Layer { .. }) {
            let key = (stat.st_dev, stat.st_ino);
            match self.links.get(&key) {
                Some(first) => {
                    entry.kind = EntryKind::HardLink;
                    entry.link.clone_from(first);
                }
                None => drop(self.links.insert(key, entry.path.clone())),
            }
        }
        self.write(entry)
    }

    /// In a plain tree it is overlayfs' and deletes nothing that anybody sees.
    fn whiteout(&mut self, path: &[u8]) -> Result<Option<Level>, PackError> {
        if matches!(self.tree, Tree::Layer { .. }) {
            let place = LayerPath(path.to_vec());
            let mut marker = place.parent().unwrap_or(LayerPath(Vec::new())).0;
            if !marker.is_empty() {
                marker.push(b'/');
            }
            marker.extend(marker_of(place.name()));
            self.write(Entry {
                path: marker,
                link: Vec::new(),
                kind: EntryKind::File,
                mode: 0o600,
                uid: 0,
                gid: 0,
                mtime: (0, 0),
                size: 0,
                device: (0, 0),
                xattrs: Vec::new(),
            })?;
        }
        Ok(None)
    }

    fn described(&self, stat: &Stat, path: &[u8], kind: EntryKind) -> Result<Entry, PackError> {
        let owner = match self.tree {
            Tree::Plain { keep_owners: true } => Ok((stat.st_uid, stat.st_gid)),
            Tree::Plain { keep_owners: false } => Ok((0, 0)),
            Tree::Layer { ids, .. } => ids.owner(stat),
        };
        let (uid, gid) = owner.map_err(PackError::io("tell the owner of", path))?;
        Ok(Entry {
            path: path.to_vec(),
            link: Vec::new(),
            kind,
            mode: stat.st_mode & 0o7777,
            uid: u64::from(uid),
            gid: u64::from(gid),
            mtime: (stat.st_mtime, 0),
            size: 0,
            device: (0, 0),
            xattrs: Vec::new(),
        })
    }

    /// File capabilities and the user's own attributes. Of a layer overlayfs' marks stay behind, and what a container called
    /// so (escaped below, `overlayfs.rst`) gets its name back. From outside of the home namespace they are refused: not all could be set.
    fn kept(&self, xattrs: &[Attribute], path: &[u8]) -> Result<Xattrs, PackError> {
        let is_layer = matches!(self.tree, Tree::Layer { .. });
        let kept = xattrs.iter().filter_map(|(name, value)| {
            let escaped = name.strip_prefix(b"user.overlay.overlay.");
            let name = match escaped {
                Some(rest) if is_layer => [b"user.overlay.", rest].concat(),
                _ if is_layer && is_mark(name) => return None,
                _ => name.clone(),
            };
            Some((name, value.clone()))
        });
        let kept: Vec<_> = kept.collect();
        match self.tree {
            Tree::Layer { ids, .. } if ids.is_outside() && !kept.is_empty() => {
                Err(PackError::io("keep the attributes of", path)(Errno::PERM))
            }
            _ => Ok(kept),
        }
    }

    /// Writes an entry when it is its turn.
    fn write(&mut self, entry: Entry) -> Result<(), PackError> {
        let entry = match &mut self.queue {
            Some(queue) => queue.add_entry(entry),
            None => Some(entry),
        };
        match entry {
            Some(entry) => self.put(&entry),
            None => self.catch_up(false),
        }
    }

    /// Writes an entry.
    fn put(&mut self, entry: &Entry) -> Result<(), PackError> {
        let written = self.stream.entry(entry);
        written.map_err(|source| PackError::Write { source })
    }

    fn warn(&mut self, what: &str, path: &[u8]) {
        if self.warnings.len() < MAX_WARNINGS {
            let path = LayerPath(path.to_vec());
            self.warnings.push(format!("{path}: {what}"));
        }
    }
}

fn is_mark(name: &[u8]) -> bool {
    [
        &b"user.overlay."[..],
        b"user.fuseoverlayfs.",
        b"user.containers.",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// `None` where it went away or became something else since it was looked at.
fn open(
    parent: BorrowedFd<'_>,
    name: &[u8],
    flags: OFlags,
    path: &[u8],
) -> Result<Option<OwnedFd>, PackError> {
    match rustix::fs::openat(parent, name, flags | OFlags::CLOEXEC, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        // For others than the owner.
        Err(Errno::PERM) if flags.contains(OFlags::NOATIME) => {
            open(parent, name, flags - OFlags::NOATIME, path)
        }
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => Ok(None),
        Err(errno) => Err(PackError::io("open", path)(errno)),
    }
}

fn names(fd: &OwnedFd, path: &[u8]) -> Result<Names, PackError> {
    let mut names = fs::list_kinds(fd).map_err(PackError::io("list", path))?;
    names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(names.into_iter())
}

/// The attributes that images carry, with their values.
fn attributes(fd: &OwnedFd) -> io::Result<Xattrs> {
    let mut names = xattr::list(fd)?;
    names.retain(|name| name.starts_with(b"user.") || name == b"security.capability");
    names.sort_unstable();
    let mut all = Vec::new();
    for name in names {
        if let Some(value) = xattr::get(fd, &name)? {
            all.push((name, value));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
