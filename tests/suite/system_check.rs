//! `system check` finds what is broken in the store, and `--repair` mends it; `system reset` removes everything.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

use crate::env::{TestEnv, names, test_env};
use crate::image::{Layer, busybox};
use crate::misbehaving::{Registry, TestImage, TestLayer};

/// No fault, and no word.
#[track_caller]
pub fn assert_sound(env: &TestEnv, what: &str) {
    let check = env.run(&["system", "check"]);
    assert_eq!(
        (check.code, check.stdout.as_str()),
        (0, ""),
        "{what}: {check:?}"
    );
}

#[track_caller]
fn assert_broken(env: &TestEnv, part: &str) {
    let check = env.run(&["system", "check"]);
    assert_eq!(check.code, 1, "{part}: {check:?}");
    assert!(check.stdout.contains(part), "{part}: {check:?}");
    assert!(
        check.stderr.contains("bryo system check --repair"),
        "{check:?}"
    );
}

#[track_caller]
fn repair(env: &TestEnv, part: &str) {
    env.run(&["system", "check", "--repair"]).ok().prints(part);
    assert_sound(env, part);
}

/// A file that a layer of the store has.
fn file_of_a_layer(env: &TestEnv, name: &str) -> PathBuf {
    let layers = env.store().join("layers");
    let mut all = names(&layers).into_iter().map(|layer| layers.join(layer));
    all.find_map(|layer| Some(layer.join("fs").join(name)).filter(|path| path.is_file()))
        .expect("a layer has it")
}

fn overwrite(path: &std::path::Path, with: &str) {
    let before = fs::read(path).expect("it is there");
    let mut bytes = with.repeat(before.len() / with.len() + 1).into_bytes();
    bytes.truncate(before.len());
    fs::write(path, bytes).expect("it is ours");
}

#[test]
fn a_sound_store_has_no_faults() {
    let env = test_env!();
    assert_sound(&env, "a store of nothing");
    env.busybox();
    env.run(&[
        "create",
        "--name",
        "box",
        "-v",
        "kept:/kept",
        "busybox",
        "true",
    ])
    .ok();
    env.command(&["secret", "create", "token", "-"])
        .input("x")
        .run()
        .ok();
    assert_sound(&env, "one of each");
    for flag in ["-q", "--quick"] {
        env.run(&["system", "check", flag]).ok();
    }
}

#[test]
fn changed_content_of_a_layer_is_found_and_the_image_removed() {
    let env = test_env!();
    let layer = Layer::new().file("marked", 0o644, "as it was\n");
    env.load(&busybox().with(&layer).docker_archive("marked:latest"));
    let path = file_of_a_layer(&env, "marked");
    overwrite(&path, "changed");
    env.run(&["system", "check", "--quick"]).ok();
    assert_broken(&env, "was changed in the store");
    env.run(&["create", "--name", "user", "marked", "true"])
        .ok();
    let left = env.run(&["system", "check", "-r"]).code(1);
    assert!(left.stdout.contains("uses it"), "{left:?}");
    for flags in [["-r", "-f"], ["--repair", "--force"]] {
        env.run(&[&["system", "check"][..], &flags].concat()).ok();
    }
    assert_sound(&env, "after the repair");
    assert_eq!(env.out(&["images", "-aq"]), "");
    assert_eq!(env.out(&["ps", "-aq"]), "");
    env.load(&busybox().with(&layer).docker_archive("marked:latest"));
    assert_eq!(
        env.out(&[
            "run",
            "--rm",
            "--network",
            "none",
            "marked",
            "cat",
            "/marked"
        ]),
        "as it was"
    );
}

#[test]
fn what_came_from_a_registry_is_fetched_again() {
    let env = test_env!();
    let registry = Registry::start();
    let layer = Layer::new().file("marked", 0o644, "as it was\n");
    let layer = TestLayer::gzip(&layer.tar());
    registry.add("app", "1", &TestImage::new(vec![layer]));
    let name = registry.reference("app:1");
    env.run(&["pull", &name]).ok();
    env.run(&["tag", &name, "also:2"]).ok();
    env.run(&["create", "--name", "user", "also:2", "/marked"])
        .ok();
    let before = env.out(&["images", "-a", "--digests"]);
    overwrite(&file_of_a_layer(&env, "marked"), "changed");
    repair(&env, "again");
    assert_eq!(env.out(&["images", "-a", "--digests"]), before);
    let content = fs::read(file_of_a_layer(&env, "marked")).expect("it is there");
    assert_eq!(content, b"as it was\n");
    // A manifest or config that is damaged comes back too.
    for blob in names(&env.store().join("images/blobs/sha256")) {
        overwrite(
            &env.store().join("images/blobs/sha256").join(&blob),
            "changed",
        );
        assert_broken(&env, &format!("blob {blob}: its content has digest"));
        repair(&env, "again");
        assert_eq!(env.out(&["images", "-a", "--digests"]), before);
    }
    for stack in names(&env.store().join("images/stacks")) {
        fs::remove_file(env.store().join("images/stacks").join(stack)).expect("it is ours");
        assert_broken(&env, "image sha256:");
        repair(&env, "again");
    }
    let layers = env.store().join("layers");
    for layer in names(&layers).iter().filter(|name| name.len() == 64) {
        fs::rename(layers.join(layer), env.path("home").join(layer)).expect("it is ours");
        assert_broken(&env, &format!("layer {layer} is not in the store"));
        repair(&env, "again");
    }
    assert_eq!(env.out(&["ps", "-aq"]).lines().count(), 1);
}

