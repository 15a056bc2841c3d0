//! Archives that mean harm: each is refused or harmless, and a canary outside the store stays as it was.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::env::{TestEnv, count, test_env};
use crate::image::{self, Compression, Entry, HARD_LINK, Layer, SYMLINK, busybox};
use crate::need::{Need, need};

/// Something outside the store that no archive may touch.
struct Canary {
    directory: PathBuf,
}

impl Canary {
    fn new(env: &TestEnv) -> Canary {
        let directory = env.path("home/canary");
        fs::create_dir(&directory).expect("home is writable");
        fs::write(directory.join("file"), "alive").expect("home is writable");
        fs::set_permissions(directory.join("file"), fs::Permissions::from_mode(0o640))
            .expect("it is ours");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o750)).expect("it is ours");
        Canary { directory }
    }

    fn path(&self) -> &str {
        self.directory.to_str().expect("test paths are UTF-8")
    }

    #[track_caller]
    fn assert_alive(&self, what: &str) {
        let mode = |path: &PathBuf| fs::metadata(path).map(|meta| meta.mode() & 0o7777).ok();
        let file = self.directory.join("file");
        assert_eq!(
            fs::read_to_string(&file).ok().as_deref(),
            Some("alive"),
            "{what}"
        );
        assert_eq!(
            (mode(&self.directory), mode(&file)),
            (Some(0o750), Some(0o640)),
            "{what}"
        );
        assert_eq!(crate::env::names(&self.directory), ["file"], "{what}");
    }
}

fn hostile_layers(canary: &str) -> Vec<(&'static str, Layer)> {
    let up = "../".repeat(40);
    let out = format!("{up}{}", canary.trim_start_matches('/'));
    let file = format!("{canary}/file");
    let l = Layer::new;
    vec![
        (
            "a name with ..",
            l().file(&clip(&format!("{out}/new")), 0o644, "x"),
        ),
        (
            "an absolute name",
            l().file(&format!("{canary}/new"), 0o644, "x"),
        ),
        (
            "a file through a symlink",
            l().symlink("link", canary).file("link/new", 0o644, "x"),
        ),
        (
            "a file through a relative symlink",
            l().symlink("link", &clip(&out))
                .file("link/new", 0o644, "x"),
        ),
        (
            "a mode through a symlink (CVE-2021-32760)",
            l().symlink("link", &file).file("link", 0o4777, "x"),
        ),
        (
            "a directory mode through a symlink (CVE-2026-33056)",
            l().symlink("foo", canary).directory("foo", 0o777),
        ),
        (
            "a hard link to an absolute path (CVE-2026-17106)",
            l().hard_link("link", &file).file("link", 0o644, "x"),
        ),
        (
            "a hard link upwards",
            l().hard_link("link", &clip(&format!("{out}/file")))
                .file("link", 0o644, "x"),
        ),
        (
            "a hard link through a symlink",
            l().symlink("d", canary)
                .hard_link("link", "d/file")
                .file("link", 0o666, "x"),
        ),
        (
            "the root is a symlink (CVE-2021-29136)",
            l().symlink(".", canary).file("new", 0o644, "x"),
        ),
        (
            "the root is a symlink, /",
            l().symlink("/", canary).file("new", 0o644, "x"),
        ),
        (
            "a whiteout upwards",
            l().file(&clip(&format!("{out}/.wh.file")), 0o644, ""),
        ),
        (
            "a whiteout through a symlink",
            l().symlink("d", canary).file("d/.wh.file", 0o644, ""),
        ),
        (
            "a whiteout of ..",
            l().directory("d", 0o755).file("d/.wh...", 0o644, ""),
        ),
        (
            "an opaque mark through a symlink",
            l().symlink("d", canary).file("d/.wh..wh..opq", 0o644, ""),
        ),
        (
            "a PAX path upwards",
            l().pax(&[("path", &format!("{out}/new"))])
                .file("x", 0o644, "x"),
        ),
        (
            "a PAX link path",
            l().pax(&[("linkpath", &file)]).entry(&Entry {
                name: "h",
                kind: HARD_LINK,
                ..Entry::default()
            }),
        ),
        (
            "a symlinked parent that was a directory",
            l().directory("d", 0o755)
                .entry(&Entry {
                    name: "d",
                    kind: SYMLINK,
                    link: canary,
                    ..Entry::default()
                })
                .file("d/new", 0o644, "x"),
        ),
    ]
}

