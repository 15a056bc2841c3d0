//! `image prune`: images that nobody needs. Whatever somebody begins to use meanwhile stays.

use std::collections::{BTreeMap, HashSet};

use super::super::remove::users_of;
use super::super::request::PruneFilters;
use super::super::worker::RoleFailure;
use super::super::{Engine, EngineError};
use super::list::{by_image, tag_of};
use crate::container::{Event, EventKind};
use crate::image::{Digest, LayerDir, Reference, RemoveImageError, Removed, Store};

/// What `image prune` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunedImages {
    pub removed: Vec<Removed>,
    /// Bytes of the layers that are gone.
    pub reclaimed: u64,
}

impl Engine {
    /// Removes images without a tag, or with `all` those without a container, that fit.
    pub fn prune_images(
        &self,
        all: bool,
        filters: &PruneFilters,
    ) -> Result<PrunedImages, EngineError> {
        let store = self.images()?;
        let texts = self.prunable(&store, all, filters)?;
        if texts.is_empty() {
            return Ok(PrunedImages::default());
        }
        let sizes = store.layer_sizes(|report| report.size)?;
        let users = || users_of(&self.containers);
        let removed: Vec<Removed> = self.in_home("worker", || {
            let mut removed = Vec::new();
            for text in &texts {
                match store.remove(text, false, false, &users) {
                    Ok(some) => removed.extend(some),
                    // Removed, or begun to be used, meanwhile.
                    Err(
                        RemoveImageError::Image(_)
                        | RemoveImageError::NameInUse { .. }
                        | RemoveImageError::Running { .. }
                        | RemoveImageError::Stopped { .. },
                    ) => {}
                    Err(error) => return Err(RoleFailure::of(&error, Vec::new())),
                }
            }
            Ok(removed)
        })?;
        let gone = removed.iter().filter_map(|one| match one {
            Removed::Deleted(digest) => sizes.get(&LayerDir::base(digest)),
            Removed::Untagged(_) => None,
        });
        let reclaimed = gone.sum();
        let event = Event::new(EventKind::Image, "", "prune");
        self.emit(&event.with("reclaimed", u64::to_string(&reclaimed)));
        Ok(PrunedImages { removed, reclaimed })
    }

    /// The names, or ids of those without, in an order in which they can be removed.
    fn prunable(
        &self,
        store: &Store,
        all: bool,
        filters: &PruneFilters,
    ) -> Result<Vec<String>, EngineError> {
        let used: HashSet<Digest> = self
            .image_uses()?
            .into_iter()
            .map(|one| one.image)
            .collect();
        let names = store.names()?;
        let mut texts = Vec::new();
        for entries in by_image(&names) {
            let id = &entries[0].id;
            let tagged = entries.iter().any(|entry| tag_of(entry).is_some());
            let is_used = used.contains(id) && entries[0].reference.is_some();
            if is_used || (tagged && !all) || !fits(store, id, filters) {
                continue;
            }
            let nameless = entries[0].head().filter(|_| entries[0].reference.is_none());
            if let Some(index) = nameless {
                texts.push(index.to_string());
                continue;
            }
            let references = entries.iter().filter_map(|entry| entry.reference.as_ref());
            let before = texts.len();
            texts.extend(references.map(Reference::to_string));
            if texts.len() == before {
                texts.push(id.to_string());
            }
        }
        Ok(texts)
    }
}

/// An image that cannot be read is nobody's to judge.
fn fits(store: &Store, id: &Digest, filters: &PruneFilters) -> bool {
    let Ok(image) = store.image_by_id(id) else {
        return false;
    };
    let created = image.created.as_deref().and_then(|time| time.parse().ok());
    let labels = image.config.labels_of_config();
    let labels: BTreeMap<String, String> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    filters.matches(created, &labels)
}
