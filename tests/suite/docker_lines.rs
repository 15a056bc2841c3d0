//! Ordinary docker command lines, in `tests/docker_lines/*.txt`, and what docker's documentation says that each of them does.
//! Runs them one after the other, a file at a time. Knows nothing of the commands themselves.
//!
//! The same lines run on podman (`BRYO_TEST_ENGINE=podman`) and on docker itself (`BRYO_TEST_ENGINE=docker`), so that a wrong
//! expectation shows. Debian's rootless `docker.io` is the daemon then, which `tests/env/session` starts; the client is the
//! `docker` on PATH. What an engine does otherwise is noted at the line, and a note that is no longer true is a fault.

mod coverage;
mod script;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::env::{Engine, TestEnv, bryo};
use crate::need::{Need, need, skip, test_name};
use crate::process::Outcome;
use script::Block;

const FOLDER: &str = "tests/docker_lines";
/// In seconds; a line that takes longer hangs, and is ended with its whole process group.
const LIMIT: &str = "20";

/// A test for each file, and the list of them.
macro_rules! files {
    ($($test:ident: $file:literal $(needs $($need:expr),+)?;)+) => {
        const FILES: &[&str] = &[$($file),+];
        $(#[test]
        fn $test() {
            $(need!($($need),+);)?
            if let Some(reason) = unrunnable($file) {
                skip(test_name!(), reason);
                return;
            }
            check($file);
        })+
    };
}

files! {
    attach_does_what_docker_does: "attach";
    commit_does_what_docker_does: "commit";
    container_prune_does_what_docker_does: "container_prune";
    cp_does_what_docker_does: "cp";
    create_does_what_docker_does: "create";
    diff_does_what_docker_does: "diff";
    events_does_what_docker_does: "events";
    exec_does_what_docker_does: "exec";
    export_does_what_docker_does: "export";
    inspect_does_what_docker_does: "inspect";
    kill_does_what_docker_does: "kill";
    bad_limits_are_refused_as_docker_does: "limits";
    limits_do_what_docker_does: "limits_applied" needs Need::Cgroup;
    logs_does_what_docker_does: "logs";
    networks_do_what_docker_does: "network" needs Need::Program("pasta"), Need::Device("/dev/net/tun");
    pause_does_what_docker_does: "pause" needs Need::Cgroup;
    ports_do_what_docker_does: "port" needs Need::Program("pasta"), Need::Device("/dev/net/tun");
    ps_does_what_docker_does: "ps";
    rename_does_what_docker_does: "rename";
    restart_does_what_docker_does: "restart";
    rm_does_what_docker_does: "rm";
    run_does_what_docker_does: "run";
    start_does_what_docker_does: "start";
    verbs_do_what_docker_does_in_every_state: "states";
    verbs_do_with_what_is_paused_what_docker_does: "states_paused" needs Need::Cgroup;
    stats_does_what_docker_does: "stats" needs Need::Cgroup;
    stop_does_what_docker_does: "stop";
    top_does_what_docker_does: "top";
    update_does_what_docker_does: "update";
    volume_does_what_docker_does: "volume";
    wait_does_what_docker_does: "wait";
}

/// What neither the user nor CI can do anything about.
fn unrunnable(file: &str) -> Option<&'static str> {
    if Engine::chosen() == Engine::Docker && std::env::var_os("DOCKER_HOST").is_none() {
        return Some("docker does not start rootless here");
    }
    if Engine::chosen() == Engine::Podman && file == "states_paused" {
        return Some("podman without systemd has no cgroups to freeze");
    }
    let group = std::env::var("BRYO_TEST_CGROUP").unwrap_or_default();
    let controllers = fs::read_to_string(format!("{group}/cgroup.controllers")).unwrap_or_default();
    let all = ["memory", "cpu", "cpuset", "io", "pids"];
    let limited = all
        .iter()
        .all(|name| controllers.split_whitespace().any(|has| has == *name));
    (file == "limits_applied" && !limited).then_some("not every controller is delegated")
}

