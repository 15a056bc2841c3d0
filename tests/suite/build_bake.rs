//! `bake`: images that files describe.

use serde_json::{Value, json};

use crate::dockerfile::{context, inspected, layers, shell};
use crate::env::{TestEnv, test_env};
use crate::misbehaving::{Answer, Request, Server};
use crate::need::{Need, need};
use crate::process::Outcome;
use crate::registry::{Access, Registry};
use crate::spellings::words;

/// Runs it in a directory.
fn bake(env: &TestEnv, command: &str, directory: &str, rest: &[&str]) -> Outcome {
    env.command(&words(command, rest))
        .directory(directory)
        .run()
}

const HCL: &str = r#"
variable "TAG" { default = "1" }
group "default" { targets = ["app", "tool"] }
target "_all" {
  network = "none"
  args = { WORD = "all" }
}
target "base" {
  inherits = ["_all"]
  dockerfile-inline = "FROM busybox\nARG WORD\nRUN echo $WORD > /word\n"
}
target "app" {
  inherits = ["_all"]
  context = "app"
  contexts = { under = "target:base" }
  tags = ["app:${TAG}"]
  labels = { "org.example.tag" = upper("v${TAG}") }
}
target "tool" {
  inherits = ["base"]
  tags = ["tool"]
  args = { WORD = "tool" }
}
"#;

#[test]
fn bake_builds_what_files_describe() {
    let mut env = test_env!();
    env.busybox();
    let compose = "services:\n  web:\n    image: web:${TAG}\n    build:\n      dockerfile_inline: FROM busybox\n      network: none\n";
    let files = [
        ("docker-bake.hcl", HCL),
        ("app/Dockerfile", "FROM under\nCOPY file /\n"),
        ("app/file", "of app\n"),
        ("compose/compose.yaml", compose),
        (
            "other.json",
            r#"{"target": {"app": {"tags": ["app:json"]}}}"#,
        ),
    ];
    let directory = context(&env, "project", &files);
    let metadata = env.path("home/metadata.json");
    let metadata = metadata.to_str().expect("UTF-8");
    for command in ["bake", "buildx bake"] {
        env.set("TAG", "2");
        bake(&env, command, &directory, &["--metadata-file", metadata]).ok();
        assert_eq!(shell(&env, "app:2", "cat /file /word"), "of app\nall");
        assert_eq!(shell(&env, "tool", "cat /word"), "tool");
        assert_eq!(
            inspected(&env, "app:2")["Config"]["Labels"]["org.example.tag"],
            "V2"
        );
        // The one that only another needed got no name, and is in no list.
        let told = std::fs::read(metadata).expect("it was written");
        let told: Value = serde_json::from_slice(&told).expect("JSON");
        let names: Vec<&String> = told.as_object().expect("by target").keys().collect();
        assert_eq!(names, ["app", "tool"]);
        let id = inspected(&env, "tool")["Id"].clone();
        assert_eq!(told["tool"]["containerimage.config.digest"], id);
        assert_eq!(env.out(&["images", "-aq"]).lines().count(), 3);
        // Several files, and what the command line says of the targets.
        let set = ["--set", "app.args.WORD=unused", "--set", "*.labels.a=b"];
        for flag in ["-f", "--file"] {
            let files = [flag, "docker-bake.hcl", flag, "other.json"];
            bake(
                &env,
                command,
                &directory,
                &[&files[..], &set, &["app"]].concat(),
            )
            .ok();
            assert_eq!(inspected(&env, "app:json")["Config"]["Labels"]["a"], "b");
        }
        let of_compose = format!("{directory}/compose");
        bake(&env, command, &of_compose, &[]).ok();
        assert_eq!(layers(&env, "web:2"), layers(&env, "busybox"));
        env.run(&["rmi", "app:2", "app:json", "tool", "web:2"]).ok();
        env.set("TAG", "1");
        let input = "target \"default\" {\n dockerfile-inline = \"FROM busybox\\nRUN exit 3\\n\"\n network = \"none\"\n}\n";
        env.command(&words(command, &["-f", "-"]))
            .directory(&directory)
            .input(input)
            .run()
            .fails(1, "exit code: 3");
        bake(&env, command, &directory, &["nothing"]).fails(1, "failed to find target nothing");
        bake(&env, command, "/", &[]).fails(1, "couldn't find a bake definition");
        bake(&env, command, &directory, &["--set", "app.color=blue"]).fails(1, "color is no key");
        bake(&env, command, &directory, &["-f", "app/Dockerfile"]).fails(1, "failed to parse");
    }
}

