//! The flags of `run` and `create` whose effect is seen outside: what is kept, fetched, attached, stopped, removed.

use std::io::Read;
use std::net::{TcpListener, TcpStream};

use nix::sys::signal::Signal;

use crate::env::test_env;
use crate::image::{busybox, platforms};
use crate::need::{Need, need};
use crate::process::eventually;
use crate::registry::{Access, Registry};
use crate::spellings::{WAYS, ask, words};

const NONE: [&str; 2] = ["--network", "none"];

#[test]
fn run_shows_the_programs_output() {
    let env = test_env!();
    env.busybox();
    for command in ["run", "container run"] {
        let ran = ask(
            &env,
            command,
            &["--rm", NONE[0], NONE[1], "busybox", "echo", "said"],
        );
        assert_eq!(ran.ok().stdout, "said\n");
    }
}

#[test]
fn create_prints_the_id_and_starts_nothing() {
    let env = test_env!();
    env.busybox();
    for command in ["create", "container create"] {
        let id = ask(&env, command, &["busybox", "true"]).ok().out();
        assert_eq!(id.len(), 64);
        let status = env.out(&["inspect", "-f", "{{.State.Status}}", &id]);
        assert_eq!(status, "created", "{command}");
    }
}

#[test]
fn attach_shows_only_the_named_stream() {
    let env = test_env!();
    env.busybox();
    let program = ["busybox", "sh", "-c", "echo out; echo error >&2"];
    for command in ["run", "container run"] {
        for flag in ["-a", "--attach"] {
            let flags = ["--rm", NONE[0], NONE[1], flag, "stderr"];
            let ran = ask(&env, command, &[&flags[..], &program].concat()).ok();
            let shown = (ran.stdout.as_str(), ran.stderr.as_str());
            assert_eq!(shown, ("", "error\n"), "{command} {flag}");
        }
    }
    for command in ["create", "container create"] {
        for flag in ["-a", "--attach"] {
            let id = ask(&env, command, &[flag, "stderr", "busybox"]).ok().out();
            let format =
                "{{.Config.AttachStdin}} {{.Config.AttachStdout}} {{.Config.AttachStderr}}";
            let attached = env.out(&["inspect", "-f", format, &id]);
            assert_eq!(attached, "false false true", "{command} {flag}");
        }
    }
}

#[test]
fn cidfile_holds_the_id() {
    let env = test_env!();
    env.busybox();
    for (number, way) in WAYS.into_iter().enumerate() {
        let file = env.path("home").join(format!("id{number}"));
        let path = file.to_str().expect("test paths are UTF-8");
        let id = way.start(
            &env,
            &[NONE[0], NONE[1], "--cidfile", path, "busybox", "true"],
        );
        let kept = std::fs::read_to_string(&file).expect("the file was written");
        assert_eq!(kept, id, "{way:?}");
    }
}

#[test]
fn detach_prints_the_id() {
    let env = test_env!();
    env.busybox();
    for command in ["run", "container run"] {
        for flag in ["-d", "--detach"] {
            let rest = [flag, NONE[0], NONE[1], "busybox", "sleep", "1000"];
            let id = ask(&env, command, &rest).ok().out();
            let running = env.out(&["inspect", "-f", "{{.State.Running}}", &id]);
            assert_eq!((id.len(), running.as_str()), (64, "true"));
        }
    }
}

#[test]
fn detach_keys_leave_it_running() {
    let env = test_env!();
    env.busybox();
    for command in ["run", "container run"] {
        let rest = [
            "-it",
            NONE[0],
            NONE[1],
            "--detach-keys",
            "ctrl-a,x",
            "busybox",
            "sh",
        ];
        let mut terminal = env.terminal(&words(command, &rest));
        terminal.expect("# ");
        // The default's are no more than two letters now.
        terminal.types("\x10\x11\x01x");
        assert_eq!(terminal.wait(), 0, "{command}");
    }
    assert_eq!(env.out(&["ps", "-q"]).lines().count(), 2);
}

