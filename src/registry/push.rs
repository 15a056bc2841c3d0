//! One push: layers the registry lacks, the configuration, then the manifest under its name. What the registry has already is
//! not sent, what it has under another name is mounted; a manifest changes only where a layer's blob does.

mod forward;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::auth::{Session, Subject};
use super::compress::{Compressor, Packing, Piece};
use super::config::RegistryConfig;
use super::endpoint::Endpoint;
use super::error::RegistryError;
use super::exchange::Exchange;
use super::lanes;
use super::locations::{Location, Locations};
use super::manifest::{self, Blob, Document};
use super::place;
use super::progress::Progress;
use super::sink::SinkError;
use super::upload::{Begun, Target, Upload};
use crate::image::{Digest, GZIP_LEVEL, Reference, Toc, Workers, media_type};

/// Large enough for a good rate, and what registries ask for at the least; a layer at work has three of them.
const CHUNK: usize = 5 << 20;
/// So many places are asked about before a layer is sent.
const QUESTIONS: usize = 4;

/// Where a push takes its layers from.
pub trait LayerSource: Sync {
    /// Writes the very tar of this DiffID; fails when it is another, as far as its length and a sum show, or when a write fails.
    fn write(&self, diff_id: &Digest, to: &mut dyn Write) -> Result<(), SinkError>;

    /// The bytes of a blob that were kept when it was pulled.
    fn kept(&self, digest: &Digest, size: u64) -> Option<std::fs::File>;
}

/// An image of the store.
#[derive(Clone, Debug)]
pub struct ToPush {
    pub manifest: Vec<u8>,
    pub media_type: String,
    pub config: Vec<u8>,
    /// Bottom first, one for each layer of the manifest.
    pub diff_ids: Vec<Digest>,
}

/// How to push.
#[derive(Clone, Debug, Default)]
pub struct PushOptions {
    /// Layers are sent in this form only; without it as they came, those that came uncompressed in gzip.
    pub packing: Option<Packing>,
    /// That is for layers that came uncompressed: others stay what they are.
    pub keeps_others: bool,
    /// A manifest of another digest than the one in the store is not put.
    pub require_digest: bool,
    /// The manifest gets no tag: an index is going to name it.
    pub untagged: bool,
}

/// What a push came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// Of the manifest.
    pub digest: Digest,
    /// The manifest as the registry has it now.
    pub manifest: Vec<u8>,
    pub media_type: String,
    /// Layers whose blobs are others than the manifest in the store names: its digest is another for them.
    pub changed: Vec<Digest>,
}

/// Pushes an image under the reference's tag, or under its digest alone.
pub fn push(
    image: &ToPush,
    reference: &Reference,
    options: &PushOptions,
    config: &RegistryConfig,
    source: &dyn LayerSource,
    progress: &dyn Progress,
) -> Result<Pushed, RegistryError> {
    let name = reference.familiar();
    let originals = originals(image, &name)?;
    let exchange = Exchange::new(config);
    let endpoint = Endpoint::at(&exchange, &place::own_place(config, reference)?)?;
    let locations = Locations::below(config.cache.as_deref());
    let session = Session::new(
        exchange,
        &endpoint,
        reference,
        subject(&endpoint, reference, image, &locations),
        progress,
    )?;
    let push = Push {
        target: Target {
            session: &session,
            endpoint: &endpoint,
            repository: reference.repository(),
            reference: &name,
        },
        own: endpoint.repository(reference.repository()),
        locations,
        options,
        source,
        progress,
        workers: Workers::default(),
        is_dockers: image.media_type == media_type::DOCKER_MANIFEST
            && originals
                .iter()
                .all(|blob| blob.media_type == media_type::DOCKER_LAYER),
        tocs: Mutex::new(tocs(&image.manifest)),
    };
    let blobs = push.layers(&image.diff_ids, &originals)?;
    push.config(image)?;
    push.manifest(image, reference, &originals, &blobs)
}

