//! Compose files: which are read, what is wrong with them, and what a hostile one can do.

use crate::dockerfile::context;
use crate::env::{TestEnv, test_env};
use crate::process::Outcome;

fn compose(env: &TestEnv, directory: &str, rest: &[&str]) -> Outcome {
    let words = [&["compose"], rest].concat();
    env.command(&words).directory(directory).run()
}

const PLAIN: &str = "services: {a: {image: 'a:${A}', build: ./b}}\n";

#[test]
fn the_flags_of_compose_say_which_project_is_meant() {
    let env = test_env!();
    let files = [
        ("compose.yaml", PLAIN),
        (
            "other.yaml",
            "services: {o: {image: other, profiles: [x]}, p: {build: .}}\nvolumes: {v: {}}\n",
        ),
        ("elsewhere/.env", "A=elsewhere\n"),
        ("one.env", "A=one\n"),
        (".env", "A=dot\n"),
    ];
    let directory = context(&env, "Project.1", &files);
    let of = |rest: &[&str]| {
        let words = [rest, &["config"]].concat();
        compose(&env, &directory, &words).ok().out()
    };
    let usual = of(&[]);
    assert!(
        usual.starts_with("name: project1\n") && usual.contains("image: a:dot"),
        "{usual}"
    );
    for flag in ["-p", "--project-name"] {
        assert!(of(&[flag, "mine"]).starts_with("name: mine\n"));
        compose(&env, &directory, &[flag, "No Name", "config"])
            .fails(1, "invalid project name \"No Name\"");
    }
    for flag in ["-f", "--file"] {
        assert!(of(&[flag, "other.yaml"]).contains("p:\n    build"));
        let both = of(&[flag, "compose.yaml", flag, "other.yaml"]);
        assert!(both.contains("a:dot") && both.contains("  p:"), "{both}");
        let words = ["compose", flag, "-", "config"];
        let read = env
            .command(&words)
            .directory(&directory)
            .input("services: {stdin: {image: i}}")
            .run();
        read.ok().prints("stdin:\n    image: i");
    }
    assert!(of(&["--env-file", "one.env"]).contains("image: a:one"));
    compose(&env, &directory, &["--env-file", "gone.env", "config"])
        .fails(1, "couldn't find env file");
    let there = of(&["-f", "compose.yaml", "--project-directory", "elsewhere"]);
    assert!(
        there.contains("elsewhere/b") && there.contains("image: a:elsewhere"),
        "{there}"
    );
    assert!(!of(&["-f", "other.yaml"]).contains("o:\n"));
    assert!(of(&["-f", "other.yaml", "--profile", "x"]).contains("image: other"));
    assert!(!of(&["-f", "other.yaml"]).contains("volumes:"));
    assert!(of(&["-f", "other.yaml", "--all-resources"]).contains("name: project1_v"));
    let images = |flags: &[&str]| {
        let words = [flags, &["-f", "other.yaml", "config", "--images"]].concat();
        compose(&env, &directory, &words).ok().out()
    };
    assert_eq!(images(&[]), "project1-p");
    assert_eq!(images(&["--compatibility"]), "project1_p");
    let dry = compose(&env, &directory, &["--dry-run", "config", "-o", "made"]);
    dry.ok().says("would be written");
    assert!(!env.path("home/Project.1/made").exists());
}

#[test]
fn the_flags_of_compose_that_say_how_are_obeyed_or_refused() {
    let env = test_env!();
    let directory = context(
        &env,
        "p",
        &[("compose.yaml", "version: '3'\nservices: {a: {image: a}}\n")],
    );
    let of = |rest: &[&str]| {
        let words = [&["compose"], rest, &["config"]].concat();
        env.command(&words).directory(&directory).run()
    };
    assert!(of(&["--ansi", "always"]).ok().stderr.contains("\x1b["));
    assert!(!of(&["--ansi", "never"]).ok().stderr.contains('\x1b'));
    of(&["--ansi", "sometimes"]).fails(125, "unknown ansi mode \"sometimes\"");
    of(&["--progress", "plain"]).ok();
    of(&["--progress", "loud"]).fails(125, "unsupported --progress value \"loud\"");
    of(&["--parallel", "-1"]).ok();
    of(&["--parallel", "many"]).code(125).says("many");
}

