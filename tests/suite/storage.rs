//! What stacks the layers of a container: the kernel's overlay in both of its ways, fuse-overlayfs, and what falls back to what.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::env::{TestEnv, test_env};
use crate::image::{Layer, busybox};
use crate::need::{Need, need, program};
use crate::process::eventually;

const RUN: [&str; 4] = ["run", "--rm", "--network", "none"];

/// A world in which fuse-overlayfs stacks the layers.
macro_rules! fuse_env {
    () => {{
        let mut env = test_env!();
        env.set("BRYO_STORAGE_DRIVER", "fuse-overlayfs");
        env
    }};
}

/// As many layers as docker allows; each brings a file and takes away the one of the layer below.
fn tall_image(env: &TestEnv) {
    let mut image = busybox();
    while image.layers.len() < 127 {
        let number = image.layers.len();
        let layer = Layer::new()
            .directory("stack", 0o755)
            .file(&format!("stack/{number}"), 0o644, number.to_string())
            .file(&format!("stack/.wh.{}", number - 1), 0o644, "")
            .file("stack/topmost", 0o644, number.to_string());
        image = image.with(&layer);
    }
    env.load(&image.docker_archive("tall:latest"));
}

#[track_caller]
fn assert_tall(env: &TestEnv) {
    tall_image(env);
    let script = "ls /stack; cat /stack/topmost; echo; rm /stack/126; ls /stack";
    let out = env.out(&[&RUN[..], &["tall", "sh", "-c", script]].concat());
    assert_eq!(out, "126\ntopmost\n126\ntopmost");
}

#[test]
fn an_image_of_127_layers_runs() {
    let env = test_env!();
    assert_tall(&env);
}

#[test]
fn an_image_of_127_layers_runs_on_kernels_without_lowerdir_plus() {
    let mut env = test_env!();
    env.set("BRYO_TEST_OLD_OVERLAY", "1");
    assert_tall(&env);
    let options = env.out(&[&RUN[..], &["tall", "head", "-n", "1", "/proc/mounts"]].concat());
    assert!(
        options.contains("lowerdir=126:125:"),
        "not mounted by short names: {options}"
    );
}

#[test]
fn an_image_of_127_layers_runs_on_fuse_overlayfs() {
    need!(Need::Program("fuse-overlayfs"), Need::Device("/dev/fuse"));
    assert_tall(&fuse_env!());
}

#[test]
fn fuse_overlayfs_runs_containers_that_keep_their_own_changes() {
    need!(Need::Program("fuse-overlayfs"), Need::Device("/dev/fuse"));
    let env = fuse_env!();
    env.busybox();
    let mounts = env.out(&[&RUN[..], &["busybox", "head", "-n", "1", "/proc/mounts"]].concat());
    assert!(mounts.contains(" / fuse.fuse-overlayfs "), "{mounts}");
    let change = |name: &str| {
        let script = format!(
            "test ! -e /who && echo {name} > /who && rm /etc/group && chown 5:7 /etc/passwd && ln /who /again"
        );
        let run = [
            "run",
            "--network",
            "none",
            "--name",
            name,
            "busybox",
            "sh",
            "-c",
            &script,
        ];
        env.run(&run).ok();
    };
    change("one");
    change("two");
    for name in ["one", "two"] {
        let container = env.store().join("containers");
        let id = env.out(&["inspect", "--format", "{{.Id}}", name]);
        let upper = container.join(id).join("upper");
        let who = fs::read_to_string(upper.join("who"));
        assert_eq!(who.expect("it was written"), format!("{name}\n"));
        assert_eq!(
            env.out(&["inspect", "--format", "{{.GraphDriver.Name}}", name]),
            "fuse-overlayfs"
        );
    }
    // The layers below are as they were, and nothing stays of what is removed.
    let seen = "cat /etc/group | wc -l; stat -c %u:%g /etc/passwd";
    let before = env.out(&[&RUN[..], &["busybox", "sh", "-c", seen]].concat());
    assert!(before.ends_with("0:0"), "{before}");
    env.run(&["rm", "one", "two"]).ok();
    assert!(env.containers().is_empty());
    assert!(crate::env::names(&env.store().join("trash")).is_empty());
}

#[test]
fn a_container_goes_on_with_the_driver_that_wrote_its_layer() {
    need!(Need::Program("fuse-overlayfs"), Need::Device("/dev/fuse"));
    let env = test_env!();
    env.busybox();
    // A directory made again is marked opaque, each driver in its own way.
    let script = "rm -r /home; mkdir /home; ls -a /home | wc -l; head -n 1 /proc/mounts";
    let run = [
        "run",
        "--name",
        "kept",
        "--network",
        "none",
        "busybox",
        "sh",
        "-c",
        script,
    ];
    env.command(&run)
        .var("BRYO_STORAGE_DRIVER", "fuse-overlayfs")
        .run()
        .ok();
    let again = env.out(&["start", "-a", "kept"]);
    assert!(again.starts_with("2\n"), "{again}");
    assert!(again.contains("fuse-overlayfs"), "{again}");
}

