//! `system df`: what images, containers and volumes take of the disk, as the file system counts it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::build_cache::CacheEntry;
use super::containers::{ListedContainer, each_below};
use super::request::{ListImagesRequest, PsRequest, VolumeFilters};
use super::volumes::VolumeSummary;
use super::{Engine, EngineError};
use crate::engine::images::ImageRow;
use crate::image::{Digest, LayerDir};

/// An image on the disk.
#[derive(Clone, Debug)]
pub struct ImageUsage {
    pub row: ImageRow,
    /// Bytes of layers that other images have too, and of those that it alone has.
    pub shared: u64,
    pub unique: u64,
    /// Containers made of it.
    pub containers: usize,
}

/// Everything of this user's store.
#[derive(Clone, Debug, Default)]
pub struct DiskUsage {
    pub images: Vec<ImageUsage>,
    /// Different images.
    pub image_count: usize,
    /// Each layer once, with its records; a file that several have once, too.
    pub image_bytes: u64,
    /// Of layers and kept blobs that no image with a container has.
    pub image_reclaimable: u64,
    /// Compressed layers that are kept, and what they take; they are among the images' bytes.
    pub kept_blobs: usize,
    pub kept_bytes: u64,
    /// With the bytes of their own layers and logs.
    pub containers: Vec<(ListedContainer, u64)>,
    pub volumes: Vec<(VolumeSummary, u64)>,
    /// What builds keep.
    pub build_cache: Vec<CacheEntry>,
}

/// Bytes of what is measured, in its order.
#[derive(Serialize, Deserialize)]
struct Sizes {
    each: Vec<u64>,
    /// Of files that several layers have, beyond the first.
    again: u64,
}

/// What is measured, in this order.
struct Places {
    layers: Vec<LayerDir>,
    paths: Vec<PathBuf>,
}

impl Engine {
    /// Walks everything: files of subordinate ids can be seen in the home namespace only.
    pub fn disk_usage(&self) -> Result<DiskUsage, EngineError> {
        let store = self.images()?;
        let rows = self.list_images(&ListImagesRequest {
            all: true,
            ..ListImagesRequest::default()
        })?;
        let containers = self.list(&PsRequest {
            all: true,
            ..PsRequest::default()
        })?;
        let volumes = self.list_volumes(&VolumeFilters::default())?;
        let mut stacks: BTreeMap<Digest, Vec<LayerDir>> = BTreeMap::new();
        let mut blobs: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
        for row in &rows {
            // One that is removed meanwhile is not there.
            if let Ok(image) = store.image_by_id(&row.id) {
                stacks.insert(row.id.clone(), image.layers);
                blobs.insert(row.id.clone(), store.blobs_of(&image.manifest));
            }
        }
        let layers: BTreeSet<LayerDir> = stacks.values().flatten().cloned().collect();
        let layers: Vec<LayerDir> = layers.into_iter().collect();
        let mut paths: Vec<PathBuf> = layers.iter().map(|layer| store.layer_home(layer)).collect();
        let stray = strays(&self.paths.layers(), &paths);
        let mut stray = stray.map_err(EngineError::system("list the layers"))?;
        let build_cache = self.build_cache()?;
        let of_steps: HashSet<PathBuf> = build_cache
            .iter()
            .filter(|entry| !entry.shared)
            .filter_map(|entry| Some(store.layer_home(entry.layer()?)))
            .collect();
        stray.retain(|path| !of_steps.contains(path));
        paths.extend(stray);
        paths.push(self.paths.images());
        let places = Places { layers, paths };
        let mut all = places.paths.clone();
        all.extend(containers.iter().map(|one| one.record.directory.clone()));
        all.extend(volumes.iter().map(|one| one.volume.data()));
        let of_images = places.paths.len();
        let sizes: Sizes = self.in_home("worker", || Ok(measured(&all, of_images)))?;
        let busy = containers
            .iter()
            .filter_map(|one| one.config.image_id.parse().ok())
            .filter_map(|id: Digest| blobs.get(&id));
        let busy: HashSet<Digest> = busy.flatten().cloned().collect();
        let kept = store.kept_sizes()?;
        let idle = kept.iter().filter(|(blob, _)| !busy.contains(*blob));
        let idle: u64 = idle.map(|(_, size)| size).sum();
        let mut usage = sum_up(&rows, &stacks, &places, containers, volumes, &sizes);
        usage.image_reclaimable += idle;
        usage.kept_blobs = kept.len();
        usage.kept_bytes = kept.values().sum();
        usage.build_cache = build_cache;
        Ok(usage)
    }
}

