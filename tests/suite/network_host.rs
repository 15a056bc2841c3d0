//! The host, as containers find it: by its names, on its outside addresses, and on those ports of its loopback that are open to them.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener};

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::network_bridge::{need_bridges, stay};
use crate::network_pasta::host_address;

/// A service of the host's that says its name to everybody who says something; gives its port. It lives as long as the test.
pub fn service(ip: IpAddr, name: &'static str) -> String {
    let listener = TcpListener::bind((ip, 0)).expect("the host has ports");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let mut client = client;
            // pasta of 2023 can lose the answer to one that closes its half at once.
            let _ = client.read(&mut [0; 99]);
            let _ = client.write_all(name.as_bytes());
        }
    });
    port.to_string()
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What a container hears there; the client asks, and its own side stays open.
pub fn heard(env: &TestEnv, container: &str, to: &str, port: &str) -> String {
    let script = format!(
        "mkfifo /f$$; exec 3<>/f$$; echo ask >&3; timeout 5 nc {to} {port} <&3 3<&- | head -n 1"
    );
    env.run(&["exec", container, "sh", "-c", &script]).stdout
}

/// That it hears this, sooner or later: a machine may be slow.
pub fn hears(env: &TestEnv, container: &str, to: &str, port: &str, what: &str) {
    let told = format!("{what:?} of {to}:{port} in {container}");
    crate::process::eventually(&told, || heard(env, container, to, port) == what);
}

const NAMES: [&str; 2] = ["host.docker.internal", "host.containers.internal"];

#[test]
fn the_host_is_found_by_its_names_and_its_loopback_is_not() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let Some(ip) = host_address() else {
        return crate::need::lacks(crate::need::test_name!(), "the host has no network");
    };
    let (outside, inside) = (service(ip, "outside\n"), service(LOOPBACK, "inside\n"));
    env.run(&["network", "create", "one"]).ok();
    env.run(&["network", "create", "--internal", "shut"]).ok();
    stay(&env, "own", &["--network", "pasta"]);
    stay(&env, "shared", &["--network", "one"]);
    stay(&env, "internal", &["--network", "shut"]);
    for container in ["own", "shared"] {
        for name in NAMES {
            hears(&env, container, name, &outside, "outside\n");
        }
        assert_eq!(heard(&env, container, NAMES[0], &inside), "", "{container}");
    }
    assert_eq!(heard(&env, "internal", NAMES[0], &outside), "");
    // docker's word for the host, on a network of either kind.
    for network in ["one", "pasta"] {
        let name = format!("up-{network}");
        stay(
            &env,
            &name,
            &["--network", network, "--add-host", "up:host-gateway"],
        );
        hears(&env, &name, "up", &outside, "outside\n");
    }
    let own = ["--add-host", "host.docker.internal:192.0.2.7"];
    stay(&env, "said", &[&["--network", "one"], &own[..]].concat());
    let hosts = env.out(&["exec", "said", "cat", "/etc/hosts"]);
    let of = |name: &str| {
        hosts
            .lines()
            .filter(|line| line.contains(name))
            .collect::<Vec<_>>()
    };
    assert_eq!(of(NAMES[0]), ["192.0.2.7\thost.docker.internal"]);
    assert_eq!(of(NAMES[1]), ["169.254.1.2\thost.containers.internal"]);
}

#[test]
fn host_port_opens_one_port_of_the_loopback_to_one_container() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let (open, shut) = (service(LOOPBACK, "open\n"), service(LOOPBACK, "shut\n"));
    env.run(&["network", "create", "one"]).ok();
    env.run(&["network", "create", "--internal", "inside"]).ok();
    let mapped = format!("{open}:80");
    for network in ["one", "inside"] {
        stay(&env, "aa", &["--network", network, "--host-port", &open]);
        stay(
            &env,
            "bb",
            &[
                "--network",
                network,
                "--host-port",
                &mapped,
                "--egress",
                "none",
            ],
        );
        stay(&env, "cc", &["--network", network]);
        hears(&env, "aa", NAMES[0], &open, "open\n");
        hears(&env, "bb", NAMES[1], "80", "open\n");
        for (container, port) in [
            ("aa", "80"),
            ("aa", &shut),
            ("bb", &open),
            ("cc", &open),
            ("cc", "80"),
        ] {
            let said = heard(&env, container, NAMES[0], port);
            assert_eq!(said, "", "{container} {port} on {network}");
        }
        let listed = env.out(&["inspect", "-f", "{{.HostConfig.HostPorts}}", "aa", "bb"]);
        assert_eq!(listed, format!("[{open}:{open}]\n[{open}:80]"));
        env.run(&["restart", "-t", "0", "aa"]).ok();
        hears(&env, "aa", NAMES[0], &open, "open\n");
        env.run(&["rm", "-f", "aa", "bb", "cc"]).ok();
    }
    let twice = [
        "create",
        "--network",
        "one",
        "--host-port",
        "1:80",
        "--host-port",
        "2:80",
        "busybox",
    ];
    env.run(&twice)
        .fails(1, "port 80 of the container is given twice");
    env.run(&["create", "--network", "one", "--host-port", "0", "busybox"])
        .fails(125, "invalid host port");
}

/// As on a laptop that comes into another network: new connections find the host at its new address.
#[test]
fn the_host_is_found_after_its_address_has_changed() {
    let env = test_env!();
    need_bridges!();
    need!(Need::Program("ip"));
    env.busybox();
    let script = r#"
        set -e
        ip link set lo up
        ip link add cable0 type veth peer name cable1
        ip link set cable0 up
        ip link set cable1 up
        ip addr add 10.9.9.1/24 dev cable0
        ip route add default via 10.9.9.2
        busybox nc -ll -p 7777 -e echo hello &
        service=$!
        "$BRYO" run -d --name aa --network bridge --add-host up:host-gateway busybox sleep 1000 >/dev/null
        ask() {
            for name in host.docker.internal up; do
                tries=0
                until "$BRYO" exec aa sh -c "(sleep 5) | timeout 5 nc $name 7777 | head -n 1" | grep hello || [ $tries = 50 ]; do
                    tries=$((tries + 1))
                done
            done
        }
        ask
        ip addr del 10.9.9.1/24 dev cable0
        ip addr add 10.9.8.1/24 dev cable0
        ip route replace default via 10.9.8.2
        ask
        "$BRYO" rm -f aa >/dev/null
        kill $service
    "#;
    let shown = env.apart(&[], script).run();
    assert_eq!(shown.stdout, "hello\n".repeat(4), "{shown:?}");
}