#[test]
fn bake_shows_what_it_would_build() {
    let env = test_env!();
    let directory = context(&env, "project", &[("docker-bake.hcl", HCL)]);
    for command in ["bake", "buildx bake"] {
        let var = ["--print", "--var", "TAG=3", "app"];
        let printed = bake(&env, command, &directory, &var).ok().out();
        let printed: Value = serde_json::from_str(&printed).expect("it is JSON");
        let inline = "FROM busybox\nARG WORD\nRUN echo $WORD > /word\n";
        let expected = json!({
            "group": {"default": {"targets": ["app"]}},
            "target": {
                "app": {
                    "context": "app",
                    "contexts": {"under": "target:base"},
                    "dockerfile": "Dockerfile",
                    "args": {"WORD": "all"},
                    "labels": {"org.example.tag": "V3"},
                    "tags": ["app:3"],
                    "network": "none",
                },
                "base": {
                    "context": ".", "dockerfile-inline": inline, "args": {"WORD": "all"}, "network": "none",
                },
            },
        });
        assert_eq!(printed, expected);
        let listed = bake(&env, command, &directory, &["--list", "targets"])
            .ok()
            .out();
        assert!(listed.starts_with("TARGET"), "{listed}");
        assert!(listed.lines().any(|line| line.trim() == "tool"), "{listed}");
        let listed = bake(&env, command, &directory, &["--list=variables"])
            .ok()
            .out();
        assert!(listed.contains("TAG"), "{listed}");
    }
    assert_eq!(env.out(&["images", "-aq"]), "");
}

#[test]
fn bake_lists_what_its_files_have() {
    let env = test_env!();
    let text = "variable \"LIST\" { default = [\"a\", \"b\"] }\nvariable \"OF\" {\n type = list(map(string))\n}\nvariable \"A\" {\n default = 1\n description = \"one\"\n}\n\
        group \"b\" {\n targets = [\"c\", \"a\"]\n description = \"both\"\n}\ngroup \"default\" { targets = [\"b\"] }\n\
        target \"c\" { description = \"the last\" }\ntarget \"a\" {}\n";
    let directory = context(&env, "project", &[("docker-bake.hcl", text)]);
    let listed = |kind: &str| bake(&env, "bake", &directory, &["--list", kind]).ok().out();
    let lines = |text: &str| -> Vec<String> {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        text.lines().map(words).collect()
    };
    let targets = [
        "TARGET DESCRIPTION",
        "a",
        "b both (c, a)",
        "c the last",
        "default b",
    ];
    assert_eq!(lines(&listed("targets")), targets);
    let variables = [
        "VARIABLE TYPE VALUE DESCRIPTION",
        "A 1 one",
        "LIST [\"a\",\"b\"]",
        "OF list of map of string <null>",
    ];
    assert_eq!(lines(&listed("type=variables")), variables);
    let json: serde_json::Value =
        serde_json::from_str(&listed("type=variables,format=json")).expect("it is JSON");
    assert_eq!(
        json[2],
        serde_json::json!({"name": "OF", "type": "list of map of string"})
    );
    let json: serde_json::Value =
        serde_json::from_str(&listed("type=targets,format=json")).expect("it is JSON");
    let expected = serde_json::json!([
        {"name": "a"},
        {"name": "b", "description": "both (c, a)", "group": true},
        {"name": "c", "description": "the last"},
        {"name": "default", "description": "b", "group": true},
    ]);
    assert_eq!(json, expected);
    let wrong = bake(&env, "bake", &directory, &["--list", "type=x"]);
    wrong.fails(125, "invalid list type \"type=x\"");
}

