//! `pull`: a registry's image into the store. Runs inside the home namespace, in a role that may have threads; prints nothing.

use std::collections::{BTreeSet, HashSet};
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::image::{
    BudgetError, Coming, Digest, Document, ImageError, KeptBlob, KnownBlob, LayerReport, Platform,
    Reference, Store, StoreError, TempLayer, UnpackError, UnpackOptions, Use, begins_as_made_here,
    descriptor_digest, disk_size, unpack,
};
use crate::registry::{
    self, BlobKeeper, LayerSink, PlannedLayer, Progress, Pulled, RegistryConfig, RegistryError,
    SinkError,
};
use crate::sys::lock::Guard;

/// What to pull. `-q` is the caller's choice of a [`Progress`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PullRequest {
    pub reference: Reference,
    /// In `Platform`'s own notation; the host's where absent.
    pub platform: Option<String>,
    /// It is meant whatever it is for.
    pub any_platform: bool,
    /// Only one id is mapped here, so owners of files cannot be kept.
    pub single_id: bool,
    /// How many bytes the store's layers may take.
    pub max: Option<u64>,
    /// Keep the compressed layers too.
    pub keep_blobs: bool,
}

/// What a pull did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullOutcome {
    /// The image's id, the digest of its configuration.
    pub id: Digest,
    /// Of the manifest or index that the reference names: docker's `Digest:` line.
    pub digest: Digest,
    /// The reference named this very image before.
    pub up_to_date: bool,
    /// Said once each: owners or attributes that could not be kept, an image for another platform.
    pub warnings: Vec<String>,
}

impl PullOutcome {
    /// Docker's last two lines about a pull.
    pub fn summary(&self, reference: &Reference) -> [String; 2] {
        let status = match self.up_to_date {
            true => "Image is up to date for",
            false => "Downloaded newer image for",
        };
        [
            format!("Digest: {}", self.digest),
            format!("Status: {status} {}", reference.familiar()),
        ]
    }
}

#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("store image {reference}: {source}")]
    Store {
        reference: String,
        source: StoreError,
    },
    #[error(transparent)]
    Platform(#[from] crate::image::PlatformError),
}

impl PullError {
    /// Commands or steps that cure the error.
    pub fn hints(&self) -> Vec<String> {
        match self {
            PullError::Registry(error) => error.hints(),
            PullError::Platform(_) => vec!["as in --platform linux/arm64".to_owned()],
            PullError::Store { .. } => Vec::new(),
        }
    }
}

/// Why a layer could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreLayerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    #[error(transparent)]
    Budget(#[from] BudgetError),
    #[error(
        "its uncompressed content has digest {actual}, the image's configuration says {expected}"
    )]
    DiffId { expected: Digest, actual: Digest },
}

/// Tries to begin again when a layer vanishes between being found and being used; the lease makes even one unlikely.
const TRIES: u32 = 3;

/// Pulls and names the image. Nothing shows in the store before everything is verified.
pub fn pull(
    store: &Store,
    request: &PullRequest,
    config: &RegistryConfig,
    users: &(dyn Fn() -> Result<Vec<Use>, UsersError> + Sync),
    progress: &dyn Progress,
) -> Result<PullOutcome, PullError> {
    let in_store = |source| PullError::Store {
        reference: request.reference.familiar(),
        source,
    };
    let platform: Option<Platform> = request.platform.as_deref().map(str::parse).transpose()?;
    // What killed pulls left behind goes before more comes; a pull does not fail for it.
    let swept = store.sweep().err();
    let swept = swept.map(|error| format!("sweep the store: {error}"));
    let before = current(store, &request.reference);
    let mut tries = 1;
    loop {
        let room = Room {
            max: request.max,
            users,
        };
        let sink = StoreSink::new(store, request, room).map_err(in_store)?;
        let pulled = registry::pull(
            &request.reference,
            platform.as_ref(),
            config,
            &sink,
            progress,
        )?;
        match sink.commit(&pulled, &names(&request.reference, &pulled)) {
            Ok((id, mut warnings)) => {
                warnings.extend(platform_warning(request, &pulled));
                warnings.extend(swept);
                return Ok(PullOutcome {
                    up_to_date: before.as_ref() == Some(&id),
                    id,
                    digest: pulled.named_digest,
                    warnings,
                });
            }
            Err(StoreError::MissingLayer { .. }) if tries < TRIES => tries += 1,
            Err(source) => return Err(in_store(source)),
        }
    }
}

