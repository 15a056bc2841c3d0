//! `compose logs`: whose line each is, once and followed.

use crate::compose_look::{container, filed, in_shop, member, shop};
use crate::env::{TestEnv, test_env};
use crate::process::eventually;

/// Two that have said a line on each stream, and one that has ended.
fn some(env: &TestEnv) {
    env.busybox();
    let both = "echo out; echo error >&2; exec sleep 1000";
    member(env, "web", 1, &["busybox", "sh", "-c", both]);
    member(
        env,
        "web",
        2,
        &["busybox", "sh", "-c", "echo two; exec sleep 1000"],
    );
    let db = ["busybox", "sh", "-c", "seq 1 3; printf open; exit 3"];
    container(env, "shop", "mydb", ("db", 1, "False"), &db);
    let run = ["busybox", "echo", "run"];
    container(env, "shop", "shop-web-run-1", ("web", 1, "True"), &run);
    env.run(&["wait", "mydb"]).ok();
    eventually("both lines", || {
        env.run(&["logs", "shop-web-1"]).ok().stderr == "error\n"
            && env.out(&["logs", "shop-web-2"]) == "two"
    });
}

#[test]
fn compose_logs_stand_behind_names() {
    let env = test_env!();
    some(&env);
    let logs = |words: &[&str]| shop(&env, "compose logs", words).ok().stdout;
    let db = "mydb   | 1\nmydb   | 2\nmydb   | 3\nmydb   | open\n";
    let web = "web-1  | out\nweb-1  | error\nweb-2  | two\n";
    assert_eq!(logs(&[]), format!("{db}{web}"));
    assert_eq!(logs(&["--dry-run"]), format!("{db}{web}"));
    assert_eq!(logs(&["web"]), web);
    assert_eq!(logs(&["web", "db"]), format!("{db}{web}"));
    assert_eq!(logs(&["nothing"]), "");
    assert_eq!(
        logs(&["--no-log-prefix"]),
        "1\n2\n3\nopen\nout\nerror\ntwo\n"
    );
    assert_eq!(logs(&["--index", "2", "web"]), "web-2  | two\n");
    shop(&env, "compose logs", &["--index=3", "web"])
        .fails(1, "service \"web\" is not running container #3");
    shop(&env, "compose logs", &["--index", "1"])
        .fails(1, "--index requires one service to be selected");
    for tail in [&["-n", "1"][..], &["--tail", "1"], &["--tail=1"]] {
        assert_eq!(logs(tail), "mydb   | open\nweb-1  | error\nweb-2  | two\n");
    }
    for flag in ["-t", "--timestamps"] {
        let line = logs(&[flag, "--index", "2", "web"]);
        let (time, text) = line
            .strip_prefix("web-2  | ")
            .and_then(|line| line.split_once(' '))
            .expect("name, time, text");
        assert!(
            text == "two\n" && time.len() == 30 && time.ends_with('Z'),
            "{line}"
        );
        // To the nanosecond: what came after this line, and what came before.
        let more = ["--no-log-prefix", "--since", time];
        assert!(logs(&more).contains("two\n"), "{time}");
        let past = logs(&["--no-log-prefix", "--until", "1"]);
        assert_eq!(past, "");
        let later = time.parse::<jiff::Timestamp>().expect("it is RFC 3339");
        let later = later + jiff::SignedDuration::from_nanos(1);
        let since = logs(&["--since", &later.to_string(), "web"]);
        assert!(!since.contains("two"), "{since}");
    }
}

#[test]
fn compose_logs_have_colours_where_they_are_seen() {
    let env = test_env!();
    some(&env);
    let logs = |ansi: &str, rest: &[&str]| {
        let words = [
            &["compose", "-p", "shop", "--ansi", ansi, "logs", "web"],
            rest,
        ]
        .concat();
        env.run(&words).ok().stdout
    };
    let painted =
        "\x1b[36mweb-1  | \x1b[0mout\n\x1b[36mweb-1  | \x1b[0merror\n\x1b[33mweb-2  | \x1b[0mtwo\n";
    let plain = "web-1  | out\nweb-1  | error\nweb-2  | two\n";
    assert_eq!(logs("always", &[]), painted);
    assert_eq!(logs("always", &["--no-color"]), plain);
    assert_eq!(logs("never", &[]), plain);
    assert_eq!(logs("auto", &[]), plain);
    let words = in_shop("compose logs", &["web"]);
    let said = env.command(&words).var("COMPOSE_ANSI", "always").run();
    assert_eq!(said.ok().stdout, painted);
    let forbidden = env.command(&words).var("COMPOSE_ANSI", "always");
    assert_eq!(forbidden.var("NO_COLOR", "1").run().ok().stdout, plain);
    let mut terminal = env.terminal(&words);
    terminal.expect("\x1b[36mweb-1  | \x1b[0mout");
    assert_eq!(terminal.wait(), 0);
}