#[test]
fn files_are_looked_for_where_docker_looks() {
    let mut env = test_env!();
    let files = [
        ("docker-compose.yml", "services: {old: {image: old}}\n"),
        (
            "docker-compose.override.yml",
            "services: {old: {image: over}}\n",
        ),
        ("below/deep/file", ""),
        ("first.yml", "services: {f: {image: first}}\n"),
        ("second.yml", "services: {f: {image: second}}\n"),
    ];
    let directory = context(&env, "p", &files);
    let deep = format!("{directory}/below/deep");
    compose(&env, &deep, &["config", "--images"])
        .ok()
        .prints("over\n");
    env.file("p/compose.yaml", "services: {new: {image: new}}\n");
    let both = compose(&env, &deep, &["config", "--images"]).ok();
    // What lies beside it lies over it, whichever of the names it has.
    assert_eq!(both.out(), "new\nover");
    both.says("Found multiple config files with supported names");
    env.set("COMPOSE_FILE", "first.yml:second.yml");
    compose(&env, &directory, &["config", "--images"])
        .ok()
        .prints("second\n");
    env.set("COMPOSE_PATH_SEPARATOR", ",");
    compose(&env, &directory, &["config"])
        .code(1)
        .says("first.yml:second.yml");
    env.set("COMPOSE_FILE", "second.yml,first.yml");
    env.set("COMPOSE_PROJECT_NAME", "named");
    let named = compose(&env, &directory, &["config"]).ok().out();
    assert!(
        named.starts_with("name: named") && named.contains("image: first"),
        "{named}"
    );
    env.file("p/v.env", "IMAGE=from-file\n");
    env.set("COMPOSE_FILE", "");
    env.set("COMPOSE_ENV_FILES", "v.env");
    env.file(
        "p/compose.yaml",
        "services: {n: {image: '${IMAGE}'}, q: {image: q, profiles: [w]}}\n",
    );
    env.set("COMPOSE_PROFILES", "w");
    std::fs::remove_file(env.path("home/p/docker-compose.override.yml")).expect("it is there");
    compose(&env, &directory, &["config", "--images"])
        .ok()
        .prints("from-file\nq\n");
    let empty = context(&env, "empty", &[("file", "")]);
    env.set("COMPOSE_ENV_FILES", "");
    compose(&env, &empty, &["config"]).fails(1, "no configuration file provided: not found");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let env = test_env!();
    let directory = context(&env, "p", &[]);
    let cases = [
        (
            "services:\n  a:\n    imge: x\n",
            "compose.yaml:3:5: services.a additional properties 'imge' not allowed",
        ),
        (
            "services:\n  a:\n    image: [x]\n",
            "compose.yaml:3:12: services.a.image must be a string",
        ),
        (
            "services:\n  a:\n    image: x\n    ports: ['80:99999']\n",
            "compose.yaml:4:13: Invalid containerPort: 99999",
        ),
        (
            "services:\n  a:\n    image: ${\n",
            "compose.yaml:3:12: invalid interpolation format for services.a.image",
        ),
        (
            "services:\n  a:\n    image: ${X:?needed}\n",
            "compose.yaml:3:12: error while interpolating services.a.image: required variable X is missing a value: needed",
        ),
        ("services:\n  a: &a [*a]\n", "anchor contains itself"),
        (
            "services:\n  a:\n    image: x\n    image: y\n",
            "compose.yaml:4:5: mapping key \"image\" already defined at line 3",
        ),
        (
            "services:\n  a: {image: x, mem_limit: lots}\n",
            "compose.yaml:2:28: services.a.mem_limit invalid size: 'lots'",
        ),
        (
            "services:\n  a: {image: x, stop_grace_period: soon}\n",
            "invalid duration \"soon\"",
        ),
        (
            "services:\n  a: {image: x, volumes: [{type: bind, target: /x}]}\n",
            "field Source must not be empty",
        ),
        (
            "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n",
            "dependency cycle detected: a -> b -> a",
        ),
        (
            "services:\n  a: {image: x, depends_on: [zz]}\n",
            "service \"a\" depends on undefined service \"zz\": invalid compose project",
        ),
        (
            "services:\n  a: {}\n",
            "service \"a\" has neither an image nor a build context specified: invalid compose project",
        ),
        (
            "services:\n  a: {image: x, container_name: one, scale: 2}\n",
            "container name must be unique",
        ),
        (
            "services:\n  a: {image: x, extends: a}\n",
            "Circular reference with extends",
        ),
        (
            "services: []\n",
            "compose.yaml:1:11: services must be a mapping",
        ),
        ("just a text\n", "top-level object must be a mapping"),
        ("", "empty compose file"),
        ("a: [\n", "compose.yaml:1:4: unclosed bracket"),
        (
            "services:\n  a: {image: x, x-bryo-egress: {a: b}}\n",
            "services.a.x-bryo-egress must be a list of rules",
        ),
    ];
    for (text, expected) in cases {
        env.file("p/compose.yaml", text);
        compose(&env, &directory, &["config"]).fails(1, expected);
    }
    env.file("p/compose.yaml", "services:\n  a:\n    imge: x\n");
    let told = compose(&env, &directory, &["config"]).code(1);
    assert!(
        told.stderr.contains("  3 |     imge: x\n    |     ^\n"),
        "{}",
        told.stderr
    );
    assert!(told.stderr.ends_with("Hint: image:\n"), "{}", told.stderr);
}

