//! Giving an image its place and names, in `store/order`: settled layers, config, manifest, stack, then the names.

use std::collections::HashSet;

use super::digest::Digest;
use super::document::{self, Document, media_type};
use super::layer::{LayerDir, LayerReport, TempLayer};
use super::manifest::manifest_of;
use super::names::{NameEntry, Names};
use super::ready::Ready;
use super::reference::Reference;
use super::settle;
use super::store::{Stack, Store, StoreError};
use crate::sys::fs::{self, Drafts};

/// An image's documents, and the layers they speak of.
struct Documents<'a> {
    manifest: &'a [u8],
    media_type: &'a str,
    config: &'a [u8],
    diff_ids: &'a [Digest],
}

/// Bytes of a layer: of its files, and of its tar.
struct Size {
    files: u64,
    tar: u64,
}

impl Store {
    /// Stores manifest and config of an image whose layers are in the store or brought with it, and gives it `names` (for a pull:
    /// `repository:tag` and `repository@digest`; none makes a dangling image). The image's id is returned. Layers that it brings get
    /// their names with it: all contents are synced at once, and then all names. Those whose meaning depends on the ones below are
    /// settled here. [`StoreError::MissingLayer`] where garbage collection was quicker, which a [`Store::lease`] excludes. Runs in
    /// the home namespace: settling touches files of mapped ids.
    pub fn commit_image(
        &self,
        manifest: &[u8],
        media_type: &str,
        config: &[u8],
        diff_ids: &[Digest],
        names: &[Reference],
        brings: Vec<(TempLayer, LayerReport)>,
    ) -> Result<Digest, StoreError> {
        let documents = Documents {
            manifest,
            media_type,
            config,
            diff_ids,
        };
        let created = check(&documents)?;
        let brought = self.make_ready(brings)?;
        let _lock = self.lock_shared()?;
        let sizes = self.sizes(diff_ids, &brought)?;
        self.commit_documents(&documents, created, &sizes, names, None, brought)
    }

    /// The same for an image that nobody has given a manifest. It is made from `parent`, if it is from one: with that one's layers
    /// below its own.
    pub(super) fn commit_config(
        &self,
        config: &[u8],
        diff_ids: &[Digest],
        names: &[Reference],
        parent: Option<&Digest>,
        brings: Vec<(TempLayer, LayerReport)>,
    ) -> Result<Digest, StoreError> {
        let brought = self.make_ready(brings)?;
        let _lock = self.lock_shared()?;
        let sizes = self.sizes(diff_ids, &brought)?;
        let tars = sizes.iter().map(|size| size.tar);
        let layers: Vec<(Digest, u64)> = diff_ids.iter().cloned().zip(tars).collect();
        let documents = Documents {
            manifest: &manifest_of(config, &layers),
            media_type: media_type::OCI_MANIFEST,
            config,
            diff_ids,
        };
        let created = check(&documents)?;
        self.commit_documents(&documents, created, &sizes, names, parent, brought)
    }

    /// Under the store lock.
    fn commit_documents(
        &self,
        documents: &Documents<'_>,
        created: Option<String>,
        sizes: &[Size],
        names: &[Reference],
        parent: Option<&Digest>,
        mut brought: Ready,
    ) -> Result<Digest, StoreError> {
        let (config, manifest) = (documents.config, documents.manifest);
        let (id, manifest_digest) = (Digest::of(config), Digest::of(manifest));
        let stack = self.settled_stack(&id, documents.diff_ids, parent, &mut brought)?;
        let stack = serde_json::to_vec(&stack).expect("plain data always serialises");
        let mut files = self.missing_blobs(&[(&id, config), (&manifest_digest, manifest)]);
        files.push((self.stack_path(&id), &stack));
        let entry = |reference: Option<&Reference>| NameEntry {
            reference: reference.cloned(),
            manifest: manifest_digest.clone(),
            manifest_size: manifest.len() as u64,
            media_type: documents.media_type.to_owned(),
            id: id.clone(),
            created: created.clone(),
            size: sizes.iter().map(|size| size.files).sum(),
            index: None,
        };
        let change = |all: &mut Names| {
            names.iter().for_each(|name| all.set(entry(Some(name))));
            all.set(entry(None));
        };
        let before = self.read_names()?;
        let known = self.parse_names(before.as_deref())?;
        let mut all = known.clone();
        change(&mut all);
        let index = (all != known).then(|| (self.index_path(), all.to_json()));
        let index = index.as_ref().map(|(path, json)| (path.clone(), &json[..]));
        let index = index.as_slice();

        let (drafts, index) = (Drafts::write(&files)?, Drafts::write(index)?);
        fs::sync_together(&[&drafts, &index], brought.unsynced())?;
        let layers = brought.name(self)?;
        drafts.name()?;
        if let Some(layers) = layers {
            self.sync_layers(&layers)?;
        }
        self.place_names(before.as_deref(), index, |all| {
            change(all);
            Ok(())
        })?;
        Ok(id)
    }