#[test]
fn a_container_whose_fuse_overlayfs_ends_is_ended_and_says_why() {
    need!(Need::Program("fuse-overlayfs"), Need::Device("/dev/fuse"));
    let env = fuse_env!();
    env.busybox();
    let run = [
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        "none",
        "busybox",
        "sleep",
        "1000",
    ];
    env.run(&run).ok();
    let daemon = env.processes().into_iter();
    let daemon = daemon.filter(|process| process.contains("fuse-overlayfs -o"));
    let pids: Vec<i32> = daemon
        .filter_map(|process| process.split(' ').next()?.parse().ok())
        .collect();
    assert_eq!(pids.len(), 1, "{:?}", env.processes());
    kill(Pid::from_raw(pids[0]), Signal::SIGKILL).expect("it is ours");
    // Killed, or dead already of a page that nobody could read (SIGBUS).
    let code = env.out(&["wait", "web"]);
    assert!(["137", "135"].contains(&code.as_str()), "{code}");
    let error = env.out(&["inspect", "--format", "{{.State.Error}}", "web"]);
    assert!(error.contains("fuse-overlayfs ended"), "{error}");
    eventually("every process is gone", || env.processes().is_empty());
}

#[test]
fn a_container_ends_its_fuse_overlayfs_and_so_does_a_killed_monitor() {
    need!(Need::Program("fuse-overlayfs"), Need::Device("/dev/fuse"));
    let env = fuse_env!();
    env.busybox();
    let run = [
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        "none",
        "busybox",
        "sleep",
        "1000",
    ];
    env.run(&run).ok();
    env.run(&["kill", "web"]).ok();
    eventually("every process is gone", || env.processes().is_empty());
    env.run(&["start", "web"]).ok();
    let monitor = env.processes().into_iter();
    let monitor = monitor.filter(|process| process.contains("bryo: monitor web"));
    for process in monitor {
        let pid = process.split(' ').next().and_then(|pid| pid.parse().ok());
        kill(Pid::from_raw(pid.expect("a pid")), Signal::SIGKILL).expect("it is ours");
    }
    eventually("every process is gone", || env.processes().is_empty());
}

#[test]
fn a_missing_fuse_overlayfs_is_named_with_its_cure() {
    let env = fuse_env!();
    env.busybox();
    let helpers = env.path("home/bin");
    fs::create_dir(&helpers).expect("home is writable");
    // An empty directory stands over the one that has it.
    let Some(installed) = program("fuse-overlayfs") else {
        env.run(&[&RUN[..], &["busybox", "true"]].concat())
            .fails(125, "fuse-overlayfs is not installed");
        return;
    };
    let script = format!(
        "mount --bind /dev/null {} && exec {} run --rm --network none busybox true",
        installed.display(),
        crate::env::bryo().display()
    );
    let run = env
        .other(
            "unshare",
            &["--user", "--map-root-user", "--mount", "sh", "-c", &script],
        )
        .run();
    assert_eq!(run.code, 125, "{run:?}");
    assert!(
        run.stderr.contains("fuse-overlayfs is not installed"),
        "{run:?}"
    );
    assert!(run.stderr.contains("Hint: sudo "), "{run:?}");
}

/// bryo as root of a user namespace in which the store lies on an overlay, where the kernel takes no other.
fn on_an_overlay(env: &TestEnv, prelude: &str, commands: &str) -> crate::process::Outcome {
    let place = env.path("home/stacked");
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir_all(place.join(name)).expect("home is writable");
    }
    let script = format!(
        "set -e; cd {place}; mount -t overlay -o userxattr,lowerdir=lower,upperdir=upper,workdir=work none merged
         mkdir -p merged/data; export XDG_DATA_HOME={place}/merged/data; {prelude}
         bryo() {{ {bryo} \"$@\"; }}
         bryo load -q -i {image}
         {commands}",
        place = place.display(),
        bryo = crate::env::bryo().display(),
        image = env.file("busybox.tar", busybox().docker_archive("busybox:latest")),
    );
    env.other(
        "unshare",
        &["--user", "--map-root-user", "--mount", "sh", "-c", &script],
    )
    .run()
}

#[test]
fn fuse_overlayfs_takes_over_where_the_kernel_refuses() {
    need!(Need::Program("fuse-overlayfs"), Need::Device("/dev/fuse"));
    let env = test_env!();
    let run = on_an_overlay(
        &env,
        "",
        "for i in 1 2; do bryo run --rm --network none busybox sh -c 'rm /etc/group; ls /etc/group || head -n 1 /proc/mounts'; done
         bryo info | grep '^Storage driver'",
    )
    .ok();
    let lines: Vec<&str> = run.stdout.lines().collect();
    let mounts = lines
        .iter()
        .filter(|line| line.contains(" / fuse.fuse-overlayfs "));
    assert_eq!(mounts.count(), 2, "{run:?}");
    let last = lines.last().expect("info prints");
    assert!(
        last.contains("fuse-overlayfs (") && last.contains("is on an overlay itself"),
        "{last}"
    );
}

#[test]
fn where_nothing_stacks_layers_each_container_has_a_copy() {
    let env = test_env!();
    let run = on_an_overlay(
        &env,
        "mount --bind /dev/null /dev/fuse;",
        "for i in 1 2; do bryo run --name box$i --network none busybox sh -c 'rm /etc/group; ls /etc/group || grep -c . /etc/passwd'; done
         bryo commit box1 made >/dev/null; bryo run --rm --network none made ls /etc
         bryo diff box2; bryo rm box1 box2 >/dev/null; bryo info | grep '^Storage driver'",
    )
    .ok();
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines[1..3], ["2", "2"], "{run:?}");
    assert!(!lines[3..].contains(&"group"), "{run:?}");
    assert!(lines.contains(&"D /etc/group"), "{run:?}");
    let last = lines.last().expect("info prints");
    assert!(
        last.contains("copy (") && last.contains("is on an overlay itself"),
        "{last}"
    );
}

