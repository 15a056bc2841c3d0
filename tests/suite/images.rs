//! `images`, `tag`, `rmi`, `image inspect`: names, ids, what is in use.

use crate::env::{shared_env, test_env};
use crate::image::{Layer, busybox};

#[test]
fn an_image_is_found_by_name_tag_full_and_short_id() {
    let env = shared_env!();
    let image = busybox();
    env.load(&image.docker_archive("busybox:1.0"));
    let id = image.id();
    for name in [
        "busybox:1.0",
        "docker.io/library/busybox:1.0",
        &format!("sha256:{id}"),
        &id,
        &id[..12],
        &id[..4],
    ] {
        assert_eq!(
            env.out(&[
                "run",
                "--rm",
                "--network",
                "none",
                "--pull",
                "never",
                name,
                "echo",
                "found"
            ]),
            "found",
            "{name}"
        );
    }
    env.run(&["run", "--rm", "--pull", "never", "busybox:2.0", "true"])
        .code(125);
}

#[test]
fn an_image_with_two_names_is_listed_twice_with_one_id() {
    let env = test_env!();
    env.busybox();
    env.run(&["tag", "busybox", "second:name"]).ok();
    let rows = env.out(&["images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"]);
    let mut rows: Vec<(&str, &str)> = rows.lines().filter_map(|row| row.split_once(' ')).collect();
    rows.sort_unstable();
    assert_eq!(
        rows.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["busybox:latest", "second:name"]
    );
    assert_eq!(rows[0].1, rows[1].1);
    assert_eq!(env.out(&["images", "-q"]).lines().count(), 2);
}

#[test]
fn removing_one_of_several_names_only_untags() {
    let env = test_env!();
    env.busybox();
    env.run(&["tag", "busybox", "second:name"]).ok();
    let first = env.run(&["rmi", "second:name"]).ok();
    assert_eq!(first.stdout, "Untagged: second:name\n");
    let last = env
        .run(&["rmi", "busybox"])
        .ok()
        .prints("Untagged: busybox:latest");
    assert!(last.stdout.contains("Deleted: sha256:"), "{last:?}");
    assert_eq!(env.out(&["images", "-aq"]), "");
}

/// As docker has it: what is not there is said, and is no failure with -f.
#[test]
fn removing_what_is_not_there_fails_without_force() {
    let env = test_env!();
    env.busybox();
    let said = "No such image: nothing:latest";
    env.run(&["rmi", "nothing"]).fails(1, said);
    let forced = env.run(&["rmi", "-f", "nothing", "busybox"]);
    assert!(forced.stderr.contains(said), "{forced:?}");
    assert!(forced.ok().stdout.contains("Untagged: busybox:latest"));
}

#[test]
fn an_image_in_use_is_not_removed() {
    let env = test_env!();
    env.busybox();
    env.run(&["create", "--name", "user", "busybox"]).ok();
    let id = env.out(&["ps", "-aq"]);
    env.run(&["rmi", "busybox"]).code(1).says(&id);
    env.run(&["rm", "user"]).ok();
    env.run(&["rmi", "busybox"]).ok();
}

#[test]
fn an_image_that_loses_its_name_is_dangling_and_can_be_removed_by_its_id() {
    let env = test_env!();
    env.busybox();
    env.load(
        &busybox()
            .with(&Layer::new().file("new", 0o644, "1"))
            .docker_archive("busybox:latest"),
    );
    let rows = env.out(&["images", "-a", "--format", "{{.Repository}}:{{.Tag}}"]);
    assert!(rows.lines().any(|row| row == "<none>:<none>"), "{rows}");
    let dangling = env.out(&["images", "-q", "--filter", "dangling=true"]);
    assert_eq!(dangling.lines().count(), 1);
    env.run(&["rmi", &dangling]).ok();
    assert_eq!(env.out(&["images", "-q"]).lines().count(), 1);
}

#[test]
fn inspect_gives_dockers_fields() {
    let env = shared_env!();
    let image = busybox();
    env.load(&image.docker_archive("busybox:latest"));
    let out = env.out(&["image", "inspect", "busybox"]);
    let documents: serde_json::Value = serde_json::from_str(&out).expect("inspect prints JSON");
    let document = &documents[0];
    assert_eq!(
        document["Id"]
            .as_str()
            .map(|id| id.trim_start_matches("sha256:")),
        Some(image.id().as_str())
    );
    assert_eq!(document["Config"]["Cmd"][0], "sh");
    assert_eq!(document["Os"], "linux");
    assert_eq!(
        document["RootFS"]["Layers"].as_array().map(Vec::len),
        Some(1)
    );
    env.run(&["image", "inspect", "no-such-image"]).code(
        if env.engine == crate::env::Engine::Bryo {
            1
        } else {
            125
        },
    );
}

#[test]
fn layers_are_shared_and_freed_with_their_last_image() {
    let env = test_env!();
    env.busybox();
    let layers = || crate::env::names(&env.store().join("layers")).len();
    let one = layers();
    env.load(
        &busybox()
            .with(&Layer::new().file("new", 0o644, "1"))
            .docker_archive("more:latest"),
    );
    assert_eq!(layers(), one + 1);
    env.run(&["rmi", "more"]).ok();
    assert_eq!(layers(), one);
    env.run(&["run", "--rm", "--network", "none", "busybox", "true"])
        .ok();
}