#[test]
fn bake_takes_the_flags_of_build() {
    let env = test_env!();
    need!(Need::Program("docker-registry"));
    env.busybox();
    let registry = Registry::start(&env, Access::Http);
    let name = format!("{}/baked:1", registry.address);
    let text = format!(
        "target \"default\" {{\n dockerfile-inline = \"FROM busybox\\nRUN --network=host true\\n\"\n network = \"none\"\n tags = [\"{name}\"]\n entitlements = [\"network.host\"]\n output = [\"type=cacheonly\"]\n}}\n\
         target \"odd\" {{\n dockerfile-inline = \"FROM busybox AS Odd\\nRUN true\\n\"\n network = \"none\"\n}}\n"
    );
    let directory = context(&env, "project", &[("docker-bake.hcl", &text)]);
    let allow = ["--allow", "network.host"];
    for command in ["bake", "buildx bake"] {
        bake(&env, command, &directory, &[]).fails(1, "asks for network.host");
        let flags = ["--no-cache", "--builder", "any", "--progress", "plain"];
        let done = bake(&env, command, &directory, &[&allow[..], &flags].concat()).ok();
        assert!(!done.stderr.contains("CACHED"), "{}", done.stderr);
        assert_ne!(env.run(&["image", "exists", &name]).code, 0);
        for debug in ["-D", "--debug"] {
            let done = bake(
                &env,
                command,
                &directory,
                &[&allow[..], &["--load", debug]].concat(),
            );
            assert!(done.ok().stderr.contains("CACHED"));
        }
        env.run(&["rmi", &name]).ok();
        bake(
            &env,
            command,
            &directory,
            &[&allow[..], &["--push"]].concat(),
        )
        .ok();
        env.run(&["rmi", &name]).ok();
        env.run(&["pull", &name]).ok();
        env.run(&["rmi", &name]).ok();
        // Nothing is there to be pulled.
        bake(
            &env,
            command,
            &directory,
            &[&allow[..], &["--pull"]].concat(),
        )
        .fails(1, "busybox");
        let found = bake(&env, command, &directory, &["--check", "odd"]);
        assert_eq!(found.code, 1);
        assert!(found.stdout.contains("StageNameCasing"), "{}", found.stdout);
        let found = bake(&env, command, &directory, &["--call", "outline", "odd"]).ok();
        assert!(found.stdout.contains("odd"), "{}", found.stdout);
    }
}

#[test]
fn compose_files_have_the_variables_of_a_dotenv_file() {
    let mut env = test_env!();
    let compose = "services:\n  web:\n    image: web:${TAG}-${LAST:-none}\n    build:\n      args: { OWN: }\n";
    let hcl =
        "variable \"TAG\" { default = \"hcl\" }\ntarget \"other\" { tags = [\"other:${TAG}\"] }\n";
    let files = [
        ("compose.yaml", compose),
        ("docker-bake.hcl", hcl),
        (
            ".env",
            "# first\nTAG=file\nexport LAST=\"of ${TAG}\" # last\nOWN='$x'\n",
        ),
    ];
    let directory = context(&env, "project", &files);
    let printed = |env: &TestEnv| -> Value {
        let printed = bake(env, "bake", &directory, &["--print", "web", "other"]);
        serde_json::from_str(&printed.ok().out()).expect("it is JSON")
    };
    let seen = printed(&env);
    assert_eq!(seen["target"]["web"]["tags"], json!(["web:file-of file"]));
    assert_eq!(seen["target"]["web"]["args"]["OWN"], "$x");
    assert_eq!(seen["target"]["other"]["tags"], json!(["other:hcl"]));
    env.set("TAG", "host");
    assert_eq!(
        printed(&env)["target"]["web"]["tags"],
        json!(["web:host-of host"])
    );
    env.set("COMPOSE_DISABLE_ENV_FILE", "1");
    assert_eq!(
        printed(&env)["target"]["web"]["tags"],
        json!(["web:host-none"])
    );
    env.set("COMPOSE_DISABLE_ENV_FILE", "0");
    env.file("project/.env", "no variable\n");
    bake(&env, "bake", &directory, &["--print"])
        .fails(1, ".env: line 1: key cannot contain a space");
}

