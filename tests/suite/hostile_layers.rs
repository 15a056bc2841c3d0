//! Layers and documents that are made to mislead: what `docs/tests.md` lists, as far as it has no test elsewhere.

use std::time::Duration;

use serde_json::{Value, json};

use crate::env::{TestEnv, test_env};
use crate::image::{Image, Layer, busybox, digest};
use crate::system_check::assert_sound;

/// What the image's command prints; the layers are kept to the last byte of their archives.
#[track_caller]
fn shown(env: &TestEnv, above: &Layer, script: &str) -> String {
    let below = Layer::new()
        .directory("d", 0o755)
        .file("d/below", 0o644, "below\n")
        .file("secret", 0o600, "secret\n");
    let image = busybox().with(&below).with(above);
    env.load(&image.docker_archive("misleading:latest"));
    let run = ["run", "--rm", "--network", "none", "misleading", "sh", "-c"];
    let out = env.out(&[&run[..], &[script]].concat());
    // Every layer gives its DiffID again, so the attributes are given back as they came.
    assert_sound(env, script);
    let saved = env.path("home/saved.tar").display().to_string();
    env.run(&["save", "-o", &saved, "misleading"]).ok();
    env.run(&["rmi", "-f", "misleading"]).ok();
    env.run(&["load", "-i", &saved]).ok();
    let id = env.out(&["images", "-q", "--no-trunc", "misleading"]);
    assert_eq!(id, format!("sha256:{}", image.id()));
    out
}

fn attributes(name: &str, value: &str) -> [(String, String); 2] {
    ["user", "trusted"].map(|space| {
        (
            format!("SCHILY.xattr.{space}.overlay.{name}"),
            value.to_owned(),
        )
    })
}

/// A layer whose next entry has the attribute in both of overlay's name spaces.
fn with(layer: Layer, name: &str, value: &str) -> Layer {
    let both = attributes(name, value);
    let both: Vec<(&str, &str)> = both
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    layer.pax(&both)
}

#[test]
fn an_opaque_attribute_hides_nothing() {
    let env = test_env!();
    let layer = with(Layer::new(), "opaque", "y").directory("d", 0o755);
    assert_eq!(shown(&env, &layer, "ls /d"), "below");
}

#[test]
fn a_redirect_attribute_leads_nowhere() {
    let env = test_env!();
    let layer = with(Layer::new(), "redirect", "/d").directory("e", 0o755);
    let layer = with(layer, "redirect", "/root/../etc").directory("f", 0o755);
    assert_eq!(shown(&env, &layer, "ls /e /f"), "/e:\n\n/f:");
}

#[test]
fn a_metacopy_attribute_shows_no_other_file() {
    let env = test_env!();
    let both = [
        ("SCHILY.xattr.user.overlay.metacopy", ""),
        ("SCHILY.xattr.user.overlay.redirect", "/secret"),
        ("SCHILY.xattr.trusted.overlay.metacopy", ""),
        ("SCHILY.xattr.trusted.overlay.redirect", "/secret"),
    ];
    let layer = Layer::new()
        .pax(&both)
        .file("readable", 0o644, "own\n")
        .pax(&both)
        .file("secret", 0o644, "");
    let script = "cat /readable; wc -c < /secret";
    assert_eq!(shown(&env, &layer, script), "own\n0");
}

#[test]
fn an_origin_attribute_names_no_other_file() {
    let env = test_env!();
    // The form of a file handle; no kernel may even try to open it.
    let handle = "\u{1}\u{1d}\u{1}\u{1}0123456789abcdef0123456789";
    let layer = with(Layer::new(), "origin", handle).file("readable", 0o644, "own\n");
    let layer = with(layer, "origin", handle).directory("d", 0o755);
    assert_eq!(shown(&env, &layer, "cat /readable; ls /d"), "own\nbelow");
}