/// A ustar name holds 100 bytes; longer ones lose leading `../`, which they have to spare.
fn clip(name: &str) -> String {
    let start = name.len().saturating_sub(99).next_multiple_of(3);
    name.get(start..).unwrap_or(name).to_owned()
}

#[test]
fn no_layer_reaches_outside_of_its_directory() {
    let env = test_env!();
    env.busybox();
    let canary = Canary::new(&env);
    for (what, layer) in hostile_layers(canary.path()) {
        let image = busybox().with(&layer);
        for archive in [
            image.docker_archive("hostile:latest"),
            image.oci_archive("hostile:latest"),
        ] {
            let file = env.file("hostile.tar", archive);
            let loaded = env.run(&["load", "-i", &file]);
            assert!(!loaded.stderr.contains("panicked"), "{what}: {loaded:?}");
            canary.assert_alive(what);
            if loaded.code == 0 {
                // Accepted means harmless: running it must not reach the canary either.
                env.run(&[
                    "run",
                    "--rm",
                    "--network",
                    "none",
                    "hostile",
                    "ls",
                    "-laR",
                    "/link",
                    "/d",
                ]);
                canary.assert_alive(what);
                env.run(&["rmi", "-f", "hostile"]).ok();
                canary.assert_alive(what);
            }
        }
        let file = env.file("hostile-root.tar", layer.tar());
        if env.run(&["import", &file, "hostile"]).code == 0 {
            env.run(&["rmi", "-f", "hostile"]).ok();
        }
        canary.assert_alive(what);
    }
    env.run(&["run", "--rm", "--network", "none", "busybox", "true"])
        .ok();
}

#[test]
fn two_layers_that_swap_a_directory_for_a_symlink_stay_inside() {
    // CVE-2025-47290
    let env = test_env!();
    let canary = Canary::new(&env);
    let one = Layer::new().directory("d", 0o755).file("d/x", 0o644, "1");
    let two = Layer::new().symlink("d", canary.path());
    let three = Layer::new().file("d/new", 0o777, "x");
    env.run(&[
        "load",
        "-i",
        &env.file(
            "a.tar",
            busybox()
                .with(&one)
                .with(&two)
                .with(&three)
                .docker_archive("swap:latest"),
        ),
    ]);
    canary.assert_alive("loading");
    env.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "swap",
        "sh",
        "-c",
        "echo x > /d/new; chmod 777 /d",
    ]);
    canary.assert_alive("running");
}

#[test]
fn names_inside_the_archive_itself_do_not_escape() {
    // CVE-2025-11395
    let env = test_env!();
    let canary = Canary::new(&env);
    let file = format!("{}/file", canary.path());
    let manifest = |config: &str, layer: &str| {
        json!([{ "Config": config, "RepoTags": ["x:latest"], "Layers": [layer] }]).to_string()
    };
    for (what, archive) in [
        (
            "a config path outside",
            Layer::new().file(
                "manifest.json",
                0o644,
                manifest("../../../../etc/passwd", "layer.tar"),
            ),
        ),
        (
            "a layer that is a symlink out",
            Layer::new()
                .symlink("layer.tar", &file)
                .file("config.json", 0o644, "{}")
                .file("manifest.json", 0o644, manifest("config.json", "layer.tar")),
        ),
        (
            "a manifest that is a symlink out",
            Layer::new().symlink("manifest.json", &file),
        ),
        (
            "an index that is a symlink out",
            Layer::new()
                .file("oci-layout", 0o644, "{}")
                .symlink("index.json", &file),
        ),
        ("a digest with a path", oci_index("sha256:../../../canary")),
        (
            "a short digest",
            oci_index(&format!("sha256:{}", "a".repeat(63))),
        ),
        (
            "an upper case digest",
            oci_index(&format!("sha256:{}", "A".repeat(64))),
        ),
        (
            "another algorithm",
            oci_index("md5:d41d8cd98f00b204e9800998ecf8427e"),
        ),
    ] {
        let file = env.file("bad.tar", archive.tar());
        let run = env.run(&["load", "-i", &file]).fails(1, "");
        canary.assert_alive(what);
        assert!(run.took < Duration::from_secs(10), "{what}");
    }
}

