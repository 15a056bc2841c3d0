//! What a payload finds around it: variables, working directory, hostname, limits, signal dispositions.

use serde_json::json;

use crate::env::{shared_env, test_env};
use crate::image;

#[test]
fn only_dockers_variables_are_there() {
    let mut env = test_env!();
    env.set("SECRET_OF_THE_HOST", "do not leak");
    env.busybox();
    let out = env.out(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--hostname",
        "here",
        "busybox",
        "env",
    ]);
    let mut names: Vec<&str> = out
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["HOME", "HOSTNAME", "PATH"], "{out}");
    assert!(
        out.contains("HOME=/root") && out.contains("HOSTNAME=here"),
        "{out}"
    );
}

#[test]
fn variables_come_from_flags_files_and_the_host_when_asked() {
    let mut env = shared_env!();
    env.set("HOSTS_OWN", "taken over");
    env.busybox();
    let file = env.file(
        "vars",
        "# a comment\nFROM_FILE=a value with spaces\nHOSTS_OWN\nNOT_SET_ANYWHERE\n\n",
    );
    let out = env.out(&[
        "run",
        "--rm",
        "--network",
        "none",
        "-e",
        "GIVEN=1",
        "-e",
        "EMPTY=",
        "-e",
        "UNSET_ON_THE_HOST",
        "--env-file",
        &file,
        "busybox",
        "env",
    ]);
    let has = |line: &str| out.lines().any(|found| found == line);
    assert!(
        has("GIVEN=1")
            && has("EMPTY=")
            && has("FROM_FILE=a value with spaces")
            && has("HOSTS_OWN=taken over"),
        "{out}"
    );
    assert!(
        !out.contains("NOT_SET_ANYWHERE") && !out.contains("UNSET_ON_THE_HOST"),
        "{out}"
    );
}

#[test]
fn malformed_variables_of_an_image_bring_nothing_of_the_host_in() {
    // CVE-2026-57231
    let mut env = test_env!();
    env.set("SECRET", "do not leak");
    let image = image::busybox().configured(
        "Env",
        json!(["PATH=/bin", "SECRET", "SEC*", "*", "=x", "GOOD=yes"]),
    );
    env.load(&image.docker_archive("globs:latest"));
    let out = env.out(&["run", "--rm", "--network", "none", "globs", "env"]);
    assert!(
        !out.contains("do not leak") && out.contains("GOOD=yes"),
        "{out}"
    );
}

#[test]
fn the_working_directory_is_the_images_the_flags_or_the_root() {
    let env = shared_env!();
    env.busybox();
    let run =
        |arguments: &[&str]| env.out(&[&["run", "--rm", "--network", "none"], arguments].concat());
    assert_eq!(run(&["busybox", "pwd"]), "/");
    assert_eq!(run(&["-w", "/tmp", "busybox", "pwd"]), "/tmp");
    env.load(
        &image::busybox()
            .configured("WorkingDir", json!("/var/made/here"))
            .docker_archive("works:latest"),
    );
    assert_eq!(run(&["works", "pwd"]), "/var/made/here");
    env.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "-w",
        "relative",
        "busybox",
        "pwd",
    ])
    .code(125);
}

#[test]
fn a_hostname_is_the_short_id_unless_given() {
    let env = shared_env!();
    env.busybox();
    env.run(&[
        "run",
        "--network",
        "none",
        "--name",
        "host",
        "busybox",
        "hostname",
    ])
    .ok();
    let id = env.out(&["inspect", "--format", "{{.Id}}", "host"]);
    assert_eq!(env.out(&["logs", "host"]), id[..12]);
    assert_eq!(
        env.out(&[
            "run",
            "--rm",
            "--network",
            "none",
            "-h",
            "mine",
            "busybox",
            "hostname"
        ]),
        "mine"
    );
}

#[test]
fn the_program_begins_with_default_signals_an_empty_mask_and_umask_022() {
    let env = shared_env!();
    env.busybox();
    let out = env.out(&[
        "run",
        "--rm",
        "--network",
        "none",
        "busybox",
        "sh",
        "-c",
        "grep -E '^Sig(Blk|Ign)' /proc/self/status; umask",
    ]);
    let words: Vec<&str> = out.split_whitespace().collect();
    assert_eq!(
        words,
        [
            "SigBlk:",
            "0000000000000000",
            "SigIgn:",
            "0000000000000000",
            "0022"
        ]
    );
}

#[test]
fn ulimits_and_sysctls_are_applied() {
    let env = test_env!();
    env.busybox();
    let out = env.out(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--ulimit",
        "nofile=123:456",
        "--ulimit",
        "core=0",
        "--sysctl",
        "net.ipv4.ip_unprivileged_port_start=77",
        "busybox",
        "sh",
        "-c",
        "ulimit -Sn; ulimit -Hn; ulimit -c; cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
    ]);
    assert_eq!(
        out.split_whitespace().collect::<Vec<_>>(),
        ["123", "456", "0", "77"]
    );
    env.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--sysctl",
        "kernel.panic=1",
        "busybox",
        "true",
    ])
    .fails(125, "kernel.panic");
}

#[test]
fn shared_memory_has_the_size_asked_for() {
    let env = shared_env!();
    env.busybox();
    let size = |arguments: &[&str]| {
        let tail = ["busybox", "sh", "-c", "df -k /dev/shm | tail -n 1"];
        let out = env.out(&[&["run", "--rm", "--network", "none"], arguments, &tail].concat());
        out.split_whitespace().nth(1).map(str::to_owned)
    };
    assert_eq!(size(&[]).as_deref(), Some("65536"));
    assert_eq!(size(&["--shm-size", "8m"]).as_deref(), Some("8192"));
}

#[test]
fn hosts_hostname_and_resolv_conf_are_dockers() {
    let env = test_env!();
    env.busybox();
    let out = env.out(&[
        "run",
        "--rm",
        "--network",
        "none",
        "-h",
        "here",
        "busybox",
        "cat",
        "/etc/hosts",
        "/etc/hostname",
    ]);
    assert!(
        out.contains("127.0.0.1\tlocalhost")
            && out.contains("::1\tlocalhost ip6-localhost ip6-loopback"),
        "{out}"
    );
    assert!(out.lines().last() == Some("here"), "{out}");
    env.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "busybox",
        "cat",
        "/etc/resolv.conf",
    ])
    .ok();
}
