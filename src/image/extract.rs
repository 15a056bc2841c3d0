//! A tar stream into a directory that exists and may be changed by others meanwhile: `cp`. Docker's rules for what may take
//! the place of what. Every path is opened below the descriptor given, nothing is written through a symlink's last part.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, Uid};
use rustix::io::Errno;

use super::layer::LayerPath;
use super::tar::{Entry, EntryKind, Limits, TarError, TarReader};
use crate::sys::fs::{self, Links};
use crate::sys::xattr;

#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    #[error(transparent)]
    Tar(#[from] TarError),
    #[error("{path:?}: leads out of the directory it is copied to")]
    Escapes { path: String },
    #[error("cannot overwrite directory {path} with non-directory")]
    FileOverDirectory { path: LayerPath },
    #[error("cannot overwrite non-directory {path} with directory")]
    DirectoryOverFile { path: LayerPath },
    #[error("cannot copy directory to {path}, which is none")]
    DirectoryToFile { path: LayerPath },
    #[error("no such directory: {path}")]
    NoSuchDirectory { path: LayerPath },
    #[error("{path}: somebody else makes it again and again")]
    Contended { path: LayerPath },
    #[error("the archive lists too many directories: their names need more than {limit} bytes")]
    Remembered { limit: u64 },
    #[error("{path}: only root can make a device")]
    Device { path: LayerPath },
    #[error("{path}: the file system is read-only")]
    ReadOnly { path: LayerPath },
    #[error("{operation} {path}: {source}")]
    Io {
        operation: &'static str,
        path: LayerPath,
        source: io::Error,
    },
}

impl ExtractError {
    /// Whoever writes the archive has stopped in the middle: what it says about that counts.
    pub fn is_cut(&self) -> bool {
        matches!(self, ExtractError::Tar(TarError::Truncated { .. }))
    }

    fn io<'p, E: Into<io::Error>>(
        operation: &'static str,
        path: &'p [u8],
    ) -> impl FnOnce(E) -> ExtractError + use<'p, E> {
        move |source| {
            let (path, source) = (LayerPath(path.to_vec()), source.into());
            match source.kind() {
                io::ErrorKind::ReadOnlyFilesystem => ExtractError::ReadOnly { path },
                _ => ExtractError::Io {
                    operation,
                    path,
                    source,
                },
            }
        }
    }

    /// Paths as whoever named the destination knows them.
    fn below(mut self, directory: &[u8]) -> ExtractError {
        if let ExtractError::FileOverDirectory { path }
        | ExtractError::DirectoryOverFile { path }
        | ExtractError::DirectoryToFile { path }
        | ExtractError::NoSuchDirectory { path }
        | ExtractError::Contended { path }
        | ExtractError::Device { path }
        | ExtractError::ReadOnly { path }
        | ExtractError::Io { path, .. } = &mut self
        {
            path.0 = whole(directory, &path.0);
        }
        self
    }
}

/// What is at the place that was named as the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    Directory,
    Other,
    /// Nothing; its parent is a directory. The name may demand a directory (`new/`).
    Missing {
        demands_directory: bool,
    },
}

/// Where the archive goes: paths below the root directory that is passed with it.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The directory that was named, or the one that holds what was named.
    pub directory: Vec<u8>,
    /// The last part of the name, if that is no directory.
    pub name: Vec<u8>,
    pub there: There,
    /// The directory's absolute path, to be shown.
    pub shown: Vec<u8>,
}

/// How entries become files.
#[derive(Clone, Copy, Debug)]
pub struct ExtractOptions {
    /// Files get the archive's owners; else they stay with whoever writes them.
    pub keep_owners: bool,
    /// Only one id is mapped: owners that don't exist here are ignored.
    pub single_id: bool,
    /// Set-id bits stay: not where they would give the user's own rights to other users of the host.
    pub keep_set_id: bool,
    /// Whether symlinks that are there already are followed (inside the root) to the directory of an entry.
    pub links: Links,
    /// The one entry at the top takes the destination's name, by docker's rules for `cp`. Else the archive goes into the
    /// destination as it is.
    pub rename: bool,
}

struct Extractor<'a> {
    root: BorrowedFd<'a>,
    base: Vec<u8>,
    options: ExtractOptions,
    limits: Limits,
    ours: (u32, u32),
    /// What the first part of all paths is called instead.
    top: Option<Vec<u8>>,
    parent: Option<(Vec<u8>, Rc<OwnedFd>)>,
    /// Directories whose mode and time are set when nothing below them changes any more.
    last: Vec<(LayerPath, u32, i64)>,
    remembered: u64,
    /// The first of those that were left out, and how many others were made.
    devices: Vec<Vec<u8>>,
    others: u64,
}

/// So many devices are warned of.
const DEVICES: usize = 10;

