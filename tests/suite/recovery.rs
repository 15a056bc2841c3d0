//! Accidents: `kill -9` of every process at every moment, full disks, two commands at once.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::env::{TestEnv, count, test_env};
use crate::image::{Layer, busybox};
use crate::need::{Need, need};
use crate::process::eventually;

/// What the role calls itself that reads archives.
const WORKER: &str = "bryo: worker";

/// The processes of a test whose command line contains a text.
pub fn pids(env: &TestEnv, part: &str) -> Vec<Pid> {
    let processes = env
        .processes()
        .into_iter()
        .filter(|process| process.contains(part));
    processes
        .filter_map(|process| process.split(' ').next()?.parse().ok().map(Pid::from_raw))
        .collect()
}

/// Lets a part of what something takes go by: moments are spread over the whole of it. No wait for anything, it chooses where to strike.
pub fn until_moment(whole: Duration, number: u32, tries: u32) {
    std::thread::sleep(whole * number / tries);
}

/// The store can still do everything.
#[track_caller]
pub fn assert_valid(env: &TestEnv, what: &str) {
    for arguments in [
        &["images", "-a"][..],
        &["ps", "-a"],
        &["run", "--rm", "--network", "none", "busybox", "true"],
    ] {
        let run = env.run(arguments);
        assert_eq!(run.code, 0, "after {what}: {run:?}");
    }
    assert!(
        env.half_made().is_empty(),
        "after {what}: {:?}",
        env.half_made()
    );
}

#[test]
fn a_killed_monitor_takes_its_container_with_it() {
    let env = test_env!();
    env.busybox();
    env.run(&[
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "orphan",
        "busybox",
        "sleep",
        "1000",
    ])
    .ok();
    for pid in pids(&env, "monitor") {
        kill(pid, Signal::SIGKILL).expect("it is ours");
    }
    eventually("every process is gone", || env.processes().is_empty());
    assert_eq!(
        env.out(&["inspect", "--format", "{{.State.Running}}", "orphan"]),
        "false"
    );
    assert_eq!(
        env.out(&["inspect", "--format", "{{.State.ExitCode}}", "orphan"]),
        "137"
    );
    env.run(&["start", "orphan"]).ok();
    env.run(&["rm", "-f", "orphan"]).ok();
}

#[test]
fn a_killed_monitor_takes_a_program_with_it_that_changed_its_user() {
    // PID 1 that calls setuid, as gosu does, loses its parent-death signal.
    let env = test_env!();
    need!(Need::SubordinateIds);
    let layer = Layer::new().file("etc/group", 0o644, "root:x:0:\napp:x:1000:\n");
    env.load(&busybox().with(&layer).docker_archive("gosu:latest"));
    env.run(&[
        "run",
        "-d",
        "--network",
        "none",
        "-u",
        "app",
        "--name",
        "gosu",
        "gosu",
        "sleep",
        "1000",
    ])
    .ok();
    for pid in pids(&env, "monitor") {
        kill(pid, Signal::SIGKILL).expect("it is ours");
    }
    eventually("every process is gone", || env.processes().is_empty());
    assert_eq!(env.out(&["ps", "-q"]), "");
}

#[test]
fn a_killed_command_leaves_its_detached_container_alone() {
    let env = test_env!();
    env.busybox();
    let mut run = env.spawn(&[
        "run",
        "--network",
        "none",
        "--name",
        "stays",
        "busybox",
        "sh",
        "-c",
        "echo up; exec sleep 1000",
    ]);
    run.until("up");
    run.signal(Signal::SIGKILL);
    assert_eq!(run.wait().code, 137);
    assert_eq!(
        env.out(&["inspect", "--format", "{{.State.Running}}", "stays"]),
        "true"
    );
}

#[test]
fn a_load_killed_at_any_moment_leaves_a_valid_store() {
    let env = test_env!();
    env.busybox();
    let layer = Layer::new().file("big", 0o644, vec![b'x'; 4 << 20]);
    let file = env.file(
        "big.tar",
        busybox().with(&layer).docker_archive("big:latest"),
    );
    let whole = env.run(&["load", "-i", &file]).ok().took;
    let tries = u32::try_from(count(20, 200)).expect("it is small");
    for number in 0..tries {
        env.run(&["rmi", "-f", "big"]);
        let load = env.spawn(&["load", "-i", &file]);
        until_moment(whole, number, tries);
        load.signal(Signal::SIGKILL);
        load.wait();
        assert_valid(&env, &format!("a load killed at {number} of {tries}"));
    }
    env.run(&["load", "-i", &file]).ok();
}

#[test]
fn a_run_killed_at_any_moment_leaves_a_valid_store_and_no_process() {
    let env = test_env!();
    env.busybox();
    let tries = u32::try_from(count(20, 200)).expect("it is small");
    for number in 0..tries {
        let run = env.spawn(&["run", "--rm", "--network", "none", "busybox", "true"]);
        until_moment(Duration::from_millis(15), number, tries);
        run.signal(Signal::SIGKILL);
        run.wait();
        assert_valid(&env, &format!("a run killed at {number} of {tries}"));
    }
    eventually("no container is left", || {
        env.out(&["ps", "-aq"]).is_empty()
    });
}

