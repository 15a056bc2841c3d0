//! Where the blobs of layers have been seen: a hint in the cache, so that a push finds what a registry has already, under
//! this name or another. May be lost or wrong at any time; a registry is asked before any of it counts.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::manifest::Blob;
use crate::image::{Digest, Toc};
use crate::sys::{disk, fs};

/// So many places of one layer are remembered, the newest.
const KEPT: usize = 16;
const LIMIT: u64 = 64 * 1024;

/// A blob of a layer in a repository, as the registry's own API names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Location {
    pub host: String,
    pub repository: String,
    pub digest: Digest,
    pub size: u64,
    pub media_type: String,
    /// A manifest says so: the layer was here, and nobody has seen that blob and layer belong together.
    #[serde(default)]
    pub claimed: bool,
    /// Where the blob has a table of contents, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toc: Option<Toc>,
}

impl Location {
    pub fn blob(&self) -> Blob {
        Blob {
            digest: self.digest.clone(),
            size: self.size,
            media_type: self.media_type.clone(),
        }
    }
}

/// The directory of hints; none where there is no cache.
pub(super) struct Locations(Option<PathBuf>);

impl Locations {
    pub fn below(cache: Option<&Path>) -> Locations {
        Locations(cache.map(|cache| cache.join("blobs")))
    }

    fn path(&self, diff_id: &Digest) -> Option<PathBuf> {
        Some(self.0.as_ref()?.join(diff_id.hex()))
    }

    /// The newest first.
    pub fn of(&self, diff_id: &Digest) -> Vec<Location> {
        let bytes = self
            .path(diff_id)
            .map(|path| fs::read_bounded(&path, LIMIT));
        match bytes {
            Some(Ok(bytes)) => serde_json::from_slice(&bytes).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// Remembers a place. Two at once may forget one of them: it is a hint.
    pub fn add(&self, diff_id: &Digest, location: Location) {
        let Some(path) = self.path(diff_id) else {
            return;
        };
        let mut known = self.of(diff_id);
        let is_same = |other: &Location| {
            let proven = Location {
                claimed: other.claimed,
                ..location.clone()
            };
            *other == proven
        };
        let before = known.iter().find(|other| is_same(other));
        let is_known = before.is_some_and(|other| location.claimed || !other.claimed);
        if is_known && (location.claimed || known.first() == Some(&location)) {
            return;
        }
        known.retain(|other| !is_same(other));
        known.insert(0, location);
        known.truncate(KEPT);
        let json = serde_json::to_vec(&known).expect("plain data always serialises");
        // Without fsync: a hint that a power loss spoils is no JSON, and read as none.
        let temporary = path.with_extension(fs::random_name());
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let written = written.and_then(|()| disk::write(&temporary, json));
        if let Err(error) = written.and_then(|()| disk::rename(&temporary, &path)) {
            tracing::debug!(%diff_id, %error, "a blob's location is not remembered");
            let _ = disk::remove_file(&temporary);
        }
    }
}
