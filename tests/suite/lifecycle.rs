//! `create`, `start`, `stop`, `kill`, `wait`, `rm`, and what a stopped container keeps.

use nix::sys::signal::Signal;

use crate::env::{shared_env, test_env};
use crate::process::eventually;

const NONE: [&str; 2] = ["--network", "none"];

#[test]
fn create_start_wait_rm_is_run_in_pieces() {
    let env = shared_env!();
    env.busybox();
    let id = env.out(&[
        "create",
        NONE[0],
        NONE[1],
        "--name",
        "pieces",
        "busybox",
        "sh",
        "-c",
        "echo said; exit 5",
    ]);
    assert_eq!(
        env.out(&["inspect", "--format", "{{.State.Status}}", "pieces"]),
        "created"
    );
    assert_eq!(env.out(&["start", "pieces"]), "pieces");
    assert_eq!(env.out(&["wait", "pieces"]), "5");
    assert_eq!(env.out(&["logs", &id]), "said");
    assert_eq!(env.out(&["rm", &id[..8]]), id[..8]);
    env.run(&["inspect", "pieces"]).code(1);
}

#[test]
fn start_attached_gives_output_and_exit_code() {
    let env = shared_env!();
    env.busybox();
    env.out(&[
        "create",
        NONE[0],
        NONE[1],
        "--name",
        "again",
        "busybox",
        "sh",
        "-c",
        "echo once more; exit 6",
    ]);
    for _ in 0..2 {
        let run = env.run(&["start", "-a", "again"]).code(6);
        assert_eq!(run.stdout, "once more\n");
    }
}

#[test]
fn a_stopped_container_keeps_its_layer_and_goes_on_with_it() {
    let env = shared_env!();
    env.busybox();
    let script = "echo line >> /count; wc -l < /count";
    env.run(&[
        "run", NONE[0], NONE[1], "--name", "keeper", "busybox", "sh", "-c", script,
    ])
    .ok();
    env.run(&["start", "-a", "keeper"]).ok();
    assert_eq!(env.run(&["start", "-a", "keeper"]).ok().out(), "3");
}

#[test]
fn stop_sends_the_stop_signal_and_then_kills() {
    let env = shared_env!();
    env.busybox();
    let polite = "trap 'exit 33' TERM; echo ready; while :; do sleep 0.05; done";
    env.run(&[
        "run", "-d", NONE[0], NONE[1], "--name", "polite", "busybox", "sh", "-c", polite,
    ])
    .ok();
    eventually("the trap", || env.out(&["logs", "polite"]) == "ready");
    assert_eq!(env.out(&["stop", "polite"]), "polite");
    assert_eq!(
        env.out(&["inspect", "--format", "{{.State.ExitCode}}", "polite"]),
        "33"
    );
    // PID 1 without a trap ignores SIGTERM.
    env.run(&[
        "run", "-d", NONE[0], NONE[1], "--name", "deaf", "busybox", "sleep", "1000",
    ])
    .ok();
    env.run(&["stop", "-t", "0", "deaf"]).ok();
    assert_eq!(
        env.out(&["inspect", "--format", "{{.State.ExitCode}}", "deaf"]),
        "137"
    );
    // Stopping what has stopped is no mistake.
    env.run(&["stop", "deaf"]).ok();
}

#[test]
fn a_stop_signal_of_ones_own_is_used() {
    let env = shared_env!();
    env.busybox();
    let script = "trap 'exit 44' USR1; echo ready; while :; do sleep 0.05; done";
    env.run(&[
        "run",
        "-d",
        NONE[0],
        NONE[1],
        "--name",
        "own",
        "--stop-signal",
        "USR1",
        "busybox",
        "sh",
        "-c",
        script,
    ])
    .ok();
    eventually("the trap", || env.out(&["logs", "own"]) == "ready");
    env.run(&["stop", "own"]).ok();
    assert_eq!(env.out(&["wait", "own"]), "44");
}

#[test]
fn kill_sends_any_signal_and_refuses_what_does_not_run() {
    let env = shared_env!();
    env.busybox();
    let script = "trap 'exit 55' HUP; echo ready; while :; do sleep 0.05; done";
    env.run(&[
        "run", "-d", NONE[0], NONE[1], "--name", "victim", "busybox", "sh", "-c", script,
    ])
    .ok();
    eventually("the trap", || env.out(&["logs", "victim"]) == "ready");
    env.run(&["kill", "-s", "HUP", "victim"]).ok();
    assert_eq!(env.out(&["wait", "victim"]), "55");
    assert_ne!(env.run(&["kill", "victim"]).code, 0);
}