/// The child of a process that names itself so.
pub fn role(parent: i32, name: &str) -> Option<Pid> {
    let children =
        std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    let comm = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let mut all = children.split_whitespace();
    let pid = all.find(|pid| comm(pid).trim_end().starts_with(name))?;
    pid.parse().ok().map(Pid::from_raw)
}

#[test]
fn a_load_whose_worker_is_killed_at_any_moment_leaves_a_valid_store() {
    let env = test_env!();
    env.busybox();
    let layer = Layer::new().file("big", 0o644, vec![b'x'; 4 << 20]);
    let file = env.file(
        "big.tar",
        busybox().with(&layer).docker_archive("big:latest"),
    );
    let whole = env.run(&["load", "-i", &file]).ok().took;
    let tries = u32::try_from(count(20, 200)).expect("it is small");
    let mut struck = 0;
    for number in 0..tries {
        env.run(&["rmi", "-f", "big"]);
        let load = env.spawn(&["load", "-i", &file]);
        until_moment(whole, number, tries);
        let hit = role(load.pid(), WORKER).is_some_and(|pid| kill(pid, Signal::SIGKILL).is_ok());
        let end = load.wait();
        assert!(end.code == 0 || hit && end.code == 1, "{end:?}");
        assert!(!end.stderr.contains("panicked"), "{end:?}");
        struck += u32::from(end.code == 1);
        assert_valid(&env, &format!("a worker killed at {number} of {tries}"));
    }
    assert!(struck > tries / 4, "only {struck} of {tries} were hit");
    env.run(&["load", "-i", &file]).ok();
}

#[test]
fn a_run_whose_monitor_is_killed_at_any_moment_leaves_a_valid_store_and_no_process() {
    let env = test_env!();
    env.busybox();
    let tries = u32::try_from(count(20, 200)).expect("it is small");
    let run = ["run", "--rm", "--network", "none", "busybox", "true"];
    // The first one reads the disk.
    let whole = (0..3).map(|_| env.run(&run).ok().took).min();
    let whole = whole.expect("there were three");
    let mut struck = 0;
    for number in 0..tries {
        let run = env.spawn(&run);
        until_moment(whole, number, tries);
        for pid in pids(&env, "bryo: monitor") {
            struck += u32::from(kill(pid, Signal::SIGKILL).is_ok());
        }
        let end = run.wait();
        assert!(!end.stderr.contains("panicked"), "{end:?}");
        eventually("every process is gone", || env.processes().is_empty());
        assert_valid(&env, &format!("a monitor killed at {number} of {tries}"));
        // One that was killed cannot remove its container; it is said to be dead, and goes.
        assert_eq!(env.out(&["ps", "-q"]), "");
        env.run(&["container", "prune", "-f"]).ok();
        assert!(env.containers().is_empty(), "{:?}", env.containers());
    }
    assert!(struck > tries / 4, "only {struck} of {tries} were hit");
}

#[test]
fn two_loads_of_one_image_at_once_both_succeed() {
    let env = test_env!();
    let file = env.file("image.tar", busybox().docker_archive("busybox:latest"));
    for _ in 0..count(3, 30) {
        let loads: Vec<_> = (0..3).map(|_| env.spawn(&["load", "-i", &file])).collect();
        for load in loads {
            load.wait().ok();
        }
        assert_eq!(env.out(&["images", "-q"]).lines().count(), 1);
        assert_valid(&env, "two loads at once");
        env.run(&["rmi", "-f", "busybox"]).ok();
    }
}

#[test]
fn removing_an_image_while_it_is_being_run_never_breaks_either() {
    let env = test_env!();
    let file = env.file("image.tar", busybox().docker_archive("busybox:latest"));
    for _ in 0..count(5, 50) {
        env.run(&["load", "-i", &file]).ok();
        let run = env.spawn(&[
            "run",
            "--rm",
            "--pull",
            "never",
            "--network",
            "none",
            "busybox",
            "echo",
            "alive",
        ]);
        let remove = env.spawn(&["rmi", "busybox"]);
        let (run, remove) = (run.wait(), remove.wait());
        assert!(
            run.code == 0 && run.stdout == "alive\n" || run.code == 125,
            "{run:?}"
        );
        assert!(
            run.code == 0 || remove.code == 0,
            "both failed: {run:?} {remove:?}"
        );
    }
    env.run(&["load", "-i", &file]).ok();
    assert_valid(&env, "rmi against run");
}

