//! Programs that do their worst to stay: each of them is stopped and removed, and the engine's own processes stay small and idle.

use std::fs;
use std::time::Duration;

use nix::unistd::getuid;

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::process::{Outcome, eventually};

/// Longer than any of these takes on a busy machine, and shorter than the ten seconds that docker waits.
const SOON: Duration = Duration::from_secs(9);

fn start(env: &TestEnv, flags: &[&str], script: &str) {
    let fixed = ["run", "-d", "--network", "none", "--name", "box"];
    env.run(&[&fixed, flags, &["busybox", "sh", "-c", script]].concat())
        .ok();
}

/// Stops it with a second of patience, then removes it.
fn ends(env: &TestEnv) {
    let stopped = env.run(&["stop", "-t", "1", "box"]).ok();
    assert!(stopped.took < SOON, "{stopped:?}");
    assert_eq!(
        env.out(&["inspect", "-f", "{{.State.Status}}", "box"]),
        "exited"
    );
    env.run(&["rm", "box"]).ok();
}

fn monitor(env: &TestEnv) -> String {
    let processes = env.processes();
    let monitor = processes.iter().find(|one| one.contains("bryo: monitor"));
    let pid = monitor.and_then(|one| one.split(' ').next());
    pid.expect("it runs").to_owned()
}

/// Clock ticks of processor time that a process has used (proc_pid_stat(5): 14 and 15).
fn ticks(pid: &str) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let (_, rest) = stat.rsplit_once(')').expect("the name is in parentheses");
    let field = |number: usize| -> u64 {
        let field = rest.split_whitespace().nth(number - 3);
        field
            .and_then(|field| field.parse().ok())
            .expect("it is a number")
    };
    field(14) + field(15)
}

/// KiB of memory that is the process's own.
fn private_memory(pid: &str) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it is ours");
    let line = rollup
        .lines()
        .find(|line| line.starts_with("Private_Dirty:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.expect("the kernel says it")
}

#[test]
fn one_that_floods_its_terminal_and_the_log() {
    let env = test_env!();
    env.busybox();
    let log = ["--log-opt", "max-size=1m", "--log-opt", "max-file=2"];
    start(&env, &[&["-t"][..], &log].concat(), "yes flood; sleep 1000");
    let directory = env.store().join("containers").join(&env.containers()[0]);
    eventually("a rotated log", || {
        fs::read_dir(&directory).is_ok_and(|entries| {
            let names = entries.flatten().map(|entry| entry.file_name());
            names
                .filter(|name| name.to_string_lossy().starts_with("log"))
                .count()
                > 1
        })
    });
    // Nobody reads what an attached client that stands still is sent: the program is held back, and the monitor does not hoard it.
    let client = env.spawn(&["attach", "--no-stdin", "box"]);
    client.signal(nix::sys::signal::Signal::SIGSTOP);
    env.run(&["ps"]).ok();
    let memory = private_memory(&monitor(&env));
    assert!(memory < 8 * 1024, "{memory} KiB");
    client.signal(nix::sys::signal::Signal::SIGCONT);
    ends(&env);
    client.wait();
}

#[test]
fn one_that_closes_its_standard_streams() {
    let env = test_env!();
    env.busybox();
    start(
        &env,
        &["-i"],
        "exec 0<&- 1>&- 2>&-; trap : TERM; while :; do sleep 0.05; done",
    );
    let pid = monitor(&env);
    eventually("closed streams", || {
        let fds = env.run(&["exec", "box", "ls", "/proc/1/fd"]).ok();
        !fds.lines().contains(&"1")
    });
    // A closed stream is no reason to look at it again and again.
    let before = ticks(&pid);
    env.run(&["exec", "box", "sleep", "0.5"]).ok();
    let used = ticks(&pid) - before;
    assert!(used < 15, "the monitor used {used} ticks in half a second");
    ends(&env);
}

#[test]
fn one_that_ignores_every_signal() {
    let env = test_env!();
    env.busybox();
    let script = "for number in $(seq 64); do trap '' $number 2>/dev/null; done; echo deaf; while :; do sleep 0.05; done";
    start(&env, &[], script);
    eventually("the traps", || env.out(&["logs", "box"]) == "deaf");
    for signal in ["TERM", "INT", "HUP", "QUIT", "USR1"] {
        env.run(&["kill", "-s", signal, "box"]).ok();
    }
    assert_eq!(
        env.out(&["inspect", "-f", "{{.State.Running}}", "box"]),
        "true"
    );
    ends(&env);
}

#[test]
fn one_that_fills_its_shared_memory_and_its_other_tmpfs() {
    let env = test_env!();
    env.busybox();
    let script = "for place in /dev/shm /scratch /dev; do cat /dev/zero >$place/all 2>/dev/null; done; echo full; sleep 1000";
    start(
        &env,
        &["--shm-size", "4m", "--tmpfs", "/scratch:size=4m"],
        script,
    );
    eventually("full file systems", || env.out(&["logs", "box"]) == "full");
    let sizes = env.out(&[
        "exec",
        "box",
        "stat",
        "-c",
        "%s",
        "/dev/shm/all",
        "/scratch/all",
    ]);
    assert_eq!(sizes, "4194304\n4194304");
    ends(&env);
}

/// How many processes and threads this user has: what RLIMIT_NPROC counts.
fn tasks_of_user() -> usize {
    let own = getuid().as_raw().to_string();
    let entries = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    let count = entries.filter_map(|entry| {
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1).map(str::to_owned)
        };
        (field("Uid:")? == own).then(|| field("Threads:")?.parse::<usize>().ok())?
    });
    count.sum()
}

/// The engine's own commands under the same limit, which the container has used up.
fn limited(env: &TestEnv, limit: usize, words: &[&str]) -> Outcome {
    let bryo = crate::env::bryo();
    let limit = format!("--nproc={limit}:{limit}");
    let fixed = [limit.as_str(), bryo.to_str().expect("test paths are UTF-8")];
    env.other("prlimit", &[&fixed, words].concat()).run()
}

#[test]
fn one_that_forks_until_its_user_may_not() {
    let env = test_env!();
    need!(Need::Program("prlimit"));
    env.busybox();
    // Others of this user come and go meanwhile, some by the hundred.
    let limit = tasks_of_user() + 1500;
    let script = "yes 1000 | head -n 100000 >/list; xargs -P 100000 -n 1 sleep </list; sleep 1000";
    let run = [
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "box",
        "busybox",
        "sh",
        "-c",
        script,
    ];
    let full = || {
        let said = env.run(&["logs", "box"]).ok().stderr;
        said.contains("Resource temporarily unavailable")
    };
    limited(&env, limit, &run).ok();
    eventually("no process left", full);
    for words in [
        &["ps"][..],
        &["inspect", "box"],
        &["logs", "box"],
        &["info"],
    ] {
        limited(&env, limit, words).ok();
    }
    let stopped = limited(&env, limit, &["stop", "-t", "1", "box"]).ok();
    assert!(stopped.took < SOON, "{stopped:?}");
    limited(&env, limit, &["rm", "box"]).ok();
    limited(&env, limit, &run).ok();
    eventually("no process left", full);
    limited(&env, limit, &["rm", "-f", "box"]).ok();
}
