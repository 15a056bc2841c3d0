//! `compose up` in the foreground and what it waits for: dependencies, health, ends, signals.

use nix::sys::signal::Signal;

use crate::compose_up::{compose, inspected, ok, project, states};
use crate::env::test_env;
use crate::network_bridge::need_bridges;

/// A service whose program writes this and ends, or stays.
fn says(name: &str, script: &str, more: &str) -> String {
    format!("  {name}:\n    image: busybox\n    command: [sh, -c, {script:?}]\n{more}")
}

fn services(all: &[String]) -> String {
    format!("services:\n{}", all.concat())
}

const NEEDS: &str = "    depends_on:\n      db: {condition: service_healthy}\n      init: {condition: service_completed_successfully}\n";
const HEALTH: &str = "    stop_signal: SIGKILL\n    healthcheck: {test: [CMD, test, -e, /ok], interval: 50ms, retries: 1000}\n";

#[test]
fn compose_up_starts_services_when_what_they_need_has_come_so_far() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let text = services(&[
        says(
            "db",
            "until test -e /go; do sleep 0.02; done; touch /ok; exec sleep 1000",
            HEALTH,
        ),
        says("init", "exit 0", ""),
        says(
            "web",
            "exec sleep 1000",
            &format!("{NEEDS}    stop_signal: SIGKILL\n"),
        ),
    ]);
    project(&env, &text);
    let mut up = compose(&env, &["compose up", "-d"]).spawn();
    up.until(" Container shop-db-1  Waiting");
    assert!(states(&env).contains(&"shop-web-1 created".to_owned()));
    env.run(&["exec", "shop-db-1", "touch", "/go"]).ok();
    let up = up.wait().ok();
    let place = |words: &str| {
        let place = up.stderr.find(words);
        place.unwrap_or_else(|| panic!("no {words:?} in {}", up.stderr))
    };
    assert!(place("shop-db-1  Healthy") < place("shop-web-1  Starting"));
    assert!(place("shop-init-1  Exited") < place("shop-web-1  Starting"));
    // Its needs hold again when only it is started.
    ok(&env, &["compose stop", "web"]);
    ok(&env, &["compose start", "web"]).says("Container shop-web-1  Started");
    ok(&env, &["compose down", "-t", "0"]);
}

#[test]
fn compose_up_fails_with_what_is_needed() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let with = |db: String, init: &str| {
        services(&[
            db,
            says("init", init, ""),
            says("web", "exec sleep 1000", NEEDS),
        ])
    };
    let sick = "    stop_signal: SIGKILL\n    healthcheck: {test: [CMD, 'false'], interval: 20ms, retries: 1}\n";
    let well = || says("db", "touch /ok; exec sleep 1000", HEALTH);
    for (text, words) in [
        (
            with(says("db", "exec sleep 1000", sick), "exit 0"),
            "dependency failed to start: container shop-db-1 is unhealthy",
        ),
        (
            with(says("db", "exit 4", HEALTH), "exit 0"),
            "dependency failed to start: container shop-db-1 exited (4)",
        ),
        (
            with(
                says("db", "exec sleep 1000", "    stop_signal: SIGKILL\n"),
                "exit 0",
            ),
            "dependency failed to start: container shop-db-1 has no healthcheck configured",
        ),
        (
            with(well(), "exit 5"),
            "service \"init\" didn't complete successfully: exit 5",
        ),
    ] {
        project(&env, &text);
        compose(&env, &["compose up", "-d"]).run().fails(1, words);
        assert!(states(&env).contains(&"shop-web-1 created".to_owned()));
        ok(&env, &["compose down", "-t", "0"]);
    }
    // What is not required is only warned of.
    let optional = NEEDS.replace("_successfully}", "_successfully, required: false}");
    let text = services(&[
        well(),
        says("init", "exit 5", ""),
        says(
            "web",
            "exec sleep 1000",
            &format!("{optional}    stop_signal: SIGKILL\n"),
        ),
    ]);
    project(&env, &text);
    ok(&env, &["compose up", "-d"]).says("optional dependency \"init\"");
    assert!(states(&env).contains(&"shop-web-1 running".to_owned()));
    ok(&env, &["compose down", "-t", "0"]);
}

