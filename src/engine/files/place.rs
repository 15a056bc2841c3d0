//! The two ends of a copy below a root directory: what a path names as a source, and where it leads as a destination, by
//! docker's rules for trailing slashes, `/.` and symlinks. Every look goes through the in-root resolver.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};

use crate::image::{Destination, PackError, Packer, There, Tree};
use crate::runtime::rootfs::clean;
use crate::sys::fs::{Links, open_directory_in_root, open_in_root, stat_at};

#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    #[error("Could not find the file {path} in container {container}")]
    NotInContainer { path: String, container: String },
    #[error("lstat {path}: no such file or directory")]
    NotOnHost { path: String },
    #[error("invalid output path: {path:?} must be a directory or a regular file: got a device")]
    Device { path: String },
    #[error("destination \"{container}:{path}\" must be a directory")]
    StreamToFile { container: String, path: String },
    #[error("{path}: neither a file nor a directory")]
    Kind { path: String },
    #[error("open {path}: {source}")]
    Open { path: String, source: io::Error },
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// A path as it was typed: where it leads, and what its end says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Absolute, without `.` and `..`, by the text alone.
    clean: Vec<u8>,
    /// It ends in `/` or `/.`: it has to be a directory, and a symlink there is followed.
    directory: bool,
    /// It ends in `/.`, or is the root: the content is meant, not the directory.
    content: bool,
    typed: String,
    /// None: a path of the host.
    container: Option<String>,
}

impl Asked {
    /// `path` is taken as one below the root.
    pub fn new(path: &Path, container: Option<&str>) -> Asked {
        let bytes = path.as_os_str().as_bytes();
        let cleaned = clean(path).as_os_str().as_bytes().to_vec();
        let dot = bytes == b"." || bytes.ends_with(b"/.");
        Asked {
            content: dot || cleaned == b"/",
            directory: dot || bytes.ends_with(b"/") || cleaned == b"/",
            clean: cleaned,
            typed: path.to_string_lossy().into_owned(),
            container: container.map(str::to_owned),
        }
    }

    fn missing(&self) -> PlaceError {
        let path = self.typed.clone();
        match &self.container {
            Some(container) => PlaceError::NotInContainer {
                path,
                container: container.clone(),
            },
            None => PlaceError::NotOnHost { path },
        }
    }

    fn failed(&self, error: io::Error) -> PlaceError {
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP) => self.missing(),
            _ => PlaceError::Open {
                path: self.typed.clone(),
                source: error,
            },
        }
    }

    /// What the source is called in the archive.
    fn name(&self) -> &[u8] {
        match self.content {
            true => b".",
            false => split(&self.clean).1,
        }
    }
}

/// Writes what `asked` names below `root`, whole: the size of the archive and what could not be kept.
pub fn pack(
    root: BorrowedFd<'_>,
    asked: &Asked,
    follow_link: bool,
    keep_owners: bool,
    out: impl Write,
) -> Result<(u64, Vec<String>), PlaceError> {
    let failed = |error| asked.failed(error);
    let mut packer = Packer::new(out, Tree::Plain { keep_owners });
    if follow_link || asked.directory {
        let flags = match asked.directory {
            true => OFlags::RDONLY | OFlags::DIRECTORY,
            false => OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY,
        };
        let opened = open_in_root(root, &asked.clean, flags, Mode::empty(), Links::InRoot);
        let known = packer.add_open(opened.map_err(failed)?, asked.name())?;
        if !known {
            return Err(PlaceError::Kind {
                path: asked.typed.clone(),
            });
        }
    } else {
        let (above, name) = split(&asked.clean);
        let parent = open_directory_in_root(root, above, Links::InRoot).map_err(failed)?;
        if stat_at(&parent, name).map_err(failed)?.is_none() {
            return Err(asked.missing());
        }
        packer.add(parent.as_fd(), name, asked.name())?;
    }
    Ok(packer.finish()?)
}

/// Where an archive goes that is copied to `asked`. A symlink in the last place is followed, as docker does.
pub fn destination(root: BorrowedFd<'_>, asked: &Asked) -> Result<Destination, PlaceError> {
    let mut path = asked.clean.clone();
    // As many links as the kernel follows.
    for _ in 0..40 {
        if open_directory_in_root(root, &path, Links::InRoot).is_ok() {
            return Ok(Destination {
                shown: path.clone(),
                directory: path,
                name: Vec::new(),
                there: There::Directory,
            });
        }
        let (above, name) = split(&path);
        let parent = open_directory_in_root(root, above, Links::InRoot);
        let parent = parent.map_err(|error| asked.failed(error))?;
        let found = stat_at(&parent, name).map_err(|error| asked.failed(error))?;
        let kind = found.map(|stat| FileType::from_raw_mode(stat.st_mode));
        let there = match kind {
            Some(FileType::Symlink) => {
                let link = rustix::fs::readlinkat(&parent, name, Vec::new());
                let link = link.map_err(|error| asked.failed(error.into()))?;
                path = match link.as_bytes() {
                    absolute @ [b'/', ..] => absolute.to_vec(),
                    relative => [above, b"/", relative].concat(),
                };
                continue;
            }
            Some(FileType::CharacterDevice | FileType::BlockDevice) => {
                return Err(PlaceError::Device {
                    path: asked.typed.clone(),
                });
            }
            Some(_) if !asked.directory => There::Other,
            _ => There::Missing {
                demands_directory: asked.directory,
            },
        };
        return Ok(Destination {
            directory: above.to_vec(),
            name: name.to_vec(),
            there,
            shown: above.to_vec(),
        });
    }
    Err(asked.failed(io::Error::from_raw_os_error(libc::ELOOP)))
}

/// Where a tar stream of the user's goes: a directory.
pub fn stream_destination(root: BorrowedFd<'_>, asked: &Asked) -> Result<Destination, PlaceError> {
    let found = destination(root, asked)?;
    if found.there == There::Directory {
        return Ok(found);
    }
    Err(PlaceError::StreamToFile {
        container: asked.container.clone().unwrap_or_default(),
        path: asked.typed.clone(),
    })
}

/// Opens a destination on the host: what is written below it stays there, whatever is swapped meanwhile.
pub fn pinned(
    root: BorrowedFd<'_>,
    destination: &mut Destination,
    asked: &Asked,
) -> Result<OwnedFd, PlaceError> {
    let path = std::mem::take(&mut destination.directory);
    let opened = open_directory_in_root(root, &path, Links::InRoot);
    opened.map_err(|error| asked.failed(error))
}

/// The root of whatever the caller's root is.
pub fn open_root() -> io::Result<OwnedFd> {
    Ok(File::open("/")?.into())
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let end = path.iter().rposition(|byte| *byte != b'/');
    let path = &path[..end.map_or(0, |end| end + 1)];
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_path_says_what_is_meant() {
        for (path, clean, directory, content, name) in [
            ("/a/b", "/a/b", false, false, "b"),
            ("a/../b/", "/b", true, false, "b"),
            ("/a/b/.", "/a/b", true, true, "."),
            ("", "/", true, true, "."),
            ("/", "/", true, true, "."),
            ("..", "/", true, true, "."),
            ("/.x", "/.x", false, false, ".x"),
        ] {
            let asked = Asked::new(Path::new(path), None);
            let found = (
                asked.clean.as_slice(),
                asked.directory,
                asked.content,
                asked.name(),
            );
            let expected = (clean.as_bytes(), directory, content, name.as_bytes());
            assert_eq!(found, expected, "{path:?}");
        }
    }
}
