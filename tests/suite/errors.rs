//! What every mistake looks like: one line that names its subject, docker's exit codes, results apart from messages.

use std::io::Write;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::env::{names, test_env};

#[test]
fn unknown_commands_and_flags_are_named() {
    let env = test_env!();
    env.run(&["no-such-command"])
        .code(1)
        .says("no-such-command");
    env.run(&["ps", "--no-such-flag"])
        .code(125)
        .says("--no-such-flag");
    // As docker: a missing argument is the command's own failure.
    env.run(&["rmi"])
        .code(1)
        .says("requires at least 1 argument");
}

#[test]
fn what_does_not_exist_is_named_as_docker_names_it() {
    let env = test_env!();
    for verb in ["start", "stop", "kill", "wait", "logs", "rm"] {
        env.run(&[verb, "nobody"])
            .fails(1, "No such container: nobody");
    }
    env.run(&["rmi", "nothing"])
        .fails(1, "No such image: nothing:latest");
    env.run(&["inspect", "nothing"])
        .code(1)
        .says("No such object: nothing")
        .prints("[]");
}

#[test]
fn one_failure_of_several_is_reported_and_the_others_are_done() {
    let env = test_env!();
    env.busybox();
    env.run(&["create", "--name", "first", "busybox"]).ok();
    env.run(&["create", "--name", "second", "busybox"]).ok();
    let run = env
        .run(&["rm", "first", "nobody", "second"])
        .code(1)
        .says("nobody");
    assert_eq!(run.stdout, "first\nsecond\n");
}

#[test]
fn names_that_are_paths_are_refused() {
    let env = test_env!();
    env.busybox();
    let long = "x".repeat(10_240);
    for name in [
        "../x",
        ".",
        "..",
        "a/../../b",
        "",
        "-x",
        "a b",
        "a\nb",
        long.as_str(),
    ] {
        let flag = format!("--name={name}");
        let run = env.run(&["create", &flag, "busybox"]);
        assert_ne!(run.code, 0, "{name:?}");
        let run = env.run(&[
            "run",
            "--rm",
            "--pull",
            "never",
            if name.is_empty() { "@" } else { name },
            "true",
        ]);
        assert_ne!(run.code, 0, "{name:?}");
    }
    assert!(names(&env.store().join("names")).is_empty());
}

#[test]
fn listing_never_waits_for_a_lock_that_a_stopped_command_holds() {
    let env = test_env!();
    env.busybox();
    env.run(&["create", "--name", "there", "busybox"]).ok();
    // A load that waits for the rest of its input holds whatever a load holds.
    let archive = crate::image::busybox().docker_archive("busybox:latest");
    let (load, mut stdin) = env.command(&["load"]).spawn_interactive();
    stdin
        .write_all(&archive[..archive.len() / 2])
        .expect("the load reads");
    load.signal(Signal::SIGSTOP);
    for arguments in [&["ps", "-a"][..], &["images"], &["inspect", "there"]] {
        let run = env.command(arguments).limit(Duration::from_secs(5)).run();
        assert_eq!(run.code, 0, "{run:?}");
    }
    load.signal(Signal::SIGCONT);
    drop(stdin);
    assert_ne!(load.wait().code, 0);
}

#[test]
fn interrupted_loads_and_imports_leave_nothing_and_end_as_signals_do() {
    let env = test_env!();
    env.busybox();
    let archive = crate::image::busybox().docker_archive("busybox:latest");
    let signals = [
        (Signal::SIGINT, 130),
        (Signal::SIGTERM, 143),
        (Signal::SIGHUP, 129),
    ];
    // To an import the same bytes are a root filesystem.
    for (words, (signal, code)) in [&["load"][..], &["import", "-", "half"]]
        .into_iter()
        .flat_map(|words| signals.map(|signal| (words, signal)))
    {
        let (load, mut stdin) = env.command(words).spawn_interactive();
        stdin
            .write_all(&archive[..archive.len() / 2])
            .expect("the load reads");
        load.signal(signal);
        assert_eq!(load.wait().code, code, "{words:?} {signal}");
        drop(stdin);
        env.run(&["images"]).ok();
        assert!(
            env.half_made().is_empty(),
            "{signal}: {:?}",
            env.half_made()
        );
    }
}

#[test]
fn a_config_with_an_unknown_key_stops_with_its_place() {
    let env = test_env!();
    let directory = env.path("config/bryo");
    std::fs::create_dir_all(&directory).expect("the test's own directory");
    let file = directory.join("config.toml");
    std::fs::write(&file, "# mine\nlog-levle = \"debug\"\n").expect("the test's own directory");
    env.run(&["ps"])
        .fails(125, &format!("{}:2:1", file.display()))
        .says("log-level");
    std::fs::write(&file, "log-level = 7\n").expect("the test's own directory");
    env.run(&["ps"])
        .fails(125, &format!("{}:1:", file.display()));
}

/// No registry is asked for it, as docker asks none.
#[test]
fn the_id_of_an_unknown_image_names_no_repository() {
    let env = test_env!();
    let id = format!("sha256:{}", "5".repeat(64));
    for verb in ["run", "create"] {
        let code = if verb == "run" { 125 } else { 1 };
        let ended = env
            .run(&[verb, &id])
            .fails(code, &format!("No such image: {id}"));
        assert!(!ended.stderr.contains("registry"), "{ended:?}");
    }
}

#[test]
fn a_missing_or_foreign_runtime_directory_is_no_failure() {
    let env = test_env!();
    env.command(&["run", "--rm", "hello"])
        .without("XDG_RUNTIME_DIR")
        .run()
        .ok();
    env.command(&["run", "--rm", "hello"])
        .var("XDG_RUNTIME_DIR", "/no/such/directory")
        .run()
        .ok();
    // A relative one is no directory, and a long one has no room for the names of sockets.
    let long = env.path(&"x".repeat(100)).to_string_lossy().into_owned();
    std::fs::create_dir(&long).expect("home is writable");
    for useless in ["/", "", "relative", &long] {
        env.command(&["run", "--rm", "hello"])
            .var("XDG_RUNTIME_DIR", useless)
            .run()
            .ok();
    }
    assert!(
        !std::path::Path::new("relative").exists()
            && !std::path::Path::new(&long).join("bryo").exists()
    );
}