#[test]
fn rm_refuses_a_running_container_unless_forced() {
    let env = test_env!();
    env.busybox();
    env.run(&[
        "run", "-d", NONE[0], NONE[1], "--name", "busy", "busybox", "sleep", "1000",
    ])
    .ok();
    env.run(&["rm", "busy"]).code(1).says("busy");
    assert_eq!(env.out(&["rm", "-f", "busy"]), "busy");
    env.run(&["rm", "busy"])
        .code(1)
        .says("No such container: busy");
    // Docker: forcing what does not exist is reported and is no failure.
    env.run(&["rm", "-f", "busy"]).ok();
}

#[test]
fn wait_gives_one_code_per_container_in_order() {
    let env = shared_env!();
    env.busybox();
    for code in ["3", "0", "9"] {
        let script = format!("exit {code}");
        env.run(&[
            "run",
            "-d",
            NONE[0],
            NONE[1],
            "--name",
            &format!("w{code}"),
            "busybox",
            "sh",
            "-c",
            &script,
        ])
        .ok();
    }
    assert_eq!(
        env.run(&["wait", "w3", "w0", "w9"]).ok().lines(),
        ["3", "0", "9"]
    );
}

#[test]
fn two_containers_of_one_image_do_not_see_each_other() {
    let env = shared_env!();
    env.busybox();
    env.run(&[
        "run",
        NONE[0],
        NONE[1],
        "--name",
        "one",
        "busybox",
        "sh",
        "-c",
        "echo one > /etc/passwd; rm -r /home",
    ])
    .ok();
    let other = env.out(&[
        "run",
        NONE[0],
        NONE[1],
        "--rm",
        "busybox",
        "sh",
        "-c",
        "head -c 4 /etc/passwd; ls -d /home",
    ]);
    assert_eq!(other, "root/home");
    assert_eq!(env.run(&["start", "-a", "one"]).code(1).stdout, "");
}

#[test]
fn a_file_of_a_container_lies_in_the_directory_that_inspect_names() {
    let env = shared_env!();
    env.busybox();
    env.run(&[
        "run",
        NONE[0],
        NONE[1],
        "--name",
        "happy",
        "busybox",
        "touch",
        "happiness.txt",
    ])
    .ok();
    let upper = env.out(&[
        "inspect",
        "--format",
        "{{.GraphDriver.Data.UpperDir}}",
        "happy",
    ]);
    assert!(
        std::path::Path::new(&upper).join("happiness.txt").exists(),
        "{upper}"
    );
    assert!(
        upper.starts_with(env.path("data").to_str().expect("UTF-8")),
        "{upper}"
    );
    env.run(&["rm", "happy"]).ok();
    assert!(
        !std::path::Path::new(&upper).exists(),
        "{upper} is still there"
    );
}

#[test]
fn hanging_up_on_a_detached_run_changes_nothing() {
    let env = test_env!();
    env.busybox();
    env.run(&[
        "run", "-d", NONE[0], NONE[1], "--name", "lives", "busybox", "sleep", "1000",
    ])
    .ok();
    let monitors: Vec<String> = env
        .processes()
        .into_iter()
        .filter(|process| process.contains("monitor"))
        .collect();
    assert_eq!(monitors.len(), 1, "{monitors:?}");
    let pid = monitors[0]
        .split(' ')
        .next()
        .and_then(|pid| pid.parse().ok())
        .expect("a pid");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGHUP).expect("it is ours");
    assert_eq!(
        env.out(&["inspect", "--format", "{{.State.Running}}", "lives"]),
        "true"
    );
}

#[test]
fn ps_names_the_monitor_of_each_container() {
    let env = test_env!();
    env.busybox();
    env.run(&[
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "named",
        "busybox",
        "sleep",
        "1000",
    ])
    .ok();
    let named = |process: &String| {
        let title = process.split_once(' ').map(|(_, title)| title.trim_end());
        title == Some("bryo: monitor named")
    };
    let processes = env.processes();
    assert!(processes.iter().any(named), "{processes:?}");
}

#[test]
fn a_killed_container_has_ended_when_kill_has() {
    let env = test_env!();
    env.busybox();
    // Ending takes the longer the more there is to end.
    let script = "for i in $(seq 100); do sleep 1000 & done; echo ready; wait";
    let run = [
        "run",
        "-d",
        "--network=none",
        "--name=box",
        "busybox",
        "sh",
        "-c",
        script,
    ];
    for _ in 0..5 {
        env.run(&run).ok();
        let mut logs = env.spawn(&["logs", "-f", "box"]);
        logs.until("ready");
        env.run(&["kill", "box"]).ok();
        let status = env.out(&[
            "inspect",
            "-f",
            "{{.State.Status}} {{.State.ExitCode}}",
            "box",
        ]);
        assert_eq!(status, "exited 137");
        logs.wait().ok();
        env.run(&["rm", "box"]).ok();
    }
}
