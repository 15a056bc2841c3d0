//! `stop`: many at once, what cannot hear its signal, and how long it takes.

use std::time::Duration;

use crate::env::{TestEnv, test_env};
use crate::process::eventually;

const POLITE: &str = "trap 'exit 33' TERM; echo ready; while :; do sleep 0.05; done";

fn start(env: &TestEnv, name: &str, flags: &[&str], program: &[&str]) {
    let fixed = ["run", "-d", "--network", "none", "--name", name];
    env.run(&[&fixed, flags, &["busybox"], program].concat())
        .ok();
}

fn code(env: &TestEnv, name: &str) -> String {
    env.out(&["inspect", "-f", "{{.State.ExitCode}}", name])
}

#[test]
fn what_cannot_hear_its_signal_is_killed_at_once_and_said_so() {
    let env = test_env!();
    env.busybox();
    start(&env, "deaf", &[], &["sleep", "1000"]);
    let stopped = env.run(&["stop", "deaf"]).ok();
    assert_eq!(stopped.stdout, "deaf\n");
    assert_eq!(
        stopped.stderr,
        "deaf: its program has no handler for SIGTERM, so it was killed at once\n"
    );
    assert!(stopped.took < Duration::from_secs(5), "{stopped:?}");
    assert_eq!(code(&env, "deaf"), "137");
    // A reaper hands the signal on, and a child without a handler ends by it.
    start(&env, "reaped", &["--init"], &["sleep", "1000"]);
    let stopped = env.run(&["stop", "reaped"]).ok();
    assert_eq!(
        (stopped.stdout.as_str(), stopped.stderr.as_str()),
        ("reaped\n", "")
    );
    assert_eq!(code(&env, "reaped"), "143");
    // A handler that takes its time gets it.
    let slow = "trap 'sleep 0.3; exit 34' TERM; echo ready; while :; do sleep 0.05; done";
    start(&env, "slow", &[], &["sh", "-c", slow]);
    eventually("the trap", || env.out(&["logs", "slow"]) == "ready");
    env.run(&["stop", "slow"]).ok();
    assert_eq!(code(&env, "slow"), "34");
}

#[test]
fn many_are_stopped_together_and_named_as_they_end() {
    let env = test_env!();
    env.busybox();
    // Each ends only after half a second: one after the other they would take two.
    let script = "trap 'sleep 0.5; exit 33' TERM; echo ready; while :; do sleep 0.05; done";
    let names = ["s1", "s2", "s3", "s4"];
    for name in names {
        start(&env, name, &[], &["sh", "-c", script]);
    }
    start(&env, "quick", &[], &["sleep", "1000"]);
    for name in names {
        eventually("the trap", || env.out(&["logs", name]) == "ready");
    }
    let all = ["stop", "s1", "nothing", "s2", "s3", "s4", "quick"];
    let stopped = env.run(&all).fails(1, "No such container: nothing");
    let mut lines = stopped.lines();
    assert_eq!(lines[0], "quick", "the first to end is named first");
    lines.sort_unstable();
    assert_eq!(lines, ["quick", "s1", "s2", "s3", "s4"]);
    assert!(stopped.took < Duration::from_millis(1800), "{stopped:?}");
    for name in names {
        assert_eq!(code(&env, name), "33");
    }
}

#[test]
fn each_is_killed_when_its_own_time_is_over() {
    let env = test_env!();
    env.busybox();
    let stubborn = "trap : TERM; echo ready; while :; do sleep 0.05; done";
    start(
        &env,
        "stubborn",
        &["--stop-timeout", "1"],
        &["sh", "-c", stubborn],
    );
    start(
        &env,
        "polite",
        &["--stop-timeout", "30"],
        &["sh", "-c", POLITE],
    );
    for name in ["stubborn", "polite"] {
        eventually("the trap", || env.out(&["logs", name]) == "ready");
    }
    let stopped = env.run(&["stop", "stubborn", "polite"]).ok();
    assert_eq!(stopped.lines(), ["polite", "stubborn"]);
    assert!(stopped.took > Duration::from_millis(900), "{stopped:?}");
    assert_eq!(code(&env, "stubborn"), "137");
    assert_eq!(code(&env, "polite"), "33");
}
