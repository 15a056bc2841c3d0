//! `save`: archives and directories that this and other programs load again, with the same ids, digests and files.

use std::fs;

use serde_json::{Value, json};

use crate::env::{TestEnv, names, test_env};
use crate::image::{
    CHARACTER_DEVICE, Compression, Entry, FILE, Image, Layer, busybox, digest, platforms,
};
use crate::need::{Need, need};
use crate::process::Outcome;
use crate::spellings::ask;

/// Two layers with what makes giving them back hard.
fn odd() -> Image {
    let odd = Layer::new()
        .directory("./odd/", 0o700)
        .file("odd/twice", 0o644, "first")
        .file("odd/twice", 0o4755, "second")
        .hard_link("odd/link", "odd/twice")
        .entry(&Entry {
            name: "odd/device",
            kind: CHARACTER_DEVICE,
            device: (1, 3),
            ..Entry::default()
        })
        .entry(&Entry {
            name: "odd/owned",
            kind: FILE,
            mode: 0,
            uid: 1234,
            gid: 567,
            content: b"nobody may read this",
            ..Entry::default()
        })
        .fifo("odd/fifo")
        .file("etc/.wh.group", 0o644, "")
        .file("home/.wh..wh..opq", 0o644, "")
        .pax(&[
            ("SCHILY.xattr.user.overlay.redirect", "/etc"),
            ("path", &"l/".repeat(90)),
        ])
        .directory("short", 0o755);
    let last = Layer::new().file("var/last", 0o644, "x".repeat(100_000));
    busybox().with(&odd).with(&last)
}

/// What is to be the same after any round trip.
fn told(env: &TestEnv, name: &str) -> [String; 2] {
    ["{{.Id}}", "{{json .RootFS.Layers}}"]
        .map(|format| env.out(&["image", "inspect", "-f", format, name]))
}

fn path(env: &TestEnv, name: &str) -> String {
    let path = env.path("home").join(name);
    path.to_str().expect("test paths are UTF-8").to_owned()
}

#[test]
fn save_writes_what_load_reads() {
    let env = test_env!();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let image = odd().compressed(compression);
        env.load(&image.oci_archive("odd:1"));
        let before = told(&env, "odd:1");
        assert_eq!(before[0], format!("sha256:{}", image.id()));
        for command in ["save", "image save"] {
            let script = format!(
                "\"$BRYO\" {command} odd:1 >archive && \"$BRYO\" rmi -f odd:1 >&2 && \"$BRYO\" load <archive"
            );
            let loaded = env
                .other("sh", &["-c", &script])
                .var("BRYO", crate::env::bryo());
            assert_eq!(loaded.run().ok().out(), "Loaded image: odd:1");
            assert_eq!(told(&env, "odd:1"), before, "{command}");
            let run = [
                "run",
                "--rm",
                "--network",
                "none",
                "odd:1",
                "stat",
                "-c",
                "%a %u %g %h",
                "/odd/twice",
                "/odd/owned",
            ];
            assert_eq!(env.out(&run), "4755 0 0 2\n0 1234 567 1");
        }
        env.run(&["rmi", "-f", "odd:1"]).ok();
    }
}

#[test]
fn save_output_names_the_file() {
    let env = test_env!();
    let image = odd();
    env.load(&image.docker_archive("odd:1"));
    let file = path(&env, "saved.tar");
    for command in ["save", "image save"] {
        for flag in ["-o", "--output"] {
            assert_eq!(ask(&env, command, &[flag, &file, "odd:1"]).ok().stdout, "");
            let listed = env.other("tar", &["tf", &file]).run().ok().out();
            let (manifest, _) = image.blobs();
            let layers: Value = serde_json::from_slice(&manifest).expect("it is JSON");
            for layer in layers["layers"].as_array().expect("it has layers") {
                let member = layer["digest"]
                    .as_str()
                    .expect("a digest")
                    .replace(':', "/");
                assert!(
                    listed.lines().any(|line| line == format!("blobs/{member}")),
                    "{member} in {listed}"
                );
            }
            fs::remove_file(&file).expect("it was written");
        }
    }
    env.run(&["save", "-o", "/no/such/file", "odd:1"])
        .fails(1, "invalid output path");
    env.run(&["save", "-o", "/dev/null", "odd:1"])
        .fails(1, "got a device");
    env.run(&["save", "-o", &file, "odd:1", "nobody"])
        .fails(1, "No such image: nobody:latest");
    env.run(&["save", "-o", &file, "--compress", "odd:1"])
        .fails(125, "--compress can only be set");
    env.run(&["save", "--format", "oci-dir", "odd:1"])
        .fails(125, "name it with -o");
    env.run(&[
        "save",
        "--format",
        "oci-dir",
        "-o",
        &path(&env, ""),
        "odd:1",
    ])
    .fails(1, "it is no empty directory");
    let left = names(&env.path("home"));
    assert!(
        left.iter()
            .all(|name| !name.starts_with(".tmp-") && name != "saved.tar"),
        "{left:?}"
    );
}