#[test]
fn compose_up_waits_until_all_is_well() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let db = "until test -e /go; do sleep 0.02; done; touch /ok; exec sleep 1000";
    project(&env, &services(&[says("db", db, HEALTH)]));
    compose(&env, &["compose up", "--wait", "--wait-timeout", "1"])
        .run()
        .fails(1, "application not healthy after 1s");
    let mut up = compose(&env, &["compose up", "--wait"]).spawn();
    up.until("Container shop-db-1  Running");
    env.run(&["exec", "shop-db-1", "touch", "/go"]).ok();
    up.wait().ok().says("Container shop-db-1  Healthy");
    let health = "{{.State.Health.Status}}";
    assert_eq!(inspected(&env, "shop-db-1", health), "healthy");
    ok(&env, &["compose down", "-t", "0"]);
}

#[test]
fn compose_up_shows_whose_output_it_is() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let text = services(&[
        says("a", "echo one; echo two >&2; printf three", ""),
        says("longer", "echo four", "    depends_on: [a]\n"),
        says("quiet", "echo five", "    attach: false\n"),
    ]);
    project(&env, &text);
    let up = ok(&env, &["compose up"]);
    let lines = up.lines();
    assert_eq!(lines[0], "Attaching to a-1, longer-1");
    for line in [
        "a-1       | one",
        "a-1       | three",
        "longer-1  | four",
        "a-1 exited with code 0",
    ] {
        assert!(lines.contains(&line), "{line:?} in {lines:?}");
    }
    assert!(up.stderr.contains("a-1       | two"), "{}", up.stderr);
    assert!(!up.stdout.contains("five"));
    let bare = ok(&env, &["compose up", "--no-log-prefix", "--no-color"]);
    assert!(bare.lines().contains(&"one"), "{}", bare.stdout);
    let timed = ok(&env, &["compose up", "--timestamps"]);
    let is_timed = |line: &str| line.starts_with("a-1       | 20") && line.ends_with("Z one");
    assert!(timed.stdout.lines().any(is_timed), "{}", timed.stdout);
    let one = ok(&env, &["compose up", "--attach", "longer"]);
    assert!(!one.stdout.contains("one") && one.stdout.contains("four"));
    let none = ok(&env, &["compose up", "--no-attach", "longer"]);
    assert!(none.stdout.contains("one") && !none.stdout.contains("four"));
    // Named, its own output alone is shown, unless that of what it needs is asked for.
    let named = ok(&env, &["compose up", "longer"]);
    assert!(!named.stdout.contains("one") && named.stdout.contains("four"));
    let both = ok(&env, &["compose up", "--attach-dependencies", "longer"]);
    assert!(both.stdout.contains("one") && both.stdout.contains("four"));
    let coloured = ok(&env, &["--ansi", "always", "compose up"]);
    assert!(
        coloured.stdout.contains("\x1b[36ma-1"),
        "{}",
        coloured.stdout
    );
    let plain = ok(&env, &["--ansi", "always", "compose up", "--no-color"]);
    assert!(!plain.stdout.contains('\x1b'));
    compose(&env, &["compose up", "--attach", "nobody"])
        .run()
        .fails(1, "no such service: nobody");
}

