//! Health checks: run by the container's monitor, shown by `ps` and `inspect`, answered as the flags say.

use crate::env::{TestEnv, shared_env, test_env};
use crate::image::busybox;
use crate::process::eventually;
use crate::spellings::WAYS;

/// Healthy while /sick is not there.
const CHECK: &str = "echo looked; ! test -e /sick";

fn start(env: &TestEnv, flags: &[&str]) {
    env.busybox();
    let first = [
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "box",
        "--health-interval",
        "50ms",
    ];
    let last = ["busybox", "sh", "-c", "while :; do sleep 0.05; done"];
    env.run(&[&first, flags, &last].concat()).ok();
}

fn state(env: &TestEnv, field: &str) -> String {
    env.out(&["inspect", "--format", &format!("{{{{{field}}}}}"), "box"])
}

fn health(env: &TestEnv) -> String {
    state(env, ".State.Health.Status")
}

#[test]
fn health_follows_the_check_and_the_last_five_results_are_kept() {
    let env = shared_env!();
    start(&env, &["--health-cmd", CHECK, "--health-retries", "2"]);
    eventually("good health", || health(&env) == "healthy");
    assert!(env.out(&["ps"]).contains("(healthy)"));
    assert_eq!(env.out(&["ps", "-q", "--filter", "health=unhealthy"]), "");
    env.run(&["exec", "box", "touch", "/sick"]).ok();
    eventually("bad health", || health(&env) == "unhealthy");
    assert!(env.out(&["ps"]).contains("(unhealthy)"));
    assert_ne!(env.out(&["ps", "-q", "--filter", "health=unhealthy"]), "");
    let log = env.out(&["inspect", "--format", "{{json .State.Health}}", "box"]);
    let log: serde_json::Value = serde_json::from_str(&log).expect("it is JSON");
    let results = log["Log"].as_array().expect("a list");
    assert!(results.len() <= 5 && !results.is_empty());
    let last = results.last().expect("there is one");
    assert_eq!(
        (last["ExitCode"].as_i64(), last["Output"].as_str()),
        (Some(1), Some("looked\n"))
    );
    assert!(log["FailingStreak"].as_u64() >= Some(2));
    env.run(&["exec", "box", "rm", "/sick"]).ok();
    eventually("good health again", || health(&env) == "healthy");
}

#[test]
fn every_flag_is_kept_and_shown() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let flags = [
            "--name",
            "box",
            "--network",
            "none",
            "--health-cmd",
            "true",
            "--health-interval",
            "1m",
            "--health-timeout",
            "2s",
            "--health-retries",
            "4",
            "--health-start-period",
            "3s",
            "--health-start-interval",
            "1s",
        ];
        way.start(&env, &[&flags[..], &["busybox", "true"]].concat());
        let shown = env.out(&["inspect", "--format", "{{json .Config.Healthcheck}}", "box"]);
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("it is JSON");
        assert_eq!(shown["Test"], serde_json::json!(["CMD-SHELL", "true"]));
        for (key, value) in [
            ("Interval", 60_000_000_000u64),
            ("Timeout", 2_000_000_000),
            ("Retries", 4),
            ("StartPeriod", 3_000_000_000),
            ("StartInterval", 1_000_000_000),
        ] {
            assert_eq!(shown[key].as_u64(), Some(value), "{way:?} {key}");
        }
        env.run(&["rm", "-f", "box"]).ok();
    }
}

#[test]
fn start_period_forgives_and_has_an_interval_of_its_own() {
    let env = test_env!();
    start(
        &env,
        &[
            "--health-cmd",
            "echo x; test -e /well",
            "--health-retries",
            "1",
            "--health-start-period",
            "1h",
            "--health-start-interval",
            "50ms",
            "--health-interval",
            "1h",
        ],
    );
    eventually("some checks", || {
        state(&env, "len .State.Health.Log")
            .parse::<usize>()
            .is_ok_and(|n| n >= 3)
    });
    assert_eq!(health(&env), "starting");
    assert!(env.out(&["ps"]).contains("(health: starting)"));
    env.run(&["exec", "box", "touch", "/well"]).ok();
    eventually("good health", || health(&env) == "healthy");
}

