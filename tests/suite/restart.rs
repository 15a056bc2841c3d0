//! Restart policies, `restart`, and `update` of what may change: all by the container's own monitor.

use crate::env::{TestEnv, shared_env, test_env};
use crate::process::eventually;
use crate::spellings::{WAYS, words};

fn state(env: &TestEnv, field: &str) -> String {
    env.out(&["inspect", "--format", &format!("{{{{{field}}}}}"), "box"])
}

/// A container in the background whose program appends a line to its log each time it runs.
fn start(env: &TestEnv, flags: &[&str], script: &str) {
    env.busybox();
    let first = ["run", "-d", "--network", "none", "--name", "box"];
    let last = ["busybox", "sh", "-c", script];
    env.run(&[&first, flags, &last].concat()).ok();
}

fn runs(env: &TestEnv) -> usize {
    env.out(&["logs", "box"])
        .lines()
        .filter(|line| *line == "run")
        .count()
}

#[test]
fn always_starts_it_again_until_it_is_stopped() {
    let env = shared_env!();
    start(&env, &["--restart", "always"], "echo run; exit 0");
    eventually("three runs", || runs(&env) >= 3);
    assert_eq!(state(&env, ".HostConfig.RestartPolicy.Name"), "always");
    env.run(&["stop", "box"]).ok();
    assert_eq!(state(&env, ".State.Status"), "exited");
    assert_eq!(state(&env, ".State.ExitCode"), "0");
    let before = runs(&env);
    env.run(&["start", "box"]).ok();
    eventually("another run", || runs(&env) > before);
    env.run(&["rm", "-f", "box"]).ok();
}

#[test]
fn on_failure_counts_and_then_gives_up() {
    let env = shared_env!();
    for way in WAYS {
        env.busybox();
        let flags = [
            "--restart",
            "on-failure:2",
            "--network",
            "none",
            "--name",
            "box",
        ];
        way.start(
            &env,
            &[&flags[..], &["busybox", "sh", "-c", "echo run; exit 7"]].concat(),
        );
        eventually("its end", || state(&env, ".State.Status") == "exited");
        assert_eq!(runs(&env), 3, "{way:?}");
        assert_eq!(state(&env, ".RestartCount"), "2");
        assert_eq!(state(&env, ".State.ExitCode"), "7");
        env.run(&["rm", "box"]).ok();
    }
}

#[test]
fn success_is_no_failure() {
    let env = shared_env!();
    start(
        &env,
        &["--restart", "on-failure"],
        "echo run; test -e /mark || { touch /mark; exit 1; }",
    );
    eventually("its end", || state(&env, ".State.Status") == "exited");
    assert_eq!(runs(&env), 2, "the layer is kept between the runs");
}

#[test]
fn between_two_runs_it_is_restarting_and_can_be_stopped() {
    let env = test_env!();
    // Pauses of 0.1, 0.2, 0.4, 0.8 and 1.6 s: the last ones are easily met.
    start(&env, &["--restart=unless-stopped"], "echo run; exit 9");
    eventually("a long pause", || {
        runs(&env) >= 4 && state(&env, ".State.Status") == "restarting"
    });
    assert!(env.out(&["ps"]).contains("Restarting (9)"));
    assert_eq!(state(&env, ".State.Running"), "true");
    env.run(&["exec", "box", "true"]).fails(1, "restarting");
    env.run(&["attach", "box"]).fails(1, "restarting");
    let before = runs(&env);
    env.run(&["stop", "box"]).ok();
    assert_eq!(state(&env, ".State.Status"), "exited");
    assert_eq!(state(&env, ".State.ExitCode"), "9");
    assert_eq!(runs(&env), before);
}

#[test]
fn restart_ends_the_pause_between_two_runs() {
    let env = test_env!();
    start(&env, &["--restart=unless-stopped"], "echo run; exit 9");
    eventually("a long pause", || {
        runs(&env) >= 5 && state(&env, ".State.Status") == "restarting"
    });
    let before = runs(&env);
    env.run(&["restart", "box"]).ok();
    eventually("the next run", || runs(&env) > before);
    env.run(&["rm", "-f", "box"]).ok();
}

#[test]
fn an_ended_container_is_removed_or_restarted_but_not_both() {
    let env = shared_env!();
    env.busybox();
    let run = ["run", "--rm", "--restart", "always", "busybox", "true"];
    assert_eq!(env.run(&run).code, 125);
    let run = ["run", "--restart", "sometimes", "busybox", "true"];
    assert_eq!(env.run(&run).code, 125);
}

/// The process that started the container's program.
fn monitor(env: &TestEnv) -> nix::unistd::Pid {
    let pid = state(env, ".State.Pid");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let parent = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split(' ').nth(2));
    let parent = parent
        .and_then(|pid| pid.parse().ok())
        .expect("proc_pid_stat(5)");
    nix::unistd::Pid::from_raw(parent)
}

#[test]
fn host_that_goes_down_gives_the_program_its_time_and_marks_nothing_stopped() {
    let env = test_env!();
    let script = "trap 'echo bye; exit 5' USR1; echo run; while :; do sleep 0.05; done";
    start(
        &env,
        &["--restart", "unless-stopped", "--stop-signal", "USR1"],
        script,
    );
    eventually("the program", || runs(&env) == 1);
    let monitor = monitor(&env);
    nix::sys::signal::kill(monitor, nix::sys::signal::Signal::SIGTERM).expect("it is ours");
    eventually("its end", || state(&env, ".State.Status") == "exited");
    assert_eq!(state(&env, ".State.ExitCode"), "5");
    assert!(env.out(&["logs", "box"]).ends_with("bye"));
    assert_eq!(runs(&env), 1);
    // The user has not stopped it: the next boot would start it.
    let boot = ["ps", "-aq", "--filter", "should-start-on-boot=true"];
    assert_ne!(env.out(&boot), "");
}