#[test]
fn bake_says_which_source_date_epoch_is_none() {
    let mut env = test_env!();
    let directory = context(&env, "project", &[("docker-bake.hcl", HCL)]);
    env.set("SOURCE_DATE_EPOCH", "yesterday");
    bake(&env, "bake", &directory, &[]).fails(125, "invalid SOURCE_DATE_EPOCH yesterday");
}

const REMOTE: &str = r#"
group "default" { targets = ["app", "sub"] }
target "_all" { network = "none" }
target "app" {
  inherits = ["_all"]
  dockerfile = "App"
  tags = ["app"]
}
target "sub" {
  inherits = ["_all"]
  context = "sub"
  contexts = { other = "other", mine = "cwd://." }
  tags = ["sub"]
}
target "own" {
  context = BAKE_CMD_CONTEXT
  tags = ["own"]
}
target "here" {
  dockerfile = "cwd://Here"
  tags = ["here"]
}
target "out" { context = "out" }
target "up" { context = "../project" }
"#;

/// The files of a definition with what it builds, and a directory that has files of its own.
fn remote_files(env: &TestEnv) -> String {
    let files = [
        ("docker-bake.hcl", REMOTE),
        ("App", "FROM busybox\nCOPY file /\n"),
        ("file", "of the repository\n"),
        (
            "sub/Dockerfile",
            "FROM busybox\nCOPY f /f\nCOPY --from=other o /o\nCOPY --from=mine mine /mine\n",
        ),
        ("sub/f", "of sub\n"),
        ("other/o", "of other\n"),
    ];
    context(env, "repo", &files);
    let script = "set -e; cd repo; ln -s /etc out; git init -q -b main; git add -A; \
        git -c user.email=a@b -c user.name=a commit -q -m one; tar czf ../all.tar.gz --exclude=.git .";
    env.other("sh", &["-c", script]).run().ok();
    let own = [
        ("Dockerfile", "FROM busybox\nCOPY mine /\n"),
        ("Here", "FROM busybox\nCOPY file /here\n"),
        ("mine", "of this directory\n"),
        ("more.hcl", "target \"app\" { tags = [\"app:local\"] }\n"),
    ];
    context(env, "project", &own)
}

#[test]
fn variables_open_private_definitions() {
    let mut env = test_env!();
    let project = context(&env, "project", &[("other", "")]);
    let server = Server::start(|request: &Request| match request.header("authorization") {
        Some("Bearer of-the-test") => Answer {
            body: b"target \"default\" { tags = [\"of-a-friend\"] }\n".to_vec(),
            ..Answer::new(200)
        },
        _ => Answer::new(401),
    });
    let url = format!("http://{}/docker-bake.hcl", server.host());
    let words = [&url[..], "--print"];
    bake(&env, "bake", &project, &words).fails(1, "401");
    env.set("BUILDX_BAKE_HTTP_AUTH_TOKEN_other.test", "of-the-test");
    bake(&env, "bake", &project, &words).fails(1, "401");
    env.set("BUILDX_BAKE_HTTP_AUTH_TOKEN_127.0.0.1", "of-the-test");
    let printed = bake(&env, "buildx bake", &project, &words).ok();
    assert!(printed.stdout.contains("of-a-friend"), "{}", printed.stdout);
    env.set("BUILDX_BAKE_HTTP_AUTH_TOKEN_127.0.0.1", "of\nthe test");
    bake(&env, "bake", &project, &words).fails(1, "is no header's value");
}

