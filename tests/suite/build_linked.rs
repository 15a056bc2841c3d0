//! A `COPY` whose files are nearly all as they were: its layer shares them with the one before, and is the layer that it would be.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use crate::dockerfile::{build, cached, context, inspected, layers, shell};
use crate::env::{TestEnv, test_env};
use crate::image::{DIRECTORY, Entry, Layer, busybox};

const DOCKERFILE: &str = "FROM busybox\nCOPY many /many\n";

/// Five directories of thirty files, long enough ago for a change to show in their times.
fn many(env: &TestEnv, dockerfile: &str) -> String {
    let directory = context(env, "app", &[("Dockerfile", dockerfile)]);
    for number in 0..150 {
        let path = format!("app/many/{}/{}", number / 30, number % 30);
        env.file(&path, format!("{number}\n"));
    }
    let (first, second) = (
        format!("{directory}/many/4/0"),
        format!("{directory}/many/4/second"),
    );
    std::fs::hard_link(first, second).expect("they are ours");
    settle();
    directory
}

/// The kernel's clock has no finer answer: what was changed in the last two seconds is not told from what changes now.
fn settle() {
    std::thread::sleep(Duration::from_millis(2100));
}

fn build_as(env: &TestEnv, directory: &str, name: &str, flags: &[&str]) {
    build(env, directory, &[flags, &["-t", name]].concat()).ok();
}

/// Every layer has its digest.
fn check(env: &TestEnv) {
    assert!(env.out(&["system", "check"]).is_empty());
}

/// The inodes of the files in an image's topmost layer, by their paths.
fn inodes(env: &TestEnv, image: &str) -> BTreeMap<String, u64> {
    let all = layers(env, image);
    let top = all.last().expect("it has layers");
    let hex = top.strip_prefix("sha256:").expect("a digest");
    let root = env.store().join("layers").join(hex).join("fs");
    let mut found = BTreeMap::new();
    collect(&root, &root, &mut found);
    found
}

fn collect(root: &Path, directory: &Path, found: &mut BTreeMap<String, u64>) {
    for entry in std::fs::read_dir(directory).expect("it is there").flatten() {
        let meta = entry.metadata().expect("it is there");
        if meta.is_dir() {
            collect(root, &entry.path(), found);
        } else {
            let path = entry.path();
            let path = path.strip_prefix(root).expect("it is below");
            found.insert(path.to_str().expect("plain").to_owned(), meta.ino());
        }
    }
}

/// Those that have the same inode in both, and those that are in the second alone.
fn shared(first: &BTreeMap<String, u64>, second: &BTreeMap<String, u64>) -> (usize, Vec<String>) {
    let is_shared = |path: &str, inode: &u64| first.get(path) == Some(inode);
    let new = second
        .iter()
        .filter(|(path, inode)| !is_shared(path, inode));
    let new: Vec<String> = new.map(|(path, _)| path.clone()).collect();
    (second.len() - new.len(), new)
}

#[test]
fn what_has_not_changed_is_the_same_file_and_the_rest_is_copied() {
    let env = test_env!();
    env.busybox();
    let directory = many(&env, DOCKERFILE);
    build_as(&env, &directory, "one", &[]);
    let before = inodes(&env, "one");
    let at = |path: &str| format!("{directory}/many/{path}");
    std::fs::write(at("0/0"), "changed\n").expect("it is ours");
    let mode = |path: &str, mode| {
        std::fs::set_permissions(at(path), PermissionsExt::from_mode(mode)).expect("it is ours");
    };
    mode("0/1", 0o750);
    let old = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = std::fs::File::options().write(true).open(at("0/2"));
    file.and_then(|file| file.set_modified(old))
        .expect("it is ours");
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(at("0/3"), "user.mark", b"new", flags).expect("it is ours");
    std::fs::remove_file(at("0/4")).expect("it is ours");
    std::fs::remove_file(at("0/5")).expect("it is ours");
    symlink("6", at("0/5")).expect("it is ours");
    std::fs::write(at("0/new"), "new\n").expect("it is ours");
    build_as(&env, &directory, "two", &[]);
    let after = inodes(&env, "two");
    let (same, new) = shared(&before, &after);
    let expected = ["0", "1", "2", "3", "5", "new"].map(|name| format!("many/0/{name}"));
    assert_eq!(new, expected);
    assert_eq!(same, 151 - 6);
    assert_eq!(after["many/4/0"], after["many/4/second"]);
    // It is the image that it would be without any of that.
    build_as(&env, &directory, "fresh", &["--no-cache"]);
    assert_eq!(inspected(&env, "fresh")["Id"], inspected(&env, "two")["Id"]);
    // What is in one image is never changed through the other.
    let said = shell(
        &env,
        "two",
        "cat /many/0/0 /many/0/new; echo more >>/many/1/1; stat -c %h /many/1/1",
    );
    assert_eq!(said, "changed\nnew\n1");
    assert_eq!(shell(&env, "one", "cat /many/1/1"), "31");
    assert_eq!(shell(&env, "two", "stat -c %h /many/1/1"), "2");
    check(&env);
    // And it is whole without the other one.
    env.run(&["rmi", "one"]).ok();
    env.run(&["builder", "prune", "-f"]).ok();
    assert_eq!(inodes(&env, "two"), after);
    check(&env);
    let listed = layers(&env, "two");
    let archive = env.path("two.tar");
    let archive = archive.to_str().expect("test paths are UTF-8");
    env.run(&["save", "-o", archive, "two"]).ok();
    env.run(&["rmi", "-f", "two", "fresh"]).ok();
    env.run(&["builder", "prune", "-af"]).ok();
    env.run(&["load", "-i", archive]).ok();
    assert_eq!(layers(&env, "two"), listed);
    assert_eq!(shell(&env, "two", "cat /many/0/0 /many/1/1"), "changed\n31");
}