/// The layers as the manifest in the store has them.
fn originals(image: &ToPush, name: &str) -> Result<Vec<Blob>, RegistryError> {
    let digest = Digest::of(&image.manifest);
    let fault = |fault| RegistryError::Manifest {
        reference: name.to_owned(),
        digest: digest.clone(),
        fault,
    };
    let (document, _) = manifest::parse(&image.manifest, Some(&image.media_type)).map_err(fault)?;
    match document {
        Document::Manifest(manifest) if manifest.layers.len() == image.diff_ids.len() => {
            Ok(manifest.layers)
        }
        _ => Err(fault(manifest::ManifestFault::NoShape)),
    }
}

/// Tokens are for writing here, and for reading where layers may be mounted from.
fn subject(
    endpoint: &Endpoint,
    reference: &Reference,
    image: &ToPush,
    locations: &Locations,
) -> Subject {
    let own = endpoint.repository(reference.repository());
    let mut scopes = vec![format!("repository:{own}:pull,push")];
    for diff_id in &image.diff_ids {
        for location in locations.of(diff_id) {
            let scope = format!("repository:{}:pull", location.repository);
            let there = location.host == endpoint.host() && location.repository != own;
            if there && !scopes.contains(&scope) && scopes.len() <= QUESTIONS {
                scopes.push(scope);
            }
        }
    }
    Subject {
        scopes,
        name: reference.familiar_name(),
        verb: "push",
        is_login: false,
    }
}

struct Push<'a> {
    target: Target<'a>,
    /// The repository's name on the endpoint.
    own: String,
    locations: Locations,
    options: &'a PushOptions,
    source: &'a dyn LayerSource,
    progress: &'a dyn Progress,
    /// Compress, for all layers.
    workers: Workers,
    /// A build was asked for docker's media types: no other manifest has them for layers that were never compressed.
    is_dockers: bool,
    /// Of blobs that have one, what a manifest has to say of their tables of contents.
    tocs: Mutex<BTreeMap<Digest, Toc>>,
}