/// How often something may come back into the place that was just made free.
const ATTEMPTS: u32 = 100;

/// Extracts an archive to its end; what was left out, in words.
pub fn extract(
    archive: impl Read,
    root: BorrowedFd<'_>,
    destination: &Destination,
    options: ExtractOptions,
) -> Result<Vec<String>, ExtractError> {
    let extracted = extract_below(archive, root, destination, options);
    extracted.map_err(|error| error.below(&destination.shown))
}

fn extract_below(
    archive: impl Read,
    root: BorrowedFd<'_>,
    destination: &Destination,
    options: ExtractOptions,
) -> Result<Vec<String>, ExtractError> {
    let limits = Limits::default();
    let mut archive = TarReader::new(archive, limits);
    let mut extractor = Extractor {
        root,
        base: destination.directory.clone(),
        options,
        limits,
        ours: (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        ),
        top: None,
        parent: None,
        last: Vec::new(),
        remembered: 0,
        devices: Vec::new(),
        others: 0,
    };
    let mut first = true;
    while let Some(entry) = archive.next_entry()? {
        if first && options.rename {
            let is_directory = entry.kind == EntryKind::Directory;
            extractor.top = place(destination, is_directory)?;
        }
        first = false;
        extractor.add(&entry, &mut archive)?;
    }
    extractor.finish()?;
    archive.drain()?;
    extractor.left_out(&destination.shown)
}

/// docker's `PrepareArchiveCopy`: the name that the top entry gets, or its own.
fn place(destination: &Destination, is_directory: bool) -> Result<Option<Vec<u8>>, ExtractError> {
    let path = LayerPath(destination.name.clone());
    match (destination.there, is_directory) {
        (There::Directory, _) => Ok(None),
        (There::Other, true) => Err(ExtractError::DirectoryToFile { path }),
        (
            There::Missing {
                demands_directory: true,
            },
            false,
        ) => Err(ExtractError::NoSuchDirectory { path }),
        _ => Ok(Some(destination.name.clone())),
    }
}

