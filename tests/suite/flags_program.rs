//! The flags before the command, and what the commands say that look at the host.

use crate::env::test_env;
use crate::image::busybox;
use crate::need::{Need, need};
use crate::registry::{Access, Registry};
use crate::spellings::ask;

#[test]
fn config_directory_holds_credentials() {
    let env = test_env!();
    need!(Need::Program("docker-registry"), Need::Program("skopeo"));
    let registry = Registry::start(&env, Access::Basic);
    let name = registry.push(&env, &busybox(), "app");
    // base64 of tester:secret
    let auths = serde_json::json!({ "auths": { registry.address.clone(): { "auth": "dGVzdGVyOnNlY3JldA==" } } });
    env.file("elsewhere/config.json", auths.to_string());
    env.run(&["pull", &name]).fails(1, &registry.address);
    let directory = env.path("home/elsewhere");
    let directory = directory.to_str().expect("test paths are UTF-8");
    env.run(&["--config", directory, "pull", &name]).ok();
}

#[test]
fn debug_writes_a_line_per_step() {
    let env = test_env!();
    env.busybox();
    assert_eq!(
        env.run(&["run", "--rm", "--network", "none", "busybox", "true"])
            .ok()
            .stderr,
        ""
    );
    for flag in ["-D", "--debug"] {
        let flags = [flag, "run", "--rm", "--network", "none", "busybox", "true"];
        let run = env.run(&flags).ok();
        let lines: Vec<&str> = run.stderr.lines().collect();
        assert!(lines.len() > 1, "{flag}: {run:?}");
        for line in lines {
            let fits = line.contains(" us ") && line.contains(": ");
            assert!(fits, "{flag}: {line}");
        }
    }
}

#[test]
fn log_level_chooses_what_is_written() {
    let env = test_env!();
    env.busybox();
    for flag in ["-l", "--log-level"] {
        let lines = |level: &str| {
            let run = [
                flag,
                level,
                "run",
                "--rm",
                "--network",
                "none",
                "busybox",
                "true",
            ];
            env.run(&run).ok().stderr.lines().count()
        };
        assert_eq!(lines("error"), 0, "{flag}");
        assert!(lines("debug") > 1, "{flag}");
        env.run(&[flag, "loud", "ps"]).fails(1, "loud");
    }
}

#[test]
fn info_says_what_is_in_force() {
    let env = test_env!();
    env.file(
        "../config/bryo/config.toml",
        "[network]\ndefault = \"none\"\n",
    );
    for command in ["info", "system info"] {
        let out = ask(&env, command, &[]).ok().out();
        let setting = out
            .lines()
            .find(|line| line.contains("network.default"))
            .expect("every setting is shown");
        assert!(
            setting.contains("none") && setting.contains("config.toml"),
            "{setting}"
        );
        let store = env.store();
        assert!(out.contains(store.to_str().expect("UTF-8")), "{out}");
    }
}

#[test]
fn info_format_takes_templates() {
    let env = test_env!();
    env.busybox();
    for command in ["info", "system info"] {
        for flag in ["-f", "--format"] {
            let out = ask(&env, command, &[flag, "{{.Images}} {{.OSType}}"]);
            assert_eq!(out.ok().out(), "1 linux", "{command} {flag}");
            let host = "{{.Name}} {{.LoggingDriver}} {{.Swarm.LocalNodeState}} {{.DefaultRuntime}} {{len .Runtimes}}";
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("it is there");
            let out = ask(&env, command, &[flag, host]).ok().out();
            assert_eq!(out, format!("{} json-file inactive bryo 1", name.trim()));
            let machine = "{{.MemTotal}} {{.OperatingSystem}} {{.SystemTime}} {{.Warnings}}";
            let out = ask(&env, command, &[flag, machine]).ok().out();
            let memory = std::fs::read_to_string("/proc/meminfo").expect("it is there");
            let total = memory.split_whitespace().nth(1).expect("MemTotal is first");
            let total = total.parse::<u64>().expect("a number") * 1024;
            assert!(out.starts_with(&format!("{total} ")), "{out}");
            let driver = ask(&env, command, &[flag, "{{.Driver}}"]).ok().out();
            assert!(driver.contains("overlay"), "{driver}");
            let out = ask(&env, command, &[flag, "json"]).ok().out();
            serde_json::from_str::<serde_json::Value>(&out).expect("it is JSON");
        }
    }
}

/// Docker's five letters stand for both.
#[test]
fn info_shows_the_proxies_without_who_may_use_them() {
    let mut env = test_env!();
    env.set("HTTPS_PROXY", "http://me:secret@proxy.test:3128/");
    env.set("HTTP_PROXY", "proxy.test:8080");
    let out = env.out(&["info", "-f", "{{.HttpsProxy}} {{.HttpProxy}}"]);
    assert_eq!(out, "http://xxxxx:xxxxx@proxy.test:3128/ proxy.test:8080");
    assert!(!env.out(&["info", "-f", "json"]).contains("secret"));
}

#[test]
fn every_role_writes_to_the_log_file_and_the_program_does_not_have_it() {
    let mut env = test_env!();
    env.busybox();
    let file = env.path("home/trace");
    env.set(
        "BRYO_LOG_FILE",
        file.to_str().expect("test paths are UTF-8"),
    );
    let flags = ["--debug", "run", "--rm", "--network", "none", "busybox"];
    let run = env
        .run(&[&flags[..], &["ls", "/proc/self/fd"]].concat())
        .ok();
    // ls itself has the directory open as 3.
    assert_eq!(run.stdout, "0\n1\n2\n3\n");
    assert_eq!(run.stderr, "");
    let lines = std::fs::read_to_string(file).expect("the file was made");
    for role in [" us cli: ", " us monitor ", " us init: "] {
        assert!(lines.contains(role), "no line of{role}in {lines}");
    }
}
