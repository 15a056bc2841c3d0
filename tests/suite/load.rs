//! `load` and `import`: every archive form, layers that change what lies below them.

use serde_json::json;

use crate::env::{shared_env, test_env};
use crate::image::{self, Compression, Image, Layer, busybox, busybox_layer};
use crate::need::{Need, fixture, need};

const FORMS: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

#[test]
fn every_archive_form_loads_from_a_file_and_from_standard_input() {
    let env = test_env!();
    for (number, layers) in FORMS.into_iter().enumerate() {
        let image = busybox()
            .compressed(layers)
            .configured("Labels", json!({ "form": number.to_string() }));
        for outer in FORMS {
            for (kind, archive) in [
                ("docker", image.docker_archive("it:latest")),
                ("oci", image.oci_archive("it:latest")),
            ] {
                let what = format!("{kind}, layers {layers:?}, archive {outer:?}");
                let archive = outer.apply(&archive);
                let file = env.file("archive", &archive);
                let loaded = env.run(&["load", "-i", &file]);
                assert_eq!(loaded.code, 0, "{what}: {loaded:?}");
                assert!(
                    loaded.stdout.starts_with("Loaded image: it:latest"),
                    "{what}: {loaded:?}"
                );
                assert_eq!(
                    env.out(&["run", "--rm", "--network", "none", "it", "echo", "yes"]),
                    "yes",
                    "{what}"
                );
                env.run(&["rmi", "-f", "it"]).ok();
                env.command(&["load"]).input(archive).run().ok();
                env.run(&["rmi", "-f", "it"]).ok();
            }
        }
    }
}

#[test]
fn an_archive_without_a_name_loads_by_its_id() {
    let env = test_env!();
    let image = busybox();
    env.load(&image.docker_archive(""))
        .prints(&format!("Loaded image ID: sha256:{}", image.id()));
    assert_eq!(
        env.out(&[
            "run",
            "--rm",
            "--network",
            "none",
            &image.id()[..12],
            "echo",
            "yes"
        ]),
        "yes"
    );
}

#[test]
fn upper_layers_change_delete_and_replace_what_lies_below() {
    let env = shared_env!();
    let below = Layer::new()
        .directory("d/", 0o755)
        .file("d/changed", 0o644, "old")
        .file("d/deleted", 0o644, "old")
        .directory("d/opaque/", 0o755)
        .file("d/opaque/hidden", 0o644, "old")
        .file("d/becomes-directory", 0o644, "old");
    let above = Layer::new()
        .file("d/changed", 0o600, "new")
        .file("d/.wh.deleted", 0o644, "")
        .directory("d/opaque/", 0o755)
        .file("d/opaque/.wh..wh..opq", 0o644, "")
        .file("d/opaque/shown", 0o644, "new")
        .directory("d/becomes-directory/", 0o755)
        .file("d/becomes-directory/inside", 0o644, "new");
    let image = busybox().with(&below).with(&above);
    env.load(&image.docker_archive("stack:latest"));
    let out = env.out(&[
        "run",
        "--rm",
        "--network",
        "none",
        "stack",
        "sh",
        "-c",
        "cd /d; ls -R; cat changed; stat -c %a changed",
    ]);
    let words: Vec<&str> = out.split_whitespace().collect();
    assert_eq!(
        words,
        [
            ".:",
            "becomes-directory",
            "changed",
            "opaque",
            "./becomes-directory:",
            "inside",
            "./opaque:",
            "shown",
            "new600"
        ]
    );
}

#[test]
fn a_whiteout_of_nothing_does_not_show() {
    let env = shared_env!();
    let image = busybox().with(
        &Layer::new()
            .directory("only/", 0o755)
            .file("only/.wh.ghost", 0o644, "")
            .file("only/real", 0o644, ""),
    );
    env.load(&image.docker_archive("ghost:latest"));
    assert_eq!(
        env.out(&[
            "run",
            "--rm",
            "--network",
            "none",
            "ghost",
            "ls",
            "-a",
            "/only"
        ]),
        ".\n..\nreal"
    );
}

#[test]
fn an_unlisted_directory_keeps_the_owner_and_mode_of_the_layer_below() {
    let env = shared_env!();
    need!(Need::SubordinateIds);
    let image = busybox()
        .with(&Layer::new().file("home/app/added", 0o644, "x"))
        .with(&Layer::new().file("tmp/added", 0o644, "x"));
    env.load(&image.docker_archive("implicit:latest"));
    let out = env.out(&[
        "run",
        "--rm",
        "--network",
        "none",
        "implicit",
        "stat",
        "-c",
        "%a %u",
        "/home/app",
        "/tmp",
    ]);
    assert_eq!(out, "755 1000\n1777 0");
}

