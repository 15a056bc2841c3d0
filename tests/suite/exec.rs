//! `exec`: one more program in a running container, in all that the container has.

use nix::sys::signal::Signal;

use crate::env::{TestEnv, count, shared_env, test_env};
use crate::process::eventually;
use crate::spellings::words;

/// A busybox container in the background that does nothing.
fn idle(env: &TestEnv, flags: &[&str]) {
    env.busybox();
    let first = ["run", "-d", "--network", "none", "--name", "box"];
    let last = ["busybox", "sleep", "1000"];
    env.run(&[&first, flags, &last].concat()).ok();
}

#[test]
fn program_has_the_containers_namespaces_root_and_variables() {
    let env = shared_env!();
    idle(&env, &["-e", "COLOUR=green", "-w", "/tmp"]);
    for exec in ["exec", "container exec"] {
        let say =
            "hostname; pwd; echo $COLOUR; ls /proc | grep -c '^1$'; readlink /proc/self/ns/pid";
        let said = env.out(&words(exec, &["box", "sh", "-c", say]));
        let said: Vec<&str> = said.lines().collect();
        let id = env.out(&["inspect", "--format", "{{.Id}}", "box"]);
        assert_eq!(said[..4], [&id[..12], "/tmp", "green", "1"]);
    }
    for kind in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let link =
            |pid: &str| env.out(&["exec", "box", "readlink", &format!("/proc/{pid}/ns/{kind}")]);
        assert_eq!(link("self"), link("1"), "{kind}");
    }
}

#[test]
fn exit_codes_are_docker_s() {
    let env = shared_env!();
    idle(&env, &[]);
    for code in [0, 1, 42, 255] {
        env.run(&["exec", "box", "sh", "-c", &format!("exit {code}")])
            .code(code);
    }
    env.run(&["exec", "box", "sh", "-c", "kill -9 $$"])
        .code(137);
    env.run(&["exec", "box", "/nowhere"]).code(127);
    env.run(&["exec", "box", "/etc"]).code(126);
    assert_ne!(env.run(&["exec", "nobody", "true"]).code, 0);
    env.run(&["stop", "-t", "0", "box"]).ok();
    assert_ne!(env.run(&["exec", "box", "true"]).code, 0);
}

#[test]
fn a_program_may_end_before_whoever_brought_it_in() {
    let mut env = test_env!();
    env.set("BRYO_TEST_LINGERS", "exec helper");
    idle(&env, &[]);
    assert_eq!(env.out(&["exec", "box", "echo", "said"]), "said");
    env.run(&["exec", "box", "sh", "-c", "exit 7"]).code(7);
    env.run(&["exec", "box", "/not/there"]).code(127);
}

#[test]
fn variables_user_and_directory_are_those_asked_for() {
    let env = shared_env!();
    idle(&env, &["-e", "A=container"]);
    let file = env.file("variables", "B=file\nA=file\n");
    for exec in ["exec", "container exec"] {
        let ask = |flags: &[&str], script: &str| {
            env.out(&words(
                exec,
                &[flags, &["box", "sh", "-c", script]].concat(),
            ))
        };
        for flag in ["-e", "--env"] {
            assert_eq!(ask(&[flag, "A=flag"], "echo $A"), "flag");
        }
        assert_eq!(ask(&["--env-file", &file], "echo $A $B"), "file file");
        assert_eq!(ask(&[], "echo $A"), "container");
        for flag in ["-u", "--user"] {
            assert_eq!(ask(&[flag, "33:44"], "id -u; id -g"), "33\n44");
        }
        for flag in ["-w", "--workdir"] {
            assert_eq!(ask(&[flag, "/bin"], "pwd"), "/bin");
        }
    }
}

