//! `unshare` and `mount`: the user's own commands where files of subordinate ids are theirs, and where a container's root is
//! visible.

use std::time::Duration;

use crate::env::{count, shared_env, test_env};
use crate::recovery::until_moment;

#[test]
fn unshare_runs_a_command_as_root_of_the_containers_ids() {
    let env = shared_env!();
    let out = env.out(&[
        "unshare",
        "sh",
        "-c",
        "id -u; grep -c . /proc/self/uid_map; exit 0",
    ]);
    assert_eq!(out, "0\n2");
    assert_eq!(env.run(&["unshare", "sh", "-c", "exit 7"]).code, 7);
    let missing = env.run(&["unshare", "no-such-program"]);
    assert_eq!(missing.code, 127);
    assert!(
        missing
            .stderr
            .contains("executable file not found in $PATH")
    );
}

#[test]
fn unshare_reaches_files_of_containers() {
    let env = test_env!();
    env.busybox();
    std::fs::create_dir(env.path("home/shared")).expect("home is writable");
    let volume = format!("{}:/data", env.path("home/shared").display());
    let script = "mkdir -m 700 /data/own; echo x > /data/own/file; chown -R 1000:50 /data/own";
    let run = ["run", "--rm", "--network", "none", "-v", &volume, "busybox"];
    env.run(&[&run[..], &["sh", "-c", script]].concat()).ok();
    assert!(std::fs::read_dir(env.path("home/shared/own")).is_err());
    assert_eq!(
        env.out(&["unshare", "stat", "-c", "%u:%g", "shared/own/file"]),
        "1000:50"
    );
    env.run(&["unshare", "rm", "-r", "shared/own"]).ok();
    // The host's mounts are not touched from there.
    env.run(&["unshare", "mount", "-t", "tmpfs", "none", "shared"])
        .ok();
    assert!(crate::env::names(&env.path("home/shared")).is_empty());
    // It ends with the command that waits for it, whenever that is killed.
    let tries = count(20, 200) as u32;
    for number in 0..tries {
        let child = env.spawn(&["unshare", "sleep", "1000"]);
        until_moment(Duration::from_millis(50), number, tries);
        child.signal(nix::sys::signal::Signal::SIGKILL);
        child.wait();
    }
}

#[test]
fn mount_shows_a_root_to_a_command() {
    let mut env = test_env!();
    env.busybox();
    let script = "echo inside > /marker; chown 1000 /marker; echo ready; exec sleep 1000";
    let run = [
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "running",
        "busybox",
    ];
    env.run(&[&run[..], &["sh", "-c", script]].concat()).ok();
    let mut logs = env.spawn(&["logs", "-f", "running"]);
    logs.until("ready");
    logs.signal(nix::sys::signal::Signal::SIGKILL);
    logs.wait();
    let run = ["run", "--network", "none", "--name", "ended", "busybox"];
    env.run(
        &[
            &run[..],
            &["sh", "-c", "echo inside > /marker; chown 1000 /marker"],
        ]
        .concat(),
    )
    .ok();
    for name in ["running", "ended"] {
        for command in [&["mount"][..], &["container", "mount"]] {
            let look = "cat marker; stat -c %u marker; echo written > written; exit 3";
            let words = [command, &[name, "sh", "-c", look]].concat();
            let looked = env.run(&words).code(3);
            assert_eq!(looked.stdout, "inside\n1000\n", "{command:?} {name}");
        }
        env.run(&["cp", &format!("{name}:/written"), "got"]).ok();
        let got = std::fs::read_to_string(env.path("home/got"));
        assert_eq!(got.expect("it was copied"), "written\n");
    }
    env.set("BRYO_TEST_OLD_OVERLAY", "1");
    let looked = env.run(&["mount", "ended", "cat", "marker"]).ok();
    assert_eq!(looked.stdout, "inside\n");
    env.set("BRYO_STORAGE_DRIVER", "copy");
    let look = ["mount", "ended", "cat", "marker", "written"];
    assert_eq!(env.run(&look).ok().stdout, "inside\nwritten\n");
    // Nothing stays mounted, and the container starts again.
    env.run(&["start", "ended"]).ok();
    env.run(&["wait", "ended"]).ok();
    env.run(&["mount", "nobody"])
        .fails(125, "No such container: nobody");
    assert_eq!(env.run(&["mount", "ended", "no-such-program"]).code, 127);
}

#[test]
fn image_mount_shows_a_root_to_a_command_that_cannot_change_it() {
    let mut env = test_env!();
    let layer = crate::image::Layer::new()
        .file("marker", 0o644, "inside\n")
        .file("bin/.wh.ls", 0o644, "");
    env.load(
        &crate::image::busybox()
            .with(&layer)
            .docker_archive("shown:1"),
    );
    let look = "cat marker; test -e bin/sh && ! test -e bin/ls && echo merged; touch new; exit 3";
    let switches = [
        ("BRYO_STORAGE_DRIVER", "auto"),
        ("BRYO_TEST_OLD_OVERLAY", "1"),
        ("BRYO_STORAGE_DRIVER", "copy"),
    ];
    for (name, value) in switches {
        env.set(name, value);
        let looked = env.run(&["image", "mount", "shown:1", "sh", "-c", look]);
        let looked = looked.code(3);
        assert_eq!(looked.stdout, "inside\nmerged\n", "{looked:?}");
        assert!(
            looked.stderr.contains("Read-only file system"),
            "{looked:?}"
        );
        // Nothing of it stays.
        assert_eq!(env.half_made(), [""; 0]);
    }
    env.run(&["image", "mount", "nothing", "true"])
        .fails(125, "No such image: nothing");
    let none = ["image", "mount", "shown:1", "no-such-program"];
    assert_eq!(env.run(&none).code, 127);
    env.run(&["rmi", "shown:1"]).ok();
    assert!(crate::env::names(&env.store().join("layers")).is_empty());
}