#[test]
fn a_whiteout_attribute_deletes_nothing() {
    let env = test_env!();
    let layer = with(Layer::new(), "opaque", "x").directory("d", 0o755);
    let layer = with(layer, "whiteout", "y").file("d/below", 0o644, "");
    assert_eq!(shown(&env, &layer, "ls /d; wc -c < /d/below"), "below\n0");
}

#[test]
fn a_null_device_deletes_nothing() {
    let env = test_env!();
    let layer = Layer::new().device("d/below", 0, 0).device("disk", 8, 0);
    let script = "cat /d/below; head -c 1 /disk 2>/dev/null || echo none";
    assert_eq!(shown(&env, &layer, script), "below\nnone");
}

/// Loads it, and is refused with these words.
#[track_caller]
fn refused(env: &TestEnv, archive: Vec<u8>, part: &str) {
    let file = env.file("refused.tar", archive);
    let run = env.run(&["load", "-i", &file]).fails(1, part);
    assert!(run.took < Duration::from_secs(10), "{run:?}");
    assert_eq!(env.out(&["images", "-aq"]), "");
    assert_eq!(env.half_made(), [""; 0]);
}

/// An OCI archive whose manifest was changed, every digest right.
fn changed(image: &Image, change: impl Fn(&mut Value)) -> Vec<u8> {
    let (manifest, blobs) = image.blobs();
    let mut document: Value = serde_json::from_slice(&manifest).expect("JSON");
    change(&mut document);
    let bytes = document.to_string();
    let index = json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest(bytes.as_bytes()),
        "size": bytes.len(),
    }] });
    let hex = |digest: &str| digest.trim_start_matches("sha256:").to_owned();
    let layout = r#"{"imageLayoutVersion":"1.0.0"}"#;
    let mut archive =
        Layer::new()
            .file("oci-layout", 0o644, layout)
            .file("index.json", 0o644, index.to_string());
    let name = |digest: &str| format!("blobs/sha256/{}", hex(digest));
    archive = archive.file(&name(&digest(bytes.as_bytes())), 0o644, &bytes);
    for (digest, content) in &blobs {
        archive = archive.file(&name(digest), 0o644, content);
    }
    archive.tar()
}

#[test]
fn a_document_that_is_manifest_and_index_is_refused() {
    // CVE-2021-41190
    let env = test_env!();
    let image = busybox();
    let file = env.file("good.tar", changed(&image, |_| {}));
    env.run(&["load", "-i", &file]).ok();
    env.run(&["rmi", "-f", &image.id()]).ok();
    let both = changed(&image, |document| {
        document["manifests"] = json!([]);
    });
    refused(&env, both, "manifest");
    let other = changed(&image, |document| {
        document["mediaType"] = json!("application/vnd.oci.image.index.v1+json");
    });
    refused(&env, other, "manifest");
}

#[test]
fn a_foreign_layer_of_an_archive_is_fetched_from_nowhere() {
    // CVE-2020-15157
    let env = test_env!();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let url = format!("http://{}/layer", listener.local_addr().expect("bound"));
    let foreign = changed(&busybox(), |document| {
        let layer = &mut document["layers"][0];
        layer["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        layer["urls"] = json!([url]);
        layer["digest"] = json!(digest(b"elsewhere"));
    });
    refused(&env, foreign, "");
    listener.set_nonblocking(true).expect("a socket");
    assert!(listener.accept().is_err(), "nobody came");
}

#[test]
fn files_that_are_said_to_be_huge_take_no_room() {
    let env = test_env!();
    // Five GiB, four TiB and a byte, and what does not fit into 64 bits.
    for (size, part) in [
        ("5368709120", "ends in the middle"),
        ("4398046511105", "ends in the middle"),
        ("18446744073709551616", "invalid number"),
        ("-1", "invalid number"),
    ] {
        let layer = Layer::new()
            .pax(&[("size", size)])
            .file("huge", 0o644, "short");
        let file = env.file("huge.tar", layer.tar());
        let run = env.run(&["import", &file]).fails(1, part);
        assert!(run.took < Duration::from_secs(10), "{run:?}");
        assert_eq!(env.half_made(), [""; 0], "{size}");
    }
}
