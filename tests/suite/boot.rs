//! What starts containers when the host has booted. A boot itself, with systemd and with cron, is in `machine`.

use std::fs;

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};

/// A container that does not run, with what would have become of it.
fn container(env: &TestEnv, name: &str, settings: &str) -> String {
    let words = [
        "create",
        "--network",
        "none",
        "--name",
        name,
        "busybox",
        "sleep",
        "1000",
    ];
    let id = env.out(&words);
    let file = env
        .store()
        .join("containers")
        .join(&id)
        .join("settings.json");
    fs::write(file, settings).expect("the store is writable");
    id
}

/// The names of those that run.
fn running(env: &TestEnv) -> Vec<String> {
    let names = env.out(&["ps", "--format", "{{.Names}}"]);
    let mut names: Vec<String> = names.lines().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn start_all_starts_what_the_filter_keeps() {
    let env = test_env!();
    env.busybox();
    container(&env, "always", r#"{"restart":"always","stopped":true}"#);
    container(&env, "unless", r#"{"restart":"unless-stopped"}"#);
    container(
        &env,
        "stopped",
        r#"{"restart":"unless-stopped","stopped":true}"#,
    );
    container(&env, "failing", r#"{"restart":"on-failure:3"}"#);
    container(&env, "never", "{}");
    let names = |filter: &str| {
        let shown = env.out(&["ps", "-a", "--filter", filter, "--format", "{{.Names}}"]);
        shown.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names("restart-policy=on-failure"), ["failing"]);
    assert_eq!(
        names("should-start-on-boot=false"),
        ["never", "failing", "stopped"]
    );
    let started = env.out(&["start", "--all", "--filter", "restart-policy=always"]);
    assert_eq!(started, "always");
    assert_eq!(running(&env), ["always"]);
    let started = env.out(&["start", "--all", "-f", "should-start-on-boot=true"]);
    assert_eq!(started, "unless");
    assert_eq!(running(&env), ["always", "unless"]);
    // The oldest first, and those that run are left alone.
    assert_eq!(
        env.out(&["container", "start", "--all"]),
        "stopped\nfailing\nnever"
    );
    assert_eq!(env.out(&["start", "--all"]), "");
    let wrong = env
        .run(&["start", "--all", "--filter", "restart-policy=sometimes"])
        .code(1);
    assert!(
        wrong.stderr.contains("no restart policy"),
        "{}",
        wrong.stderr
    );
    env.run(&["start", "--all", "never"]).code(125);
    let names = env.out(&["ps", "-aq"]);
    let names: Vec<&str> = names.lines().collect();
    env.run(&[&["rm", "-f"], &names[..]].concat()).ok();
}

#[test]
fn start_without_a_name_is_dockers_error() {
    let env = test_env!();
    for command in [&["start"][..], &["container", "start"]] {
        let line = env.run(command).code(1).stderr;
        let words = format!(
            "Error: \"bryo {}\" requires at least 1 argument\n",
            command.join(" ")
        );
        assert!(line.starts_with(&words), "{line}");
    }
}

#[test]
fn the_unit_is_clean_and_goes_as_it_came() {
    let env = test_env!();
    need!(Need::Program("systemd-analyze"));
    let status = env.run(&["boot", "status"]).code(1);
    status.prints("Boot: disabled");
    let unit = env.path("config/systemd/user/bryo-boot.service");
    let wish = env.path("config/systemd/user/default.target.wants/bryo-boot.service");
    for _ in 0..2 {
        let said = env.out(&["boot", "enable", "--systemd"]);
        assert_eq!(said, format!("enabled by systemd: {}", unit.display()));
    }
    let text = fs::read_to_string(&wish).expect("the link leads to the unit");
    let command = format!("ExecStart=\"{}\" start --all", crate::env::bryo().display());
    assert!(text.contains(&command), "{text}");
    let store = format!(
        "Environment=\"XDG_DATA_HOME={}\"\n",
        env.path("data").display()
    );
    assert!(text.contains(&store), "{text}");
    let path = unit.to_str().expect("test paths are UTF-8");
    let verified = env
        .other("systemd-analyze", &["--user", "verify", path])
        .run()
        .ok();
    assert_eq!(verified.stdout + &verified.stderr, "");
    env.run(&["boot", "status"])
        .ok()
        .prints("Boot: enabled by systemd");
    assert_eq!(env.out(&["boot", "disable"]), "disabled by systemd");
    assert!(!unit.exists() && fs::symlink_metadata(&wish).is_err());
    assert_eq!(env.out(&["boot", "disable"]), "not enabled");
}