    fn sizes(&self, diff_ids: &[Digest], brought: &Ready) -> Result<Vec<Size>, StoreError> {
        let size = |report: &LayerReport| Size {
            files: report.size,
            tar: report.tar_size,
        };
        let find = |diff_id| match brought.find(diff_id) {
            Some((_, report)) => Ok(size(report)),
            None => self.layer_report(diff_id).map(|report| size(&report)),
        };
        diff_ids.iter().map(find).collect()
    }

    /// The stack an image already has if it is whole, or a newly settled one.
    fn settled_stack(
        &self,
        id: &Digest,
        diff_ids: &[Digest],
        parent: Option<&Digest>,
        brought: &mut Ready,
    ) -> Result<Stack, StoreError> {
        if let Some(stack) = self.whole_stack(id) {
            return Ok(stack);
        }
        let mounted = mounted_once(diff_ids);
        let known = parent.and_then(|parent| self.settled_below(parent, &mounted));
        let (below, count) = known.unwrap_or_default();
        let layers = settle::settle(self, below, &mounted[count..], brought)?;
        Ok(Stack { layers })
    }

    fn whole_stack(&self, id: &Digest) -> Option<Stack> {
        let stack = self.read_stack(id).ok()?;
        let mut layers = stack.layers.iter();
        let is_whole = layers.all(|dir| self.layer_path(dir).is_dir());
        is_whole.then_some(stack)
    }

    /// The parent's stack, and how many of these layers it is: what a layer needs depends on those below alone, so they need not be
    /// looked at again.
    fn settled_below(&self, parent: &Digest, mounted: &[Digest]) -> Option<(Vec<LayerDir>, usize)> {
        let below = self.whole_stack(parent)?.layers;
        let diff_ids: Vec<Digest> = below.iter().map(LayerDir::diff_id).collect();
        let top = diff_ids.last()?;
        let count = mounted.iter().position(|diff_id| diff_id == top)? + 1;
        // One that lies in the parent too is mounted once, on top: what was below it is another stack then.
        let is_same = mounted[..count].ends_with(&diff_ids);
        is_same.then_some((below, count))
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
fn check(documents: &Documents<'_>) -> Result<Option<String>, StoreError> {
    let Documents {
        manifest,
        media_type,
        config,
        diff_ids,
    } = documents;
    let (id, manifest_digest) = (Digest::of(config), Digest::of(manifest));
    let subject = format!("manifest {manifest_digest}");
    let Document::Manifest(parsed) = Document::parse(&subject, manifest, Some(media_type))? else {
        return Err(StoreError::NotAManifest { subject });
    };
    let named = document::descriptor_digest(&subject, parsed.config())?;
    if named != id {
        return Err(StoreError::ConfigDigest {
            manifest: manifest_digest,
            named,
            given: id,
        });
    }
    let subject = format!("config {id}");
    let parsed = document::parse_config(&subject, config)?;
    let listed = document::diff_ids(&subject, &parsed)?;
    if listed.len() != diff_ids.len() {
        return Err(StoreError::LayerCount {
            id,
            listed: listed.len(),
            given: diff_ids.len(),
        });
    }
    for (listed, given) in listed.into_iter().zip(*diff_ids) {
        if listed != *given {
            return Err(StoreError::LayerOrder {
                id,
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