#[test]
fn compose_logs_follow_who_starts_and_say_who_ends() {
    let env = test_env!();
    env.busybox();
    let wait = "echo begun; while [ ! -e /tmp/end ]; do sleep 0.02; done; echo ends; exit 3";
    let script = ["busybox", "sh", "-c", wait];
    member(&env, "web", 1, &script);
    let mut follower = env.spawn(&in_shop("compose logs", &["-f", "-n", "all"]));
    follower.until("web-1  | begun\n");
    // A new one has a line of its own, also where it is of another service.
    let second = member(&env, "worker", 1, &script);
    follower.until("worker-1  | begun\n");
    container(
        &env,
        "other",
        "other-web-1",
        ("web", 1, "False"),
        &["busybox", "echo", "elsewhere"],
    );
    let end = |name: &str| env.end_by_file(name, "/tmp/end");
    end("shop-web-1");
    follower.until("web-1     | ends\nweb-1 exited with code 3\n");
    assert!(follower.is_running());
    // It is followed again when it is started again; its file is still there, so it ends at once.
    env.run(&["start", "shop-web-1"]).ok();
    follower.until(
        "exited with code 3\nweb-1     | begun\nweb-1     | ends\nweb-1 exited with code 3\n",
    );
    assert!(follower.is_running());
    end(&second);
    let seen = follower.wait().ok().stdout;
    assert!(
        seen.ends_with("worker-1  | ends\nworker-1 exited with code 3\n"),
        "{seen}"
    );
    assert!(
        !seen.contains("elsewhere") && !seen.contains("restarting"),
        "{seen}"
    );
}

#[test]
fn compose_logs_stay_for_who_takes_another_s_place() {
    let env = test_env!();
    env.busybox();
    let script = ["busybox", "sh", "-c", "echo begun; exec sleep 1000"];
    member(&env, "web", 1, &script);
    let mut follower = env.spawn(&in_shop("compose logs", &["-f"]));
    follower.until("web-1  | begun\n");
    // As when a container is made anew: the next is there before the last ends, and has its name before it starts.
    let mut words = vec!["create", "--network", "none", "--name", "next"];
    for label in [
        "project=shop",
        "service=web",
        "container-number=1",
        "oneoff=False",
    ] {
        let label = format!("com.docker.compose.{label}");
        words.extend(["--label", label.leak()]);
    }
    env.run(&[&words[..], &script].concat()).ok();
    env.run(&["rm", "-f", "shop-web-1"]).ok();
    follower.until("web-1 exited with code 137\n");
    assert!(follower.is_running());
    env.run(&["rename", "next", "shop-web-1"]).ok();
    env.run(&["start", "shop-web-1"]).ok();
    follower.until("web-1 exited with code 137\nweb-1  | begun\n");
    env.run(&["create", "--name", "stranger", "busybox"]).ok();
    env.run(&["kill", "shop-web-1"]).ok();
    follower.wait().ok();
    // What was made and goes unstarted holds nobody up.
    env.run(&["start", "shop-web-1"]).ok();
    let mut follower = env.spawn(&in_shop("compose logs", &["-f", "--tail=0"]));
    let made = env.out(&[&words[..], &script].concat());
    env.run(&["kill", "shop-web-1"]).ok();
    follower.until("web-1 exited with code 137\n");
    env.run(&["rm", &made]).ok();
    follower.wait().ok();
}

#[test]
fn compose_logs_follow_restarts() {
    let env = test_env!();
    env.busybox();
    let script = "echo run; exit 2";
    let policy = ["--restart", "on-failure:2", "busybox", "sh", "-c", script];
    member(&env, "web", 1, &policy);
    let shown = shop(&env, "compose logs", &["--follow"]).ok().stdout;
    let runs = shown.matches("web-1  | run\n").count();
    assert_eq!(runs, 3, "{shown}");
    let last = "web-1  | run\nweb-1 exited with code 2\n";
    assert!(shown.ends_with(last), "{shown}");
    let mut followed = env.spawn(&in_shop("compose logs", &["--follow", "web"]));
    followed.until("web-1  | run\n");
    env.run(&["start", "shop-web-1"]).ok();
    followed.wait();
}

#[test]
fn compose_logs_of_a_file_leave_out_what_is_not_attached() {
    let env = test_env!();
    some(&env);
    env.file(
        "shop/compose.yaml",
        "services:\n  web:\n    image: busybox\n    attach: false\n  db:\n    image: busybox\n",
    );
    let logs = |words: &[&str]| filed(&env, "compose logs", words).ok().stdout;
    assert_eq!(logs(&[]), "mydb  | 1\nmydb  | 2\nmydb  | 3\nmydb  | open\n");
    assert!(logs(&["web"]).contains("web-1  | out\n"));
    filed(&env, "compose logs", &["nothing"]).fails(1, "no such service: nothing");
    let silent = ["--log-driver", "none", "busybox", "sleep", "1000"];
    member(&env, "db", 2, &silent);
    filed(&env, "compose logs", &["-n", "1", "db"])
        .ok()
        .says("can't retrieve logs for \"shop-db-2\"")
        .prints("mydb  | open\n");
}
