//! `bake`: images that files describe.

use serde_json::{Value, json};

use crate::dockerfile::{context, inspected, layers, shell};
use crate::env::{TestEnv, test_env};
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
    bake(&env, "bake", &directory, &["--print"]).fails(1, ".env: \"no variable\" is no NAME=VALUE");
}

#[test]
fn bake_says_which_source_date_epoch_is_none() {
    let mut env = test_env!();
    let directory = context(&env, "project", &[("docker-bake.hcl", HCL)]);
    env.set("SOURCE_DATE_EPOCH", "yesterday");
    bake(&env, "bake", &directory, &[]).fails(125, "invalid SOURCE_DATE_EPOCH yesterday");
}
