//! `rename`, and podman's `container clone`.

use crate::env::{TestEnv, shared_env, test_env};
use crate::spellings::ask;

fn create(env: &TestEnv, name: &str, rest: &[&str]) -> String {
    let fixed = ["create", "--network", "none", "--name", name, "busybox"];
    env.out(&[&fixed, rest].concat())
}

fn name_of(env: &TestEnv, container: &str) -> String {
    env.out(&["inspect", "-f", "{{.Name}}", container])
}

#[test]
fn rename_moves_the_name() {
    let env = test_env!();
    env.busybox();
    for command in ["rename", "container rename"] {
        let id = create(&env, "web", &["true"]);
        let renamed = ask(&env, command, &["web", "shop"]).ok();
        assert_eq!((renamed.stdout.as_str(), renamed.stderr.as_str()), ("", ""));
        assert_eq!(name_of(&env, "shop"), "/shop");
        env.run(&["inspect", "web"]).code(1);
        assert_eq!(env.out(&["ps", "-a", "--format", "{{.Names}}"]), "shop");
        // By a beginning of the id, and the old name is free.
        ask(&env, command, &[&id[..9], "web"]).ok();
        assert_eq!(name_of(&env, &id), "/web");
        create(&env, "shop", &["true"]);
        env.run(&["rm", "web", "shop"]).ok();
    }
}

#[test]
fn rename_never_takes_a_name_from_another() {
    let env = shared_env!();
    env.busybox();
    create(&env, "web", &["true"]);
    let owner = create(&env, "shop", &["true"]);
    let refused = env.run(&["rename", "web", "shop"]);
    assert_ne!(refused.code, 0);
    refused.says("already in use").says(&owner);
    assert_eq!(name_of(&env, "web").trim_start_matches('/'), "web");
    for (old, new) in [("none", "x1"), ("web", "a/b"), ("web", ""), ("web", "-x")] {
        assert_ne!(env.run(&["rename", old, new]).code, 0, "{old} {new}");
    }
}

#[test]
fn a_running_container_is_renamed_and_takes_its_name_along() {
    let env = test_env!();
    env.busybox();
    let run = |flags: &[&str]| {
        let fixed = ["run", "-d", "--network", "none", "--name", "web"];
        env.out(&[&fixed, flags, &["busybox", "sleep", "1000"]].concat());
    };
    run(&["--rm"]);
    env.run(&["rename", "web", "shop"]).ok();
    run(&[]);
    assert_eq!(env.run(&["kill", "shop"]).ok().out(), "shop");
    env.run(&["wait", "shop"]);
    crate::process::eventually("the name is free", || {
        let listed = env.out(&["ps", "-a", "--format", "{{.Names}}"]);
        listed == "web"
    });
    let links = crate::env::names(&env.store().join("names"));
    assert_eq!(links, ["web"]);
}

#[test]
fn renamed_to_its_own_name_is_said() {
    let env = test_env!();
    env.busybox();
    create(&env, "web", &["true"]);
    let same = env.run(&["rename", "web", "web"]);
    same.fails(
        1,
        "Renaming a container with the same name as its current name",
    );
}

#[test]
fn a_clone_has_the_settings_and_an_empty_layer() {
    let env = test_env!();
    env.busybox();
    let script = "echo $WHO; ls /new 2>&1; touch /new";
    env.run(&[
        "create",
        "--network",
        "none",
        "--name",
        "web",
        "-e",
        "WHO=me",
        "busybox",
        "sh",
        "-c",
        script,
    ])
    .ok();
    let said = "me\nls: /new: No such file or directory\n";
    assert_eq!(env.run(&["start", "-a", "web"]).ok().stdout, said);
    let id = env.out(&["container", "clone", "web"]);
    assert_eq!(name_of(&env, &id), "/web-clone");
    let hostname = env.out(&["inspect", "-f", "{{.Config.Hostname}}", &id]);
    assert_eq!(hostname, id[..12]);
    assert_eq!(env.run(&["start", "-a", "web-clone"]).ok().stdout, said);
    let second = env.out(&["container", "clone", "--run", "web"]);
    assert_eq!(name_of(&env, &second), "/web-clone1");
    assert_eq!(env.out(&["wait", &second]), "0");
    assert_eq!(env.run(&["logs", &second]).ok().stdout, said);
    env.run(&["container", "clone", "--destroy", "web", "other"])
        .ok();
    env.run(&["container", "exists", "web"]).code(1);
    env.run(&["container", "exists", "other"]).code(0);
    let taken = env.run(&["container", "clone", "--name", "other", "web-clone"]);
    taken.fails(125, "already in use");
}
