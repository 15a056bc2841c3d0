//! Settling a stack: what a layer's archive leaves to the layers below it. Directories it uses without listing them get
//! owner, mode and attributes from below; whiteouts that nothing lies under, which `readdir` would show, disappear.
//! A layer that needs changes gets them in a variant of its directory (hard links), so that stacks may disagree.
//! Runs in the home namespace.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use serde::Serialize;

use super::digest::Digest;
use super::layer::{LayerDir, LayerPath, LayerReport, TempLayer};
use super::ready::Ready;
use super::store::{Store, StoreError};
use super::variant;
use super::whiteouts;
use crate::sys::fs::{self, Links};
use crate::sys::xattr;

/// One difference between a layer as it was unpacked and as its stack needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Change {
    /// A directory looks like the one below it.
    Directory {
        path: LayerPath,
        mode: u32,
        uid: u32,
        gid: u32,
        xattrs: Vec<(LayerPath, Vec<u8>)>,
    },
    /// A whiteout, or a directory made only for whiteouts, goes.
    Remove { path: LayerPath },
}

/// The directories of a stack, bottom first: those that are settled already, and these on them. Layers below one with an opaque root
/// are left out: nothing of them is seen. What is brought has no name yet, and gets it here only if a variant is made of it.
pub(super) fn settle(
    store: &Store,
    settled: Vec<LayerDir>,
    diff_ids: &[Digest],
    brought: &mut Ready,
) -> Result<Vec<LayerDir>, StoreError> {
    let open = |path: PathBuf| fs::open_directory(&path).map_err(StoreError::io("open", &path));
    let opened = settled.iter().map(|layer| open(store.layer_path(layer)));
    let mut below = opened.collect::<Result<Vec<OwnedFd>, _>>()?;
    let mut stack = settled;
    for diff_id in diff_ids {
        let base = LayerDir::base(diff_id);
        let (path, report) = match brought.find(diff_id) {
            Some((path, report)) => (path, report.clone()),
            None => (store.layer_path(&base), store.layer_report(diff_id)?),
        };
        if report.opaque_root {
            below.clear();
            stack.clear();
        }
        let root = open(path.clone())?;
        let changes = plan(&root, &report, &below).map_err(StoreError::io("settle", &path))?;
        let layer = if changes.is_empty() {
            below.push(root);
            base
        } else if store.ids.is_outside() {
            return Err(StoreError::io("settle", &path)(Errno::PERM.into()));
        } else {
            // Its files are links to those of the layer that has the name, and that may be another one's.
            fs::sync_together(&[], brought.unsynced())?;
            store.name_layers(brought)?;
            let root = open(store.layer_path(&base))?;
            let layer = variant::make(store, &base, &root, &changes)?;
            below.push(open(store.layer_path(&layer))?);
            layer
        };
        stack.push(layer);
    }
    Ok(stack)
}

/// What has to change in a layer that lies on these.
fn plan(root: &OwnedFd, report: &LayerReport, below: &[OwnedFd]) -> io::Result<Vec<Change>> {
    let mut changes = Vec::new();
    let mut removed = BTreeSet::new();
    // All layers are of one store, so of one file system.
    let has_markers = whiteouts::are_files(root);
    for path in &report.whiteouts {
        let parent = path.parent().unwrap_or(LayerPath(Vec::new()));
        if find_directory(below, &parent, has_markers)?.is_none() {
            removed.insert(path.clone());
        }
    }
    let mut made_for_ghosts = Vec::new();
    for path in &report.implicit_dirs {
        match find_directory(below, path, has_markers)? {
            Some(found) => changes.extend(difference(root, path, &found)?),
            None if path.0.is_empty() => changes.extend(difference_to_new(root)?),
            None => made_for_ghosts.push(path),
        }
    }
    // Deepest first, so that a directory of removed directories goes too. Sorted paths have parents before children.
    if !removed.is_empty() {
        for path in made_for_ghosts.into_iter().rev() {
            if holds_only(root, path, &removed, has_markers)? {
                removed.insert(path.clone());
            }
        }
    }
    // Children after their parents in the set, so removal goes backwards.
    changes.extend(
        removed
            .into_iter()
            .rev()
            .map(|path| Change::Remove { path }),
    );
    Ok(changes)
}

/// The directory that the layers below show at `path`: the topmost one's attributes count.
fn find_directory(
    below: &[OwnedFd],
    path: &LayerPath,
    has_markers: bool,
) -> io::Result<Option<OwnedFd>> {
    for root in below.iter().rev() {
        match walk(root, path, has_markers)? {
            Step::Directory(fd) => return Ok(Some(fd)),
            Step::Hidden => return Ok(None),
            Step::Absent => {}
        }
    }
    Ok(None)
}

enum Step {
    Directory(OwnedFd),
    /// This layer has nothing there and lets the ones below show through.
    Absent,
    /// This layer deletes or replaces it, or is opaque above it.
    Hidden,
}

