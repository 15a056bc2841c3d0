//! Docker's tutorial on bridge networks, "Networking with standalone containers", command by command, with busybox for alpine.

use crate::env::{TestEnv, test_env};
use crate::network_bridge::{address, need_bridges};

/// One line typed at a container's shell, which is left again as the tutorial leaves it.
fn type_in(env: &TestEnv, container: &str, line: &str, expected: &str) {
    let mut terminal = env.terminal(&["attach", container]);
    terminal.types(&format!("{line}\n"));
    terminal.expect(expected);
    terminal.types("\x10\x11");
    assert_eq!(terminal.wait(), 0);
}

/// The names of the containers that `network inspect` lists, sorted.
fn members(env: &TestEnv, network: &str) -> String {
    let format = "{{range .Containers}}{{println .Name}}{{end}}";
    let shown = env.out(&["network", "inspect", "-f", format, network]);
    let mut names: Vec<&str> = shown.split_whitespace().collect();
    names.sort_unstable();
    names.join(" ")
}

fn networks(env: &TestEnv) -> String {
    let format = "{{.Name}} {{.Driver}} {{.Scope}}";
    env.out(&["network", "ls", "--format", format])
}

const BUILT_IN: &str = "bridge bridge local\nhost host local\nnone null local";
const TWO_BACK: &str = "2 packets received";

#[test]
fn the_default_bridge_network_is_used() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    assert_eq!(networks(&env), BUILT_IN);
    for name in ["alpine1", "alpine2"] {
        env.run(&["run", "-dit", "--name", name, "busybox", "sh"])
            .ok();
    }
    let listed = env.out(&["container", "ls", "--format", "{{.Names}} {{.Image}}"]);
    assert_eq!(listed, "alpine2 busybox\nalpine1 busybox");
    assert_eq!(members(&env, "bridge"), "alpine1 alpine2");
    let config = "{{range .IPAM.Config}}{{.Gateway}}{{end}}";
    let gateway = env.out(&["network", "inspect", "-f", config, "bridge"]);
    assert!(gateway.ends_with(".0.1"), "{gateway}");
    let (one, two) = (
        address(&env, "alpine1", "bridge"),
        address(&env, "alpine2", "bridge"),
    );
    type_in(
        &env,
        "alpine1",
        "ip addr show eth0",
        &format!("inet {one}/16"),
    );
    type_in(&env, "alpine1", &format!("ping -c 2 {two}"), TWO_BACK);
    type_in(
        &env,
        "alpine1",
        "ping -c 2 alpine2",
        "bad address 'alpine2'",
    );
    env.run(&["container", "stop", "-t", "0", "alpine1", "alpine2"])
        .ok();
    env.run(&["container", "rm", "alpine1", "alpine2"]).ok();
    assert_eq!(members(&env, "bridge"), "");
}

#[test]
fn user_defined_bridge_networks_are_used() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "--driver", "bridge", "alpine-net"])
        .ok();
    assert_eq!(
        networks(&env),
        format!("alpine-net bridge local\n{BUILT_IN}")
    );
    assert_eq!(members(&env, "alpine-net"), "");
    for (name, network) in [
        ("alpine1", Some("alpine-net")),
        ("alpine2", Some("alpine-net")),
        ("alpine3", None),
        ("alpine4", Some("alpine-net")),
    ] {
        let mut words = vec!["run", "-dit", "--name", name];
        words.extend(network.iter().flat_map(|network| ["--network", network]));
        words.extend(["busybox", "sh"]);
        env.run(&words).ok();
    }
    env.run(&["network", "connect", "bridge", "alpine4"]).ok();
    assert_eq!(env.out(&["container", "ls", "-q"]).lines().count(), 4);
    assert_eq!(members(&env, "bridge"), "alpine3 alpine4");
    assert_eq!(members(&env, "alpine-net"), "alpine1 alpine2 alpine4");
    let three = address(&env, "alpine3", "bridge");
    for name in ["alpine2", "alpine4", "alpine1"] {
        type_in(&env, "alpine1", &format!("ping -c 2 {name}"), TWO_BACK);
    }
    type_in(
        &env,
        "alpine1",
        "ping -c 2 alpine3",
        "bad address 'alpine3'",
    );
    let lost = format!("ping -c 2 -W 1 {three}");
    type_in(&env, "alpine1", &lost, "100% packet loss");
    for name in ["alpine1", "alpine2", "alpine4"] {
        type_in(&env, "alpine4", &format!("ping -c 2 {name}"), TWO_BACK);
    }
    type_in(
        &env,
        "alpine4",
        "ping -c 2 alpine3",
        "bad address 'alpine3'",
    );
    type_in(&env, "alpine4", &format!("ping -c 2 {three}"), TWO_BACK);
    let all = ["alpine1", "alpine2", "alpine3", "alpine4"];
    env.run(&[&["container", "stop", "-t", "0"], &all[..]].concat())
        .ok();
    env.run(&[&["container", "rm"], &all[..]].concat()).ok();
    env.run(&["network", "rm", "alpine-net"]).ok();
    assert_eq!(networks(&env), BUILT_IN);
}
