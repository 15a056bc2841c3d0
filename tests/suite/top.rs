//! `top`: columns, options of ps, podman's words.

use std::collections::BTreeSet;

use crate::env::{TestEnv, test_env};
use crate::process::eventually;
use crate::spellings::ask;

fn start(env: &TestEnv, name: &str, flags: &[&str], script: &str) {
    let fixed = ["run", "-d", "--network", "none", "--name", name];
    let program = ["busybox", "sh", "-c", script];
    env.run(&[&fixed, flags, &program].concat()).ok();
}

fn table(env: &TestEnv, words: &[&str]) -> Vec<Vec<String>> {
    let shown = env.run(&[&["top"], words].concat()).ok();
    let lines = shown.lines();
    let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    lines.into_iter().map(cells).collect()
}

#[test]
fn top_shows_dockers_columns() {
    let env = test_env!();
    env.busybox();
    start(&env, "web", &[], "sleep 1000 & wait");
    eventually("the child", || table(&env, &["web"]).len() == 3);
    for command in ["top", "container top"] {
        let shown = ask(&env, command, &["web"]).ok();
        let lines = shown.lines();
        let head: Vec<&str> = lines[0].split_whitespace().collect();
        let columns = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"];
        assert_eq!(head, columns);
        // Docker's columns are twenty wide, and say who it is inside and which process it is outside.
        assert!(lines[1].starts_with("root                "), "{lines:?}");
        let pid = env.out(&["inspect", "-f", "{{.State.Pid}}", "web"]);
        let cells: Vec<&str> = lines[1].split_whitespace().collect();
        assert_eq!(cells[1], pid);
        assert!(lines[1].ends_with("sh -c sleep 1000 & wait"), "{lines:?}");
        let child: Vec<&str> = lines[2].split_whitespace().collect();
        assert_eq!(child[2], pid);
        assert!(
            lines[2].ends_with("00:00:00            sleep 1000"),
            "{lines:?}"
        );
    }
    env.run(&["top", "nothing"])
        .fails(1, "No such container: nothing");
    env.run(&["kill", "web"]).ok();
    env.run(&["wait", "web"]).ok();
    env.run(&["top", "web"])
        .fails(1, "container web is not running");
}

#[test]
fn options_of_ps_and_podmans_words_choose_the_columns() {
    let env = test_env!();
    env.busybox();
    start(&env, "web", &["--user", "7:8"], "sleep 1000 & wait");
    eventually("the child", || table(&env, &["web"]).len() == 3);
    let words = table(&env, &["web", "pid", "ppid", "user", "comm"]);
    assert_eq!(words[0], ["PID", "PPID", "USER", "COMMAND"]);
    assert_eq!(words[1][..2], ["1", "0"]);
    assert_eq!(words[2][1], "1");
    assert_eq!(words[2][3], "sleep");
    let host = table(&env, &["web", "hpid,huser,group"]);
    let pid = env.out(&["inspect", "-f", "{{.State.Pid}}", "web"]);
    assert_eq!(host[1][0], pid);
    assert_eq!(
        table(&env, &["web", "-o", "pid="]).concat(),
        [host[1][0].as_str(), &host[2][0]]
    );
    let user = table(&env, &["web", "aux"]);
    assert_eq!(user[0][..4], ["USER", "PID", "%CPU", "%MEM"]);
    assert_eq!(user[1][0], words[1][2]);
    assert_eq!(table(&env, &["web", "-o", "uid,gid"])[1], ["7", "8"]);
    assert_eq!(
        table(&env, &["web", "seccomp", "capeff"])[1],
        ["filter", "none"]
    );
    env.run(&["top", "web", "-Z"])
        .fails(125, "unsupported option of ps: \"-Z\"");
    env.run(&["top", "web", "-o", "nothing"])
        .fails(1, "unknown user-defined format specifier");
}

#[test]
fn what_exec_started_is_among_them_and_the_monitors_helpers_are_not() {
    let env = test_env!();
    env.busybox();
    start(&env, "web", &[], "sleep 1000");
    start(&env, "other", &[], "sleep 2000");
    env.run(&["exec", "-d", "web", "sleep", "3000"]).ok();
    let seen = || -> BTreeSet<String> {
        table(&env, &["web", "-o", "args="])
            .into_iter()
            .map(|cells| cells.join(" "))
            .collect()
    };
    let expected = ["sh -c sleep 1000", "sleep 3000"].map(str::to_owned);
    eventually("both", || seen().len() >= 2);
    let seen = seen();
    let programs: BTreeSet<String> = seen
        .iter()
        .filter(|line| *line != "sleep 1000")
        .cloned()
        .collect();
    // A shell may execute its last command in its own place.
    assert!(
        programs == BTreeSet::from(expected)
            || seen == BTreeSet::from(["sleep 1000", "sleep 3000"].map(str::to_owned)),
        "{seen:?}"
    );
}
