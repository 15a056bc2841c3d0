//! What a build needs of the store: the layers that its steps wrote become layers of images, and the image gets its names.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::files::engine_made;
use super::launch::CROWDED;
use super::worker::{Job, RoleFailure};
use super::{Engine, EngineError};
use crate::container::Event;
use crate::image::{
    Digest, Index, LayerPath, LayerReport, Layers, NOTHING, Reference, StepRecord, Store,
    StoreError, TempLayer, annotated, dockers, manifest_of, media_type, seal, squash, strip,
    take_root_looks,
};

/// A layer that a step has written.
#[derive(Clone, Debug)]
pub struct WrittenLayer {
    /// Below `layers/`.
    pub name: String,
    /// Directories of the layers that it lies on, bottom first.
    pub below: Vec<PathBuf>,
    /// The directory of the base image that is seen as `/`, if there is one.
    pub root: Option<PathBuf>,
    /// Where the engine had to make something to mount on.
    pub mount_points: Vec<String>,
    /// Seconds: nothing in it is newer.
    pub epoch: Option<i64>,
    /// It was the upper directory of a mount.
    pub was_mounted: bool,
}

/// A finished layer: it gets the name of its DiffID.
#[derive(Clone, Debug)]
pub struct FinishedLayer {
    pub name: String,
    pub report: LayerReport,
}

/// The image that a build comes to.
#[derive(Clone, Debug)]
pub struct NewImage {
    pub config: Vec<u8>,
    /// Bottom first, all in the store or among the finished ones.
    pub diff_ids: Vec<Digest>,
    pub names: Vec<Reference>,
    /// Of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// Docker's media types, not OCI's.
    pub docker_types: bool,
}

/// What was stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredImage {
    pub id: Digest,
    pub manifest: Digest,
}