#[test]
fn the_configurations_detach_keys_are_used_where_no_flag_is_given() {
    let mut env = test_env!();
    env.busybox();
    env.set("BRYO_DETACH_KEYS", "ctrl-b,z");
    let mut terminal = env.terminal(&[
        "run", "-it", NONE[0], NONE[1], "--name", "kept", "busybox", "sh",
    ]);
    terminal.expect("# ");
    terminal.types("\x02z");
    assert_eq!(terminal.wait(), 0);
    env.run(&["stop", "-t", "0", "kept"]).ok();
    let mut terminal = env.terminal(&["start", "-ai", "kept"]);
    terminal.expect("# ");
    terminal.types("\x02z");
    assert_eq!(terminal.wait(), 0);
    assert_eq!(env.out(&["ps", "--format", "{{.Names}}"]), "kept");
}

#[test]
fn disable_content_trust_is_accepted_with_dockers_notice() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let rest = [
            NONE[0],
            NONE[1],
            "--disable-content-trust",
            "busybox",
            "true",
        ];
        ask(&env, way.make, &rest)
            .ok()
            .says("Flag --disable-content-trust has been deprecated");
    }
}

#[test]
fn isolation_default_is_accepted() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let rest = |isolation| ["--isolation", isolation, "busybox", "true"];
        way.run(&env, &rest("default")).ok();
        way.run(&env, &rest("hyperv"))
            .fails(way.engine_failure(), "hyperv");
    }
}

#[test]
fn label_is_in_inspect() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        for flag in ["-l", "--label"] {
            let rest = [NONE[0], NONE[1], flag, "colour=green", "busybox", "true"];
            let id = way.start(&env, &rest);
            let format = "{{index .Config.Labels \"colour\"}}";
            assert_eq!(env.out(&["inspect", "-f", format, &id]), "green", "{way:?}");
        }
    }
}

#[test]
fn label_file_is_in_inspect() {
    let env = test_env!();
    env.busybox();
    let file = env.file("labels", "colour=of the file\n");
    for way in WAYS {
        let rest = [NONE[0], NONE[1], "--label-file", &file, "busybox", "true"];
        let id = way.start(&env, &rest);
        let format = "{{.Config.Labels.colour}}";
        assert_eq!(env.out(&["inspect", "-f", format, &id]), "of the file");
    }
}

#[test]
fn name_is_the_containers_name() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let rest = [NONE[0], NONE[1], "--name", "named", "busybox", "true"];
        let id = way.start(&env, &rest);
        assert_eq!(env.out(&["inspect", "-f", "{{.Id}}", "named"]), id);
        env.run(&["rm", "-f", "named"]).ok();
    }
}

#[test]
fn publish_reaches_the_program() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    env.busybox();
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has ports");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    for way in WAYS {
        for flag in ["-p", "--publish"] {
            let publish = format!("{address}:8080");
            let program = ["busybox", "nc", "-ll", "-p", "8080", "-e", "echo", "pong"];
            let id = way.start(&env, &[&[flag, &publish], &program[..]].concat());
            eventually("an answer", || {
                let mut text = String::new();
                let stream = TcpStream::connect(address);
                stream.is_ok_and(|mut stream| {
                    stream.read_to_string(&mut text).is_ok() && text == "pong\n"
                })
            });
            env.run(&["rm", "-f", &id]).ok();
        }
    }
}

#[test]
fn pull_never_refuses_a_missing_image() {
    let env = test_env!();
    env.busybox();
    env.run(&["tag", "busybox", "127.0.0.1:1/here"]).ok();
    for way in WAYS {
        let with = |policy, image| way.run(&env, &["--pull", policy, image, "true"]);
        with("never", "127.0.0.1:1/here").ok();
        with("missing", "127.0.0.1:1/here").ok();
        let never = with("never", "127.0.0.1:1/gone");
        // Docker: only run keeps its low codes for the program.
        let code = if way.make.ends_with("run") { 125 } else { 1 };
        assert!(!never.stderr.contains("Unable to find"), "{never:?}");
        never.fails(code, "127.0.0.1:1/gone");
        // Asks the registry, which is not there, for what is.
        assert_ne!(with("always", "127.0.0.1:1/here").code, 0);
    }
}

