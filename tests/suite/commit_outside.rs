//! `commit` without the home namespace: where a container's layer is little and the user's own, and the same image as with it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::dockerfile::{inspected, layers, shell as out};
use crate::env::{TestEnv, names, test_env};
use crate::image::{Layer, busybox};

fn container(env: &TestEnv, name: &str, script: &str) -> PathBuf {
    let run = ["run", "--network", "none", "--name", name, "busybox"];
    env.run(&[&run[..], &["sh", "-c", script]].concat()).ok();
    let id = env.out(&["inspect", "--format", "{{.Id}}", name]);
    env.store().join("containers").join(id).join("upper")
}

/// Commits; gives which roles changed something on the disk.
fn roles(env: &TestEnv, name: &str, image: &str) -> BTreeSet<String> {
    let list = env.file("points", "");
    let commit = env.command(&["commit", name, image]);
    commit.var("BRYO_TEST_POINTS", &list).run().ok();
    let text = fs::read_to_string(&list).expect("it was made");
    let roles = text.lines().filter_map(|line| line.split_once(": "));
    roles.map(|(role, _)| role.to_owned()).collect()
}

fn only(role: &str) -> BTreeSet<String> {
    BTreeSet::from([role.to_owned()])
}

/// All that can be said of what is below a directory.
fn described(top: &Path, directory: &Path, lines: &mut Vec<String>) {
    let mut found = names(directory);
    found.sort();
    for name in found {
        let path = directory.join(name);
        let meta = path.symlink_metadata().expect("it was listed");
        let content = match meta.file_type() {
            kind if kind.is_file() => fs::read(&path).expect("it is the user's"),
            kind if kind.is_symlink() => {
                let link = fs::read_link(&path).expect("it is a link");
                link.into_os_string().into_encoded_bytes()
            }
            _ => Vec::new(),
        };
        let mut attributes = vec![0; 4096];
        let length = rustix::fs::llistxattr(&path, &mut attributes[..]).expect("it is there");
        // No archive has the time of a whiteout.
        let is_whiteout = meta.file_type().is_char_device();
        let time = (!is_whiteout).then(|| (meta.mtime(), meta.mtime_nsec()));
        lines.push(format!(
            "{} {:o} {}:{} {} {} {} {time:?} {:?} {:?}",
            path.strip_prefix(top).expect("it is below").display(),
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.nlink(),
            meta.rdev(),
            meta.size(),
            String::from_utf8_lossy(&attributes[..length]),
            content
        ));
        if meta.is_dir() {
            described(top, &path, lines);
        }
    }
}

/// The last layer of an image, with its records.
fn top_layer(env: &TestEnv, image: &str) -> Vec<String> {
    let path = inspected(env, image)["GraphDriver"]["Data"]["UpperDir"].clone();
    let root = PathBuf::from(path.as_str().expect("a path"));
    let home = root.parent().expect("it has one");
    let mut lines = names(home);
    lines.sort();
    for name in ["layer.json", "split.zst"] {
        lines.push(format!("{:?}", fs::read(home.join(name)).expect(name)));
    }
    described(&root, &root, &mut lines);
    lines
}

#[test]
fn a_little_layer_of_the_users_own_is_the_same_outside_of_the_home_namespace() {
    let mut env = test_env!();
    let below = Layer::new()
        .directory("keep/", 0o755)
        .file("keep/file", 0o644, "kept")
        .file("keep/gone", 0o644, "other");
    env.load(&busybox().with(&below).docker_archive("busybox:latest"));
    let script = "echo new > /new; ln /new /same; chmod 4711 /new; rm /etc/group; rm -r /keep; mkdir /keep; \
        echo again > /keep/file; mkfifo /pipe; ln -s /new /link; ln /link /link2; mkdir -p /closed/deep; echo x > /closed/deep/x; \
        chmod 0444 /closed/deep/x; chmod 2555 /closed/deep; chmod 0500 /closed; mkdir -m 1777 /all; : > /nothing; \
        touch -d '2001-02-03 04:05:06' /nothing; touch /bin/.wh.ls";
    container(&env, "box", script);
    assert_eq!(roles(&env, "box", "outside"), only("cli"));
    let outside = (layers(&env, "outside"), top_layer(&env, "outside"));
    let archive = env.path("home/outside.tar");
    let archive = archive.to_str().expect("test paths are UTF-8");
    env.run(&["save", "-o", archive, "outside"]).ok();
    let seen = "cat /same; stat -c '%u %g %a %h' /new /closed/deep; ls /keep; cat /link; test -p /pipe && echo pipe; \
        test -e /etc/group || echo gone; ls /bin/ls";
    let expected = "new\n0 0 4711 2\n0 0 2555 2\nfile\nnew\npipe\ngone\n/bin/ls";
    assert_eq!(out(&env, "outside", seen), expected);

    env.run(&["rmi", "outside"]).ok();
    // Who may have to make room removes what is anybody's.
    env.file("config/bryo/config.toml", "[storage]\nmax = \"100GB\"\n");
    let config = env.path("home/config");
    env.set("XDG_CONFIG_HOME", config.to_str().expect("UTF-8"));
    assert_eq!(roles(&env, "box", "home"), only("worker"));
    let home = (layers(&env, "home"), top_layer(&env, "home"));
    assert_eq!(outside.0, home.0);
    assert_eq!(outside.1, home.1);
    assert_eq!(out(&env, "home", seen), expected);
    // What was saved is what comes back.
    env.run(&["rmi", "home"]).ok();
    env.run(&["load", "-q", "-i", archive]).ok();
    assert_eq!(layers(&env, "outside"), home.0);
}

