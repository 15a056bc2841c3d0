//! Writing of small files so that a crash leaves the old content or the new, and what it leaves under a temporary name. Never writes a
//! file in place.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};

use super::sync::{BEGIN_WRITING, END_WRITING, Unsynced, write_pages};
use super::{list_directory, open_directory, sync_directory};
use crate::sys::{fault, lock};

/// Replaces `path` by a file with these bytes so that a reader, or the next boot, sees the old content or the new:
/// temporary name → fsync → rename → fsync the directory (`store/visible-after-rename`).
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    place_file(path, bytes, RenameFlags::empty())
}

/// The same where there is no file of this name; `false` if there is one.
pub fn create_file(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    match place_file(path, bytes, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn place_file(path: &Path, bytes: &[u8], flags: RenameFlags) -> io::Result<()> {
    let mut draft = Draft::write(path, bytes)?;
    draft.sync()?;
    draft.rename(flags)?;
    sync_directory(&draft.directory)
}

/// What could not be written, and where.
#[derive(Debug, thiserror::Error)]
#[error("write {path}: {source}")]
pub struct ReplaceError {
    pub path: PathBuf,
    pub source: io::Error,
}

/// The same as `replace_file` for several, which get their names in this order. Costs little more than one: a file system with a
/// journal commits it once for all contents and once for all names.
pub fn replace_files(files: &[(PathBuf, &[u8])]) -> Result<(), ReplaceError> {
    let drafts = Drafts::write(files)?;
    sync_together(&[&drafts], &[])?;
    drafts.name()
}

/// Several files, whole under temporary names.
#[derive(Debug)]
pub struct Drafts<'a> {
    drafts: Vec<(&'a Path, Draft<'a>)>,
}

impl<'a> Drafts<'a> {
    pub fn write(files: &'a [(PathBuf, &[u8])]) -> Result<Drafts<'a>, ReplaceError> {
        let mut drafts = Vec::with_capacity(files.len());
        for (path, bytes) in files {
            let draft = Draft::write(path, bytes).map_err(at(path))?;
            drafts.push((path.as_path(), draft));
        }
        Ok(Drafts { drafts })
    }

    /// Gives them their names, in their order, once they are synced; the names are on the disk then.
    pub fn name(mut self) -> Result<(), ReplaceError> {
        for (path, draft) in &mut self.drafts {
            draft.rename(RenameFlags::empty()).map_err(at(path))?;
        }
        let mut synced = Vec::new();
        for (path, draft) in &self.drafts {
            if !synced.contains(&path.parent()) {
                sync_directory(&draft.directory).map_err(at(path))?;
                synced.push(path.parent());
            }
        }
        Ok(())
    }
}

/// Has all of this on the disk, before any of it gets its name. Each content is on its way before the first is waited for, so that a
/// journal is committed once for all.
pub fn sync_together(drafts: &[&Drafts<'_>], trees: &[Unsynced]) -> Result<(), ReplaceError> {
    let drafts = || drafts.iter().flat_map(|drafts| &drafts.drafts);
    for flags in [BEGIN_WRITING, END_WRITING] {
        for tree in trees {
            tree.write_pages(flags).map_err(at(&tree.path))?;
        }
        for (path, draft) in drafts() {
            write_pages(draft.file.as_fd(), flags).map_err(at(path))?;
        }
    }
    for tree in trees {
        tree.sync().map_err(at(&tree.path))?;
    }
    for (path, draft) in drafts() {
        draft.sync().map_err(at(path))?;
    }
    Ok(())
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ReplaceError + use<> {
    let path = path.to_owned();
    move |source| ReplaceError { path, source }
}

/// A file on its way to its name; without it, it is removed.
#[derive(Debug)]
struct Draft<'a> {
    directory: OwnedFd,
    name: &'a OsStr,
    temporary: String,
    file: File,
    is_named: bool,
}

impl Draft<'_> {
    fn write<'a>(path: &'a Path, bytes: &[u8]) -> io::Result<Draft<'a>> {
        let (directory, name) = split(path)?;
        let (temporary, file) = temporary_file(&directory, name)?;
        let mut draft = Draft {
            directory,
            name,
            temporary,
            file,
            is_named: false,
        };
        fault::at("write record")?;
        draft.file.write_all(bytes)?;
        Ok(draft)
    }

    fn sync(&self) -> io::Result<()> {
        fault::at("fsync record")?;
        self.file.sync_all()
    }

    fn rename(&mut self, flags: RenameFlags) -> io::Result<()> {
        fault::at("rename record")?;
        let (directory, temporary) = (&self.directory, &self.temporary);
        rustix::fs::renameat_with(directory, temporary, directory, self.name, flags)?;
        self.is_named = true;
        Ok(())
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.is_named {
            // What it failed by is reported; a leftover temporary name is swept later.
            let _ = rustix::fs::unlinkat(&self.directory, &self.temporary, AtFlags::empty());
        }
    }
}

/// Removes the temporary files in a directory whose writers are gone.
pub fn sweep_temporary_files(directory: &Path) -> io::Result<()> {
    let directory = open_directory(directory)?;
    for (name, _) in list_directory(&directory)? {
        if !name.starts_with(TEMPORARY_FILE.as_bytes()) {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::openat(&directory, &name[..], flags, Mode::empty()) else {
            continue;
        };
        if lock::try_hold_alone(&file)? {
            let _ = rustix::fs::unlinkat(&directory, &name[..], AtFlags::empty());
        }
    }
    Ok(())
}

fn split(path: &Path) -> io::Result<(OwnedFd, &OsStr)> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other("a path without a file name"))?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    Ok((open_directory(parent)?, name))
}

/// How the names of temporary files begin.
pub const TEMPORARY_FILE: &str = ".tmp-";

fn temporary_file(directory: &OwnedFd, name: &OsStr) -> io::Result<(String, File)> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    fault::at("make record")?;
    loop {
        let temporary = format!(
            "{TEMPORARY_FILE}{}-{}",
            random_name(),
            name.to_string_lossy()
        );
        match rustix::fs::openat(directory, &temporary, flags, Mode::RUSR | Mode::WUSR) {
            // Locked by its writer: an unlocked one is rubbish. A sweep may have been faster than the lock.
            Ok(fd) if lock::try_hold_alone(&fd)? && rustix::fs::fstat(&fd)?.st_nlink > 0 => {
                return Ok((temporary, File::from(fd)));
            }
            Ok(_) | Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// 16 hex digits that no other temporary name has: from the kernel's generator, through the standard library's hasher keys.
pub fn random_name() -> String {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    hasher.write_u128(now.map_or(0, |since| since.as_nanos()));
    format!("{:016x}", hasher.finish())
}
