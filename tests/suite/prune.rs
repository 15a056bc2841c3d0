//! `container prune`, and podman's `container exists` and `container cleanup`.

use nix::sys::signal::Signal;

use crate::env::{TestEnv, test_env};
use crate::spellings::ask;

const NONE: [&str; 2] = ["--network", "none"];

/// One that has ended with a file of 3000 bytes, one that has not begun, one that runs.
fn three(env: &TestEnv) -> Vec<String> {
    let script = "head -c 3000 /dev/zero > /file";
    let make = |rest: &[&str]| {
        let words = [&["run", "-d"], &NONE[..], rest].concat();
        env.out(&words)
    };
    let ended = make(&["--label", "tier=front", "busybox", "sh", "-c", script]);
    env.out(&["wait", &ended]);
    let created = env.out(&["create", NONE[0], NONE[1], "busybox", "true"]);
    let running = make(&["busybox", "sleep", "1000"]);
    vec![ended, created, running]
}

#[test]
fn container_prune_removes_what_does_not_run() {
    let env = test_env!();
    env.busybox();
    for flag in ["-f", "--force"] {
        let ids = three(&env);
        let pruned = ask(&env, "container prune", &[flag]).ok();
        let mut lines = pruned.lines();
        assert_eq!(lines.remove(0), "Deleted Containers:");
        assert_eq!(lines.pop(), Some("Total reclaimed space: 3kB"));
        assert_eq!(lines.pop(), Some(""));
        lines.sort_unstable();
        let mut expected = vec![ids[0].as_str(), &ids[1]];
        expected.sort_unstable();
        assert_eq!(lines, expected);
        assert_eq!(env.out(&["ps", "-aq", "--no-trunc"]), ids[2]);
        let again = ask(&env, "container prune", &[flag]).ok();
        assert_eq!(again.stdout, "Total reclaimed space: 0B\n");
        env.run(&["rm", "-f", &ids[2]]).ok();
    }
    assert_eq!(crate::env::names(&env.store().join("trash")), [""; 0]);
}

#[test]
fn container_prune_asks_first() {
    let env = test_env!();
    env.busybox();
    three(&env);
    for (answer, left) in [("", 3), ("n\n", 3), ("yes\n", 3), ("y\n", 1)] {
        let asked = env
            .command(&["container", "prune"])
            .input(answer)
            .run()
            .ok();
        let question = "WARNING! This will remove all stopped containers.\nAre you sure you want to continue? [y/N] ";
        assert!(asked.stdout.starts_with(question), "{asked:?}");
        assert_eq!(env.out(&["ps", "-aq"]).lines().count(), left, "{answer:?}");
    }
}

#[test]
fn container_prune_filters_choose() {
    let env = test_env!();
    env.busybox();
    let ids = three(&env);
    let left = |filters: &[&str]| {
        let mut words = vec!["-f"];
        for filter in filters {
            words.extend(["--filter", filter]);
        }
        ask(&env, "container prune", &words).ok();
        env.out(&["ps", "-aq"]).lines().count()
    };
    assert_eq!(left(&["until=1h"]), 3);
    assert_eq!(left(&["label=tier=back"]), 3);
    assert_eq!(left(&["label!=tier", "until=1h"]), 3);
    assert_eq!(left(&["label=tier=front", "until=0s"]), 2);
    env.run(&["inspect", &ids[0]]).code(1);
    assert_eq!(left(&["label!=tier"]), 1);
    let refused = ask(&env, "container prune", &["-f", "--filter", "colour=red"]);
    refused.fails(1, "invalid filter 'colour'");
}

#[test]
fn exists_answers_by_its_exit_code() {
    let env = test_env!();
    env.busybox();
    let id = env.out(&["create", NONE[0], NONE[1], "--name", "web", "busybox"]);
    for name in ["web", &id, &id[..8]] {
        assert_eq!(ask(&env, "container exists", &[name]).ok().stdout, "");
    }
    let missing = ask(&env, "container exists", &["nothing"]).code(1);
    assert_eq!((missing.stdout.as_str(), missing.stderr.as_str()), ("", ""));
}

#[test]
fn cleanup_takes_away_what_a_killed_monitor_left() {
    let env = test_env!();
    env.busybox();
    let run = [
        "run", "-d", NONE[0], NONE[1], "--name", "web", "busybox", "sleep", "1000",
    ];
    env.run(&run).ok();
    let running = ask(&env, "container cleanup", &["web"]);
    running.fails(1, "container web is running, refusing to clean up");
    let monitors = env.processes();
    let monitor = monitors
        .iter()
        .find(|process| process.contains("monitor web"));
    let pid = monitor.and_then(|process| process.split(' ').next()?.parse().ok());
    let pid = nix::unistd::Pid::from_raw(pid.expect("it has a monitor"));
    nix::sys::signal::kill(pid, Signal::SIGKILL).expect("it is ours");
    crate::process::eventually("its end", || env.out(&["ps", "-q"]).is_empty());
    assert_eq!(env.sockets().len(), 1);
    assert_eq!(ask(&env, "container cleanup", &["web"]).ok().out(), "web");
    assert_eq!(env.sockets().len(), 0);
    let all = ask(&env, "container cleanup", &["--all", "--rm"]).ok();
    assert_eq!(all.lines().len(), 1);
    ask(&env, "container exists", &["web"]).code(1);
}

#[test]
fn wait_takes_podmans_conditions() {
    let env = test_env!();
    env.busybox();
    env.out(&[
        "create", NONE[0], NONE[1], "--name", "web", "busybox", "sleep", "1000",
    ]);
    assert_eq!(env.out(&["wait", "--condition", "created", "web"]), "-1");
    let mut running = env.spawn(&["wait", "--condition=running", "--interval", "10s", "web"]);
    let mut stopped = env.spawn(&["container", "wait", "--condition", "stopped", "web"]);
    assert!(running.is_running() && stopped.is_running());
    env.run(&["start", "web"]).ok();
    assert_eq!(running.wait().ok().out(), "-1");
    assert!(stopped.is_running());
    env.run(&["kill", "web"]).ok();
    assert_eq!(stopped.wait().ok().out(), "137");
    assert_eq!(env.out(&["wait", "--ignore", "nothing", "web"]), "-1\n137");
    env.run(&["wait", "--condition", "gone", "web"])
        .fails(125, "unknown condition");
}