fn oci_index(digest: &str) -> Layer {
    let manifest = json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 10 });
    Layer::new()
        .file("oci-layout", 0o644, r#"{"imageLayoutVersion":"1.0.0"}"#)
        .file(
            "index.json",
            0o644,
            json!({ "schemaVersion": 2, "manifests": [manifest] }).to_string(),
        )
}

#[test]
fn overlay_attributes_of_a_layer_are_never_obeyed() {
    let env = test_env!();
    let below = Layer::new()
        .directory("d", 0o755)
        .file("d/shown", 0o644, "x");
    let above = Layer::new()
        .pax(&[
            ("SCHILY.xattr.user.overlay.opaque", "y"),
            ("SCHILY.xattr.trusted.overlay.opaque", "y"),
        ])
        .directory("d", 0o755)
        .pax(&[("SCHILY.xattr.user.overlay.redirect", "/etc")])
        .directory("e", 0o755);
    env.load(
        &busybox()
            .with(&below)
            .with(&above)
            .docker_archive("attributes:latest"),
    );
    assert_eq!(
        env.out(&[
            "run",
            "--rm",
            "--network",
            "none",
            "attributes",
            "sh",
            "-c",
            "ls /d; ls /e"
        ]),
        "shown"
    );
}

#[test]
fn a_null_device_in_a_layer_is_no_whiteout() {
    let env = test_env!();
    let below = Layer::new().file("shown", 0o644, "x");
    let above = Layer::new().device("shown", 0, 0).device("disk", 8, 0);
    let file = env.file(
        "devices.tar",
        busybox()
            .with(&below)
            .with(&above)
            .docker_archive("devices:latest"),
    );
    // Refused or harmless; never a way to hide a file or to reach a disk.
    if env.run(&["load", "-i", &file]).code == 0 {
        env.run(&[
            "run",
            "--rm",
            "--network",
            "none",
            "devices",
            "sh",
            "-c",
            "! head -c 1 /disk 2>/dev/null",
        ])
        .ok();
    }
}

#[test]
fn hidden_entries_behind_a_wrong_pax_size_do_not_appear() {
    // CVE-2025-62518: the header says 0 bytes, PAX says one block; what the block holds is content, not an entry.
    let env = test_env!();
    let inner = Layer::new().file("smuggled", 0o755, "").tar();
    let block = &inner[..512];
    let layer = Layer::new().pax(&[("size", "512")]).entry(&Entry {
        name: "outer",
        size: Some(0),
        content: block,
        ..Entry::default()
    });
    let file = env.file(
        "pax.tar",
        busybox().with(&layer).docker_archive("pax:latest"),
    );
    if env.run(&["load", "-i", &file]).code == 0 {
        let out = env.out(&[
            "run",
            "--rm",
            "--network",
            "none",
            "pax",
            "sh",
            "-c",
            "ls /smuggled 2>/dev/null; wc -c < /outer",
        ]);
        assert_eq!(out, "512");
    }
}