#[test]
fn input_is_read_only_with_interactive() {
    let env = shared_env!();
    idle(&env, &[]);
    for exec in ["exec", "container exec"] {
        for flag in ["-i", "--interactive"] {
            let read = env.command(&words(exec, &[flag, "box", "cat"]));
            assert_eq!(read.input("typed").run().ok().out(), "typed");
        }
        let read = env.command(&words(exec, &["box", "cat"]));
        assert_eq!(read.input("typed").run().ok().out(), "");
    }
}

#[test]
fn both_streams_come_back_apart() {
    let env = shared_env!();
    idle(&env, &[]);
    let run = env
        .run(&["exec", "box", "sh", "-c", "echo out; echo err >&2"])
        .ok();
    assert_eq!(
        (run.stdout.as_str(), run.stderr.as_str()),
        ("out\n", "err\n")
    );
}

#[test]
fn detached_program_goes_on_without_its_client() {
    let env = shared_env!();
    idle(&env, &[]);
    for exec in ["exec", "container exec"] {
        for flag in ["-d", "--detach"] {
            let script = "echo here > /mark; sleep 1000";
            assert_eq!(
                env.out(&words(exec, &[flag, "box", "sh", "-c", script])),
                ""
            );
            eventually("the mark", || {
                env.run(&["exec", "box", "rm", "/mark"]).code == 0
            });
        }
    }
    let sleeping = env.out(&["exec", "box", "sh", "-c", "ps | grep -c '[s]leep 1000$'"]);
    assert_eq!(sleeping, "5", "the container's own and four more");
}

#[test]
fn program_survives_its_client_and_dies_with_the_container() {
    let env = test_env!();
    idle(&env, &[]);
    let mut client = env.spawn(&["exec", "box", "sh", "-c", "echo ready; sleep 4711"]);
    client.until("ready");
    client.signal(Signal::SIGKILL);
    client.wait();
    let sleeps = || {
        let processes = env.processes();
        processes.iter().any(|one| one.contains("sleep 4711"))
    };
    assert!(sleeps());
    env.run(&["rm", "-f", "box"]).ok();
    eventually("the program's end", || !sleeps());
}

#[test]
fn end_of_the_container_ends_the_client_with_the_code_of_a_kill() {
    let env = shared_env!();
    idle(&env, &[]);
    let mut client = env.spawn(&["exec", "box", "sh", "-c", "echo ready; sleep 1000"]);
    client.until("ready");
    env.run(&["kill", "box"]).ok();
    assert_eq!(client.wait().code, 137);
}

#[test]
fn terminal_is_the_containers_own_and_of_the_callers_size() {
    let env = test_env!();
    idle(&env, &[]);
    for exec in ["exec", "container exec"] {
        for flags in [&["-it"][..], &["-i", "-t"], &["--interactive", "--tty"]] {
            let rest = [
                flags,
                &["box", "sh", "-c", "tty; stty size; echo $TERM; exit 7"],
            ]
            .concat();
            let mut terminal = env.terminal(&words(exec, &rest));
            terminal.expect("/dev/pts/");
            terminal.expect("24 80");
            terminal.expect("xterm");
            assert_eq!(terminal.wait(), 7);
        }
    }
}

#[test]
fn resize_and_ctrl_c_reach_the_program() {
    let env = test_env!();
    idle(&env, &[]);
    let script = "trap 'stty size' WINCH; trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.05; done";
    let mut terminal = env.terminal(&["exec", "-it", "box", "sh", "-c", script]);
    terminal.expect("ready");
    terminal.resize(50, 132);
    terminal.expect("50 132");
    terminal.types("\x03");
    terminal.expect("interrupted");
    assert_eq!(terminal.wait(), 9);
}

