//! What the shells complete: flags by their definition, names by what there is.

use std::path::Path;

use crate::env::{TestEnv, bryo, test_env};
use crate::need::{Need, need};

/// The candidates for the last of these words, without what they are.
fn candidates(env: &TestEnv, words: &[&str]) -> Vec<String> {
    let index = (words.len() - 1).to_string();
    let asked = ["complete", &index, "--"];
    let run = env.run(&[&asked[..], words].concat()).ok();
    assert_eq!(run.stderr, "", "{words:?}");
    let name = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
    run.stdout.lines().map(name).collect()
}

/// A container that runs, `web`, one that does not, `job`, and one thing of each other kind.
fn furnished(env: TestEnv) -> TestEnv {
    env.busybox();
    env.run(&[
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        "none",
        "busybox",
        "sleep",
        "1000",
    ])
    .ok();
    env.run(&[
        "create",
        "--name",
        "job",
        "--network",
        "none",
        "busybox",
        "true",
    ])
    .ok();
    env.run(&["network", "create", "front"]).ok();
    env.run(&["volume", "create", "files"]).ok();
    env.command(&["secret", "create", "token", "-"])
        .input("x")
        .run()
        .ok();
    env
}

#[test]
fn a_word_is_what_there_is_of_its_kind() {
    let env = furnished(test_env!());
    let of = |words: &[&str]| candidates(&env, &[&["bryo"], words].concat());
    assert_eq!(of(&["stop", ""]), ["web"]);
    assert_eq!(of(&["container", "stop", "w"]), ["web"]);
    assert_eq!(of(&["start", ""]), ["job"]);
    let both = of(&["rm", ""]);
    assert!(
        both.contains(&"web".to_owned()) && both.contains(&"job".to_owned()),
        "{both:?}"
    );
    assert_eq!(
        of(&["stop", "-t", "3", "we"]),
        ["web"],
        "behind a flag and its value"
    );
    assert_eq!(of(&["run", "--rm", "busy"]), ["busybox:latest"]);
    assert_eq!(
        of(&["run", "busybox", "busy"]),
        [""; 0],
        "a program's own words"
    );
    assert_eq!(of(&["exec", "web", "w"]), [""; 0]);
    assert_eq!(of(&["rmi", "bu"]), ["busybox:latest"]);
    assert_eq!(of(&["run", "--network", "fr"]), ["front"]);
    assert_eq!(of(&["run", "--network=fr"]), ["--network=front"]);
    assert_eq!(of(&["volume", "rm", ""]), ["files"]);
    assert_eq!(of(&["secret", "inspect", ""]), ["token"]);
    assert_eq!(of(&["network", "rm", "fro"]), ["front"]);
    assert_eq!(of(&["stop", "nothing-of-that-name"]), [""; 0]);
    let file = env.file(
        "shop/stack.yaml",
        "services: {api: {image: a}, apart: {image: b}, db: {image: c}}",
    );
    assert_eq!(
        of(&["compose", "-f", &file, "up", "-d", "ap"]),
        ["apart", "api"]
    );
    assert_eq!(of(&["compose", "-f", "-", "up", ""]), [""; 0]);
    assert_eq!(of(&["compose", "up", "ap"]), [""; 0], "no file is found");
    env.run(&["rm", "-f", "web", "job"]).ok();
}

#[test]
fn a_word_is_a_command_or_a_flag_of_the_definition() {
    let env = test_env!();
    let of = |words: &[&str]| candidates(&env, &[&["bryo"], words].concat());
    assert_eq!(of(&["comp"]), ["compose"]);
    assert_eq!(of(&["container", "ren"]), ["rename"]);
    assert_eq!(
        of(&["run", "--read-only"]),
        ["--read-only", "--read-only-tmpfs"]
    );
    assert!(of(&["run", "--"]).contains(&"--publish".to_owned()));
    assert!(of(&[""]).contains(&"run".to_owned()));
    assert!(
        !of(&[""]).contains(&"complete".to_owned()),
        "it is the shells' own"
    );
    // Nothing is said of what can't be read, and nothing is made.
    let config = env.path("config/bryo/config.toml");
    std::fs::create_dir_all(config.parent().expect("it has one")).expect("it is writable");
    std::fs::write(config, "nonsense = [").expect("it is writable");
    assert_eq!(of(&["stop", ""]), [""; 0]);
    assert!(!env.store().join("containers").exists());
}

/// The shells find the program by its name.
fn path() -> String {
    let program = bryo();
    let folder = program.parent().expect("it has one");
    format!("{}:/usr/bin:/bin", folder.display())
}

fn script(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    std::fs::read_to_string(folder.join(name)).expect("it is committed")
}

#[test]
fn bash_completes_by_the_committed_script() {
    let env = furnished(test_env!());
    let completed = |words: &[&str]| {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let asked = format!(
            "\nCOMP_WORDS=({}) COMP_CWORD={}\n_bryo\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            quoted.join(" "),
            words.len() - 1
        );
        let lines = script("bryo.bash") + &asked;
        let shell = env
            .other("bash", &["--norc", "-c", &lines])
            .var("PATH", path());
        let run = shell.run().ok();
        assert_eq!(run.stderr, "", "{words:?}");
        run.out()
    };
    assert_eq!(completed(&["bryo", "stop", ""]), "web");
    assert_eq!(completed(&["bryo", "run", "--network=fr"]), "front");
    assert_eq!(completed(&["bryo", "rmi", "busy"]), "busybox:latest");
    assert_eq!(completed(&["bryo", "stop", "nobody"]), "");
    env.run(&["rm", "-f", "web", "job"]).ok();
}

#[test]
fn fish_and_zsh_complete_by_the_committed_scripts() {
    need!(Need::Program("fish"), Need::Program("zsh"));
    let env = furnished(test_env!());
    let lines =
        script("bryo.fish") + "\ncomplete -C 'bryo stop '\ncomplete -C 'bryo run --network fr'\n";
    let run = env
        .other("fish", &["--no-config", "-c", &lines])
        .var("PATH", path())
        .run()
        .ok();
    assert_eq!(run.out(), "web\tbusybox\nfront\tbridge", "{run:?}");
    // What zsh's own function would be given, which shows it only in a terminal.
    let shown = "compdef() { }\n_describe() { print -rl -- $found }\n_files() { print files }\n";
    let lines = format!(
        "{shown}{}\nwords=(bryo stop '') CURRENT=3\n_bryo\nwords=(bryo rmi busy) CURRENT=3\n_bryo\nwords=(bryo stop x) CURRENT=3\n_bryo\n",
        script("_bryo")
    );
    let run = env
        .other("zsh", &["-f", "-c", &lines])
        .var("PATH", path())
        .run()
        .ok();
    assert_eq!(run.out(), "web:busybox\nbusybox\\:latest\nfiles", "{run:?}");
    env.run(&["rm", "-f", "web", "job"]).ok();
}