impl Extractor<'_> {
    fn add<R: Read>(
        &mut self,
        entry: &Entry,
        archive: &mut TarReader<R>,
    ) -> Result<(), ExtractError> {
        let path = self.renamed(&entry.path)?;
        if path.is_empty() {
            // The destination itself: it stays as it is.
            return Ok(());
        }
        if matches!(entry.kind, EntryKind::CharDevice | EntryKind::BlockDevice) {
            if self.devices.len() < DEVICES {
                self.devices.push(path);
            }
            return Ok(());
        }
        self.others += 1;
        let (above, name) = split(&path);
        let parent = self.parent(above)?;
        match entry.kind {
            EntryKind::Directory => self.directory(&parent, name, entry, &path),
            EntryKind::File => {
                let fd = self.make(&parent, name, &path, |parent, name| {
                    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                    rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)
                })?;
                copy(archive, &fd, &path)?;
                self.dress(&fd, entry, &path)
            }
            EntryKind::HardLink => self.hard_link(&parent, name, entry, &path),
            EntryKind::Symlink => {
                self.make(&parent, name, &path, |parent, name| {
                    rustix::fs::symlinkat(&entry.link[..], parent, name)
                })?;
                self.special(&parent, name, entry, &path, FileType::Symlink)
            }
            EntryKind::Fifo => {
                let mode = Mode::from_raw_mode(entry.mode & 0o777);
                self.make(&parent, name, &path, |parent, name| {
                    rustix::fs::mknodat(parent, name, FileType::Fifo, mode, 0)
                })?;
                self.special(&parent, name, entry, &path, FileType::Fifo)
            }
            EntryKind::CharDevice | EntryKind::BlockDevice => unreachable!("left out above"),
        }
    }

    /// The path below the destination: plain parts, the first one renamed where the destination has a name of its own.
    fn renamed(&self, path: &[u8]) -> Result<Vec<u8>, ExtractError> {
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in path.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    return Err(ExtractError::Escapes {
                        path: String::from_utf8_lossy(path).into_owned(),
                    });
                }
                _ => parts.push(part),
            }
        }
        if let Some(top) = &self.top {
            // `./x` of a directory whose content was asked for has no part of its own to rename.
            if path.starts_with(b"./") || parts.is_empty() {
                parts.insert(0, top);
            } else {
                parts[0] = top;
            }
        }
        if parts.len() > self.limits.depth {
            return Err(ExtractError::Escapes {
                path: String::from_utf8_lossy(path).into_owned(),
            });
        }
        Ok(parts.join(&b'/'))
    }

    fn parent(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>, ExtractError> {
        if let Some((_, fd)) = self.parent.as_ref().filter(|(last, _)| last == path) {
            return Ok(Rc::clone(fd));
        }
        let fd = match self.open(path) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => self.make_parents(path)?,
            other => other.map_err(ExtractError::io("open", path))?,
        };
        let fd = Rc::new(fd);
        self.parent = Some((path.to_vec(), Rc::clone(&fd)));
        Ok(fd)
    }

    /// A directory below the destination, which itself may lie behind symlinks of the root.
    fn open(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let full = [&self.base[..], b"/", path].concat();
        fs::open_directory_in_root(self.root, &full, self.options.links)
    }

    /// Directories that the archive does not list.
    fn make_parents(&self, path: &[u8]) -> Result<OwnedFd, ExtractError> {
        let mut above = self.open(b"").map_err(ExtractError::io("open", path))?;
        let mut end = 0;
        for part in path.split(|byte| *byte == b'/') {
            end += part.len() + usize::from(end > 0);
            above = match self.open(&path[..end]) {
                Ok(fd) => fd,
                Err(_) => {
                    let made = rustix::fs::mkdirat(&above, part, Mode::from_raw_mode(0o755));
                    made.map_err(ExtractError::io("make a directory for", path))?;
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                    rustix::fs::openat(&above, part, flags | OFlags::CLOEXEC, Mode::empty())
                        .map_err(ExtractError::io("open", path))?
                }
            };
        }
        Ok(above)
    }

    /// Makes something that is no directory at `name`, in the place of what is there if that is none either.
    fn make<T>(
        &self,
        parent: &OwnedFd,
        name: &[u8],
        path: &[u8],
        mut make: impl FnMut(&OwnedFd, &[u8]) -> rustix::io::Result<T>,
    ) -> Result<T, ExtractError> {
        for _ in 0..ATTEMPTS {
            match make(parent, name) {
                Ok(made) => return Ok(made),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(ExtractError::io("make", path)(errno)),
            }
            match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR) => {
                    return Err(ExtractError::FileOverDirectory {
                        path: LayerPath(path.to_vec()),
                    });
                }
                Err(errno) => return Err(ExtractError::io("replace", path)(errno)),
            }
        }
        Err(ExtractError::Contended {
            path: LayerPath(path.to_vec()),
        })
    }

    fn directory(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        entry: &Entry,
        path: &[u8],
    ) -> Result<(), ExtractError> {
        let made = rustix::fs::mkdirat(parent, name, Mode::RWXU);
        let is_new = match made {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(ExtractError::io("make", path)(errno)),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return Err(ExtractError::DirectoryOverFile {
                    path: LayerPath(path.to_vec()),
                });
            }
            // One of the user's own that may be entered but not read: its attributes stay.
            Err(Errno::ACCESS) if !is_new => return Ok(()),
            Err(errno) => return Err(ExtractError::io("open", path)(errno)),
        };
        self.chown(&fd, entry, path)?;
        set_xattrs(&fd, entry);
        self.remembered += path.len() as u64 + 64;
        if self.remembered > self.limits.remembered {
            return Err(ExtractError::Remembered {
                limit: self.limits.remembered,
            });
        }
        self.last
            .push((LayerPath(path.to_vec()), self.mode(entry), entry.mtime.0));
        Ok(())
    }

    fn hard_link(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        entry: &Entry,
        path: &[u8],
    ) -> Result<(), ExtractError> {
        let target = self.renamed(&entry.link)?;
        let (above, target_name) = split(&target);
        let above = self.open(above);
        let above = above.map_err(ExtractError::io("find the target of the link", path))?;
        self.make(parent, name, path, |parent, name| {
            rustix::fs::linkat(&above, target_name, parent, name, AtFlags::empty())
        })
    }

    /// Owner, mode, attributes and time of a file: a `chown` clears set-id bits and capabilities, so they come after it.
    fn dress(&self, fd: &OwnedFd, entry: &Entry, path: &[u8]) -> Result<(), ExtractError> {
        self.chown(fd, entry, path)?;
        rustix::fs::fchmod(fd, Mode::from_raw_mode(self.mode(entry)))
            .map_err(ExtractError::io("set the mode of", path))?;
        set_xattrs(fd, entry);
        rustix::fs::futimens(fd, &times(entry.mtime.0))
            .map_err(ExtractError::io("set the time of", path))
    }

    /// A symlink or FIFO that was just made, unless something else is there already.
    fn special(
        &self,
        parent: &OwnedFd,
        name: &[u8],
        entry: &Entry,
        path: &[u8],
        kind: FileType,
    ) -> Result<(), ExtractError> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(fd) = rustix::fs::openat(parent, name, flags, Mode::empty()) else {
            return Ok(());
        };
        let stat = rustix::fs::fstat(&fd).map_err(ExtractError::io("look at", path))?;
        if FileType::from_raw_mode(stat.st_mode) == kind {
            self.chown_path(&fd, entry, path)?;
            // Older kernels can't by descriptor; the time of a link matters to nobody then.
            let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
            let _ = rustix::fs::utimensat(&fd, "", &times(entry.mtime.0), flags);
        }
        Ok(())
    }

    fn chown(&self, fd: &OwnedFd, entry: &Entry, path: &[u8]) -> Result<(), ExtractError> {
        self.owner(entry, path, |uid, gid| rustix::fs::fchown(fd, uid, gid))
    }

    fn chown_path(&self, fd: &OwnedFd, entry: &Entry, path: &[u8]) -> Result<(), ExtractError> {
        self.owner(entry, path, |uid, gid| {
            rustix::fs::chownat(fd, "", uid, gid, AtFlags::EMPTY_PATH)
        })
    }

    fn owner(
        &self,
        entry: &Entry,
        path: &[u8],
        chown: impl FnOnce(Option<Uid>, Option<Gid>) -> rustix::io::Result<()>,
    ) -> Result<(), ExtractError> {
        if !self.options.keep_owners {
            return Ok(());
        }
        let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
        let (Some(uid), Some(gid)) = (id(entry.uid), id(entry.gid)) else {
            return Err(ExtractError::io("set the owner of", path)(Errno::INVAL));
        };
        // What was made belongs to us; what was there may not.
        if (uid, gid) == self.ours && entry.kind != EntryKind::Directory {
            return Ok(());
        }
        match chown(Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))) {
            Ok(()) => Ok(()),
            Err(Errno::INVAL | Errno::PERM) if self.options.single_id => Ok(()),
            Err(errno) => Err(ExtractError::io("set the owner of", path)(errno)),
        }
    }

    fn mode(&self, entry: &Entry) -> u32 {
        match self.options.keep_set_id || entry.kind == EntryKind::Directory {
            true => entry.mode,
            false => entry.mode & 0o1777,
        }
    }

    /// Nobody without root can make a device: docker without root leaves them out of a directory, too.
    fn left_out(self, shown: &[u8]) -> Result<Vec<String>, ExtractError> {
        let path = |path: Vec<u8>| LayerPath(whole(shown, &path));
        let mut devices = self.devices.into_iter();
        if self.others == 0
            && let Some(first) = devices.next()
        {
            return Err(ExtractError::Device {
                path: LayerPath(first),
            });
        }
        Ok(devices
            .map(|device| format!("{}: a device, left out", path(device)))
            .collect())
    }

    /// Modes and times of directories, the deepest first.
    fn finish(&self) -> Result<(), ExtractError> {
        for (path, mode, mtime) in self.last.iter().rev() {
            let (above, name) = split(&path.0);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = self.open(above).and_then(|parent| {
                rustix::fs::openat(&parent, name, flags, Mode::empty()).map_err(io::Error::from)
            });
            // Somebody has moved or replaced it meanwhile: then it is theirs.
            let Ok(fd) = opened else { continue };
            match rustix::fs::fchmod(&fd, Mode::from_raw_mode(*mode)) {
                // One that was there and belongs to somebody else.
                Ok(()) | Err(Errno::PERM) => {}
                Err(errno) => return Err(ExtractError::io("set the mode of", &path.0)(errno)),
            }
            match rustix::fs::futimens(&fd, &times(*mtime)) {
                Ok(()) | Err(Errno::PERM) => {}
                Err(errno) => return Err(ExtractError::io("set the time of", &path.0)(errno)),
            }
        }
        Ok(())
    }
}

