//! Where nothing can stack layers each container has a copy of them: it is the same container, and what it changed is the same layer.

use std::fs;

use crate::dockerfile::{build, cached, context, layers, shell};
use crate::env::{TestEnv, count, test_env};
use crate::image::{Layer, busybox};
use crate::process::eventually;

/// Every path of a root with all that can be the same in two containers.
const TREE: &str = "busybox find / -xdev | grep -v /etc/host | sort | while read path; do stat -c '%n %F %a %u %g' \"$path\"; \
    test -f \"$path\" && ! test -L \"$path\" && busybox md5sum < \"$path\"; done; true";

fn copying() -> TestEnv {
    let mut env = TestEnv::new();
    env.set("BRYO_STORAGE_DRIVER", "copy");
    env
}

fn load(env: &TestEnv) {
    let below = Layer::new()
        .directory("keep/", 0o750)
        .file("keep/file", 0o640, "kept")
        .file("keep/gone", 0o644, "other")
        .file("twins/first", 0o644, "same")
        .hard_link("twins/second", "twins/first")
        .symlink("twins/link", "first")
        .fifo("twins/pipe");
    let above = Layer::new()
        .file("keep/.wh.gone", 0o644, "")
        .file("keep/more", 0o4755, "more");
    let image = busybox().with(&below).with(&above);
    env.load(&image.docker_archive("busybox:latest"));
}

/// What a container is like that has changed a lot.
fn story(env: &TestEnv) -> Vec<(&'static str, String)> {
    load(env);
    let none = ["--network", "none"];
    let script = "echo new > /new; ln /new /same; chown 1000:50 /new; chmod 4711 /new; rm /etc/group; rm -r /keep; \
        mkdir /keep; echo again > /keep/file; mkfifo /pipe; ln -s /new /link; \
        touch -r /etc/passwd /mark; tr a-z A-Z < /etc/passwd > /upper; cat /upper > /etc/passwd; touch -r /mark /etc/passwd";
    let run = [
        &["run", "--name", "box"],
        &none[..],
        &["busybox", "sh", "-c"],
    ]
    .concat();
    env.run(&[&run[..], &[script]].concat()).ok();
    let sorted = |text: String| {
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.join("\n")
    };
    let size = env.out(&["ps", "-a", "-s", "--format", "{{.Size}}"]);
    let changes = sorted(env.out(&["diff", "box"]));
    env.run(&["commit", "box", "made"]).ok();
    let home = env.path("home");
    let file = env.file("given", "given\n");
    env.run(&["cp", &file, "box:/srv"]).ok();
    let got = home.join("got").display().to_string();
    env.run(&["cp", "box:/keep/file", &got]).ok();
    let running = [&["run", "-d", "--init", "--name", "up"], &none[..]].concat();
    env.run(&[&running[..], &["busybox", "sleep", "1000"]].concat())
        .ok();
    env.run(&[
        "exec",
        "up",
        "sh",
        "-c",
        "rm /keep/more; echo 1 > /keep/file",
    ])
    .ok();
    let while_running = sorted(env.out(&["diff", "up"]));
    env.run(&["commit", "up", "alive"]).ok();
    env.run(&["rm", "-f", "up"]).ok();
    env.run(&["create", "--name", "fresh", "busybox", "true"])
        .ok();
    env.run(&["cp", &file, "fresh:/srv"]).ok();
    let fresh = sorted(env.out(&["diff", "fresh"]));
    let told = vec![
        ("size", size),
        ("changes", changes),
        ("while running", while_running),
        ("fresh", fresh),
        ("copied", fs::read_to_string(&got).expect("it was copied")),
        ("committed", shell(env, "made", TREE)),
        ("committed alive", shell(env, "alive", TREE)),
        ("layers", layers(env, "made").len().to_string()),
    ];
    env.run(&["rm", "box", "fresh"]).ok();
    told
}

#[test]
fn a_container_with_a_copied_root_is_the_same_as_one_on_an_overlay() {
    let stacked = test_env!();
    let copied = copying();
    for (of_overlay, of_copy) in story(&stacked).into_iter().zip(story(&copied)) {
        assert_eq!(of_overlay, of_copy);
    }
    let links = "stat -c %h /new /twins/first /twins/second";
    assert_eq!(shell(&copied, "made", links), "2\n2\n2");
    let mounts = [
        "run",
        "--rm",
        "--network",
        "none",
        "busybox",
        "head",
        "-n",
        "1",
    ];
    let mounts = copied.out(&[&mounts[..], &["/proc/mounts"]].concat());
    assert!(!mounts.contains("overlay"), "{mounts}");
    let info = copied.run(&["info"]).ok().stdout;
    assert!(info.contains("Storage driver: copy"), "{info}");
}

