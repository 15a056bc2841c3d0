//! What only a real Debian with systemd shows: limits that bite, what comes back after a reboot and a power cut, and timers of a
//! machine that slept. Runs the jobs of `tests/vm/jobs` in an emulated machine, which takes minutes: in long runs alone.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::env::{TestEnv, count, test_env};
use crate::need::{Need, need, skip, test_name};

/// A machine emulated by a busy host is a hundred times slower than the host.
const LIMIT: Duration = Duration::from_secs(1500);

macro_rules! machine_env {
    () => {{
        let env = test_env!();
        if count(0, 1) == 0 {
            skip(
                test_name!(),
                "an emulated machine takes minutes: tests/run --long",
            );
            return;
        }
        need!(
            Need::Program("qemu-system-x86_64"),
            Need::Fixture("machine")
        );
        env
    }};
}

/// Runs a job beside the program and an image; gives what it saw.
#[track_caller]
fn job(env: &TestEnv, name: &str, options: &[&str]) -> String {
    let share = env.path("home/share");
    fs::create_dir(&share).expect("home is writable");
    let copy = |from: PathBuf, to: &str| {
        fs::copy(from, share.join(to)).expect("it can be read");
    };
    copy(crate::env::bryo(), "bryo");
    copy(PathBuf::from("tests/vm/jobs").join(name), "job");
    let image = crate::image::busybox().docker_archive("busybox:latest");
    fs::write(share.join("image.tar"), image).expect("home is writable");
    let script = fs::canonicalize("tests/vm/run").expect("the checkout is the working directory");
    let text = |path: PathBuf| path.to_str().expect("test paths are UTF-8").to_owned();
    let machine = fs::canonicalize(crate::need::fixture("machine")).expect("it was made");
    let (machine, share) = (text(machine), text(share));
    let limit = (LIMIT.as_secs() - 60).to_string();
    let words = [&["--limit", &limit], options, &[&machine, &share, "./job"]].concat();
    let ended = env.other(&text(script), &words).limit(LIMIT).run();
    ended.ok().out()
}

#[test]
fn limits_bite_in_a_scope_of_the_users_systemd() {
    let env = machine_env!();
    let seen = job(&env, "limits", &[]);
    assert!(seen.contains("seen: its record: true 137"), "{seen}");
}

#[test]
fn processors_and_devices_are_limited_where_all_is_delegated() {
    let env = machine_env!();
    let seen = job(&env, "limits", &["--delegate", "cpu,cpuset,io,memory,pids"]);
    assert!(seen.contains("seen: io: rbps=1048576"), "{seen}");
}

#[test]
fn containers_run_again_after_reboots_and_power_cuts() {
    let env = machine_env!();
    let seen = job(&env, "boot", &[]);
    for line in [
        "boot 2: unless-stopped: running",
        "boot 3: the others: exited exited",
        "boot 5: stopped-always: running",
    ] {
        assert!(seen.contains(line), "{line:?} is missing in {seen}");
    }
}

#[test]
fn timers_survive_suspend_and_clock_changes() {
    let env = machine_env!();
    let seen = job(&env, "suspend", &["--sleeps", "--where", "root"]);
    for line in [
        "a container's time was over",
        "a check was due",
        "stop's time was over",
        "restart's time was over",
        "a pause was over",
        "an hour ahead: running running running, 0 checks",
        "an hour behind: over after",
    ] {
        assert!(seen.contains(line), "{line:?} is missing in {seen}");
    }
}
