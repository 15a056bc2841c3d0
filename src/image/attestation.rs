//! What is said about an image, as BuildKit attaches it: in-toto statements in a manifest of their own, which an index names beside the
//! image, for a platform that nobody has. Pure.

use serde_json::{Value, json};

use super::digest::Digest;
use super::document::media_type;

const IN_TOTO: &str = "application/vnd.in-toto+json";
/// in-toto's attestation framework, version 1.
const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// One thing that is said, whatever image it is said of.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicate {
    /// A URI.
    pub kind: String,
    pub content: Value,
}

/// The documents that say it of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    pub manifest: Vec<u8>,
    /// The configuration, and the statements.
    pub blobs: Vec<Vec<u8>>,
    /// Of the image.
    subject: Digest,
}

/// Says a predicate of the image with this manifest; `names` are package URLs of it.
pub fn statement(predicate: &Predicate, names: &[String], subject: &Digest) -> Value {
    let digest = json!({ "sha256": subject.hex() });
    let mut subjects: Vec<Value> = names
        .iter()
        .map(|name| json!({ "name": name, "digest": digest }))
        .collect();
    if subjects.is_empty() {
        subjects.push(json!({ "name": "_", "digest": digest }));
    }
    json!({
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": predicate.kind,
        "predicate": predicate.content,
    })
}

fn bytes_of(document: &Value) -> Vec<u8> {
    serde_json::to_vec(document).expect("plain data always serialises")
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({
        "mediaType": media_type,
        "digest": Digest::of(bytes).as_str(),
        "size": bytes.len(),
    })
}

impl Attestation {
    pub fn new(predicates: &[Predicate], names: &[String], subject: &Digest) -> Attestation {
        let mut layers = Vec::new();
        let mut statements = Vec::new();
        for predicate in predicates {
            let bytes = bytes_of(&statement(predicate, names, subject));
            let mut layer = descriptor(IN_TOTO, &bytes);
            layer["annotations"] = json!({ "in-toto.io/predicate-type": predicate.kind });
            layers.push(layer);
            statements.push(bytes);
        }
        let ids: Vec<String> = statements
            .iter()
            .map(|one| Digest::of(one).to_string())
            .collect();
        let config = bytes_of(&json!({
            "architecture": "unknown",
            "os": "unknown",
            "config": {},
            "rootfs": { "type": "layers", "diff_ids": ids },
        }));
        let manifest = bytes_of(&json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": descriptor(media_type::OCI_CONFIG, &config),
            "layers": layers,
        }));
        statements.insert(0, config);
        Attestation {
            manifest,
            blobs: statements,
            subject: subject.clone(),
        }
    }

    /// What an index says of it.
    pub fn annotations(&self) -> [(&'static str, String); 2] {
        [
            ("vnd.docker.reference.digest", self.subject.to_string()),
            (
                "vnd.docker.reference.type",
                "attestation-manifest".to_owned(),
            ),
        ]
    }

    /// What an index has of it.
    pub fn descriptor(&self) -> Value {
        let mut own = descriptor(media_type::OCI_MANIFEST, &self.manifest);
        own["annotations"] = self.annotations().into_iter().collect();
        own["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
        own
    }
}
