//! `push`: an image of the store to its registry. Layers are read inside the home namespace, whose files they are.

use std::io::Write;

use serde::{Deserialize, Serialize};

use super::images::check_platform;
use super::worker::RoleFailure;
use super::{Engine, EngineError};
use crate::container::Event;
use crate::image::{Compare, Digest, ImageError, Reference, Store, diff_ids, find};
use crate::registry::{
    self, LayerSource, Progress, PushOptions, Pushed, RegistryError, SinkError, ToPush,
};

/// What to push where.
#[derive(Clone, Debug)]
pub struct PushRequest {
    /// The image in any of its names.
    pub image: String,
    pub target: Reference,
    pub options: PushOptions,
    /// The image has to be for it.
    pub platform: Option<String>,
}

/// What a push did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushOutcome {
    pub digest: Digest,
    /// Bytes of the manifest.
    pub size: u64,
    /// Layers whose blobs have other digests than in the image's own manifest.
    pub changed: Vec<Digest>,
}

impl Engine {
    /// The tags of a repository in the store.
    pub fn tags_of(&self, repository: &Reference) -> Result<Vec<Reference>, EngineError> {
        let names = self.images()?.names()?;
        let mut tags: Vec<Reference> = names
            .entries
            .into_iter()
            .filter_map(|entry| entry.reference)
            .filter(|name| name.name() == repository.name() && name.tag().is_some())
            .collect();
        tags.sort();
        match tags.is_empty() {
            true => Err(EngineError::NotLocal {
                name: repository.familiar_name(),
            }),
            false => Ok(tags),
        }
    }

    pub fn push(
        &self,
        request: &PushRequest,
        progress: &dyn Progress,
    ) -> Result<PushOutcome, EngineError> {
        let store = self.images()?;
        let lease = store.lease()?;
        let image = self.to_push(&store, request)?;
        let mut config = self.registry_config_for(&request.target)?;
        config.look_up_origins(&image.diff_ids)?;
        let target = &request.target;
        let outcome: Result<PushOutcome, EngineError> = self.in_home("transfer", || {
            let source = StoreSource(&store);
            let pushed =
                registry::push(&image, target, &request.options, &config, &source, progress);
            let failed = |error: RegistryError| RoleFailure::of(&error, error.hints());
            let Pushed {
                digest,
                size,
                changed,
            } = pushed.map_err(failed)?;
            Ok(PushOutcome {
                digest,
                size,
                changed,
            })
        });
        drop(lease);
        self.collect_owed();
        let outcome = outcome?;
        let name = target.familiar();
        self.emit(&Event::image(name.as_str(), &name, "push"));
        Ok(outcome)
    }

    fn to_push(&self, store: &Store, request: &PushRequest) -> Result<ToPush, EngineError> {
        let names = store.names()?;
        let (entry, _) = find(&names, &request.image).map_err(|error| match error {
            ImageError::Unknown { .. } => EngineError::NotLocal {
                name: match request.image.parse::<Reference>() {
                    Ok(reference) => reference.familiar_name(),
                    Err(_) => request.image.clone(),
                },
            },
            error => error.into(),
        })?;
        let image = store.image_by_id(&entry.id)?;
        check_platform(&image, &request.image, request.platform.as_deref())?;
        let subject = format!("config of image {}", entry.id);
        Ok(ToPush {
            manifest: store.read_blob(&entry.manifest)?,
            media_type: entry.media_type.clone(),
            config: store.read_blob(&entry.id)?,
            diff_ids: diff_ids(&subject, &image.config).map_err(crate::image::StoreError::from)?,
        })
    }
}

/// The store's layers, as the archives they came from.
struct StoreSource<'a>(&'a Store);

impl LayerSource for StoreSource<'_> {
    fn write(&self, diff_id: &Digest, to: &mut dyn Write) -> Result<(), SinkError> {
        let written = self.0.write_compared(diff_id, Compare::Sum, to);
        written.map(drop).map_err(SinkError::new)
    }

    fn kept(&self, digest: &Digest, size: u64) -> Option<std::fs::File> {
        self.0.kept(digest, size)
    }
}
