//! Loading archives as the tools write them, and as attackers would.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{Seek, Write};

use super::*;
use crate::image::document::media_type;
use crate::image::manifest::{NewConfig, manifest_of};
use crate::image::unpack::tests::{Archive, Scratch, options};

pub(crate) fn load_options() -> LoadOptions {
    LoadOptions {
        only: None,
        source: "test.tar".to_owned(),
        platform: None,
        unpack: options(),
        parallel: 2,
    }
}

pub(crate) fn config(diff_ids: &[Digest]) -> Vec<u8> {
    let new = NewConfig {
        platform: Platform::host(),
        created: "2024-05-06T07:08:09Z".to_owned(),
        comment: String::new(),
        created_by: None,
        config: serde_json::Map::new(),
    };
    new.to_json(diff_ids)
}

/// An archive under construction: later members may be named by earlier ones, as in real streams.
struct Outer(tar::Builder<Vec<u8>>);

impl Outer {
    fn new() -> Outer {
        Outer(tar::Builder::new(Vec::new()))
    }

    fn add(mut self, name: &str, content: &[u8]) -> Outer {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        self.0.append_data(&mut header, name, content).unwrap();
        self
    }

    fn symlink(mut self, name: &str, target: &str) -> Outer {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        self.0.append_link(&mut header, name, target).unwrap();
        self
    }

