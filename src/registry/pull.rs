//! One pull: from a reference to a manifest, a configuration and layers in the sink. Names nothing in the store.

use std::collections::BTreeSet;

use oci_spec::image::{Descriptor, ImageIndex};
use serde::Deserialize;

use super::auth::{Session, Subject};
use super::blob::{BlobStream, Source};
use super::config::RegistryConfig;
use super::documents;
use super::endpoint::Endpoint;
use super::error::RegistryError;
use super::exchange::{Exchange, printable};
use super::layers::{Fetch, Layer};
use super::locations::{Location, Locations};
use super::manifest::{self, Blob, Document, Manifest};
use super::partial;
use super::place::{self, Place};
use super::progress::Progress;
use super::trust::{self, KeptSignatures};
use super::{LayerSink, PlannedLayer};
use crate::image::{Digest, Platform, Reference};

/// An index in an index is legal and rare; deeper is a loop or worse.
const NESTING: usize = 3;

/// What a pull brings besides the layers, which are in the sink. Every byte has been verified.
#[derive(Clone, Debug)]
pub struct Pulled {
    pub manifest: Vec<u8>,
    pub media_type: String,
    /// Of the image manifest.
    pub digest: Digest,
    /// Of what the reference named: the index's, or the manifest's where there is no index. What docker prints.
    pub named_digest: Digest,
    pub config: Vec<u8>,
    /// Bottom first, one for each layer of the manifest.
    pub diff_ids: Vec<Digest>,
    /// The platform the configuration names.
    pub platform: Platform,
    /// Those for which it was let in.
    pub signatures: KeptSignatures,
}

/// Pulls an image's layers into the sink. Without a platform the host's is chosen from an index, and an image for
/// another one is let through where there is no choice (its caller may warn); with one it has to fit.
pub fn pull(
    reference: &Reference,
    platform: Option<&Platform>,
    config: &RegistryConfig,
    sink: &dyn LayerSink,
    progress: &dyn Progress,
) -> Result<Pulled, RegistryError> {
    if let Some(cache) = &config.cache {
        partial::sweep(cache);
    }
    trust::refuse_rejected(config, reference)?;
    let mut places = place::places(config, reference)?;
    let own = places.pop().expect("the registry itself is the last place");
    for mirror in places {
        match pull_from(&mirror, reference, platform, config, sink, progress) {
            Err(error) if error.is_of_mirror() => {
                let at = &mirror.location;
                progress.note(&format!("mirror {at}: {error}, trying the next"));
            }
            pulled => return pulled,
        }
    }
    pull_from(&own, reference, platform, config, sink, progress)
}

fn pull_from(
    place: &Place,
    reference: &Reference,
    platform: Option<&Platform>,
    config: &RegistryConfig,
    sink: &dyn LayerSink,
    progress: &dyn Progress,
) -> Result<Pulled, RegistryError> {
    let exchange = Exchange::new(config);
    let endpoint = Endpoint::at(&exchange, place)?;
    let subject = Subject::pull(&endpoint, reference);
    let session = Session::new(exchange, &endpoint, reference, subject, progress)?;
    let pull = Pull {
        name: reference.familiar(),
        reference,
        wanted: platform,
        endpoint,
        session,
    };
    let found = pull.manifest()?;
    let digests = [found.digest.clone(), found.named_digest.clone()];
    let signatures = trust::admit(&pull.session, &pull.endpoint, reference, &digests)?;
    let (config_bytes, image) = pull.config(&found.manifest)?;
    // Configurations say less than indexes do (old ones lack the variant): what an index said is not asked again.
    if found.digest == found.named_digest {
        pull.check_platform(&image.platform())?;
    }
    let layers = pull_layers(&found.manifest, &image.rootfs.diff_ids);
    pull.fetch(&layers, sink, progress)?;
    Ok(Pulled {
        manifest: found.bytes,
        media_type: found.media_type,
        digest: found.digest,
        named_digest: found.named_digest,
        config: config_bytes,
        diff_ids: layers.into_iter().map(|layer| layer.diff_id).collect(),
        platform: image.platform(),
        signatures,
    })
}

struct Pull<'a> {
    /// The reference as messages show it.
    name: String,
    reference: &'a Reference,
    wanted: Option<&'a Platform>,
    endpoint: Endpoint,
    session: Session<'a>,
}

struct Found {
    manifest: Manifest,
    bytes: Vec<u8>,
    media_type: String,
    digest: Digest,
    named_digest: Digest,
}

