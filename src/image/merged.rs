//! What layers show where one lies on the other, read without a mount: whiteouts, opaque directories, and symlinks that stay
//! inside. A single directory is the simplest such stack. Every step is taken from an open directory (`fs/in-root`). Only reads.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, Stat};

use super::whiteouts::{self, is_whiteout};
use crate::sys::{fs, xattr};

/// How many symlinks are followed on one way, as the kernel limits it.
const LINKS_MAX: u32 = 40;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The directories that lie on each other at one place, topmost first.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    parts: Vec<Arc<OwnedFd>>,
    /// Several layers: whiteouts and opaque directories mean something.
    stacked: bool,
    /// `.wh.` files are whiteouts too.
    has_markers: bool,
}

/// What a name shows.
#[derive(Debug)]
pub enum Shown {
    Directory {
        stat: Stat,
        directory: Merged,
    },
    /// Anything else, and which of the directories has it.
    Other {
        stat: Stat,
        part: usize,
    },
}

/// Where a path leads.
#[derive(Debug)]
pub struct Resolved {
    /// Without symlinks, `.` and `..`: from the root.
    pub path: Vec<Vec<u8>>,
    /// None where there is nothing; then the parts of `path` may be missing too.
    pub shown: Option<(Merged, Option<Shown>)>,
}

impl Resolved {
    /// The real path below `top`, which the tree was opened from.
    pub fn below(&self, top: &Path) -> PathBuf {
        let parts = self.path.iter().map(|part| OsStr::from_bytes(part));
        parts.fold(top.to_owned(), |path, part| path.join(part))
    }
}

impl Shown {
    pub fn stat(&self) -> &Stat {
        match self {
            Shown::Directory { stat, .. } | Shown::Other { stat, .. } => stat,
        }
    }
}

impl Merged {
    /// Layers' directories, bottom first.
    pub fn of_layers(layers: &[PathBuf]) -> io::Result<Merged> {
        let opened = layers.iter().rev().map(|path| fs::open_directory(path));
        let parts: Vec<Arc<OwnedFd>> = opened
            .map(|fd| fd.map(Arc::new))
            .collect::<io::Result<_>>()?;
        Ok(Merged {
            // All layers of a store lie on one file system.
            has_markers: parts.last().is_some_and(whiteouts::are_files),
            parts,
            stacked: true,
        })
    }

    /// One directory in which nothing stands for anything else.
    pub fn plain(path: &Path) -> io::Result<Merged> {
        Ok(Merged {
            parts: vec![Arc::new(fs::open_directory(path)?)],
            stacked: false,
            has_markers: false,
        })
    }

    /// The same of a directory that is open for reading.
    pub fn open_plain(directory: OwnedFd) -> Merged {
        Merged {
            parts: vec![Arc::new(directory)],
            stacked: false,
            has_markers: false,
        }
    }

    /// The same directories with one more on top.
    pub fn under(&self, top: BorrowedFd<'_>) -> io::Result<Merged> {
        let mut parts = vec![Arc::new(fs::open_directory_readable(top)?)];
        parts.extend(self.parts.iter().cloned());
        Ok(Merged {
            has_markers: whiteouts::are_files(top),
            parts,
            stacked: true,
        })
    }

