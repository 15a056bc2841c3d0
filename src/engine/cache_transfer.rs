//! What steps came to on its way to other stores: an image whose layers are theirs and whose configuration lists them.
//! `build --cache-to` and `--cache-from`. What comes from elsewhere is believed only where the user named it.

use std::collections::BTreeMap;

use super::build::{NewImage, StoredImage};
use super::pull::PullOutcome;
use super::request::{Input, LoadRequest, TagRequest};
use super::{Engine, EngineError};
use crate::image::{
    CACHE_FIELD, Digest, Platform, Reference, StepRecord, cache_records, diff_ids, json,
};
use crate::registry::Progress;

impl Engine {
    /// Stores these steps as an image without a name.
    pub fn store_cache(&self, steps: &[(Digest, StepRecord)]) -> Result<StoredImage, EngineError> {
        let mut layers: Vec<Digest> = Vec::new();
        for (_, record) in steps {
            if !layers.contains(&record.layer) {
                layers.push(record.layer.clone());
            }
        }
        let platform = Platform::host();
        let texts: Vec<&str> = layers.iter().map(Digest::as_str).collect();
        let mut document = serde_json::json!({
            "architecture": platform.architecture,
            "os": platform.os,
            "created": "1970-01-01T00:00:00Z",
            "config": {},
            "rootfs": { "type": "layers", "diff_ids": texts },
            "history": [],
        });
        document[CACHE_FIELD] = cache_records(steps);
        let image = NewImage {
            config: serde_json::to_vec(&document).expect("plain data always serialises"),
            diff_ids: layers,
            names: Vec::new(),
            annotations: BTreeMap::new(),
            docker_types: false,
        };
        let stored = self.store_build(&[], &[], Some(&image))?;
        Ok(stored.expect("an image was given"))
    }

    /// Takes over what the configuration of an image of the store lists; how many steps that were not known.
    fn take_cache(&self, id: &Digest) -> Result<usize, EngineError> {
        let store = self.images()?;
        let image = store.image_by_id(id)?;
        let subject = format!("config of image {id}");
        let in_store = crate::image::StoreError::from;
        let document: serde_json::Map<String, serde_json::Value> =
            json(&subject, &store.read_blob(id)?).map_err(in_store)?;
        let listed = diff_ids(&subject, &image.config).map_err(in_store)?;
        let records = crate::image::cache_records_of(&document);
        let mut taken = 0;
        for (key, record) in records {
            // What is known here is not replaced by what somebody else says.
            let is_whole = listed.contains(&record.layer) && store.has_layer(&record.layer);
            if is_whole && store.step(&key).is_none() {
                store.remember_step(&key, &record)?;
                taken += 1;
            }
        }
        Ok(taken)
    }

    /// From a directory that `--cache-to type=local` wrote.
    pub fn import_cache(&self, directory: &std::path::Path) -> Result<usize, EngineError> {
        let before = self.image_ids()?;
        let loaded = self.load_images(&LoadRequest {
            only: None,
            input: Input::File(directory.to_owned()),
            platform: None,
        })?;
        let mut taken = 0;
        for image in loaded {
            taken += self.take_cache(&image.id)?;
            if !before.contains(&image.id) {
                self.forget_unnamed(&image.id)?;
            }
        }
        Ok(taken)
    }

    /// From a registry: an image that carries what its steps came to. The store's names stay what they were.
    pub fn pull_cache(
        &self,
        name: &Reference,
        progress: &dyn Progress,
    ) -> Result<usize, EngineError> {
        let store = self.images()?;
        let before = store.resolve_reference(name).ok();
        let (_, PullOutcome { id, .. }) =
            self.pull_any(name.clone(), Vec::new(), &None, progress)?;
        let taken = self.take_cache(&id)?;
        match before {
            Some(image) if image.id == id => {}
            Some(image) => self.tag_image(&TagRequest {
                source: image.id.to_string(),
                target: name.clone(),
            })?,
            None => drop(self.remove_image(&name.to_string(), false, false, None)?),
        }
        Ok(taken)
    }
}
