//! `run` again and again: every byte of its output arrives, and nothing hangs or stays behind.

use crate::env::{count, shared_env, test_env};

const RUN: [&str; 5] = ["run", "--rm", "--network", "none", "busybox"];

#[test]
fn output_is_whole_when_the_run_has_ended() {
    let env = shared_env!();
    env.busybox();
    let program = ["head", "-c", "500000", "/dev/zero"];
    for _ in 0..count(25, 500) {
        let run = env.run(&[&RUN[..], &program].concat()).ok();
        assert_eq!(run.stdout.len(), 500_000);
    }
    // Through a pipe of the shell's, whose reader is slower.
    let bryo = crate::env::bryo();
    let line = format!(
        "\"$BRYO\" {} head -c 500000 /dev/zero | (sleep 0.05; wc -c)",
        RUN.join(" ")
    );
    for _ in 0..count(10, 100) {
        let counted = env
            .other("sh", &["-c", &line])
            .var("BRYO", &bryo)
            .run()
            .ok();
        assert_eq!(counted.out(), "500000");
    }
}

#[test]
fn eight_lanes_of_runs_leave_nothing_behind() {
    let env = test_env!();
    env.busybox();
    let each = count(10, 125);
    let lane = |lane: usize| {
        for round in 0..each {
            let word = format!("{lane} {round}");
            assert_eq!(env.out(&[&RUN[..], &["echo", &word]].concat()), word);
        }
    };
    std::thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || lane(number));
        }
    });
    assert_eq!(env.out(&["ps", "-aq"]), "");
    assert_eq!(env.containers(), Vec::<String>::new());
}

/// The ends of some fall between the words of others.
#[test]
fn eight_lanes_of_executed_programs_all_begin() {
    let env = shared_env!();
    env.busybox();
    let start = ["run", "-d", "--network", "none", "--name", "box"];
    env.run(&[&start[..], &["busybox", "sleep", "1000"]].concat())
        .ok();
    let each = count(25, 250);
    let lane = || {
        for _ in 0..each {
            env.run(&["exec", "box", "true"]).ok();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(lane);
        }
    });
}
