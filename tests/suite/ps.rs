//! `ps`: columns, filters, formats, sizes.

use crate::env::{shared_env, test_env};
use crate::need::{Need, need};

#[test]
fn the_table_has_dockers_columns() {
    let env = test_env!();
    env.busybox();
    assert_eq!(
        env.out(&["ps"]).split_whitespace().collect::<Vec<_>>(),
        [
            "CONTAINER",
            "ID",
            "IMAGE",
            "COMMAND",
            "CREATED",
            "STATUS",
            "PORTS",
            "NAMES"
        ]
    );
    env.run(&[
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "seen",
        "busybox",
        "sleep",
        "1000",
    ])
    .ok();
    let table = env.out(&["ps"]);
    let row = table.lines().nth(1).expect("one container runs");
    assert!(
        row.contains("busybox")
            && row.contains("\"sleep 1000\"")
            && row.contains("Up ")
            && row.ends_with("seen"),
        "{row}"
    );
}

#[test]
fn only_running_containers_are_listed_unless_all_are_asked_for() {
    let env = shared_env!();
    env.busybox();
    env.run(&[
        "run",
        "--network",
        "none",
        "--name",
        "ended",
        "busybox",
        "true",
    ])
    .ok();
    env.run(&[
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "runs",
        "busybox",
        "sleep",
        "1000",
    ])
    .ok();
    assert_eq!(env.out(&["ps", "--format", "{{.Names}}"]), "runs");
    assert_eq!(
        env.out(&["ps", "-a", "--format", "{{.Names}}"])
            .lines()
            .count(),
        2
    );
    assert_eq!(
        env.out(&["ps", "-aq", "--no-trunc"])
            .lines()
            .map(str::len)
            .collect::<Vec<_>>(),
        [64, 64]
    );
    // The latest, whatever its state.
    assert_eq!(env.out(&["ps", "-l", "--format", "{{.Names}}"]), "runs");
    assert_eq!(
        env.out(&["ps", "-n", "1", "--format", "{{.Names}}"]),
        "runs"
    );
}

#[test]
fn filters_choose_by_status_name_ancestor_and_exit_code() {
    let env = shared_env!();
    env.busybox();
    env.run(&[
        "run",
        "--network",
        "none",
        "--name",
        "three",
        "busybox",
        "sh",
        "-c",
        "exit 3",
    ])
    .code(3);
    env.run(&["create", "--network", "none", "--name", "fresh", "busybox"])
        .ok();
    env.run(&[
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "runs",
        "busybox",
        "sleep",
        "1000",
    ])
    .ok();
    let names = |filter: &str| {
        let out = env.out(&["ps", "-a", "--filter", filter, "--format", "{{.Names}}"]);
        let mut names: Vec<String> = out.lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    assert_eq!(names("status=exited"), ["three"]);
    assert_eq!(names("status=created"), ["fresh"]);
    assert_eq!(names("status=running"), ["runs"]);
    assert_eq!(names("name=fr"), ["fresh"]);
    assert_eq!(names("exited=3"), ["three"]);
    assert_eq!(names("ancestor=busybox"), ["fresh", "runs", "three"]);
    assert_ne!(env.run(&["ps", "--filter", "colour=green"]).code, 0);
}

#[test]
fn json_is_one_object_per_line() {
    let env = test_env!();
    env.busybox();
    env.run(&["create", "--name", "one", "busybox"]).ok();
    env.run(&["create", "--name", "two", "busybox"]).ok();
    let out = env.out(&["ps", "-a", "--format", "json"]);
    let names: Vec<String> = out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a JSON object"))
        .map(|row| row["Names"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(names, ["two", "one"]);
}

#[test]
fn sizes_are_the_layers_bytes_and_with_the_image_virtual() {
    let env = test_env!();
    env.busybox();
    env.run(&[
        "run",
        "--network",
        "none",
        "busybox",
        "dd",
        "if=/dev/zero",
        "of=/file",
        "bs=1000",
        "count=500",
    ])
    .ok();
    let row = env.out(&["ps", "-as", "--format", "{{.Size}}"]);
    assert!(
        row.starts_with("500kB (virtual ") && row.ends_with("MB)"),
        "{row}"
    );
}

#[test]
fn removing_everything_by_the_ids_of_ps_works() {
    let env = shared_env!();
    env.busybox();
    for _ in 0..3 {
        env.run(&["create", "busybox"]).ok();
    }
    let ids = env.out(&["ps", "--no-trunc", "-aq"]);
    let arguments: Vec<&str> = ["rm"].into_iter().chain(ids.lines()).collect();
    assert_eq!(env.run(&arguments).ok().lines().len(), 3);
    assert_eq!(env.out(&["ps", "-aq"]), "");
}

/// What a list costs is what it opens for each container: by a short way, and nothing that its columns do not need.
#[test]
fn a_running_container_costs_a_list_four_files() {
    let env = test_env!();
    need!(Need::Program("strace"));
    env.busybox();
    for name in ["one", "two"] {
        let flags = ["run", "-d", "--network", "none", "--name", name];
        env.run(&[&flags[..], &["busybox", "sleep", "1000"]].concat())
            .ok();
    }
    let trace = env.path("trace");
    let trace_name = trace.to_str().expect("test paths are UTF-8");
    let program = crate::env::bryo().display().to_string();
    let line = ["-o", trace_name, "-e", "trace=open,openat", &program, "ps"];
    env.other("strace", &line).run().ok();
    let trace = std::fs::read_to_string(trace).expect("strace wrote it");
    for id in env.containers() {
        let opened: Vec<&str> = trace.lines().filter(|line| line.contains(&id)).collect();
        assert!((1..=4).contains(&opened.len()), "{opened:#?}");
        for line in opened {
            assert!(line.contains(&format!(", \"{id}/")), "{line}");
        }
    }
}

#[test]
fn published_ports_are_exposed_and_containers_are_found_by_them() {
    let env = test_env!();
    env.busybox();
    let ports = [
        "-p",
        "8080:80",
        "-p",
        "5000-5002:6000-6002/udp",
        "--expose",
        "90",
    ];
    env.run(&[&["create", "--name", "web"], &ports[..], &["busybox"]].concat())
        .ok();
    env.run(&["create", "--name", "other", "busybox"]).ok();
    let exposed = env.out(&["inspect", "-f", "{{json .Config.ExposedPorts}}", "web"]);
    assert_eq!(
        exposed,
        r#"{"6000/udp":{},"6001/udp":{},"6002/udp":{},"80/tcp":{},"90/tcp":{}}"#
    );
    for (filter, found) in [
        ("publish=80", "web"),
        ("publish=8080/tcp", "web"),
        ("publish=70-81", "web"),
        ("publish=6001/udp", "web"),
        ("publish=5001/udp", "web"),
        ("publish=6001", ""),
        ("publish=90", ""),
        ("expose=90", "web"),
        ("expose=80-100", "web"),
        ("expose=6000-6010/udp", "web"),
        ("expose=8081", ""),
    ] {
        let listed = env.out(&["ps", "-a", "--format", "{{.Names}}", "-f", filter]);
        assert_eq!(listed, found, "{filter}");
    }
    let refused = env.run(&["ps", "-f", "publish=http"]);
    refused.fails(1, "invalid filter 'publish=http'");
}
