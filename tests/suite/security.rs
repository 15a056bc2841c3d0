//! What a payload may do: capabilities, seccomp, `no_new_privs`, masked paths, devices, descriptors.

use std::collections::BTreeMap;

use crate::env::{TestEnv, count, shared_env, test_env};
use crate::image::{self, Layer, busybox};
use crate::need::{Need, fixture, need};

const RUN: [&str; 4] = ["run", "--rm", "--network", "none"];

/// Docker's default set of fourteen, as a mask.
const DEFAULT_CAPABILITIES: &str = "00000000a80425fb";

fn status(env: &TestEnv, flags: &[&str]) -> BTreeMap<String, String> {
    let out = env.out(&[&RUN[..], flags, &["busybox", "cat", "/proc/self/status"]].concat());
    let pairs = out.lines().filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

#[test]
fn capabilities_seccomp_and_no_new_privs_are_dockers() {
    let env = test_env!();
    env.busybox();
    let status = status(&env, &[]);
    for name in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(status[name], DEFAULT_CAPABILITIES, "{name}");
    }
    for name in ["CapInh", "CapAmb"] {
        assert_eq!(status[name], "0000000000000000", "{name}");
    }
    assert_eq!(
        (status["Seccomp"].as_str(), status["NoNewPrivs"].as_str()),
        ("2", "0")
    );
}

#[test]
fn a_user_that_is_not_root_has_no_capabilities_but_the_bounding_set() {
    let env = test_env!();
    env.busybox();
    let status = status(&env, &["-u", "1000"]);
    assert_eq!(
        (status["CapEff"].as_str(), status["CapPrm"].as_str()),
        ("0000000000000000", "0000000000000000")
    );
    assert_eq!(
        (status["CapInh"].as_str(), status["CapBnd"].as_str()),
        ("0000000000000000", DEFAULT_CAPABILITIES)
    );
}

#[test]
fn capabilities_are_added_and_dropped_as_asked() {
    let env = shared_env!();
    env.busybox();
    let effective = |flags: &[&str]| status(&env, flags)["CapEff"].clone();
    assert_eq!(effective(&["--cap-drop", "ALL"]), "0000000000000000");
    assert_eq!(
        effective(&["--cap-drop", "ALL", "--cap-add", "CHOWN"]),
        "0000000000000001"
    );
    assert_eq!(
        effective(&["--cap-drop", "all", "--cap-add", "cap_net_bind_service"]),
        "0000000000000400"
    );
    env.run(&[&RUN[..], &["--cap-add", "NO_SUCH_CAP", "busybox", "true"]].concat())
        .code(125)
        .says("NO_SUCH_CAP");
}

#[test]
fn security_options_are_applied() {
    let env = shared_env!();
    env.busybox();
    assert_eq!(
        status(&env, &["--security-opt", "no-new-privileges"])["NoNewPrivs"],
        "1"
    );
    assert_eq!(
        status(&env, &["--security-opt", "seccomp=unconfined"])["Seccomp"],
        "0"
    );
    assert_eq!(status(&env, &["--privileged"])["Seccomp"], "0");
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":38}]}"#;
    let file = env.file("profile.json", profile);
    let option = format!("seccomp={file}");
    let run = env
        .run(
            &[
                &RUN[..],
                &["--security-opt", &option, "busybox", "mkdir", "/x"],
            ]
            .concat(),
        )
        .code(1);
    run.says("Function not implemented");
    env.run(
        &[
            &RUN[..],
            &["--security-opt", "nonsense=1", "busybox", "true"],
        ]
        .concat(),
    )
    .code(125);
}

#[test]
fn forbidden_calls_are_refused_by_the_default_profile() {
    let env = shared_env!();
    env.busybox();
    for (what, script) in [
        ("unshare a user namespace", "unshare -U true"),
        ("unshare a mount namespace", "unshare -m true"),
        ("mount", "mount -t tmpfs none /tmp"),
        ("unmount", "umount /proc"),
        ("make a device of the host", "mknod /x b 8 0 && cat /x"),
        // busybox reports this failure on stderr alone.
        (
            "set the clock",
            "date -s 2000-01-01 2>&1 | grep -q 'not permitted' && exit 1",
        ),
        ("change a sysctl", "echo 1 > /proc/sys/kernel/panic"),
        ("trigger sysrq", "echo b > /proc/sysrq-trigger"),
        ("write to sysfs", "echo x > /sys/kernel/uevent_helper"),
    ] {
        let run = env.run(&[&RUN[..], &["busybox", "sh", "-c", script]].concat());
        assert_ne!(run.code, 0, "{what} was allowed: {run:?}");
    }
}

/// `linux/errno.h`
const EPERM: &str = "1";
const ENOSYS: &str = "38";

#[test]
fn thirty_forbidden_calls_fail_and_thirty_allowed_ones_do_not() {
    need!(Need::Fixture("syscalls"));
    let env = test_env!();
    let program = std::fs::read(fixture("syscalls")).expect("it is a file");
    let image = busybox().with(&Layer::new().file("syscalls", 0o755, program));
    env.load(&image.docker_archive("tries:latest"));
    let out = env.out(&[&RUN[..], &["tries", "/syscalls"]].concat());
    let errno_of = |word: &'static str| -> Vec<(String, String)> {
        let lines = out.lines().filter_map(move |line| line.strip_prefix(word));
        let pairs = lines.filter_map(|line| line.trim().split_once('='));
        pairs
            .map(|(name, errno)| (name.to_owned(), errno.to_owned()))
            .collect()
    };
    let (forbidden, allowed) = (errno_of("forbidden "), errno_of("allowed "));
    assert!(forbidden.len() >= 30 && allowed.len() >= 30, "{out}");
    for (name, errno) in forbidden {
        let expected = if name == "clone3" { ENOSYS } else { EPERM };
        assert_eq!(errno, expected, "{name}");
    }
    for (name, errno) in allowed {
        assert!(
            errno != EPERM && errno != ENOSYS,
            "{name} failed with {errno}"
        );
    }
}

