//! Many commands at once, one that hangs, and a disk that is full: nobody waits for nothing, and what is there stays whole.

use std::time::Duration;

use crate::env::{TestEnv, bryo, count, test_env};
use crate::image::{Layer, busybox};
use crate::misbehaving::{Fault, Registry, TestImage, TestLayer, image};
use crate::process::eventually;
use crate::system_check::assert_sound;

/// Far more than any of them needs beside eleven others.
const LONG: Duration = Duration::from_secs(600);

#[test]
fn two_hundred_mixed_commands_leave_a_sound_store() {
    let env = test_env!();
    env.busybox();
    let registry = Registry::start();
    let names: Vec<String> = (0..3)
        .map(|number| {
            let own = format!("own-{number}");
            let layers = ["shared", &own]
                .map(|name| TestLayer::gzip(&image::tar(&[(name, name.repeat(5000).as_bytes())])));
            let repository = format!("app{number}");
            registry.add(&repository, "1", &TestImage::new(layers.to_vec()));
            registry.reference(&format!("{repository}:1"))
        })
        .collect();
    let all = count(96, 200);
    let mut waiting = Vec::new();
    for number in 0..all {
        let name = names[number % 3].as_str();
        let tag = format!("tagged:{}", number % 5);
        let box_name = format!("box-{}", number / 8 % 4);
        let words: Vec<&str> = match number % 8 {
            0 | 4 => vec!["pull", "-q", name],
            1 => vec![
                "run",
                "--network",
                "none",
                "--name",
                &box_name,
                "busybox",
                "true",
            ],
            2 => vec!["rm", "-f", &box_name],
            3 => vec!["rmi", "-f", name],
            5 => vec!["image", "prune", "-f"],
            6 => vec!["tag", name, &tag],
            _ => vec![
                "run",
                "--rm",
                "--network",
                "none",
                "busybox",
                "echo",
                "alive",
            ],
        };
        waiting.push((number % 8, env.command(&words).limit(LONG).spawn()));
        if waiting.len() >= 12 {
            let (kind, run) = waiting.remove(0);
            judge(kind, run.wait());
        }
    }
    for (kind, run) in waiting {
        judge(kind, run.wait());
    }
    eventually("every process is gone", || env.processes().is_empty());
    env.run(&["images", "-a"]).ok();
    assert_eq!(env.half_made(), [""; 0]);
    assert_sound(&env, "after all of them");
    for name in &names {
        env.run(&["pull", name]).ok();
    }
    env.run(&["system", "prune", "-af"]).ok();
    assert_sound(&env, "after the prune");
}

/// What is refused is refused for what another command did.
#[track_caller]
fn judge(kind: usize, run: crate::process::Outcome) {
    let refusals: &[&str] = match kind {
        1 => &["already in use", "No such container"],
        2 => &["No such container"],
        3 | 6 => &["No such image"],
        _ => &[],
    };
    let refused = refusals.iter().any(|words| run.stderr.contains(words));
    assert!(run.code == 0 || refused, "{run:?}");
    assert!(!run.stderr.contains("panicked"), "{run:?}");
}

/// What must not wait for others, and how long it took.
fn work(env: &TestEnv, fine: &str, round: &str) -> Vec<(String, Duration)> {
    let named = format!("named:{round}");
    let mut took = Vec::new();
    for words in [
        &["pull", "-q", fine][..],
        &["tag", "busybox", &named],
        &[
            "run",
            "--network",
            "none",
            "--name",
            "box",
            "busybox",
            "true",
        ],
        &["rm", "box"],
        &["rmi", &named],
        &["rmi", "-f", fine],
        &["image", "prune", "-f"],
        &["system", "check"],
    ] {
        // A check reads all that is there, on a disk that may be slow.
        let run = env.command(words).limit(LONG).run();
        took.push((words.join(" "), run.ok().took));
    }
    took
}

