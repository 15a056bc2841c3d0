//! `events`: what the log has, what comes while it is followed, filters and formats.

use serde_json::Value;

use crate::env::{TestEnv, test_env};
use crate::spellings::ask;

const FORMAT: &str = "{{.Type}} {{.Action}} {{index .Actor.Attributes \"name\"}}";

/// Everything that has happened, as `format` shows it.
fn past(env: &TestEnv, rest: &[&str]) -> Vec<String> {
    let fixed = ["events", "--since", "1h", "--until", "0s"];
    let shown = env.run(&[&fixed, rest].concat()).ok();
    shown.lines().into_iter().map(str::to_owned).collect()
}

fn lifecycle(env: &TestEnv) {
    let none = ["--network", "none"];
    let labels = ["--label", "tier=front", "--name", "web"];
    env.run(&[&["create"], &none[..], &labels, &["busybox", "true"]].concat())
        .ok();
    env.run(&["rename", "web", "shop"]).ok();
    env.run(&["rm", "shop"]).ok();
    env.run(&["tag", "busybox", "other:1"]).ok();
    env.run(&["rmi", "other:1"]).ok();
}

#[test]
fn events_tell_what_happened_in_dockers_line() {
    let env = test_env!();
    env.busybox();
    lifecycle(&env);
    for command in ["events", "system events"] {
        let shown = ask(&env, command, &["--since", "1h", "--until", "0s"]).ok();
        let lines = shown.lines();
        let id = |line: &str| line.split(' ').nth(3).unwrap_or_default().to_owned();
        let (time, rest) = lines[1].split_once(' ').expect("a time first");
        assert_eq!(
            rest,
            format!(
                "container create {} (image=busybox, name=web, tier=front)",
                id(lines[1])
            )
        );
        assert_eq!(id(lines[1]).len(), 64, "{lines:?}");
        assert!(is_dockers_time(time), "{time}");
        assert!(lines[2].ends_with("(image=busybox, name=shop, oldName=/web, tier=front)"));
        assert!(lines[2].contains(" container rename "), "{lines:?}");
    }
    assert_eq!(
        past(&env, &["--format", FORMAT]),
        [
            "image load busybox:latest",
            "container create web",
            "container rename shop",
            "container destroy shop",
            "image tag other:1",
            "image untag other:1",
        ]
    );
}

#[test]
fn an_end_says_its_code_and_how_long_it_took() {
    let env = test_env!();
    env.busybox();
    let run = ["run", "--rm", "--network", "none", "busybox", "sh", "-c"];
    let ended = env.run(&[&run[..], &["sleep 1.1; exit 3"]].concat());
    assert_eq!(ended.code, 3);
    let format = "{{.Actor.Attributes.exitCode}} {{.Actor.Attributes.execDuration}}";
    let ends = past(&env, &["--filter", "event=die", "--format", format]);
    let [end] = &ends[..] else {
        panic!("{ends:?}");
    };
    let seconds: u64 = end
        .strip_prefix("3 ")
        .and_then(|text| text.parse().ok())
        .expect(end);
    assert!((1..60).contains(&seconds), "{end}");
}

/// Docker's fixed nanoseconds: `2026-01-31T12:00:00.000000000+01:00`, or `Z`.
fn is_dockers_time(text: &str) -> bool {
    let digit = |c: char| if c.is_ascii_digit() { '0' } else { c };
    let shape: String = text.chars().map(digit).collect();
    let zone = shape.strip_prefix("0000-00-00T00:00:00.000000000");
    zone.is_some_and(|zone| ["Z", "+00:00", "-00:00"].contains(&zone))
}

#[test]
fn event_filters_choose() {
    let env = test_env!();
    env.busybox();
    lifecycle(&env);
    for command in ["events", "system events"] {
        for flag in ["-f", "--filter"] {
            let chosen = |filters: &[&str]| {
                let mut words = vec!["--since", "1h", "--until", "0s", "--format", "{{.Action}}"];
                for filter in filters {
                    words.extend([flag, filter]);
                }
                ask(&env, command, &words).ok().out().replace('\n', " ")
            };
            assert_eq!(chosen(&["type=image"]), "load tag untag");
            assert_eq!(chosen(&["event=create", "event=tag"]), "create tag");
            assert_eq!(chosen(&["container=shop"]), "rename destroy");
            assert_eq!(chosen(&["label=tier=front"]), "create rename destroy");
            assert_eq!(chosen(&["label=tier=back"]), "");
            assert_eq!(
                chosen(&["image=busybox", "type=container"]),
                "create rename destroy"
            );
            assert_eq!(chosen(&["volume=x"]), "");
            let refused = ask(&env, command, &[flag, "colour=red"]);
            refused.fails(1, "invalid filter 'colour'");
        }
    }
}