#[test]
fn masked_paths_are_empty_and_read_only_paths_refuse_writing() {
    let env = shared_env!();
    env.busybox();
    for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list"] {
        let script = format!("[ ! -e {path} ] || [ -z \"$(head -c 1 {path} 2>/dev/null)\" ]");
        env.run(&[&RUN[..], &["busybox", "sh", "-c", &script]].concat())
            .ok();
    }
    let masks =
        "for f in /proc/kcore /proc/keys; do [ ! -e $f ] || stat -c '%t:%T' $f; done | sort -u";
    let devices = env.out(&[&RUN[..], &["busybox", "sh", "-c", masks]].concat());
    assert!(devices.is_empty() || devices == "1:3", "{devices}");
    for path in ["/proc/sys", "/proc/bus", "/proc/fs", "/proc/irq", "/sys"] {
        let script = format!("[ ! -d {path} ] || ! touch {path}/x 2>/dev/null");
        env.run(&[&RUN[..], &["busybox", "sh", "-c", &script]].concat())
            .ok();
    }
}

#[test]
fn the_device_directory_holds_dockers_devices_and_no_others() {
    let env = test_env!();
    env.busybox();
    let out = env.out(&[&RUN[..], &["busybox", "ls", "/dev"]].concat());
    let devices: Vec<&str> = out.split_whitespace().collect();
    assert_eq!(
        devices,
        [
            "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr",
            "stdin", "stdout", "tty", "urandom", "zero"
        ]
    );
    env.run(
        &[
            &RUN[..],
            &[
                "busybox",
                "sh",
                "-c",
                "echo x > /dev/null && head -c 1 /dev/urandom | wc -c",
            ],
        ]
        .concat(),
    )
    .ok()
    .prints("1");
}

#[test]
fn no_descriptor_beyond_the_standard_three_is_inherited() {
    // CVE-2016-9962, CVE-2024-21626
    let env = shared_env!();
    env.busybox();
    for flags in [&[][..], &["-i"], &["--init"]] {
        // ls itself has the directory open as 3.
        let out = env.out(&[&RUN[..], flags, &["busybox", "ls", "/proc/self/fd"]].concat());
        assert_eq!(
            out.split_whitespace().collect::<Vec<_>>(),
            ["0", "1", "2", "3"],
            "{flags:?}"
        );
    }
}

#[test]
fn a_working_directory_reached_through_a_descriptor_is_refused() {
    // CVE-2024-21626
    let env = test_env!();
    env.busybox();
    for number in 3..count(16, 65) {
        let directory = format!("/proc/self/fd/{number}");
        let run = env.run(&[&RUN[..], &["-w", &directory, "busybox", "ls", "../../.."]].concat());
        assert_ne!(run.code, 0, "{directory}: {run:?}");
    }
}

#[test]
fn no_process_in_a_container_has_the_engine_as_its_program() {
    // CVE-2019-5736
    let env = test_env!();
    env.busybox();
    let script = "for p in /proc/[0-9]*; do readlink $p/exe; done | sort -u";
    let out = env.out(&[&RUN[..], &["--init", "busybox", "sh", "-c", script]].concat());
    assert!(!out.contains("bryo ") && !out.ends_with("/bryo"), "{out}");
}

#[test]
fn an_image_that_executes_its_loader_leaves_the_engine_unchanged() {
    // CVE-2019-5736: a script whose interpreter is the entering process itself, run with an engine that the user owns.
    let env = test_env!();
    let own = env.path("home/bryo");
    std::fs::copy(crate::env::bryo(), &own).expect("home is writable");
    let before = image::digest(&std::fs::read(&own).expect("it was just copied"));
    let attack = "#!/bin/sh\nfor p in /proc/[0-9]*; do ( : > $p/exe ) 2>/dev/null; echo attack > $p/exe; done 2>/dev/null\nexit 0\n";
    let layer = Layer::new()
        .file("self", 0o755, "#!/proc/self/exe\n")
        .file("attack", 0o755, attack);
    env.load(
        &image::busybox()
            .with(&layer)
            .docker_archive("attack:latest"),
    );
    for program in ["/self", "/attack"] {
        env.other(
            own.to_str().expect("UTF-8"),
            &[&RUN[..], &["attack", program]].concat(),
        )
        .run();
    }
    assert_eq!(
        before,
        image::digest(&std::fs::read(&own).expect("it is still there"))
    );
}

#[test]
fn no_socket_of_the_engine_is_in_the_abstract_namespace() {
    // CVE-2020-15257
    let env = test_env!();
    env.busybox();
    env.run(&[
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "listens",
        "busybox",
        "sleep",
        "1000",
    ])
    .ok();
    let sockets = std::fs::read_to_string("/proc/net/unix").expect("/proc is mounted");
    let ours: Vec<&str> = sockets
        .lines()
        .filter(|line| line.contains('@') && line.contains("bryo"))
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
}

#[test]
fn the_store_is_closed_to_other_users() {
    // CVE-2021-41091
    use std::os::unix::fs::PermissionsExt;
    let env = test_env!();
    let line = format!("umask 000; {} run --rm hello", crate::env::bryo().display());
    env.other("sh", &["-c", &line]).run().ok();
    let mode = std::fs::metadata(env.store())
        .expect("the store was made")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}
