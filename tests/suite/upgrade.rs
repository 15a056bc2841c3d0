//! bryo is replaced while containers run: monitors and commands of neighbouring protocol versions get on with each other.

use crate::env::{TestEnv, test_env};
use crate::process::{Outcome, eventually};

/// What the older program says, run in the same world.
fn previous(env: &TestEnv, arguments: &[&str]) -> Outcome {
    let program = std::env::var("BRYO_PREVIOUS").expect("tests/run builds it");
    env.other(&program, arguments).run()
}

const SCRIPT: &str = "echo ready; while read word; do echo got $word; done";

fn run<'a>(name: &'a str, script: &'a str) -> Vec<&'a str> {
    let flags = ["run", "-d", "-i", "--network", "none", "--name", name];
    [&flags[..], &["busybox", "sh", "-c", script]].concat()
}

#[test]
fn newer_command_does_everything_to_a_container_of_an_older_monitor() {
    let env = test_env!();
    env.busybox();
    previous(&env, &run("older", SCRIPT)).ok();
    eventually("the program", || env.out(&["logs", "older"]) == "ready");
    assert_eq!(
        env.out(&["ps", "--format", "{{.Names}} {{.State}}"]),
        "older running"
    );
    let protocol = env.out(&["exec", "older", "echo", "executed"]);
    assert_eq!(protocol, "executed");
    let mut client = env.command(&["attach", "older"]).spawn_interactive();
    std::io::Write::write_all(&mut client.1, b"word\n").expect("it is read");
    client.0.until("got word");
    client.0.signal(nix::sys::signal::Signal::SIGKILL);
    client.0.wait();
    env.run(&["kill", "-s", "CONT", "older"]).ok();
    // What it has never heard of is said, with both versions.
    env.run(&["pause", "older"]).fails(1, "protocol 1");
    let preserved = "exec 3</dev/null; \"$BRYO\" exec --preserve-fds 1 older true";
    let refused = env.other("sh", &["-c", preserved]);
    refused
        .var("BRYO", crate::env::bryo())
        .run()
        .fails(1, "protocol 1");
    let begun = env.out(&["inspect", "--format", "{{.State.StartedAt}}", "older"]);
    env.run(&["restart", "-t", "0", "older"]).ok();
    let again = env.out(&["inspect", "--format", "{{.State.StartedAt}}", "older"]);
    assert_ne!(begun, again);
    env.run(&["rm", "-f", "older"]).ok();
    for (number, end) in (0..).zip([&["stop", "-t", "0"][..], &["kill"], &["rm", "-f"]]) {
        let name = format!("older{number}");
        previous(&env, &run(&name, SCRIPT)).ok();
        let waiting = env.spawn(&["wait", &name]);
        env.run(&[end, &[&name]].concat()).ok();
        assert_eq!(waiting.wait().out(), "137", "{end:?}");
    }
}

/// What a monitor or `bryo net` of before does not know is refused, and not left out.
#[test]
fn newer_command_says_what_an_older_monitor_can_not_publish() {
    let env = test_env!();
    crate::network_bridge::need_bridges!();
    env.busybox();
    let flags = ["run", "-d", "--network", "bridge", "--name", "older"];
    previous(&env, &[&flags[..], &["busybox", "sleep", "1000"]].concat()).ok();
    env.run(&["port", "add", "older", "8080"])
        .fails(1, "protocol 1");
}

#[test]
fn a_container_whose_networks_cannot_be_told_of_a_new_name_keeps_its_own() {
    let env = test_env!();
    crate::network_bridge::need_bridges!();
    env.busybox();
    let flags = ["run", "-d", "--network", "bridge", "--name", "older"];
    previous(&env, &[&flags[..], &["busybox", "sleep", "1000"]].concat()).ok();
    env.run(&["rename", "older", "newer"])
        .fails(1, "protocol 1");
    let names = env.out(&["ps", "--format", "{{.Names}}"]);
    assert_eq!(names, "older");
    env.run(&["rm", "-f", "older"]).ok();
}

#[test]
fn older_command_says_that_a_monitor_is_newer_and_still_lists_stops_and_removes() {
    let env = test_env!();
    env.busybox();
    env.run(&run("newer", SCRIPT)).ok();
    assert_eq!(
        previous(&env, &["ps", "--format", "{{.Names}}"]).out(),
        "newer"
    );
    previous(&env, &["inspect", "newer"]).ok();
    previous(&env, &["logs", "newer"]).ok();
    previous(&env, &["exec", "newer", "true"])
        .ok()
        .says("newer bryo");
    previous(&env, &["stop", "-t", "0", "newer"])
        .ok()
        .says("newer bryo");
    previous(&env, &["rm", "newer"]).ok();
    env.run(&run("newer", SCRIPT)).ok();
    previous(&env, &["rm", "-f", "newer"]).ok();
    assert_eq!(env.out(&["ps", "-aq"]), "");
}

#[test]
fn replacing_the_program_on_disk_disturbs_nothing() {
    let env = test_env!();
    env.busybox();
    let place = env.path("home/bryo");
    let copy = || std::fs::copy(crate::env::bryo(), &place).expect("home is writable");
    copy();
    let program = place.to_str().expect("test paths are UTF-8").to_owned();
    env.other(&program, &run("box", SCRIPT)).run().ok();
    std::fs::remove_file(&place).expect("it was copied");
    copy();
    for words in [
        &["exec", "box", "true"][..],
        &["logs", "box"],
        &["restart", "-t", "0", "box"],
    ] {
        env.other(&program, words).run().ok();
    }
    env.other(&program, &["rm", "-f", "box"]).run().ok();
}
