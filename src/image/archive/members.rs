//! The members of an archive by name: where in the file each begins (read once; content is read at its position), or the
//! files of a directory, opened inside it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{Mode, OFlags};

use super::super::document::{DocumentError, MAX_DOCUMENT};
use super::super::tar::{EntryKind, Limits, TarReader};
use super::ArchiveError;
use crate::sys::fs::{self, Links};

/// Images of a thousand layers have ten thousand members; root filesystems, loaded by mistake, have more.
const MAX_MEMBERS: u64 = 200_000;

enum Member {
    File { offset: u64, size: u64 },
    Link(String),
    Directory,
}

pub(super) struct Members<'a> {
    archive: String,
    source: Source<'a>,
}

enum Source<'a> {
    Archive {
        file: &'a File,
        by_name: HashMap<String, Member>,
    },
    Directory(OwnedFd),
}

impl<'a> Members<'a> {
    pub(super) fn read(file: &'a File, archive: &str) -> Result<Members<'a>, ArchiveError> {
        let error = |source| ArchiveError::Tar {
            archive: archive.to_owned(),
            source,
        };
        let limits = Limits {
            entries: MAX_MEMBERS,
            ..Limits::default()
        };
        let start = At {
            file: Opened::Shared(file),
            offset: 0,
        };
        let mut tar = TarReader::new(start, limits);
        let mut by_name = HashMap::new();
        while let Some(entry) = tar.next_entry().map_err(error)? {
            let Some(name) = plain(&String::from_utf8_lossy(&entry.path), "") else {
                continue;
            };
            let member = match entry.kind {
                EntryKind::File => Member::File {
                    offset: tar.offset(),
                    size: entry.size,
                },
                EntryKind::Directory => Member::Directory,
                EntryKind::Symlink | EntryKind::HardLink => {
                    let beside = match entry.kind {
                        EntryKind::Symlink => name.rsplit_once('/').map_or("", |(above, _)| above),
                        _ => "",
                    };
                    match plain(&String::from_utf8_lossy(&entry.link), beside) {
                        Some(target) => Member::Link(target),
                        None => continue,
                    }
                }
                _ => continue,
            };
            by_name.insert(name, member);
        }
        Ok(Members {
            archive: archive.to_owned(),
            source: Source::Archive { file, by_name },
        })
    }

    pub(super) fn of_directory(directory: OwnedFd, shown: &str) -> Members<'a> {
        Members {
            archive: shown.to_owned(),
            source: Source::Directory(directory),
        }
    }

    pub(super) fn archive(&self) -> &str {
        &self.archive
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub(super) fn has_directory(&self, name: &str) -> bool {
        match &self.source {
            Source::Archive { by_name, .. } => {
                matches!(by_name.get(name), Some(Member::Directory))
            }
            Source::Directory(directory) => {
                fs::open_directory_in_root(directory, name.as_bytes(), Links::Refuse).is_ok()
            }
        }
    }

    /// The directories at the top that have a member of this name.
    pub(super) fn directories_of(&self, member: &str) -> Vec<String> {
        let mut found: Vec<String> = match &self.source {
            Source::Archive { by_name, .. } => {
                let split = by_name.keys().filter_map(|name| name.rsplit_once('/'));
                let within = split.filter(|(above, name)| *name == member && !above.contains('/'));
                within.map(|(above, _)| above.to_owned()).collect()
            }
            Source::Directory(directory) => {
                let listed = fs::list_directory(directory).unwrap_or_default();
                let names = listed.into_iter().filter(|(_, is_directory)| *is_directory);
                let names = names.filter_map(|(name, _)| String::from_utf8(name).ok());
                names
                    .filter(|name| self.has(&format!("{name}/{member}")))
                    .collect()
            }
        };
        found.sort();
        found
    }

    /// A member by its plain name.
    fn find(&self, name: &str) -> Option<Section<'a>> {
        match &self.source {
            Source::Archive { file, by_name } => {
                let (offset, size) = position(by_name, name)?;
                let file = Opened::Shared(file);
                let at = At { file, offset };
                Some(Section { at, size })
            }
            Source::Directory(directory) => {
                // A FIFO does not open a wait, a link leads nowhere.
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
                let path = name.as_bytes();
                let fd = fs::open_in_root(directory, path, flags, Mode::empty(), Links::Refuse);
                let file = File::from(fd.ok()?);
                let meta = file.metadata().ok().filter(|meta| meta.is_file())?;
                let file = Opened::Own(file);
                let at = At { file, offset: 0 };
                Some(Section {
                    at,
                    size: meta.len(),
                })
            }
        }
    }

    /// The content of a member named by `by`.
    pub(super) fn open(&self, name: &str, by: &str) -> Result<Section<'a>, ArchiveError> {
        let plain = plain(name, "").ok_or_else(|| ArchiveError::Member {
            archive: self.archive.clone(),
            member: name.to_owned(),
        })?;
        self.find(&plain)
            .ok_or_else(|| ArchiveError::MissingMember {
                archive: self.archive.clone(),
                member: name.to_owned(),
                by: by.to_owned(),
            })
    }

    /// A JSON document, bounded.
    pub(super) fn document(&self, name: &str, by: &str) -> Result<Vec<u8>, ArchiveError> {
        let mut section = self.open(name, by)?;
        if section.size > MAX_DOCUMENT {
            let subject = name.to_owned();
            return Err(DocumentError::TooLarge { subject }.into());
        }
        let mut bytes = Vec::new();
        let read = section.read_to_end(&mut bytes);
        read.map_err(|source| ArchiveError::Content {
            member: name.to_owned(),
            source,
        })?;
        Ok(bytes)
    }
}

/// Position and size of a file, through the few links that `docker save` makes for layers that occur twice.
fn position(by_name: &HashMap<String, Member>, name: &str) -> Option<(u64, u64)> {
    let mut name = name;
    for _ in 0..8 {
        match by_name.get(name)? {
            Member::File { offset, size } => return Some((*offset, *size)),
            Member::Link(target) => name = target,
            Member::Directory => return None,
        }
    }
    None
}

/// A path of the archive without `.` and empty parts, `..` taken lexically; `None` if it leads out.
fn plain(path: &str, beside: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    let beside = if path.starts_with('/') { "" } else { beside };
    for part in beside.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Reads a file from a position of its own, so that several threads can share it.
struct At<'a> {
    file: Opened<'a>,
    offset: u64,
}

enum Opened<'a> {
    Shared(&'a File),
    Own(File),
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let file = match &self.file {
            Opened::Shared(file) => file,
            Opened::Own(file) => file,
        };
        let count = file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// The content of one member.
pub(super) struct Section<'a> {
    at: At<'a>,
    size: u64,
}

impl Section<'_> {
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = self.size.min(buffer.len() as u64) as usize;
        let count = self.at.read(&mut buffer[..wanted])?;
        if count == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.size -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn member_names_stay_inside_the_archive() {
        assert_eq!(plain("./a//b", "").as_deref(), Some("a/b"));
        assert_eq!(plain("../x/layer.tar", "y").as_deref(), Some("x/layer.tar"));
        assert_eq!(plain("/x", "y").as_deref(), Some("x"));
        assert_eq!(plain("../../x", "y"), None);
    }
}
