//! `--pid`, `--ipc`, `--uts`, `--network container:`, `--cgroupns`: what is shared, with whom, and what dies with whom.

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::process::eventually;
use crate::spellings::WAYS;

const NONE: [&str; 2] = ["--network", "none"];

/// A container that sleeps.
fn sleeper(env: &TestEnv, name: &str, flags: &[&str]) -> String {
    let start = [&["run", "-d", "--name", name], flags].concat();
    env.out(&[&start[..], &["busybox", "sleep", "1000"]].concat())
}

/// Which namespace of a kind a process of the host has.
fn namespace(pid: &str, kind: &str) -> String {
    let link = std::fs::read_link(format!("/proc/{pid}/ns/{kind}"));
    link.expect("it runs").display().to_string()
}

fn pid_of(env: &TestEnv, name: &str) -> String {
    env.out(&["inspect", "-f", "{{.State.Pid}}", name])
}

#[test]
fn namespaces_of_the_host_are_the_hosts() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        for (flag, kind) in [
            ("--pid", "pid"),
            ("--ipc", "ipc"),
            ("--uts", "uts"),
            ("--cgroupns", "cgroup"),
        ] {
            let file = format!("/proc/self/ns/{kind}");
            let flags = [flag, "host", "busybox", "readlink", &file];
            assert_eq!(
                way.out(&env, &flags),
                namespace("self", kind),
                "{way:?} {flag}"
            );
            let own = way.out(&env, &["busybox", "readlink", &file]);
            assert_ne!(own, namespace("self", kind), "{way:?} {flag}");
        }
    }
    let flags = [
        "--pid",
        "host",
        "--ipc",
        "host",
        "--uts",
        "host",
        "--cgroupns",
        "host",
    ];
    let id = env.out(&[&["create"], &flags[..], &["busybox"]].concat());
    let format = "{{.HostConfig.PidMode}} {{.HostConfig.IpcMode}} {{.HostConfig.UTSMode}} {{.HostConfig.CgroupnsMode}}";
    assert_eq!(
        env.out(&["inspect", "-f", format, &id]),
        "host host host host"
    );
    for (flags, words) in [
        (["--pid", "hosts"], "--pid: invalid PID mode"),
        (["--ipc", "hosts"], "--ipc: invalid IPC mode"),
        (["--uts", "hosts"], "--uts: invalid UTS mode"),
        (["--cgroupns", "hosts"], "--cgroupns: invalid CGROUP mode"),
    ] {
        env.run(&[&["run"], &flags[..], &["busybox"]].concat())
            .fails(125, words);
    }
    env.run(&["create", "--uts", "host", "-h", "mine", "busybox"])
        .fails(1, "conflicting options: hostname and the UTS mode");
}

#[test]
fn pid_host_shows_the_hosts_processes_and_ends_its_own() {
    let env = test_env!();
    env.busybox();
    let own = std::process::id().to_string();
    let run = |script: &str| {
        let start = ["run", "--rm", NONE[0], NONE[1], "--pid", "host", "busybox"];
        env.out(&[&start[..], &["sh", "-c", script]].concat())
    };
    assert_eq!(run(&format!("test -d /proc/{own} && echo seen")), "seen");
    // What is left when its init ends is ended too: there is no pid namespace to do it.
    let orphan = run("sleep 4711 >/dev/null 2>&1 & echo $!");
    let gone = || {
        let line = std::fs::read_to_string(format!("/proc/{orphan}/cmdline")).unwrap_or_default();
        !line.contains("4711")
    };
    assert!(gone(), "{orphan} has outlived its container");
}

#[test]
fn joining_a_container_shares_its_namespaces() {
    let env = test_env!();
    env.busybox();
    let x = sleeper(
        &env,
        "xx",
        &["--network", "none", "--ipc", "shareable", "-h", "of-x"],
    );
    let pid = pid_of(&env, "xx");
    for way in WAYS {
        for (flag, kind) in [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts")] {
            let file = format!("/proc/self/ns/{kind}");
            let flags = [flag, "container:xx", "busybox", "readlink", &file];
            assert_eq!(
                way.out(&env, &flags),
                namespace(&pid, kind),
                "{way:?} {flag}"
            );
            let user = [
                flag,
                "container:xx",
                "busybox",
                "readlink",
                "/proc/self/ns/user",
            ];
            assert_eq!(
                way.out(&env, &user),
                namespace(&pid, "user"),
                "{way:?} {flag}"
            );
        }
    }
    let start = ["run", "--rm", "--network", "container:xx"];
    let run = |flags: &[&str], script: &str| {
        env.out(&[&start[..], flags, &["busybox", "sh", "-c", script]].concat())
    };
    assert_eq!(
        run(&[], "readlink /proc/self/ns/net"),
        namespace(&pid, "net")
    );
    assert_eq!(run(&[], "hostname; cat /etc/hostname"), "of-x\nof-x");
    assert_eq!(
        run(&["--pid", "container:xx"], "tr '\\0' ' ' </proc/1/cmdline"),
        "sleep 1000 "
    );
    let id = env.out(&[
        "create",
        "--pid",
        "container:xx",
        "--network",
        "container:xx",
        "busybox",
    ]);
    let format = "{{.HostConfig.PidMode}} {{.HostConfig.NetworkMode}}";
    assert_eq!(
        env.out(&["inspect", "-f", format, &id]),
        format!("container:{x} container:{x}")
    );
}

