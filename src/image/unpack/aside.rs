//! What later entries of an archive replace, kept beside the layer's files: the tar can't be given back without its content.
//! Moved, not copied, so that links to it and writers at work on it are left alone.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};

use super::super::layer::{LayerPath, REPLACED, Replaced};
use crate::sys::fault;
use crate::sys::fs;

pub(super) struct Aside<'a> {
    /// The layer's own directory.
    layer: BorrowedFd<'a>,
    /// The directory for what is kept, once there is something.
    kept: Option<OwnedFd>,
    files: u64,
    replaced: Vec<Replaced>,
}

impl<'a> Aside<'a> {
    pub(super) fn new(layer: BorrowedFd<'a>) -> Aside<'a> {
        Aside {
            layer,
            kept: None,
            files: 0,
            replaced: Vec::new(),
        }
    }

    /// One more file with content.
    pub(super) fn count_file(&mut self) {
        self.files += 1;
    }

    /// Moves `name` away, which is `real` in the layer; `false` where it has no content and may be removed.
    pub(super) fn keep(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        real: &LayerPath,
    ) -> io::Result<bool> {
        let Some(stat) = fs::stat_at(parent, name)? else {
            return Ok(false);
        };
        // Size 0 says nothing: a writer may not have come to it yet.
        let kind = FileType::from_raw_mode(stat.st_mode);
        if !matches!(kind, FileType::RegularFile | FileType::Directory) {
            return Ok(false);
        }
        if self.kept.is_none() {
            fault::at("make directory")?;
            rustix::fs::mkdirat(self.layer, REPLACED, Mode::RWXU)?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let made = rustix::fs::openat(self.layer, REPLACED, flags, Mode::empty())?;
            self.kept = Some(made);
        }
        if let Some(kept) = &self.kept {
            let number = self.replaced.len().to_string();
            fault::at("rename")?;
            rustix::fs::renameat(parent, name, kept, number.as_str())?;
        }
        self.replaced.push(Replaced {
            path: real.clone(),
            after: self.files,
        });
        Ok(true)
    }

    pub(super) fn into_replaced(self) -> Vec<Replaced> {
        self.replaced
    }
}
