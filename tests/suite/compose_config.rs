//! `compose config`: what files mean, held against what docker compose says of the same files.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli_program::{Ended, command};
use crate::dockerfile::context;
use crate::env::{TestEnv, test_env};
use crate::misbehaving::{Registry, TestImage};
use crate::process::Outcome;
use crate::spellings::words;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose")
}

/// The words of a case's file.
fn said(case: &Path, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(case.join(name)).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

fn ended(mut command: Command) -> Ended {
    let output = command.output().expect("the program was built");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `compose ARGS config FLAGS SERVICES` in the case's directory.
fn shown(case: &Path) -> Ended {
    let mut words = vec!["compose".to_owned()];
    words.extend(said(case, "args"));
    words.push("config".to_owned());
    words.extend(said(case, "flags"));
    words.extend(said(case, "services"));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut command = command(&words);
    let below = said(case, "directory").pop().unwrap_or_default();
    command
        .current_dir(case.join(below))
        .env("HOME", "/home/user");
    ended(command)
}

#[test]
fn files_mean_what_docker_compose_says() {
    let mut faults = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(corpus()).expect("the corpus is there") {
        let case = entry.expect("it can be listed").path();
        if !case.is_dir() {
            continue;
        }
        count += 1;
        let ended = shown(&case);
        let here = case.to_str().expect("the repository's path is UTF-8");
        let expected = std::fs::read_to_string(case.join("expected")).expect("it was recorded");
        let above = corpus().to_str().expect("the same").to_owned();
        let shown = ended.stdout.replace(here, "@HERE@");
        if ended.code != Some(0) || shown.replace(&above, "@ABOVE@") != expected {
            faults.push(format!("{here}: {:?} {}", ended.code, ended.stderr));
        }
    }
    assert!(count >= 64, "there were {count}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// In YAML and again: what was written means the same.
#[test]
fn what_is_shown_is_read_again() {
    let env = test_env!();
    for case in [
        "04-override",
        "12-volumes",
        "16-commands",
        "18-deploy",
        "20-many-keys",
    ] {
        let first = shown(&corpus().join(case));
        let directory = context(&env, case, &[("compose.yaml", &first.stdout)]);
        config(&env, "compose config", &directory, &[])
            .ok()
            .prints(&first.stdout);
    }
}

fn config(env: &TestEnv, command: &str, directory: &str, rest: &[&str]) -> Outcome {
    env.command(&words(command, rest))
        .directory(directory)
        .run()
}

const FILE: &str = "\
name: shop
services:
  web: {image: 'web:${TAG:-1}', build: {context: ./web}, depends_on: [db], profiles: [front], networks: [n], env_file: some.env}
  db: {image: db, volumes: ['data:/d'], environment: {A: '$TAG'}}
  made: {build: .}
networks: {n: {}, unused: {}}
volumes: {data: {}}
models: {m: {model: some/model}}
";

#[test]
fn config_shows_the_part_that_is_asked_for() {
    let env = test_env!();
    let files = [("compose.yaml", FILE), ("some.env", "E=1\n")];
    let directory = context(&env, "project", &files);
    let all = ["--profile", "front"];
    let of = |rest: &[&str]| {
        let words = [&["compose"], &all[..], &["config"], rest].concat();
        env.command(&words).directory(&directory).run().ok().out()
    };
    for command in ["compose config", "compose convert"] {
        config(&env, command, &directory, &[])
            .ok()
            .prints("name: shop\nservices:\n  db:\n");
    }
    assert_eq!(of(&["--services"]), "db\nmade\nweb");
    assert_eq!(of(&["--volumes"]), "data");
    assert_eq!(of(&["--networks"]), "default\nn");
    assert_eq!(of(&["--images"]), "db\nshop-made\nweb:1");
    assert_eq!(of(&["--profiles"]), "front");
    assert_eq!(of(&["--models"]), "");
    assert!(of(&["--environment"]).contains("COMPOSE_PROJECT_NAME=shop"));
    assert_eq!(of(&["--quiet"]), "");
    assert_eq!(of(&["-q", "--format", "json"]), "");
    // docker's own, of the same text.
    let hash = "51c0ef2407462c3e8df565cfdc00b67417dc354606ba9ccab2f78a025c90fc85";
    assert_eq!(of(&["--hash", "db"]), format!("db {hash}"));
    assert_eq!(of(&["--hash=*"]).lines().count(), 3);
    let table = of(&["--variables"]);
    assert!(table.starts_with("NAME"), "{table}");
    assert!(table.contains("TAG"), "{table}");
    let json: serde_json::Value =
        serde_json::from_str(&of(&["--format", "json"])).expect("it is JSON");
    assert_eq!(json["services"]["web"]["image"], "web:1");
    config(&env, "compose config", &directory, &["--format", "xml"])
        .fails(1, "unsupported format \"xml\"");
    config(&env, "compose config", &directory, &["--hash", "nobody"])
        .fails(1, "no such service: nobody: not found");
    config(&env, "compose config", &directory, &["nobody"]).fails(1, "no such service: nobody");
    // With what it needs, and its profile.
    let named = of(&["--services", "web"]);
    assert_eq!(named, "db\nweb");
}

#[test]
fn config_leaves_out_the_steps_that_are_named() {
    let env = test_env!();
    let files = [("compose.yaml", FILE), ("some.env", "E=1\n")];
    let directory = context(&env, "project", &files);
    let of = |rest: &[&str]| {
        let words = [&["compose", "--profile", "front", "config"], rest].concat();
        env.command(&words).directory(&directory).run().ok().out()
    };
    let usual = of(&[]);
    assert!(
        usual.contains("image: web:1") && usual.contains("E: \"1\""),
        "{usual}"
    );
    assert!(
        usual.contains(&format!("context: {directory}/web")),
        "{usual}"
    );
    assert!(of(&["--no-interpolate"]).contains("image: web:${TAG:-1}"));
    assert!(!of(&["--no-normalize"]).contains("default:"));
    assert!(of(&["--no-path-resolution"]).contains("context: ./web"));
    assert!(of(&["--no-env-resolution"]).contains("some.env"));
    env.file(
        "project/compose.yaml",
        "services: {a: {image: a, networks: [gone]}}\n",
    );
    config(&env, "compose config", &directory, &[]).fails(
        1,
        "service \"a\" refers to undefined network gone: invalid compose project",
    );
    assert!(of(&["--no-consistency"]).contains("gone: null"));
}

#[test]
fn config_writes_to_a_file_unless_it_is_dry() {
    let env = test_env!();
    let directory = context(
        &env,
        "project",
        &[("compose.yaml", "services: {a: {image: a}}\n")],
    );
    for flag in ["-o", "--output"] {
        let dry = config(
            &env,
            "compose config",
            &directory,
            &["--dry-run", flag, "made.yaml"],
        );
        dry.ok().says("made.yaml would be written");
        assert!(!env.path("home/project/made.yaml").exists());
        let shown = config(&env, "compose config", &directory, &[]).ok().out();
        assert_eq!(
            config(&env, "compose config", &directory, &[flag, "made.yaml"])
                .ok()
                .out(),
            ""
        );
        let made =
            std::fs::read_to_string(env.path("home/project/made.yaml")).expect("it was made");
        assert_eq!(made.trim_end(), shown);
        std::fs::remove_file(env.path("home/project/made.yaml")).expect("it is there");
    }
    config(&env, "compose config", &directory, &["-o", "no/such/place"])
        .fails(1, "failed to write no/such/place");
}

#[test]
fn config_pins_images_to_what_the_registry_has() {
    let env = test_env!();
    let registry = Registry::start();
    let digest = registry.add("some/image", "1", &TestImage::new(Vec::new()));
    let name = registry.reference("some/image:1");
    let text = format!("services:\n  a:\n    image: '{name}'\n    tty: true\n");
    let directory = context(&env, "project", &[("compose.yaml", &text)]);
    let pinned = format!("image: {name}@{digest}");
    let shown = config(
        &env,
        "compose config",
        &directory,
        &["--resolve-image-digests"],
    )
    .ok();
    assert!(
        shown.out().contains(&pinned) && shown.out().contains("tty: true"),
        "{}",
        shown.out()
    );
    let locked = config(
        &env,
        "compose config",
        &directory,
        &["--lock-image-digests"],
    )
    .ok()
    .out();
    assert!(
        locked.starts_with("services:\n  a:\n    image: "),
        "{locked}"
    );
    assert!(
        locked.contains(&pinned) && !locked.contains("tty"),
        "{locked}"
    );
}

#[test]
fn compose_version_is_dockers_with_bryos_beside() {
    let env = test_env!();
    let said = env.run(&words("compose version", &[])).ok().out();
    assert!(said.starts_with("Docker Compose version 2."), "{said}");
    let own = env.out(&["version", "--format", "{{.Client.Version}}"]);
    assert!(said.contains(&format!("bryo {}", own.trim())), "{said}");
    let short = env
        .run(&words("compose version", &["--short", "--dry-run"]))
        .ok()
        .out();
    assert!(said.contains(&short) && short.chars().all(|c| c.is_ascii_digit() || c == '.'));
    for flag in ["-f", "--format"] {
        let json = env
            .run(&words("compose version", &[flag, "json"]))
            .ok()
            .out();
        assert_eq!(json, format!("{{\"version\":\"{short}\"}}"));
        env.run(&words("compose version", &[flag, "xml"]))
            .fails(125, "unsupported format \"xml\"");
    }
}
