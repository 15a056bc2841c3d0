//! Ports that are published on networks that containers share, in every way that they are asked for and come to their end.

use std::net::TcpListener;

use nix::sys::signal::{Signal, kill};

use crate::env::{TestEnv, count, test_env};
use crate::need::{Need, need};
use crate::network_bridge::need_bridges;
use crate::network_pasta::{answer, assert_echo, free_port};
use crate::process::eventually;

/// A container that answers `pong` to every connection on its port 8080.
#[track_caller]
fn server(env: &TestEnv, flags: &[&str]) {
    let start = ["run", "-d", "--name", "server"];
    let command = ["busybox", "nc", "-ll", "-p", "8080", "-e", "echo", "pong"];
    env.run(&[&start[..], flags, &command].concat()).ok();
}

fn answers(address: &str) -> bool {
    answer(address).as_deref() == Some("pong\n")
}

#[test]
fn a_udp_port_answers() {
    let env = test_env!();
    need_bridges!();
    need!(Need::Program("perl"));
    env.busybox();
    env.run(&["network", "create", "one"]).ok();
    let port = free_port();
    for (network, publish) in [
        ("one", format!("127.0.0.1:{port}:8080/udp")),
        ("bridge", format!("{port}:8080/udp")),
    ] {
        let flags = ["--network", network];
        let outside = ([127, 0, 0, 1], port).into();
        assert_echo(&env, &flags, &publish, 8080, outside);
    }
}

#[test]
fn a_port_without_an_address_is_published_for_both_families() {
    let env = test_env!();
    need_bridges!();
    if TcpListener::bind("[::1]:0").is_err() {
        return crate::need::lacks(crate::need::test_name!(), "no IPv6 on the loopback");
    }
    env.busybox();
    env.run(&["network", "create", "--ipv6", "six"]).ok();
    for network in ["bridge", "six"] {
        server(&env, &["--network", network, "-p", "8080"]);
        let shown = env.out(&["port", "server"]);
        let port = shown
            .split(['\n', ':'])
            .nth(1)
            .unwrap_or_else(|| panic!("no port in {shown:?}"));
        let both = format!("8080/tcp -> 0.0.0.0:{port}\n8080/tcp -> [::]:{port}");
        assert_eq!(shown, both);
        let listed = format!("0.0.0.0:{port}->8080/tcp, [::]:{port}->8080/tcp");
        assert_eq!(env.out(&["ps", "--format", "{{.Ports}}"]), listed);
        for address in ["127.0.0.1", "[::1]"] {
            let address = format!("{address}:{port}");
            eventually(&address, || answers(&address));
        }
        let taken = format!("[::]:{port}:80");
        let words = ["run", "--rm", "--network", network, "-p", &taken];
        env.run(&[&words[..], &["busybox", "true"]].concat())
            .fails(125, "port is already allocated");
        env.run(&["rm", "-f", "server"]).ok();
    }
}

#[test]
fn a_port_is_there_again_after_each_restart() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "one"]).ok();
    let address = format!("127.0.0.1:{}", free_port());
    let publish = format!("{address}:8080");
    server(&env, &["--network", "one", "-p", &publish]);
    for _ in 0..count(5, 100) {
        env.run(&["restart", "-t", "0", "server"]).ok();
        eventually("an answer", || answers(&address));
    }
}

#[test]
fn the_port_of_a_killed_monitor_is_free() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "one"]).ok();
    let address = format!("127.0.0.1:{}", free_port());
    let publish = format!("{address}:8080");
    for _ in 0..2 {
        server(&env, &["--network", "one", "-p", &publish]);
        eventually("an answer", || answers(&address));
        let pid = env.out(&["inspect", "-f", "{{.State.Pid}}", "server"]);
        let monitor = crate::network_bridge::parent(&pid);
        kill(nix::unistd::Pid::from_raw(monitor), Signal::SIGKILL).expect("it is this user's");
        eventually("the port is free", || TcpListener::bind(&address).is_ok());
        env.run(&["rm", "-f", "server"]).ok();
    }
}

#[test]
fn networks_that_bryo_has_not_are_refused_by_name() {
    let env = test_env!();
    env.busybox();
    for network in [
        "pasta:--mtu,1400",
        "slirp4netns:mtu=1400",
        "ns:/proc/1/ns/net",
    ] {
        let driver = network.split(':').next().unwrap_or_default();
        let words = format!("network driver {driver} is not supported");
        env.run(&["run", "--network", network, "busybox", "true"])
            .fails(125, &words);
    }
}
