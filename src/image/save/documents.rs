//! The JSON documents of a saved image: manifests, and what names them. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::digest::Digest;
use super::super::document::media_type;
use super::super::reference::Reference;
use super::{SaveFormat, Saved, SavedIndex};

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

/// The manifest of layers in the form they were written, with the annotations, and where it is to keep them the media types, of the one
/// that the image came with.
pub(super) fn manifest(
    (format, keeps_types): (SaveFormat, bool),
    before: &[u8],
    config: &Described,
    layers: &[Described],
) -> (Described, Vec<u8>) {
    let before: Value = serde_json::from_slice(before).unwrap_or_default();
    let has_zstd = layers
        .iter()
        .any(|layer| layer.media_type == media_type::OCI_LAYER_ZSTD);
    // Docker has no word for zstd that others know.
    let is_dockers = before["mediaType"] == media_type::DOCKER_MANIFEST;
    let (of, describe): (&str, fn(&Described) -> Value) = match format {
        _ if is_dockers && keeps_types && !has_zstd => {
            (media_type::DOCKER_MANIFEST, Described::docker)
        }
        SaveFormat::DockerDir => (media_type::DOCKER_MANIFEST, Described::docker),
        _ => (media_type::OCI_MANIFEST, Described::json),
    };
    let mut document = json!({
        "schemaVersion": 2,
        "mediaType": of,
        "config": describe(config),
        "layers": layers.iter().map(describe).collect::<Vec<_>>(),
    });
    if let Some(annotations) = before.get("annotations") {
        document["annotations"] = annotations.clone();
    }
    let bytes = to_bytes(&document);
    (Described::of(of, &bytes), bytes)
}

/// The files that say which images there are, by name.
pub(super) fn naming(
    format: SaveFormat,
    saved: &[Saved<'_>],
    indexes: &[SavedIndex<'_>],
    noted: &BTreeMap<String, String>,
) -> Vec<(&'static str, Vec<u8>)> {
    let layout = || {
        let layout = json!({ "imageLayoutVersion": "1.0.0" });
        ("oci-layout", to_bytes(&layout))
    };
    let index = || {
        (
            "index.json",
            to_bytes(&index(format, saved, indexes, noted)),
        )
    };
    match format {
        SaveFormat::DockerArchive => {
            let own = saved.iter().filter(|one| !is_only_of(one, indexes));
            let own = own.map(|one| item(one, &one.image.tags));
            // Who reads this list knows of no index: the image that stands for it has its names.
            let heads = indexes.iter().filter_map(|index| {
                let head = saved
                    .iter()
                    .find(|one| Some(&one.manifest.digest) == index.manifests.first());
                Some(item(head?, index.tags))
            });
            let list: Vec<Value> = own.chain(heads).collect();
            let list = ("manifest.json", to_bytes(&Value::Array(list)));
            vec![index(), list, layout()]
        }
        SaveFormat::OciArchive | SaveFormat::OciDir => vec![index(), layout()],
        SaveFormat::DockerDir => vec![("version", b"Directory Transport Version: 1.1\n".to_vec())],
    }
}

/// One descriptor for each name. The full name is where containerd looks for it; the specification's own annotation has the
/// tag in docker's archives and the full name in podman's, and both read their own.
fn index(
    format: SaveFormat,
    saved: &[Saved<'_>],
    indexes: &[SavedIndex<'_>],
    noted: &BTreeMap<String, String>,
) -> Value {
    let mut manifests = Vec::new();
    let own = saved.iter().filter(|one| !is_only_of(one, indexes));
    let own = own.map(|one| (&one.manifest, &one.image.tags[..]));
    let all = own.chain(indexes.iter().map(|index| (&index.described, index.tags)));
    for (described, tags) in all {
        let mut bare = described.json();
        if !noted.is_empty() {
            bare["annotations"] = json!(noted);
        }
        for tag in tags {
            let full = tag.to_string();
            let short = match format {
                SaveFormat::DockerArchive => tag.tag().unwrap_or("latest").to_owned(),
                _ => full.clone(),
            };
            let mut named = bare.clone();
            named["annotations"]["io.containerd.image.name"] = full.into();
            named["annotations"]["org.opencontainers.image.ref.name"] = short.into();
            manifests.push(named);
        }
        if tags.is_empty() {
            manifests.push(bare);
        }
    }
    json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests })
}

/// Whether an image is there for an index alone.
fn is_only_of(one: &Saved<'_>, indexes: &[SavedIndex<'_>]) -> bool {
    let is_of = |index: &SavedIndex<'_>| index.manifests.contains(&one.manifest.digest);
    one.image.tags.is_empty() && indexes.iter().any(is_of)
}

/// An element of docker's list.
fn item(one: &Saved<'_>, tags: &[Reference]) -> Value {
    let member = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let tags: Vec<String> = tags.iter().map(|tag| tag.familiar()).collect();
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