#[test]
fn every_file_of_lines_is_run_by_a_test() {
    let mut there: Vec<String> = fs::read_dir(FOLDER)
        .expect("the tests run in the source")
        .flatten()
        .filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    there.sort();
    assert_eq!(there, FILES);
}

fn blocks(file: &str) -> Vec<Block> {
    let path = format!("{FOLDER}/{file}.txt");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    script::parse(&path, &text)
}

/// Runs the lines of a file in one environment and tells all faults at once.
fn check(file: &str) {
    let mut env = TestEnv::new();
    prepare(&mut env, file);
    let blocks = blocks(file);
    let total = blocks.len();
    let faults: Vec<String> = blocks
        .iter()
        .filter_map(|block| fault(&env, block))
        .collect();
    if env.engine == Engine::Docker {
        // The daemon is shared by all files.
        let clean = "docker ps -aq | xargs -r docker rm -fv; docker volume ls -q | xargs -r docker volume rm; \
                     docker images -q | xargs -r docker rmi -f";
        env.other("sh", &["-c", clean]).run();
    }
    assert!(
        faults.is_empty(),
        "{} of {total} lines:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// `docker` on PATH is the engine; containers have no network of their own, but in the file about ports.
fn prepare(env: &mut TestEnv, file: &str) {
    let path = std::env::var("PATH").expect("there is a PATH");
    if let Some(engine) = match env.engine {
        Engine::Bryo => Some(bryo().display().to_string()),
        Engine::Podman => Some("podman --cgroup-manager cgroupfs --events-backend file".to_owned()),
        Engine::Docker => None,
    } {
        let docker = env.file("bin/docker", format!("#!/bin/sh\nexec {engine} \"$@\"\n"));
        fs::set_permissions(docker, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let folder = env.path("home/bin");
        env.set("PATH", &format!("{}:{path}", folder.display()));
    }
    if file != "port" {
        for (name, text) in [
            ("bryo/config.toml", "network.default = \"none\"\n"),
            (
                "containers/containers.conf",
                "[containers]\nnetns = \"none\"\n",
            ),
        ] {
            let to = env.path("config").join(name);
            fs::create_dir_all(to.parent().expect("it has one")).expect("config is writable");
            fs::write(to, text).expect("config is writable");
        }
    }
    env.busybox();
}

fn fault(env: &TestEnv, block: &Block) -> Option<String> {
    let outcome = env
        .other(
            "timeout",
            &["--kill-after=1", LIMIT, "sh", "-c", &block.command],
        )
        .run();
    let wrong = wrong(block, &outcome);
    let told = match (block.otherwise(env.engine), wrong) {
        (None, None) | (Some(_), Some(_)) => return None,
        (None, Some(wrong)) => format!(
            "{wrong}\n  stdout: {:?}\n  stderr: {:?}\n  exit code: {}",
            outcome.stdout, outcome.stderr, outcome.code
        ),
        (Some(reason), None) => format!("as expected, but noted as different: {reason}"),
    };
    Some(format!("{}: $ {}\n  {told}", block.place, block.command))
}

/// The first expectation of a block that does not hold.
fn wrong(block: &Block, outcome: &Outcome) -> Option<String> {
    if outcome.code != block.code {
        return Some(format!(
            "exit code {} instead of {}",
            outcome.code, block.code
        ));
    }
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    if !script::matches(&block.output, &lines) {
        return Some(format!("standard output is not {:?}", block.output));
    }
    let silent = block.errors.is_empty() && block.code == 0;
    if silent && !outcome.stderr.is_empty() {
        return Some("standard error is not empty".to_owned());
    }
    let unsaid = block
        .errors
        .iter()
        .find(|wanted| !outcome.stderr.lines().any(|line| wanted.is_match(line)));
    unsaid.map(|wanted| format!("no line of standard error has {:?}", wanted.as_str()))
}
