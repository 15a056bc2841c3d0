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
        1,
        "Error: unknown command: bryo imagess\nHint: bryo images\n",
    );
    fails(
        &["help", "nosuch"],
        1,
        "Error: unknown help topic: nosuch\nHint: bryo --help\n",
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
        &["exec", "a"],
        1,
        "Error: \"bryo exec\" requires at least 2 arguments\nHint: bryo exec --help\n",
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

/// Go's flags take the next word whatever it begins with.
#[test]
fn the_value_of_a_flag_may_begin_with_a_dash() {
    let stopped = |words: &[&str], code: i32, said: &str| {
        let ended = bryo(words);
        assert!(ended.stderr.contains(said), "{words:?}: {}", ended.stderr);
        assert_eq!(ended.code, Some(code), "{words:?}");
    };
    let wrong = "bad format of filter (expected name=value)";
    stopped(&["ps", "--filter", "-x"], 125, wrong);
    stopped(&["ps", "-qf", "-x"], 125, wrong);
    stopped(&["container", "ls", "-a", "--filter", "--all"], 125, wrong);
    stopped(
        &["run", "-dl", "-A=1", "--ulimit", "-1", "image"],
        125,
        "\"-1\" for \"--ulimit\"",
    );
    stopped(&["kill", "-s", "-9", "x"], 1, "invalid signal: -9");
    stopped(&["logs", "--since", "-x", "x"], 1, "\"-x\" is neither");
    stopped(&["--log-level", "-x", "ps"], 1, "logging level: -x");
    // behind the image and behind `--` nothing is a flag's value
    stopped(
        &["run", "--ulimit", "x", "image", "-l", "-x"],
        125,
        "\"x\" for \"--ulimit\"",
    );
    stopped(&["ps", "--", "--filter", "-x"], 1, "\"--filter\"");
    stopped(&["ps", "--fliter", "-x"], 125, "unknown flag: --fliter");
}

/// What docker leaves to its daemon is an ordinary failure, what its client sees is 125.
#[test]
fn failures_have_docker_s_exit_codes() {
    let lines = [
        (1, "ps --filter colour=red"),
        (1, "ps --filter status=fine"),
        (125, "ps --filter colour"),
        (1, "images --filter dangling=perhaps"),
        (1, "volume ls --filter colour=red"),
        (1, "network prune -f --filter colour=red"),
        (1, "kill -s NOPE x"),
        (1, "stop -s NOPE x"),
        (125, "stop -t soon x"),
        (1, "logs --since yesterday x"),
        (1, "events --until yesterday"),
        (1, "inspect --type nope x"),
        (1, "attach --detach-keys bogus-keys x"),
        (1, "exec --env-file /nonexistent/f x true"),
        (125, "exec -e = x true"),
        (1, "start -a one two"),
        (1, "update x"),
        (1, "update --restart sometimes x"),
        (1, "--log-level loud ps"),
        (1, "run -d -a stdout image"),
        (125, "run --stop-signal NOPE image"),
        (125, "run --detach-keys bogus-keys image"),
        (1, "create --stop-signal NOPE image"),
        (1, "create --restart sometimes image"),
        (125, "create --restart on-failure:x image"),
        (1, "create -v a:/x -v b:/x image"),
        (125, "create -v : image"),
        (125, "create --env-file /nonexistent/f image"),
        (1, "create --runtime nope image"),
        (1, "create --isolation nope image"),
        (1, "create --log-driver nope image"),
        (1, "create --oom-score-adj 1001 image"),
        (1, "create --mount type=nope,dst=/x image"),
        (125, "create --mount nope image"),
        (1, "create --tmpfs x image"),
        (1, "create --ipc nope image"),
        (1, "volume create --name a b"),
    ];
    for (code, line) in lines {
        let ended = bryo(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(ended.code, Some(code), "{line}: {}", ended.stderr);
        assert!(
            ended.stderr.starts_with("Error: "),
            "{line}: {}",
            ended.stderr
        );
    }
}

/// A flattened group of flags must not bring its own description with it.
#[test]
fn help_begins_with_what_the_list_of_commands_says() {
    fn listed(words: &[&str]) -> Vec<(String, String)> {
        let help = bryo(&[words, &["--help"]].concat()).stdout;
        let Some((_, list)) = help.split_once("\nCommands:\n") else {
            return Vec::new();
        };
        let lines = list.lines().take_while(|line| !line.is_empty());
        let split = |line: &str| {
            let (name, about) = line.strip_prefix("  ")?.split_once(' ')?;
            let about = about.trim().split(" [alias").next()?;
            (!name.is_empty()).then(|| (name.to_owned(), about.to_owned()))
        };
        lines.filter_map(split).collect()
    }
    let mut seen = 0;
    for (group, _) in [vec![(String::new(), String::new())], listed(&[])].concat() {
        let group: Vec<&str> = [group.as_str()]
            .into_iter()
            .filter(|g| !g.is_empty())
            .collect();
        for (name, about) in listed(&group) {
            if name == "help" {
                continue;
            }
            let help = bryo(&[&group[..], &[&name, "--help"]].concat()).stdout;
            let first = help.lines().next().unwrap_or_default();
            assert!(
                first.starts_with(&about),
                "{group:?} {name}: {first:?}, listed as {about:?}"
            );
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
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
