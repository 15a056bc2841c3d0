//! `stats`: figures, formats, what is redrawn.

use serde_json::Value;

use crate::env::{TestEnv, test_env};
use crate::process::eventually;
use crate::spellings::ask;

const NONE: [&str; 2] = ["--network", "none"];

fn start(env: &TestEnv, name: &str, program: &[&str]) -> String {
    let fixed = ["run", "-d", NONE[0], NONE[1], "--name", name, "busybox"];
    env.out(&[&fixed, program].concat())
}

fn bytes(text: &str) -> f64 {
    let end = text
        .find(|c: char| c.is_ascii_alphabetic())
        .expect("a unit");
    let (number, unit) = text.split_at(end);
    let scale = match unit {
        "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        other => panic!("{other}"),
    };
    number.parse::<f64>().expect("a number") * scale
}

#[test]
fn stats_show_dockers_columns_and_figures() {
    let env = test_env!();
    env.busybox();
    let busy = "head -c 20000000 /dev/zero > /dev/shm/x; echo ready; while :; do :; done";
    let id = start(&env, "busy", &["sh", "-c", busy]);
    start(&env, "idle", &["sleep", "1000"]);
    eventually("it is busy", || env.out(&["logs", "busy"]) == "ready");
    for command in ["stats", "container stats"] {
        let shown = ask(&env, command, &["--no-stream"]).ok();
        let lines = shown.lines();
        let head: Vec<&str> = lines[0]
            .split("  ")
            .filter(|cell| !cell.is_empty())
            .collect();
        let head: Vec<&str> = head.into_iter().map(str::trim).collect();
        let columns = [
            "CONTAINER ID",
            "NAME",
            "CPU %",
            "MEM USAGE / LIMIT",
            "MEM %",
            "NET I/O",
            "BLOCK I/O",
            "PIDS",
        ];
        assert_eq!(head, columns);
        assert_eq!(lines.len(), 3);
    }
    let row = |name: &str| -> Value {
        let shown = env
            .run(&["stats", "--no-stream", "--format", "json", name])
            .ok();
        serde_json::from_str(&shown.out()).expect("a JSON object")
    };
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let percent = |row: &Value| {
        let text = text(row, "CPUPerc");
        text.trim_end_matches('%').parse::<f64>().expect("a number")
    };
    let (busy, idle) = (row("busy"), row("idle"));
    assert!(percent(&busy) > 5.0, "{busy}");
    assert!(percent(&idle) < 5.0, "{idle}");
    assert_eq!(text(&busy, "ID"), id[..12]);
    assert_eq!(text(&busy, "Name"), "busy");
    assert_eq!(text(&idle, "PIDs"), "1");
    assert_eq!(text(&idle, "NetIO"), "0B / 0B");
    let memory = text(&idle, "MemUsage");
    let (used, limit) = memory.split_once(" / ").expect("two figures");
    assert!(
        bytes(used) > 1000.0 && bytes(used) < bytes(limit),
        "{memory}"
    );
}

#[test]
fn stats_flags_choose() {
    let env = test_env!();
    env.busybox();
    let id = start(&env, "web", &["sleep", "1000"]);
    env.out(&["create", NONE[0], NONE[1], "--name", "made", "busybox"]);
    for command in ["stats", "container stats"] {
        let names = |flags: &[&str]| {
            let words = [&["--no-stream", "--format", "{{.Name}}"], flags].concat();
            let mut names: Vec<String> = ask(&env, command, &words)
                .ok()
                .lines()
                .into_iter()
                .map(str::to_owned)
                .collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(names(&[]), "web");
        for flag in ["-a", "--all"] {
            assert_eq!(names(&[flag]), "made web");
        }
        assert_eq!(names(&["made"]), "made");
        let whole = ask(
            &env,
            command,
            &["--no-stream", "--no-trunc", "--format", "{{.ID}}"],
        );
        assert_eq!(whole.ok().out(), id);
        let table = ask(
            &env,
            command,
            &["--no-stream", "--format", "table {{.Name}}\\t{{.PIDs}}"],
        );
        assert_eq!(table.ok().out(), "NAME      PIDS\nweb       1");
        ask(&env, command, &["--no-stream", "nothing"]).fails(1, "No such container: nothing");
    }
}

#[test]
fn stats_say_what_no_cgroup_counts() {
    let env = test_env!();
    env.busybox();
    start(&env, "web", &["sleep", "1000"]);
    let pid = env.out(&["inspect", "-f", "{{.State.Pid}}", "web"]);
    let group = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let id = env.out(&["inspect", "-f", "{{.Id}}", "web"]);
    let own = group
        .lines()
        .find(|line| line.starts_with("0::") && line.contains(&id));
    let has = |file: &str| {
        own.is_some_and(|line| {
            let path = format!("/sys/fs/cgroup{}/{file}", &line[3..]);
            std::path::Path::new(&path).exists()
        })
    };
    let shown = env.run(&["stats", "--no-stream"]).ok();
    for (what, file) in [("memory", "memory.current"), ("pids", "pids.current")] {
        let said =
            shown.stderr.contains("web: no cgroup counts its") && shown.stderr.contains(what);
        assert_eq!(said, !has(file), "{shown:?}");
    }
}

#[test]
fn stats_on_a_terminal_are_redrawn() {
    let env = test_env!();
    env.busybox();
    start(&env, "web", &["sleep", "1000"]);
    let mut terminal = env.terminal(&["stats"]);
    terminal.expect("\x1b[2J\x1b[H");
    terminal.expect("CONTAINER ID");
    terminal.expect("\x1b[H");
    terminal.expect("\x1b[K");
    terminal.types("\x03");
    assert_eq!(terminal.wait(), 130);
}