#[test]
fn save_does_not_write_to_a_terminal() {
    let env = test_env!();
    env.busybox();
    let mut terminal = env.terminal(&["save", "busybox"]);
    terminal.expect("cowardly refusing to save to a terminal");
    assert_eq!(terminal.wait(), 1);
}

#[test]
fn save_takes_several_images_and_every_tag_of_a_bare_name() {
    let env = test_env!();
    env.busybox();
    env.load(&odd().docker_archive("odd:1"));
    env.run(&["tag", "odd:1", "odd:2"]).ok();
    env.run(&["tag", "odd:1", "example.com:5000/other/name:3"])
        .ok();
    let file = path(&env, "saved.tar");
    env.run(&["save", "-o", &file, "busybox", "odd"]).ok();
    env.run(&[
        "rmi",
        "-f",
        "busybox",
        "odd:1",
        "odd:2",
        "example.com:5000/other/name:3",
    ])
    .ok();
    let loaded = env.run(&["load", "-i", &file]).ok().out();
    assert_eq!(
        loaded,
        "Loaded image: busybox:latest\nLoaded image: odd:1\nLoaded image: odd:2"
    );
    // An id is saved without its names.
    let id = odd().id();
    env.run(&["save", "-o", &file, &id[..12]]).ok();
    env.run(&["rmi", "-f", &id]).ok();
    assert_eq!(
        env.run(&["load", "-i", &file]).ok().out(),
        format!("Loaded image ID: sha256:{id}")
    );
}

#[test]
fn save_platform_has_to_be_the_images() {
    let env = test_env!();
    let [amd64, _] = platforms();
    env.load(&amd64.docker_archive("it:latest"));
    let file = path(&env, "saved.tar");
    for command in ["save", "image save"] {
        ask(
            &env,
            command,
            &["--platform", "linux/amd64", "-o", &file, "it"],
        )
        .ok();
        let other = ask(
            &env,
            command,
            &["--platform", "linux/arm64", "-o", &file, "it"],
        );
        other.fails(1, "image with reference it:latest was found but does not provide the specified platform (linux/arm64/v8)");
    }
}

#[test]
fn load_platform_chooses_or_refuses() {
    let env = test_env!();
    let files = crate::image::layout(&platforms(), "it:latest");
    let add = |archive: Layer, (path, bytes): (&String, &Vec<u8>)| archive.file(path, 0o644, bytes);
    let both = env.file("both.tar", files.iter().fold(Layer::new(), add).tar());
    let [amd64, arm64] = platforms();
    let one = env.file("one.tar", amd64.docker_archive("it:latest"));
    for command in ["load", "image load"] {
        for (platform, image) in [("linux/amd64", &amd64), ("linux/arm64", &arm64)] {
            ask(&env, command, &["--platform", platform, "-i", &both]).ok();
            assert_eq!(told(&env, "it")[0], format!("sha256:{}", image.id()));
            env.run(&["rmi", "-f", "it"]).ok();
        }
        ask(&env, command, &["--platform", "linux/riscv64", "-i", &both])
            .fails(1, "has no image for linux/riscv64");
        ask(&env, command, &["--platform", "linux/arm64", "-i", &one])
            .fails(1, "is for linux/amd64, not for linux/arm64/v8");
        ask(&env, command, &["--platform", "linux/amd64", "-i", &one]).ok();
        env.run(&["rmi", "-f", "it"]).ok();
    }
}