#[test]
fn detach_keys_leave_the_program_running() {
    let env = test_env!();
    idle(&env, &[]);
    for (exec, seconds) in [("exec", "4712"), ("container exec", "4713")] {
        let script = format!("echo ready; sleep {seconds}");
        let flags = ["-it", "--detach-keys", "ctrl-a,x", "box"];
        let mut terminal =
            env.terminal(&words(exec, &[&flags[..], &["sh", "-c", &script]].concat()));
        terminal.expect("ready");
        terminal.types("\x01x");
        terminal.wait();
        let processes = env.processes();
        assert!(
            processes
                .iter()
                .any(|one| one.contains(&format!("sleep {seconds}")))
        );
    }
}

#[test]
fn privileges_are_the_containers_unless_all_are_asked_for() {
    let env = test_env!();
    idle(&env, &["--cap-drop", "CHOWN"]);
    let status = |flags: &[&str], field: &str| {
        let script = format!("sed -n 's/^{field}:\t//p' /proc/self/status");
        env.out(&[&["exec"], flags, &["box", "sh", "-c", &script]].concat())
    };
    let of_init = |field: &str| {
        let script = format!("sed -n 's/^{field}:\t//p' /proc/1/status");
        env.out(&["exec", "box", "sh", "-c", &script])
    };
    for field in [
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
    ] {
        assert_eq!(status(&[], field), of_init(field), "{field}");
    }
    assert_eq!(status(&["-u", "33"], "CapEff"), "0000000000000000");
    for exec in ["exec", "container exec"] {
        let script = "sed -n 's/^CapEff:\t//p' /proc/self/status";
        let held = env.out(&words(exec, &["--privileged", "box", "sh", "-c", script]));
        assert!(held.ends_with("ffffffffff"), "{held}");
    }
}

#[test]
fn no_descriptor_but_the_three_streams_enters() {
    let env = test_env!();
    idle(&env, &[]);
    for flags in [&[][..], &["-i"]] {
        let list = env.out(&[&["exec"], flags, &["box", "ls", "/proc/self/fd"]].concat());
        // 3 is that of `ls` itself.
        assert_eq!(list, "0\n1\n2\n3");
    }
}

#[test]
fn long_arguments_and_variables_arrive() {
    let env = test_env!();
    idle(&env, &[]);
    let long = "x".repeat(100_000);
    let said = env.out(&[
        "exec",
        "-e",
        &format!("LONG={long}"),
        "box",
        "sh",
        "-c",
        "echo ${#LONG} ${#1}",
        "sh",
        &long,
    ]);
    assert_eq!(said, "100000 100000");
}

#[test]
fn output_is_whole_when_the_exit_is_known() {
    let env = shared_env!();
    idle(&env, &[]);
    for _ in 0..count(25, 500) {
        let run = env
            .run(&["exec", "box", "head", "-c", "500000", "/dev/zero"])
            .ok();
        assert_eq!(run.stdout.len(), 500_000);
    }
}

#[test]
fn many_at_once_keep_their_outputs_apart() {
    let env = shared_env!();
    idle(&env, &[]);
    let clients: Vec<_> = (0..count(10, 50))
        .map(|number| {
            let script =
                format!("for i in 1 2 3; do echo {number}; sleep 0.01; done; exit {number}");
            env.spawn(&["exec", "box", "sh", "-c", &script])
        })
        .collect();
    for (number, client) in (0..).zip(clients) {
        let ended = client.wait().code(number);
        assert_eq!(ended.stdout, format!("{number}\n").repeat(3));
    }
}

/// The container's files decide what the program finds; what they make it wait for must not hold the monitor.
#[test]
fn hostile_files_make_only_the_client_wait() {
    let env = test_env!();
    idle(&env, &[]);
    let script = "rm -f /etc/passwd; mkfifo /etc/passwd";
    env.run(&["exec", "box", "sh", "-c", script]).ok();
    env.run(&["exec", "-u", "someone", "box", "true"])
        .fails(126, "no regular file");
    env.run(&["exec", "box", "true"])
        .fails(126, "no regular file");
    assert_eq!(
        env.out(&["inspect", "--format", "{{.State.Status}}", "box"]),
        "running"
    );
}