#[test]
fn kept_blobs_signatures_and_manifest_lists_are_looked_at_too() {
    let mut env = test_env!();
    env.set("BRYO_KEEP_BLOBS", "always");
    let registry = Registry::start();
    let layer = TestLayer::gzip(&Layer::new().file("file", 0o644, "x").tar());
    registry.add("app", "1", &TestImage::new(vec![layer]));
    let name = registry.reference("app:1");
    env.run(&["pull", &name]).ok();
    let list = registry.reference("list:1");
    env.run(&["manifest", "create", &list, &name]).ok();
    assert_sound(&env, "one of each");

    let kept = env.store().join("images/kept");
    let [blob] = &names(&kept)[..] else {
        panic!("{:?}", names(&kept))
    };
    overwrite(&kept.join(blob), "changed");
    env.run(&["system", "check", "--quick"]).ok();
    assert_broken(&env, &format!("kept blob {blob}: its content has digest"));
    repair(&env, "removed broken kept blob");
    assert!(names(&kept).is_empty());
    fs::write(kept.join("odd"), "x").expect("it is ours");
    assert_broken(&env, "kept blob odd: its name is no digest");
    repair(&env, "removed broken kept blob odd");

    let signatures = env.store().join("images/signatures");
    let of_nothing = "0".repeat(64);
    fs::write(signatures.join(&of_nothing), "{").expect("it is ours");
    assert_broken(&env, &format!("signatures of manifest {of_nothing}: "));
    repair(&env, "removed broken signatures of manifest");
    assert!(names(&signatures).is_empty());

    let lists = env.store().join("manifests");
    let of_lists = || {
        let all = names(&lists).into_iter();
        all.filter(|name| !name.starts_with('.'))
            .collect::<Vec<_>>()
    };
    let record = lists.join(&of_lists()[0]);
    let text = fs::read_to_string(&record).expect("it is there");
    fs::write(lists.join(&of_nothing), &text).expect("it is ours");
    assert_broken(
        &env,
        &format!("manifest list {of_nothing}: it is the record of {list}"),
    );
    repair(&env, "removed broken manifest list");
    fs::write(&record, &text[..text.len() / 2]).expect("it is ours");
    assert_broken(&env, "manifest list");
    repair(&env, "removed broken manifest list");
    assert!(of_lists().is_empty());
    env.run(&["image", "exists", &name]).ok();
}

#[test]
fn broken_records_are_found_and_mended() {
    let env = test_env!();
    env.busybox();
    let id = env.out(&[
        "create",
        "--name",
        "box",
        "-v",
        "kept:/kept",
        "busybox",
        "true",
    ]);
    env.command(&["secret", "create", "token", "-"])
        .input("x")
        .run()
        .ok();
    let at = |path: String| env.store().join(path);
    fs::write(at("volumes/kept/data/file".to_owned()), "mine").expect("it is ours");

    fs::write(at("volumes/kept/volume.json".to_owned()), "{").expect("it is ours");
    assert_broken(&env, "volume kept: volume.json");
    repair(&env, "wrote the record of volume kept anew");
    let kept = fs::read(at("volumes/kept/data/file".to_owned())).expect("data is kept");
    assert_eq!(kept, b"mine");

    fs::write(at("secrets/token".to_owned()), "{").expect("it is ours");
    assert_broken(&env, "secret token: ");
    repair(&env, "removed secret token");
    assert_eq!(env.out(&["secret", "ls", "-q"]), "");

    symlink("nowhere", at("names/odd".to_owned())).expect("it is ours");
    assert_broken(&env, "container name odd: it stands for nowhere");
    repair(&env, "removed container name odd");

    fs::write(at(format!("containers/{id}/settings.json")), "{").expect("it is ours");
    assert_broken(&env, &format!("container {id}: settings.json"));
    repair(&env, "removed settings.json");
    env.run(&["start", "-a", "box"]).ok();

    fs::write(at(format!("containers/{id}/config.json")), "{").expect("it is ours");
    assert_broken(&env, &format!("container {id}: config.json"));
    repair(&env, &format!("removed container {id}"));
    assert_eq!(env.out(&["ps", "-aq"]), "");
    assert_eq!(names(&env.store().join("names")), [""; 0]);

    fs::write(at("images/index.json".to_owned()), "{").expect("it is ours");
    let check = env.run(&["system", "check"]).code(1);
    assert!(check.stdout.contains("the names of images"), "{check:?}");
    repair(&env, "");
    env.busybox();
    env.run(&["run", "--rm", "--network", "none", "busybox", "true"])
        .ok();
}

