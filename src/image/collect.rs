//! Collecting what nobody needs any more: renamed away under the exclusive lock, deleted after it. Decides nothing about names.

use std::collections::HashSet;

use super::digest::Digest;
use super::layer::{DEAD, LayerDir};
use super::names::Names;
use super::remove::{RemoveImageError, Users};
use super::store::{Store, StoreError};
use super::sweep::Dead;
use crate::sys::disk;
use crate::sys::fs;
use crate::sys::lock::{self, Mode};

/// A process may have a thousand files open, and deleting takes some more.
const MOST_HELD: usize = 256;

/// What a collection took out of sight.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// The layers that are no more.
    pub(super) freed: Vec<Digest>,
    /// Their directories, locked: who has collected them deletes them, and nobody who came for something else.
    pub(super) dead: Dead,
}

impl Store {
    /// Deletes layers, configs and manifests that no image and no container needs: what interrupted pulls left.
    /// The layers freed are returned. Runs in the home namespace.
    pub fn collect_garbage(&self, users: Users<'_>) -> Result<Vec<Digest>, RemoveImageError> {
        let collected = {
            let _lock = self.lock_exclusive()?;
            let users = users().map_err(|source| RemoveImageError::Users { source })?;
            self.collect(users.iter().flat_map(|user| &user.layers))?
        };
        self.delete(collected.dead)?;
        Ok(collected.freed)
    }

    /// Under the exclusive lock: renames layers away that no image and nobody else uses, and unlinks unneeded documents. Layers stay for a later
    /// time while somebody holds a [`Store::lease`].
    pub(super) fn collect<'a>(
        &self,
        used: impl Iterator<Item = &'a LayerDir>,
    ) -> Result<Collected, StoreError> {
        let names = self.names()?;
        let ids: HashSet<&Digest> = names.entries.iter().map(|entry| &entry.id).collect();
        let mut layers: HashSet<LayerDir> = HashSet::new();
        let mut keep = |directory: &LayerDir| {
            // A variant's base stays: it is what "this layer is here" means.
            layers.insert(LayerDir::base(&directory.diff_id()));
            layers.insert(directory.clone());
        };
        for id in &ids {
            self.read_stack(id)?.layers.iter().for_each(&mut keep);
        }
        used.for_each(&mut keep);
        for step in self.steps()? {
            keep(&LayerDir::base(&step.record.layer));
        }
        let stacks = ids.iter().map(|id| id.hex()).collect();
        self.unlink_except(&self.images.join("stacks"), &stacks)?;
        let manifests: HashSet<&str> = names
            .entries
            .iter()
            .map(|entry| entry.manifest.hex())
            .collect();
        self.unlink_except(&self.images.join("signatures"), &manifests)?;
        self.collect_documents(&names)?;
        self.unlink_interrupted()?;
        let lease = self.lease_path();
        let lease =
            lock::try_lock(&lease, Mode::Exclusive).map_err(StoreError::io("lock", &lease))?;
        match lease {
            Some(_held) => {
                self.forget_kept(&names)?;
                let collected = self.rename_away(&layers)?;
                self.settle_debt();
                Ok(collected)
            }
            None => {
                self.note_debt(&layers)?;
                Ok(Collected::default())
            }
        }
    }

    /// Whether a removal has left layers to whoever held a lease, and nobody holds one now.
    pub fn owes_layers(&self) -> bool {
        let free = || lock::try_lock(&self.lease_path(), Mode::Exclusive);
        self.debt_path().exists() && free().is_ok_and(|held| held.is_some())
    }

    /// Without room for the note they wait for the next collection.
    fn note_debt(&self, keep: &HashSet<LayerDir>) -> Result<(), StoreError> {
        let path = self.debt_path();
        let is_owed = self
            .layer_directories()?
            .iter()
            .any(|layer| !keep.contains(layer));
        if is_owed
            && !path.exists()
            && let Err(error) = disk::create(&path)
        {
            tracing::debug!(%error, "layers are left behind unnoted");
        }
        Ok(())
    }

    /// One that stays costs a collection that finds nothing.
    fn settle_debt(&self) {
        let path = self.debt_path();
        if path.exists() {
            let _ = disk::remove_file(&path);
        }
    }

    /// Under the exclusive lock: unlinks documents that no image, no index and no artifact names.
    pub(super) fn collect_documents(&self, names: &Names) -> Result<(), StoreError> {
        let of_images = names.entries.iter();
        let mut needed: HashSet<&str> = of_images
            .flat_map(|entry| [entry.id.hex(), entry.manifest.hex()])
            .collect();
        let (Some(of_artifacts), Some(of_indexes)) =
            (self.blobs_of_artifacts(), self.blobs_of_indexes(names))
        else {
            return Ok(());
        };
        let others = of_artifacts.iter().chain(&of_indexes);
        needed.extend(others.map(Digest::hex));
        self.unlink_except(&self.images.join("blobs/sha256"), &needed)
    }

    fn layer_directories(&self) -> Result<Vec<LayerDir>, StoreError> {
        let error = |operation| StoreError::io(operation, &self.layers);
        let directory = fs::open_directory(&self.layers).map_err(error("open"))?;
        let listed = fs::list_directory(&directory).map_err(error("list"))?;
        let names = listed
            .iter()
            .filter_map(|(name, _)| std::str::from_utf8(name).ok());
        Ok(names.filter_map(|name| name.parse().ok()).collect())
    }

    fn rename_away(&self, keep: &HashSet<LayerDir>) -> Result<Collected, StoreError> {
        let error = |operation| StoreError::io(operation, &self.layers);
        let directory = fs::open_directory(&self.layers).map_err(error("open"))?;
        let mut collected = Collected::default();
        for layer in self.layer_directories()? {
            if keep.contains(&layer) {
                continue;
            }
            let dead = format!("{DEAD}{}", fs::random_name());
            // Before it has a name that any sweep would take it by.
            let held = match collected.dead.len() < MOST_HELD {
                true => fs::open_directory(&self.layers.join(layer.as_str()))
                    .and_then(|fd| Ok(lock::try_hold_alone(&fd)?.then_some(fd))),
                false => Ok(None),
            };
            let name = layer.as_str().as_bytes();
            fs::rename_new(&directory, name, dead.as_bytes()).map_err(error("rename in"))?;
            if let Ok(Some(held)) = held {
                collected.dead.push((self.layers.join(dead), held));
            }
            if layer == LayerDir::base(&layer.diff_id()) {
                collected.freed.push(layer.diff_id());
            }
        }
        collected.freed.sort();
        Ok(collected)
    }
}
