//! `imagetools inspect`: what a registry has under a name, with the configurations of its images and what is said of them. Keeps nothing.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::manifests::{OfIndex, as_index, failure, fetched, members_of};
use super::worker::RoleFailure;
use super::{Engine, EngineError};
use crate::image::{Digest, Member, Reference};
use crate::registry::{self, RegistryConfig, Silent};

/// Of one statement: a bill of materials of many thousand packages.
const STATEMENT_MAX: u64 = 64 << 20;

/// What is wanted beside the manifest or index itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct RemoteParts {
    pub images: bool,
    pub statements: bool,
}

/// An image, or an index with its images.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoteImage {
    /// The very document.
    pub json: String,
    pub media_type: String,
    pub digest: Digest,
    pub is_index: bool,
    pub images: Vec<RemotePlatform>,
}

/// One image of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RemotePlatform {
    /// As containerd writes it: `linux/arm64`.
    pub platform: String,
    pub config: Value,
    /// in-toto statements.
    pub statements: Vec<Value>,
}

impl Engine {
    pub fn remote_image(
        &self,
        reference: &Reference,
        parts: RemoteParts,
    ) -> Result<RemoteImage, EngineError> {
        let config = self.registry_config_for(reference)?;
        self.beside("transfer", || looked_up(reference, parts, &config))
    }
}

fn looked_up(
    reference: &Reference,
    parts: RemoteParts,
    config: &RegistryConfig,
) -> Result<RemoteImage, RoleFailure> {
    let document = fetched(reference, config)?;
    let mut remote = RemoteImage {
        json: String::from_utf8_lossy(&document.bytes).into_owned(),
        media_type: document.media_type.clone(),
        digest: document.digest.clone(),
        is_index: false,
        images: Vec::new(),
    };
    let Some(index) = as_index(reference, &document)? else {
        remote.images.push(RemotePlatform {
            config: parsed(&document.config.unwrap_or_default()),
            ..RemotePlatform::default()
        });
        return Ok(remote);
    };
    remote.is_index = true;
    if !parts.images && !parts.statements {
        return Ok(remote);
    }
    let members = members_of(reference, &index, OfIndex::All, config)?;
    for member in members.iter().filter(|member| member.about().is_none()) {
        let mut image = RemotePlatform {
            platform: platform(member),
            ..RemotePlatform::default()
        };
        if parts.images {
            let whole = fetched(&member.reference, config)?;
            image.config = parsed(&whole.config.unwrap_or_default());
        }
        let digest = member.digest();
        let is_about = |other: &&Member| other.about() == Some(digest.as_str());
        for other in members.iter().filter(is_about).filter(|_| parts.statements) {
            image.statements.extend(statements(other, config)?);
        }
        remote.images.push(image);
    }
    Ok(remote)
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
}

fn platform(member: &Member) -> String {
    let of = &member.platform;
    match of.variant.as_str() {
        "" => format!("{}/{}", of.os, of.architecture),
        "v8" if of.architecture == "arm64" => format!("{}/{}", of.os, of.architecture),
        variant => format!("{}/{}/{variant}", of.os, of.architecture),
    }
}

fn statements(member: &Member, config: &RegistryConfig) -> Result<Vec<Value>, RoleFailure> {
    let manifest = parsed(member.manifest.as_bytes());
    let layers = manifest["layers"].as_array().into_iter().flatten();
    let blobs = layers.filter_map(|layer| {
        let size = layer["size"]
            .as_u64()
            .filter(|size| *size <= STATEMENT_MAX)?;
        Some((layer["digest"].as_str()?.parse().ok()?, size))
    });
    let blobs: Vec<(Digest, u64)> = blobs.collect();
    let bytes = registry::small_blobs(&member.reference, &blobs, config, &Silent);
    let bytes = bytes.map_err(|error| failure(&error))?;
    Ok(bytes.iter().map(|bytes| parsed(bytes)).collect())
}
