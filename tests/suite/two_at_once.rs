//! Two commands at the same container at the same time: one wins, the other says so, and what is left is whole.

use std::time::Duration;

use crate::env::{TestEnv, count, test_env};
use crate::need::{Need, need};
use crate::process::{Outcome, eventually};

const SOON: Duration = Duration::from_secs(20);

/// Both at once, the second a little later each time, so that they meet at different steps.
fn both(env: &TestEnv, round: usize, first: &[&str], second: &[&str]) -> [Outcome; 2] {
    let (first, second) = match round % 2 {
        0 => (first, second),
        _ => (second, first),
    };
    let early = env.spawn(first);
    std::thread::sleep(Duration::from_micros(500 * (round as u64 / 2 % 20)));
    let late = env.spawn(second);
    let outcomes = [early.wait(), late.wait()];
    for outcome in &outcomes {
        assert!(outcome.took < SOON, "{outcome:?}");
    }
    match round % 2 {
        0 => outcomes,
        _ => {
            let [one, other] = outcomes;
            [other, one]
        }
    }
}

fn create(env: &TestEnv, name: &str) {
    let words = ["create", "--network", "none", "--name", name];
    env.run(&[&words[..], &["busybox", "sleep", "1000"]].concat())
        .ok();
}

/// By the name it was asked for, or by that there is no such container any more.
fn says_so(loser: Outcome) {
    let loser = loser.fails(1, "Error: ");
    assert!(
        loser.stderr.contains("box") || loser.stderr.contains("No such container"),
        "{loser:?}"
    );
}

fn status(env: &TestEnv, name: &str) -> Option<String> {
    let inspected = env.run(&["inspect", "-f", "{{.State.Status}}", name]);
    (inspected.code == 0).then(|| inspected.out())
}

#[test]
fn rm_and_start() {
    let env = test_env!();
    env.busybox();
    for round in 0..count(20, 200) {
        create(&env, "box");
        let [removed, started] = both(&env, round, &["rm", "box"], &["start", "box"]);
        match (removed.code, started.code) {
            (0, 1) => {
                says_so(started);
                assert_eq!(status(&env, "box"), None);
            }
            (1, 0) => {
                says_so(removed);
                assert_eq!(status(&env, "box").as_deref(), Some("running"));
                env.run(&["rm", "-f", "box"]).ok();
            }
            _ => panic!("{removed:?}\n{started:?}"),
        }
    }
}

#[test]
fn stop_and_restart() {
    let env = test_env!();
    env.busybox();
    env.run(&[
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "box",
        "busybox",
        "sleep",
        "1000",
    ])
    .ok();
    for round in 0..count(20, 200) {
        let [stopped, restarted] = both(&env, round, &["stop", "box"], &["restart", "box"]);
        stopped.ok();
        let now = status(&env, "box");
        match restarted.code {
            // Whichever came last.
            0 => assert!(
                matches!(now.as_deref(), Some("running" | "exited")),
                "{now:?}"
            ),
            _ => {
                says_so(restarted);
                assert_eq!(now.as_deref(), Some("exited"));
            }
        }
        if now.as_deref() == Some("exited") {
            env.run(&["start", "box"]).ok();
        }
        assert_eq!(env.out(&["exec", "box", "echo", "alive"]), "alive");
    }
}

#[test]
fn two_starts_and_two_removals() {
    let env = test_env!();
    env.busybox();
    for round in 0..count(10, 100) {
        create(&env, "box");
        // Docker's second `start` of a running container is no error.
        for outcome in both(&env, round, &["start", "box"], &["start", "box"]) {
            outcome.ok();
        }
        assert_eq!(env.out(&["exec", "box", "echo", "alive"]), "alive");
        let removals = both(&env, round, &["rm", "-f", "box"], &["rm", "-f", "box"]);
        assert!(removals.iter().any(|one| one.code == 0), "{removals:?}");
        for removal in removals {
            assert!(
                removal.code == 0 || removal.stderr.contains("box"),
                "{removal:?}"
            );
        }
        assert_eq!(status(&env, "box"), None);
    }
}

#[test]
fn two_renames() {
    let env = test_env!();
    env.busybox();
    for round in 0..count(10, 100) {
        for name in ["one", "two"] {
            create(&env, name);
        }
        // Two containers that want the same name.
        let wanted = both(
            &env,
            round,
            &["rename", "one", "same"],
            &["rename", "two", "same"],
        );
        let codes = wanted.each_ref().map(|one| one.code);
        assert!(codes == [0, 1] || codes == [1, 0], "{wanted:?}");
        for one in wanted.into_iter().filter(|one| one.code != 0) {
            one.fails(1, "same");
        }
        // One container that is to have two names.
        let renamed = both(
            &env,
            round,
            &["rename", "same", "here"],
            &["rename", "same", "there"],
        );
        let won: Vec<_> = renamed.iter().filter(|one| one.code == 0).collect();
        assert_eq!(won.len(), 1, "{renamed:?}");
        let names = env.out(&["ps", "-a", "--format", "{{.Names}}"]);
        assert_eq!(names.lines().count(), 2, "{names}");
        assert!(!names.contains("same"), "{names}");
        let all: Vec<_> = names.lines().collect();
        env.run(&[&["rm"][..], &all].concat()).ok();
    }
}

/// Beside a container that runs nobody waits for a home of its own to be made: both starts go all the way at once.
#[test]
fn two_starts_beside_another_container() {
    let env = test_env!();
    env.busybox();
    create(&env, "other");
    env.run(&["start", "other"]).ok();
    for round in 0..count(10, 100) {
        create(&env, "box");
        for outcome in both(&env, round, &["start", "box"], &["start", "box"]) {
            outcome.ok();
        }
        assert_eq!(env.out(&["exec", "box", "echo", "alive"]), "alive");
        env.run(&["rm", "-f", "box"]).ok();
    }
}

/// What it found out about the container is old when it goes on: the monitor that is named there by then is another's.
#[test]
fn a_start_that_looked_before_another_began_does_not_wait_for_its_end() {
    let env = test_env!();
    need!(Need::Program("strace"));
    env.busybox();
    create(&env, "other");
    env.run(&["start", "other"]).ok();
    create(&env, "box");
    let id = env.out(&["inspect", "-f", "{{.Id}}", "box"]);
    let state = env.store().join("containers").join(id).join("state");
    let state = state.to_str().expect("test paths are UTF-8");
    let trace = env.path("trace");
    let trace_name = trace.to_str().expect("test paths are UTF-8");
    let program = crate::env::bryo().display().to_string();
    // The other one begins after its first question for the lock, or the second…
    for questions in 1..=3 {
        let slow = "inject=fcntl:delay_exit=500000";
        let begin = ["-o", trace_name, "-P", state, "-e", slow];
        let line = [&begin[..], &[&program, "start", "box"]].concat();
        let slow = env.other("strace", &line).spawn();
        eventually("it asks for the lock", || {
            let trace = std::fs::read_to_string(&trace).unwrap_or_default();
            trace.matches("F_OFD_GETLK").count() >= questions
        });
        env.run(&["start", "box"]).ok();
        slow.wait().ok();
        assert_eq!(env.out(&["exec", "box", "echo", "alive"]), "alive");
        env.run(&["kill", "box"]).ok();
        std::fs::remove_file(&trace).expect("strace wrote it");
    }
}
