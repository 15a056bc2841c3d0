//! Manifests and configs of images that bryo makes itself: imported, loaded from a docker archive, built in. Pure.

use std::collections::BTreeMap;
use std::str::FromStr;

use oci_spec::image::{
    Descriptor, History, HistoryBuilder, ImageConfiguration, ImageConfigurationBuilder,
    ImageManifestBuilder, MediaType, RootFsBuilder,
};

use serde_json::{Map, Value, json};

use super::digest::Digest;
use super::document::media_type;
use super::platform::Platform;

/// The OCI manifest of an image whose layers are known uncompressed: DiffID and size of each tar, bottom first.
pub fn manifest_of(config: &[u8], layers: &[(Digest, u64)]) -> Vec<u8> {
    let config = descriptor(
        MediaType::ImageConfig,
        &Digest::of(config),
        config.len() as u64,
    );
    let layers: Vec<Descriptor> = layers
        .iter()
        .map(|(diff_id, size)| descriptor(MediaType::ImageLayer, diff_id, *size))
        .collect();
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(layers)
        .build()
        .expect("all required fields are set");
    serde_json::to_vec(&manifest).expect("plain data always serialises")
}

/// A manifest of ours in docker's media types.
pub fn dockers(manifest: &[u8]) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(manifest).expect("we have made it");
    document["mediaType"] = media_type::DOCKER_MANIFEST.into();
    document["config"]["mediaType"] = media_type::DOCKER_CONFIG.into();
    for layer in document["layers"].as_array_mut().into_iter().flatten() {
        layer["mediaType"] = media_type::DOCKER_LAYER.into();
    }
    serde_json::to_vec(&document).expect("plain data always serialises")
}

/// A manifest of ours with annotations; in the order of their keys, so that the same ones make the same bytes.
pub fn annotated(manifest: Vec<u8>, annotations: &BTreeMap<String, String>) -> Vec<u8> {
    if annotations.is_empty() {
        return manifest;
    }
    let mut document: Value = serde_json::from_slice(&manifest).expect("we have made it");
    document["annotations"] = serde_json::json!(annotations);
    serde_json::to_vec(&document).expect("plain data always serialises")
}

fn descriptor(media_type: MediaType, digest: &Digest, size: u64) -> Descriptor {
    let digest = oci_spec::image::Digest::from_str(digest.as_str())
        .expect("our digests are a subset of OCI's");
    Descriptor::new(media_type, size, digest)
}

/// Takes out of a configuration what is of the container that its image was made from, and of that image's maker.
pub fn remove_makers(document: &mut Map<String, Value>) {
    for key in [
        "container",
        "container_config",
        "author",
        "comment",
        "id",
        "parent",
    ] {
        document.remove(key);
    }
}

/// The configuration's bytes with these in the place of what it had.
pub fn configuration(
    mut document: Map<String, Value>,
    created: &str,
    config: Map<String, Value>,
    history: Vec<Value>,
    diff_ids: &[Digest],
) -> Vec<u8> {
    let ids: Vec<&str> = diff_ids.iter().map(Digest::as_str).collect();
    let rootfs = json!({ "type": "layers", "diff_ids": ids });
    document.insert("created".to_owned(), created.into());
    document.insert("config".to_owned(), Value::Object(config));
    document.insert("rootfs".to_owned(), rootfs);
    document.insert("history".to_owned(), Value::Array(history));
    serde_json::to_vec(&document).expect("plain data always serialises")
}

/// The config of a new image.
#[derive(Clone, Debug)]
pub struct NewConfig {
    pub platform: Platform,
    /// RFC 3339.
    pub created: String,
    pub comment: String,
    pub created_by: Option<String>,
    /// The settings (`Config`), with those that no specification knows: `Healthcheck`, `Shell`, `OnBuild`.
    pub config: Map<String, Value>,
}

impl NewConfig {
    /// The JSON for an image of these layers, each with one line of history.
    pub fn to_json(&self, diff_ids: &[Digest]) -> Vec<u8> {
        let rootfs = RootFsBuilder::default()
            .typ("layers")
            .diff_ids(diff_ids.iter().map(Digest::to_string).collect::<Vec<_>>())
            .build()
            .expect("all required fields are set");
        let mut history = HistoryBuilder::default()
            .created(self.created.clone())
            .comment(self.comment.clone());
        if let Some(created_by) = &self.created_by {
            history = history.created_by(created_by.clone());
        }
        let history: Vec<History> = vec![history.build().expect("no field is required")];
        let mut builder = ImageConfigurationBuilder::default()
            .created(self.created.clone())
            .architecture(self.platform.architecture.as_str())
            .os(self.platform.os.as_str())
            .rootfs(rootfs)
            .history(history);
        if let Some(variant) = &self.platform.variant {
            builder = builder.variant(variant.clone());
        }
        let config: ImageConfiguration = builder.build().expect("all required fields are set");
        let mut document = serde_json::to_value(&config).expect("plain data always serialises");
        document["config"] = Value::Object(self.config.clone());
        serde_json::to_vec(&document).expect("plain data always serialises")
    }
}
