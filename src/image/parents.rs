//! Which images an image was made from, as far as the store can tell: by layers and history, as podman does it. Removes nothing.

use oci_spec::image::ImageConfiguration;

use super::digest::Digest;
use super::document::parse_config;
use super::names::Names;
use super::remove::Use;
use super::store::{Store, StoreError};

impl Store {
    pub(super) fn config_of(&self, id: &Digest) -> Result<ImageConfiguration, StoreError> {
        let blob = self.read_blob(id)?;
        Ok(parse_config(&format!("config of image {id}"), &blob)?)
    }

    /// Nameless images that a removed one was made from, the nearest first: up to the first that a container uses or that
    /// another image was made from. Under the exclusive lock.
    pub(super) fn lonely_parents(
        &self,
        names: &Names,
        removed: &ImageConfiguration,
        users: &[Use],
    ) -> Result<Vec<Digest>, StoreError> {
        let nameless = |id: &Digest| {
            let mut entries = names.of_image(id);
            entries.all(|entry| entry.reference.is_none() && entry.index.is_none())
        };
        let ids: Vec<&Digest> = names.entries.iter().map(|entry| &entry.id).collect();
        if !ids.iter().any(|id| nameless(id)) {
            return Ok(Vec::new());
        }
        // One whose configuration cannot be read is nobody's parent and nobody's child.
        let known: Vec<(&Digest, ImageConfiguration)> = ids
            .into_iter()
            .filter_map(|id| Some((id, self.config_of(id).ok()?)))
            .collect();
        let mut parents: Vec<&(&Digest, ImageConfiguration)> = known
            .iter()
            .filter(|(_, config)| is_made_from(removed, config))
            .collect();
        parents.sort_by_key(|(_, config)| std::cmp::Reverse(steps(config).len()));
        let mut lonely: Vec<Digest> = Vec::new();
        for (id, config) in parents {
            let has_others = known.iter().any(|(other, of_other)| {
                other != id && !lonely.contains(other) && is_made_from(of_other, config)
            });
            if has_others || !nameless(id) || users.iter().any(|user| user.image == **id) {
                break;
            }
            lonely.push((*id).clone());
        }
        Ok(lonely)
    }
}

fn steps(config: &ImageConfiguration) -> &[oci_spec::image::History] {
    config.history().as_deref().unwrap_or_default()
}

/// Whether every layer and every step of `parent` is at the beginning of `child`, which goes on from there.
fn is_made_from(child: &ImageConfiguration, parent: &ImageConfiguration) -> bool {
    let (below, above) = (parent.rootfs().diff_ids(), child.rootfs().diff_ids());
    let (before, after) = (steps(parent), steps(child));
    !below.is_empty()
        && above.starts_with(below)
        && after.len() > before.len()
        && after.starts_with(before)
}