    fn finish(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

pub(crate) fn load_bytes(scratch: &Scratch, bytes: &[u8]) -> Result<Vec<Loaded>, String> {
    let path = scratch.path.join("archive.tar");
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    load(&scratch.store, file, &load_options(), &|_| Ok(())).map_err(|error| error.to_string())
}

pub(crate) fn two_layers() -> (Vec<u8>, Vec<u8>) {
    let first = Archive::new()
        .directory("./", 0o755)
        .file("a", "1")
        .finish();
    let second = Archive::new()
        .directory("./", 0o755)
        .file("b", "22")
        .finish();
    (first, second)
}

pub(crate) fn docker_archive(config_member: &str) -> Vec<u8> {
    let (first, second) = two_layers();
    let config = config(&[Digest::of(&first), Digest::of(&second), Digest::of(&first)]);
    let manifest = format!(
        r#"[{{"Config":"{config_member}","RepoTags":["x:1","y:2"],"Layers":["one/layer.tar","two/layer.tar","three/layer.tar"]}}]"#
    );
    Outer::new()
        .symlink("three/layer.tar", "../one/layer.tar")
        .add("two/layer.tar", &second)
        .add("manifest.json", manifest.as_bytes())
        .add("config.json", &config)
        .add("one/layer.tar", &first)
        .finish()
}

#[test]
fn a_docker_archive_is_loaded_plain_and_compressed() {
    let plain = docker_archive("config.json");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&plain[..], 3).unwrap();
    for bytes in [plain, gzip, zstd] {
        let scratch = Scratch::new();
        let loaded = load_bytes(&scratch, &bytes).unwrap();
        let names: Vec<String> = loaded[0].names.iter().map(Reference::familiar).collect();
        assert_eq!(names, ["x:1", "y:2"]);
        let image = scratch.store.resolve("y:2").unwrap();
        assert_eq!(image.id, loaded[0].id);
        // The first layer occurs twice and is mounted once, on top.
        assert_eq!(image.layers.len(), 2);
        assert_eq!(image.size, 4);
        assert!(
            scratch
                .store
                .layer_path(&image.layers[1])
                .join("a")
                .exists()
        );
    }
}

/// As docker 1.9 saved: `upper` on `lower` on an empty layer.
fn archive_without_digests(parent_of_lowest: &str, repositories: &str) -> Vec<u8> {
    let (first, second) = two_layers();
    let json = |id: &str, parent: &str, command: &str| {
        format!(
            r#"{{"id":"{id}","parent":"{parent}","created":"2015-06-07T08:09:10Z","container_config":{{"Cmd":["/bin/sh","-c","{command}"]}},"config":{{"Cmd":["sh"],"Env":["A=b"]}},"architecture":"amd64","os":"linux","Size":2}}"#
        )
    };
    let mut archive = Outer::new()
        .add("upper/VERSION", b"1.0")
        .add("upper/json", json("upper", "lower", "two").as_bytes())
        .add("upper/layer.tar", &second)
        .add("lower/json", json("lower", "empty", "one").as_bytes())
        .add("lower/layer.tar", &first)
        .add(
            "empty/json",
            json("empty", parent_of_lowest, "none").as_bytes(),
        )
        .add("empty/layer.tar", &Archive::new().finish());
    if !repositories.is_empty() {
        archive = archive.add("repositories", repositories.as_bytes());
    }
    archive.finish()
}

#[test]
fn an_archive_of_a_docker_before_digests_is_loaded() {
    let scratch = Scratch::new();
    let names = r#"{"x":{"1":"upper","2":"upper"},"y":{"latest":"lower"}}"#;
    let loaded = load_bytes(&scratch, &archive_without_digests("", names)).unwrap();
    assert_eq!(loaded.len(), 2);
    let image = scratch.store.resolve("x:2").unwrap();
    let (first, second) = two_layers();
    let empty = Digest::of(&Archive::new().finish());
    let expected = [empty, Digest::of(&first), Digest::of(&second)];
    let listed: Vec<Digest> = image.layers.iter().map(|layer| layer.diff_id()).collect();
    assert_eq!(listed, expected);
    assert_eq!(scratch.store.resolve("y").unwrap().layers.len(), 2);
    let bytes = scratch.store.read_blob(&image.id).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(config["config"]["Env"][0], "A=b");
    assert_eq!(config["history"][1]["created_by"], "/bin/sh -c one");
    assert!(config.get("parent").is_none() && config.get("Size").is_none());
    // The same archive without names: the one image that no other is made from.
    let nameless = Scratch::new();
    let loaded = load_bytes(&nameless, &archive_without_digests("", "")).unwrap();
    let ids: Vec<&Digest> = loaded.iter().map(|loaded| &loaded.id).collect();
    assert_eq!(ids, [&image.id]);
    assert!(loaded[0].names.is_empty());
}

#[test]
fn parents_that_are_missing_or_a_circle_are_refused() {
    for (parent, expected) in [
        ("upper", "or a circle"),
        ("nobody", "has no member \"nobody/json\""),
        ("../../x", "not a plain path"),
    ] {
        let scratch = Scratch::new();
        let names = r#"{"x":{"1":"upper"}}"#;
        let error = load_bytes(&scratch, &archive_without_digests(parent, names)).unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert!(scratch.store.names().unwrap().entries.is_empty());
    }
}

#[test]
fn a_stream_is_loaded_as_well() {
    let scratch = Scratch::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let bytes = docker_archive("config.json");
    let thread = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
    let input = File::from(OwnedFd::from(reader));
    assert_eq!(
        load(&scratch.store, input, &load_options(), &|_| Ok(()))
            .unwrap()
            .len(),
        1
    );
    thread.join().unwrap();
}

fn oci_archive(break_layer: bool, annotations: &str) -> Vec<u8> {
    let (first, second) = two_layers();
    let config = config(&[Digest::of(&first), Digest::of(&second)]);
    let compressed = zstd::encode_all(&second[..], 3).unwrap();
    let manifest = manifest_of(
        &config,
        &[
            (Digest::of(&first), first.len() as u64),
            (Digest::of(&compressed), compressed.len() as u64),
        ],
    );
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{}","digest":"{}","size":{},"annotations":{annotations}}}]}}"#,
        media_type::OCI_MANIFEST,
        Digest::of(&manifest),
        manifest.len()
    );
    let name = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    let mut stored = compressed.clone();
    if break_layer {
        let last = stored.len() - 1;
        stored[last] ^= 1;
    }
    Outer::new()
        .add("oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}")
        .add(&name(&compressed), &stored)
        .add(&name(&first), &first)
        .add(&name(&manifest), &manifest)
        .add("index.json", index.as_bytes())
        .add(&name(&config), &config)
        .finish()
}

#[test]
fn an_oci_archive_is_loaded_and_keeps_its_manifest() {
    let scratch = Scratch::new();
    let bytes = oci_archive(
        false,
        r#"{"org.opencontainers.image.ref.name":"quay.io/a/b:c"}"#,
    );
    let loaded = load_bytes(&scratch, &bytes).unwrap();
    let image = scratch.store.resolve("quay.io/a/b:c").unwrap();
    assert_eq!(image.id, loaded[0].id);
    assert_eq!(image.layers.len(), 2);
    assert!(scratch.store.read_blob(&image.manifest).is_ok());
}

