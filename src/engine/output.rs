//! A file or directory of the user's that takes its name when it is whole; dropped before, it goes.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::EngineError;
use crate::sys::fs::{random_name, remove_path};

pub(super) struct Unfinished {
    temporary: PathBuf,
    path: PathBuf,
    kept: bool,
}

impl Unfinished {
    /// For a file, in docker's words about what can't be one.
    pub(super) fn file(path: &Path) -> Result<Unfinished, EngineError> {
        let unfinished = Unfinished::beside(path)?;
        if let Ok(meta) = fs::metadata(path) {
            let kind = meta.file_type();
            if kind.is_dir() {
                return Err(refused(path, "it is a directory".to_owned()));
            }
            if kind.is_char_device() || kind.is_block_device() || !kind.is_file() {
                return Err(refused(path, "got a device".to_owned()));
            }
        }
        Ok(unfinished)
    }

    /// For a directory, where there is none or an empty one.
    pub(super) fn directory(path: &Path) -> Result<Unfinished, EngineError> {
        let unfinished = Unfinished::beside(path)?;
        let is_free = match fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        match is_free {
            true => Ok(unfinished),
            false => Err(refused(path, "it is no empty directory".to_owned())),
        }
    }

    fn beside(path: &Path) -> Result<Unfinished, EngineError> {
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        let parent = parent.unwrap_or(Path::new("."));
        if !parent.is_dir() {
            let shown = parent.display();
            return Err(refused(path, format!("directory {shown:?} does not exist")));
        }
        Ok(Unfinished {
            temporary: parent.join(format!(".tmp-{}", random_name())),
            path: path.to_owned(),
            kept: false,
        })
    }

    /// The name until then.
    pub(super) fn temporary(&self) -> &Path {
        &self.temporary
    }

    pub(super) fn open(&self) -> io::Result<File> {
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.temporary)
    }

    pub(super) fn keep(mut self) -> Result<(), EngineError> {
        let renamed = fs::rename(&self.temporary, &self.path);
        renamed.map_err(EngineError::file("write", &self.path))?;
        self.kept = true;
        Ok(())
    }
}

fn refused(path: &Path, reason: String) -> EngineError {
    EngineError::Output {
        path: path.to_owned(),
        reason,
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.kept {
            let _ = remove_path(&self.temporary);
        }
    }
}