/// Deleting takes long, and happens after everything is out of sight and no lock is held.
#[test]
fn nobody_waits_for_a_prune_that_deletes_much() {
    let env = test_env!();
    env.busybox();
    let registry = Registry::start();
    let layer = TestLayer::gzip(&image::tar(&[("fine", b"fine")]));
    registry.add("fine", "1", &TestImage::new(vec![layer]));
    let fine = registry.reference("fine:1");
    // Files of 50 KiB: 50 MB of them, or 5 GB.
    let files = count(1_000, 100_000);
    let script = format!(
        "mkdir /d; x=$(head -c 51200 /dev/zero | tr '\\0' x); for n in $(seq {files}); do printf %s $x > /d/f$n; done"
    );
    let make = ["run", "--network", "none", "--name", "maker", "busybox"];
    env.command(&[&make[..], &["sh", "-c", &script]].concat())
        .limit(LONG)
        .run()
        .ok();
    let commit = env.command(&["commit", "maker", "big:latest"]).limit(LONG);
    commit.run().ok();
    env.command(&["rm", "maker"]).limit(LONG).run().ok();
    let alone = work(&env, &fine, "alone");
    env.run(&["tag", "busybox", "big"]).ok();
    let layers = env.store().join("layers");
    let named = || {
        let all = crate::env::names(&layers);
        all.iter().filter(|name| !name.starts_with('.')).count()
    };
    let before = named();
    let prune = env.command(&["image", "prune", "-f"]).limit(LONG).spawn();
    // A pull that has begun before would keep all layers where they are.
    eventually("it deletes", || named() < before);
    for ((words, alone), (_, beside)) in alone.into_iter().zip(work(&env, &fine, "beside")) {
        assert!(
            beside < alone + Duration::from_secs(1),
            "{words}: {alone:?} alone, {beside:?} beside a prune"
        );
    }
    prune.wait().ok();
    assert_sound(&env, "pruned");
    let names = crate::env::names(&layers);
    assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
}

#[test]
fn nobody_waits_for_a_registry_that_never_answers() {
    let env = test_env!();
    env.busybox();
    let registry = Registry::start();
    let add = |name: &str| {
        let layer = TestLayer::gzip(&image::tar(&[(name, name.as_bytes())]));
        registry.add(name, "1", &TestImage::new(vec![layer.clone()]));
        layer.digest()
    };
    let (stuck, _) = (add("stuck"), add("fine"));
    let blob = format!("stuck/blobs/{stuck}");
    registry.misbehave(&blob, 99, Fault::Stall(10, Duration::from_secs(100)));
    let (hangs, fine) = (registry.reference("stuck:1"), registry.reference("fine:1"));
    let alone = work(&env, &fine, "alone");
    let pull = env.spawn(&["pull", &hangs]);
    eventually("it hangs", || registry.count(&blob) > 0);
    for ((words, alone), (_, beside)) in alone.into_iter().zip(work(&env, &fine, "beside")) {
        assert!(
            beside < alone + Duration::from_secs(1),
            "{words}: {alone:?} alone, {beside:?} beside a pull that hangs"
        );
    }
    let layers = env.store().join("layers");
    let here = || crate::env::names(&layers);
    let before = here();
    pull.signal(nix::sys::signal::Signal::SIGTERM);
    pull.wait();
    eventually("every process is gone", || env.processes().is_empty());
    // What was removed meanwhile had to stay for the pull; nobody else has to come and delete it.
    let after = here();
    let [left] = &after[..] else {
        panic!("{before:?} became {after:?}");
    };
    assert!(before.len() > 1 && before.contains(left), "{before:?}");
    env.run(&["images"]).ok();
}

#[test]
fn a_full_disk_hinders_no_removal() {
    let env = test_env!();
    let layer = Layer::new().file("big", 0o644, vec![1; 2 << 20]);
    let file = env.file("image.tar", busybox().docker_archive("busybox:latest"));
    let other = env.file(
        "other.tar",
        busybox().with(&layer).docker_archive("other:latest"),
    );
    let fill = "cat /dev/zero > $XDG_DATA_HOME/fill 2>/dev/null";
    let line = format!(
        "mount -t tmpfs -o size=24m,mode=0700 none $XDG_DATA_HOME && {0} load -q -i {file} && {0} load -q -i {other} \
         && {0} run --network none --name box busybox true; {fill}; {0} rm box; echo rm $?; {0} rmi other; echo rmi $?; \
         {0} untag busybox; {fill}2; {0} image prune -f; echo prune $?; {0} images -aq; {0} ps -aq; \
         rm $XDG_DATA_HOME/fill*; {0} system check; echo check $?",
        bryo().display()
    );
    let run = env
        .other(
            "unshare",
            &["--user", "--map-root-user", "--mount", "sh", "-c", &line],
        )
        .run();
    for part in ["rm 0\n", "rmi 0\n", "prune 0\n", "check 0\n"] {
        assert!(run.stdout.contains(part), "{part}: {run:#?}");
    }
    assert!(run.stdout.ends_with("MB\nprune 0\ncheck 0\n"), "{run:#?}");
}
