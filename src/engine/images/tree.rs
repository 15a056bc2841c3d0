//! podman's `image tree` and `image diff`: the layers of an image, and what the topmost changes in those below it.

use std::collections::HashSet;
use std::path::PathBuf;

use super::super::worker::RoleFailure;
use super::super::{Engine, EngineError};
use crate::image::{ChangeKind, Digest, LayerPath, Layers, Reference, StoreError, diff_ids};

/// An image with its layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageTree {
    pub id: Digest,
    pub names: Vec<Reference>,
    pub size: u64,
    /// Bottom first.
    pub layers: Vec<TreeLayer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeLayer {
    pub diff_id: Digest,
    pub size: u64,
    /// The names of the images that end here.
    pub top_of: Vec<Reference>,
}

impl Engine {
    pub fn image_tree(&self, text: &str) -> Result<ImageTree, EngineError> {
        let store = self.images()?;
        let image = store.resolve(text)?;
        let stack = |image: &crate::image::Image| {
            diff_ids(&format!("config of image {}", image.id), &image.config)
                .map_err(StoreError::from)
        };
        let own = stack(&image)?;
        let ids: HashSet<Digest> = store
            .names()?
            .entries
            .into_iter()
            .map(|one| one.id)
            .collect();
        // One that is removed meanwhile, or cannot be read, ends nowhere.
        let others = ids.iter().filter_map(|id| store.image_by_id(id).ok());
        let others: Vec<_> = others
            .filter_map(|other| Some((stack(&other).ok()?, other.names)))
            .collect();
        let mut layers = Vec::new();
        for (number, diff_id) in own.iter().enumerate() {
            let ending = others.iter().filter(|(stack, _)| *stack == own[..=number]);
            layers.push(TreeLayer {
                diff_id: diff_id.clone(),
                size: store.layer_report(diff_id)?.size,
                top_of: ending.flat_map(|(_, names)| names.clone()).collect(),
            });
        }
        Ok(ImageTree {
            id: image.id,
            names: image.names,
            size: image.size,
            layers,
        })
    }

    /// What an image's topmost layer changes in what is below it.
    pub fn image_changes(&self, text: &str) -> Result<Vec<(LayerPath, ChangeKind)>, EngineError> {
        let store = self.images()?;
        let image = store.resolve(text)?;
        let directories = image.layers.iter().map(|layer| store.layer_path(layer));
        let mut below: Vec<PathBuf> = directories.collect();
        let Some(upper) = below.pop() else {
            return Ok(Vec::new());
        };
        self.in_home("worker", || {
            let layers = Layers {
                upper: &upper,
                below: &below,
                mount_points: HashSet::new(),
                marker_files: false,
            };
            let changes = layers.changes().map_err(|source| RoleFailure {
                message: format!("compare the layers of {text}: {source}"),
                hints: Vec::new(),
            });
            Ok(changes?.list)
        })
    }
}