#[test]
fn a_layer_of_an_oci_archive_remembers_its_blob() {
    let scratch = Scratch::new();
    load_bytes(&scratch, &oci_archive(false, "{}")).unwrap();
    let (_, second) = two_layers();
    let compressed = zstd::encode_all(&second[..], 3).unwrap();
    let known = scratch.store.layer_report(&Digest::of(&second)).unwrap();
    assert_eq!(known.blobs.len(), 1);
    assert_eq!(known.blobs[0].digest, Digest::of(&compressed));
    assert_eq!(known.blobs[0].size, compressed.len() as u64);
}

#[test]
fn a_name_that_names_no_image_is_told_and_what_is_no_image_is_left_out() {
    let scratch = Scratch::new();
    let key = "org.opencontainers.image.ref.name";
    let word = format!(r#"{{"{key}":"Not A Name"}}"#);
    let loaded = load_bytes(&scratch, &oci_archive(false, &word)).unwrap();
    assert!(loaded[0].names.is_empty());
    let told = |warning: &String| warning.contains("\"Not A Name\"");
    assert!(loaded[0].warnings.iter().any(told), "{loaded:?}");
    // As buildkit's attestations are described.
    let elsewhere =
        format!(r#"{{"{key}":"x"}},"platform":{{"os":"unknown","architecture":"unknown"}}"#);
    let error = load_bytes(&scratch, &oci_archive(false, &elsewhere)).unwrap_err();
    assert!(error.contains("holds neither"), "{error}");
}

#[test]
fn a_wrong_blob_stores_nothing() {
    let scratch = Scratch::new();
    let error = load_bytes(&scratch, &oci_archive(true, "{}")).unwrap_err();
    assert!(
        error.contains("layer") || error.contains("digest"),
        "{error}"
    );
    assert!(scratch.store.names().unwrap().entries.is_empty());
}

#[test]
fn hostile_archives_are_refused_by_name() {
    let (first, _) = two_layers();
    let config = config(&[Digest::of(&first)]);
    let manifest = |config: &str, layer: &str| {
        format!(r#"[{{"Config":"{config}","RepoTags":null,"Layers":["{layer}"]}}]"#)
    };
    let with = |manifest: String, layer: &[u8]| {
        Outer::new()
            .add("manifest.json", manifest.as_bytes())
            .add("c", &config)
            .add("l", layer)
            .finish()
    };
    let scratch = Scratch::new();
    for (archive, expected) in [
        (
            Outer::new()
                .add("repositories", b"{\"x\":{\"latest\":\"0123\"}}")
                .finish(),
            "has no member \"0123/json\"",
        ),
        (
            with(manifest("../../canary/file", "l"), &first),
            "not a plain path",
        ),
        (
            with(manifest("nothing", "l"), &first),
            "has no member \"nothing\"",
        ),
        (with(manifest("c", "/etc/passwd"), &first), "has no member"),
        (with(manifest("c", "l"), b""), "DiffID"),
        (
            with(manifest("c", "l"), &first[..700]),
            "ends in the middle",
        ),
        (with("[{".to_owned(), &first), "manifest.json"),
        (with(" ".repeat(5 << 20), &first), "larger than"),
        (
            with(manifest("c", "l").replace("null", "[\"../X\"]"), &first),
            "invalid reference",
        ),
        (
            Outer::new().add("x", b"").finish(),
            "neither a docker archive",
        ),
        (
            b"not a tar at all, but long enough to be a block of one".repeat(20),
            "wrong checksum",
        ),
        (
            Archive::new().directory("etc/", 0o755).finish(),
            "bryo import",
        ),
    ] {
        let error = load_bytes(&scratch, &archive).unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert!(scratch.store.names().unwrap().entries.is_empty());
    }
    let escape = Archive::new()
        .symlink("l", "/")
        .file("../../x", "")
        .finish();
    let config = crate::image::archive::tests::config(&[Digest::of(&escape)]);
    let archive = Outer::new()
        .add("manifest.json", manifest("c", "l").as_bytes())
        .add("c", &config)
        .add("l", &escape)
        .finish();
    assert!(
        load_bytes(&scratch, &archive)
            .unwrap_err()
            .contains("layer l: \"../../x\"")
    );
}
