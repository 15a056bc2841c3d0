//! The same Dockerfiles built by buildah: settings and files are equal, whatever each engine makes of them on the way.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};

use crate::dockerfile::{build, context, inspected};
use crate::env::{TestEnv, count, test_env};
use crate::image::{Compression, Layer, busybox};
use crate::need::{Need, need};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dockerfiles/offline");

/// Of an image's settings; others are each engine's own.
const SETTINGS: [&str; 12] = [
    "Env",
    "Cmd",
    "Entrypoint",
    "WorkingDir",
    "User",
    "ExposedPorts",
    "Volumes",
    "Labels",
    "StopSignal",
    "Healthcheck",
    "Shell",
    "OnBuild",
];

/// Where buildah differs: in which file, in which setting, and what it does.
const OTHERWISE: [(&str, &str, &str); 1] = [(
    "shell.Dockerfile",
    "Cmd: ",
    "its CMD begins with /bin/sh -c whatever SHELL says, which docker has obeyed",
)];

fn cases() -> Vec<String> {
    let mut names = crate::env::names(FOLDER.as_ref());
    names.sort();
    names
}

#[test]
fn there_are_enough_dockerfiles_to_compare() {
    assert!(cases().len() >= 60, "{}", cases().len());
}

#[test]
fn images_equal_buildahs_first_third() {
    compare(0);
}

#[test]
fn images_equal_buildahs_second_third() {
    compare(1);
}

#[test]
fn images_equal_buildahs_last_third() {
    compare(2);
}

fn compare(third: usize) {
    need!(Need::Program("buildah"));
    let mut env = test_env!();
    env.set("STORAGE_DRIVER", "overlay");
    let archive = env.file("busybox.tar", busybox().docker_archive("busybox:latest"));
    env.busybox();
    buildah(&env, &["pull", "-q", &format!("docker-archive:{archive}")]);
    let directory = files(&env);
    let cases = cases();
    let ours = cases.iter().skip(third).step_by(3);
    let mut faults = Vec::new();
    for name in ours.take(count(10, usize::MAX)) {
        let file = format!("{FOLDER}/{name}");
        build(&env, &directory, &["-q", "-t", "ours", "-f", &file]).ok();
        let flags = [
            "bud",
            "--format",
            "docker",
            "--isolation",
            "chroot",
            "--layers=false",
        ];
        let rest = ["-q", "-t", "theirs", "-f", &file, &directory];
        buildah(&env, &[&flags[..], &rest].concat());
        let saved = env.path("home/theirs.tar");
        let saved = saved.to_str().expect("test paths are UTF-8");
        let _ = std::fs::remove_file(saved);
        buildah(
            &env,
            &[
                "push",
                "-q",
                "theirs",
                &format!("docker-archive:{saved}:theirs:latest"),
            ],
        );
        env.run(&["load", "-q", "-i", saved]).ok();
        let (mut ours, mut theirs) = (described(&env, "ours"), described(&env, "theirs"));
        for (_, setting, what) in OTHERWISE.iter().filter(|(file, ..)| file == name) {
            assert_ne!(ours, theirs, "{name}: no more true: {what}");
            for one in [&mut ours, &mut theirs] {
                one.retain(|line| !line.starts_with(setting));
            }
        }
        let lines = |text: &BTreeSet<String>, other: &BTreeSet<String>| {
            text.difference(other).cloned().collect::<Vec<_>>()
        };
        if ours != theirs {
            let (more, less) = (lines(&ours, &theirs), lines(&theirs, &ours));
            faults.push(format!("{name}: ours {more:?}, theirs {less:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn buildah(env: &TestEnv, arguments: &[&str]) {
    env.other("buildah", arguments).run().ok();
}

/// What the Dockerfiles copy.
fn files(env: &TestEnv) -> String {
    let directory = context(
        env,
        "beside",
        &[
            ("a", "A\n"),
            ("b.txt", "B\n"),
            ("dir/one", "1\n"),
            ("dir/two.txt", "2\n"),
            ("dir/sub/three", "3\n"),
            ("exec.sh", "#!/bin/sh\necho ran\n"),
            ("ignored", "not copied\n"),
            (".dockerignore", "ignored\n"),
        ],
    );
    let executable = std::fs::Permissions::from_mode(0o755);
    let made = std::fs::set_permissions(format!("{directory}/exec.sh"), executable)
        .and_then(|()| symlink("a", format!("{directory}/link")));
    made.expect("home is writable");
    let archive = Layer::new()
        .directory("x/", 0o755)
        .file("x/y", 0o640, "y\n");
    let archive = Compression::Gzip.apply(&archive.tar());
    std::fs::write(format!("{directory}/archive.tar.gz"), archive).expect("home is writable");
    directory
}

/// Settings and files, a line for each: kind, mode, owner, size and content, no times.
fn described(env: &TestEnv, image: &str) -> BTreeSet<String> {
    let config = inspected(env, image)["Config"].clone();
    let mut lines = BTreeSet::new();
    for key in SETTINGS {
        let mut value = config[key].clone();
        if let Some(labels) = value.as_object_mut() {
            labels.remove("io.buildah.version");
        }
        // The order of an object's members means nothing.
        value.sort_all_objects();
        let is_nothing =
            value.is_null() || value == json!({}) || value == json!("") || value == json!([]);
        // Docker writes it down for `FROM scratch`; it is the same without.
        let is_nothing = is_nothing || key == "WorkingDir" && value == json!("/");
        let value = if is_nothing { Value::Null } else { value };
        lines.insert(format!("{key}: {value}"));
    }
    let id = env.out(&["create", image, "x"]);
    let tar = env.path("home/tree.tar");
    let tar = tar.to_str().expect("test paths are UTF-8");
    env.run(&["export", "-o", tar, &id]).ok();
    env.run(&["rm", &id]).ok();
    let listed = env
        .other("tar", &["--numeric-owner", "-tvf", tar])
        .run()
        .ok();
    // The engines' own: places that are mounted on while something runs.
    let own = ["run/", "etc/hosts", "etc/hostname", "etc/resolv.conf"];
    for line in listed.stdout.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (looks, name) = (&words[..3], words[5..].join(" "));
        let is_volume = config["Volumes"]
            .get(format!("/{}", name.trim_end_matches('/')))
            .is_some();
        if !own.contains(&name.as_str()) && !is_volume {
            lines.insert(format!("{name} {}", looks.join(" ")));
        }
    }
    let content = "echo $TAR_FILENAME $(sha256sum)";
    let command = format!("--to-command={content}");
    let read = env.other("tar", &["-xf", tar, &command]).run().ok();
    lines.extend(read.stdout.lines().map(str::to_owned));
    lines
}