struct Fetched {
    document: Document,
    bytes: Vec<u8>,
    media_type: String,
    digest: Digest,
}

/// The parts of an image configuration that a pull depends on.
#[derive(Deserialize)]
struct Image {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

impl Image {
    /// docker's oldest images name neither; they are what everybody ran then.
    fn platform(&self) -> Platform {
        let or = |text: &str, default: &str| {
            let text = if text.is_empty() { default } else { text };
            text.to_owned()
        };
        let os = or(&self.os, "linux");
        let architecture = or(&self.architecture, "amd64");
        let text = match self.variant.as_deref() {
            Some(variant) if !variant.is_empty() => format!("{os}/{architecture}/{variant}"),
            _ => format!("{os}/{architecture}"),
        };
        text.parse().unwrap_or(Platform {
            os,
            architecture,
            variant: None,
        })
    }
}

impl Pull<'_> {
    /// Follows indexes down to the manifest of the wanted platform.
    fn manifest(&self) -> Result<Found, RegistryError> {
        let expected = self.reference.digest().cloned();
        let mut fetched = self.fetch_document(expected.as_ref(), None)?;
        let named_digest = fetched.digest.clone();
        for _ in 0..=NESTING {
            let index = match fetched.document {
                Document::Manifest(manifest) => {
                    return Ok(Found {
                        manifest,
                        bytes: fetched.bytes,
                        media_type: fetched.media_type,
                        digest: fetched.digest,
                        named_digest,
                    });
                }
                Document::Index(index) => index,
            };
            let descriptor = self.choose(&index)?;
            let child = manifest::blob(descriptor)
                .map_err(|fault| self.manifest_error(&fetched.digest, fault))?;
            fetched = self.fetch_document(Some(&child.digest), Some(&child))?;
        }
        Err(RegistryError::NestedIndexes {
            reference: self.name.clone(),
            limit: NESTING,
        })
    }

    /// By digest where one is known, else by tag. `child` is what an index said about it.
    fn fetch_document(
        &self,
        expected: Option<&Digest>,
        child: Option<&Blob>,
    ) -> Result<Fetched, RegistryError> {
        let fetched = documents::fetch(&self.session, &self.endpoint, self.reference, expected)?;
        let documents::Fetched {
            bytes,
            content_type,
            digest: actual,
        } = fetched;
        let (document, media_type) = manifest::parse(&bytes, content_type.as_deref())
            .map_err(|fault| self.manifest_error(&actual, fault))?;
        if let Some(child) = child
            && child.media_type != media_type
        {
            let fault = manifest::ManifestFault::TypesDisagree {
                header: media_type,
                document: format!("{} in the index", child.media_type),
            };
            return Err(self.manifest_error(&actual, fault));
        }
        Ok(Fetched {
            document,
            bytes,
            media_type,
            digest: actual,
        })
    }

    fn manifest_error(&self, digest: &Digest, fault: manifest::ManifestFault) -> RegistryError {
        RegistryError::Manifest {
            reference: self.name.clone(),
            digest: digest.clone(),
            fault,
        }
    }

