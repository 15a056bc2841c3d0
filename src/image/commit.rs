//! Giving an image its place and names, in `store/order`: settled layers, config, manifest, stack, then the names.

use std::collections::HashSet;

use super::digest::Digest;
use super::document::{self, Document, media_type};
use super::manifest::manifest_of;
use super::names::NameEntry;
use super::reference::Reference;
use super::settle;
use super::store::{Stack, Store, StoreError};
use crate::sys::fs;

impl Store {
    /// Stores manifest and config of an image whose layers are all in the store, and gives it `names` (for a pull:
    /// `repository:tag` and `repository@digest`; none makes a dangling image). The image's id is returned. Layers whose
    /// meaning depends on the ones below are settled here. [`StoreError::MissingLayer`] where garbage collection was
    /// quicker, which a [`Store::lease`] excludes. Runs in the home namespace: settling touches files of mapped ids.
    pub fn commit_image(
        &self,
        manifest: &[u8],
        media_type: &str,
        config: &[u8],
        diff_ids: &[Digest],
        names: &[Reference],
    ) -> Result<Digest, StoreError> {
        let id = Digest::of(config);
        let manifest_digest = Digest::of(manifest);
        let created = check(
            &manifest_digest,
            manifest,
            media_type,
            &id,
            config,
            diff_ids,
        )?;
        let _lock = self.lock_shared()?;
        let mut size = 0;
        for diff_id in diff_ids {
            size += self.layer_report(diff_id)?.size;
        }
        let stack = self.settled_stack(&id, diff_ids)?;
        let stack = serde_json::to_vec(&stack).expect("plain data always serialises");
        let mut documents = self.missing_blobs(&[(&id, config), (&manifest_digest, manifest)]);
        documents.push((self.stack_path(&id), &stack));
        fs::replace_files(&documents)?;
        let entry = |reference: Option<&Reference>| NameEntry {
            reference: reference.cloned(),
            manifest: manifest_digest.clone(),
            manifest_size: manifest.len() as u64,
            media_type: media_type.to_owned(),
            id: id.clone(),
            created: created.clone(),
            size,
        };
        self.change_names(|all| {
            names.iter().for_each(|name| all.set(entry(Some(name))));
            all.set(entry(None));
            Ok(())
        })?;
        Ok(id)
    }

    /// The same for an image that nobody has given a manifest: `layers` are its DiffIDs with the sizes of their tars.
    pub(super) fn commit_config(
        &self,
        config: &[u8],
        layers: &[(Digest, u64)],
        names: &[Reference],
    ) -> Result<Digest, StoreError> {
        let diff_ids: Vec<Digest> = layers.iter().map(|(diff_id, _)| diff_id.clone()).collect();
        let manifest = manifest_of(config, layers);
        self.commit_image(
            &manifest,
            media_type::OCI_MANIFEST,
            config,
            &diff_ids,
            names,
        )
    }

    /// The stack an image already has if it is whole, or a newly settled one.
    fn settled_stack(&self, id: &Digest, diff_ids: &[Digest]) -> Result<Stack, StoreError> {
        if let Ok(stack) = self.read_stack(id)
            && stack.layers.iter().all(|dir| self.layer_path(dir).is_dir())
        {
            return Ok(stack);
        }
        let layers = settle::settle(self, &mounted_once(diff_ids))?;
        Ok(Stack { layers })
    }
}

/// A DiffID that occurs twice is mounted once, at its topmost place: overlayfs refuses duplicates, and what lies above
/// the lower one and is hidden again by the upper one makes no difference.
fn mounted_once(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut seen = HashSet::new();
    let mut stack: Vec<Digest> = diff_ids
        .iter()
        .rev()
        .filter(|diff_id| seen.insert(*diff_id))
        .cloned()
        .collect();
    stack.reverse();
    stack
}

/// Compares manifest, config and layers with each other; gives the config's creation time.
fn check(
    manifest_digest: &Digest,
    manifest: &[u8],
    media_type: &str,
    id: &Digest,
    config: &[u8],
    diff_ids: &[Digest],
) -> Result<Option<String>, StoreError> {
    let subject = format!("manifest {manifest_digest}");
    let Document::Manifest(parsed) = Document::parse(&subject, manifest, Some(media_type))? else {
        return Err(StoreError::NotAManifest { subject });
    };
    let named = document::descriptor_digest(&subject, parsed.config())?;
    if named != *id {
        return Err(StoreError::ConfigDigest {
            manifest: manifest_digest.clone(),
            named,
            given: id.clone(),
        });
    }
    let subject = format!("config {id}");
    let parsed = document::parse_config(&subject, config)?;
    let listed = document::diff_ids(&subject, &parsed)?;
    if listed.len() != diff_ids.len() {
        return Err(StoreError::LayerCount {
            id: id.clone(),
            listed: listed.len(),
            given: diff_ids.len(),
        });
    }
    for (listed, given) in listed.into_iter().zip(diff_ids) {
        if listed != *given {
            return Err(StoreError::LayerOrder {
                id: id.clone(),
                listed,
                given: given.clone(),
            });
        }
    }
    Ok(parsed.created().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_that_occurs_twice_is_mounted_at_its_topmost_place() {
        let [a, b, empty] = [&b"a"[..], b"b", b"empty"].map(Digest::of);
        let stack = [
            empty.clone(),
            a.clone(),
            empty.clone(),
            b.clone(),
            empty.clone(),
        ];
        assert_eq!(mounted_once(&stack), [a, b, empty]);
    }
}
