//! Manifests and indexes: bytes to checked documents. Pure; asks nobody for anything.

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::image::{Digest, DigestError};

pub(super) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(super) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// Every kind that is understood, for `Accept`. Schema 1 is left out, so that registries convert it or say so.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// More than any registry accepts (distribution's own bound).
pub(super) const MANIFEST_LIMIT: u64 = 4 << 20;
/// docker and podman bound a configuration like a manifest.
pub(super) const CONFIG_LIMIT: u64 = 4 << 20;
/// overlayfs stacks at most 500 layers; docker makes at most 127.
const LAYER_LIMIT: usize = 500;
const INDEX_LIMIT: usize = 4096;

/// Why a document is not taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ManifestFault {
    #[error("is not valid JSON of a manifest: {reason}")]
    Json { reason: String },
    #[error("is an image manifest and an index at once, refused (CVE-2021-41190)")]
    BothShapes,
    #[error(
        "is in Docker's schema 1, which no longer is supported; ask for the image to be pushed again with a current tool"
    )]
    Schema1,
    #[error("has schema version {version}, only 2 is known")]
    SchemaVersion { version: u64 },
    #[error("was sent as {header}, the document says {document}")]
    TypesDisagree { header: String, document: String },
    #[error("was sent as {media_type}, its content is {shape}")]
    WrongShape {
        media_type: String,
        shape: &'static str,
    },
    #[error("has media type {media_type}, which is no image manifest or index")]
    UnknownType { media_type: String },
    #[error("is neither an image manifest nor an index")]
    NoShape,
    #[error("is an index, not an artifact's manifest; ask for one of what it names by digest")]
    AnIndex,
    #[error("is no container image: its configuration has media type {media_type}")]
    NotAnImage { media_type: String },
    #[error("names a blob: {source}")]
    Digest { source: DigestError },
    #[error(
        "has a foreign layer {digest} ({media_type}), which is not fetched: its content lies outside the registry"
    )]
    ForeignLayer { digest: String, media_type: String },
    #[error("has a layer of media type {media_type}, only tar, tar+gzip and tar+zstd are known")]
    LayerType { media_type: String },
    #[error("has {count} {what}, at most {limit} are accepted")]
    TooMany {
        count: usize,
        what: &'static str,
        limit: usize,
    },
}

/// A blob as a manifest names it, its digest checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blob {
    pub digest: Digest,
    pub size: u64,
    pub media_type: String,
}

/// An image manifest that can be pulled: every digest checked, every layer of a known kind.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub config: Blob,
    pub layers: Vec<Blob>,
}

#[derive(Clone, Debug)]
pub(super) enum Document {
    Manifest(Manifest),
    Index(Box<ImageIndex>),
}

/// The top-level keys that tell kinds apart; serde refuses a key that occurs twice.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: Option<u64>,
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    fs_layers: Option<IgnoredAny>,
}

/// Reads a document sent with the given `Content-Type`; gives back the media type both agree on.
pub(super) fn parse(
    bytes: &[u8],
    content_type: Option<&str>,
) -> Result<(Document, String), ManifestFault> {
    let (is_index, media_type) = shape(bytes, content_type)?;
    if is_index {
        Ok((Document::Index(Box::new(index(bytes)?)), media_type))
    } else {
        Ok((Document::Manifest(manifest(bytes)?), media_type))
    }
}

/// Whether a document is an index, and its media type; asks nothing of what it names.
pub(super) fn shape(
    bytes: &[u8],
    content_type: Option<&str>,
) -> Result<(bool, String), ManifestFault> {
    let header = content_type.map(essence).filter(|t| !is_generic(t));
    if header
        .as_deref()
        .is_some_and(|t| t.contains("distribution.manifest.v1+"))
    {
        return Err(ManifestFault::Schema1);
    }
    let shape: Shape = serde_json::from_slice(bytes).map_err(json)?;
    let is_manifest = shape.config.is_some() || shape.layers.is_some();
    let is_index = shape.manifests.is_some();
    if is_index && (is_manifest || shape.fs_layers.is_some()) {
        return Err(ManifestFault::BothShapes);
    }
    match shape.schema_version {
        Some(1) => return Err(ManifestFault::Schema1),
        _ if shape.fs_layers.is_some() => return Err(ManifestFault::Schema1),
        Some(2) => {}
        version => {
            return Err(ManifestFault::SchemaVersion {
                version: version.unwrap_or(0),
            });
        }
    }
    if !is_manifest && !is_index {
        return Err(ManifestFault::NoShape);
    }
    Ok((is_index, agree(header, shape.media_type, is_index)?))
}

