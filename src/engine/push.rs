//! `push`: an image of the store to its registry. Layers are read inside the home namespace, whose files they are.

use std::io::Write;

use serde::{Deserialize, Serialize};

use super::images::image_for;
use super::worker::RoleFailure;
use super::{Engine, EngineError};
use crate::container::Event;
use crate::image::{
    Compare, Digest, ImageError, Index, NamedBy, Reference, Store, diff_ids, find, media_type,
};
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
    /// The image has to be for it; of an index that one is pushed alone.
    pub platform: Option<String>,
    /// Which of the image's manifests, where it may have several.
    pub manifest: Option<Digest>,
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
        if let Some(index) = self.index_to_push(&store, request)? {
            return self.push_index(&index, &request.target, &request.options, progress);
        }
        let lease = store.lease()?;
        let image = self.to_push(&store, request)?;
        let mut config = self.registry_config_for(&request.target)?;
        config.look_up_origins(&image.diff_ids)?;
        let target = &request.target;
        let pushed: Result<Pushed, EngineError> = self.in_home("transfer", || {
            let source = StoreSource(&store);
            let pushed =
                registry::push(&image, target, &request.options, &config, &source, progress);
            pushed.map_err(|error: RegistryError| RoleFailure::of(&error, error.hints()))
        });
        drop(lease);
        self.collect_owed();
        let pushed = pushed?;
        if !request.options.untagged {
            let by_digest = target.with_digest(pushed.digest.clone());
            let id = Digest::of(&image.config);
            let named = store.name_pushed(&id, &by_digest, &pushed.manifest, &pushed.media_type);
            if let Err(error) = named {
                // It has arrived all the same.
                (self.warn)(&format!(
                    "{} is in the registry, but not known by that digest here: {error}",
                    by_digest.familiar()
                ));
            }
        }
        let outcome = PushOutcome {
            digest: pushed.digest,
            size: pushed.manifest.len() as u64,
            changed: pushed.changed,
        };
        let name = target.familiar();
        self.emit(&Event::image(name.as_str(), &name, "push"));
        Ok(outcome)
    }

    /// The index that a name stands for, unless one of its images is wanted.
    fn index_to_push(
        &self,
        store: &Store,
        request: &PushRequest,
    ) -> Result<Option<Index>, EngineError> {
        if request.platform.is_some() || request.manifest.is_some() {
            return Ok(None);
        }
        let names = store.names()?;
        match find(&names, &request.image) {
            Ok((entry, NamedBy::Reference(_) | NamedBy::Index)) => {
                let index = entry.head().map(|index| store.index(index));
                Ok(index.transpose()?)
            }
            _ => Ok(None),
        }
    }

    fn to_push(&self, store: &Store, request: &PushRequest) -> Result<ToPush, EngineError> {
        let not_local = |error| match error {
            EngineError::Image(error) if matches!(*error, ImageError::Unknown { .. }) => {
                EngineError::NotLocal {
                    name: match request.image.parse::<Reference>() {
                        Ok(reference) => reference.familiar_name(),
                        Err(_) => request.image.clone(),
                    },
                }
            }
            error => error,
        };
        let image = image_for(store, &request.image, request.platform.as_deref());
        let image = image.map_err(not_local)?;
        let names = store.names()?;
        let manifest = match &request.manifest {
            Some(manifest) => manifest.clone(),
            None => match find(&names, &request.image) {
                Ok((entry, _)) if entry.id == image.id => entry.manifest.clone(),
                _ => image.manifest.clone(),
            },
        };
        let mut entries = names.of_image(&image.id);
        let entry = entries.find(|entry| entry.manifest == manifest);
        let subject = format!("config of image {}", image.id);
        Ok(ToPush {
            manifest: store.read_blob(&manifest)?,
            media_type: entry
                .map_or(media_type::OCI_MANIFEST, |entry| &entry.media_type)
                .to_owned(),
            config: store.read_blob(&image.id)?,
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