#[test]
fn what_the_user_alone_cannot_do_takes_the_home_namespace() {
    let env = test_env!();
    env.busybox();
    for (number, (script, seen, expected)) in [
        (
            "echo x > /f; chown 1000:50 /f",
            "stat -c '%u %g' /f",
            "1000 50",
        ),
        ("echo x > /f; chgrp 50 /f", "stat -c '%u %g' /f", "0 50"),
        (
            "echo x > /f; ln -s f /l; chown -h 7 /l",
            "stat -c %u /l",
            "7",
        ),
        ("echo x > /f; chmod 0 /f", "stat -c %a /f; cat /f", "0\nx"),
        (
            "mkdir /d; echo x > /d/f; chmod 0 /d",
            "stat -c %a /d; cat /d/f",
            "0\nx",
        ),
        (
            "dd if=/dev/zero of=/f bs=1k count=300 2>/dev/null",
            "stat -c %s /f",
            "307200",
        ),
        (
            "mkdir /d; i=0; while test $i -lt 300; do : > /d/$i; i=$((i+1)); done",
            "ls /d | wc -l",
            "300",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("box{number}");
        container(&env, &name, script);
        assert_eq!(roles(&env, &name, "made"), only("worker"), "{script}");
        assert_eq!(out(&env, "made", seen), expected, "{script}");
    }
    // Found when the layer is packed: nothing is left of the attempt.
    let upper = container(&env, "marked", "echo x > /f");
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(upper.join("f"), "user.mark", b"new", flags).expect("it is ours");
    let both = ["cli", "worker"].map(str::to_owned);
    assert_eq!(roles(&env, "marked", "made"), BTreeSet::from(both));
    let layer = inspected(&env, "made")["GraphDriver"]["Data"]["UpperDir"].clone();
    let file = Path::new(layer.as_str().expect("a path")).join("f");
    let mut value = [0; 8];
    let length = rustix::fs::getxattr(&file, "user.mark", &mut value[..]);
    assert_eq!(length.map(|length| &value[..length]), Ok(&b"new"[..]));
    assert_eq!(env.half_made(), [""; 0]);
    // A running one has to be paused.
    let run = [
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "busy",
        "busybox",
    ];
    env.run(&[&run[..], &["sleep", "1000"]].concat()).ok();
    assert_eq!(roles(&env, "busy", "made"), only("worker"));
}

#[test]
fn a_layer_that_has_to_be_settled_takes_the_home_namespace() {
    let env = test_env!();
    // The root is in no layer of a container: it is to look like the image's.
    let below = Layer::new().directory("./", 0o711);
    env.load(&busybox().with(&below).docker_archive("busybox:latest"));
    container(&env, "box", "echo x > /f");
    let both = ["cli", "worker"].map(str::to_owned);
    assert_eq!(roles(&env, "box", "made"), BTreeSet::from(both));
    assert_eq!(out(&env, "made", "cat /f"), "x");
    let root = inspected(&env, "made")["GraphDriver"]["Data"]["UpperDir"].clone();
    let root = fs::metadata(root.as_str().expect("a path")).expect("it is there");
    assert_eq!(root.mode() & 0o7777, 0o711);
    assert_eq!(env.half_made(), [""; 0]);
}

#[test]
fn an_interrupted_commit_leaves_what_the_next_one_removes() {
    let env = test_env!();
    env.busybox();
    container(&env, "box", "mkdir /d; echo x > /d/f; chmod 0500 /d");
    let list = env.file("points", "");
    for point in ["rename record", "fsync record"] {
        let commit = env.command(&["commit", "box", "made"]);
        let commit = commit.var("BRYO_TEST_POINTS", &list);
        let run = commit.var("BRYO_TEST_FAULT", format!("kill:{point}")).run();
        assert_ne!(run.code, 0, "{point}: {run:?}");
        assert_ne!(env.half_made(), [""; 0], "{point}");
        assert_eq!(env.run(&["image", "inspect", "made"]).code, 1, "{point}");
    }
    env.run(&["commit", "box", "made"]).ok();
    assert_eq!(out(&env, "made", "cat /d/f"), "x");
    assert_eq!(env.half_made(), [""; 0]);
}
