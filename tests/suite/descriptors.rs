//! `--preserve-fds` and `--preserve-fd`: what the caller has open reaches the program, and nothing else does.

use crate::env::{Engine, TestEnv, bryo, shared_env, test_env};
use crate::process::Outcome;

/// A shell line with `$ENGINE` for the program under test.
fn shell(env: &TestEnv, line: &str) -> Outcome {
    let engine = match env.engine {
        Engine::Bryo => bryo().display().to_string(),
        _ => "podman --cgroup-manager cgroupfs --events-backend none".to_owned(),
    };
    env.other("sh", &["-c", line]).var("ENGINE", engine).run()
}

/// A container that runs for as long as the test.
fn stay(env: &TestEnv) {
    let words = "run -d --network none --name box busybox sleep 1000";
    env.run(&words.split(' ').collect::<Vec<_>>()).ok();
}

/// What a program reads from three descriptors, and the numbers of all that it has.
const TELL: &str = "'cat <&3; cat <&6; cat <&9; for fd in $(seq 0 30); do ! test -e /proc/$$/fd/$fd || echo $fd; done'";

#[test]
fn preserved_descriptors_reach_the_program_under_their_own_numbers() {
    let env = shared_env!();
    env.busybox();
    stay(&env);
    for number in 3..10 {
        env.file(&format!("f{number}"), format!("file {number}\n"));
    }
    let open: String = (3..10)
        .map(|number| format!("{number}<f{number} "))
        .collect();
    for way in [
        "run --rm --network none --preserve-fds 7 busybox",
        "container run --rm --network none --preserve-fds=7 busybox",
        "exec --preserve-fds 7 box",
        "container exec --preserve-fds 7 box",
    ] {
        let said = shell(&env, &format!("exec {open}; $ENGINE {way} sh -c {TELL}"));
        let files = "file 3\nfile 6\nfile 9\n";
        let numbers = "0\n1\n2\n3\n4\n5\n6\n7\n8\n9";
        assert_eq!(said.ok().out(), format!("{files}{numbers}"), "{way}");
        // Only as many as were asked for.
        let fewer = way.replace('7', "2");
        let said = shell(
            &env,
            &format!("exec {open}; $ENGINE {fewer} sh -c 'cat <&4; test ! -e /proc/$$/fd/5'"),
        );
        assert_eq!(said.ok().out(), "file 4", "{fewer}");
    }
}

#[test]
fn named_descriptors_keep_their_numbers_too() {
    let env = test_env!();
    env.busybox();
    stay(&env);
    for (way, flags) in [
        ("run --rm --network none", "--preserve-fd 9,4 busybox"),
        (
            "run --rm --network none --init",
            "--preserve-fd 9,4 busybox",
        ),
        (
            "container run --rm --network none",
            "--preserve-fd 4 --preserve-fd=9 busybox",
        ),
        ("exec", "--preserve-fd 4,9 box"),
        ("container exec", "--preserve-fd 9,4 box"),
    ] {
        let line = format!(
            "exec 3>three 4>four 9>nine; $ENGINE {way} {flags} sh -c 'echo 4 >&4; echo 9 >&9; test ! -e /proc/$$/fd/3'; \
             code=$?; cat three four nine; exit $code"
        );
        assert_eq!(shell(&env, &line).ok().out(), "4\n9", "{way} {flags}");
    }
    shell(&env, "$ENGINE exec --preserve-fd 1 box true").fails(125, "--preserve-fd");
}

#[test]
fn what_the_caller_has_not_open_is_not_preserved() {
    let env = shared_env!();
    env.busybox();
    stay(&env);
    for way in [
        "run --rm --network none --preserve-fds 2 busybox",
        "exec --preserve-fds 2 box",
    ] {
        shell(
            &env,
            &format!("exec 3</dev/null 4<&-; $ENGINE {way} echo started"),
        )
        .fails(125, "file descriptor 4 is not available");
    }
}

#[test]
fn preserved_descriptors_are_there_again_when_a_policy_starts_the_program_again() {
    let env = test_env!();
    env.busybox();
    let flags = "-d --network none --name box --restart on-failure:1 --user 1000 --preserve-fds 1";
    let line = format!(
        "exec 3>told; $ENGINE run {flags} busybox sh -c 'echo begun >&3; exit 3'; $ENGINE wait box >/dev/null; cat told"
    );
    let said = shell(&env, &line).ok().out();
    assert_eq!(
        said.lines().skip(1).collect::<Vec<_>>(),
        ["begun", "begun"],
        "{said}"
    );
}
