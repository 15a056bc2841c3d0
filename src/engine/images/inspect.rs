//! What `image inspect` shows of an image.

use std::path::PathBuf;

use super::super::EngineError;
use crate::image::{Digest, Image, Reference, Store, StoreError, json};

/// Everything known of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageDetails {
    pub id: Digest,
    pub manifest: Digest,
    /// `debian:latest` names.
    pub tags: Vec<Reference>,
    /// `debian@sha256:…` names.
    pub digests: Vec<Reference>,
    /// The image's config as it was stored, with fields that no specification knows: `Healthcheck`, `Shell`, `OnBuild`.
    pub config: serde_json::Value,
    /// The DiffIDs, bottom first.
    pub layers: Vec<Digest>,
    /// The overlay lower directories, bottom first.
    pub directories: Vec<PathBuf>,
    pub size: u64,
}

pub(super) fn details(store: &Store, image: Image) -> Result<ImageDetails, EngineError> {
    let subject = format!("config of image {}", image.id);
    let config = json(&subject, &store.read_blob(&image.id)?).map_err(StoreError::from)?;
    let layers = crate::image::diff_ids(&subject, &image.config).map_err(StoreError::from)?;
    let (digests, tags) = image
        .names
        .into_iter()
        .partition(|name| name.digest().is_some());
    Ok(ImageDetails {
        directories: image
            .layers
            .iter()
            .map(|layer| store.layer_path(layer))
            .collect(),
        id: image.id,
        manifest: image.manifest,
        tags,
        digests,
        config,
        layers,
        size: image.size,
    })
}