/// Without the slash at its beginning.
fn whole(directory: &[u8], path: &[u8]) -> Vec<u8> {
    let whole = [directory, b"/", path].concat();
    let start = whole.iter().position(|byte| *byte != b'/');
    whole[start.unwrap_or(whole.len())..].to_vec()
}

fn copy<R: Read>(
    archive: &mut TarReader<R>,
    fd: &OwnedFd,
    path: &[u8],
) -> Result<(), ExtractError> {
    loop {
        let mut slice = archive.content_slice()?;
        if slice.is_empty() {
            return Ok(());
        }
        while !slice.is_empty() {
            match rustix::io::write(fd, slice) {
                Ok(count) => slice = &slice[count..],
                Err(Errno::INTR) => {}
                Err(errno) => return Err(ExtractError::io("write", path)(errno)),
            }
        }
    }
}

/// Kept where they can be: file systems, and users without rights, differ. Those that engines obey are never set.
fn set_xattrs(fd: impl AsFd, entry: &Entry) {
    for (name, value) in &entry.xattrs {
        let obeyed = [
            &b"user.overlay."[..],
            b"user.fuseoverlayfs.",
            b"user.containers.",
        ];
        let plain = name.starts_with(b"user.") && !obeyed.iter().any(|mark| name.starts_with(mark));
        if plain || name == b"security.capability" {
            let _ = xattr::set(&fd, name, value);
        }
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

fn times(seconds: i64) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        },
        last_modification: Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        },
    }
}
