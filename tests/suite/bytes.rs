//! Bytes that are no UTF-8 in arguments, variables and names pass unchanged; what people and tools read has them escaped.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::env::{TestEnv, test_env};
use crate::process::{Invocation, Outcome};

const BYTES: &[u8] = b"a\xff\x80z";
const FIXED: [&str; 3] = ["--network", "none", "--name"];

/// A command line whose last words are no text.
fn run(env: &TestEnv, words: &[&str], raw: &[&[u8]]) -> Outcome {
    run_with(env, &[], words, raw)
}

fn run_with(env: &TestEnv, first: &[&[u8]], words: &[&str], raw: &[&[u8]]) -> Outcome {
    let mut command = env.command(&[]).into_command();
    command.args(first.iter().map(|word| OsStr::from_bytes(word)));
    command.args(words);
    command.args(raw.iter().map(|word| OsStr::from_bytes(word)));
    Invocation::new(command).run()
}

/// Prints its arguments and a variable as numbers.
const DUMP: [&str; 3] = ["sh", "-c", "printf %s \"$1$V\" | od -An -tx1 -v"];

#[test]
fn arguments_and_variables_pass_unchanged() {
    let env = test_env!();
    env.busybox();
    let variable = [b"-eV=", BYTES].concat();
    let flags: [&[u8]; 4] = [b"run", b"-d", &variable, b"--network=none"];
    let words = [&["--name", "box", "busybox"][..], &DUMP, &["sh"]].concat();
    run_with(&env, &flags, &words, &[BYTES]).ok();
    env.out(&["wait", "box"]);
    let twice = "61 ff 80 7a 61 ff 80 7a";
    assert_eq!(env.out(&["logs", "box"]).trim(), twice);
    // Still so when it is started again, from the record.
    env.out(&["start", "-a", "box"]);
    assert!(
        env.out(&["logs", "box"])
            .lines()
            .all(|line| line.trim() == twice)
    );
    let inspected = env.out(&[
        "inspect",
        "-f",
        "{{json .Config.Env}} {{json .Args}}",
        "box",
    ]);
    assert!(inspected.contains(r#""V=a\\xff\\x80z""#), "{inspected}");
    assert!(inspected.ends_with(r#""a\\xff\\x80z"]"#), "{inspected}");
    let shown = env.out(&["ps", "-a", "--no-trunc", "--format", "{{.Command}}"]);
    assert!(shown.ends_with(r#"a\\xff\\x80z""#), "{shown}");
    // An image keeps what its container was told.
    env.out(&["commit", "box", "kept"]);
    let run = [&["run", "--rm"][..], &FIXED, &["of-kept", "kept"]].concat();
    assert_eq!(env.out(&run).trim(), twice);
}

#[test]
fn executed_programs_and_the_hosts_variables_too() {
    let env = test_env!();
    env.busybox();
    let start = [
        &["run", "-d"][..],
        &FIXED,
        &["box", "busybox", "sleep", "1000"],
    ]
    .concat();
    env.out(&start);
    let mut command = env.command(&["exec", "-e", "V", "box"]).into_command();
    command.args(DUMP).arg("sh").arg(OsStr::from_bytes(BYTES));
    command.env("V", OsStr::from_bytes(BYTES));
    let dumped = Invocation::new(command).run().ok().out();
    assert_eq!(dumped.trim(), "61 ff 80 7a 61 ff 80 7a");
    let all = [
        &["run", "--rm", "--env-host"][..],
        &FIXED,
        &["host", "busybox"],
        &DUMP,
    ]
    .concat();
    let mut command = env.command(&all).into_command();
    command.env("V", OsStr::from_bytes(BYTES));
    let dumped = Invocation::new(command).run().ok().out();
    assert_eq!(dumped.trim(), "61 ff 80 7a");
}

#[test]
fn names_of_files_and_directories_too() {
    let env = test_env!();
    env.busybox();
    let start = [
        &["run", "-d"][..],
        &FIXED,
        &["box", "busybox", "sleep", "1000"],
    ]
    .concat();
    env.out(&start);
    let place = [b"/", BYTES].concat();
    run(&env, &["exec", "box", "mkdir"], &[&place]).ok();
    // A working directory, by both verbs; and a program of that name.
    run(
        &env,
        &["exec", "box", "cp", "/bin/busybox"],
        &[&[&place[..], b"/pwd"].concat()],
    )
    .ok();
    let flags: [&[u8]; 3] = [b"exec", b"-w", &place];
    let inside = run_with(&env, &flags, &["box", "sh", "-c", "pwd | od -An -tx1"], &[]).ok();
    assert_eq!(inside.out().trim(), "2f 61 ff 80 7a 0a");
    let program = [&place[..], b"/pwd"].concat();
    run(&env, &["exec", "box"], &[&program]).ok();
    // In and out again.
    let here = OsString::from_vec(BYTES.to_vec());
    fs::write(env.path("home").join(&here), "content").expect("home is writable");
    run(
        &env,
        &["cp"],
        &[BYTES, &[b"box:", &place[..], b"/"].concat()],
    )
    .ok();
    fs::remove_file(env.path("home").join(&here)).expect("it was there");
    run(
        &env,
        &["cp"],
        &[&[b"box:", &place[..], b"/", BYTES].concat(), b"."],
    )
    .ok();
    let back = fs::read(env.path("home").join(&here)).expect("it was copied");
    assert_eq!(back, b"content");
    let missing = run(&env, &["exec", "box"], &[b"no\xffprogram"]);
    missing.fails(127, "xffprogram");
}