#[test]
fn event_formats_are_json_and_templates() {
    let env = test_env!();
    env.busybox();
    lifecycle(&env);
    for command in ["events", "system events"] {
        let span = ["--since", "1h", "--until", "0s"];
        let filter = ["--filter", "event=create", "--format"];
        let shown = ask(&env, command, &[&span[..], &filter, &["json"]].concat()).ok();
        let event: Value = serde_json::from_str(&shown.out()).expect("one JSON object");
        assert_eq!(event["Type"], "container");
        assert_eq!(event["Action"], "create");
        assert_eq!(event["status"], "create");
        assert_eq!(event["from"], "busybox");
        assert_eq!(event["scope"], "local");
        assert_eq!(event["Actor"]["Attributes"]["tier"], "front");
        let (seconds, nanoseconds) = (event["time"].as_i64(), event["timeNano"].as_i64());
        assert_eq!(seconds, nanoseconds.map(|n| n / 1_000_000_000));
        let template = "{{.Type}}:{{.Actor.Attributes.name}}";
        let shown = ask(&env, command, &[&span[..], &filter, &[template]].concat()).ok();
        assert_eq!(shown.out(), "container:web");
        let wrong = ask(&env, command, &[&span[..], &filter, &["{{.Type"]].concat());
        wrong.fails(1, "template parsing error");
    }
}

#[test]
fn events_since_and_until_are_a_span() {
    let env = test_env!();
    env.busybox();
    let create = |name: &str| {
        env.run(&["create", "--network", "none", "--name", name, "busybox"])
            .ok();
        let last = past(
            &env,
            &[
                "--filter",
                &format!("container={name}"),
                "--format",
                "{{.TimeNano}}",
            ],
        );
        let nanoseconds: u64 = last[0].parse().expect("a number");
        format!(
            "{}.{:09}",
            nanoseconds / 1_000_000_000,
            nanoseconds % 1_000_000_000
        )
    };
    let (first, second, third) = (create("a1"), create("b2"), create("c3"));
    for command in ["events", "system events"] {
        let span = |since: &str, until: &str| {
            let words = ["--since", since, "--until", until, "--format", FORMAT];
            let shown = ask(&env, command, &words).ok();
            let names = shown
                .lines()
                .into_iter()
                .filter_map(|line| line.split(' ').next_back());
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(span(&second, &third), "b2 c3");
        assert_eq!(span(&first, &second), "a1 b2");
        assert_eq!(span("1m", "0s"), "busybox:latest a1 b2 c3");
        assert_eq!(span("2006-01-02", "2006-01-03T00:00:00Z"), "");
        let wrong = ask(&env, command, &["--since", &third, "--until", &first]);
        wrong.fails(1, "cannot be after `until` time");
    }
    // Until alone: everything before it.
    let shown = env
        .run(&["events", "--until", &first, "--format", FORMAT])
        .ok();
    assert_eq!(
        shown.lines(),
        ["image load busybox:latest", "container create a1"]
    );
}

#[test]
fn events_are_followed_and_begin_now() {
    let env = test_env!();
    env.busybox();
    let mut follower = env.spawn(&["events", "--format", FORMAT]);
    let mut until = env.spawn(&[
        "events",
        "--until",
        "-3s",
        "--filter",
        "event=create",
        "--format",
        FORMAT,
    ]);
    // Nothing says that it watches, so something happens until it has seen it.
    let mut number = 0;
    while !follower.has_written("container create") {
        number += 1;
        env.run(&[
            "create",
            "--network",
            "none",
            "--name",
            &format!("n{number}"),
            "busybox",
        ])
        .ok();
    }
    env.run(&["create", "--network", "none", "--name", "last", "busybox"])
        .ok();
    follower.until("container create last");
    follower.signal(nix::sys::signal::Signal::SIGTERM);
    let seen = follower.wait();
    assert!(!seen.stdout.contains("image load"), "{seen:?}");
    until.until("container create last");
    until.wait().ok();
    let ended = env.run(&[
        "events",
        "--stream=false",
        "--since",
        "1h",
        "--format",
        FORMAT,
    ]);
    ended.ok().prints("container create last");
}

#[test]
fn a_stop_is_a_kill_and_a_stop() {
    let env = test_env!();
    env.busybox();
    let run = [
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "web",
        "busybox",
        "sleep",
        "1000",
    ];
    env.run(&run).ok();
    env.run(&["stop", "web"]).ok();
    let shown = past(
        &env,
        &[
            "--filter",
            "container=web",
            "--filter",
            "event=kill",
            "--filter",
            "event=stop",
            "--format",
            "{{.Action}} {{json .Actor.Attributes}}",
        ],
    );
    assert_eq!(
        shown,
        [
            r#"kill {"image":"busybox","name":"web","signal":"9"}"#,
            r#"stop {"image":"busybox","name":"web"}"#
        ]
    );
}

#[test]
fn volumes_of_a_container_are_mounted_and_unmounted_among_the_events() {
    let env = test_env!();
    env.busybox();
    let run = [
        "run",
        "--rm",
        "--network",
        "none",
        "-v",
        "named:/a",
        "-v",
        "/b",
    ];
    env.run(&[&run[..], &["busybox", "true"]].concat()).ok();
    env.run(&["volume", "prune", "-a", "-f"]).ok();
    let format = "{{.Action}} {{index .Actor.Attributes \"destination\"}}{{index .Actor.Attributes \"reclaimed\"}}";
    let volumes = past(&env, &["--filter", "type=volume", "--format", format]);
    assert_eq!(
        volumes.iter().map(|line| line.trim()).collect::<Vec<_>>(),
        [
            "create", "create", "mount /a", "mount /b", "unmount", "unmount", "destroy", "destroy",
            "prune 0",
        ]
    );
    let format =
        "{{len (index .Actor.Attributes \"container\")}} {{index .Actor.Attributes \"driver\"}}";
    let mounts = past(&env, &["--filter", "event=mount", "--format", format]);
    assert_eq!(mounts, ["64 local"; 2]);
}