#[test]
fn what_a_copy_is_given_has_to_be_the_same_too() {
    let env = test_env!();
    env.busybox();
    let directory = many(&env, DOCKERFILE);
    build_as(&env, &directory, "one", &[]);
    let first = inodes(&env, "one");
    let with = |flags: &str, name: &str, build_flags: &[&str]| {
        let text = format!("FROM busybox\nCOPY {flags} many /many\n");
        env.file("app/Dockerfile", text);
        build_as(&env, &directory, name, build_flags);
        inodes(&env, name)
    };
    let owned = with("--chown=5:6", "owned", &[]);
    assert_eq!(shared(&first, &owned).0, 0);
    // All that was 644 is 640 now.
    let modes = with("--chown=5:6 --chmod=g+w", "modes", &[]);
    assert_eq!(shared(&owned, &modes).0, 0);
    let aged = with(
        "--chown=5:6 --chmod=g+w",
        "aged",
        &["--source-date-epoch", "1000"],
    );
    assert_eq!(shared(&modes, &aged).0, 0);
    // One file less is no reason to copy the others.
    let fewer = with(
        "--chown=5:6 --chmod=g+w --exclude=0/0",
        "fewer",
        &["--source-date-epoch", "1000"],
    );
    assert_eq!(shared(&aged, &fewer), (150, Vec::new()));
    // Without the cache everything is done anew.
    std::fs::write(format!("{directory}/many/0/1"), "changed\n").expect("it is ours");
    let flags = ["--no-cache", "--source-date-epoch", "1000"];
    let anew = with("--chown=5:6 --chmod=g+w --exclude=0/0", "anew", &flags);
    assert_eq!(shared(&fewer, &anew).0, 0);
    check(&env);
}

#[test]
fn what_changed_just_before_it_was_copied_is_copied_again() {
    let env = test_env!();
    env.busybox();
    let directory = many(&env, DOCKERFILE);
    std::fs::write(format!("{directory}/many/2/2"), "late\n").expect("it is ours");
    build_as(&env, &directory, "one", &[]);
    std::fs::write(format!("{directory}/many/0/0"), "changed\n").expect("it is ours");
    build_as(&env, &directory, "two", &[]);
    let new = shared(&inodes(&env, "one"), &inodes(&env, "two")).1;
    assert_eq!(new, ["many/0/0", "many/2/2"]);
    // What is as it was altogether is no new layer.
    let again = build(&env, &directory, &["-t", "three"]).ok();
    assert_eq!(cached(&again), 1);
    // The layer is lost, and with it what could be shared.
    env.run(&["rmi", "one", "two", "three"]).ok();
    env.run(&["builder", "prune", "-af"]).ok();
    build_as(&env, &directory, "anew", &[]);
    assert_eq!(
        shell(&env, "anew", "cat /many/2/2; stat -c %h /many/1/1"),
        "late\n1"
    );
}

/// A layer that needs other looks of its root than it has is there once more, with a link for each file.
#[test]
fn layers_on_an_image_whose_root_has_its_own_looks_are_stored_once() {
    let env = test_env!();
    let root = Layer::new().entry(&Entry {
        name: "./",
        kind: DIRECTORY,
        mode: 0o711,
        uid: 5,
        gid: 6,
        ..Entry::default()
    });
    env.load(&busybox().with(&root).docker_archive("base:latest"));
    let text = "FROM base\nWORKDIR /new\nCOPY many /many\nRUN echo 1 >/ran\nCOPY many/0 /again\n";
    let directory = many(&env, text);
    build_as(&env, &directory, "first", &[]);
    env.file("app/many/3/1", "changed\n");
    build_as(&env, &directory, "second", &[]);
    let all = std::fs::read_dir(env.store().join("layers")).expect("there are layers");
    let all = all.map(|entry| entry.expect("it is there").file_name());
    let variants = all.filter(|name| name.to_string_lossy().trim_start_matches('.').contains('.'));
    assert_eq!(variants.count(), 0);
    // The same layer where nothing lies below it.
    let text = "FROM scratch\nCOPY many /many\n";
    let alone = context(&env, "app", &[("Dockerfile", text)]);
    build_as(&env, &alone, "alone", &[]);
    assert_eq!(layers(&env, "alone")[0], layers(&env, "second")[3]);
    check(&env);
}
