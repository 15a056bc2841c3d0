//! What the program says to words: docker's wording, exit codes, where lines go.

use std::io::Read;
use std::process::Stdio;

use crate::cli_program::{bryo, command};

#[track_caller]
fn fails(words: &[&str], code: i32, stderr: &str) {
    let ended = bryo(words);
    assert_eq!(ended.stderr, stderr, "bryo {words:?}");
    assert_eq!(ended.code, Some(code), "bryo {words:?}");
    assert_eq!(ended.stdout, "");
}

#[test]
fn version_flag_is_one_line() {
    let expected = format!("bryo version {}\n", env!("CARGO_PKG_VERSION"));
    for words in [["--version"], ["-v"]] {
        let ended = bryo(&words);
        assert_eq!((ended.code, ended.stdout), (Some(0), expected.clone()));
    }
    assert_eq!(bryo(&["-D", "--version"]).stdout, expected);
}

/// Each library takes a tenth of a millisecond to load, and its pages are copied by each fork of a start.
#[test]
fn no_library_is_loaded_but_the_c_library() {
    let mut command = command(&["--version"]);
    let output = command.env("LD_TRACE_LOADED_OBJECTS", "1").output();
    let output = output.expect("the program was built").stdout;
    let text = String::from_utf8_lossy(&output);
    let expected = ["libc.so", "linux-vdso", "linux-gate", "ld-linux"];
    let other = |line: &&str| !expected.iter().any(|name| line.contains(name));
    let others: Vec<&str> = text.lines().filter(other).collect();
    assert!(text.contains("libc.so") && others.is_empty(), "{text}");
}

#[test]
fn version_shows_the_version() {
    let ended = bryo(&["version"]);
    assert!(
        ended.stdout.contains(env!("CARGO_PKG_VERSION")),
        "{}",
        ended.stdout
    );
}

#[test]
fn version_format_takes_templates() {
    for flag in ["-f", "--format"] {
        let ended = bryo(&[
            "version",
            flag,
            "{{.Client.Version}} {{.Client.Os | upper}}",
        ]);
        assert_eq!(
            ended.stdout,
            format!("{} LINUX\n", env!("CARGO_PKG_VERSION"))
        );
    }
    fails(
        &["version", "-f", "{{.Nothing}}"],
        1,
        "Error: template parsing error: template: :1:2: executing \"\" at <.Nothing>: map has no entry for key \"Nothing\"\n",
    );
}

#[test]
fn no_command_shows_help() {
    let ended = bryo(&[]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.contains("Usage: bryo"), "{}", ended.stdout);
    assert!(
        !ended.stdout.contains("generate"),
        "the generator is hidden"
    );
}

#[test]
fn groups_show_their_commands() {
    for (group, verb) in [
        ("container", "run"),
        ("image", "pull"),
        ("volume", "create"),
        ("secret", "create"),
        ("manifest", "annotate"),
        ("system", "info"),
    ] {
        let ended = bryo(&[group]);
        assert_eq!(ended.code, Some(0));
        assert!(
            ended.stdout.contains(&format!("\n  {verb} ")),
            "{}",
            ended.stdout
        );
    }
}

#[test]
fn both_spellings_have_one_definition() {
    for (short, long) in [
        ("run", "container run"),
        ("ps", "container ls"),
        ("ps", "container ps"),
        ("ps", "container list"),
        ("rm", "container rm"),
        ("images", "image ls"),
        ("images", "image list"),
        ("rmi", "image rm"),
        ("rmi", "image remove"),
        ("pull", "image pull"),
        ("info", "system info"),
    ] {
        let options = |words: &str| {
            let words: Vec<&str> = words.split(' ').chain(["--help"]).collect();
            let help = bryo(&words).stdout;
            let (_, options) = help.split_once("Options:").expect("options are listed");
            options.to_owned()
        };
        assert_eq!(options(short), options(long), "{short} and {long}");
    }
}

#[test]
fn unknown_words_are_named_with_the_nearest() {
    fails(
        &["run", "--rmm", "x"],
        125,
        "Error: unknown flag: --rmm\nHint: bryo run --rm\n",
    );
    fails(
        &["ps", "--zzz"],
        125,
        "Error: unknown flag: --zzz\nHint: bryo ps --help\n",
    );
    fails(
        &["ps", "-Z"],
        125,
        "Error: unknown shorthand flag: 'Z' in -Z\nHint: bryo ps --help\n",
    );
    fails(
        &["imagess"],
        125,
        "Error: unknown command: bryo imagess\nHint: bryo images\n",
    );
}

