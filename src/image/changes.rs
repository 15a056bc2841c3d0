//! What a container's own layer changes in the image below it: `diff`, and what of it is no part of a `commit`. Costs what was
//! changed, not what the image holds. Only reads; runs in the home namespace.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::layer::LayerPath;
use super::merged::{Merged, Shown, is_opaque};
use super::tar::Limits;
use super::whiteouts::{self, is_whiteout};
use crate::sys::fs;

/// docker's `C`, `A`, `D`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeKind {
    Modified,
    Added,
    Deleted,
}

/// The changes, in the order of their paths.
#[derive(Debug, Default)]
pub struct Changes {
    pub list: Vec<(LayerPath, ChangeKind)>,
    /// What is in the layer only because the engine needed a place to mount on.
    pub hidden: HashSet<LayerPath>,
}

/// A container's layer and what lies below it.
#[derive(Debug)]
pub struct Layers<'a> {
    pub upper: &'a Path,
    /// The directories of the image's layers, bottom first.
    pub below: &'a [PathBuf],
    /// Empty files and directories at these places, and the directories above them, were made to be mounted on.
    pub mount_points: HashSet<LayerPath>,
    /// `.wh.` files are fuse-overlayfs' whiteouts; they are, in any case, where the store can keep no others.
    pub marker_files: bool,
}

struct Below {
    stat: Stat,
    directories: Merged,
}

/// What was found in a directory of the layer.
#[derive(Default)]
struct Seen {
    hidden: bool,
    visible: bool,
}

/// Where the walk is.
#[derive(Clone, Copy, Default)]
struct Depth {
    levels: usize,
    /// Below a directory that took another's place.
    opaque: bool,
}

struct Walk<'a> {
    layers: &'a Layers<'a>,
    /// The mount points and all directories above them.
    made: HashSet<LayerPath>,
    has_markers: bool,
    changes: Changes,
}

impl Layers<'_> {
    /// Compares; gives what `diff` shows.
    pub fn changes(&self) -> io::Result<Changes> {
        let upper = fs::open_directory(self.upper)?;
        let below = Merged::of_layers(self.below)?;
        let mut made = HashSet::new();
        for path in &self.mount_points {
            let mut place = Some(path.clone());
            while let Some(path) = place {
                place = path.parent();
                made.insert(path);
            }
        }
        let mut walk = Walk {
            layers: self,
            made,
            has_markers: self.marker_files || whiteouts::are_files(&upper),
            changes: Changes::default(),
        };
        walk.directory(&upper, &below, &LayerPath(Vec::new()), Depth::default())?;
        walk.changes.list.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(walk.changes)
    }
}

impl Walk<'_> {
    fn directory(
        &mut self,
        upper: &OwnedFd,
        below: &Merged,
        path: &LayerPath,
        depth: Depth,
    ) -> io::Result<Seen> {
        if depth.levels > Limits::default().depth {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
        let mut seen = Seen::default();
        for (name, _) in fs::list_directory(upper)? {
            let Some(stat) = fs::stat_at(upper, &name)? else {
                continue;
            };
            let marker = name.strip_prefix(whiteouts::MARKER);
            let deleted = match marker {
                Some(hidden) if self.has_markers => Some(hidden.to_vec()),
                _ => is_whiteout(&stat).then(|| name.clone()),
            };
            let name = deleted.clone().unwrap_or(name);
            let child = path.join(&name);
            let below = look(below, &name)?;
            if deleted.is_some() {
                if below.is_some() {
                    self.note(&child, ChangeKind::Deleted);
                }
                seen.visible = true;
                continue;
            }
            let is_hidden = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    self.entered(upper, &name, &stat, below.as_ref(), &child, depth)?
                }
                kind => self.file(&stat, kind, below.as_ref(), &child),
            };
            seen.hidden |= is_hidden;
            seen.visible |= !is_hidden;
            if is_hidden {
                self.changes.hidden.insert(child);
            }
        }
        Ok(seen)
    }

    /// Whether it is there for the engine only.
    fn file(
        &mut self,
        stat: &Stat,
        kind: FileType,
        below: Option<&Below>,
        path: &LayerPath,
    ) -> bool {
        match below {
            None => {
                let empty = kind == FileType::RegularFile && stat.st_size == 0;
                if empty && self.layers.mount_points.contains(path) {
                    return true;
                }
                self.note(path, ChangeKind::Added);
            }
            Some(below) if same_file(stat, &below.stat) => {}
            Some(_) => self.note(path, ChangeKind::Modified),
        }
        false
    }

    fn entered(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        stat: &Stat,
        below: Option<&Below>,
        path: &LayerPath,
        depth: Depth,
    ) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            // Changed in this moment.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
        // Nothing of what lies below is seen through it, in whatever depth.
        let depth = Depth {
            levels: depth.levels + 1,
            opaque: depth.opaque || is_opaque(fd.as_fd())?,
        };
        let nothing = Merged::default();
        let merged = below.map_or(&nothing, |below| &below.directories);
        let before = self.changes.list.len();
        let seen = self.directory(&fd, merged, path, depth)?;
        let Some(below) = below else {
            if self.made.contains(path) && !seen.visible {
                return Ok(true);
            }
            self.note(path, ChangeKind::Added);
            return Ok(false);
        };
        let was_directory = FileType::from_raw_mode(below.stat.st_mode) == FileType::Directory;
        if depth.opaque && was_directory {
            self.replaced(&fd, &below.directories, path)?;
        }
        let differs = !same_attributes(stat, &below.stat);
        if differs || self.changes.list.len() > before {
            self.note(path, ChangeKind::Modified);
        }
        Ok(!differs && seen.hidden && !seen.visible)
    }

    /// What a directory that took another's place no longer has.
    fn replaced(&mut self, upper: &OwnedFd, below: &Merged, path: &LayerPath) -> io::Result<()> {
        let mut names = HashSet::new();
        for directory in below.parts() {
            for (name, _) in fs::list_directory(directory)? {
                names.insert(name);
            }
        }
        for name in names {
            if fs::stat_at(upper, &name)?.is_none() && look(below, &name)?.is_some() {
                self.note(&path.join(&name), ChangeKind::Deleted);
            }
        }
        Ok(())
    }

    fn note(&mut self, path: &LayerPath, kind: ChangeKind) {
        self.changes.list.push((path.clone(), kind));
    }
}