/// Everything that a manifest names, whatever it is of.
pub(super) fn blobs(bytes: &[u8]) -> Result<Vec<Blob>, ManifestFault> {
    let manifest: ImageManifest = serde_json::from_slice(bytes).map_err(json)?;
    at_most(manifest.layers().len(), "layers", INDEX_LIMIT)?;
    let named = std::iter::once(manifest.config()).chain(manifest.layers());
    named.map(blob).collect()
}

/// The media type without parameters, lower case.
fn essence(content_type: &str) -> String {
    let bare = content_type.split(';').next().unwrap_or_default();
    bare.trim().to_ascii_lowercase()
}

/// What file servers that play registry send; then the document alone decides.
fn is_generic(media_type: &str) -> bool {
    matches!(
        media_type,
        "" | "application/json" | "application/octet-stream" | "text/plain"
    )
}

fn agree(
    header: Option<String>,
    document: Option<String>,
    is_index: bool,
) -> Result<String, ManifestFault> {
    let media_type = match (header, document) {
        (Some(header), Some(document)) if header != document => {
            return Err(ManifestFault::TypesDisagree { header, document });
        }
        (Some(one), _) | (None, Some(one)) => one,
        // OCI documents may leave mediaType out.
        (None, None) => if is_index { OCI_INDEX } else { OCI_MANIFEST }.to_owned(),
    };
    let says_index = match media_type.as_str() {
        OCI_INDEX | DOCKER_LIST => true,
        OCI_MANIFEST | DOCKER_MANIFEST => false,
        _ => return Err(ManifestFault::UnknownType { media_type }),
    };
    if says_index != is_index {
        let shape = if is_index {
            "an index"
        } else {
            "an image manifest"
        };
        return Err(ManifestFault::WrongShape { media_type, shape });
    }
    Ok(media_type)
}

fn json(error: serde_json::Error) -> ManifestFault {
    ManifestFault::Json {
        reason: super::exchange::printable(&error.to_string(), 200),
    }
}

fn index(bytes: &[u8]) -> Result<ImageIndex, ManifestFault> {
    let index: ImageIndex = serde_json::from_slice(bytes).map_err(json)?;
    at_most(index.manifests().len(), "entries", INDEX_LIMIT)?;
    Ok(index)
}

fn manifest(bytes: &[u8]) -> Result<Manifest, ManifestFault> {
    let manifest: ImageManifest = serde_json::from_slice(bytes).map_err(json)?;
    let config = blob(manifest.config())?;
    if config.media_type != DOCKER_CONFIG && config.media_type != OCI_CONFIG {
        return Err(ManifestFault::NotAnImage {
            media_type: config.media_type,
        });
    }
    at_most(manifest.layers().len(), "layers", LAYER_LIMIT)?;
    let layers = manifest.layers().iter().map(layer);
    Ok(Manifest {
        config,
        layers: layers.collect::<Result<_, _>>()?,
    })
}

fn at_most(count: usize, what: &'static str, limit: usize) -> Result<(), ManifestFault> {
    if count > limit {
        return Err(ManifestFault::TooMany { count, what, limit });
    }
    Ok(())
}

/// Checks a descriptor's digest before anything is asked for by it.
pub(super) fn blob(descriptor: &Descriptor) -> Result<Blob, ManifestFault> {
    let digest = descriptor.digest().to_string();
    Ok(Blob {
        digest: digest
            .parse()
            .map_err(|source| ManifestFault::Digest { source })?,
        size: descriptor.size(),
        media_type: descriptor.media_type().to_string(),
    })
}

