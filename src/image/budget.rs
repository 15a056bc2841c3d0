//! The disk budget: what the layers and the kept blobs take, and which images go so that more fits, least recently used first. Never removes
//! what a container uses. When an image was used last is the time stamp of its stack's record.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::SystemTime;

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

use super::digest::Digest;
use super::layer::{LayerDir, LayerReport};
use super::names::{NameEntry, Names};
use super::remove::{RemoveImageError, Removed, Users};
use super::resolve::Image;
use super::step::KnownStep;
use super::store::{Store, StoreError};
use super::sweep::Dead;
use crate::sys::fs;
use crate::sys::lock::{self, Mode};

/// What a file takes beyond its bytes: half a block, and its share of the directory and of the records.
const PER_ENTRY: u64 = 2560;

/// What is about to be added, in bytes.
#[derive(Clone, Debug, Default)]
pub struct Coming {
    /// It takes no less than that.
    pub least: u64,
    /// As far as anybody can say beforehand.
    pub likely: u64,
    /// Layers that it consists of: those that are here stay.
    pub layers: HashSet<Digest>,
    /// Kept blobs that it consists of.
    pub blobs: HashSet<Digest>,
    /// Images that stay.
    pub images: HashSet<Digest>,
}

#[derive(Debug, thiserror::Error)]
pub enum BudgetError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Remove(#[from] RemoveImageError),
    #[error(
        "it needs at least {least} bytes, which does not fit into storage.max ({max} bytes): {kept} bytes are in use, {free} more could be freed"
    )]
    NoRoom {
        least: u64,
        max: u64,
        kept: u64,
        free: u64,
    },
}

/// What goes first where it was not used for longest.
enum Idle {
    Image(Box<Image>),
    /// The result of a build's step.
    Step(KnownStep),
}

/// What a layer takes of the disk, nearly.
pub fn disk_size(report: &LayerReport) -> u64 {
    report.size + report.entries * PER_ENTRY
}

impl Store {
    /// Remembers that an image is used now. What can't be remembered costs nothing but a better choice later.
    pub fn touch(&self, image: &Digest) {
        let path = self.stack_path(image);
        let (same, now) = (&TimeSpec::UTIME_OMIT, &TimeSpec::UTIME_NOW);
        let touched = utimensat(AT_FDCWD, &path, same, now, UtimensatFlags::FollowSymlink);
        if let Err(error) = touched {
            tracing::debug!(%image, %error, "touch");
        }
    }

    /// Removes images and what steps of builds came to, least recently used first, until what comes is likely to fit below `max`, or no more can go. Fails,
    /// and removes nothing, where not even the least of it would fit. Runs in the home namespace, and without a
    /// [`Store::lease`] of the caller's own: while somebody holds one, nothing can be removed.
    pub fn make_room(
        &self,
        max: u64,
        coming: &Coming,
        users: Users<'_>,
    ) -> Result<Vec<Removed>, BudgetError> {
        let (removed, dead) = {
            let _lock = self.lock_exclusive()?;
            let users = users().map_err(|source| RemoveImageError::Users { source })?;
            let sizes = Sizes {
                layers: self.layer_sizes(disk_size)?,
                blobs: self.kept_sizes()?,
            };
            let mut used = Used::default();
            for user in &users {
                used.layers.extend(user.layers.iter().cloned());
            }
            used.layers.extend(coming.layers.iter().map(LayerDir::base));
            used.blobs.extend(coming.blobs.iter().cloned());
            let busy: HashSet<&Digest> = users.iter().map(|user| &user.image).collect();
            let names = self.names()?;
            let stays = |id: &Digest| busy.contains(id) || coming.images.contains(id);
            let (idle, staying): (Vec<Image>, Vec<Image>) = self
                .all_images(&names)
                .into_iter()
                .partition(|image| !stays(&image.id) && !members(&names, &image.id).any(stays));
            for image in &staying {
                used.add(self, image);
            }
            let whole = sizes.whole();
            let kept = sizes.of(&used);
            if kept + coming.least > max {
                return Err(BudgetError::NoRoom {
                    least: coming.least,
                    max,
                    kept,
                    free: whole.saturating_sub(kept),
                });
            }
            if whole + coming.likely <= max || self.is_leased()? {
                return Ok(Vec::new());
            }
            let mut idle: Vec<Idle> = idle
                .into_iter()
                .map(|image| Idle::Image(Box::new(image)))
                .collect();
            idle.extend(self.steps()?.into_iter().map(Idle::Step));
            // The most recently used last, and taken from there as long as they fit.
            idle.sort_by_cached_key(|one| match one {
                Idle::Image(image) => self.last_used(&image.id),
                Idle::Step(step) => step.last_used,
            });
            while let Some(one) = idle.pop() {
                let mut with = used.clone();
                with.take(self, &one);
                if sizes.of(&with) + coming.likely > max {
                    idle.push(one);
                    break;
                }
                used = with;
            }
            self.remove_all(idle, &used.layers)?
        };
        self.delete(dead)?;
        Ok(removed)
    }