#[test]
fn missing_and_superfluous_arguments_are_counted() {
    fails(
        &["rm"],
        1,
        "Error: \"bryo rm\" requires at least 1 argument\nHint: bryo rm --help\n",
    );
    fails(
        &["tag", "a"],
        1,
        "Error: \"bryo tag\" requires 2 arguments\nHint: bryo tag --help\n",
    );
    fails(
        &["ps", "x"],
        1,
        "Error: \"bryo ps\" does not take the argument \"x\"\nHint: bryo ps --help\n",
    );
    fails(
        &["ps", "--filter"],
        125,
        "Error: flag needs an argument: --filter\n",
    );
}

#[test]
fn values_are_refused_in_docker_s_words() {
    for (flags, message) in [
        (
            &["--shm-size", "x"][..],
            "invalid argument \"x\" for \"--shm-size\" flag: invalid size: 'x'",
        ),
        (
            &["-e", "=x"],
            "invalid argument \"=x\" for \"-e, --env\" flag: invalid environment variable: =x",
        ),
        (
            &["--ulimit", "nofile"],
            "invalid argument \"nofile\" for \"--ulimit\" flag: invalid ulimit argument: nofile",
        ),
        (
            &["--mount", "type=bind,x"],
            "invalid argument \"type=bind,x\" for \"--mount\" flag: invalid field 'x' must be a key=value pair",
        ),
        (
            &["-v", "/a:b"],
            "invalid volume specification: '/a:b': invalid mount path: 'b' mount path must be absolute",
        ),
        (
            &["-v", "/a:/b", "--tmpfs", "/b"],
            "Duplicate mount point: /b",
        ),
        (
            &["-v", "data:/b:rshared"],
            "invalid volume specification: 'data:/b:rshared': invalid mode: rshared",
        ),
        (
            &["--security-opt", "foo=bar"],
            "invalid --security-opt: \"foo=bar\"",
        ),
        (
            &["--sysctl", "kernel.panic=1"],
            "invalid argument \"kernel.panic=1\" for \"--sysctl\" flag: sysctl 'kernel.panic=1' is not allowed",
        ),
        (
            &["--pull", "often"],
            "invalid argument \"often\" for \"--pull\" flag: invalid pull option: \"often\": must be one of \"always\", \"missing\" or \"never\"",
        ),
        (
            &["-d", "-a", "stdout"],
            "conflicting options: cannot specify both --attach and --detach",
        ),
        (
            &["--isolation", "hyperv"],
            "invalid isolation \"hyperv\": only \"default\" exists on Linux",
        ),
    ] {
        let words: Vec<&str> = ["run"]
            .iter()
            .chain(flags)
            .chain(&["image"])
            .copied()
            .collect();
        fails(&words, 125, &format!("Error: {message}\n"));
    }
}

#[test]
fn flags_behind_the_image_belong_to_the_program() {
    // whatever the engine answers, these are no errors of the parser
    for words in [
        &["run", "--network", "none", "image", "--gpus", "-Z"][..],
        &[
            "run",
            "--rm=true",
            "-it=false",
            "-d=false",
            "--sig-proxy=false",
            "image",
        ],
        &[
            "run", "--rm", "--rm", "--name", "a", "--name", "b", "image", "-e",
        ],
    ] {
        let ended = bryo(words);
        assert!(
            !ended.stderr.contains("flag"),
            "{words:?}: {}",
            ended.stderr
        );
        assert!(
            !ended.stderr.contains("argument"),
            "{words:?}: {}",
            ended.stderr
        );
    }
}

#[test]
fn h_is_help_where_it_is_nothing_else() {
    assert!(bryo(&["ps", "-h"]).stdout.contains("Usage: bryo ps"));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = command(&["run", "--help"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program was built");
    drop(child.stdout.take());
    let mut stderr = String::new();
    let mut pipe = child.stderr.take().expect("it is piped");
    pipe.read_to_string(&mut stderr).expect("it is text");
    child.wait().expect("it ends");
    assert_eq!(stderr, "");
}

#[test]
fn colours_only_where_they_are_wanted() {
    let coloured = |variables: &[(&str, &str)]| {
        let output = command(&["ps", "--zzz"])
            .envs(variables.iter().copied())
            .output()
            .expect("the program was built");
        output.stderr.contains(&0x1b)
    };
    assert!(!coloured(&[]));
    assert!(coloured(&[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}
