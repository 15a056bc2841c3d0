//! `kill -9` of a pull's processes at every moment: the store stays valid, and the next pull works.

use nix::sys::signal::{Signal, kill};

use crate::env::{count, test_env};
use crate::misbehaving::{Registry, TestImage, TestLayer, image};
use crate::recovery::{assert_valid, role, until_moment};

/// Layers of several megabytes that hardly compress, so that a pull has moments to strike at.
fn registry() -> (Registry, String) {
    let mut state = 1_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let layers = ["one", "two", "three"].map(|name| {
        let content: Vec<u8> = (0..200_000).flat_map(|_| noise()).collect();
        let halves = content.split_at(content.len() / 2);
        TestLayer::gzip(&image::tar(&[
            (name, halves.0),
            (&format!("{name}-more"), halves.1),
        ]))
    });
    let registry = Registry::start();
    registry.add("app", "1", &TestImage::new(layers.to_vec()));
    let name = registry.reference("app:1");
    (registry, name)
}

#[test]
fn a_pull_whose_transfer_is_killed_at_any_moment_leaves_a_valid_store() {
    let env = test_env!();
    env.busybox();
    let (_registry, name) = registry();
    let whole = env.run(&["pull", &name]).ok().took;
    let tries = u32::try_from(count(20, 200)).expect("it is small");
    let mut struck = 0;
    for number in 0..tries {
        env.run(&["rmi", "-f", &name]);
        let pull = env.spawn(&["pull", &name]);
        until_moment(whole, number, tries);
        let hit = role(pull.pid(), "bryo: transfer")
            .is_some_and(|pid| kill(pid, Signal::SIGKILL).is_ok());
        let end = pull.wait();
        assert!(end.code == 0 || hit && end.code == 1, "{end:?}");
        assert!(!end.stderr.contains("panicked"), "{end:?}");
        struck += u32::from(end.code == 1);
        assert_valid(&env, &format!("a transfer killed at {number} of {tries}"));
    }
    assert!(struck > tries / 4, "only {struck} of {tries} were hit");
    env.run(&["pull", &name]).ok();
}

#[test]
fn a_pull_killed_at_any_moment_leaves_a_valid_store_and_no_process() {
    let env = test_env!();
    env.busybox();
    let (_registry, name) = registry();
    let whole = env.run(&["pull", &name]).ok().took;
    let tries = u32::try_from(count(20, 200)).expect("it is small");
    for number in 0..tries {
        env.run(&["rmi", "-f", &name]);
        let pull = env.spawn(&["pull", &name]);
        until_moment(whole, number, tries);
        pull.signal(Signal::SIGKILL);
        pull.wait();
        assert_valid(&env, &format!("a pull killed at {number} of {tries}"));
    }
    env.run(&["pull", &name]).ok();
}