/// Entries of which each replaces one before, or leaves nothing: they cost an attacker nothing, and are to cost no memory.
#[test]
fn ten_million_entries_are_bounded_in_memory() {
    let env = test_env!();
    need!(Need::Program("prlimit"));
    let replaced = Layer::new()
        .directory("d/", 0o755)
        .file("d/f", 0o644, "")
        .symlink("d/l", "f");
    let left_out = Layer::new()
        .device("null", 1, 3)
        .device("zero", 1, 5)
        .device("full", 1, 7);
    for (layer, refusal) in [
        (replaced, "too many names to be remembered"),
        (left_out, "more than 5000000 entries"),
    ] {
        let tar = layer.tar();
        let entries = &tar[..3 * 512];
        let end = &tar[3 * 512..];
        let rounds = count(10_000, 3_333_334);
        let path = env.path("home/entries.tar.zst");
        let file = fs::File::create(&path).expect("home is writable");
        let mut packed = zstd::Encoder::new(file, 1).expect("it can be made");
        for _ in 0..rounds {
            packed.write_all(entries).expect("there is room");
        }
        packed.write_all(end).expect("there is room");
        packed.finish().expect("there is room");
        assert!(fs::metadata(&path).expect("it is there").len() < 4 << 20);
        let limit = format!("--data={}", 256 << 20);
        let bryo = crate::env::bryo();
        let words = [
            limit.as_str(),
            bryo.to_str().expect("test paths are UTF-8"),
            "import",
            path.to_str().expect("test paths are UTF-8"),
            "many",
        ];
        let import = env.other("prlimit", &words).limit(Duration::from_secs(900));
        if rounds * 3 > 5_000_000 {
            import.run().fails(1, refusal);
            assert!(env.half_made().is_empty(), "{:?}", env.half_made());
            continue;
        }
        import.run().ok();
        let sizes = env.out(&["image", "inspect", "-f", "{{.Size}}", "many"]);
        assert_eq!(sizes, "0");
    }
}

#[test]
fn bombs_end_with_an_error_and_leave_nothing() {
    let env = test_env!();
    let zeros = vec![0_u8; 64 << 20];
    let mut layered = Compression::Gzip.apply(&zeros);
    layered = Compression::Gzip.apply(&layered);
    let cut = Compression::Zstd.apply(&zeros);
    let deep = "d/".repeat(45);
    let mut deep_layer = Layer::new();
    for _ in 0..4 {
        deep_layer = deep_layer
            .pax(&[("path", &deep.repeat(100))])
            .directory("x", 0o755);
    }
    for (what, bytes) in [
        ("gzip of nothing but zeros, twice", layered),
        ("a truncated zstd", cut[..cut.len() / 2].to_vec()),
        (
            "gzip garbage",
            [&[0x1f, 0x8b, 8, 0][..], &[0xff; 600]].concat(),
        ),
        (
            "a path of 9,000 directories",
            busybox().with(&deep_layer).docker_archive("deep:latest"),
        ),
        (
            "a header that claims 8 GiB",
            Layer::new()
                .entry(&Entry {
                    name: "manifest.json",
                    size: Some((8 << 30) - 1),
                    ..Entry::default()
                })
                .tar(),
        ),
        ("an empty file", Vec::new()),
    ] {
        let file = env.file("bomb", bytes);
        let run = env.run(&["load", "-i", &file]);
        assert_eq!(run.code, 1, "{what}: {run:?}");
        assert!(!run.stderr.contains("panicked"), "{what}: {run:?}");
        assert!(env.half_made().is_empty(), "{what}: {:?}", env.half_made());
    }
    assert_eq!(env.out(&["images", "-aq"]), "");
}

#[test]
fn a_config_whose_diff_ids_are_wrong_is_refused() {
    let env = test_env!();
    let good = busybox();
    let other = busybox().with(&Layer::new().file("other", 0o644, "x"));
    // A layer whose content is not what the configuration promises.
    let (mut wrong, names) = (good.clone(), ["wrong:latest"]);
    let config = wrong.configuration();
    wrong.layers = vec![other.layers[1].clone()];
    let manifest = json!([{ "Config": "config.json", "RepoTags": names, "Layers": ["layer.tar"] }]);
    let archive = Layer::new()
        .file("config.json", 0o644, config)
        .file("layer.tar", 0o644, &wrong.layers[0])
        .file("manifest.json", 0o644, manifest.to_string());
    env.run(&["load", "-i", &env.file("wrong.tar", archive.tar())])
        .fails(1, "sha256:");
    assert_eq!(env.out(&["images", "-aq"]), "");
    assert!(image::digest(b"").starts_with("sha256:e3b0c442"));
}