#[test]
fn directories_are_loaded_again() {
    let env = test_env!();
    env.load(&odd().docker_archive("odd:1"));
    let before = told(&env, "odd:1");
    for (format, compress) in [
        ("oci-dir", false),
        ("oci-dir", true),
        ("docker-dir", false),
        ("docker-dir", true),
    ] {
        let directory = path(&env, &format!("{format}-{compress}"));
        let mut arguments = vec!["save", "--quiet", "--format", format, "-o", &directory];
        arguments.extend(compress.then_some("--compress"));
        arguments.push("odd:1");
        let saved = env.run(&arguments).ok();
        assert_eq!((saved.stdout.as_str(), saved.stderr.as_str()), ("", ""));
        env.run(&["rmi", "-f", "odd:1"]).ok();
        let loaded = env.run(&["load", "-i", &directory]).ok().out();
        let id = odd().id();
        if format == "oci-dir" {
            assert_eq!(loaded, "Loaded image: odd:1");
        } else {
            assert_eq!(loaded, format!("Loaded image ID: sha256:{id}"));
            env.run(&["tag", &id, "odd:1"]).ok();
        }
        assert_eq!(told(&env, "odd:1"), before, "{directory}");
    }
}

#[test]
fn a_manifest_keeps_its_digest_or_it_is_said() {
    let env = test_env!();
    let file = path(&env, "saved.tar");
    let plain = odd();
    env.load(&plain.oci_archive("odd:1"));
    let kept = env
        .run(&[
            "save",
            "--format",
            "oci-archive",
            "--require-digest",
            "-o",
            &file,
            "odd:1",
        ])
        .ok();
    assert_eq!(kept.stderr, "");
    let manifest = digest(&plain.blobs().0).replace(':', "/");
    let listed = env.other("tar", &["tf", &file]).run().ok().out();
    assert!(listed.contains(&manifest), "{manifest} in {listed}");
    env.run(&["rmi", "-f", "odd:1"]).ok();
    env.load(&odd().compressed(Compression::Gzip).oci_archive("odd:1"));
    env.run(&["save", "--format", "oci-archive", "-o", &file, "odd:1"])
        .ok()
        .says("odd:1: manifest");
    env.run(&["save", "-o", &file, "odd:1"])
        .ok()
        .says("odd:1: manifest");
    let quiet = env.run(&["save", "-q", "-o", &file, "odd:1"]).ok();
    assert_eq!(quiet.stderr, "");
    env.run(&["save", "--require-digest", "-o", &file, "odd:1"])
        .fails(1, "another manifest digest");
}

/// Every format through skopeo into a layout, whose config and uncompressed layers have to be the image's.
#[test]
fn skopeo_reads_every_format() {
    need!(Need::Program("skopeo"));
    let env = test_env!();
    let image = busybox().with(&Layer::new().file("var/last", 0o644, "x"));
    env.load(&image.docker_archive("it:1"));
    for (format, source) in [
        ("docker-archive", "docker-archive"),
        ("oci-archive", "oci-archive"),
        ("oci-dir", "oci"),
        ("docker-dir", "dir"),
    ] {
        let saved = path(&env, format);
        env.run(&["save", "--format", format, "-o", &saved, "it:1"])
            .ok();
        let source = format!("{source}:{saved}");
        let inspected = env
            .other("skopeo", &["inspect", "--config", "--raw", &source])
            .run()
            .ok();
        assert_eq!(
            digest(inspected.stdout.as_bytes()),
            format!("sha256:{}", image.id()),
            "{format}"
        );
        let copy = path(&env, &format!("{format}.copy"));
        let target = format!("dir:{copy}");
        let copying = ["--insecure-policy", "copy", "--quiet", &source, &target];
        env.other("skopeo", &copying).run().ok();
        env.run(&["rmi", "-f", "it:1"]).ok();
        assert_eq!(
            env.run(&["load", "-i", &copy]).ok().out(),
            format!("Loaded image ID: sha256:{}", image.id())
        );
        env.run(&["tag", &image.id(), "it:1"]).ok();
    }
}

