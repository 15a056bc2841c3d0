//! Unpacked layers on their way to their names: each has its record, and is on the disk before anybody sees it (`store/order`).

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::digest::Digest;
use super::graft::new_files;
use super::layer::{LayerReport, TempLayer};
use super::store::{Store, StoreError};
use crate::sys::disk;
use crate::sys::fs::{self, Unsynced};

/// Layers of so many entries together are synced file by file.
pub(super) const FEW: u64 = 32;

/// As many files and directories as one of these has, with the directories above them and bryo's own.
const SYNCED_EACH: usize = 128;

/// The same of a layer whose other files are those of an earlier one, and are on the disk.
const SYNCED_AMONG_MANY: usize = 320;

/// Layers that need nothing any more but a sync of `unsynced`, if there is any, and their names.
#[derive(Default)]
pub(super) struct Ready {
    layers: Vec<(TempLayer, LayerReport)>,
    unsynced: Vec<Unsynced>,
}

impl Ready {
    /// One of them.
    pub fn find(&self, diff_id: &Digest) -> Option<(PathBuf, &LayerReport)> {
        let mut layers = self.layers.iter();
        let found = layers.find(|(_, report)| report.diff_id == *diff_id);
        found.map(|(layer, report)| (layer.path(), report))
    }

    /// What is to be synced before they get their names.
    pub fn unsynced(&self) -> &[Unsynced] {
        &self.unsynced
    }

    /// Gives them their names, under the shared store lock, once they are synced. What is returned, if there were any, is to be
    /// synced then. A layer that somebody else has stored meanwhile is kept and ours dropped.
    pub fn name(&mut self, store: &Store) -> Result<Option<OwnedFd>, StoreError> {
        self.unsynced.clear();
        if self.layers.is_empty() {
            return Ok(None);
        }
        let directory = fs::open_directory(&store.layers);
        let directory = directory.map_err(StoreError::io("open", &store.layers))?;
        for (mut layer, report) in self.layers.drain(..) {
            let name = layer.directory.file_name().expect("it lies below layers/");
            let renamed = fs::rename_new(
                &directory,
                name.as_encoded_bytes(),
                report.diff_id.hex().as_bytes(),
            );
            layer.committed = renamed.map_err(StoreError::io("name", &layer.directory))?;
        }
        Ok(Some(directory))
    }
}

impl Store {
    /// Gives one unpacked layer its name; see [`Store::commit_layers`].
    pub fn commit_layer(&self, layer: TempLayer, report: &LayerReport) -> Result<(), StoreError> {
        self.commit_layers(vec![(layer, report.clone())])
    }

    /// Gives unpacked layers their names: records, one sync for all files of all of them, then the renames.
    pub fn commit_layers(&self, layers: Vec<(TempLayer, LayerReport)>) -> Result<(), StoreError> {
        let mut ready = self.make_ready(layers)?;
        fs::sync_together(&[], ready.unsynced())?;
        let _lock = self.lock_shared()?;
        self.name_layers(&mut ready)
    }

    /// Their records, and a sync of all that can't be synced file by file.
    pub(super) fn make_ready(
        &self,
        layers: Vec<(TempLayer, LayerReport)>,
    ) -> Result<Ready, StoreError> {
        let Some((first, _)) = layers.first() else {
            return Ok(Ready::default());
        };
        for (layer, report) in &layers {
            let path = layer.directory.join("layer.json");
            let json = serde_json::to_vec(report).expect("plain data always serialises");
            disk::write(&path, json).map_err(StoreError::io("write", &path))?;
        }
        self.finish_writing(&first.directory)?;
        let sync = StoreError::io("sync", &first.directory);
        let unsynced = match open_each(&layers)? {
            Some(each) => each,
            // Waits for what other programs have not written yet too, so only where that can't be helped.
            None => fs::sync_filesystem(first.fd())
                .map(|()| Vec::new())
                .map_err(sync)?,
        };
        Ok(Ready { layers, unsynced })
    }

    /// Has the names of synced layers on the disk. Under the shared store lock.
    pub(super) fn name_layers(&self, ready: &mut Ready) -> Result<(), StoreError> {
        match ready.name(self)? {
            Some(directory) => self.sync_layers(&directory),
            None => Ok(()),
        }
    }

    pub(super) fn sync_layers(&self, directory: &OwnedFd) -> Result<(), StoreError> {
        fs::sync_directory(directory).map_err(StoreError::io("sync", &self.layers))
    }
}

/// The files of layers that have few, or few that are new; `None` where one has many.
fn open_each(layers: &[(TempLayer, LayerReport)]) -> Result<Option<Vec<Unsynced>>, StoreError> {
    let mut left = FEW;
    let mut opened = Vec::new();
    for (layer, report) in layers {
        let (path, fd) = (&layer.directory, layer.fd());
        let found = if let Some(new) = new_files(layer) {
            let is_there = |path: &[u8]| {
                let path = path.strip_prefix(b"fs/");
                path.is_some_and(|path| !new.contains(path))
            };
            fs::open_few(path, fd, SYNCED_AMONG_MANY, &is_there)
        } else if report.entries <= left {
            left -= report.entries;
            fs::open_few(path, fd, SYNCED_EACH, &|_| false)
        } else {
            Ok(None)
        };
        match found.map_err(StoreError::io("sync", path))? {
            Some(found) => opened.push(found),
            None => return Ok(None),
        }
    }
    Ok(Some(opened))
}