#[test]
fn a_full_disk_is_an_error_and_no_damage() {
    let env = test_env!();
    // A user namespace's own tmpfs is a disk that can be filled; xattrs or not, what matters is the failure.
    let file = env.file(
        "image.tar",
        busybox()
            .with(&Layer::new().file("big", 0o644, vec![1; 8 << 20]))
            .docker_archive("big:latest"),
    );
    let bryo = crate::env::bryo();
    let line = format!(
        "mount -t tmpfs -o size=5m,mode=0700 none $XDG_DATA_HOME && {0} load -i {file}; echo code $?; {0} images -aq; echo code $?",
        bryo.display()
    );
    let run = env
        .other(
            "unshare",
            &["--user", "--map-root-user", "--mount", "sh", "-c", &line],
        )
        .run();
    assert_eq!(run.stdout, "code 1\ncode 0\n", "{run:?}");
    assert!(run.stderr.contains("No space left"), "{run:?}");
}

#[test]
fn the_exit_code_of_a_program_that_filled_the_disk_is_known() {
    let env = test_env!();
    let file = env.file("image.tar", busybox().docker_archive("busybox:latest"));
    let line = format!(
        "mount -t tmpfs -o size=12m,mode=0700 none $XDG_DATA_HOME && {0} load -q -i {file} && {0} run --network none --name full busybox sh -c 'cat /dev/zero > /x 2>/dev/null; cat /dev/zero > /y 2>/dev/null; exit 7'; echo code $?; {0} inspect --format '{{{{.State.ExitCode}}}}' full; {0} ps -a --format '{{{{.Status}}}}'; {0} rm full",
        crate::env::bryo().display()
    );
    let run = env
        .other(
            "unshare",
            &["--user", "--map-root-user", "--mount", "sh", "-c", &line],
        )
        .run();
    assert!(run.stdout.contains("code 7\n7\nExited (7)"), "{run:?}");
}

#[test]
fn a_lost_runtime_directory_loses_nothing() {
    let env = test_env!();
    env.busybox();
    env.run(&[
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "lives",
        "busybox",
        "sleep",
        "1000",
    ])
    .ok();
    std::fs::remove_dir_all(env.path("run/bryo")).expect("it was there");
    assert_eq!(env.out(&["ps", "--format", "{{.Names}}"]), "lives");
    // A second container joins the same home namespace, found through the first one's record.
    env.run(&["run", "--rm", "--network", "none", "busybox", "true"])
        .ok();
    env.run(&["rm", "-f", "lives"]).ok();
}

#[test]
fn a_killed_monitor_takes_a_first_process_with_it_that_changed_its_user_itself() {
    let env = test_env!();
    need!(Need::SubordinateIds);
    env.busybox();
    let script = "echo up; exec su -s /bin/sh app -c 'id -u; exec sleep 1000'";
    let run = [
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "gosu",
        "busybox",
        "sh",
        "-c",
        script,
    ];
    env.run(&run).ok();
    eventually("it has changed its user", || {
        env.out(&["logs", "gosu"]) == "up\n1000"
    });
    for pid in pids(&env, "bryo: monitor gosu") {
        kill(pid, Signal::SIGKILL).expect("it is ours");
    }
    eventually("every process is gone", || env.processes().is_empty());
    assert_eq!(env.out(&["ps", "-q"]), "");
    env.run(&["rm", "gosu"]).ok();
    assert!(env.sockets().is_empty(), "{:?}", env.sockets());
}

#[test]
fn a_container_to_be_removed_whose_monitor_was_killed_starts_again_and_is_removed() {
    // Its overlay was volatile: the kernel refuses to mount such a one again.
    let env = test_env!();
    env.busybox();
    let run = [
        "run",
        "-d",
        "--rm",
        "--network",
        "none",
        "--name",
        "again",
        "busybox",
        "sh",
        "-c",
    ];
    env.run(&[&run[..], &["echo >> /count; exec sleep 1000"]].concat())
        .ok();
    eventually("it runs", || !env.out(&["ps", "-q"]).is_empty());
    for pid in pids(&env, "bryo: monitor again") {
        kill(pid, Signal::SIGKILL).expect("it is ours");
    }
    eventually("every process is gone", || env.processes().is_empty());
    env.run(&["start", "again"]).ok();
    let driver = env.out(&["inspect", "--format", "{{.GraphDriver.Name}}", "again"]);
    assert_eq!(driver, "overlay2");
    env.run(&["rm", "-f", "again"]).ok();
    assert!(env.containers().is_empty());
}

#[test]
fn a_run_that_cannot_be_started_leaves_no_container_with_rm() {
    let env = test_env!();
    env.busybox();
    for flags in [
        &["-w", "relative"][..],
        &["-u", "nobody-here"],
        &["--entrypoint", "/none"],
    ] {
        let run = [
            &["run", "--rm", "--network", "none"],
            flags,
            &["busybox", "true"],
        ]
        .concat();
        assert_ne!(env.run(&run).code, 0);
        assert_eq!(env.out(&["ps", "-aq"]), "", "{flags:?}");
        assert!(env.containers().is_empty(), "{flags:?}");
    }
}