#[test]
fn layers_of_nobody_count_when_they_are_old() {
    let env = test_env!();
    env.busybox();
    fs::write(
        env.store().join("images/index.json"),
        "{\"schemaVersion\":2,\"manifests\":[]}",
    )
    .expect("it is ours");
    env.run(&["system", "check"]).ok();
    env.run(&["system", "check", "-m", "24h"]).ok();
    env.run(&["system", "check", "--max", "a while"])
        .fails(125, "is no duration");
    let check = env.run(&["system", "check", "--max", "0s"]).code(1);
    assert!(
        check.stdout.contains("no image and no container has it"),
        "{check:?}"
    );
    env.run(&["system", "check", "--max", "0s", "--repair"])
        .ok();
    assert_eq!(names(&env.store().join("layers")), [""; 0]);
}

#[test]
fn reset_asks_first_and_removes_everything() {
    let env = test_env!();
    for flag in [None, Some("-f"), Some("--force")] {
        env.busybox();
        let run = [
            "run",
            "-d",
            "--network",
            "none",
            "-v",
            "kept:/kept",
            "busybox",
            "sleep",
            "1000",
        ];
        env.run(&run).ok();
        env.command(&["secret", "create", "token", "-"])
            .input("x")
            .run()
            .ok();
        let mut words = vec!["system", "reset"];
        words.extend(flag);
        let asked = env.command(&words).input("n\n").run().ok();
        if flag.is_none() {
            assert!(
                asked
                    .stdout
                    .contains("Are you sure you want to continue? [y/N]"),
                "{asked:?}"
            );
            assert_eq!(env.out(&["ps", "-q"]).lines().count(), 1);
            env.command(&words).input("y\n").run().ok();
        }
        assert!(!env.store().exists(), "{:?}", names(&env.store()));
        assert!(env.processes().is_empty(), "{:?}", env.processes());
        assert_eq!(env.out(&["images", "-aq"]), "");
        assert_eq!(env.out(&["volume", "ls", "-q"]), "");
    }
}

/// The home namespace that running containers keep alive has the ids of the day it was made.
#[test]
fn migrate_ends_the_home_namespace_and_keeps_the_containers() {
    let env = test_env!();
    env.busybox();
    let home = || {
        let monitors = env.processes();
        let monitor = monitors.iter().find(|one| one.contains("monitor one"));
        let pid = monitor.and_then(|one| one.split(' ').next());
        let path = format!("/proc/{}/ns/user", pid.expect("it has a monitor"));
        // Open: the kernel gives the number of a namespace that is gone to the next one.
        fs::File::open(path).expect("it lives")
    };
    let number = |home: &fs::File| home.metadata().expect("it is open").ino();
    let run = |name, script| {
        let run = ["run", "-d", "--network", "none", "--name", name];
        let rest = ["--restart", "always", "--stop-timeout", "1", "busybox"];
        let words = [&run[..], &rest, &["sh", "-c", script]].concat();
        env.run(&words).ok();
    };
    run("one", "trap 'exit 3' TERM; while :; do sleep 0.1; done");
    run("two", "trap '' TERM; while :; do sleep 0.1; done");
    run("ends", "exit 4");
    crate::process::eventually("a wait for the restart", || {
        let filter = ["ps", "-q", "--filter", "status=restarting"];
        !env.out(&filter).is_empty()
    });
    let before = home();
    let migrated = env.run(&["system", "migrate"]).ok();
    let mut stopped: Vec<&str> = migrated.stdout.lines().collect();
    stopped.sort_unstable();
    assert_eq!(stopped, ["ends", "one", "two"]);
    assert_eq!(migrated.stderr, "");
    assert!(env.processes().is_empty(), "{:?}", env.processes());
    assert_eq!(env.out(&["ps", "-aq"]).lines().count(), 3);
    assert_eq!(env.out(&["system", "migrate"]), "");
    env.run(&["start", "one", "two"]).ok();
    assert_ne!(number(&home()), number(&before));
    let version = env.store().join("version");
    let known = fs::read_to_string(&version).expect("it is there");
    fs::write(&version, "7\n").expect("it is ours");
    env.run(&["system", "migrate"]).fails(1, "has format 7");
    fs::write(&version, known).expect("it is ours");
    assert_eq!(env.out(&["ps", "-q"]).lines().count(), 2);
    let text = "FROM busybox\nRUN echo at work; while :; do sleep 0.1; done\n";
    let directory = crate::dockerfile::context(&env, "work", &[("Dockerfile", text)]);
    let mut building = env.spawn(&["build", "--network", "none", &directory]);
    building.until("at work");
    env.run(&["system", "migrate"])
        .ok()
        .prints("one")
        .says("a build is at work");
    building.signal(nix::sys::signal::Signal::SIGINT);
    building.wait();
}
