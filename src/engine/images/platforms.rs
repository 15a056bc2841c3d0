//! `images --tree`: each image with what it is for and what it takes.

use std::collections::HashSet;

use super::super::request::ListImagesRequest;
use super::super::{Engine, EngineError};
use super::list;
use crate::image::{Digest, Document, Image, Platform, Store, StoreError};

/// An image under all of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeImage {
    pub id: Digest,
    /// The index that the names stand for.
    pub index: Option<Digest>,
    /// None for an image without.
    pub names: Vec<String>,
    /// One, or all those of an index.
    pub platforms: Vec<TreePlatform>,
}

/// The image for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreePlatform {
    pub manifest: Digest,
    pub platform: Platform,
    /// Bytes of the unpacked layers.
    pub disk: u64,
    /// Bytes that a registry keeps of it: its documents and its layers as they are transferred.
    pub content: u64,
    /// A container uses it.
    pub is_used: bool,
}

impl Engine {
    /// The images that `images` lists, in its order.
    pub fn list_image_trees(
        &self,
        request: &ListImagesRequest,
    ) -> Result<Vec<TreeImage>, EngineError> {
        let store = self.images()?;
        let used: HashSet<Digest> = self
            .image_uses()?
            .into_iter()
            .map(|one| one.image)
            .collect();
        let known = store.names()?;
        let mut trees: Vec<TreeImage> = Vec::new();
        for row in list::rows(&store, request)? {
            let name = row
                .repository
                .map(|repository| match (row.tag, row.digest) {
                    (Some(tag), _) => format!("{repository}:{tag}"),
                    (None, Some(digest)) => format!("{repository}@{digest}"),
                    (None, None) => repository,
                });
            let is_same = |tree: &&mut TreeImage| tree.id == row.id && tree.index == row.index;
            if let Some(tree) = trees.iter_mut().find(is_same) {
                tree.names.extend(name);
                continue;
            }
            let mut ids = vec![&row.id];
            let members = row.index.iter().flat_map(|index| known.members(index));
            ids.extend(members.map(|member| &member.id));
            let mut platforms = Vec::new();
            for id in ids {
                let image = store.image_by_id(id)?;
                platforms.push(TreePlatform {
                    platform: Platform::of_config(&image.config),
                    disk: image.size,
                    content: content(&store, &image)?,
                    is_used: used.contains(&image.id),
                    manifest: image.manifest,
                });
            }
            trees.push(TreeImage {
                names: name.into_iter().collect(),
                platforms,
                index: row.index,
                id: row.id,
            });
        }
        Ok(trees)
    }
}

fn content(store: &Store, image: &Image) -> Result<u64, StoreError> {
    let bytes = store.read_blob(&image.manifest)?;
    let subject = format!("manifest {}", image.manifest);
    let Document::Manifest(manifest) = Document::parse(&subject, &bytes, None)? else {
        return Err(StoreError::NotAManifest { subject });
    };
    // A layer that an image has twice is one blob.
    let mut seen = HashSet::new();
    let layers = manifest.layers().iter();
    let layers = layers.filter(|layer| seen.insert(layer.digest().to_string()));
    let layers: u64 = layers.map(|layer| layer.size()).sum();
    Ok(layers + manifest.config().size() + bytes.len() as u64)
}
