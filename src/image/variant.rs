//! A variant of a layer's directory: the same files by hard links, its own directories, with the changes its stack needs.
//! Runs in the home namespace.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Gid, Mode, Stat, Timespec, Timestamps, Uid};

use super::digest::Digest;
use super::layer::{LayerDir, LayerPath, TempLayer};
use super::settle::{Change, open};
use super::store::{Store, StoreError};
use super::whiteouts::{are_files, is_whiteout, marker_of};
use crate::sys::{fault, fs, xattr};

/// Makes the variant unless it is there; its name says what was changed.
pub(super) fn make(
    store: &Store,
    base: &LayerDir,
    root: &OwnedFd,
    changes: &[Change],
) -> Result<LayerDir, StoreError> {
    let json = serde_json::to_vec(changes).expect("plain data always serialises");
    let layer = LayerDir::variant(&base.diff_id(), &Digest::of(&json));
    let path = store.layer_path(&layer);
    if path.is_dir() {
        return Ok(layer);
    }
    let mut copy = store.begin_layer()?;
    let made = copy_tree(root, &copy).and_then(|()| apply(&copy, changes));
    made.map_err(StoreError::io("settle", &path))?;
    store.name_variant(&mut copy, &layer)?;
    Ok(layer)
}

/// Directories are made anew, everything else is linked. No directory stays open while the ones below it are copied:
/// depth costs no descriptors.
fn copy_tree(from: &OwnedFd, copy: &TempLayer) -> io::Result<()> {
    let mut waiting = vec![LayerPath(Vec::new())];
    let mut made = Vec::new();
    while let Some(path) = waiting.pop() {
        let (source, target) = (open(from, &path)?, open(copy.root(), &path)?);
        for (name, is_directory) in fs::list_directory(&source)? {
            if is_directory {
                fault::at("make directory")?;
                rustix::fs::mkdirat(&target, &name[..], Mode::RWXU)?;
                waiting.push(path.join(&name));
            } else {
                fault::at("link")?;
                rustix::fs::linkat(&source, &name[..], &target, &name[..], AtFlags::empty())?;
            }
        }
        for name in xattr::list(&source)? {
            if name.starts_with(b"security.selinux") {
                continue;
            }
            if let Some(value) = xattr::get(&source, &name)? {
                xattr::set(&target, &name, &value)?;
            }
        }
        made.push((path, rustix::fs::fstat(&source)?));
    }
    for (path, stat) in made.iter().rev() {
        attributes(&open(copy.root(), path)?, stat)?;
    }
    Ok(())
}

fn attributes(fd: &OwnedFd, stat: &Stat) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::fchown(fd, Some(uid), Some(gid))?;
    rustix::fs::fchmod(fd, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    set_mtime(fd, stat)
}

fn set_mtime(fd: &OwnedFd, stat: &Stat) -> io::Result<()> {
    let mtime = Timespec {
        tv_sec: stat.st_mtime,
        tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
    };
    let times = Timestamps {
        last_access: mtime,
        last_modification: mtime,
    };
    Ok(rustix::fs::futimens(fd, &times)?)
}

fn apply(copy: &TempLayer, changes: &[Change]) -> io::Result<()> {
    for change in changes {
        match change {
            Change::Directory {
                path,
                mode,
                uid,
                gid,
                xattrs,
            } => {
                let fd = open(copy.root(), path)?;
                let (uid, gid) = (Uid::from_raw(*uid), Gid::from_raw(*gid));
                rustix::fs::fchown(&fd, Some(uid), Some(gid))?;
                rustix::fs::fchmod(&fd, Mode::from_raw_mode(*mode))?;
                for (name, value) in xattrs {
                    xattr::set(&fd, &name.0, value)?;
                }
            }
            Change::Remove { path } => remove(copy, path)?,
        }
    }
    Ok(())
}

/// Removes a whiteout or an empty directory; the time of the directory above stays what it was.
fn remove(copy: &TempLayer, path: &LayerPath) -> io::Result<()> {
    let parent = open(copy.root(), &path.parent().unwrap_or(LayerPath(Vec::new())))?;
    let before = rustix::fs::fstat(&parent)?;
    let marker = marker_of(path.name());
    let (name, flags) = match fs::stat_at(&parent, path.name())? {
        Some(stat) if is_whiteout(&stat) => (path.name(), AtFlags::empty()),
        Some(_) => (path.name(), AtFlags::REMOVEDIR),
        None if are_files(&parent) && fs::stat_at(&parent, &marker)?.is_some() => {
            (&marker[..], AtFlags::empty())
        }
        None => return Ok(()),
    };
    fault::at("remove entry")?;
    rustix::fs::unlinkat(&parent, name, flags)?;
    set_mtime(&parent, &before)
}
