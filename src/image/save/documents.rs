//! The JSON documents of a saved image: manifests, and what names them. Pure.

use serde_json::{Value, json};

use super::super::digest::Digest;
use super::super::document::media_type;
use super::super::lists::MemberPlatform;
use super::{SaveFormat, Saved};

/// What a descriptor says of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
}

impl Described {
    pub(super) fn of(media_type: &str, bytes: &[u8]) -> Described {
        Described {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
        }
    }

    fn json(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest.as_str(), "size": self.size })
    }

    /// The same in docker's words.
    fn docker(&self) -> Value {
        let media_type = match self.media_type.as_str() {
            media_type::OCI_CONFIG => media_type::DOCKER_CONFIG,
            media_type::OCI_LAYER_GZIP => media_type::DOCKER_LAYER_GZIP,
            media_type::OCI_LAYER => media_type::DOCKER_LAYER,
            other => other,
        };
        Described {
            media_type: media_type.to_owned(),
            ..self.clone()
        }
        .json()
    }
}

/// A layer's media type in OCI's words.
pub(super) fn oci_layer(media_type: &str) -> String {
    let oci = match media_type {
        media_type::DOCKER_LAYER => media_type::OCI_LAYER,
        media_type::DOCKER_LAYER_GZIP => media_type::OCI_LAYER_GZIP,
        media_type::DOCKER_LAYER_ZSTD => media_type::OCI_LAYER_ZSTD,
        other => other,
    };
    oci.to_owned()
}

/// The manifest of layers in the form they were written.
pub(super) fn manifest(
    format: SaveFormat,
    config: &Described,
    layers: &[Described],
) -> (Described, Vec<u8>) {
    let (of, describe): (&str, fn(&Described) -> Value) = match format {
        SaveFormat::DockerDir => (media_type::DOCKER_MANIFEST, Described::docker),
        _ => (media_type::OCI_MANIFEST, Described::json),
    };
    let document = json!({
        "schemaVersion": 2,
        "mediaType": of,
        "config": describe(config),
        "layers": layers.iter().map(describe).collect::<Vec<_>>(),
    });
    let bytes = to_bytes(&document);
    (Described::of(of, &bytes), bytes)
}

/// An index's entry, with the platform that the configuration has.
pub(super) fn with_platform(manifest: &Described, config: &[u8]) -> Value {
    let mut entry = manifest.json();
    entry["platform"] = json!(MemberPlatform::of_config(config));
    entry
}

/// The files that say which images there are, by name.
pub(super) fn naming(format: SaveFormat, saved: &[Saved<'_>]) -> Vec<(&'static str, Vec<u8>)> {
    let layout = || {
        let layout = json!({ "imageLayoutVersion": "1.0.0" });
        ("oci-layout", to_bytes(&layout))
    };
    let index = || ("index.json", to_bytes(&index(format, saved)));
    match format {
        SaveFormat::DockerArchive => {
            let list: Vec<Value> = saved.iter().map(item).collect();
            let list = ("manifest.json", to_bytes(&Value::Array(list)));
            vec![index(), list, layout()]
        }
        SaveFormat::OciArchive | SaveFormat::OciDir => vec![index(), layout()],
        SaveFormat::DockerDir => vec![("version", b"Directory Transport Version: 1.1\n".to_vec())],
    }
}

/// One descriptor for each name. The full name is where containerd looks for it; the specification's own annotation has the
/// tag in docker's archives and the full name in podman's, and both read their own.
fn index(format: SaveFormat, saved: &[Saved<'_>]) -> Value {
    let mut manifests = Vec::new();
    for one in saved {
        let bare = one.manifest.json();
        for tag in &one.image.tags {
            let full = tag.to_string();
            let short = match format {
                SaveFormat::DockerArchive => tag.tag().unwrap_or("latest").to_owned(),
                _ => full.clone(),
            };
            let mut named = bare.clone();
            named["annotations"] = json!({
                "io.containerd.image.name": full,
                "org.opencontainers.image.ref.name": short,
            });
            manifests.push(named);
        }
        if one.image.tags.is_empty() {
            manifests.push(bare);
        }
    }
    json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests })
}

/// An element of docker's list.
fn item(one: &Saved<'_>) -> Value {
    let member = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let tags: Vec<String> = one.image.tags.iter().map(|tag| tag.familiar()).collect();
    let layers: Vec<String> = one
        .layers
        .iter()
        .map(|layer| member(&layer.digest))
        .collect();
    json!({
        "Config": member(&one.config.digest),
        "RepoTags": if tags.is_empty() { Value::Null } else { json!(tags) },
        "Layers": layers,
    })
}

fn to_bytes(document: &Value) -> Vec<u8> {
    serde_json::to_vec(document).expect("plain data always serialises")
}