#[test]
fn overlay_alone_is_obeyed() {
    let env = test_env!();
    let run = on_an_overlay(
        &env,
        "export BRYO_STORAGE_DRIVER=overlay;",
        "bryo run --rm --network none busybox true",
    );
    assert_eq!(run.code, 125, "{run:?}");
    assert!(run.stderr.contains("mount the root filesystem"), "{run:?}");
}

/// Files of a stopped container, by every verb that has to mount its root or read its layer for that.
fn assert_files_at_rest(env: &TestEnv) {
    env.busybox();
    let script = "echo x > /new; rm /etc/group; rm -r /home; mkdir /home; chown 1000:50 /new";
    let run = ["run", "--name", "rests", "--network", "none", "busybox"];
    env.run(&[&run[..], &["sh", "-c", script]].concat()).ok();
    let file = env.file("file", "copied in");
    env.run(&["cp", &file, "rests:/etc/group"]).ok();
    env.run(&["cp", "rests:/etc/group", "back"]).ok();
    let back = fs::read_to_string(env.path("home/back"));
    assert_eq!(back.expect("it was copied"), "copied in");
    let diff = env.out(&["diff", "rests"]);
    let mut lines: Vec<&str> = diff.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["A /new", "C /etc", "C /etc/group", "C /home", "D /home/app"]
    );
    env.run(&["commit", "rests", "made"]).ok();
    let look = "cat /etc/group; stat -c ' %u:%g' /new; ls /home";
    let made = [&RUN[..], &["made", "sh", "-c", look]].concat();
    assert_eq!(env.out(&made), "copied in 1000:50");
    env.run(&["export", "-o", "out.tar", "rests"]).ok();
    let listed = env.other("tar", &["-tf", "out.tar"]).run().ok();
    assert!(listed.lines().contains(&"etc/group"), "{listed:?}");
    env.run(&["start", "rests"]).ok();
    assert_eq!(env.out(&["wait", "rests"]), "0");
}

#[test]
fn files_of_a_stopped_container_on_kernels_without_lowerdir_plus() {
    let mut env = test_env!();
    env.set("BRYO_TEST_OLD_OVERLAY", "1");
    assert_files_at_rest(&env);
}

#[test]
fn files_of_a_stopped_container_on_fuse_overlayfs() {
    need!(Need::Program("fuse-overlayfs"), Need::Device("/dev/fuse"));
    let env = fuse_env!();
    assert_files_at_rest(&env);
}

#[test]
fn files_of_a_stopped_container_with_a_copied_root() {
    let mut env = test_env!();
    env.set("BRYO_STORAGE_DRIVER", "copy");
    assert_files_at_rest(&env);
}

/// Upper and work directory on two file systems are refused: one container's trouble, which the next one has not.
#[test]
fn a_copy_takes_over_from_a_refused_overlay_for_that_container_alone() {
    let env = test_env!();
    let script = format!(
        "set -e; mount --bind /dev/null /dev/fuse; bryo() {{ {bryo} \"$@\"; }}
         bryo load -q -i {image}
         id=$(bryo create --name box --network none busybox sh -c 'rm /etc/group; ls /etc')
         mount -t tmpfs none {store}/containers/$id/work
         bryo start -a box; bryo inspect --format '{{{{.GraphDriver.Name}}}}' box
         umount {store}/containers/$id/work; bryo rm box >/dev/null
         bryo run --rm --network none busybox head -n 1 /proc/mounts; bryo info | grep '^Storage driver'",
        bryo = crate::env::bryo().display(),
        image = env.file("busybox.tar", busybox().docker_archive("busybox:latest")),
        store = env.store().display(),
    );
    let run = env
        .other(
            "unshare",
            &["--user", "--map-root-user", "--mount", "sh", "-c", &script],
        )
        .run()
        .ok();
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(!lines.contains(&"group"), "{run:?}");
    assert!(lines.contains(&"passwd"), "{run:?}");
    assert!(lines.contains(&"copy"), "{run:?}");
    let last = &lines[lines.len() - 2..];
    assert!(last[0].contains(" / overlay "), "{run:?}");
    assert!(last[1].starts_with("Storage driver: overlay"), "{run:?}");
}
