//! Times and text: zones, clocks and locales of whoever asks change what docker has them change and nothing else.

use std::fs;

use crate::env::{TestEnv, test_env};
use crate::process::eventually;
use crate::recovery::pids;

/// Half an hour off every usual zone, in the words of tzset(3): no file of the host's has to know it.
const ZONE: &str = "<+0530>-5:30";
const OFFSET: &str = "+05:30";

fn stay(env: &TestEnv, flags: &[&str]) {
    let begin = ["run", "-d", "--network", "none", "--name", "box"];
    let script = "echo said; exec sleep 1000";
    env.run(&[&begin[..], flags, &["busybox", "sh", "-c", script]].concat())
        .ok();
}

#[test]
fn logs_and_inspect_are_in_utc_and_events_in_local_time() {
    let env = test_env!();
    env.busybox();
    stay(&env, &[]);
    eventually("its line", || !env.out(&["logs", "box"]).is_empty());
    let ask = |words: &[&str]| env.command(words).var("TZ", ZONE).run().ok().out();
    let first = |text: String| text.split(' ').next().unwrap_or_default().to_owned();
    let logged = first(ask(&["logs", "-t", "box"]));
    let started = ask(&["inspect", "-f", "{{.State.StartedAt}}", "box"]);
    // 2026-11-27T12:00:00.123456789Z: of a log all nine digits, of a state none that says nothing.
    assert!(logged.len() == 30 && logged.ends_with('Z'), "{logged}");
    assert!(started.ends_with('Z'), "{started}");
    started.parse::<jiff::Timestamp>().expect("it is RFC 3339");
    let events = |since: &str, until: &str| {
        let filter = ["--filter", "event=start", "--filter", "container=box"];
        ask(&[&["events", "--since", since, "--until", until], &filter[..]].concat())
    };
    let told = events("1", "0s");
    assert!(first(told.clone()).ends_with(OFFSET), "{told}");
    // One moment in every way of saying it: an event that is not before it, and not after it.
    let started: jiff::Timestamp = first(told).parse().expect("it is RFC 3339");
    let seconds = format!("{}.{:09}", started.as_second(), started.subsec_nanosecond());
    for moment in [started.to_string(), seconds] {
        assert_eq!(events(&moment, "0s").lines().count(), 1, "{moment}");
        assert_eq!(events("1", &moment).lines().count(), 1, "{moment}");
    }
    assert_eq!(events("1h", "0s").lines().count(), 1);
    assert_eq!(events("2h", "1h").lines().count(), 0);
    let day = |moment: &str| events(moment, "0s").lines().count();
    assert_eq!((day("2020-01-02"), day("2020-01-02T03:04:05")), (1, 1));
}

#[test]
fn a_monitors_timers_go_on_while_the_machine_sleeps() {
    let env = test_env!();
    env.busybox();
    stay(&env, &["--health-cmd", "true", "--health-interval", "1h"]);
    let monitor = pids(&env, "bryo: monitor box");
    assert_eq!(clocks(monitor[0].as_raw()), BOOTTIME);
}

/// As in time.h.
const BOOTTIME: &str = "7";
const REALTIME: &str = "0";

/// The clock of the timers that a process has, once it has one.
fn clocks(pid: i32) -> String {
    let directory = format!("/proc/{pid}/fdinfo");
    let mut clocks = Vec::new();
    eventually("a timer is set", || {
        let files = fs::read_dir(&directory).expect("it runs").flatten();
        let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
        let all: String = texts.collect();
        let lines = all.lines();
        let found = lines.filter_map(|line| line.strip_prefix("clockid: "));
        clocks = found.map(str::to_owned).collect();
        !clocks.is_empty()
    });
    clocks.dedup();
    clocks.join(" ")
}

#[test]
fn a_commands_timers_go_on_while_the_machine_sleeps() {
    let env = test_env!();
    env.busybox();
    let script = "trap : TERM; while :; do sleep 1; done";
    let run = ["run", "-d", "--network", "none", "--name", "patient"];
    env.run(&[&run[..], &["busybox", "sh", "-c", script]].concat())
        .ok();
    let later = (jiff::Timestamp::now().as_second() + 1000).to_string();
    for (words, clock) in [
        (&["events", "--until", &later][..], REALTIME),
        (&["logs", "-f", "--until", &later, "patient"], REALTIME),
        (&["restart", "-t", "1000", "patient"], BOOTTIME),
        // Last: a container that is being stopped is not restarted.
        (&["stop", "-t", "1000", "patient"], BOOTTIME),
    ] {
        let command = env.spawn(words);
        assert_eq!(clocks(command.pid()), clock, "{words:?}");
        command.signal(nix::sys::signal::Signal::SIGTERM);
        command.wait();
    }
}

#[test]
fn every_locale_gets_the_same_text() {
    let env = test_env!();
    env.busybox();
    env.out(&[
        "create", "--name", "box", "--label", "i=ıİ", "busybox", "echo", "1,5",
    ]);
    for words in [
        &[
            "ps",
            "-a",
            "--format",
            "{{.Names}} {{.Command}} {{.Status}} {{.Labels}} {{upper .Names}}",
        ][..],
        &["inspect", "box"],
        &["images", "--format", "{{.Repository}} {{.Size}}"],
        &["info"],
        &["run", "--help"],
        &["load", "-i", "/not/there"],
        &["run", "--memory", "1,5g", "busybox"],
        &["start", "nobody"],
    ] {
        let told = [
            "C",
            "POSIX",
            "C.UTF-8",
            "tr_TR.UTF-8",
            "de_DE",
            "ja_JP.SJIS",
        ]
        .map(|locale| {
            let command = env.command(words).var("LC_ALL", locale);
            let outcome = command.var("LANG", locale).var("LANGUAGE", "de:tr").run();
            (outcome.code, outcome.stdout, outcome.stderr)
        });
        assert!(
            told.iter().all(|one| *one == told[0]),
            "{words:?}: {told:?}"
        );
    }
}
