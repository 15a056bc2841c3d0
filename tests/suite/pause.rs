//! `pause` and `unpause`: the cgroup freezer where the tree is delegated, and a plain word where it is not.

use std::time::Duration;

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::process::eventually;
use crate::spellings::words;

fn start(env: &TestEnv) {
    env.busybox();
    let script = "while :; do echo tick; sleep 0.05; done";
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
    env.run(&run).ok();
    eventually("the program", || ticks(env) > 0);
}

fn ticks(env: &TestEnv) -> usize {
    env.out(&["logs", "box"]).lines().count()
}

fn status(env: &TestEnv) -> String {
    env.out(&[
        "inspect",
        "--format",
        "{{.State.Status}} {{.State.Paused}}",
        "box",
    ])
}

#[test]
fn paused_container_stands_still_and_goes_on() {
    let env = test_env!();
    need!(Need::Cgroup);
    start(&env);
    for (pause, unpause) in [
        ("pause", "unpause"),
        ("container pause", "container unpause"),
    ] {
        assert_eq!(env.out(&words(pause, &["box"])), "box");
        assert_eq!(status(&env), "paused true");
        assert!(env.out(&["ps"]).contains("(Paused)"));
        let counted = "{{.ContainersRunning}} {{.ContainersPaused}} {{.ContainersStopped}}";
        assert_eq!(env.out(&["info", "-f", counted]), "0 1 0");
        let before = ticks(&env);
        // Others run meanwhile, so time has passed.
        env.run(&[
            "run",
            "--rm",
            "--network",
            "none",
            "busybox",
            "sleep",
            "0.2",
        ])
        .ok();
        assert_eq!(ticks(&env), before);
        env.run(&["exec", "box", "true"]).fails(1, "paused");
        env.run(&["attach", "box"]).fails(1, "paused");
        env.run(&words(pause, &["box"])).fails(1, "already paused");
        assert_eq!(env.out(&words(unpause, &["box"])), "box");
        assert_eq!(status(&env), "running false");
        eventually("more of it", || ticks(&env) > before);
        env.run(&words(unpause, &["box"])).fails(1, "not paused");
    }
}

#[test]
fn paused_container_can_be_killed_stopped_and_removed() {
    let env = test_env!();
    need!(Need::Cgroup);
    for (verb, code) in [
        (&["kill", "box"][..], "137"),
        (&["stop", "-t", "0", "box"], "137"),
    ] {
        start(&env);
        env.run(&["pause", "box"]).ok();
        env.run(verb).ok();
        assert_eq!(env.out(&["wait", "box"]), code);
        env.run(&["rm", "box"]).ok();
    }
    start(&env);
    env.run(&["pause", "box"]).ok();
    env.run(&["rm", "-f", "box"]).ok();
}

#[test]
fn a_paused_containers_files_can_be_reached() {
    let env = test_env!();
    need!(Need::Cgroup);
    start(&env);
    env.run(&["pause", "box"]).ok();
    let file = env.file("file", "from outside");
    env.run(&["cp", &file, "box:/file"]).ok();
    assert_eq!(env.out(&["mount", "box", "cat", "file"]), "from outside");
    assert!(
        env.run(&["export", "box"])
            .ok()
            .out()
            .contains("from outside")
    );
    env.run(&["commit", "box", "saved"]).ok();
    let run = ["run", "--rm", "--network=none", "saved", "cat", "/file"];
    assert_eq!(env.out(&run), "from outside");
    // None of that has let it go on.
    assert_eq!(status(&env), "paused true");
}

#[test]
fn a_paused_containers_time_goes_on() {
    let env = test_env!();
    need!(Need::Cgroup);
    env.busybox();
    // A check is due before its end, and is not made. None is under way when it is paused, on a busy host either.
    let limits = ["--timeout=8", "--health-cmd=true", "--health-interval=5s"];
    let run = ["run", "-d", "--network=none", "--name=box"];
    env.run(&[&run[..], &limits, &["busybox", "sleep", "1000"]].concat())
        .ok();
    env.run(&["pause", "box"]).ok();
    let checks = || env.out(&["inspect", "-f", "{{len .State.Health.Log}}", "box"]);
    let before = checks();
    let ended = env.command(&["wait", "box"]).limit(Duration::from_secs(60));
    assert_eq!(ended.run().ok().out(), "137");
    assert_eq!(checks(), before);
}

#[test]
fn what_does_not_run_cannot_be_paused() {
    let env = test_env!();
    start(&env);
    env.run(&["stop", "-t", "0", "box"]).ok();
    env.run(&["pause", "box"]).fails(1, "not running");
    env.run(&["unpause", "box"]).fails(1, "not paused");
    env.run(&["pause", "nobody"]).fails(1, "No such container");
}

#[test]
fn what_is_paused_is_not_started() {
    let env = test_env!();
    need!(Need::Cgroup);
    start(&env);
    env.run(&["pause", "box"]).ok();
    let refused = env.run(&["start", "box"]);
    refused.fails(1, "cannot start a paused container, try unpause instead");
    env.run(&["unpause", "box"]).ok();
}