impl Push<'_> {
    /// Sees to every layer, several at once; the first failure stops the others and is the result.
    fn layers(&self, diff_ids: &[Digest], originals: &[Blob]) -> Result<Vec<Blob>, RegistryError> {
        let pairs: BTreeMap<&Digest, &Blob> = diff_ids.iter().zip(originals).collect();
        let sizes: Vec<(Digest, u64)> = pairs
            .iter()
            .map(|(diff_id, blob)| ((*diff_id).clone(), blob.size))
            .collect();
        self.progress.layers(&sizes);
        let done = Mutex::new(BTreeMap::new());
        // The largest first, or it would be alone at the end.
        let mut queue: Vec<(&Digest, &Blob)> = pairs.into_iter().collect();
        queue.sort_by_key(|(_, blob)| std::cmp::Reverse(blob.size));
        lanes::each(
            queue,
            self.target.session.exchange(),
            |(diff_id, original)| {
                let blob = self.layer(diff_id, original)?;
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                done.insert(diff_id.clone(), blob);
                Ok(())
            },
        )?;
        let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        let blob = |diff_id| done.get(diff_id).cloned().ok_or(RegistryError::Stopped);
        diff_ids.iter().map(blob).collect()
    }

    /// The blob under which the repository has this layer now: its original, if that can be had from anywhere, so that the
    /// manifest keeps its digest; else another form of it that is there already; else one that is made now.
    fn layer(&self, diff_id: &Digest, original: &Blob) -> Result<Blob, RegistryError> {
        let known = self.locations.of(diff_id);
        for (location, toc) in known.iter().filter_map(|at| Some((at, at.toc.clone()?))) {
            self.tocs().insert(location.digest.clone(), toc);
        }
        let mut begun = None;
        if self.is_wanted(original, original) {
            if let Some(blob) = self.there(diff_id, original, &known, &mut begun)? {
                return Ok(blob);
            }
            if self.packing(original).is_none()
                && self.forward(diff_id, original, &known, &mut begun)?
            {
                self.settled(diff_id, original, &known, "Pushed");
                return Ok(original.clone());
            }
        }
        let mut others: Vec<Blob> = Vec::new();
        let proven = known.iter().filter(|at| !at.claimed);
        for blob in proven.map(Location::blob) {
            let is_new = blob != *original && !others.contains(&blob);
            if self.is_wanted(&blob, original) && is_new && others.len() < QUESTIONS {
                others.push(blob);
            }
        }
        // One that is only as good as another would change the digest.
        for other in others.iter().filter(|_| !self.options.require_digest) {
            if let Some(blob) = self.there(diff_id, other, &known, &mut begun)? {
                return Ok(blob);
            }
        }
        let packing = self.packing_for(original);
        self.progress.uploading(diff_id);
        let blob = match self.send(diff_id, packing, begun) {
            // What was sent before is gone there: once more from the beginning.
            Err(RegistryError::UploadLost { reason, .. }) => {
                self.progress
                    .note(&format!("{}: {reason}, sending it again", diff_id.short()));
                self.send(diff_id, packing, None)?
            }
            sent => sent?,
        };
        self.remember(diff_id, &blob, false);
        self.progress.settled(diff_id, "Pushed");
        Ok(blob)
    }

    /// A blob that the repository has, or that the registry has elsewhere and gives to it.
    fn there<'s>(
        &'s self,
        diff_id: &Digest,
        blob: &Blob,
        known: &[Location],
        begun: &mut Option<Upload<'s>>,
    ) -> Result<Option<Blob>, RegistryError> {
        if self.target.has(blob)? {
            self.settled(diff_id, blob, known, "Layer already exists");
            return Ok(Some(blob.clone()));
        }
        let host = self.target.session.host();
        let elsewhere = known
            .iter()
            .filter(|at| at.host == host && at.repository != self.own && at.blob() == *blob);
        for location in elsewhere.take(QUESTIONS).filter(|_| begun.is_none()) {
            let from = Some((&location.digest, location.repository.as_str()));
            match self.target.begin(from) {
                Ok(Begun::Mounted) => {
                    let words = format!("Mounted from {}", location.repository);
                    self.settled(diff_id, &location.blob(), known, &words);
                    return Ok(Some(location.blob()));
                }
                Ok(Begun::Upload(upload)) => {
                    *begun = Some(upload);
                    break;
                }
                // A place that may not be read any more is none.
                Err(RegistryError::Denied { .. } | RegistryError::Status { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// A blob that was not made here is as certain to be this layer as it was elsewhere.
    fn settled(&self, diff_id: &Digest, blob: &Blob, known: &[Location], words: &str) {
        let mut proven = known.iter().filter(|at| !at.claimed);
        let claimed = proven.all(|at| at.digest != blob.digest);
        self.remember(diff_id, blob, claimed);
        self.progress.settled(diff_id, words);
    }

    fn remember(&self, diff_id: &Digest, blob: &Blob, claimed: bool) {
        let location = Location {
            host: self.target.session.host().to_owned(),
            repository: self.own.clone(),
            digest: blob.digest.clone(),
            size: blob.size,
            media_type: blob.media_type.clone(),
            claimed,
            toc: self.tocs().get(&blob.digest).cloned(),
        };
        self.locations.add(diff_id, location);
    }

    fn tocs(&self) -> MutexGuard<'_, BTreeMap<Digest, Toc>> {
        self.tocs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The form that a layer has to have which came as this.
    fn packing(&self, original: &Blob) -> Option<Packing> {
        let came = Packing::of_media_type(&original.media_type);
        let is_compressed = came.is_some_and(|packing| packing != Packing::None);
        let stays = self.options.keeps_others && is_compressed;
        let dockers = self.is_dockers.then_some(Packing::Gzip(GZIP_LEVEL));
        self.options.packing.or(dockers).filter(|_| !stays)
    }

    fn is_wanted(&self, blob: &Blob, original: &Blob) -> bool {
        let has_toc = self.tocs().contains_key(&blob.digest);
        match self.packing(original) {
            Some(packing) => packing.is_kind_of(&blob.media_type, has_toc),
            None => !Packing::None.is_kind_of(&blob.media_type, has_toc),
        }
    }

    fn packing_for(&self, original: &Blob) -> Packing {
        let as_it_came = Packing::of_media_type(&original.media_type);
        let as_it_came = as_it_came.filter(|packing| *packing != Packing::None);
        let usual = Packing::Gzip(GZIP_LEVEL);
        self.packing(original).or(as_it_came).unwrap_or(usual)
    }

    /// Compresses in a thread beside this one, which uploads.
    fn send(
        &self,
        diff_id: &Digest,
        packing: Packing,
        begun: Option<Upload<'_>>,
    ) -> Result<Blob, RegistryError> {
        let (to, pieces) = sync_channel(1);
        let failed = |source| RegistryError::ReadLayer {
            diff_id: diff_id.clone(),
            source,
        };
        let (written, sent) = std::thread::scope(|scope| {
            let compressing =
                Builder::new()
                    .name("compress".to_owned())
                    .spawn_scoped(scope, || {
                        let broken = |error| failed(SinkError::new(CompressFailure(error)));
                        let mut compressor =
                            Compressor::new(packing, &self.workers, to, CHUNK).map_err(broken)?;
                        self.source
                            .write(diff_id, &mut compressor)
                            .map_err(failed)?;
                        compressor.end().map_err(broken)
                    });
            let compressing = compressing.map_err(|source| RegistryError::Thread {
                digest: diff_id.clone(),
                source,
            })?;
            let sent = self.upload(diff_id, packing, begun, pieces);
            let written = match compressing.join() {
                Ok(written) => written,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            Ok::<_, RegistryError>((written, sent))
        })?;
        match (written, sent) {
            // Who reads the layer saw only that nobody took any more of it.
            (_, Err(Some(error))) => Err(error),
            (Err(error), _) => Err(error),
            (Ok(_), Err(None)) => Err(RegistryError::Stopped),
            (Ok(toc), Ok(blob)) => {
                if let Some(toc) = toc {
                    self.tocs().insert(blob.digest.clone(), toc);
                }
                Ok(blob)
            }
        }
    }

    /// `Err(None)`: the chunks ended too early, and their sender knows why.
    fn upload(
        &self,
        diff_id: &Digest,
        packing: Packing,
        begun: Option<Upload<'_>>,
        pieces: Receiver<Piece>,
    ) -> Result<Blob, Option<RegistryError>> {
        let mut upload = match begun {
            Some(upload) => upload,
            None => match self.target.begin(None)? {
                Begun::Upload(upload) => upload,
                Begun::Mounted => return Err(None),
            },
        };
        let mut hasher = Sha256::new();
        let mut size = 0;
        loop {
            if self.target.session.exchange().is_stopped() {
                return Err(Some(RegistryError::Stopped));
            }
            match pieces.recv().map_err(|_| None)? {
                Piece::End => break,
                Piece::Chunk(chunk) => {
                    hasher.update(&chunk);
                    let length = chunk.len() as u64;
                    size += length;
                    upload.chunk(Bytes::from(chunk))?;
                    self.progress.advanced(diff_id, length);
                }
            }
        }
        let digest = Digest::from_hash(&hasher.finalize());
        upload.finish(&digest, size)?;
        Ok(Blob {
            digest,
            size,
            media_type: packing.media_type().to_owned(),
        })
    }

    fn config(&self, image: &ToPush) -> Result<(), RegistryError> {
        let blob = Blob {
            digest: Digest::of(&image.config),
            size: image.config.len() as u64,
            media_type: String::new(),
        };
        match self.target.has(&blob)? {
            true => Ok(()),
            false => self.target.put(&image.config, &blob.digest),
        }
    }

    fn manifest(
        &self,
        image: &ToPush,
        reference: &Reference,
        originals: &[Blob],
        blobs: &[Blob],
    ) -> Result<Pushed, RegistryError> {
        let layers = image.diff_ids.iter().zip(originals.iter().zip(blobs));
        let changed: Vec<Digest> = layers
            .filter(|(_, (original, blob))| original.digest != blob.digest)
            .map(|(diff_id, _)| diff_id.clone())
            .collect();
        // Of zstd docker has no word that others know.
        let is_dockers =
            self.is_dockers && blobs.iter().all(|blob| !blob.media_type.ends_with("zstd"));
        let (bytes, media_type) = match (changed.is_empty(), is_dockers) {
            (true, _) => (image.manifest.clone(), image.media_type.as_str()),
            (false, false) => {
                let bytes = rewritten(&image.manifest, blobs, &self.tocs());
                (bytes, media_type::OCI_MANIFEST)
            }
            (false, true) => {
                let bytes = with_blobs(&image.manifest, blobs);
                (bytes, media_type::DOCKER_MANIFEST)
            }
        };
        let digest = Digest::of(&bytes);
        let is_other = reference.digest().is_some_and(|wanted| *wanted != digest);
        if is_other || self.options.require_digest && !changed.is_empty() {
            return Err(RegistryError::OtherDigest {
                reference: reference.familiar(),
                digest,
                changed: changed
                    .iter()
                    .map(|diff_id| diff_id.short().to_owned())
                    .collect(),
            });
        }
        let name = match reference.digest() {
            _ if self.options.untagged => digest.as_str(),
            Some(digest) => digest.as_str(),
            None => reference.tag().unwrap_or("latest"),
        };
        self.target.put_manifest(name, bytes.clone(), media_type)?;
        Ok(Pushed {
            digest,
            manifest: bytes,
            media_type: media_type.to_owned(),
            changed,
        })
    }
}

/// Compressing failed, which it does only when nobody takes what comes out.
#[derive(Debug, thiserror::Error)]
#[error("compress it: {0}")]
struct CompressFailure(std::io::Error);

/// What a manifest says of its layers' tables of contents.
fn tocs(manifest: &[u8]) -> BTreeMap<Digest, Toc> {
    let manifest: Value = serde_json::from_slice(manifest).unwrap_or_default();
    let layers = manifest["layers"].as_array().into_iter().flatten();
    let toc = |layer: &Value| {
        let annotations = BTreeMap::deserialize(&layer["annotations"]).ok()?;
        let digest = layer["digest"].as_str()?.parse().ok()?;
        Some((digest, Toc::of(&annotations)?))
    };
    layers.filter_map(toc).collect()
}

/// Docker's manifest with other blobs as its layers.
fn with_blobs(original: &[u8], blobs: &[Blob]) -> Vec<u8> {
    let mut manifest: Value = serde_json::from_slice(original).expect("it was parsed before");
    let layers = manifest["layers"]
        .as_array_mut()
        .expect("it was parsed before");
    for (layer, blob) in layers.iter_mut().zip(blobs) {
        let media_type = match Packing::of_media_type(&blob.media_type) {
            Some(Packing::Gzip(_)) => media_type::DOCKER_LAYER_GZIP,
            _ => media_type::DOCKER_LAYER,
        };
        layer["mediaType"] = json!(media_type);
        layer["digest"] = json!(blob.digest.as_str());
        layer["size"] = json!(blob.size);
    }
    serde_json::to_vec(&manifest).expect("plain data always serialises")
}

/// The manifest with other blobs as its layers, in OCI's form; what is written about each layer and the whole stays, but for what is
/// true of the other blob alone.
fn rewritten(original: &[u8], blobs: &[Blob], tocs: &BTreeMap<Digest, Toc>) -> Vec<u8> {
    let mut manifest: Value = serde_json::from_slice(original).expect("it was parsed before");
    manifest["mediaType"] = json!(media_type::OCI_MANIFEST);
    manifest["config"]["mediaType"] = json!(media_type::OCI_CONFIG);
    let layers = manifest["layers"]
        .as_array_mut()
        .expect("it was parsed before");
    for (layer, blob) in layers.iter_mut().zip(blobs) {
        let oci = Packing::of_media_type(&blob.media_type).map(Packing::media_type);
        layer["mediaType"] = json!(oci.unwrap_or(&blob.media_type));
        layer["digest"] = json!(blob.digest.as_str());
        layer["size"] = json!(blob.size);
        if let Some(annotations) = layer.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|name, _| !Toc::is_of_one(name));
        }
        for (name, value) in tocs
            .get(&blob.digest)
            .iter()
            .flat_map(|toc| toc.annotations())
        {
            layer["annotations"][name] = json!(value);
        }
    }
    serde_json::to_vec(&manifest).expect("plain data always serialises")
}