fn failure(error: &(dyn std::error::Error + 'static)) -> RoleFailure {
    RoleFailure::of(error, Vec::new())
}

impl Engine {
    /// Reads what a step wrote: its DiffID and its record. Nobody writes into it any more.
    pub fn seal(&self, written: WrittenLayer) -> Result<Job<LayerReport>, EngineError> {
        let store = self.images()?;
        self.start_in_home("worker", move || {
            let layer = store
                .borrow_layer(&written.name)
                .map_err(|error| failure(&error))?;
            seal_written(&layer, &written)
        })
    }

    /// Makes one layer of what several change in those that it lies on: bottom first, some of them not named yet. Its DiffID and
    /// record.
    pub fn squash(
        &self,
        written: WrittenLayer,
        layers: Vec<PathBuf>,
    ) -> Result<Job<LayerReport>, EngineError> {
        let store = self.images()?;
        self.start_in_home("worker", move || {
            crate::sys::process::allow_descriptors();
            let layer = store
                .borrow_layer(&written.name)
                .map_err(|error| failure(&error))?;
            squash(&written.below, &layers, &layer).map_err(|error| failure(&error))?;
            seal_written(&layer, &written)
        })
    }

    /// Gives finished layers their names, writes down what steps came to, and makes the image, if there is one.
    pub fn store_build(
        &self,
        finished: &[FinishedLayer],
        steps: &[(Digest, StepRecord)],
        image: Option<&NewImage>,
    ) -> Result<Option<StoredImage>, EngineError> {
        let store = self.images()?;
        let stored = self.in_home("worker", || {
            let size = finished.iter().map(|layer| layer.report.size).sum();
            self.make_room(&store, size)?;
            store_all(&store, finished, steps, image).map_err(|error| failure(&error))
        })?;
        for name in image.iter().flat_map(|image| &image.names) {
            let name = name.familiar();
            self.emit(&Event::image(name.as_str(), &name, "tag"));
        }
        Ok(stored)
    }

    /// Makes an index of images that builds have stored, under these names. Gives its digest.
    pub fn store_index(&self, index: &Index, names: &[Reference]) -> Result<Digest, EngineError> {
        let digest = self.images()?.commit_index(index, names)?;
        for name in names {
            let name = name.familiar();
            self.emit(&Event::image(name.as_str(), &name, "tag"));
        }
        Ok(digest)
    }

    /// The digest that such an index has.
    pub fn index_digest(&self, index: &Index) -> Result<Digest, EngineError> {
        Ok(self.images()?.index_digest(index)?)
    }

    /// Removes what builds have begun and not ended. A failure is for the next that sweeps to say.
    pub fn sweep_layers(&self) {
        let Ok(store) = self.images() else { return };
        if !store.has_rubbish() {
            return self.collect_owed();
        }
        let swept = self.in_home("worker", || store.sweep().map_err(|error| failure(&error)));
        if let Err(error) = swept {
            tracing::debug!(%error, "sweep");
        }
    }

    /// The ids of all images, so that one that a build adds is known.
    pub fn image_ids(&self) -> Result<HashSet<Digest>, EngineError> {
        let names = self.images()?.names()?.entries.into_iter();
        Ok(names.map(|entry| entry.id).collect())
    }

    /// Removes an image that was stored only to be written elsewhere, unless it has got a name meanwhile. What its steps came
    /// to stays.
    pub fn forget_unnamed(&self, id: &Digest) -> Result<(), EngineError> {
        let store = self.images()?;
        let is_needed = store.names()?.is_of_index(id);
        if !is_needed && store.image_by_id(id)?.names.is_empty() {
            self.remove_image(id.as_str(), false, false, None)?;
        }
        Ok(())
    }

    /// Removes what goes beyond the disk budget, now that a build has given up its lease.
    pub fn settle_after_build(&self, image: Option<&Digest>) -> Result<(), EngineError> {
        if self.config.storage_max.bytes.is_none() {
            return Ok(());
        }
        let store = self.images()?;
        self.in_home("worker", || {
            self.make_room_beside(&store, image.cloned());
            Ok(())
        })
    }
}

fn seal_written(layer: &TempLayer, written: &WrittenLayer) -> Result<LayerReport, RoleFailure> {
    let io =
        |operation: &'static str| move |source| failure(&EngineError::System { operation, source });
    layer
        .remove_work()
        .map_err(io("remove what a mount left"))?;
    let mut mount_points: HashSet<LayerPath> = written
        .mount_points
        .iter()
        .map(|path| LayerPath(path.trim_matches('/').as_bytes().to_vec()))
        .collect();
    if written.was_mounted && written.below.len() >= CROWDED {
        // There was no layer with the places that every container mounts on.
        mount_points.extend(engine_made());
    }
    if !mount_points.is_empty() {
        let path = layer.path();
        let layers = Layers {
            upper: &path,
            below: &written.below,
            mount_points,
            marker_files: false,
        };
        let changes = layers.changes().map_err(io("read the layer"))?;
        strip(layer, &changes.hidden).map_err(io("remove a place that was mounted on"))?;
    }
    if let Some(root) = &written.root {
        take_root_looks(layer, root).map_err(io("set the attributes of the layer's root"))?;
    }
    seal(layer, written.epoch).map_err(|error| failure(&error))
}

fn store_all(
    store: &Store,
    finished: &[FinishedLayer],
    steps: &[(Digest, StepRecord)],
    image: Option<&NewImage>,
) -> Result<Option<StoredImage>, StoreError> {
    let mut layers = Vec::new();
    for layer in finished {
        layers.push((store.borrow_layer(&layer.name)?, layer.report.clone()));
    }
    let nothing: Digest = NOTHING.parse().expect("it is a digest");
    let needs_nothing = steps.iter().any(|(_, record)| record.layer == nothing)
        || image.is_some_and(|image| image.diff_ids.contains(&nothing));
    if needs_nothing && !store.has_layer(&nothing) {
        let empty = store.begin_layer()?;
        let report = seal(&empty, None).map_err(|error| StoreError::Io {
            operation: "make an empty layer in",
            path: empty.path(),
            source: std::io::Error::other(error),
        })?;
        layers.push((empty, report));
    }
    store.commit_layers(layers)?;
    for (key, record) in steps {
        store.remember_step(key, record)?;
    }
    let Some(image) = image else { return Ok(None) };
    let mut sizes = Vec::new();
    for diff_id in &image.diff_ids {
        sizes.push((diff_id.clone(), store.layer_report(diff_id)?.tar_size));
    }
    let mut manifest = annotated(manifest_of(&image.config, &sizes), &image.annotations);
    let mut of = media_type::OCI_MANIFEST;
    if image.docker_types {
        (manifest, of) = (dockers(&manifest), media_type::DOCKER_MANIFEST);
    }
    let id = store.commit_image(
        &manifest,
        of,
        &image.config,
        &image.diff_ids,
        &image.names,
        Vec::new(),
    )?;
    Ok(Some(StoredImage {
        id,
        manifest: Digest::of(&manifest),
    }))
}