fn sum_up(
    rows: &[ImageRow],
    stacks: &BTreeMap<Digest, Vec<LayerDir>>,
    places: &Places,
    containers: Vec<ListedContainer>,
    volumes: Vec<VolumeSummary>,
    sizes: &Sizes,
) -> DiskUsage {
    let size_of: BTreeMap<&LayerDir, u64> = places
        .layers
        .iter()
        .zip(sizes.each.iter().copied())
        .collect();
    let mut owners: BTreeMap<&LayerDir, usize> = BTreeMap::new();
    for stack in stacks.values() {
        for layer in stack.iter().collect::<BTreeSet<_>>() {
            *owners.entry(layer).or_default() += 1;
        }
    }
    let mut made: BTreeMap<String, usize> = BTreeMap::new();
    for container in &containers {
        *made.entry(container.config.image_id.clone()).or_default() += 1;
    }
    let images = rows.iter().map(|row| {
        let stack = stacks.get(&row.id).into_iter().flatten();
        let (mut shared, mut unique) = (0, 0);
        for layer in stack.collect::<BTreeSet<_>>() {
            let size = size_of.get(layer).copied().unwrap_or_default();
            match owners.get(layer) {
                Some(2..) => shared += size,
                _ => unique += size,
            }
        }
        ImageUsage {
            shared,
            unique,
            containers: made.get(row.id.as_str()).copied().unwrap_or_default(),
            row: row.clone(),
        }
    });
    let images: Vec<ImageUsage> = images.collect();
    let in_use: HashSet<&LayerDir> = stacks
        .iter()
        .filter(|(id, _)| made.contains_key(id.as_str()))
        .flat_map(|(_, stack)| stack)
        .collect();
    let idle = size_of.iter().filter(|(layer, _)| !in_use.contains(*layer));
    let (of_images, rest) = sizes.each.split_at(places.paths.len());
    let (of_containers, of_volumes) = rest.split_at(containers.len());
    DiskUsage {
        image_count: stacks.len(),
        image_bytes: of_images.iter().sum::<u64>() - sizes.again,
        // No less than that: which layer has the last name of a file is not looked at.
        image_reclaimable: idle
            .map(|(_, size)| size)
            .sum::<u64>()
            .saturating_sub(sizes.again),
        images,
        containers: containers
            .into_iter()
            .zip(of_containers.iter().copied())
            .collect(),
        volumes: volumes
            .into_iter()
            .zip(of_volumes.iter().copied())
            .collect(),
        ..DiskUsage::default()
    }
}

/// What lies beside the layers of the images: what a container keeps of an image that was removed, what a layer was settled
/// from, what an interrupted command left.
fn strays(layers: &Path, known: &[PathBuf]) -> std::io::Result<Vec<PathBuf>> {
    let known: HashSet<&PathBuf> = known.iter().collect();
    let mut stray = Vec::new();
    for entry in std::fs::read_dir(layers)? {
        let path = entry?.path();
        if !known.contains(&path) {
            stray.push(path);
        }
    }
    Ok(stray)
}

/// The sizes of these paths; the first `of_images` of them may have files in common.
fn measured(paths: &[PathBuf], of_images: usize) -> Sizes {
    let mut seen = HashSet::new();
    let mut sizes = Sizes {
        each: Vec::new(),
        again: 0,
    };
    for (number, path) in paths.iter().enumerate() {
        let mut blocks = std::fs::symlink_metadata(path).map_or(0, |meta| meta.blocks());
        each_below(path, |meta| {
            blocks += meta.blocks();
            let may_be_shared = number < of_images && meta.nlink() > 1 && !meta.is_dir();
            if may_be_shared && !seen.insert((meta.dev(), meta.ino())) {
                sizes.again += meta.blocks() * 512;
            }
        });
        sizes.each.push(blocks * 512);
    }
    sizes
}

/// Bytes of all blocks below a path, as du counts: directories too, a hard-linked file once.
pub(super) fn blocks_below(path: &Path) -> u64 {
    let mut blocks = std::fs::symlink_metadata(path).map_or(0, |meta| meta.blocks());
    each_below(path, |meta| blocks += meta.blocks());
    blocks * 512
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_two_layers_counts_in_both_and_once_in_all() {
        let top = std::env::temp_dir().join(format!("bryo-disk-{}", std::process::id()));
        let paths = ["one", "two", "container"].map(|name| top.join(name));
        for path in &paths {
            std::fs::create_dir_all(path).unwrap();
        }
        let file = paths[0].join("file");
        std::fs::write(&file, vec![b'x'; 100_000]).unwrap();
        for other in &paths[1..] {
            std::fs::hard_link(&file, other.join("file")).unwrap();
        }
        let sizes = measured(&paths, 2);
        assert!(
            sizes.each.iter().all(|size| *size >= 100_000),
            "{:?}",
            sizes.each
        );
        assert_eq!(
            sizes.again,
            std::fs::metadata(&file).unwrap().blocks() * 512
        );
        std::fs::remove_dir_all(&top).unwrap();
    }
}
