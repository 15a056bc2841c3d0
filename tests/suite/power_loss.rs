//! What is written is on the disk before its name is, and its name before the command ends: read from a log of system calls.

use std::fs;

use crate::env::{TestEnv, test_env};
use crate::image::busybox;
use crate::misbehaving::{Registry, TestImage, TestLayer, image};
use crate::need::{Need, need};

/// One system call of interest: which process, and its line as strace prints it, descriptors with their paths.
struct Call {
    pid: String,
    text: String,
}

/// newuidmap refuses to work under an unprivileged tracer, so it is hidden: the engine uses its single-id map.
fn calls(env: &TestEnv, words: &[&str]) -> Vec<Call> {
    let trace = env.path("home/trace");
    let trace = trace.to_str().expect("test paths are UTF-8");
    let script = format!(
        "strace -f -y -qq -s 4096 -o {trace} \
         -e trace=rename,renameat,renameat2,fsync,fdatasync,syncfs $BRYO {}",
        words.join(" ")
    );
    env.lacking(&["newuidmap", "newgidmap"], &script).ok();
    let text = fs::read_to_string(trace).expect("strace has written it");
    text.lines()
        .filter(|line| !line.contains(" resumed>"))
        .filter_map(|line| {
            let (pid, text) = line.split_once(' ')?;
            Some(Call {
                pid: pid.to_owned(),
                text: text.trim_start().to_owned(),
            })
        })
        .collect()
}

/// Both paths of a rename, made whole.
fn renamed(call: &Call) -> Option<(String, String)> {
    let text = call.text.strip_prefix("rename")?;
    let arguments = text.split_once('(')?.1;
    let mut directories = arguments.split('<').skip(1).filter_map(|part| {
        let (path, _) = part.split_once('>')?;
        path.starts_with('/').then(|| path.to_owned())
    });
    let mut names = arguments.split('"').skip(1).step_by(2);
    let mut next = || {
        let name = names.next()?;
        match name.starts_with('/') {
            true => Some(name.to_owned()),
            false => Some(format!("{}/{name}", directories.next()?)),
        }
    };
    Some((next()?, next()?))
}

/// Everything in a layer and the layer itself, as `""` and `/fs/etc`.
fn below(layer: &str) -> impl Iterator<Item = String> {
    let mut found = vec![String::new()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        let inside = fs::read_dir(format!("{layer}{path}")).into_iter().flatten();
        let names = inside.flatten().map(|entry| entry.file_name());
        found.extend(names.map(|name| format!("{path}/{}", name.to_string_lossy())));
    }
    found.into_iter()
}

/// How many names were given, each checked.
#[track_caller]
fn assert_ordered(env: &TestEnv, calls: &[Call]) -> usize {
    let store = env.store();
    let store = store.to_str().expect("test paths are UTF-8");
    let mut checked = 0;
    for (place, call) in calls.iter().enumerate() {
        let Some((from, to)) = renamed(call) else {
            continue;
        };
        // What goes out of sight is no promise: if it is there again, it is whole.
        if !to.starts_with(store) || to.contains("/trash/") || to.contains("/.dead-") {
            continue;
        }
        checked += 1;
        let of = |calls: &[Call], path: &str, names: &[&str]| {
            calls.iter().any(|other| {
                let synced = names.iter().any(|name| other.text.starts_with(name));
                other.pid == call.pid && synced && other.text.contains(&format!("<{path}"))
            })
        };
        let (before, after) = calls.split_at(place);
        let is_layer = to.contains("/layers/") && !to.ends_with(".json");
        let content = match is_layer {
            // One for the files of all layers that get their names together, or one for each file.
            true => {
                of(before, &format!("{store}/layers/"), &["syncfs("])
                    || below(&to).all(|path| of(before, &format!("{from}{path}>"), &["fsync("]))
            }
            false => of(before, &from, &["fsync(", "fdatasync("]),
        };
        assert!(content, "{from} was not synced before it became {to}");
        let parent = to.rsplit_once('/').expect("it has one").0;
        let directory = of(after, &format!("{parent}>"), &["fsync("]);
        assert!(
            directory,
            "{parent} was not synced after {to} had appeared in it"
        );
        if to.ends_with("/images/index.json") {
            assert_last(store, before, &to);
        }
    }
    checked
}

/// What an image's name leads to has its own names on the disk before.
#[track_caller]
fn assert_last(store: &str, before: &[Call], name: &str) {
    for (place, call) in before.iter().enumerate() {
        let Some((_, to)) = renamed(call) else {
            continue;
        };
        let (directory, _) = to.rsplit_once('/').expect("it has one");
        let of_images = ["/layers", "/images/blobs/sha256", "/images/stacks"];
        if !of_images
            .iter()
            .any(|end| directory == format!("{store}{end}"))
        {
            continue;
        }
        let synced = before[place..].iter().any(|other| {
            other.text.starts_with("fsync(") && other.text.contains(&format!("<{directory}>"))
        });
        assert!(synced, "{directory} was not synced between {to} and {name}");
    }
}

#[test]
fn names_follow_what_they_name_to_the_disk() {
    let env = test_env!();
    need!(Need::Program("strace"));
    let registry = Registry::start();
    let layer = |name: &str| TestLayer::gzip(&image::tar(&[(name, b"content\n")]));
    registry.add(
        "app",
        "1",
        &TestImage::new(vec![layer("one"), layer("two")]),
    );
    let pulled = registry.reference("app:1");
    let file = env.file("busybox.tar", busybox().docker_archive("busybox:latest"));
    for (words, least) in [
        // Two layers, config, manifest, stack, names.
        (&["pull", "-q", &pulled][..], 6),
        (&["load", "-q", "-i", &file], 5),
        (&["tag", "busybox", "other:1"], 1),
        (
            &[
                "create",
                "--name",
                "box",
                "--network",
                "none",
                "busybox",
                "true",
            ],
            1,
        ),
        (&["cp", &file, "box:/copied"], 0),
        // A layer, config, manifest, stack, names.
        (&["commit", "box", "made:1"], 5),
        (
            &[
                "create",
                "--name",
                "small",
                "--network",
                "none",
                "busybox",
                "true",
            ],
            1,
        ),
        (&["cp", "/etc/passwd", "small:/copied"], 0),
        // The same without the home namespace.
        (&["commit", "small", "made:2"], 5),
        (&["rm", "box"], 0),
        (&["rmi", "made:1"], 1),
    ] {
        let checked = assert_ordered(&env, &calls(&env, words));
        assert!(
            checked >= least,
            "{words:?}: only {checked} names were seen"
        );
    }
}
