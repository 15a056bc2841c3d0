//! `--userns` and the id maps: who a container's ids are outside, and what its files and volumes look like inside.

use std::os::unix::fs::MetadataExt;

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::process::Outcome;
use crate::spellings::WAYS;

const START: [&str; 4] = ["run", "--rm", "--network", "none"];

fn run(env: &TestEnv, flags: &[&str], script: &str) -> Outcome {
    env.run(&[&START, flags, &["busybox", "sh", "-c", script]].concat())
}

fn out(env: &TestEnv, flags: &[&str], script: &str) -> String {
    run(env, flags, script).ok().out()
}

fn own_ids() -> (u32, u32) {
    (
        nix::unistd::getuid().as_raw(),
        nix::unistd::getgid().as_raw(),
    )
}

/// Files of root and of user 1000 as the image has them.
const OWNERS: &str = "stat -c %u:%g /bin/busybox /home/app; id -u; id -g";

#[test]
fn userns_host_is_the_home_namespace() {
    let env = test_env!();
    need!(Need::SubordinateIds);
    env.busybox();
    env.run(&[
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "other",
        "busybox",
        "sleep",
        "1000",
    ])
    .ok();
    let pid = env.out(&["inspect", "-f", "{{.State.Pid}}", "other"]);
    let nested =
        std::fs::read_link(format!("/proc/{pid}/ns/user")).map(|l| l.display().to_string());
    for way in WAYS {
        let own = way.out(
            &env,
            &[
                "--userns",
                "host",
                "busybox",
                "readlink",
                "/proc/self/ns/user",
            ],
        );
        // That of the other container's parent, which every one of them shares.
        assert_ne!(Some(&own), nested.as_ref().ok(), "{way:?}");
        let again = way.out(
            &env,
            &["--userns=host", "busybox", "readlink", "/proc/self/ns/user"],
        );
        assert_eq!(own, again, "{way:?}");
    }
    let format = "{{.HostConfig.UsernsMode}}";
    let id = env.out(&["create", "--userns", "host", "busybox"]);
    assert_eq!(env.out(&["inspect", "-f", format, &id]), "host");
    assert_eq!(
        out(&env, &["--userns", "host"], OWNERS),
        "0:0\n1000:1000\n0\n0"
    );
    env.run(&["create", "--userns", "host", "--pid", "host", "busybox"])
        .fails(
            1,
            "--userns host would let the container's root reach every process",
        );
    run(&env, &["--userns", "host", "--privileged"], "true")
        .ok()
        .says("with --userns host the container's root has its capabilities");
}

#[test]
fn keep_id_is_the_user_inside_and_out() {
    let env = test_env!();
    need!(
        Need::SubordinateIds,
        Need::Program("fuse-overlayfs"),
        Need::Device("/dev/fuse")
    );
    env.busybox();
    let (uid, gid) = own_ids();
    let shared = env.path("home/shared");
    std::fs::create_dir(&shared).expect("home is writable");
    let volume = format!("{}:/shared", shared.display());
    let flags = ["--userns", "keep-id", "-v", &volume];
    let seen = out(
        &env,
        &flags,
        &format!("{OWNERS}; touch /shared/mine; stat -c %u:%g /shared/mine"),
    );
    assert_eq!(seen, format!("0:0\n1000:1000\n{uid}\n{gid}\n{uid}:{gid}"));
    let made = std::fs::metadata(shared.join("mine")).expect("it was made");
    assert_eq!((made.uid(), made.gid()), (uid, gid));
    // Another number for the user, and another user.
    let flags = ["--userns", "keep-id:uid=7,gid=8", "-v", &volume];
    let script = "id -u; id -g; stat -c %u:%g /shared/mine /bin/busybox";
    assert_eq!(out(&env, &flags, script), "7\n8\n7:8\n0:0");
    let root = ["--userns", "keep-id", "-u", "0", "-v", &volume];
    let script = "id -u; touch /shared/roots /new; chown 33:33 /new; stat -c %u:%g /new";
    assert_eq!(out(&env, &root, script), "0\n33:33");
    let made = std::fs::metadata(shared.join("roots")).expect("it was made");
    assert_ne!(made.uid(), uid, "root inside is a subordinate id outside");
    // With a terminal, whose device is the user's.
    let tty = env.run(
        &[
            &START[..],
            &[
                "-t",
                "--userns",
                "keep-id",
                "busybox",
                "stat",
                "-c",
                "%u",
                "/dev/pts/0",
            ],
        ]
        .concat(),
    );
    assert_eq!(tty.ok().out().trim(), uid.to_string());
    let devices = out(
        &env,
        &["--userns", "keep-id"],
        "echo x > /dev/null; echo y > /dev/stdout; stat -c %u /dev/fd /dev /dev/shm",
    );
    assert_eq!(devices, "y\n0\n0\n0");
}

