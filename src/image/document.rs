//! Manifests, indexes and configs as they come from outside: bounded, unambiguous, and only then trusted with meaning.
//! Never fetches or stores them.

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use serde_json::Value;

use super::digest::{Digest, DigestError};

/// The largest manifest, index or config that is read: what registries themselves enforce (distribution, 4 MiB).
pub const MAX_DOCUMENT: u64 = 4 << 20;

/// Media types that oci-spec has no names for, and those compared as text.
pub mod media_type {
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
    pub const DOCKER_FOREIGN_LAYER_GZIP: &str =
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
    pub const DOCKER_SCHEMA1_SIGNED: &str =
        "application/vnd.docker.distribution.manifest.v1+prettyjws";
}

#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("{subject} is larger than {MAX_DOCUMENT} bytes")]
    TooLarge { subject: String },
    #[error("{subject} is not valid JSON: {source}")]
    Json {
        subject: String,
        source: serde_json::Error,
    },
    #[error(
        "{subject} can be read both as a manifest and as an index, which is ambiguous and refused (CVE-2021-41190)"
    )]
    Ambiguous { subject: String },
    #[error("{subject} is announced as {announced}, but says or looks like {found}")]
    MediaType {
        subject: String,
        announced: String,
        found: String,
    },
    #[error(
        "{subject} is a docker schema 1 manifest, a format that docker itself dropped; the image has to be pushed again by a current tool"
    )]
    Schema1 { subject: String },
    #[error("{subject} is neither an image manifest nor an image index")]
    Unknown { subject: String },
    #[error("{subject}: {source}")]
    Digest {
        subject: String,
        source: DigestError,
    },
}

/// What a registry or archive may give for a reference.
#[derive(Debug)]
pub enum Document {
    Manifest(Box<ImageManifest>),
    Index(Box<ImageIndex>),
}