/// `urls` are never followed (CVE-2020-15157): a layer that is not in the registry itself is refused by name.
fn layer(descriptor: &Descriptor) -> Result<Blob, ManifestFault> {
    let layer = blob(descriptor)?;
    let media_type = layer.media_type.clone();
    if media_type.contains("nondistributable") || media_type.contains(".foreign.") {
        return Err(ManifestFault::ForeignLayer {
            digest: layer.digest.to_string(),
            media_type,
        });
    }
    let known = [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.docker.image.rootfs.diff.tar",
    ];
    let suffix = known
        .iter()
        .find_map(|known| media_type.strip_prefix(known));
    match suffix {
        Some("" | "+gzip" | ".gzip" | "+zstd" | ".zstd") => Ok(layer),
        _ => Err(ManifestFault::LayerType { media_type }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn image() -> Value {
        json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": D, "size": 2},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": D, "size": 3}],
        })
    }

    fn fault(value: &Value, content_type: Option<&str>) -> ManifestFault {
        parse(value.to_string().as_bytes(), content_type).unwrap_err()
    }

    #[test]
    fn the_header_and_the_document_must_agree() {
        let bytes = image().to_string();
        for header in [
            None,
            Some(OCI_MANIFEST),
            Some("application/json"),
            Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8"),
        ] {
            assert_eq!(parse(bytes.as_bytes(), header).unwrap().1, OCI_MANIFEST);
        }
        assert!(matches!(
            fault(&image(), Some(DOCKER_MANIFEST)),
            ManifestFault::TypesDisagree { .. }
        ));
        let mut untyped = image();
        untyped.as_object_mut().unwrap().remove("mediaType");
        assert!(matches!(
            fault(&untyped, Some(OCI_INDEX)),
            ManifestFault::WrongShape { .. }
        ));
        assert!(matches!(
            fault(&untyped, Some("text/html")),
            ManifestFault::UnknownType { .. }
        ));
    }

    #[test]
    fn a_document_of_both_shapes_is_refused_for_every_content_type() {
        let mut both = image();
        both["manifests"] = json!([]);
        for header in [
            None,
            Some(OCI_MANIFEST),
            Some(OCI_INDEX),
            Some(DOCKER_MANIFEST),
            Some(DOCKER_LIST),
        ] {
            both["mediaType"] = json!(header.unwrap_or(OCI_INDEX));
            assert_eq!(fault(&both, header), ManifestFault::BothShapes);
        }
    }

    #[test]
    fn schema_1_is_refused_by_name() {
        let schema1 = json!({"schemaVersion": 1, "fsLayers": [], "history": []});
        assert_eq!(fault(&schema1, None), ManifestFault::Schema1);
        let signed = Some("application/vnd.docker.distribution.manifest.v1+prettyjws");
        assert_eq!(fault(&schema1, signed), ManifestFault::Schema1);
    }

    #[test]
    fn digests_are_strict_and_foreign_layers_refused() {
        let upper = format!("sha256:{}", "A".repeat(64));
        let short = format!("sha256:{}", "a".repeat(63));
        for bad in ["../../x", &short, &upper, "md5:aa"] {
            for place in ["/config/digest", "/layers/0/digest"] {
                let mut value = image();
                *value.pointer_mut(place).unwrap() = json!(bad);
                assert!(
                    matches!(
                        fault(&value, None),
                        ManifestFault::Digest { .. } | ManifestFault::Json { .. }
                    ),
                    "{bad} at {place}"
                );
            }
        }
        let mut foreign = image();
        foreign["layers"][0]["mediaType"] =
            json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        foreign["layers"][0]["urls"] = json!(["https://example.org/x"]);
        assert!(matches!(
            fault(&foreign, None),
            ManifestFault::ForeignLayer { .. }
        ));
    }

    #[test]
    fn what_is_no_image_says_what_it_is() {
        let mut chart = image();
        chart["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
        assert!(matches!(
            fault(&chart, None),
            ManifestFault::NotAnImage { .. }
        ));
        let mut compose = image();
        compose["layers"][0]["mediaType"] = json!("application/vnd.docker.compose.file+yaml");
        assert!(matches!(
            fault(&compose, None),
            ManifestFault::LayerType { .. }
        ));
    }
}
