//! Images for tests: layers from a few files, configurations, manifests in both families.

use std::io::Write;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        header.set_mtime(1);
        // Of whoever runs the test: other owners can't be kept outside a user namespace, which is worth a warning.
        header.set_uid(u64::from(rustix::process::geteuid().as_raw()));
        header.set_gid(u64::from(rustix::process::getegid().as_raw()));
        header.set_entry_type(tar::EntryType::Regular);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

#[derive(Clone)]
pub struct TestLayer {
    pub diff_id: String,
    pub blob: Vec<u8>,
    pub media_type: String,
}

impl TestLayer {
    pub fn plain(tar: &[u8]) -> TestLayer {
        TestLayer {
            diff_id: digest(tar),
            blob: tar.to_vec(),
            media_type: "application/vnd.oci.image.layer.v1.tar".to_owned(),
        }
    }

    pub fn gzip(tar: &[u8]) -> TestLayer {
        TestLayer {
            diff_id: digest(tar),
            blob: gzip(tar),
            media_type: "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
        }
    }

    pub fn zstd(tar: &[u8]) -> TestLayer {
        TestLayer {
            diff_id: digest(tar),
            blob: zstd::encode_all(tar, 3).unwrap(),
            media_type: "application/vnd.oci.image.layer.v1.tar+zstd".to_owned(),
        }
    }

    pub fn digest(&self) -> String {
        digest(&self.blob)
    }

    fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest(), "size": self.blob.len()})
    }
}

#[derive(Clone)]
pub struct TestImage {
    pub layers: Vec<TestLayer>,
    pub config: Value,
    /// Docker's schema 2 instead of OCI.
    pub docker: bool,
}

impl TestImage {
    pub fn new(layers: Vec<TestLayer>) -> TestImage {
        TestImage::for_platform(layers, "linux", "amd64")
    }

    pub fn for_platform(layers: Vec<TestLayer>, os: &str, architecture: &str) -> TestImage {
        let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let config = json!({
            "os": os,
            "architecture": architecture,
            "config": {"Cmd": ["/hello"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [],
        });
        TestImage {
            layers,
            config,
            docker: false,
        }
    }

    pub fn config_bytes(&self) -> Vec<u8> {
        self.config.to_string().into_bytes()
    }

    pub fn blobs(&self) -> Vec<(String, Vec<u8>)> {
        let config = self.config_bytes();
        let mut blobs = vec![(digest(&config), config)];
        for layer in &self.layers {
            blobs.push((layer.digest(), layer.blob.clone()));
        }
        blobs
    }

    pub fn media_type(&self) -> &'static str {
        if self.docker {
            "application/vnd.docker.distribution.manifest.v2+json"
        } else {
            "application/vnd.oci.image.manifest.v1+json"
        }
    }

    /// The manifest as a value, for tests that spoil it.
    pub fn document(&self) -> Value {
        let config = self.config_bytes();
        let config_type = if self.docker {
            "application/vnd.docker.container.image.v1+json"
        } else {
            "application/vnd.oci.image.config.v1+json"
        };
        let layers: Vec<Value> = self.layers.iter().map(TestLayer::descriptor).collect();
        json!({
            "schemaVersion": 2,
            "mediaType": self.media_type(),
            "config": {"mediaType": config_type, "digest": digest(&config), "size": config.len()},
            "layers": layers,
        })
    }

    pub fn manifest(&self) -> Vec<u8> {
        self.document().to_string().into_bytes()
    }

    /// This image's entry in an index.
    pub fn entry(&self, platform: Value) -> Value {
        let manifest = self.manifest();
        json!({
            "mediaType": self.media_type(),
            "digest": digest(&manifest),
            "size": manifest.len(),
            "platform": platform,
        })
    }
}

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub fn index(entries: &[Value]) -> Vec<u8> {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
        .to_string()
        .into_bytes()
}

/// Writes an image as an OCI layout, `oci:<directory>:latest` in skopeo's notation.
pub fn write_layout(directory: &std::path::Path, image: &TestImage) {
    let blobs = directory.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let manifest = image.manifest();
    let mut all = image.blobs();
    all.push((digest(&manifest), manifest));
    for (digest, bytes) in all {
        std::fs::write(blobs.join(&digest["sha256:".len()..]), bytes).unwrap();
    }
    let mut entry = image.entry(json!({"os": "linux", "architecture": "amd64"}));
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
    std::fs::write(directory.join("index.json"), index(&[entry])).unwrap();
    std::fs::write(
        directory.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
}