#[test]
fn a_container_keeps_its_files_over_a_restart_with_keep_id() {
    let env = test_env!();
    need!(
        Need::SubordinateIds,
        Need::Program("fuse-overlayfs"),
        Need::Device("/dev/fuse")
    );
    env.busybox();
    let script = "test -e /tmp/x && stat -c %u:%g /tmp/x; touch /tmp/x";
    let id = env.out(&[
        "create",
        "--network",
        "none",
        "--userns",
        "keep-id:uid=5,gid=6",
        "busybox",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(env.out(&["start", "-a", &id]), "");
    assert_eq!(env.out(&["start", "-a", &id]), "5:6");
    env.run(&["rm", &id]).ok();
}

#[test]
fn nomap_auto_and_explicit_maps_leave_the_user_out() {
    let env = test_env!();
    need!(
        Need::SubordinateIds,
        Need::Program("fuse-overlayfs"),
        Need::Device("/dev/fuse")
    );
    env.busybox();
    env.file("shared/file", "from outside\n");
    let volume = format!("{}:/shared", env.path("home/shared").display());
    let script = format!(
        "{OWNERS}; stat -c %u /shared/file; cat /shared/file /etc/hostname; echo y > /dev/stdout; cat /proc/self/uid_map"
    );
    for (flags, map) in [
        (&["--userns", "nomap"][..], "0 1 65536"),
        (&["--userns", "auto"], "0 1 1024"),
        (&["--userns=auto:size=2000"], "0 1 2000"),
        (&["--uidmap", "0:10:2000"], "0 10 2000"),
        (&["--gidmap", "0:10:2000"], "0 10 2000"),
    ] {
        let all = [flags, &["-v", &volume, "-h", "named"]].concat();
        let seen = out(&env, &all, &script);
        let lines: Vec<&str> = seen.lines().collect();
        let expected = [
            "0:0",
            "1000:1000",
            "0",
            "0",
            "65534",
            "from outside",
            "named",
            "y",
        ];
        assert_eq!(lines[..8], expected, "{flags:?}");
        let seen: Vec<&str> = lines[8].split_whitespace().collect();
        // The map as the container sees it: its parent's numbers are out of its sight, but not its lines.
        assert_eq!(seen[0], "0", "{flags:?}");
        let last = map.rsplit(' ').next().expect("a map has three numbers");
        assert_eq!(seen[2], last, "{flags:?}");
    }
    // Terminals of a container that has no group for them.
    for flags in [["--uidmap", "0:1"], ["--userns", "auto:size=2"]] {
        let seen = out(&env, &[&["-t"][..], &flags].concat(), "tty");
        assert_eq!(seen.trim_end(), "/dev/pts/0");
    }
    run(&env, &["--uidmap", "0:0:1", "--uidmap", "0:5:1"], "true")
        .fails(125, "id 0 is mapped twice");
    run(&env, &["--uidmap", "5:1:10"], "true").fails(125, "id 0 is not mapped");
    run(&env, &["--uidmap", "0:1:99999999"], "true").fails(125, "is not one of the user's");
    run(&env, &["--uidmap", "0:1:1", "--userns", "host"], "true")
        .fails(125, "--uidmap and --gidmap with another --userns");
    run(&env, &["--userns", "nonsense"], "true").fails(125, "unknown mode \"nonsense\"");
}

#[test]
fn two_containers_of_auto_share_no_id() {
    let env = test_env!();
    need!(
        Need::SubordinateIds,
        Need::Program("fuse-overlayfs"),
        Need::Device("/dev/fuse")
    );
    env.busybox();
    let owner = || {
        let flags = ["run", "-d", "--network", "none", "--userns", "auto"];
        let id = env.out(&[&flags[..], &["busybox", "sleep", "1000"]].concat());
        let pid = env.out(&["inspect", "-f", "{{.State.Pid}}", &id]);
        std::fs::metadata(format!("/proc/{pid}"))
            .expect("it runs")
            .uid()
    };
    let (one, other) = (owner(), owner());
    assert_eq!(other - one, 1024);
    assert_ne!(one, own_ids().0);
}

#[test]
fn without_fuse_shifted_ids_are_refused_with_the_reason() {
    let env = test_env!();
    need!(Need::SubordinateIds, Need::Program("fuse-overlayfs"));
    env.busybox();
    let run = env.lacking(
        &["fuse-overlayfs"],
        "$BRYO run --rm --network none --userns keep-id:uid=5 busybox true",
    );
    run.fails(125, "--userns keep-id:uid=5 needs fuse-overlayfs")
        .says("fuse-overlayfs is not installed");
}