#[test]
fn quiet_shows_no_progress_of_a_pull() {
    let env = test_env!();
    need!(Need::Program("docker-registry"), Need::Program("skopeo"));
    let registry = Registry::start(&env, Access::Http);
    let name = registry.push(&env, &busybox(), "app");
    for way in WAYS {
        let loud = way.run(&env, &[&name, "true"]).ok();
        let said = loud.stderr + &loud.stdout;
        assert!(way.make.ends_with("create") || said.contains("Unable to find"));
        env.run(&["rmi", "-f", &name]).ok();
        for flag in ["-q", "--quiet"] {
            let rest = [flag, NONE[0], NONE[1], &name, "true"];
            let quiet = ask(&env, way.make, &rest).ok();
            assert_eq!(quiet.stderr, "", "{way:?} {flag}");
            let all = env.out(&["ps", "-aq"]);
            env.run(&[&["rm"], &all.lines().collect::<Vec<_>>()[..]].concat())
                .ok();
            env.run(&["rmi", "-f", &name]).ok();
        }
    }
}

#[test]
fn platform_chooses_the_image() {
    let env = test_env!();
    need!(Need::Program("docker-registry"), Need::Program("skopeo"));
    let registry = Registry::start(&env, Access::Http);
    let name = registry.push_index(&env, &platforms(), "both");
    for way in WAYS {
        for architecture in ["amd64", "arm64"] {
            let platform = format!("linux/{architecture}");
            let rest = ["--platform", &platform, &name, "cat", "/architecture"];
            assert_eq!(way.out(&env, &rest), architecture, "{way:?}");
        }
    }
}

#[test]
fn rm_leaves_nothing_behind() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        way.start(&env, &[NONE[0], NONE[1], "--rm", "busybox", "true"]);
        eventually("an empty ps -a", || env.out(&["ps", "-aq"]).is_empty());
    }
}

#[test]
fn sig_proxy_false_keeps_signals_away() {
    let env = test_env!();
    env.busybox();
    let script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    for command in ["run", "container run"] {
        let rest = [
            NONE[0],
            NONE[1],
            "--sig-proxy=false",
            "busybox",
            "sh",
            "-c",
            script,
        ];
        let mut run = env.spawn(&words(command, &rest));
        run.until("ready");
        run.signal(Signal::SIGTERM);
        run.wait().code(143);
        let id = env.out(&["ps", "-q"]);
        assert_eq!(
            id.len(),
            12,
            "{command}: the container went with its client"
        );
        env.run(&["rm", "-f", &id]).ok();
    }
}

#[test]
fn stop_signal_is_what_stop_sends() {
    let env = test_env!();
    env.busybox();
    let script = "trap 'exit 44' USR1; echo ready; while :; do sleep 0.05; done";
    for way in WAYS {
        let flags = [NONE[0], NONE[1], "--stop-signal", "USR1"];
        let program = ["busybox", "sh", "-c", script];
        let id = way.start(&env, &[&flags[..], &program].concat());
        eventually("the trap", || env.out(&["logs", &id]) == "ready");
        env.run(&["stop", &id]).ok();
        assert_eq!(env.out(&["wait", &id]), "44", "{way:?}");
    }
}

#[test]
fn stop_timeout_is_how_long_stop_waits() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let flags = [NONE[0], NONE[1], "--stop-timeout", "0"];
        // PID 1 without a trap ignores SIGTERM: only the end of the wait ends it.
        let id = way.start(&env, &[&flags[..], &["busybox", "sleep", "1000"]].concat());
        let stop = env.run(&["stop", &id]).ok();
        assert!(
            stop.took.as_secs() < 9,
            "{way:?}: the default is ten seconds"
        );
        assert_eq!(env.out(&["wait", &id]), "137", "{way:?}");
    }
}
