//! The first command of the README: the embedded image, offline, on a host that has nothing.

use crate::env::test_env;
use crate::need::{Need, need, program};

#[test]
fn run_hello_greets_from_inside_a_container() {
    let env = test_env!();
    let run = env.run(&["run", "hello"]).ok();
    let id = env.out(&["ps", "-aq"]);
    assert_eq!(id.len(), 12, "ps -aq gave {id:?}");
    for part in ["pid       1\n", id.as_str(), "/etc /proc", "uid map"] {
        assert!(run.stdout.contains(part), "no {part:?} in {run:?}");
    }
}

#[test]
fn hello_world_answers_the_same_where_no_registry_is_reached() {
    let env = test_env!();
    let hello = env.run(&["run", "--rm", "hello"]).ok();
    let world = env.run(&["run", "--rm", "hello-world"]).ok();
    assert_eq!(hello.stdout.lines().next(), world.stdout.lines().next());
}

#[test]
fn an_image_named_hello_in_the_store_wins() {
    let env = test_env!();
    let image = crate::image::busybox().configured("Cmd", serde_json::json!(["echo", "mine"]));
    env.load(&image.docker_archive("hello:latest"));
    assert_eq!(
        env.out(&["run", "--rm", "--network", "none", "hello"]),
        "mine"
    );
}

#[test]
fn hello_is_an_image_like_every_other() {
    let env = test_env!();
    env.run(&["run", "--name", "greeter", "hello"]).ok();
    assert!(
        env.out(&["images", "--format", "{{.Repository}}:{{.Tag}}"])
            .contains("hello")
    );
    assert_eq!(env.out(&["ps", "-a", "--format", "{{.Names}}"]), "greeter");
    env.run(&["inspect", "greeter"]).ok();
    let id = env.out(&["ps", "-aq"]);
    env.run(&["rmi", "hello"]).code(1).says(&id);
    env.run(&["rm", "greeter"]).ok();
    env.run(&["rmi", "hello"]).ok();
    assert_eq!(env.out(&["images", "-q"]), "");
}

#[test]
fn hello_needs_no_helper_program() {
    let env = test_env!();
    let helpers = [
        "newuidmap",
        "newgidmap",
        "pasta",
        "passt",
        "slirp4netns",
        "fuse-overlayfs",
    ];
    let run = env.lacking(&helpers, "exec $BRYO run --rm hello").ok();
    assert!(run.stdout.contains("pid       1\n"), "{run:?}");
    // An empty PATH alone is no hindrance either.
    let empty = env.path("home/empty");
    std::fs::create_dir(&empty).expect("home is writable");
    let run = env
        .command(&["run", "--rm", "hello"])
        .var("PATH", &empty)
        .run();
    run.ok().prints("pid       1\n");
}

#[test]
fn a_container_has_six_namespaces_of_its_own() {
    let env = test_env!();
    env.busybox();
    let names = ["user", "mnt", "pid", "ipc", "uts", "net"];
    let script = names
        .map(|name| format!("readlink /proc/self/ns/{name}"))
        .join("; ");
    let inside = env.out(&[
        "run",
        "--rm",
        "--network",
        "none",
        "busybox",
        "sh",
        "-c",
        &script,
    ]);
    let inside: Vec<&str> = inside.lines().collect();
    assert_eq!(inside.len(), names.len());
    for (name, inside) in names.iter().zip(inside) {
        let outside =
            std::fs::read_link(format!("/proc/self/ns/{name}")).expect("/proc is mounted");
        assert_ne!(outside.to_str(), Some(inside), "namespace {name}");
    }
}

#[test]
fn hello_opens_no_connection() {
    let env = test_env!();
    need!(Need::Program("strace"));
    let bryo = crate::env::bryo();
    let trace = env.path("home/trace");
    let trace = trace.to_str().expect("test paths are UTF-8");
    // newuidmap refuses to work under an unprivileged tracer; without it the engine uses its single-id map.
    let line = [
        "-f",
        "-qq",
        "-e",
        "trace=connect",
        "-o",
        trace,
        bryo.to_str().expect("UTF-8"),
        "run",
        "--rm",
        "hello",
    ];
    env.other("strace", &line).run();
    let connects = std::fs::read_to_string(trace).unwrap_or_default();
    let inet: Vec<&str> = connects
        .lines()
        .filter(|line| line.contains("AF_INET"))
        .collect();
    assert!(inet.is_empty(), "{inet:?}");
    assert!(program("strace").is_some());
}