    pub fn part(&self, part: usize) -> BorrowedFd<'_> {
        self.parts[part].as_fd()
    }

    /// The same for whoever needs it longer.
    pub(super) fn shared_part(&self, part: usize) -> Arc<OwnedFd> {
        Arc::clone(&self.parts[part])
    }

    /// The topmost, whose attributes are those of the place.
    pub fn top(&self) -> Option<BorrowedFd<'_>> {
        self.parts.first().map(|part| part.as_fd())
    }

    pub(super) fn parts(&self) -> &[Arc<OwnedFd>] {
        &self.parts
    }

    /// What `name`, a single part of a path, shows.
    pub fn look(&self, name: &[u8]) -> io::Result<Option<Shown>> {
        let mut found: Option<(Stat, Vec<Arc<OwnedFd>>)> = None;
        if self.has_markers && name.starts_with(whiteouts::MARKER) {
            return Ok(None);
        }
        for (number, part) in self.parts.iter().enumerate() {
            let Some(stat) = fs::stat_at(part, name)? else {
                if self.has_markers && whiteouts::has_marker(part, name)? {
                    break;
                }
                continue;
            };
            if self.stacked && is_whiteout(&stat) {
                break;
            }
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                if found.is_none() {
                    return Ok(Some(Shown::Other { stat, part: number }));
                }
                break;
            }
            let fd = rustix::fs::openat(part, name, DIRECTORY, Mode::empty())?;
            let opaque = self.stacked && is_opaque(fd.as_fd())?;
            let parts = &mut found.get_or_insert((stat, Vec::new())).1;
            parts.push(Arc::new(fd));
            if opaque {
                break;
            }
        }
        Ok(found.map(|(stat, parts)| Shown::Directory {
            stat,
            directory: Merged {
                parts,
                stacked: self.stacked,
                has_markers: self.has_markers,
            },
        }))
    }

    /// The names that are shown, in the order of their bytes.
    pub fn list(&self) -> io::Result<Vec<Vec<u8>>> {
        if let ([part], false) = (self.parts.as_slice(), self.stacked) {
            let mut names: Vec<Vec<u8>> = fs::list_directory(part)?
                .into_iter()
                .map(|(name, _)| name)
                .collect();
            names.sort_unstable();
            return Ok(names);
        }
        let (mut shown, mut hidden) = (BTreeSet::new(), BTreeSet::new());
        for part in &self.parts {
            for (name, is_directory) in fs::list_directory(part)? {
                let marked = name.strip_prefix(whiteouts::MARKER);
                if let Some(name) = marked.filter(|_| self.has_markers) {
                    hidden.insert(name.to_vec());
                    continue;
                }
                if hidden.contains(&name) || shown.contains(&name) {
                    continue;
                }
                let gone = !is_directory
                    && fs::stat_at(part, &name)?.is_none_or(|stat| is_whiteout(&stat));
                match gone {
                    true => hidden.insert(name),
                    false => shown.insert(name),
                };
            }
        }
        Ok(shown.into_iter().collect())
    }

    /// The target of a symlink that [`Merged::look`] showed.
    pub fn read_link(&self, part: usize, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.parts[part], name, Vec::new())?.into_bytes())
    }

    /// Opens a file that [`Merged::look`] showed; what took its place meanwhile is no file.
    pub fn open_file(&self, part: usize, name: &[u8]) -> io::Result<OwnedFd> {
        open_file(&self.parts[part], name)
    }

    /// Walks `path` from here as if this were `/`: symlinks are followed inside, `..` can't leave. With `last` a symlink at
    /// the end is followed too.
    pub fn resolve(&self, path: &[u8], last: bool) -> io::Result<Resolved> {
        let mut waiting: Vec<Vec<u8>> = parts_of(path);
        waiting.reverse();
        // Where the walk is, and the way to it: the directories above, for `..`.
        let mut way: Vec<(Vec<u8>, Merged)> = Vec::new();
        let mut links = 0;
        while let Some(name) = waiting.pop() {
            if name == b".." {
                way.pop();
                continue;
            }
            let here = way.last().map_or(self, |(_, directory)| directory);
            let shown = here.look(&name)?;
            let is_last = waiting.is_empty();
            match shown {
                Some(Shown::Directory { directory, .. }) if !is_last => {
                    way.push((name, directory));
                }
                Some(Shown::Other { stat, part }) if is_link(&stat) && (last || !is_last) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(io::Error::from_raw_os_error(libc::ELOOP));
                    }
                    let target = here.read_link(part, &name)?;
                    if target.first() == Some(&b'/') {
                        way.clear();
                    }
                    let mut parts = parts_of(&target);
                    parts.reverse();
                    waiting.extend(parts);
                    if waiting.is_empty() {
                        break;
                    }
                }
                Some(Shown::Other { .. }) if !is_last => {
                    return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
                }
                None => {
                    let mut path: Vec<Vec<u8>> = way.into_iter().map(|(name, _)| name).collect();
                    path.push(name);
                    for name in waiting.into_iter().rev() {
                        match name == b".." {
                            true => drop(path.pop()),
                            false => path.push(name),
                        }
                    }
                    return Ok(Resolved { path, shown: None });
                }
                shown => {
                    let here = here.clone();
                    let mut path: Vec<Vec<u8>> = way.into_iter().map(|(name, _)| name).collect();
                    path.push(name);
                    return Ok(Resolved {
                        path,
                        shown: Some((here, shown)),
                    });
                }
            }
        }
        // The root, or what a `..` at the end led to.
        let directory = match way.last() {
            Some((_, directory)) => directory.clone(),
            None => self.clone(),
        };
        let path = way.into_iter().map(|(name, _)| name).collect();
        Ok(Resolved {
            path,
            shown: Some((directory, None)),
        })
    }

    /// The directory at `path`, if there is one.
    pub fn directory(&self, path: &[u8]) -> io::Result<Option<Merged>> {
        Ok(match self.resolve(path, true)?.shown {
            Some((_, Some(Shown::Directory { directory, .. }))) => Some(directory),
            Some((directory, None)) => Some(directory),
            _ => None,
        })
    }
}