#[test]
fn modes_owners_links_and_times_are_the_archives() {
    let env = shared_env!();
    need!(Need::SubordinateIds);
    let layer = Layer::new()
        .entry(&image::Entry {
            name: "setuid",
            mode: 0o4755,
            uid: 7,
            gid: 8,
            content: b"x",
            ..image::Entry::default()
        })
        .hard_link("hard", "setuid")
        .symlink("dangling", "/nowhere")
        .fifo("pipe");
    env.load(&busybox().with(&layer).docker_archive("meta:latest"));
    let script =
        "stat -c '%a %u %g %h %Y' /setuid /hard; readlink /dangling; test -p /pipe && echo pipe";
    let out = env.out(&[
        "run",
        "--rm",
        "--network",
        "none",
        "meta",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(
        out,
        "4755 7 8 2 1700000000\n4755 7 8 2 1700000000\n/nowhere\npipe"
    );
}

#[test]
fn the_same_layer_twice_in_a_stack_is_mounted_once() {
    let env = shared_env!();
    let empty = Layer::new();
    let image = Image::new(
        &[empty.clone(), busybox_layer(), empty.clone(), empty],
        json!({ "Cmd": ["sh"] }),
    );
    env.load(&image.docker_archive("twice:latest"));
    assert_eq!(
        env.out(&[
            "run",
            "--rm",
            "--network",
            "none",
            "twice",
            "/bin/echo",
            "yes"
        ]),
        "yes"
    );
}

#[test]
fn an_image_of_127_layers_runs() {
    let env = test_env!();
    let mut image = busybox();
    for number in 1..127 {
        image =
            image.with(&Layer::new().file(&format!("layer-{number}"), 0o644, number.to_string()));
    }
    env.load(&image.docker_archive("deep:latest"));
    assert_eq!(
        env.out(&[
            "run",
            "--rm",
            "--network",
            "none",
            "deep",
            "sh",
            "-c",
            "cat /layer-1 /layer-126; ls / | grep -c layer"
        ]),
        "1126126"
    );
}

#[test]
fn import_takes_a_root_filesystem_in_every_compression() {
    let env = shared_env!();
    for form in FORMS {
        let file = env.file("root.tar", form.apply(&busybox_layer().tar()));
        let id = env.out(&["import", &file, "imported:latest"]);
        assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
        assert_eq!(
            env.out(&[
                "run",
                "--rm",
                "--network",
                "none",
                "imported",
                "/bin/echo",
                "yes"
            ]),
            "yes"
        );
    }
    let piped = env
        .command(&["import", "-", "piped"])
        .input(busybox_layer().tar())
        .run()
        .ok();
    assert!(piped.stdout.starts_with("sha256:"));
}

#[test]
fn a_debian_root_filesystem_runs() {
    let env = shared_env!();
    need!(Need::Fixture("debian.tar"));
    let tar = fixture("debian.tar");
    env.run(&[
        "import",
        tar.to_str().expect("test paths are UTF-8"),
        "debian",
    ])
    .ok();
    let out = env.out(&[
        "run",
        "--rm",
        "--network",
        "none",
        "debian",
        "bash",
        "-c",
        ". /etc/os-release; echo $ID; dpkg --version | head -n 1",
    ]);
    assert!(out.starts_with("debian\n") && out.contains("dpkg"), "{out}");
}

#[test]
fn a_load_that_fails_changes_nothing() {
    let env = test_env!();
    env.busybox();
    let before = (
        env.out(&["images", "--no-trunc"]),
        crate::env::names(&env.store().join("layers")),
    );
    let whole = busybox()
        .with(&Layer::new().file("new", 0o644, vec![b'x'; 100_000]))
        .docker_archive("broken:latest");
    let file = env.file("cut.tar", &whole[..whole.len() / 2]);
    env.run(&["load", "-i", &file]).fails(1, "cut.tar");
    let garbage = env.file("garbage", vec![0x5a; 4096]);
    env.run(&["load", "-i", &garbage]).fails(1, "garbage");
    env.run(&["load", "-i", "/no/such/file"])
        .fails(1, "/no/such/file");
    assert_eq!(
        before,
        (
            env.out(&["images", "--no-trunc"]),
            crate::env::names(&env.store().join("layers"))
        )
    );
}