#[test]
fn a_container_keeps_its_copy_and_its_changes_whatever_stacks_layers_later() {
    let env = test_env!();
    load(&env);
    let run = [
        "run",
        "--name",
        "box",
        "--network",
        "none",
        "busybox",
        "sh",
        "-c",
    ];
    let script = "echo x >> /count; cat /count | wc -l";
    // One that an overlay began goes on as a copy of both.
    env.run(&[&run[..], &[script]].concat()).ok();
    let again = env.command(&["start", "-a", "box"]);
    assert_eq!(
        again.var("BRYO_STORAGE_DRIVER", "copy").run().ok().out(),
        "2"
    );
    assert_eq!(env.out(&["start", "-a", "box"]), "3");
    assert_eq!(env.out(&["diff", "box"]), "A /count");
    let name = ["inspect", "--format", "{{.GraphDriver.Name}}", "box"];
    assert_eq!(env.out(&name), "copy");
    let image = env.out(&["commit", "box"]);
    assert_eq!(shell(&env, &image, "cat /count"), "x\nx\nx");
    let id = env.out(&["inspect", "--format", "{{.Id}}", "box"]);
    env.run(&["container", "prune", "-f"]).ok();
    assert!(!env.store().join("containers").join(id).exists());
}

const DOCKERFILE: &str = "FROM busybox AS tools\nWORKDIR /tools\nRUN echo one > one && ln one two && rm /keep/more && chmod 700 /keep\n\
    RUN true\nRUN echo three > three && rm -r /keep && mkdir /keep && echo new > /keep/new\n\
    FROM busybox\nCOPY --from=tools /tools /tools\nCOPY --from=tools /keep /kept\n\
    RUN rm /tools/two /etc/group && mkdir -p /a/b && echo x > /a/b/c\nRUN test ! -e /etc/group && mv /a/b/c /a/d\n";

#[test]
fn a_build_with_copied_roots_comes_to_the_same_layers() {
    let stacked = test_env!();
    let copied = copying();
    let of = |env: &TestEnv| {
        load(env);
        let directory = context(env, "app", &[("Dockerfile", DOCKERFILE)]);
        let epoch = ["--source-date-epoch", "1700000000"];
        let flags = [&["-t", "made", "--network", "none"], &epoch[..]].concat();
        let built = build(env, &directory, &flags).ok().stderr;
        let again = build(env, &directory, &flags).ok();
        assert_eq!(cached(&again), 8, "{}", again.stderr);
        (built, shell(env, "made", TREE), layers(env, "made"))
    };
    let (of_overlay, of_copy) = (of(&stacked), of(&copied));
    assert_eq!(of_overlay.1, of_copy.1);
    assert_eq!(of_overlay.2, of_copy.2);
    let told = "RUN has its layers stacked by copy: storage.driver is set by";
    assert_eq!(of_copy.0.matches(told).count(), 1, "{}", of_copy.0);
    assert!(!of_overlay.0.contains("stacked by"));
    // Nothing of the copies is left.
    for entry in fs::read_dir(copied.store().join("layers")).expect("there are layers") {
        let work = entry.expect("it is readable").path().join("work");
        assert!(!work.exists(), "{}", work.display());
    }
}

#[test]
fn a_copy_that_is_killed_at_any_point_is_made_anew() {
    let env = copying();
    load(&env);
    env.run(&[
        "create",
        "--name",
        "first",
        "--network",
        "none",
        "busybox",
        "true",
    ])
    .ok();
    let list = env.file("points", "");
    let strike = |name: &str, fault: &str| {
        let started = env
            .command(&["start", "-a", name])
            .var("BRYO_TEST_POINTS", &list)
            .var("BRYO_TEST_FAULT", fault)
            .run();
        eventually("the end of all of it", || env.processes().is_empty());
        let points = fs::read_to_string(&list).expect("it was made");
        fs::write(&list, "").expect("it can be written");
        (started, points.lines().count())
    };
    let (started, points) = strike("first", "");
    started.ok();
    assert!(points > 30, "{points} points");
    let container = ["create", "--network", "none", "--name"];
    let script =
        "test ! -e /keep/gone && test -p /twins/pipe && cat /twins/second && echo 1 > /mine";
    for number in (1..=points).step_by(count(points / 8 + 1, 1)) {
        let name = format!("box-{number}");
        let create = [&container[..], &[&name, "busybox", "sh", "-c", script]].concat();
        env.run(&create).ok();
        let (_, passed) = strike(&name, &format!("kill:{number}"));
        assert!(passed >= number, "killed at {number} of {passed}");
        let again = env.run(&["start", "-a", &name]);
        assert_eq!(again.ok().out(), "same", "after {number}");
        assert_eq!(env.out(&["diff", &name]), "A /mine", "after {number}");
        env.run(&["rm", &name]).ok();
    }
    assert_eq!(env.half_made(), [""; 0]);
}
