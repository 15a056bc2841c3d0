//! What containers do not see of each other and of the host.

use crate::env::{shared_env, test_env};

const RUN: [&str; 4] = ["run", "--rm", "--network", "none"];

#[test]
fn a_container_sees_only_its_own_processes_and_hostname() {
    let env = shared_env!();
    env.busybox();
    let script = "ls -d /proc/[0-9]* | wc -l; hostname changed && hostname";
    let out = env.run(&[&RUN[..], &["busybox", "sh", "-c", script]].concat());
    let processes: usize = out
        .stdout
        .lines()
        .next()
        .and_then(|line| line.parse().ok())
        .expect("a number");
    // The shell, ls and wc.
    assert!(processes <= 4, "{out:?}");
}

#[test]
fn network_none_has_the_loopback_alone_and_it_is_up() {
    let env = shared_env!();
    env.busybox();
    let script = "ls /sys/class/net; ip addr show lo | grep -c 'inet 127.0.0.1/8'; ping -c 1 -W 1 127.0.0.1 >/dev/null && echo up";
    assert_eq!(
        env.out(&[&RUN[..], &["busybox", "sh", "-c", script]].concat()),
        "lo\n1\nup"
    );
}

#[test]
fn network_host_is_the_callers() {
    let env = shared_env!();
    env.busybox();
    let outside = std::fs::read_link("/proc/self/ns/net").expect("/proc is mounted");
    let inside = env.out(&[
        "run",
        "--rm",
        "--network",
        "host",
        "busybox",
        "readlink",
        "/proc/self/ns/net",
    ]);
    assert_eq!(outside.to_str(), Some(inside.as_str()));
}

#[test]
fn layers_of_an_image_are_never_changed_by_its_containers() {
    let env = test_env!();
    env.busybox();
    let listing = || {
        let layers = env.store().join("layers");
        let script = format!(
            "cd {} && find . -type f ! -name '*.json' -exec md5sum {{}} + | sort",
            layers.display()
        );
        env.other("sh", &["-c", &script]).run().ok().stdout
    };
    let before = listing();
    assert!(!before.is_empty());
    let script = "echo changed > /etc/passwd; rm -rf /home /bin/busybox; mv /etc/group /etc/moved; mkdir /bin/new";
    env.run(&[&RUN[..], &["busybox", "sh", "-c", script]].concat());
    assert_eq!(before, listing());
}