fn walk(root: &OwnedFd, path: &LayerPath, has_markers: bool) -> io::Result<Step> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut current = rustix::fs::openat(root, ".", flags, Mode::empty())?;
    let mut opaque = false;
    for part in path
        .0
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty())
    {
        match rustix::fs::openat(&current, part, flags, Mode::empty()) {
            Ok(next) => current = next,
            Err(Errno::NOENT) if opaque => return Ok(Step::Hidden),
            Err(Errno::NOENT) if has_markers && whiteouts::has_marker(&current, part)? => {
                return Ok(Step::Hidden);
            }
            Err(Errno::NOENT) => return Ok(Step::Absent),
            // A whiteout (device), a file or a symlink.
            Err(Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Ok(Step::Hidden),
            Err(errno) => return Err(errno.into()),
        }
        opaque |= xattr::get(&current, b"user.overlay.opaque")?.is_some();
    }
    Ok(Step::Directory(current))
}

fn difference(root: &OwnedFd, path: &LayerPath, found: &OwnedFd) -> io::Result<Option<Change>> {
    let ours = open(root, path)?;
    let (have, want) = (Looks::of(&ours)?, Looks::of(found)?);
    let xattrs = kept_xattrs(found)?;
    if have == want && kept_xattrs(&ours)? == xattrs {
        return Ok(None);
    }
    Ok(Some(want.change(path.clone(), xattrs)))
}

/// The root of a layer that lies on none, and in another stack may have had the looks of the one below ([`take_root_looks`]).
fn difference_to_new(root: &OwnedFd) -> io::Result<Option<Change>> {
    let new = Looks::of_new();
    let differs = Looks::of(root)? != new;
    Ok(differs.then(|| new.change(LayerPath(Vec::new()), Vec::new())))
}

/// Permissions and owner of a directory.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Looks {
    mode: u32,
    uid: u32,
    gid: u32,
}

impl Looks {
    fn of(directory: &OwnedFd) -> io::Result<Looks> {
        let stat = rustix::fs::fstat(directory)?;
        Ok(Looks {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
        })
    }

    /// A layer's root that no archive says anything of; here whoever runs this is root.
    fn of_new() -> Looks {
        Looks {
            mode: TempLayer::ROOT_MODE,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }

    fn change(self, path: LayerPath, xattrs: Vec<(LayerPath, Vec<u8>)>) -> Change {
        Change::Directory {
            path,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            xattrs,
        }
    }
}

/// Gives the root of a layer, which is in no archive, the looks that the layers below show: else its stack would need a variant of it,
/// with a link for each file. What that would not do is left to the variant.
pub fn take_root_looks(layer: &TempLayer, shown: &Path) -> io::Result<()> {
    let shown = fs::open_directory_readable(fs::open_directory(shown)?)?;
    let root = fs::open_directory_readable(layer.root())?;
    let (have, want) = (Looks::of(&root)?, Looks::of(&shown)?);
    if !kept_xattrs(&shown)?.is_empty() {
        return Ok(());
    }
    if (have.uid, have.gid) != (want.uid, want.gid) {
        let (uid, gid) = (Uid::from_raw(want.uid), Gid::from_raw(want.gid));
        rustix::fs::fchown(&root, Some(uid), Some(gid))?;
    }
    if have != want {
        rustix::fs::fchmod(&root, Mode::from_raw_mode(want.mode))?;
    }
    Ok(())
}

/// Attributes that a directory takes over from below: not overlay's marks, not the machine's labels.
fn kept_xattrs(fd: &OwnedFd) -> io::Result<Vec<(LayerPath, Vec<u8>)>> {
    let mut names = xattr::list(fd)?;
    names.retain(|name| {
        let mark =
            name.starts_with(b"user.overlay.") && !name.starts_with(b"user.overlay.overlay.");
        !mark && !name.starts_with(b"security.") && !name.starts_with(b"trusted.")
    });
    names.sort();
    let mut all = Vec::new();
    for name in names {
        if let Some(value) = xattr::get(fd, &name)? {
            all.push((LayerPath(name), value));
        }
    }
    Ok(all)
}

fn holds_only(
    root: &OwnedFd,
    path: &LayerPath,
    removed: &BTreeSet<LayerPath>,
    has_markers: bool,
) -> io::Result<bool> {
    let entries = fs::list_directory(open(root, path)?)?;
    Ok(entries.into_iter().all(|(name, _)| {
        let hidden = name.strip_prefix(whiteouts::MARKER);
        let name = hidden.filter(|_| has_markers).unwrap_or(&name);
        removed.contains(&path.join(name))
    }))
}

/// A directory of a layer, by its real path.
pub(super) fn open(root: impl AsFd, path: &LayerPath) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    fs::open_in_root(root, &path.0, flags, Mode::empty(), Links::Refuse)
}

#[cfg(test)]
mod tests;
