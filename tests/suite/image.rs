//! Makes images, good and hostile, byte by byte. Never uses the program under test.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::need::program;

/// A layer's tar. Names are written as they are given, so that hostile ones can be made.
#[derive(Clone, Default)]
pub struct Layer {
    bytes: Vec<u8>,
}

/// One entry's header.
#[derive(Clone)]
pub struct Entry<'a> {
    pub name: &'a str,
    pub kind: u8,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub link: &'a str,
    pub device: (u32, u32),
    pub content: &'a [u8],
    /// What the header says, where that is not the content's length.
    pub size: Option<u64>,
}

pub const FILE: u8 = b'0';
pub const HARD_LINK: u8 = b'1';
pub const SYMLINK: u8 = b'2';
pub const CHARACTER_DEVICE: u8 = b'3';
pub const DIRECTORY: u8 = b'5';
pub const FIFO: u8 = b'6';
pub const PAX: u8 = b'x';

impl Default for Entry<'_> {
    fn default() -> Self {
        Entry {
            name: "",
            kind: FILE,
            mode: 0o644,
            uid: 0,
            gid: 0,
            link: "",
            device: (0, 0),
            content: b"",
            size: None,
        }
    }
}

impl Layer {
    pub fn new() -> Layer {
        Layer::default()
    }

    pub fn entry(mut self, entry: &Entry) -> Layer {
        let mut header = [0_u8; 512];
        header[..entry.name.len()].copy_from_slice(entry.name.as_bytes());
        octal(&mut header[100..108], u64::from(entry.mode));
        octal(&mut header[108..116], u64::from(entry.uid));
        octal(&mut header[116..124], u64::from(entry.gid));
        octal(
            &mut header[124..136],
            entry.size.unwrap_or(entry.content.len() as u64),
        );
        octal(&mut header[136..148], 1_700_000_000);
        header[156] = entry.kind;
        header[157..157 + entry.link.len()].copy_from_slice(entry.link.as_bytes());
        header[257..265].copy_from_slice(b"ustar\x0000");
        octal(&mut header[329..337], u64::from(entry.device.0));
        octal(&mut header[337..345], u64::from(entry.device.1));
        header[148..156].copy_from_slice(b"        ");
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        octal(&mut header[148..155], sum);
        self.bytes.extend(header);
        self.bytes.extend(entry.content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    pub fn directory(self, name: &str, mode: u32) -> Layer {
        self.entry(&Entry {
            name,
            kind: DIRECTORY,
            mode,
            ..Entry::default()
        })
    }

    pub fn file(self, name: &str, mode: u32, content: impl AsRef<[u8]>) -> Layer {
        self.entry(&Entry {
            name,
            mode,
            content: content.as_ref(),
            ..Entry::default()
        })
    }

    pub fn symlink(self, name: &str, link: &str) -> Layer {
        self.entry(&Entry {
            name,
            kind: SYMLINK,
            mode: 0o777,
            link,
            ..Entry::default()
        })
    }

    pub fn hard_link(self, name: &str, link: &str) -> Layer {
        self.entry(&Entry {
            name,
            kind: HARD_LINK,
            link,
            ..Entry::default()
        })
    }

    pub fn fifo(self, name: &str) -> Layer {
        self.entry(&Entry {
            name,
            kind: FIFO,
            ..Entry::default()
        })
    }

    pub fn device(self, name: &str, major: u32, minor: u32) -> Layer {
        self.entry(&Entry {
            name,
            kind: CHARACTER_DEVICE,
            device: (major, minor),
            ..Entry::default()
        })
    }

    /// A PAX header for the next entry.
    pub fn pax(self, records: &[(&str, &str)]) -> Layer {
        let content: String = records
            .iter()
            .map(|(key, value)| pax_record(key, value))
            .collect();
        self.entry(&Entry {
            name: "pax",
            kind: PAX,
            content: content.as_bytes(),
            ..Entry::default()
        })
    }

    /// The finished tar.
    pub fn tar(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    }
}

fn octal(field: &mut [u8], value: u64) {
    let width = field.len() - 1;
    let text = format!("{value:0width$o}");
    field[..width].copy_from_slice(text.as_bytes());
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn pax_record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while length.to_string().len() + rest.len() != length {
        length += 1;
    }
    format!("{length}{rest}")
}

/// How a layer is stored in an OCI archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    pub fn apply(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Compression::None => bytes.to_vec(),
            Compression::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).expect("memory can be written");
                encoder.finish().expect("memory can be written")
            }
            Compression::Zstd => zstd::encode_all(bytes, 1).expect("memory can be read"),
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Compression::None => "application/vnd.oci.image.layer.v1.tar",
            Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// An image: layers from the bottom, and the `config` part of its configuration.
#[derive(Clone)]
pub struct Image {
    pub layers: Vec<Vec<u8>>,
    pub config: Value,
    pub compression: Compression,
    pub architecture: &'static str,
}

impl Image {
    pub fn new(layers: &[Layer], config: Value) -> Image {
        Image {
            layers: layers.iter().map(Layer::tar).collect(),
            config,
            compression: Compression::None,
            architecture: architecture(),
        }
    }

    /// The same image with another layer on top.
    pub fn with(mut self, layer: &Layer) -> Image {
        self.layers.push(layer.tar());
        self
    }

    /// The same image with a key of its config set.
    pub fn configured(mut self, key: &str, value: Value) -> Image {
        self.config[key] = value;
        self
    }

    pub fn compressed(mut self, compression: Compression) -> Image {
        self.compression = compression;
        self
    }

    /// The same image, said to be for another processor.
    pub fn on(mut self, architecture: &'static str) -> Image {
        self.architecture = architecture;
        self
    }