#[test]
fn umoci_adds_a_layer_to_what_is_saved_and_it_loads() {
    need!(Need::Program("umoci"));
    let env = test_env!();
    env.load(&busybox().docker_archive("it:1"));
    env.run(&["save", "--format", "oci-dir", "-o", "layout", "it:1"])
        .ok();
    let name = |tag: &str| format!("layout:docker.io/library/it:{tag}");
    let unpack = ["unpack", "--rootless", "--image", &name("1"), "bundle"];
    env.other("umoci", &unpack).run().ok();
    env.file("bundle/rootfs/etc/added", "by umoci");
    let repack = ["repack", "--image", &name("2"), "bundle"];
    env.other("umoci", &repack).run().ok();
    env.run(&["rmi", "-f", "it:1"]).ok();
    let loaded = env.run(&["load", "-i", "layout"]).ok().out();
    assert_eq!(loaded, "Loaded image: it:1\nLoaded image: it:2");
    assert_eq!(told(&env, "it:1")[0], format!("sha256:{}", busybox().id()));
    let run = [
        "run",
        "--rm",
        "--network",
        "none",
        "it:2",
        "cat",
        "/etc/added",
    ];
    assert_eq!(env.out(&run), "by umoci");
    env.other("rm", &["-rf", "layout", "bundle"]).run().ok();
}

fn podman(env: &TestEnv, arguments: &[&str]) -> Outcome {
    let mut all = vec!["--cgroup-manager", "cgroupfs", "--events-backend", "none"];
    all.extend(arguments);
    env.other("podman", &all).run()
}

/// From here to podman and back, in every format that both know.
#[test]
fn podman_loads_what_is_saved_and_saves_what_is_loaded() {
    need!(Need::Program("podman"), Need::SubordinateIds);
    let env = test_env!();
    let layer = Layer::new()
        .file("var/last", 0o600, "x".repeat(100_000))
        .hard_link("var/link", "var/last")
        .file("etc/.wh.group", 0o644, "");
    let image = busybox().with(&layer);
    env.load(&image.docker_archive("docker.io/library/it:1"));
    let before = told(&env, "it:1");
    for format in ["docker-archive", "oci-archive", "oci-dir", "docker-dir"] {
        // podman makes an image's name of a directory's, which has to be in small letters then.
        let (ours, theirs) = ("ours", "theirs");
        env.run(&["save", "--format", format, "-o", ours, "it:1"])
            .ok();
        env.run(&["rmi", "-f", "it:1"]).ok();
        podman(&env, &["load", "-q", "-i", ours]).ok();
        let id = image.id();
        let layers = ["image", "inspect", "-f", "{{json .RootFS.Layers}}", &id];
        assert_eq!(podman(&env, &layers).ok().out(), before[1], "{format}");
        podman(&env, &["save", "-q", "--format", format, "-o", theirs, &id]).ok();
        podman(&env, &["rmi", "-f", &id]).ok();
        env.run(&["load", "-i", theirs]).ok();
        env.run(&["tag", &id, "it:1"]).ok();
        assert_eq!(told(&env, "it:1"), before, "{format}");
        for left in [ours, theirs] {
            env.other("rm", &["-rf", left]).run().ok();
        }
    }
    podman(&env, &["system", "reset", "--force"]).ok();
}

/// A layer that is larger than the memory allowed, saved and loaded.
#[test]
fn memory_does_not_grow_with_the_layer() {
    need!(Need::Program("prlimit"));
    let env = test_env!();
    let content: Vec<u8> = (0..24_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let layer = Layer::new().file("large", 0o644, content);
    let image = Image::new(&[layer], json!({}));
    let archive = env.file("image.tar", image.docker_archive("large:1"));
    let file = path(&env, "saved.tar");
    let bryo = crate::env::bryo();
    let bryo = bryo.to_str().expect("test paths are UTF-8");
    let limited = |arguments: &[&str]| {
        let mut all = vec!["--data=64000000", bryo];
        all.extend(arguments);
        env.other("prlimit", &all).run().ok();
    };
    limited(&["load", "-i", &archive]);
    limited(&["save", "-o", &file, "large:1"]);
    assert_eq!(told(&env, "large:1")[0], format!("sha256:{}", image.id()));
    assert!(fs::metadata(&file).expect("it was written").len() > 96_000_000);
}

#[test]
fn a_layer_of_an_older_store_is_named_with_its_cure() {
    let env = test_env!();
    env.busybox();
    for layer in names(&env.store().join("layers")) {
        let split = env.store().join("layers").join(layer).join("split.zst");
        let _ = fs::remove_file(split);
    }
    let file = path(&env, "saved.tar");
    env.run(&["save", "-o", &file, "busybox"])
        .says("bryo rmi -f busybox")
        .fails(1, "was stored by an older bryo");
}