#[test]
fn killed_monitor_restarts_nothing() {
    let env = test_env!();
    start(&env, &["--restart", "always"], "echo run; sleep 1000");
    eventually("the program", || runs(&env) == 1);
    let status = || env.out(&["ps", "-a", "--format", "{{.Status}}"]);
    let monitor = monitor(&env);
    nix::sys::signal::kill(monitor, nix::sys::signal::Signal::SIGKILL).expect("it is ours");
    eventually("the end to be seen", || {
        status().starts_with("Exited (137)")
    });
    assert_eq!(runs(&env), 1);
}

#[test]
fn restart_runs_the_program_anew_in_the_same_layer() {
    let env = shared_env!();
    start(
        &env,
        &[],
        "echo run; echo line >> /count; trap 'exit 3' TERM; while :; do sleep 0.05; done",
    );
    eventually("the first run", || runs(&env) == 1);
    for (number, restart) in (2..).zip(["restart", "container restart"]) {
        let before = state(&env, ".State.StartedAt");
        assert_eq!(env.out(&words(restart, &["box"])), "box");
        eventually("the next run", || runs(&env) == number);
        assert_eq!(state(&env, ".State.Status"), "running");
        assert_ne!(state(&env, ".State.StartedAt"), before);
    }
    assert_eq!(env.out(&["exec", "box", "wc", "-l", "/count"]), "3 /count");
    env.run(&["kill", "box"]).ok();
    env.run(&["wait", "box"]).ok();
    env.run(&["restart", "box"]).ok();
    eventually("a start of what had ended", || runs(&env) == 4);
}

#[test]
fn restart_takes_a_signal_and_a_time() {
    let env = test_env!();
    let script =
        "trap 'echo usr1; exit' USR1; trap '' TERM; echo run; while :; do sleep 0.05; done";
    let polite = [&["-s", "USR1"][..], &["--signal", "USR1"]];
    let impatient = [&["-t", "0"][..], &["--timeout", "0"], &["--time", "0"]];
    for restart in ["restart", "container restart"] {
        for flags in polite.iter().chain(&impatient) {
            start(&env, &[], script);
            eventually("the program", || runs(&env) == 1);
            env.run(&words(restart, &[flags, &["box"][..]].concat()))
                .ok();
            eventually("the next run", || runs(&env) == 2);
            let heard = env.out(&["logs", "box"]).contains("usr1");
            assert_eq!(heard, polite.contains(flags), "{flags:?}");
            env.run(&["rm", "-f", "box"]).ok();
        }
    }
}

#[test]
fn update_changes_the_policy_of_what_runs_and_of_what_does_not() {
    let env = shared_env!();
    start(
        &env,
        &[],
        "echo run; while ! test -e /go; do sleep 0.05; done; exit 1",
    );
    for (update, policy) in [("update", "on-failure:3"), ("container update", "always")] {
        assert_eq!(
            env.out(&words(update, &["--restart", policy, "box"])),
            "box"
        );
        let name = policy.split(':').next().unwrap_or_default();
        assert_eq!(state(&env, ".HostConfig.RestartPolicy.Name"), name);
    }
    env.end_by_file("box", "/go");
    eventually("a start by the new policy", || runs(&env) > 1);
    env.run(&["stop", "-t", "0", "box"]).ok();
    env.run(&["update", "--restart", "no", "box"]).ok();
    assert_eq!(state(&env, ".HostConfig.RestartPolicy.Name"), "no");
    assert_ne!(
        env.run(&["update", "--restart", "sometimes", "box"]).code,
        0
    );
}

#[test]
fn attached_client_sees_the_end_of_the_run_it_was_attached_to() {
    let env = test_env!();
    start(&env, &["-i"], "echo run; cat; exit 4");
    let client = env.spawn(&["attach", "--no-stdin", "box"]);
    eventually("the first run", || runs(&env) == 1);
    env.run(&["restart", "-t", "0", "box"]).ok();
    assert_eq!(client.wait().code, 137);
    eventually("the next run", || runs(&env) == 2);
}

/// As docker, which copies from what crashes again and again; the files stand still for as long as that takes.
#[test]
fn nobody_starts_it_again_while_somebody_copies() {
    let env = test_env!();
    start(&env, &["--restart", "always"], "echo run; exit 5");
    eventually("a pause of 800 ms", || state(&env, ".RestartCount") == "4");
    let copy = env.command(&["cp", "-", "box:/"]);
    let (copying, stdin) = copy.spawn_interactive();
    let before = runs(&env);
    // Twice that pause.
    std::thread::sleep(std::time::Duration::from_millis(1600));
    assert_eq!(runs(&env), before);
    assert_eq!(state(&env, ".State.Status"), "restarting");
    // An archive of nothing.
    drop(stdin);
    copying.wait().ok();
    eventually("another run", || runs(&env) > before);
    // The monitor hears of a stop all the same.
    eventually("a pause", || state(&env, ".State.Status") == "restarting");
    let (copying, stdin) = env.command(&["cp", "-", "box:/"]).spawn_interactive();
    env.run(&["stop", "box"]).ok();
    assert_eq!(state(&env, ".State.Status"), "exited");
    drop((copying, stdin));
    env.run(&["rm", "box"]).ok();
}
