//! Whiteouts: `.wh.name` and `.wh..wh..opq` (OCI image spec, `layer.md`). They speak of the layers below only, whatever
//! their place in the archive, so they are collected and placed at the end, as overlayfs wants them.

use std::collections::BTreeSet;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::super::layer::LayerPath;
use super::super::whiteouts::{self, MARKER};
use super::UnpackError;
use super::place::{Directories, open_made};
use crate::sys::fault;
use crate::sys::{fs, xattr};

const META_PREFIX: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What a path's name means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Marker {
    None,
    /// aufs' own notes (`.wh..wh.plnk/…`): nobody else's business.
    Skipped,
    /// The path named is deleted.
    Whiteout(LayerPath),
    /// The directory shows nothing of the layers below.
    Opaque(LayerPath),
}

pub(super) fn marker(path: &LayerPath) -> Result<Marker, UnpackError> {
    if !path.0.windows(MARKER.len()).any(|window| window == MARKER) {
        return Ok(Marker::None);
    }
    let name = path.name();
    let parent = path.parent().unwrap_or(LayerPath(Vec::new()));
    if name == OPAQUE {
        return Ok(Marker::Opaque(parent));
    }
    let mut parts = path.0.split(|byte| *byte == b'/');
    if parts.any(|part| part.starts_with(META_PREFIX)) {
        return Ok(Marker::Skipped);
    }
    let invalid = || UnpackError::Whiteout { path: path.clone() };
    if parent
        .0
        .split(|byte| *byte == b'/')
        .any(|part| part.starts_with(MARKER))
    {
        return Err(invalid());
    }
    match name.strip_prefix(MARKER) {
        None => Ok(Marker::None),
        Some(b"" | b"." | b"..") => Err(invalid()),
        Some(hidden) => {
            let mut hidden_path = parent.0;
            if !hidden_path.is_empty() {
                hidden_path.push(b'/');
            }
            hidden_path.extend_from_slice(hidden);
            Ok(Marker::Whiteout(LayerPath(hidden_path)))
        }
    }
}

/// The whiteouts of a layer until they are placed.
#[derive(Debug, Default)]
pub(super) struct Whiteouts {
    hidden: BTreeSet<LayerPath>,
    opaque: BTreeSet<LayerPath>,
}

/// What [`Whiteouts::place`] has written.
#[derive(Debug, Default)]
pub(super) struct Placed {
    pub(super) whiteouts: Vec<LayerPath>,
    pub(super) opaque_root: bool,
}

impl Whiteouts {
    pub(super) fn add(&mut self, marker: Marker) {
        match marker {
            Marker::Whiteout(path) => drop(self.hidden.insert(path)),
            Marker::Opaque(path) => drop(self.opaque.insert(path)),
            Marker::None | Marker::Skipped => {}
        }
    }

    /// Writes what overlayfs obeys. A name both deleted and present is present; if it is a directory, it is opaque.
    /// Nothing is written below an opaque directory: there is nothing to hide, and it would show up.
    pub(super) fn place(
        &self,
        root: BorrowedFd<'_>,
        directories: &mut Directories<'_>,
    ) -> Result<Placed, UnpackError> {
        let mut opaque = BTreeSet::new();
        for path in &self.opaque {
            let fd = directories.open_or_make(path)?;
            opaque.insert(make_opaque(directories, &fd, path)?);
        }
        let mut devices = Vec::new();
        for path in &self.hidden {
            if let Some(parent) = directories.open(&above(path))? {
                let there = fs::stat_at(&parent, path.name());
                match there.map_err(UnpackError::io("look at", path))? {
                    Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                        let fd = open_made(&parent, path.name(), path)?;
                        opaque.insert(make_opaque(directories, &fd, path)?);
                        continue;
                    }
                    Some(_) => continue,
                    None => {}
                }
            }
            devices.push(path);
        }
        let opaque_root = opaque.contains(&LayerPath(Vec::new()));
        let mut placed = Placed {
            whiteouts: Vec::new(),
            opaque_root,
        };
        for path in devices {
            if let Some(real) = place_device(root, directories, path, &opaque)? {
                placed.whiteouts.push(real);
            }
        }
        Ok(placed)
    }
}

fn above(path: &LayerPath) -> LayerPath {
    path.parent().unwrap_or(LayerPath(Vec::new()))
}

/// Marks a directory; the root's mark is kept in the layer's record instead, overlayfs would not look at it.
fn make_opaque(
    directories: &Directories<'_>,
    fd: &OwnedFd,
    path: &LayerPath,
) -> Result<LayerPath, UnpackError> {
    let real = directories.real_path(fd, path)?;
    if !real.0.is_empty() {
        let fd = open_made(fd, b".", path)?;
        xattr::set(&fd, b"user.overlay.opaque", b"y")
            .map_err(UnpackError::io("mark as opaque", path))?;
    }
    Ok(real)
}

/// The real path of the device written, or nothing if nothing needs hiding there.
fn place_device(
    _root: BorrowedFd<'_>,
    directories: &mut Directories<'_>,
    path: &LayerPath,
    opaque: &BTreeSet<LayerPath>,
) -> Result<Option<LayerPath>, UnpackError> {
    // The directories above may not exist in this layer; an opaque one among those that do hides everything anyway.
    let mut existing = above(path);
    let deepest = loop {
        if let Some(fd) = directories.open(&existing)? {
            break directories.real_path(&fd, path)?;
        }
        existing = above(&existing);
    };
    let mut ancestor = Some(deepest);
    while let Some(directory) = ancestor {
        if opaque.contains(&directory) {
            return Ok(None);
        }
        ancestor = directory.parent();
    }
    let parent = directories.open_or_make(&above(path))?;
    let mut real = directories.real_path(&parent, path)?.0;
    if !real.is_empty() {
        real.push(b'/');
    }
    real.extend_from_slice(path.name());
    let made = fault::at("make whiteout").and_then(|()| whiteouts::make(&parent, path.name()));
    match made {
        // Two names for one place, through a symlink.
        Ok(()) | Err(Errno::EXIST) => Ok(Some(LayerPath(real))),
        Err(Errno::PERM) => Err(UnpackError::NoWhiteouts { path: path.clone() }),
        Err(errno) => Err(UnpackError::io("write the whiteout of", path)(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Result<Marker, String> {
        marker(&LayerPath(path.as_bytes().to_vec())).map_err(|error| error.to_string())
    }

    #[test]
    fn names_mean_what_the_image_spec_says() {
        let at = |path: &str| LayerPath(path.as_bytes().to_vec());
        assert_eq!(read("a/b.wh.c"), Ok(Marker::None));
        assert_eq!(read("a/.wh.b"), Ok(Marker::Whiteout(at("a/b"))));
        assert_eq!(read(".wh.b"), Ok(Marker::Whiteout(at("b"))));
        assert_eq!(read("a/.wh..wh..opq"), Ok(Marker::Opaque(at("a"))));
        assert_eq!(read(".wh..wh..opq"), Ok(Marker::Opaque(at(""))));
        assert_eq!(read(".wh..wh.plnk/1.2"), Ok(Marker::Skipped));
        for bad in [".wh.", "a/.wh..", "a/.wh...", ".wh.a/b"] {
            assert!(read(bad).is_err(), "{bad} was accepted");
        }
    }
}