    /// The best entry for the platform; the first of equals, as docker takes it.
    fn choose<'i>(&self, index: &'i ImageIndex) -> Result<&'i Descriptor, RegistryError> {
        let host = Platform::host();
        let wanted = self.wanted.unwrap_or(&host);
        let is_image = |descriptor: &&Descriptor| {
            let media_type = descriptor.media_type().to_string();
            matches!(
                media_type.as_str(),
                manifest::OCI_MANIFEST
                    | manifest::OCI_INDEX
                    | manifest::DOCKER_MANIFEST
                    | manifest::DOCKER_LIST
            )
        };
        let rank = |descriptor: &Descriptor| match descriptor.platform() {
            Some(platform) => wanted.matches(platform),
            // Without a platform nothing speaks against it, and every entry that names one is better.
            None => Some(u32::MAX),
        };
        let candidates = index.manifests().iter().filter(is_image);
        let best = candidates
            .filter_map(|descriptor| Some((rank(descriptor)?, descriptor)))
            .min_by_key(|(rank, _)| *rank);
        best.map(|(_, descriptor)| descriptor)
            .ok_or_else(|| RegistryError::NoPlatform {
                reference: self.name.clone(),
                wanted: wanted.to_string(),
                available: available(index),
            })
    }

    fn config(&self, manifest: &Manifest) -> Result<(Vec<u8>, Image), RegistryError> {
        let blob = &manifest.config;
        let fault = |reason: String| RegistryError::Config {
            reference: self.name.clone(),
            digest: blob.digest.clone(),
            reason,
        };
        if blob.size > manifest::CONFIG_LIMIT {
            let limit = manifest::CONFIG_LIMIT;
            return Err(fault(format!("is larger than {limit} bytes, refused")));
        }
        let source = Source {
            session: &self.session,
            reference: &self.name,
            url: self.blob_url(&blob.digest),
        };
        let bytes = BlobStream::open(source, blob)?.read_all()?;
        let image: Image = serde_json::from_slice(&bytes)
            .map_err(|error| fault(printable(&error.to_string(), 200)))?;
        let (have, want) = (image.rootfs.diff_ids.len(), manifest.layers.len());
        if have != want {
            return Err(fault(format!(
                "names {have} layers, the manifest has {want}"
            )));
        }
        Ok((bytes, image))
    }

    fn check_platform(&self, actual: &Platform) -> Result<(), RegistryError> {
        match self.wanted {
            Some(wanted) if wanted.rank(actual).is_none() => Err(RegistryError::WrongPlatform {
                reference: self.name.clone(),
                wanted: wanted.to_string(),
                actual: actual.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// Fetches what the sink lacks, each DiffID once however often the image uses it.
    fn fetch(
        &self,
        layers: &[Layer],
        sink: &dyn LayerSink,
        progress: &dyn Progress,
    ) -> Result<(), RegistryError> {
        let mut seen = BTreeSet::new();
        let once: Vec<&Layer> = layers
            .iter()
            .filter(|layer| seen.insert(layer.diff_id.clone()))
            .collect();
        let sizes: Vec<(Digest, u64)> = once
            .iter()
            .map(|layer| (layer.blob.digest.clone(), layer.blob.size))
            .collect();
        let planned: Vec<PlannedLayer> = once
            .iter()
            .map(|layer| PlannedLayer {
                diff_id: layer.diff_id.clone(),
                digest: layer.blob.digest.clone(),
                size: layer.blob.size,
                media_type: layer.blob.media_type.clone(),
            })
            .collect();
        sink.plan(&planned).map_err(|source| RegistryError::Room {
            reference: self.name.clone(),
            source,
        })?;
        progress.layers(&sizes);
        let (present, missing): (Vec<&Layer>, Vec<&Layer>) =
            once.into_iter().partition(|layer| sink.has(&layer.diff_id));
        for layer in &present {
            progress.present(&layer.blob.digest);
        }
        let present: Vec<Layer> = present.into_iter().cloned().collect();
        let missing: Vec<Layer> = missing.into_iter().cloned().collect();
        let url = |digest: &Digest| self.blob_url(digest);
        Fetch::new(&self.session, &self.name, sink, progress, &url).all(missing.clone())?;
        let locations = Locations::below(self.session.exchange().config().cache.as_deref());
        let missing = missing.into_iter().map(|layer| (layer, false));
        for (layer, claimed) in missing.chain(present.into_iter().map(|layer| (layer, true))) {
            let location = Location {
                host: self.session.host().to_owned(),
                repository: self.endpoint.repository(self.reference.repository()),
                digest: layer.blob.digest,
                size: layer.blob.size,
                media_type: layer.blob.media_type,
                claimed,
                toc: None,
            };
            locations.add(&layer.diff_id, location);
        }
        Ok(())
    }

    fn blob_url(&self, digest: &Digest) -> url::Url {
        let repository = self.reference.repository();
        self.endpoint.url(repository, "blobs", digest.as_str())
    }
}

fn pull_layers(manifest: &Manifest, diff_ids: &[Digest]) -> Vec<Layer> {
    let pairs = manifest.layers.iter().zip(diff_ids);
    pairs
        .map(|(blob, diff_id)| Layer {
            blob: blob.clone(),
            diff_id: diff_id.clone(),
        })
        .collect()
}

/// `linux/amd64, linux/arm/v7`, for the message that says what there is.
fn available(index: &ImageIndex) -> String {
    let platforms: BTreeSet<String> = index
        .manifests()
        .iter()
        .filter_map(|descriptor| descriptor.platform().as_ref())
        .map(|platform| printable(&Platform::of(platform).to_string(), 60))
        .filter(|platform| platform != "unknown/unknown")
        .collect();
    match platforms.len() {
        0 => "none".to_owned(),
        _ => platforms.into_iter().collect::<Vec<_>>().join(", "),
    }
}