#[test]
fn compose_up_ends_with_one_of_its_containers() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    // Nobody ends before the other one can tell how it ends.
    let data = "    volumes: [data:/data]\n";
    let services = services(&[
        says(
            "ends",
            "until test -e /data/up; do sleep 0.05; done; exit 6",
            data,
        ),
        says(
            "stays",
            "trap 'rm /data/up; exit 9' TERM; echo up; touch /data/up; while :; do sleep 0.05; done",
            data,
        ),
    ]);
    let text = format!("{services}volumes: {{data: {{}}}}\n");
    project(&env, &text);
    let all_ended = || states(&env).iter().all(|line| line.ends_with("exited"));
    for flags in [
        &["--abort-on-container-exit"][..],
        &["--abort-on-container-failure"],
        &["--exit-code-from", "ends"],
    ] {
        let up = compose(&env, &[&["compose up"], flags].concat()).run();
        up.code(6).says("Aborting on container exit...");
        assert!(all_ended(), "{:?}", states(&env));
    }
    compose(&env, &["compose up", "--exit-code-from", "stays"])
        .run()
        .code(9);
    assert!(all_ended());
    // Without a failure nobody else ends.
    project(&env, &text.replace("exit 6", "exit 0"));
    let mut up = compose(&env, &["compose up", "--abort-on-container-failure"]).spawn();
    up.until("ends-1 exited with code 0");
    up.until("up");
    up.signal(Signal::SIGINT);
    up.wait().code(130);
    compose(&env, &["compose up", "-d", "--abort-on-container-exit"])
        .run()
        .code(125);
}

#[test]
fn compose_up_stops_at_the_first_signal_and_kills_at_the_second() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let gentle = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    project(&env, &services(&[says("web", gentle, "")]));
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut up = compose(&env, &["compose up"]).spawn();
        up.until("web-1  | up");
        up.signal(signal);
        let up = up.wait().code(130);
        assert!(
            up.stderr
                .contains("Gracefully Stopping... press Ctrl+C again to force")
        );
        assert!(up.stdout.contains("web-1  | bye"), "{}", up.stdout);
        assert_eq!(states(&env), ["shop-web-1 exited"]);
    }
    let deaf = "trap 'echo no' TERM; echo up; while :; do sleep 0.05; done";
    project(
        &env,
        &services(&[says("web", deaf, "    stop_grace_period: 1h\n")]),
    );
    let mut up = compose(&env, &["compose up"]).spawn();
    up.until("web-1  | up");
    up.signal(Signal::SIGINT);
    up.until("web-1  | no");
    up.signal(Signal::SIGINT);
    up.wait().code(130).says(" Container shop-web-1  Killed");
    assert_eq!(inspected(&env, "shop-web-1", "{{.State.ExitCode}}"), "137");
    // A time of its own.
    let mut up = compose(&env, &["compose up", "-t", "0"]).spawn();
    up.until("web-1  | up");
    up.signal(Signal::SIGINT);
    up.wait().code(130);
    assert_eq!(inspected(&env, "shop-web-1", "{{.State.ExitCode}}"), "137");
    let mut up = compose(&env, &["compose up", "--timeout", "0"]).spawn();
    up.until("web-1  | up");
    up.signal(Signal::SIGINT);
    up.wait().code(130);
}

#[test]
fn compose_up_goes_on_with_what_is_started_again() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let script = "echo life; test -e /data/twice && exec sleep 1000; touch /data/twice; exit 1";
    let text = services(&[says(
        "web",
        script,
        "    restart: on-failure\n    stop_signal: SIGKILL\n    volumes: [data:/data]\n",
    )]);
    project(&env, &format!("{text}volumes: {{data: {{}}}}\n"));
    let mut up = compose(&env, &["compose up"]).spawn();
    up.until("web-1 exited with code 1 (restarting)");
    // Running is not enough: it may be restarted before it has said so.
    crate::process::eventually("it lives again", || {
        let logs = env.run(&["logs", "shop-web-1"]).ok().stdout;
        states(&env) == ["shop-web-1 running"] && logs.matches("life").count() == 2
    });
    // Somebody else's restart is followed as well.
    env.run(&["restart", "shop-web-1"]).ok();
    up.until("web-1 exited with code 137 (restarting)");
    up.signal(Signal::SIGINT);
    let up = up.wait().code(130);
    assert!(
        up.stdout.matches("web-1  | life").count() >= 2,
        "{}",
        up.stdout
    );
    ok(&env, &["compose down", "-v"]);
}