impl Document {
    /// Parses a manifest or index; `announced` is the media type its carrier gave (Content-Type, descriptor), if any.
    /// `subject` names it in errors ("manifest of debian:latest").
    pub fn parse(
        subject: &str,
        bytes: &[u8],
        announced: Option<&str>,
    ) -> Result<Document, DocumentError> {
        let value: Value = json(subject, bytes)?;
        let has = |key: &str| value.get(key).is_some_and(|found| !found.is_null());
        let inner = value.get("mediaType").and_then(Value::as_str);
        let like_manifest = has("config") || has("layers");
        let like_index = has("manifests");
        if like_manifest && like_index || has("fsLayers") && (like_manifest || like_index) {
            return Err(DocumentError::Ambiguous {
                subject: subject.to_owned(),
            });
        }
        if has("fsLayers") || has("history") && !like_manifest {
            return Err(DocumentError::Schema1 {
                subject: subject.to_owned(),
            });
        }
        let shape = match (like_manifest, like_index) {
            (true, _) => Shape::Manifest,
            (_, true) => Shape::Index,
            _ => {
                return Err(DocumentError::Unknown {
                    subject: subject.to_owned(),
                });
            }
        };
        for text in [announced, inner].into_iter().flatten() {
            check_type(subject, shape, text)?;
        }
        // An announced and an inner type of the same shape may still differ (docker against OCI): servers translate
        // neither, so the difference is a lie about one of them, and clients would compute different things.
        if let (Some(announced), Some(inner)) = (announced.and_then(known), inner.and_then(known))
            && announced != inner
        {
            return Err(mismatch(subject, announced, inner));
        }
        match shape {
            Shape::Manifest => Ok(Document::Manifest(Box::new(json(subject, bytes)?))),
            Shape::Index => Ok(Document::Index(Box::new(json(subject, bytes)?))),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Manifest,
    Index,
}

/// The media type without parameters, if it is one of the four that name a shape.
fn known(text: &str) -> Option<&str> {
    let bare = text.split(';').next().unwrap_or(text).trim();
    shape_of(bare).map(|_| bare)
}

fn shape_of(bare: &str) -> Option<Shape> {
    match bare {
        media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST => Some(Shape::Manifest),
        media_type::OCI_INDEX | media_type::DOCKER_LIST => Some(Shape::Index),
        _ => None,
    }
}

/// A type that names no shape (`application/json`, `text/plain` of a plain file server) decides nothing.
fn check_type(subject: &str, shape: Shape, text: &str) -> Result<(), DocumentError> {
    match known(text).and_then(shape_of) {
        Some(named) if named != shape => {
            let found = match shape {
                Shape::Manifest => "a manifest",
                Shape::Index => "an index",
            };
            Err(mismatch(subject, text, found))
        }
        _ => Ok(()),
    }
}

fn mismatch(subject: &str, announced: &str, found: &str) -> DocumentError {
    DocumentError::MediaType {
        subject: subject.to_owned(),
        announced: announced.to_owned(),
        found: found.to_owned(),
    }
}

/// Parses an image config; its subject is named in errors.
pub fn parse_config(subject: &str, bytes: &[u8]) -> Result<ImageConfiguration, DocumentError> {
    json(subject, bytes)
}

/// The DiffIDs a config lists, bottom first.
pub fn diff_ids(subject: &str, config: &ImageConfiguration) -> Result<Vec<Digest>, DocumentError> {
    let parse = |text: &String| {
        text.parse().map_err(|source| DocumentError::Digest {
            subject: subject.to_owned(),
            source,
        })
    };
    config.rootfs().diff_ids().iter().map(parse).collect()
}

/// A descriptor's digest as bryo's own checked type.
pub fn descriptor_digest(subject: &str, descriptor: &Descriptor) -> Result<Digest, DocumentError> {
    let text = descriptor.digest().to_string();
    text.parse().map_err(|source| DocumentError::Digest {
        subject: subject.to_owned(),
        source,
    })
}

/// Bounded JSON of any type.
pub fn json<T: serde::de::DeserializeOwned>(
    subject: &str,
    bytes: &[u8],
) -> Result<T, DocumentError> {
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(DocumentError::TooLarge {
            subject: subject.to_owned(),
        });
    }
    serde_json::from_slice(bytes).map_err(|source| DocumentError::Json {
        subject: subject.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn manifest_fields() -> String {
        format!(
            r#""config":{{"mediaType":"{}","digest":"{DIGEST}","size":2}},"layers":[]"#,
            media_type::OCI_CONFIG
        )
    }

    fn parse(fields: &str, announced: Option<&str>) -> Result<Document, DocumentError> {
        let text = format!("{{\"schemaVersion\":2,{fields}}}");
        Document::parse("manifest of x", text.as_bytes(), announced)
    }

    #[test]
    fn a_document_of_both_shapes_is_refused_whatever_it_is_called() {
        let both = format!("{},\"manifests\":[]", manifest_fields());
        for announced in [
            None,
            Some(media_type::OCI_MANIFEST),
            Some(media_type::OCI_INDEX),
            Some(media_type::DOCKER_MANIFEST),
            Some("application/json"),
        ] {
            let result = parse(&both, announced);
            assert!(matches!(result, Err(DocumentError::Ambiguous { .. })));
        }
    }

    #[test]
    fn the_shape_must_agree_with_what_was_announced() {
        let fields = manifest_fields();
        assert!(matches!(parse(&fields, None), Ok(Document::Manifest(_))));
        assert!(parse(&fields, Some("application/json")).is_ok());
        assert!(
            parse(
                &fields,
                Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8")
            )
            .is_ok()
        );
        assert!(parse(&fields, Some(media_type::OCI_INDEX)).is_err());
        let inner = format!("\"mediaType\":\"{}\",{fields}", media_type::OCI_INDEX);
        assert!(parse(&inner, None).is_err());
        assert!(matches!(
            parse("\"manifests\":[]", Some(media_type::DOCKER_LIST)),
            Ok(Document::Index(_))
        ));
    }

    #[test]
    fn bad_digests_never_get_past_the_parser() {
        for bad in ["../../x", "sha256:12", "sha256:E3B0"] {
            let fields = manifest_fields().replace(DIGEST, bad);
            assert!(
                match parse(&fields, None) {
                    Ok(Document::Manifest(manifest)) =>
                        descriptor_digest("config", manifest.config()).is_err(),
                    Ok(Document::Index(_)) => false,
                    Err(_) => true,
                },
                "{bad} was accepted"
            );
        }
    }

    #[test]
    fn old_and_foreign_documents_are_named() {
        assert!(matches!(
            parse("\"fsLayers\":[]", None),
            Err(DocumentError::Schema1 { .. })
        ));
        assert!(matches!(
            parse("\"x\":1", None),
            Err(DocumentError::Unknown { .. })
        ));
    }
}