#[test]
fn shared_ipc_has_the_same_shared_memory() {
    let env = test_env!();
    env.busybox();
    let start = [
        "run",
        "-d",
        NONE[0],
        NONE[1],
        "--ipc",
        "shareable",
        "--name",
        "donor",
    ];
    let script = "echo shared > /dev/shm/file; sleep 1000";
    env.out(&[&start[..], &["busybox", "sh", "-c", script]].concat());
    let reader = [
        "run",
        "--rm",
        NONE[0],
        NONE[1],
        "--ipc",
        "container:donor",
        "busybox",
    ];
    eventually("the file is there", || {
        let read = env.run(&[&reader[..], &["cat", "/dev/shm/file"]].concat());
        read.code == 0 && read.out() == "shared"
    });
    env.run(&[&reader[..], &["rm", "/dev/shm/file"]].concat())
        .ok();
    // docker's default is private, which nobody joins.
    sleeper(&env, "private", &NONE);
    env.run(&["create", "--ipc", "container:private", "busybox"])
        .fails(1, "non-shareable IPC");
    let none = [
        "run", "--rm", NONE[0], NONE[1], "--ipc", "none", "busybox", "ls", "/dev/shm",
    ];
    env.run(&none).code(1);
}

#[test]
fn who_joins_what_does_not_run_or_says_too_much_is_refused() {
    let env = test_env!();
    need!(Need::SubordinateIds);
    env.busybox();
    env.out(&["create", "--name", "ended", "busybox"]);
    for flag in ["--network", "--pid", "--uts"] {
        env.run(&["run", "--rm", flag, "container:ended", "busybox", "true"])
            .fails(125, "non running container: ended");
        env.run(&["run", "--rm", flag, "container:nobody", "busybox", "true"])
            .fails(125, "No such container: nobody");
    }
    for (flags, words) in [
        (&["-h", "mine"][..], "hostname and the network mode"),
        (&["--dns", "192.0.2.1"], "dns and the network mode"),
        (
            &["--add-host", "a:192.0.2.1"],
            "custom host-to-IP mapping and the network mode",
        ),
        (
            &["-p", "8080:80"],
            "port publishing and the container type network mode",
        ),
        (
            &["--expose", "80"],
            "port exposing and the container type network mode",
        ),
        (&["--userns", "keep-id"], "joins its user namespace too"),
    ] {
        let start = ["create", "--network", "container:ended"];
        env.run(&[&start[..], flags, &["busybox"]].concat())
            .fails(1, words);
    }
    sleeper(&env, "aa", &[NONE[0], NONE[1]]);
    sleeper(&env, "bb", &[NONE[0], NONE[1]]);
    env.run(&[
        "run",
        "--rm",
        "--network",
        "container:aa",
        "--uts",
        "container:bb",
        "busybox",
        "true",
    ])
    .fails(125, "has another user namespace");
}

#[test]
fn a_joined_container_ends_without_the_other() {
    let env = test_env!();
    env.busybox();
    sleeper(&env, "xx", &NONE);
    let joined = [
        "run",
        "--rm",
        "--network",
        "none",
        "--pid",
        "container:xx",
        "busybox",
        "sh",
        "-c",
    ];
    let orphan = env.out(&[&joined[..], &["sleep 4712 >/dev/null 2>&1 & echo $!"]].concat());
    let listed = env.out(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--pid",
        "container:xx",
        "busybox",
        "ps",
    ]);
    assert!(
        !listed.contains("4712"),
        "{orphan} has outlived its container: {listed}"
    );
    assert_eq!(
        env.out(&["inspect", "-f", "{{.State.Status}}", "xx"]),
        "running"
    );
    // When the other ends, so does everybody in its pid namespace.
    let start = [
        "run",
        "-d",
        "--name",
        "yy",
        "--network",
        "none",
        "--pid",
        "container:xx",
    ];
    env.out(&[&start[..], &["busybox", "sleep", "1000"]].concat());
    env.run(&["kill", "xx"]).ok();
    assert_eq!(env.out(&["wait", "yy"]), "137");
}

#[test]
fn a_killed_monitor_of_a_shared_pid_namespace_leaves_nothing_for_long() {
    let env = test_env!();
    need!(Need::SubordinateIds);
    env.busybox();
    // The second process has lost its parent's death signal, and the first keeps it.
    let script = "sleep 4713 & exec sleep 4714";
    let start = [
        "run",
        "-d",
        "--name",
        "weak",
        "--network",
        "none",
        "--pid",
        "host",
        "busybox",
    ];
    let id = env.out(&[&start[..], &["sh", "-c", script]].concat());
    let running = |what: &str| {
        let lines = env.processes();
        lines
            .iter()
            .any(|line| line.split_whitespace().skip(1).eq(["sleep", what]))
    };
    eventually("both run", || running("4713") && running("4714"));
    let state = std::fs::read_to_string(env.store().join("containers").join(&id).join("state"));
    let state: serde_json::Value =
        serde_json::from_str(state.expect("it is there").trim()).expect("it is JSON");
    let monitor = state["monitor"]["pid"].as_i64().expect("it has one") as i32;
    nix::sys::signal::kill(Pid::from_raw(monitor), Signal::SIGKILL).expect("it runs");
    eventually("init has its death signal", || !running("4714"));
    assert!(running("4713"), "nothing else ends it");
    let shown = env.out(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]);
    assert_eq!(shown, "weak exited");
    assert!(!running("4713"), "the next command has ended it");
    env.run(&["start", "weak"]).ok();
    eventually("it runs again", || running("4714"));
}
