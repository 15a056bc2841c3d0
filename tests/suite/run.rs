//! `run`: exit codes, standard streams, names, entrypoints, `--rm`, `--init`, `--pull`.

use nix::sys::signal::Signal;

use crate::env::{Engine, count, shared_env, test_env};
use crate::process::eventually;

#[test]
fn exit_code_of_the_payload_is_forwarded() {
    let env = shared_env!();
    env.busybox();
    for code in [0, 1, 7, 42, 124, 125, 126, 127, 130, 255] {
        env.run(&[
            "run",
            "--rm",
            "--network",
            "none",
            "busybox",
            "sh",
            "-c",
            &format!("exit {code}"),
        ])
        .code(code);
    }
}

#[test]
fn a_payload_killed_by_a_signal_gives_128_and_its_number() {
    let env = shared_env!();
    env.busybox();
    // PID 1 has no default action for a signal, so a child of it is killed and its shell reports that.
    env.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "busybox",
        "sh",
        "-c",
        "sh -c 'kill -TERM $$'; exit $?",
    ])
    .code(143);
    env.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--init",
        "busybox",
        "sh",
        "-c",
        "kill -KILL $$",
    ])
    .code(137);
}

#[test]
fn a_program_that_does_not_exist_gives_127() {
    let env = shared_env!();
    env.busybox();
    env.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "busybox",
        "/no/such/program",
    ])
    .code(127)
    .says("/no/such/program");
    env.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "busybox",
        "nosuchprogram",
    ])
    .code(127)
    .says("nosuchprogram");
}

#[test]
fn a_program_that_is_not_executable_gives_126() {
    let env = shared_env!();
    env.busybox();
    env.run(&["run", "--rm", "--network", "none", "busybox", "/etc/passwd"])
        .code(126)
        .says("/etc/passwd");
    env.run(&["run", "--rm", "--network", "none", "busybox", "/etc"])
        .code(126)
        .says("/etc");
}

#[test]
fn a_mistake_of_the_caller_gives_125() {
    let env = shared_env!();
    env.busybox();
    env.run(&["run", "--rm", "--no-such-flag", "busybox", "true"])
        .code(125)
        .says("no-such-flag");
    env.run(&["run", "--rm", "--pull", "never", "no-such-image", "true"])
        .code(125)
        .says("no-such-image");
    env.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--name",
        "not/a/name",
        "busybox",
    ])
    .code(125);
}

#[test]
fn standard_streams_are_the_payloads_own() {
    let env = shared_env!();
    env.busybox();
    let run = env
        .run(&[
            "run",
            "--rm",
            "--network",
            "none",
            "busybox",
            "sh",
            "-c",
            "echo out; echo error >&2",
        ])
        .ok();
    assert_eq!(
        (run.stdout.as_str(), run.stderr.as_str()),
        ("out\n", "error\n")
    );
    let fed = env.command(&[
        "run",
        "--rm",
        "-i",
        "--network",
        "none",
        "busybox",
        "tr",
        "a-z",
        "A-Z",
    ]);
    assert_eq!(fed.input("through\n").run().ok().stdout, "THROUGH\n");
    // Without -i nothing of the caller's input reaches the payload.
    let unfed = env.command(&["run", "--rm", "--network", "none", "busybox", "cat"]);
    assert_eq!(unfed.input("secret\n").run().ok().stdout, "");
}

#[test]
fn a_megabyte_passes_through_in_both_directions_unchanged() {
    let env = shared_env!();
    env.busybox();
    let bytes: Vec<u8> = (0..1_048_576_u32)
        .map(|number| (number * 7 % 95 + 32) as u8)
        .collect();
    let run = env
        .command(&["run", "--rm", "-i", "--network", "none", "busybox", "cat"])
        .input(bytes.clone())
        .run()
        .ok();
    assert!(
        run.stdout.as_bytes() == bytes,
        "{} bytes came back",
        run.stdout.len()
    );
}

#[test]
fn the_command_of_the_image_runs_unless_another_is_given() {
    let env = shared_env!();
    let image = crate::image::busybox()
        .configured("Cmd", serde_json::json!(["echo", "from the image"]))
        .docker_archive("speaks:latest");
    env.load(&image);
    assert_eq!(
        env.out(&["run", "--rm", "--network", "none", "speaks"]),
        "from the image"
    );
    assert_eq!(
        env.out(&[
            "run",
            "--rm",
            "--network",
            "none",
            "speaks",
            "echo",
            "from me"
        ]),
        "from me"
    );
}

#[test]
fn an_entrypoint_takes_the_command_as_arguments_and_can_be_replaced() {
    let env = shared_env!();
    let image = crate::image::busybox()
        .configured("Entrypoint", serde_json::json!(["echo", "entry"]))
        .configured("Cmd", serde_json::json!(["command"]))
        .docker_archive("enters:latest");
    env.load(&image);
    let run =
        |arguments: &[&str]| env.out(&[&["run", "--rm", "--network", "none"], arguments].concat());
    assert_eq!(run(&["enters"]), "entry command");
    assert_eq!(run(&["enters", "mine"]), "entry mine");
    // A replaced entrypoint drops the image's command.
    assert_eq!(run(&["--entrypoint", "echo", "enters"]), "");
    assert_eq!(run(&["--entrypoint", "echo", "enters", "mine"]), "mine");
}

