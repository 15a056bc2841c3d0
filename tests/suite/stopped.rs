//! Processes of bryo that are stopped (SIGSTOP) hold nobody up who only looks.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::env::{TestEnv, count, test_env};
use crate::image::{Layer, busybox};
use crate::process::eventually;
use crate::recovery::{pids, until_moment};

/// What only looks is answered. The bound is no measure of speed: whoever waits for a stopped process waits for ever.
#[track_caller]
fn assert_answers(env: &TestEnv, name: &str, what: &str) {
    for words in [
        &["ps"][..],
        &["ps", "-a"],
        &["inspect", name],
        &["info"],
        &["images"],
        &["network", "ls"],
        &["volume", "ls"],
        &["logs", name],
    ] {
        let run = env.command(words).limit(Duration::from_secs(5)).run();
        assert_eq!(run.code, 0, "{what}: {words:?}: {run:?}");
    }
}

fn send(processes: &[Pid], signal: Signal) {
    for pid in processes {
        // It may be over.
        let _ = kill(*pid, signal);
    }
}

fn keep(env: &TestEnv, name: &str, network: &str) {
    env.busybox();
    let run = ["run", "-d", "--network", network, "--name", name];
    env.run(&[&run[..], &["busybox", "sleep", "1000"]].concat())
        .ok();
}

#[test]
fn a_stopped_monitor_holds_nobody_up() {
    let env = test_env!();
    keep(&env, "frozen", "none");
    send(&pids(&env, "bryo: monitor frozen"), Signal::SIGSTOP);
    assert_answers(&env, "frozen", "a monitor");
    env.run(&["kill", "frozen"]).code(1).says("does not answer");
    env.run(&["rm", "-f", "frozen"]).ok();
    eventually("every process is gone", || env.processes().is_empty());
    assert!(env.sockets().is_empty() && env.containers().is_empty());
}

#[test]
fn a_stopped_network_holds_no_list_up() {
    let env = test_env!();
    crate::network_bridge::need_bridges!();
    keep(&env, "box", "bridge");
    let network = pids(&env, "bryo: net");
    assert_eq!(network.len(), 2, "{network:?}");
    send(&network, Signal::SIGSTOP);
    assert_answers(&env, "box", "the network");
    send(&network, Signal::SIGCONT);
    env.run(&["rm", "-f", "box"]).ok();
}

/// With all that they have started, at moments spread over the whole of each.
#[test]
fn a_command_that_is_stopped_at_any_moment_holds_no_list_up() {
    let env = test_env!();
    keep(&env, "box", "none");
    let layer = Layer::new().file("big", 0o644, vec![b'x'; 2 << 20]);
    let file = env.file(
        "big.tar",
        busybox().with(&layer).docker_archive("big:latest"),
    );
    std::fs::create_dir(env.path("context")).expect("it is ours");
    let dockerfile = "FROM busybox\nRUN echo built >/built\nCOPY Dockerfile /\n";
    std::fs::write(env.path("context/Dockerfile"), dockerfile).expect("it is ours");
    let context = env.path("context").display().to_string();
    let run = ["run", "--rm", "--network", "none", "busybox", "true"];
    let commands: [&[&str]; 10] = [
        &["load", "-q", "-i", &file],
        &["create", "--name", "other", "--network", "none", "big"],
        &["start", "other"],
        &["exec", "box", "true"],
        &run,
        &["rm", "-f", "other"],
        &["tag", "big", "second"],
        &["rmi", "second", "big"],
        &["build", "-q", "--no-cache", "-t", "built", &context],
        &["system", "prune", "-f"],
    ];
    let took = commands.map(|words| env.run(words).ok().took);
    let tries = u32::try_from(count(3, 20)).expect("it is small");
    for number in 0..tries {
        for (words, took) in commands.iter().zip(took) {
            let command = env.spawn(words);
            until_moment(took, number, tries);
            let all = pids(&env, "");
            send(&all, Signal::SIGSTOP);
            assert_answers(&env, "box", &format!("{words:?} at {number} of {tries}"));
            send(&all, Signal::SIGCONT);
            command.wait().ok();
        }
    }
    env.run(&["rm", "-f", "box"]).ok();
}