/// The image that the reference names now.
fn current(store: &Store, reference: &Reference) -> Option<Digest> {
    let found: Result<_, ImageError> = store.resolve(&reference.to_string());
    found.ok().map(|image| image.id)
}

/// As docker: a tag names the image, and so does what the tag stands for now; asked for by digest, the tag is ignored.
fn names(reference: &Reference, pulled: &Pulled) -> Vec<Reference> {
    let by_digest = reference.with_digest(pulled.named_digest.clone());
    match reference.digest() {
        Some(_) => vec![by_digest],
        None => vec![reference.clone(), by_digest],
    }
}

/// docker's own words; with `--platform` such an image is refused instead.
fn platform_warning(request: &PullRequest, pulled: &Pulled) -> Option<String> {
    let host = Platform::host();
    let fits =
        request.any_platform || request.platform.is_some() || host.rank(&pulled.platform).is_some();
    (!fits).then(|| {
        format!(
            "the requested image's platform ({}) does not match the detected host platform ({host}) and no specific platform was requested",
            pulled.platform
        )
    })
}

/// An archive of files shrinks to a third, more or less, where a compressor works on it.
const USUAL_RATIO: u64 = 3;

/// Why it cannot be known which images are in use.
type UsersError = Box<dyn std::error::Error + Send + Sync>;

/// The store's budget, and whom it must not take anything from.
struct Room<'a> {
    max: Option<u64>,
    users: &'a (dyn Fn() -> Result<Vec<Use>, UsersError> + Sync),
}

/// Unpacks layers into temporary directories and gives all of them their names at the end, with one sync.
struct StoreSink<'a> {
    store: &'a Store,
    options: UnpackOptions,
    unpacked: Mutex<Vec<(TempLayer, LayerReport)>>,
    /// Layers whose blobs begin as if they had been made here.
    as_made_here: Mutex<HashSet<Digest>>,
    keep_blobs: bool,
    room: Room<'a>,
    /// Of the image: these layers stay, whatever else has to go, and their blobs where they are kept.
    planned: Mutex<Vec<PlannedLayer>>,
    /// Given up only while room is made.
    lease: Mutex<Option<Guard>>,
}

impl<'a> StoreSink<'a> {
    fn new(
        store: &'a Store,
        request: &PullRequest,
        room: Room<'a>,
    ) -> Result<StoreSink<'a>, StoreError> {
        Ok(StoreSink {
            store,
            options: UnpackOptions {
                single_id: request.single_id,
                // Layers unpack at the same time, each behind two threads of its own: the processors are busy.
                writers: 0,
                ..UnpackOptions::default()
            },
            unpacked: Mutex::new(Vec::new()),
            as_made_here: Mutex::default(),
            keep_blobs: request.keep_blobs,
            room,
            planned: Mutex::default(),
            lease: Mutex::new(Some(store.lease()?)),
        })
    }

    /// Makes room for what is likely to come; fails where not even the least of it has any.
    fn make_room(&self, least: u64, likely: u64) -> Result<(), StoreLayerError> {
        let Some(max) = self.room.max else {
            return Ok(());
        };
        let planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        let coming = Coming {
            least,
            likely,
            layers: planned.iter().map(|layer| layer.diff_id.clone()).collect(),
            blobs: planned.iter().map(|layer| layer.digest.clone()).collect(),
            images: HashSet::new(),
        };
        let mut lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        *lease = None;
        let made = self.store.make_room(max, &coming, &self.room.users);
        *lease = Some(self.store.lease()?);
        made?;
        Ok(())
    }

    fn unpack(&self, expected: &Digest, tar: &mut dyn Read) -> Result<(), StoreLayerError> {
        let layer = self.store.begin_layer()?;
        let report = unpack(tar, &layer, &self.options)?;
        if report.diff_id != *expected {
            return Err(StoreLayerError::DiffId {
                expected: expected.clone(),
                actual: report.diff_id,
            });
        }
        let here = {
            let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
            unpacked.push((layer, report));
            unpacked.iter().map(|(_, one)| disk_size(one)).sum()
        };
        self.make_room(here, here)
    }

    /// The image's id, and what could not be kept of its layers.
    fn commit(
        self,
        pulled: &Pulled,
        names: &[Reference],
    ) -> Result<(Digest, Vec<String>), StoreError> {
        let unpacked = self.unpacked.into_inner();
        let mut unpacked = unpacked.unwrap_or_else(PoisonError::into_inner);
        let as_made_here = self.as_made_here.into_inner();
        let as_made_here = as_made_here.unwrap_or_else(PoisonError::into_inner);
        for (_, report) in &mut unpacked {
            let blob = fetched_as(pulled, &report.diff_id)?;
            report.blobs.extend(blob.map(|blob| KnownBlob {
                as_made_here: as_made_here.contains(&report.diff_id),
                ..blob
            }));
        }
        let warnings: BTreeSet<String> = unpacked
            .iter()
            .flat_map(|(_, report)| report.warnings.iter().cloned())
            .collect();
        let id = self.store.commit_image(
            &pulled.manifest,
            &pulled.media_type,
            &pulled.config,
            &pulled.diff_ids,
            names,
            unpacked,
        )?;
        if !pulled.signatures.evidence.is_empty() {
            let kept = serde_json::to_vec(&pulled.signatures);
            let kept = kept.expect("plain data always serialises");
            self.store.keep_signatures(&pulled.digest, &kept)?;
        }
        Ok((id, warnings.into_iter().collect()))
    }
}