#[test]
fn rm_removes_the_container_whatever_its_exit_code() {
    let env = shared_env!();
    env.busybox();
    env.run(&["run", "--rm", "--network", "none", "busybox", "true"])
        .ok();
    env.run(&["run", "--rm", "--network", "none", "busybox", "false"])
        .code(1);
    env.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "busybox",
        "/no/such/program",
    ])
    .code(127);
    eventually("an empty ps -a", || env.out(&["ps", "-aq"]).is_empty());
}

#[test]
fn without_rm_the_container_stays() {
    let env = shared_env!();
    env.busybox();
    env.run(&[
        "run",
        "--network",
        "none",
        "--name",
        "stays",
        "busybox",
        "sh",
        "-c",
        "exit 3",
    ])
    .code(3);
    assert_eq!(env.out(&["ps", "-a", "--format", "{{.Names}}"]), "stays");
    assert_eq!(
        env.out(&["inspect", "--format", "{{.State.ExitCode}}", "stays"]),
        "3"
    );
}

#[test]
fn detached_prints_the_full_id_and_comes_back_at_once() {
    let env = shared_env!();
    env.busybox();
    let run = env
        .run(&[
            "run",
            "-d",
            "--network",
            "none",
            "--name",
            "sleeper",
            "busybox",
            "sleep",
            "1000",
        ])
        .ok();
    let id = run.out();
    assert!(
        id.len() == 64 && id.chars().all(|char| char.is_ascii_hexdigit()),
        "{id:?}"
    );
    assert_eq!(env.out(&["inspect", "--format", "{{.Id}}", "sleeper"]), id);
    assert_eq!(
        env.out(&["inspect", "--format", "{{.State.Running}}", &id[..12]]),
        "true"
    );
    env.run(&["rm", "-f", "sleeper"]).ok();
}

#[test]
fn a_name_in_use_is_refused_with_its_owner() {
    let env = shared_env!();
    env.busybox();
    env.run(&[
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "taken",
        "busybox",
        "sleep",
        "1000",
    ])
    .ok();
    env.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--name",
        "taken",
        "busybox",
        "true",
    ])
    .code(125)
    .says("taken");
    env.run(&["rm", "-f", "taken"]).ok();
    env.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--name",
        "taken",
        "busybox",
        "true",
    ])
    .ok();
}

#[test]
fn a_cidfile_holds_the_id_and_is_never_overwritten() {
    let env = shared_env!();
    env.busybox();
    let file = env.path("home/id");
    let file = file.to_str().expect("test paths are UTF-8");
    env.run(&[
        "run",
        "--network",
        "none",
        "--cidfile",
        file,
        "--name",
        "noted",
        "busybox",
        "true",
    ])
    .ok();
    let id = std::fs::read_to_string(file).expect("the file was written");
    assert_eq!(env.out(&["inspect", "--format", "{{.Id}}", "noted"]), id);
    env.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--cidfile",
        file,
        "busybox",
        "true",
    ])
    .code(125)
    .says(file);
}

#[test]
fn the_payload_is_pid_1_unless_init_is_asked_for() {
    let env = shared_env!();
    env.busybox();
    assert_eq!(
        env.out(&[
            "run",
            "--rm",
            "--network",
            "none",
            "busybox",
            "sh",
            "-c",
            "echo $$"
        ]),
        "1"
    );
    let with_init = env.out(&[
        "run",
        "--rm",
        "--init",
        "--network",
        "none",
        "busybox",
        "sh",
        "-c",
        "echo $$",
    ]);
    assert_ne!(with_init, "1");
}

#[test]
fn init_reaps_orphans() {
    let env = test_env!();
    env.busybox();
    let script = "(sleep 0.1 & ) ; (sh -c 'sleep 0.05 &' ) ; sleep 0.5; grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l";
    assert_eq!(
        env.out(&[
            "run",
            "--rm",
            "--init",
            "--network",
            "none",
            "busybox",
            "sh",
            "-c",
            script
        ]),
        "0"
    );
}

#[test]
fn signals_of_the_caller_reach_the_payload() {
    let env = shared_env!();
    env.busybox();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
    ] {
        let name = signal.as_str().trim_start_matches("SIG");
        let script = format!(
            "trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.05; done"
        );
        let mut run = env.spawn(&[
            "run",
            "--rm",
            "--network",
            "none",
            "busybox",
            "sh",
            "-c",
            &script,
        ]);
        run.until("ready");
        run.signal(signal);
        run.wait().code(9).prints(&format!("got {name}"));
    }
}

