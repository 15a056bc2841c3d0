//! `attach`: other clients of a running container's streams.

use std::io::Write;

use nix::sys::signal::Signal;
use rustix::termios::LocalModes;

use crate::env::{TestEnv, shared_env, test_env};
use crate::process::eventually;
use crate::spellings::words;

fn start(env: &TestEnv, flags: &[&str], script: &str) {
    env.busybox();
    let first = ["run", "-d", "--network", "none", "--name", "box"];
    let last = ["busybox", "sh", "-c", script];
    env.run(&[&first, flags, &last].concat()).ok();
}

#[test]
fn output_and_exit_code_reach_every_client() {
    let env = shared_env!();
    start(
        &env,
        &["-i"],
        "while ! read -t 1 x; do echo tick; done; echo got $x; exit 5",
    );
    let mut quiet: Vec<_> = ["attach", "container attach"]
        .iter()
        .map(|attach| env.spawn(&words(attach, &["--no-stdin", "box"])))
        .collect();
    let (mut typist, mut stdin) = env.command(&["attach", "box"]).spawn_interactive();
    quiet.iter_mut().for_each(|client| client.until("tick"));
    typist.until("tick");
    writeln!(stdin, "word").expect("it is read");
    typist.until("got word");
    assert_eq!(typist.wait().code, 5);
    for client in quiet.drain(..) {
        assert_eq!(client.wait().code, 5);
    }
}

#[test]
fn what_does_not_run_is_refused() {
    let env = shared_env!();
    start(&env, &[], "exit 0");
    env.run(&["wait", "box"]).ok();
    let refused = env.run(&["attach", "box"]);
    assert_ne!(refused.code, 0);
    assert_ne!(env.run(&["attach", "nobody"]).code, 0);
}

#[test]
fn input_stays_open_for_the_next_client() {
    let env = test_env!();
    start(
        &env,
        &["-i"],
        "while read x; do echo got $x; done; echo end",
    );
    for word in ["one", "two"] {
        let (mut client, mut stdin) = env.command(&["attach", "box"]).spawn_interactive();
        writeln!(stdin, "{word}").expect("it is read");
        client.until(&format!("got {word}"));
        client.signal(Signal::SIGKILL);
        client.wait();
    }
    assert_eq!(env.out(&["logs", "box"]), "got one\ngot two");
    assert_eq!(
        env.out(&["inspect", "--format", "{{.State.Running}}", "box"]),
        "true"
    );
}

#[test]
fn signals_are_forwarded_unless_that_is_switched_off() {
    let env = test_env!();
    let script = "trap 'echo caught' USR1; while :; do echo tick; sleep 0.1; done";
    start(&env, &[], script);
    for attach in ["attach", "container attach"] {
        let mut client = env.spawn(&words(attach, &["box"]));
        client.until("tick");
        client.signal(Signal::SIGUSR1);
        client.until("caught");
        client.signal(Signal::SIGKILL);
        client.wait();
        let mut client = env.spawn(&words(attach, &["--sig-proxy=false", "box"]));
        client.until("tick");
        client.signal(Signal::SIGUSR1);
        assert_eq!(client.wait().code, 128 + 10);
    }
}

#[test]
fn terminal_is_shared_and_left_by_the_detach_keys() {
    let env = test_env!();
    start(&env, &["-it"], "while read x; do echo got $x; done");
    for attach in ["attach", "container attach"] {
        let mut one = env.terminal(&words(attach, &["box"]));
        let mut two = env.terminal(&words(attach, &["--detach-keys", "ctrl-b,q", "box"]));
        one.types("first\n");
        one.expect("got first");
        two.types("second\n");
        two.expect("got second");
        one.expect("got second");
        two.types("\x02q");
        assert_eq!(two.wait(), 0);
        let cooked = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        assert!(two.settings().local_modes.contains(cooked));
        one.types("\x10\x11");
        assert_eq!(one.wait(), 0);
    }
    assert_eq!(
        env.out(&["inspect", "--format", "{{.State.Running}}", "box"]),
        "true"
    );
}

#[test]
fn starting_what_runs_attaches_to_it() {
    let env = test_env!();
    env.busybox();
    let script = "while ! test -e /go; do sleep 0.05; done; echo gone; exit 3";
    let run = ["run", "-d", "--network", "none", "--name", "box", "busybox"];
    env.run(&[&run[..], &["sh", "-c", script]].concat()).ok();
    let started = env.spawn(&["start", "-a", "box"]);
    eventually("it is attached", || {
        env.out(&["events", "--since", "1", "--until", "0s"])
            .contains("attach")
    });
    env.end_by_file("box", "/go");
    assert_eq!(started.wait().code(3).out(), "gone");
}