#[test]
fn files_of_other_hosts_are_refused() {
    let env = test_env!();
    let directory = context(&env, "p", &[]);
    let refused = "compose files of other hosts are not read";
    for name in [
        "oci://registry.example/x",
        "https://example.com/x.git",
        "git@example.com:x.git#main:dir",
        "github.com/a/b",
    ] {
        for text in [
            format!("include: ['{name}']\n"),
            format!("include: [{{path: ['{name}']}}]\n"),
            format!("services: {{a: {{extends: {{file: '{name}', service: a}}}}}}\n"),
        ] {
            env.file("p/compose.yaml", text);
            compose(&env, &directory, &["config"]).fails(1, refused);
        }
        compose(&env, &directory, &["-f", name, "config"]).fails(1, refused);
    }
}

#[test]
fn a_hostile_file_costs_little() {
    let env = test_env!();
    let mut bomb = String::from("x-0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        bomb += &format!(
            "x-{n}: &a{n} [{}]\n",
            [&*format!("*a{}", n - 1); 9].join(", ")
        );
    }
    let long = format!("services: {{a: {{image: '{}'}}}}\n", "x".repeat(9 << 20));
    let nested = format!("x-a: {}\n", "[".repeat(100_000));
    let mut chain = String::from("services:\n  s0: {image: x}\n");
    for n in 1..200 {
        chain += &format!("  s{n}: {{extends: s{}}}\n", n - 1);
    }
    let words = format!(
        "services: {{a: {{image: '{}'}}}}\n",
        "${A:-".repeat(5000) + &"}".repeat(5000)
    );
    let ports =
        "services: {a: {image: a, ports: ['1-9999:1-9999', '1-9999:1-9999/udp']}}\n".to_owned();
    let cases = [
        (&bomb, "excessive aliasing"),
        (&long, "has more than 8 MiB"),
        (&nested, "compose.yaml:1:"),
        (&chain, "services extend one another more than 64 deep"),
        (&words, "interpolations are nested more than 32 deep"),
        (
            &"include: [compose.yaml]\n".to_owned(),
            "include cycle detected",
        ),
        (
            &"include: [one.yaml]\n".to_owned(),
            "include cycle detected",
        ),
        (
            &"include: [/dev/zero]\n".to_owned(),
            "/dev/zero is no regular file",
        ),
        (&"include: [pipe]\n".to_owned(), "pipe is no regular file"),
        (&"include: [loop]\n".to_owned(), "loop"),
        (&"include: [.]\n".to_owned(), "is no regular file"),
        (
            &"services: {a: {image: a, env_file: /dev/zero}}\n".to_owned(),
            "/dev/zero is no regular file",
        ),
        (
            &"services: {a: {image: a, extends: {file: pipe, service: a}}}\n".to_owned(),
            "pipe is no regular file",
        ),
    ];
    let directory = context(
        &env,
        "p",
        &[
            ("one.yaml", "include: [two.yaml]\n"),
            ("two.yaml", "include: [one.yaml]\n"),
        ],
    );
    let at = |name: &str| env.path("home/p").join(name);
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("it is made");
    std::os::unix::fs::symlink("loop", at("loop")).expect("it is made");
    for (text, expected) in cases {
        env.file("p/compose.yaml", text);
        compose(&env, &directory, &["config"]).fails(1, expected);
    }
    env.file("p/compose.yaml", ports);
    compose(&env, &directory, &["config", "-q"]).ok();
}
