//! What is done about damage in the image store: what is broken goes out of the way, images that cannot be fetched again
//! are forgotten. Runs in the home namespace.

use std::collections::BTreeSet;

use super::check::Subject;
use super::digest::Digest;
use super::layer::DEAD;
use super::names::{NameEntry, Names};
use super::reference::Reference;
use super::store::{Store, StoreError};
use crate::sys::fs;

impl Store {
    /// Takes broken parts away: documents are unlinked, layers renamed for the next sweep. Images keep their names, so
    /// that nothing of them is collected before they have been fetched again or forgotten.
    pub fn put_away(&self, broken: &BTreeSet<Subject>) -> Result<(), StoreError> {
        let _lock = self.lock_exclusive()?;
        for subject in broken {
            let (parent, name) = match subject {
                Subject::Image(_) | Subject::Artifact(_) => continue,
                Subject::Artifacts => (self.images.clone(), "artifacts.json"),
                Subject::Names => (self.images.clone(), "index.json"),
                Subject::Blob(name) => (self.images.join("blobs/sha256"), name.as_str()),
                Subject::Stack(name) => (self.images.join("stacks"), name.as_str()),
                Subject::Kept(name) => (self.kept_directory(), name.as_str()),
                Subject::Signatures(name) => (self.images.join("signatures"), name.as_str()),
                Subject::Layer(layer) => (self.layers.clone(), layer.as_str()),
            };
            let directory = fs::open_directory(&parent).map_err(StoreError::io("open", &parent))?;
            if let Subject::Layer(_) = subject {
                let dead = format!("{DEAD}{}", fs::random_name());
                match fs::rename_new(&directory, name.as_bytes(), dead.as_bytes()) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(StoreError::io("rename in", &parent)(error));
                    }
                    _ => {}
                }
            } else {
                let removed = fs::remove_tree(&directory, name.as_bytes());
                removed.map_err(|failed| {
                    StoreError::io("remove", &parent.join(failed.path))(failed.source)
                })?;
            }
        }
        Ok(())
    }

    /// The names of an image that has been fetched again under `fetched` are those it had before.
    pub fn restore_names(
        &self,
        id: &Digest,
        names: &[Reference],
        fetched: &Reference,
    ) -> Result<(), StoreError> {
        let _lock = self.lock_shared()?;
        self.change_names(|all| {
            let Some(entry) = all.get(fetched).filter(|entry| entry.id == *id).cloned() else {
                return Ok(());
            };
            for name in names {
                all.set(NameEntry {
                    reference: Some(name.clone()),
                    index: None,
                    ..entry.clone()
                });
            }
            if !names.contains(fetched) {
                all.remove_name(fetched);
            }
            Ok(())
        })
    }

    /// Forgets these images with all their names; what only they needed goes with the next collection.
    pub fn forget(&self, images: &[Digest]) -> Result<(), StoreError> {
        let _lock = self.lock_exclusive()?;
        self.remove_names(|names: &mut Names| {
            images.iter().for_each(|id| names.forget_image(id));
            Ok(())
        })
    }
}
