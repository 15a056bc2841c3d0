//! The monitor dies at each step of a start and an end: the container is dead, said to be so, and removable; its name is free.

use crate::env::{TestEnv, test_env};
use crate::process::eventually;

const STARTING: [&str; 8] = [
    "begin",
    "locked",
    "recorded",
    "listening",
    "cloned",
    "ready",
    "executed",
    "running",
];
const ENDING: [&str; 4] = ["ended", "exit recorded", "exit told", "torn down"];
const SWITCH: &str = "BRYO_TEST_MONITOR_DIES";

/// Nothing runs, and what there is can be removed and made again at once.
fn is_over(env: &TestEnv, step: &str) {
    eventually("everything to be dead", || env.processes().is_empty());
    assert_eq!(env.out(&["ps", "-q"]), "", "{step}");
    let status = env.out(&["ps", "-a", "--format", "{{.Status}}"]);
    let expected = status.starts_with("Exited") || status == "Created";
    assert!(expected, "{step}: {status:?}");
    env.run(&["rm", "box"]).ok();
    let again = [
        "run",
        "--rm",
        "--network",
        "none",
        "--name",
        "box",
        "busybox",
        "echo",
        "again",
    ];
    assert_eq!(env.out(&again), "again", "{step}");
    eventually("its socket to be gone", || env.sockets().is_empty());
}

#[test]
fn at_each_step_of_a_start() {
    let env = test_env!();
    env.busybox();
    for step in STARTING {
        let script = "exec setuidgid daemon sleep 1000";
        let run = [
            "run",
            "-d",
            "--network",
            "none",
            "--name",
            "box",
            "busybox",
            "sh",
            "-c",
            script,
        ];
        let ended = env.command(&run).var(SWITCH, step).run();
        ended.fails(125, "monitor");
        is_over(&env, step);
    }
}

/// Where another container runs, the monitor is called before its container is made.
#[test]
fn at_each_step_of_a_start_beside_another_container() {
    let env = test_env!();
    env.busybox();
    let run = |name, step| {
        let run = ["run", "-d", "--network", "none", "--name", name];
        let run = [&run[..], &["busybox", "sleep", "1000"]].concat();
        env.command(&run).var(SWITCH, step)
    };
    run("other", "").run().ok();
    let before = env.processes();
    for step in STARTING {
        run("box", step).run().fails(125, "monitor");
        eventually("its processes to be dead", || env.processes() == before);
        env.run(&["rm", "box"]).ok();
    }
    // One that is dead before it is told what to start is replaced.
    let told_late = run("box", "waiting").var("BRYO_TEST_LINGERS", "tell");
    told_late.run().ok();
    env.run(&["rm", "-f", "box"]).ok();
    eventually("its processes to be dead", || env.processes() == before);
    env.run(&["rm", "-f", "other"]).ok();
}

#[test]
fn just_after_it_has_said_that_the_program_runs() {
    let env = test_env!();
    env.busybox();
    let run = [
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "box",
        "busybox",
        "sleep",
        "1000",
    ];
    env.command(&run).var(SWITCH, "told").run().ok();
    is_over(&env, "told");
}

#[test]
fn at_each_step_of_an_end() {
    let env = test_env!();
    env.busybox();
    for step in ENDING {
        let run = [
            "run",
            "-d",
            "--network",
            "none",
            "--name",
            "box",
            "busybox",
            "sleep",
            "1000",
        ];
        env.command(&run).var(SWITCH, step).run().ok();
        env.run(&["stop", "-t", "0", "box"]).ok();
        eventually("everything to be dead", || env.processes().is_empty());
        let status = env.out(&["ps", "-a", "--format", "{{.Status}}"]);
        assert!(status.starts_with("Exited (137)"), "{step}: {status:?}");
        is_over(&env, step);
    }
}

#[test]
fn container_that_removes_itself_leaves_nothing_that_stays() {
    let env = test_env!();
    env.busybox();
    for step in ENDING {
        let run = [
            "run",
            "--rm",
            "--network",
            "none",
            "--name",
            "box",
            "busybox",
            "true",
        ];
        let _ = env.command(&run).var(SWITCH, step).run();
        eventually("everything to be dead", || env.processes().is_empty());
        env.run(&["rm", "-f", "box"]).ok();
        let run = [
            "run",
            "--rm",
            "--network",
            "none",
            "--name",
            "box",
            "busybox",
            "echo",
            "again",
        ];
        assert_eq!(env.out(&run), "again", "{step}");
        env.run(&["ps", "-a"]).ok();
        let trash = crate::env::names(&env.store().join("trash"));
        assert!(trash.is_empty(), "{step}: {trash:?}");
    }
}
