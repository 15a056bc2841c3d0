//! `logs`: both streams, following, tails, timestamps.

use crate::env::{shared_env, test_env};

const NONE: [&str; 2] = ["--network", "none"];

#[test]
fn both_streams_are_kept_apart() {
    let env = shared_env!();
    env.busybox();
    env.run(&[
        "run",
        NONE[0],
        NONE[1],
        "--name",
        "two",
        "busybox",
        "sh",
        "-c",
        "echo out; echo error >&2",
    ])
    .ok();
    let logs = env.run(&["logs", "two"]).ok();
    assert_eq!(
        (logs.stdout.as_str(), logs.stderr.as_str()),
        ("out\n", "error\n")
    );
}

#[test]
fn a_tail_is_the_last_lines() {
    let env = shared_env!();
    env.busybox();
    env.run(&[
        "run", NONE[0], NONE[1], "--name", "many", "busybox", "seq", "1", "1000",
    ])
    .ok();
    assert_eq!(env.out(&["logs", "-n", "2", "many"]), "999\n1000");
    assert_eq!(env.out(&["logs", "--tail", "0", "many"]), "");
    assert_eq!(
        env.out(&["logs", "--tail", "all", "many"]).lines().count(),
        1000
    );
}

#[test]
fn following_shows_lines_as_they_come_and_ends_with_the_container() {
    let env = shared_env!();
    env.busybox();
    let script = "echo first; while [ ! -e /go ]; do sleep 0.02; done; echo second";
    env.run(&[
        "run", "-d", NONE[0], NONE[1], "--tmpfs", "/run", "--name", "talks", "busybox", "sh", "-c",
        script,
    ])
    .ok();
    let mut logs = env.spawn(&["logs", "-f", "talks"]);
    logs.until("first");
    assert!(logs.is_running());
    env.run(&["kill", "talks"]).ok();
    assert_eq!(logs.wait().ok().stdout, "first\n");
}

#[test]
fn timestamps_are_rfc_3339_with_nanoseconds() {
    let env = test_env!();
    env.busybox();
    env.run(&[
        "run", NONE[0], NONE[1], "--name", "timed", "busybox", "echo", "now",
    ])
    .ok();
    let line = env.out(&["logs", "-t", "timed"]);
    let (time, text) = line.split_once(' ').expect("a time and a text");
    assert_eq!(text, "now");
    // As docker prints it: 2024-01-02T03:04:05.123456789Z
    assert!(
        time.len() == 30
            && time.ends_with('Z')
            && time.as_bytes()[10] == b'T'
            && time.as_bytes()[19] == b'.',
        "{time}"
    );
}

#[test]
fn a_last_line_without_a_newline_is_kept_as_it_is() {
    let env = test_env!();
    env.busybox();
    env.run(&[
        "run", NONE[0], NONE[1], "--name", "open", "busybox", "printf", "no end",
    ])
    .ok();
    assert_eq!(env.run(&["logs", "open"]).ok().stdout, "no end");
}

#[test]
fn logs_of_a_long_line_and_of_many_bytes_are_whole() {
    let env = test_env!();
    env.busybox();
    let script = "head -c 300000 /dev/zero | tr '\\0' x; echo";
    env.run(&[
        "run", "-d", NONE[0], NONE[1], "--name", "long", "busybox", "sh", "-c", script,
    ])
    .ok();
    env.run(&["wait", "long"]).ok();
    assert_eq!(env.run(&["logs", "long"]).ok().stdout.len(), 300_001);
}