/// The blob that a layer just fetched came from; `None` where the manifest has two for it.
fn fetched_as(pulled: &Pulled, diff_id: &Digest) -> Result<Option<KnownBlob>, StoreError> {
    let subject = "manifest of the image";
    let parsed = Document::parse(subject, &pulled.manifest, Some(&pulled.media_type))?;
    let Document::Manifest(manifest) = parsed else {
        return Ok(None);
    };
    let mut found = None;
    for (of, descriptor) in pulled.diff_ids.iter().zip(manifest.layers()) {
        if of != diff_id {
            continue;
        }
        let blob = KnownBlob {
            digest: descriptor_digest(subject, descriptor)?,
            size: descriptor.size(),
            media_type: descriptor.media_type().to_string(),
            as_made_here: false,
        };
        if found.as_ref().is_some_and(|known| *known != blob) {
            return Ok(None);
        }
        found = Some(blob);
    }
    Ok(found)
}

impl BlobKeeper for KeptBlob {
    fn done(self: Box<Self>) -> std::io::Result<()> {
        self.keep()
    }
}

impl LayerSink for StoreSink<'_> {
    fn keeper(&self, blob: &Digest) -> Option<Box<dyn BlobKeeper>> {
        if !self.keep_blobs {
            return None;
        }
        match self.store.begin_kept(blob) {
            Ok(kept) => kept.map(|kept| Box::new(kept) as Box<dyn BlobKeeper>),
            Err(error) => {
                tracing::warn!(%error, "the layer is not kept");
                None
            }
        }
    }

    fn plan(&self, layers: &[PlannedLayer]) -> Result<(), SinkError> {
        *self.planned.lock().unwrap_or_else(PoisonError::into_inner) = layers.to_vec();
        let (mut least, mut likely) = (0, 0);
        for layer in layers.iter().filter(|layer| !self.has(&layer.diff_id)) {
            let is_plain = layer.media_type.ends_with("tar");
            least += layer.size;
            likely += layer.size * if is_plain { 1 } else { USUAL_RATIO };
            if self.keep_blobs {
                least += layer.size;
                likely += layer.size;
            }
        }
        self.make_room(least, likely).map_err(SinkError::new)
    }

    fn has(&self, diff_id: &Digest) -> bool {
        self.store.has_layer(diff_id)
    }

    fn begins(&self, diff_id: &Digest, start: &[u8]) {
        if begins_as_made_here(start) {
            let known = self.as_made_here.lock();
            let mut known = known.unwrap_or_else(PoisonError::into_inner);
            known.insert(diff_id.clone());
        }
    }

    fn store(&self, diff_id: &Digest, tar: &mut dyn Read) -> Result<(), SinkError> {
        self.unpack(diff_id, tar).map_err(SinkError::new)
    }
}

#[cfg(test)]
mod tests;