    /// Under the exclusive lock: takes these images' names, forgets these steps, and takes all layers but the used ones.
    fn remove_all(
        &self,
        idle: Vec<Idle>,
        used: &HashSet<LayerDir>,
    ) -> Result<(Vec<Removed>, Dead), StoreError> {
        let mut images = Vec::new();
        for one in idle {
            match one {
                Idle::Image(image) => images.push(*image),
                // Where what stays has the layer the step costs nothing.
                Idle::Step(step) if used.contains(&LayerDir::base(&step.record.layer)) => {}
                Idle::Step(step) => self.forget_step(&step.key)?,
            }
        }
        self.change_names(|names| {
            images.iter().for_each(|image| {
                image.names.iter().for_each(|name| {
                    names.remove_name(name);
                });
                names.remove_image(&image.id);
            });
            Ok(())
        })?;
        let mut removed = Vec::new();
        for image in &images {
            removed.extend(image.names.iter().cloned().map(Removed::Untagged));
            removed.push(Removed::Deleted(image.id.clone()));
        }
        let collected = self.collect(used.iter())?;
        removed.extend(collected.freed.into_iter().map(Removed::Deleted));
        Ok((removed, collected.dead))
    }

    /// Every image once; one that cannot be read is left to `rmi`. Those of an index are as one: its layers are those of all.
    fn all_images(&self, names: &Names) -> Vec<Image> {
        let own = names.entries.iter();
        let own = own.filter(|entry| entry.member_of().is_none());
        let ids: BTreeSet<&Digest> = own.map(|entry| &entry.id).collect();
        let with_members = |id: &Digest| {
            let mut image = self.image_by_id(id).ok()?;
            for member in members(names, id) {
                image.layers.extend(self.image_by_id(member).ok()?.layers);
            }
            Some(image)
        };
        ids.into_iter().filter_map(with_members).collect()
    }

    fn last_used(&self, image: &Digest) -> SystemTime {
        let meta = std::fs::metadata(self.stack_path(image));
        meta.and_then(|meta| meta.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Whether somebody is adding layers, so that none is taken away.
    pub fn is_leased(&self) -> Result<bool, StoreError> {
        let path = self.lease_path();
        let lease =
            lock::try_lock(&path, Mode::Exclusive).map_err(StoreError::io("lock", &path))?;
        Ok(lease.is_none())
    }

    /// Each layer of the store by `size`. What a settled variant has of its own is not counted: directories.
    pub fn layer_sizes(
        &self,
        size: fn(&LayerReport) -> u64,
    ) -> Result<BTreeMap<LayerDir, u64>, StoreError> {
        let error = |operation| StoreError::io(operation, &self.layers);
        let directory = fs::open_directory(&self.layers).map_err(error("open"))?;
        let mut sizes = BTreeMap::new();
        for (name, _) in fs::list_directory(&directory).map_err(error("list"))? {
            let parsed = std::str::from_utf8(&name)
                .ok()
                .and_then(|text| text.parse::<LayerDir>().ok());
            if let Some(layer) = parsed
                && layer == LayerDir::base(&layer.diff_id())
                && let Ok(report) = self.layer_report(&layer.diff_id())
            {
                sizes.insert(layer, size(&report));
            }
        }
        Ok(sizes)
    }
}

/// The other images of the indexes that an image stands for.
fn members<'a>(names: &'a Names, id: &'a Digest) -> impl Iterator<Item = &'a Digest> {
    let indexes = names.of_image(id).filter_map(NameEntry::head);
    let members = indexes.flat_map(|index| names.members(index));
    members.map(|member| &member.id)
}

/// What everything in the store takes.
struct Sizes {
    layers: BTreeMap<LayerDir, u64>,
    blobs: BTreeMap<Digest, u64>,
}

/// What is not to go.
#[derive(Clone, Default)]
struct Used {
    layers: HashSet<LayerDir>,
    blobs: HashSet<Digest>,
}

impl Used {
    fn add(&mut self, store: &Store, image: &Image) {
        self.layers.extend(image.layers.iter().cloned());
        self.blobs.extend(store.blobs_of(&image.manifest));
    }

    fn take(&mut self, store: &Store, idle: &Idle) {
        match idle {
            Idle::Image(image) => self.add(store, image),
            Idle::Step(step) => drop(self.layers.insert(LayerDir::base(&step.record.layer))),
        }
    }
}

impl Sizes {
    fn whole(&self) -> u64 {
        self.layers.values().chain(self.blobs.values()).sum()
    }

    /// What is in use takes, each once.
    fn of(&self, used: &Used) -> u64 {
        let bases: BTreeSet<LayerDir> = used
            .layers
            .iter()
            .map(|layer| LayerDir::base(&layer.diff_id()))
            .collect();
        let layers = bases.iter().filter_map(|layer| self.layers.get(layer));
        let blobs = used.blobs.iter().filter_map(|blob| self.blobs.get(blob));
        layers.chain(blobs).sum()
    }
}
