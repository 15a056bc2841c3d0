//! Deleting what is out of sight: directories that were collected, and what killed processes left under temporary names. Nothing that
//! anybody may still use has such a name, or it is locked.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::layer::{DEAD, TEMPORARY};
use super::store::{Store, StoreError};
use crate::sys::fs;
use crate::sys::lock;

/// Directories to be deleted, each locked.
pub(super) type Dead = Vec<(PathBuf, OwnedFd)>;

impl Store {
    /// Temporary names of `index.json` whose writers were killed: its writers hold the names' lock.
    pub(super) fn unlink_interrupted(&self) -> Result<(), StoreError> {
        let _lock = self.lock_names()?;
        let error = |operation| StoreError::io(operation, &self.images);
        let directory = fs::open_directory(&self.images).map_err(error("open"))?;
        for (name, is_directory) in fs::list_directory(&directory).map_err(error("list"))? {
            if !is_directory && name.starts_with(TEMPORARY.as_bytes()) {
                fs::remove_tree(&directory, &name)
                    .map_err(|failed| error("remove a file in")(failed.source))?;
            }
        }
        Ok(())
    }

    /// Files of a directory that is written only under the store lock, shared: temporary ones are rubbish here.
    pub(super) fn unlink_except(
        &self,
        path: &Path,
        keep: &HashSet<&str>,
    ) -> Result<(), StoreError> {
        let error = |operation| StoreError::io(operation, path);
        let directory = fs::open_directory(path).map_err(error("open"))?;
        for (name, _) in fs::list_directory(&directory).map_err(error("list"))? {
            if std::str::from_utf8(&name).is_ok_and(|name| keep.contains(name)) {
                continue;
            }
            fs::remove_tree(&directory, &name).map_err(|failed| StoreError::Io {
                operation: "remove",
                path: path.join(failed.path),
                source: failed.source,
            })?;
        }
        Ok(())
    }

    /// Whether [`Store::sweep`] would find anything; cheap, takes no lock that anybody waits for.
    pub fn has_rubbish(&self) -> bool {
        self.rubbish().is_ok_and(|found| !found.is_empty())
    }

    /// Removes temporary directories whose makers are gone. Runs in the home namespace. Goes on after a failure and
    /// reports the first (`cleanup/all`).
    pub fn sweep(&self) -> Result<(), StoreError> {
        self.delete(Vec::new())
    }

    /// The same, after what this process has collected itself.
    pub(super) fn delete(&self, dead: Dead) -> Result<(), StoreError> {
        let mut first = None;
        for (path, _lock) in dead.into_iter().chain(self.rubbish()?) {
            if let Err(failed) = fs::remove_path(&path) {
                first.get_or_insert(StoreError::Io {
                    operation: "remove",
                    path: path.join(failed.path),
                    source: failed.source,
                });
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Unlocked temporary directories, each now locked by us so that two sweeps don't meet in one.
    fn rubbish(&self) -> Result<Dead, StoreError> {
        let error = |operation| StoreError::io(operation, &self.layers);
        let directory = fs::open_directory(&self.layers).map_err(error("open"))?;
        let mut found = Vec::new();
        for (name, is_directory) in fs::list_directory(&directory).map_err(error("list"))? {
            let temporary =
                name.starts_with(TEMPORARY.as_bytes()) || name.starts_with(DEAD.as_bytes());
            let Some(text) = std::str::from_utf8(&name)
                .ok()
                .filter(|_| temporary && is_directory)
            else {
                continue;
            };
            let path = self.layers.join(text);
            // It may have been committed or removed since it was listed.
            let Ok(lock) = fs::open_directory(&path) else {
                continue;
            };
            if lock::try_hold_alone(&lock).map_err(StoreError::io("lock", &path))? && path.is_dir()
            {
                found.push((path, lock));
            }
        }
        for directory in ["", "blobs/sha256", "stacks", "signatures", "kept"] {
            found.extend(self.unlocked_files(&self.images.join(directory))?);
        }
        Ok(found)
    }

    /// Files under a temporary name whose writers are gone.
    fn unlocked_files(&self, directory: &Path) -> Result<Vec<(PathBuf, OwnedFd)>, StoreError> {
        let entries = std::fs::read_dir(directory).map_err(StoreError::io("list", directory))?;
        let temporary = entries.flatten().filter(|entry| {
            let name = entry.file_name();
            name.as_encoded_bytes()
                .starts_with(fs::TEMPORARY_FILE.as_bytes())
        });
        let unlocked = temporary.filter_map(|entry| {
            let file = std::fs::File::open(entry.path()).ok()?;
            let free = lock::try_hold_alone(&file).unwrap_or(false);
            free.then(|| (entry.path(), OwnedFd::from(file)))
        });
        Ok(unlocked.collect())
    }
}