/// The regular file `name` of a directory.
pub(super) fn open_file(directory: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&file)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(file),
        _ => Err(io::Error::other("it became something else meanwhile")),
    }
}

pub fn is_link(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
}

/// The parts of a path without empty ones and `.`.
pub fn parts_of(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .map(<[u8]>::to_vec)
        .collect()
}

/// Whether nothing below a directory of a layer is seen through it.
pub(super) fn is_opaque(directory: BorrowedFd<'_>) -> io::Result<bool> {
    for name in [&b"user.overlay.opaque"[..], b"user.fuseoverlayfs.opaque"] {
        if xattr::get(directory, name)?.is_some_and(|value| value == b"y") {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs as plain;
    use std::os::unix::fs::symlink;

    #[test]
    fn layers_show_what_the_topmost_has_and_links_stay_inside() {
        let top = std::env::temp_dir().join(format!("bryo-merged-{}", std::process::id()));
        let at = |path: &str| top.join(path);
        for path in ["a/usr/lib", "a/gone/x", "b/usr/lib", "b/gone"] {
            plain::create_dir_all(at(path)).unwrap();
        }
        plain::write(at("a/usr/lib/below"), "1").unwrap();
        plain::write(at("a/usr/lib/both"), "1").unwrap();
        plain::write(at("b/usr/lib/both"), "22").unwrap();
        symlink("usr/lib", at("a/lib")).unwrap();
        symlink("../../../lib", at("b/up")).unwrap();
        symlink("loop", at("b/loop")).unwrap();
        let marked = fs::open_directory(&at("b/gone")).unwrap();
        xattr::set(&marked, b"user.overlay.opaque", b"y").unwrap();
        let merged = Merged::of_layers(&[at("a"), at("b")]).unwrap();
        let names = |path: &str| -> Vec<String> {
            let directory = merged.directory(path.as_bytes()).unwrap().unwrap();
            let names = directory.list().unwrap();
            names
                .into_iter()
                .map(|name| String::from_utf8(name).unwrap())
                .collect()
        };
        assert_eq!(names("/lib"), ["below", "both"]);
        assert_eq!(names("up/."), ["below", "both"]);
        assert!(names("gone").is_empty());
        let both = merged.resolve(b"lib/both", true).unwrap();
        assert_eq!(
            both.path,
            [b"usr".to_vec(), b"lib".to_vec(), b"both".to_vec()]
        );
        let Some((_, Some(shown))) = both.shown else {
            panic!("it is there")
        };
        assert_eq!(shown.stat().st_size, 2);
        let missing = merged.resolve(b"up/new/../dir/file", true).unwrap();
        assert!(missing.shown.is_none());
        let path = [&b"usr"[..], b"lib", b"dir", b"file"].map(<[u8]>::to_vec);
        assert_eq!(missing.path, path);
        let error = merged.resolve(b"loop", true).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
        let error = merged.resolve(b"lib/both/x", true).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTDIR));
        fs::remove_path(&top).unwrap();
    }
}
