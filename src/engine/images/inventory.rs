//! What is installed in an image. Reads its layers inside the home namespace, whose files they are.

use std::path::PathBuf;

use super::super::worker::RoleFailure;
use super::super::{Engine, EngineError};
use crate::image::{Digest, Inventory};

impl Engine {
    pub fn inventory(&self, id: &Digest) -> Result<Inventory, EngineError> {
        let store = self.images()?;
        let _lease = store.lease()?;
        let image = store.image_by_id(id)?;
        let layers = image.layers.iter().map(|layer| store.layer_path(layer));
        let layers: Vec<PathBuf> = layers.collect();
        self.in_home("worker", || {
            crate::sys::process::allow_descriptors();
            Inventory::of_layers(&layers).map_err(|source| {
                let operation = "read the layers";
                RoleFailure::of(&EngineError::System { operation, source }, Vec::new())
            })
        })
    }
}