#[test]
fn check_that_takes_too_long_is_killed_and_has_failed() {
    let env = test_env!();
    start(
        &env,
        &[
            "--health-cmd",
            "echo begun; sleep 1000",
            "--health-timeout",
            "100ms",
            "--health-retries",
            "1",
        ],
    );
    eventually("bad health", || health(&env) == "unhealthy");
    let last = env.out(&[
        "inspect",
        "--format",
        "{{json (index .State.Health.Log 0)}}",
        "box",
    ]);
    assert!(
        last.contains("\"ExitCode\":-1") && last.contains("exceeded timeout"),
        "{last}"
    );
}

#[test]
fn image_says_how_and_the_flags_go_over_it() {
    let env = shared_env!();
    let check =
        serde_json::json!({"Test": ["CMD", "/bin/false"], "Interval": 50_000_000, "Retries": 1});
    env.load(
        &busybox()
            .configured("Healthcheck", check)
            .docker_archive("checked"),
    );
    let run = |flags: &[&str]| {
        let first = ["run", "-d", "--network", "none", "--name", "box"];
        env.run(&[&first, flags, &["checked", "sleep", "1000"]].concat())
            .ok();
    };
    run(&[]);
    eventually("bad health", || health(&env) == "unhealthy");
    env.run(&["rm", "-f", "box"]).ok();
    run(&["--health-cmd", "true"]);
    eventually("good health", || health(&env) == "healthy");
    env.run(&["rm", "-f", "box"]).ok();
    for way in WAYS {
        way.start(
            &env,
            &[
                "--name",
                "box",
                "--network",
                "none",
                "--no-healthcheck",
                "checked",
                "sleep",
                "1000",
            ],
        );
        assert!(!env.out(&["inspect", "box"]).contains("FailingStreak"));
        env.run(&["rm", "-f", "box"]).ok();
    }
}

#[test]
fn bad_health_is_answered_as_the_flag_says() {
    let env = test_env!();
    let sick = ["--health-cmd", "false", "--health-retries", "1"];
    start(
        &env,
        &[&sick[..], &["--health-on-failure", "kill"]].concat(),
    );
    assert_eq!(env.out(&["wait", "box"]), "137");
    env.run(&["rm", "box"]).ok();
    start(
        &env,
        &[
            &sick[..],
            &[
                "--health-on-failure",
                "stop",
                "--stop-timeout",
                "0",
                "--restart",
                "always",
            ],
        ]
        .concat(),
    );
    eventually("its end", || state(&env, ".State.Status") == "exited");
    env.run(&["rm", "box"]).ok();
    start(
        &env,
        &[
            &sick[..],
            &["--health-on-failure", "restart", "--stop-timeout", "0"],
        ]
        .concat(),
    );
    let begun = state(&env, ".State.StartedAt");
    eventually("another start", || state(&env, ".State.StartedAt") > begun);
    env.run(&["run", "--health-on-failure", "panic", "busybox"])
        .fails(125, "panic");
}

#[test]
fn update_changes_the_check_of_a_running_container() {
    let env = test_env!();
    start(&env, &["--health-cmd", "true"]);
    eventually("good health", || health(&env) == "healthy");
    env.run(&[
        "update",
        "--health-cmd",
        "false",
        "--health-retries",
        "1",
        "box",
    ])
    .ok();
    eventually("bad health", || health(&env) == "unhealthy");
    env.run(&["update", "--no-healthcheck", "box"]).ok();
    assert!(!env.out(&["ps"]).contains("health"));
}

#[test]
fn health_is_told_as_an_event() {
    let env = test_env!();
    start(&env, &["--health-cmd", CHECK, "--health-retries", "1"]);
    assert_eq!(env.out(&["wait", "--condition", "healthy", "box"]), "-1");
    let events = env.out(&[
        "events",
        "--since",
        "1m",
        "--until",
        "0s",
        "--filter",
        "event=health_status",
    ]);
    assert!(events.contains("health_status: healthy"), "{events}");
}

#[test]
fn wrong_values_are_refused() {
    let env = shared_env!();
    env.busybox();
    for flags in [
        &["--health-interval", "soon"][..],
        &["--health-timeout", "-1s"],
        &["--health-retries", "many"],
        &["--health-start-period", "x"],
        &["--no-healthcheck", "--health-cmd", "true"],
    ] {
        let run = env.run(&[&["run"], flags, &["busybox", "true"]].concat());
        assert_eq!(run.code, 125, "{flags:?}");
    }
}