#[test]
fn bake_reads_files_of_a_repository_an_archive_or_a_url() {
    need!(Need::Program("git"));
    let mut env = test_env!();
    env.busybox();
    let project = remote_files(&env);
    let ssh = env.file("ssh", "#!/bin/sh\nshift $(($# - 1))\nexec sh -c \"$1\"\n");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&ssh, executable).expect("home is writable");
    env.set("GIT_SSH_COMMAND", &ssh);
    let server = crate::misbehaving::Registry::start();
    let archive = std::fs::read(env.path("home/all.tar.gz")).expect("it was made");
    server.put("/all.tar.gz", archive, "application/gzip");
    let single = REMOTE.as_bytes().to_vec();
    server.put("/docker-bake.hcl", single, "text/plain");
    let url = |name: &str| format!("http://{}/{name}", server.host());
    let repository = format!("ssh://git@host{}", env.path("home/repo").display());
    for (command, remote) in [
        ("bake", repository.clone()),
        ("buildx bake", url("all.tar.gz")),
    ] {
        bake(&env, command, &project, &[&remote]).ok();
        assert_eq!(shell(&env, "app", "cat /file"), "of the repository");
        let seen = shell(&env, "sub", "cat /f /o /mine");
        assert_eq!(seen, "of sub\nof other\nof this directory");
        bake(&env, command, &project, &[&remote, "own", "here"]).ok();
        assert_eq!(shell(&env, "own", "cat /mine"), "of this directory");
        assert_eq!(shell(&env, "here", "cat /here"), "of the repository");
        let both = ["-f", "docker-bake.hcl", "-f", "cwd://more.hcl"];
        bake(
            &env,
            command,
            &project,
            &[&both[..], &[&remote, "app"]].concat(),
        )
        .ok();
        assert_eq!(shell(&env, "app:local", "cat /file"), "of the repository");
        for (words, message) in [
            (&["out"][..], "\"out\" is no directory"),
            (&["up"], "\"../project\" is no directory"),
            (&["-f", "missing.hcl", "app"], "missing.hcl: not found"),
        ] {
            let failed = bake(&env, command, &project, &[&[&remote[..]], words].concat());
            assert_eq!(failed.code, 1, "{failed:?}");
            assert!(failed.stderr.contains(message), "{}", failed.stderr);
        }
        // What a second one names is the command's own place.
        let words = [&remote[..], &repository, "--print", "own"];
        let shown = bake(&env, command, &project, &words).ok();
        let json: Value = serde_json::from_str(&shown.stdout).expect("it is JSON");
        assert_eq!(json["target"]["own"]["context"], json!(repository));
        // A file alone speaks of this directory.
        bake(&env, command, &project, &[&url("docker-bake.hcl"), "own"]).ok();
        assert_eq!(shell(&env, "own", "cat /mine"), "of this directory");
    }
    let failed = bake(&env, "bake", &project, &[&url("nothing.hcl"), "own"]);
    assert!(failed.stderr.contains("404"), "{}", failed.stderr);
    assert!(env.half_made().is_empty(), "{:?}", env.half_made());
}

#[test]
fn a_target_of_several_platforms_is_a_context_of_another() {
    let env = test_env!();
    let text = "target \"base\" {\n dockerfile-inline = <<D\nFROM scratch\nARG TARGETARCH\nCOPY only-$TARGETARCH /which\nD\n platforms = [\"linux/s390x\", \"linux/amd64\"]\n}\n\
        target \"default\" {\n dockerfile-inline = \"FROM base\\nCOPY --from=base /which /copy\\n\"\n contexts = { base = \"target:base\" }\n\
        platforms = [\"linux/amd64\", \"linux/s390x\"]\n output = [\"out\"]\n}\n\
        target \"other\" {\n inherits = [\"default\"]\n platforms = [\"linux/arm64\"]\n}\n";
    let files = [
        ("docker-bake.hcl", text),
        ("only-amd64", "here"),
        ("only-s390x", "elsewhere"),
    ];
    let directory = context(&env, "project", &files);
    bake(&env, "bake", &directory, &[]).ok();
    for (platform, content) in [("amd64", "here"), ("s390x", "elsewhere")] {
        for name in ["which", "copy"] {
            let path = env.path(&format!("home/project/out/linux_{platform}/{name}"));
            assert_eq!(
                std::fs::read_to_string(path).expect("it was built"),
                content
            );
        }
    }
    bake(&env, "bake", &directory, &["other"])
        .fails(1, "is built for other platforms than linux/arm64");
    assert_eq!(env.out(&["images", "-aq"]), "");
}
