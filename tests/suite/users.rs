//! `-u`, an image's `USER`, supplementary groups; what a number that does not fit means.

use serde_json::json;

use crate::env::{TestEnv, shared_env, test_env};
use crate::image;
use crate::need::{Need, need};

fn id(env: &TestEnv, user: &str) -> String {
    let script = "id -u; id -g; grep ^Groups /proc/self/status; echo $HOME";
    let out = env.out(&[
        "run",
        "--rm",
        "--network",
        "none",
        "-u",
        user,
        "busybox",
        "sh",
        "-c",
        script,
    ]);
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn users_and_groups_are_resolved_in_the_images_own_files() {
    let env = shared_env!();
    need!(Need::SubordinateIds);
    env.busybox();
    // Groups as docker gives them: the user's own and those that list it, but only where no group is given.
    assert_eq!(id(&env, "app"), "1000 1000 Groups: 50 60 1000 /home/app");
    assert_eq!(id(&env, "1000"), "1000 1000 Groups: 50 60 1000 /home/app");
    assert_eq!(id(&env, "app:staff"), "1000 50 Groups: 50 /home/app");
    assert_eq!(id(&env, "0:50"), "0 50 Groups: 50 /root");
    // CVE-2026-30892: read as a number, whatever it looks like.
    assert_eq!(id(&env, "1"), "1 0 Groups: 0 /");
    env.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "-u",
        "nobody-here",
        "busybox",
    ])
    .code(if env.engine == crate::env::Engine::Bryo {
        125
    } else {
        126
    });
}

#[test]
fn ids_that_the_container_does_not_have_are_named() {
    let env = test_env!();
    env.busybox();
    let run = ["run", "--rm", "--network", "none"];
    for (user, id) in [("70000", "user 70000"), ("0:70000", "70000")] {
        let words = [&run[..], &["-u", user, "busybox", "true"]].concat();
        let refused = env.run(&words);
        assert_ne!(refused.code, 0, "{refused:?}");
        let text = format!("{id}: not among the ids that the container has");
        assert!(refused.stderr.contains(&text), "{refused:?}");
    }
}

#[test]
fn numbers_that_do_not_fit_are_errors_never_root() {
    // CVE-2024-40635
    let env = test_env!();
    env.busybox();
    for user in [
        "2147483648:1",
        "4294967295",
        "-1",
        "99999999999999999999",
        "0x0",
        "1:4294967295",
    ] {
        let run = env.run(&[
            "run",
            "--rm",
            "--network",
            "none",
            "-u",
            user,
            "busybox",
            "id",
            "-u",
        ]);
        assert_eq!(
            (run.code, run.stdout.as_str()),
            (125, ""),
            "{user}: {run:?}"
        );
        env.load(
            &image::busybox()
                .configured("User", json!(user))
                .docker_archive("wraps:latest"),
        );
        let run = env.run(&["run", "--rm", "--network", "none", "wraps", "id", "-u"]);
        assert_eq!(
            (run.code, run.stdout.as_str()),
            (125, ""),
            "USER {user}: {run:?}"
        );
    }
}

#[test]
fn a_hostile_passwd_or_group_file_is_an_error_and_no_hang() {
    // CVE-2024-9676, CVE-2026-47262
    let env = test_env!();
    let canary = env.file("canary", "root:x:0:0::/canary:/bin/sh\n");
    let layers = [
        image::Layer::new()
            .file("etc/.wh.passwd", 0o644, "")
            .fifo("etc/passwd"),
        image::Layer::new().symlink("etc/passwd", &canary),
        image::Layer::new().symlink("etc/passwd", "/dev/zero"),
        image::Layer::new().symlink("etc/passwd", "/proc/self/environ"),
        image::Layer::new().file("etc/passwd", 0o644, vec![b'x'; 64 << 20]),
        image::Layer::new().directory("etc/passwd", 0o755),
    ];
    for (number, layer) in layers.iter().enumerate() {
        env.load(
            &image::busybox()
                .with(layer)
                .docker_archive("hostile:latest"),
        );
        let run = env.run(&[
            "run",
            "--rm",
            "--network",
            "none",
            "-u",
            "app",
            "hostile",
            "true",
        ]);
        assert_eq!(run.code, 125, "{number}: {run:?}");
        assert!(!run.stderr.contains("panicked"), "{number}: {run:?}");
    }
}

#[test]
fn a_user_that_is_not_root_can_open_its_standard_streams() {
    // As nginx and others do who log to /dev/stdout.
    let env = shared_env!();
    need!(Need::SubordinateIds);
    env.busybox();
    let script = "echo out > /dev/stdout; echo err > /dev/stderr; cat /dev/stdin";
    let user = [
        "run",
        "--rm",
        "-i",
        "--network",
        "none",
        "-u",
        "1000",
        "busybox",
        "sh",
        "-c",
        script,
    ];
    let run = env.command(&user).input("in").run().ok();
    assert_eq!(
        (run.stdout.as_str(), run.stderr.as_str()),
        ("out\nin", "err\n")
    );
    let script = "tty; echo typed > $(tty)";
    let user = [
        "run",
        "--rm",
        "-t",
        "--network",
        "none",
        "-u",
        "1000",
        "busybox",
        "sh",
        "-c",
        script,
    ];
    env.run(&user).ok().prints("typed");
}