/// What the layers below show under `name`.
fn look(below: &Merged, name: &[u8]) -> io::Result<Option<Below>> {
    Ok(below.look(name)?.map(|shown| match shown {
        Shown::Directory { stat, directory } => Below {
            stat,
            directories: directory,
        },
        Shown::Other { stat, .. } => Below {
            stat,
            directories: Merged::default(),
        },
    }))
}

fn same_attributes(a: &Stat, b: &Stat) -> bool {
    (a.st_mode, a.st_uid, a.st_gid) == (b.st_mode, b.st_uid, b.st_gid)
}

/// As docker compares: a copy of a file that was only opened for writing is no change.
fn same_file(a: &Stat, b: &Stat) -> bool {
    let all = |stat: &Stat| {
        (
            stat.st_size,
            stat.st_mtime,
            stat.st_mtime_nsec,
            stat.st_rdev,
        )
    };
    same_attributes(a, b) && all(a) == all(b)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs as plain;
    use std::os::unix::fs::symlink;

    #[test]
    fn changes_are_what_the_layer_adds_and_replaces() {
        let top = std::env::temp_dir().join(format!("bryo-changes-{}", std::process::id()));
        let at = |path: &str| top.join(path);
        for path in [
            "image/etc",
            "image/srv",
            "upper/etc/new",
            "upper/srv",
            "upper/data/x",
        ] {
            plain::create_dir_all(at(path)).unwrap();
        }
        for path in [
            "image/etc/kept",
            "image/etc/other",
            "upper/etc/hosts",
            "upper/etc/new/a",
        ] {
            plain::write(at(path), "").unwrap();
        }
        plain::write(at("upper/etc/other"), "changed").unwrap();
        symlink("x", at("upper/etc/kept")).unwrap();
        let below = [at("image")];
        let place = |path: &str| LayerPath(path.as_bytes().to_vec());
        let layers = Layers {
            upper: &at("upper"),
            below: &below,
            mount_points: HashSet::from([place("etc/hosts"), place("data/x")]),
            marker_files: false,
        };
        let found = layers.changes();
        fs::remove_path(&top).unwrap();
        let found = found.unwrap();
        let shown = |kind: ChangeKind| {
            let of = found.list.iter().filter(|(_, found)| *found == kind);
            of.map(|(path, _)| path.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            shown(ChangeKind::Modified),
            ["/etc", "/etc/kept", "/etc/other"]
        );
        assert_eq!(shown(ChangeKind::Added), ["/etc/new", "/etc/new/a"]);
        assert!(shown(ChangeKind::Deleted).is_empty());
        let hidden = HashSet::from(["etc/hosts", "data", "data/x"].map(place));
        assert_eq!(found.hidden, hidden);
    }
}