#[test]
fn pull_never_and_missing_say_what_they_do() {
    let env = test_env!();
    env.busybox();
    env.run(&[
        "run",
        "--rm",
        "--pull",
        "never",
        "--network",
        "none",
        "busybox",
        "true",
    ])
    .ok();
    env.run(&[
        "run",
        "--rm",
        "--pull",
        "missing",
        "--network",
        "none",
        "busybox",
        "true",
    ])
    .ok();
    env.run(&["run", "--rm", "--pull", "sometimes", "busybox", "true"])
        .code(125)
        .says("sometimes");
    // Docker's own words for an image that is about to be pulled.
    env.run(&["run", "--rm", "127.0.0.1:1/none", "true"])
        .code(125)
        .says("Unable to find image '127.0.0.1:1/none:latest' locally");
}

#[test]
fn a_broken_pipe_is_silent() {
    let env = shared_env!();
    env.busybox();
    let run = env
        .run(&[
            "run",
            "--rm",
            "--network",
            "none",
            "busybox",
            "sh",
            "-c",
            "yes | head -1",
        ])
        .ok();
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("y\n", ""));
}

#[test]
fn a_reader_that_leaves_early_causes_no_panic() {
    let env = test_env!();
    env.busybox();
    let bryo = crate::env::bryo();
    for verb in [
        "ps -a",
        "images",
        "--help",
        "info",
        "run --rm --network none busybox seq 100000",
    ] {
        let line = format!("{} {verb} | head -0", bryo.display());
        let run = env.other("sh", &["-c", &line]).run();
        assert!(!run.stderr.contains("panicked"), "{run:?}");
    }
}

#[test]
fn labels_are_kept() {
    let env = shared_env!();
    env.busybox();
    env.run(&[
        "create",
        "--name",
        "labelled",
        "-l",
        "colour=green",
        "--label",
        "bare",
        "busybox",
    ])
    .ok();
    assert_eq!(
        env.out(&[
            "inspect",
            "--format",
            "{{index .Config.Labels \"colour\"}}",
            "labelled"
        ]),
        "green"
    );
    assert_eq!(
        env.out(&["ps", "-aq", "--filter", "label=colour=green"])
            .len(),
        12
    );
    assert_eq!(env.out(&["ps", "-aq", "--filter", "label=colour=red"]), "");
}

#[test]
fn many_containers_at_once_do_not_disturb_each_other() {
    let env = shared_env!();
    env.busybox();
    let rounds = if env.engine == Engine::Bryo {
        count(4, 40)
    } else {
        1
    };
    for round in 0..rounds {
        let running: Vec<_> = (0..4)
            .map(|number| {
                let text = format!("{round}-{number}");
                (
                    text.clone(),
                    env.spawn(&["run", "--rm", "--network", "none", "busybox", "echo", &text]),
                )
            })
            .collect();
        for (text, run) in running {
            assert_eq!(run.wait().ok().out(), text);
        }
    }
}

/// Where another container runs, init is on its way before the command line is understood: what was expected may be wrong.
#[test]
fn an_expectation_that_was_wrong_makes_no_difference() {
    let env = test_env!();
    env.busybox();
    let other = ["run", "-d", "--name", "other", "--network", "none"];
    env.run(&[&other[..], &["busybox", "sleep", "1000"]].concat())
        .ok();
    let before = env.processes();
    let run = |words: &[&str], input: &str| {
        let run = ["run", "--rm", "--network", "none"];
        let outcome = env.command(&[&run[..], words].concat());
        outcome.input(input).run()
    };
    // Input that is not seen coming, and none where it looks like it.
    let late = run(&["--interactive=true", "busybox", "cat"], "typed");
    assert_eq!(late.ok().out(), "typed");
    let none = run(&["-e", "-i", "busybox", "cat"], "typed");
    assert_eq!(none.ok().out(), "");
    run(&["--name", "-i", "busybox", "cat"], "").fails(125, "name");
    // Namespaces and ids that are not its own.
    let hostname = run(&["--uts=host", "busybox", "hostname"], "");
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("procfs");
    assert_eq!(hostname.ok().out(), own.trim());
    let shared = ["--pid", "container:other", "busybox", "cat", "/proc/1/comm"];
    assert_eq!(run(&shared, "").ok().out(), "sleep");
    let large = "x".repeat(100_000);
    let variable = format!("LARGE={large}");
    let sent = run(
        &["-e", &variable, "busybox", "sh", "-c", "echo ${#LARGE}"],
        "",
    );
    assert_eq!(sent.ok().out(), "100000");
    // Given up in all stages.
    run(&["--nonsense", "busybox"], "").code(125);
    run(&["--pull", "never", "nosuch:1"], "").code(125);
    run(&["--name", "other", "busybox"], "").fails(125, "already in use");
    run(&["busybox", "nosuch"], "").code(127);
    eventually("no monitor to be left", || env.processes() == before);
    env.run(&["rm", "-f", "other"]).ok();
}