    pub fn configuration(&self) -> Vec<u8> {
        let diff_ids: Vec<String> = self.layers.iter().map(|layer| digest(layer)).collect();
        let document = json!({
            "architecture": self.architecture,
            "os": "linux",
            "created": "2024-01-02T03:04:05Z",
            "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": diff_ids.iter().map(|_| json!({ "created": "2024-01-02T03:04:05Z", "created_by": "a test" })).collect::<Vec<_>>(),
        });
        serde_json::to_vec(&document).expect("values are JSON")
    }

    /// The image's id, without `sha256:`.
    pub fn id(&self) -> String {
        digest(&self.configuration())["sha256:".len()..].to_owned()
    }

    /// What `docker save` writes.
    pub fn docker_archive(&self, name: &str) -> Vec<u8> {
        let config = self.configuration();
        let config_name = format!("{}.json", self.id());
        let names: Vec<String> = (0..self.layers.len())
            .map(|number| format!("{number}/layer.tar"))
            .collect();
        let mut archive = Layer::new().file(&config_name, 0o644, config);
        for (name, layer) in names.iter().zip(&self.layers) {
            archive = archive.file(name, 0o644, self.compression.apply(layer));
        }
        let tags: Vec<&str> = [name].into_iter().filter(|name| !name.is_empty()).collect();
        let manifest = json!([{ "Config": config_name, "RepoTags": tags, "Layers": names }]);
        archive
            .file("manifest.json", 0o644, manifest.to_string())
            .tar()
    }

    /// The manifest and every blob of the image, by digest.
    pub fn blobs(&self) -> (Vec<u8>, Vec<(String, Vec<u8>)>) {
        let config = self.configuration();
        let mut blobs = vec![(digest(&config), config.clone())];
        let mut layers = Vec::new();
        for layer in &self.layers {
            let stored = self.compression.apply(layer);
            layers.push(descriptor(self.compression.media_type(), &stored));
            blobs.push((digest(&stored), stored));
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": layers,
        });
        (
            serde_json::to_vec(&manifest).expect("values are JSON"),
            blobs,
        )
    }

    /// An OCI image layout in a tar.
    pub fn oci_archive(&self, name: &str) -> Vec<u8> {
        let files = layout(std::slice::from_ref(self), name);
        let add =
            |archive: Layer, (path, bytes): (&String, &Vec<u8>)| archive.file(path, 0o644, bytes);
        files.iter().fold(Layer::new(), add).tar()
    }
}

/// The files of an OCI image layout with one name: an image, or where there are several an index of them.
pub fn layout(images: &[Image], name: &str) -> BTreeMap<String, Vec<u8>> {
    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    let mut files = BTreeMap::new();
    let mut keep = |bytes: Vec<u8>| files.insert(blob_name(&digest(&bytes)), bytes);
    let mut entries = Vec::new();
    for image in images {
        let (manifest, blobs) = image.blobs();
        let mut entry = descriptor(MANIFEST, &manifest);
        entry["platform"] = json!({ "os": "linux", "architecture": image.architecture });
        entries.push(entry);
        keep(manifest);
        for (_, bytes) in blobs {
            keep(bytes);
        }
    }
    let mut entry = match entries.as_slice() {
        [one] => one.clone(),
        _ => {
            let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries })
                .to_string()
                .into_bytes();
            let entry = descriptor(INDEX, &index);
            keep(index);
            entry
        }
    };
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
    let top = json!({ "schemaVersion": 2, "manifests": [entry] });
    files.insert("index.json".to_owned(), top.to_string().into_bytes());
    let version = br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec();
    files.insert("oci-layout".to_owned(), version);
    files
}

fn blob_name(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}

pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}

/// The applets the tests use; each is a symlink to the one program.
const APPLETS: &str = "sh ash cat cp chmod chown cut date dd df echo env expr false find grep head hostname id kill ln ls md5sum \
    mkdir mknod mkfifo mount mv nc ping printf ps pwd readlink rm rmdir sed seq sleep sort stat stty sync tail tar tee test \
    timeout touch tr true tty umount uname unshare vi wc wget which whoami xargs yes ip ifconfig nslookup httpd traceroute";

/// A root filesystem of Debian's static busybox.
pub fn busybox_layer() -> Layer {
    let path = program("busybox").expect("busybox-static is installed");
    let binary = fs::read(path).expect("programs can be read");
    let mut layer = Layer::new();
    for name in [
        "bin/", "dev/", "etc/", "home/", "proc/", "root/", "sys/", "usr/", "usr/bin/", "var/",
    ] {
        layer = layer.directory(name, 0o755);
    }
    layer = layer
        .directory("tmp/", 0o1777)
        .file("bin/busybox", 0o755, binary);
    for applet in APPLETS.split_whitespace() {
        layer = layer.symlink(&format!("bin/{applet}"), "busybox");
    }
    layer
        .file(
            "etc/passwd",
            0o644,
            "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
        )
        .file(
            "etc/group",
            0o644,
            "root:x:0:\napp:x:1000:\nstaff:x:50:app\nextra:x:60:app,other\n",
        )
        .entry(&Entry {
            name: "home/app/",
            kind: DIRECTORY,
            mode: 0o755,
            uid: 1000,
            gid: 1000,
            ..Entry::default()
        })
}

/// The image that most tests run.
pub fn busybox() -> Image {
    let config = json!({
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "Cmd": ["sh"],
    });
    Image::new(&[busybox_layer()], config)
}

/// One image for each of two processors, which names it in `/architecture`; the program in both is the host's.
pub fn platforms() -> [Image; 2] {
    ["amd64", "arm64"].map(|name| {
        let layer = Layer::new().file("architecture", 0o644, name);
        busybox().with(&layer).on(name)
    })
}
