//! Networks that a container has to itself, with options: pasta's, slirp4netns's, and a namespace that is there already.

use std::net::{IpAddr, Ipv4Addr};

use crate::env::test_env;
use crate::need::{Need, need};
use crate::network_bridge::stay;
use crate::network_host::{heard, hears, service};
use crate::network_pasta::{answer, free_port, host_address};
use crate::process::eventually;
use crate::spellings::WAYS;

#[test]
fn pasta_takes_the_options_that_are_the_containers() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    env.busybox();
    let network = "pasta:-m,1400,-a,10.7.0.9,-n,24,-g,10.7.0.1,-I,up0";
    stay(&env, "aa", &["--network", network]);
    let shown = |words: &[&str]| env.out(&[&["exec", "aa"], words].concat());
    assert_eq!(shown(&["cat", "/sys/class/net/up0/mtu"]), "1400");
    assert!(shown(&["ip", "addr", "show", "up0"]).contains("inet 10.7.0.9/24"));
    let hosts = shown(&["cat", "/etc/hosts"]);
    assert!(hosts.contains("10.7.0.9\t"), "{hosts}");
    let mode = env.out(&["inspect", "-f", "{{.HostConfig.NetworkMode}}", "aa"]);
    let canonical =
        "pasta:--mtu,1400,--address,10.7.0.9,--netmask,24,--gateway,10.7.0.1,--ns-ifname,up0";
    assert_eq!(mode, canonical);
    let listed = ["ps", "-q", "--filter", "network=pasta"];
    assert_eq!(env.out(&listed).lines().count(), 1);
    env.run(&["restart", "-t", "0", "aa"]).ok();
    eventually("the same after a restart", || {
        shown(&["cat", "/sys/class/net/up0/mtu"]) == "1400"
    });
}

/// Ways to the host's loopback that are shut unless somebody opens them.
#[test]
fn pasta_opens_the_hosts_loopback_where_it_is_told_to() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    env.busybox();
    let inside = service(IpAddr::V4(Ipv4Addr::LOCALHOST), "inside\n");
    let forward = format!("pasta:-T,{inside}");
    for (name, network, place) in [
        ("gateway", "pasta:--map-gw", "10.0.2.2"),
        ("forward", forward.as_str(), "127.0.0.1"),
    ] {
        stay(&env, name, &["--network", network]);
        hears(&env, name, place, &inside, "inside\n");
    }
    stay(&env, "neither", &["--network", "pasta"]);
    for place in ["10.0.2.2", "127.0.0.1"] {
        assert_eq!(heard(&env, "neither", place, &inside), "", "{place}");
    }
}

/// Each of them is pasta's, slirp4netns's or no word at all; the container is not made.
#[test]
fn options_that_are_none_are_refused_by_name() {
    let env = test_env!();
    env.busybox();
    for (network, words) in [
        ("pasta:--colour", "pasta has no option --colour"),
        ("pasta:mtu=1400", "pasta has no option mtu=1400"),
        ("pasta:--netns,/proc/1/ns/net", "--netns is bryo's own"),
        ("pasta:--mtu,many", "invalid value \"many\""),
        (
            "slirp4netns:colour=red",
            "unknown option for slirp4netns: \"colour=red\"",
        ),
        (
            "slirp4netns:mtu=many",
            "invalid value of mtu for slirp4netns: \"many\"",
        ),
        (
            "slirp4netns:port_handler=rootlesskit",
            "port_handler rootlesskit of slirp4netns is not supported",
        ),
        ("ns:net", "it should be ns:/PATH"),
    ] {
        for way in WAYS {
            let verb: Vec<&str> = way.make.split(' ').collect();
            let words_of = [&verb[..], &["--network", network, "busybox", "true"]].concat();
            env.run(&words_of).fails(125, words);
        }
    }
    assert_eq!(env.out(&["ps", "-aq"]), "");
    for name in ["pasta", "slirp4netns", "default"] {
        env.run(&["network", "create", name])
            .fails(1, "is a word of --network");
    }
}

#[test]
fn slirp4netns_connects_a_container() {
    let env = test_env!();
    need!(Need::Program("slirp4netns"), Need::Device("/dev/net/tun"));
    env.busybox();
    let inside = service(IpAddr::V4(Ipv4Addr::LOCALHOST), "inside\n");
    let network = "slirp4netns:mtu=1400,cidr=10.7.0.0/24";
    stay(&env, "aa", &["--network", network]);
    let shown = |name: &str, words: &[&str]| env.out(&[&["exec", name], words].concat());
    assert_eq!(shown("aa", &["cat", "/sys/class/net/eth0/mtu"]), "1400");
    assert!(shown("aa", &["ip", "addr", "show", "eth0"]).contains("inet 10.7.0.100/24"));
    let resolver = shown("aa", &["cat", "/etc/resolv.conf"]);
    assert!(resolver.starts_with("nameserver 10.7.0.3"), "{resolver}");
    assert_eq!(heard(&env, "aa", "10.7.0.2", &inside), "");
    let open = "slirp4netns:allow_host_loopback=true,enable_ipv6=true";
    stay(&env, "bb", &["--network", open]);
    assert!(!shown("aa", &["ip", "-6", "route"]).contains("default"));
    eventually("IPv6, where it is asked for", || {
        shown("bb", &["ip", "-6", "route"]).contains("default via fe80::2")
    });
    let hears = || heard(&env, "bb", "10.0.2.2", &inside) == "inside\n";
    eventually("the host's loopback, where it is allowed", hears);
    if let Some(ip) = host_address() {
        let outside = service(ip, "outside\n");
        let hears = || heard(&env, "aa", "host.docker.internal", &outside) == "outside\n";
        eventually("the host", hears);
    }
}

#[test]
fn slirp4netns_publishes_ports_for_as_long_as_the_container_runs() {
    let env = test_env!();
    need!(Need::Program("slirp4netns"), Need::Device("/dev/net/tun"));
    env.busybox();
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let publish = format!("{address}:8080");
    let start = ["run", "-d", "--name", "server", "--network", "slirp4netns"];
    let serve = ["busybox", "nc", "-ll", "-p", "8080", "-e", "echo", "pong"];
    env.run(&[&start[..], &["-p", &publish], &serve].concat())
        .ok();
    let answers = || answer(&address).as_deref() == Some("pong\n");
    eventually("an answer", answers);
    assert_eq!(
        env.out(&["port", "server"]),
        format!("8080/tcp -> {address}")
    );
    let second = ["run", "--rm", "--network", "slirp4netns", "-p", &publish];
    env.run(&[&second[..], &["busybox", "true"]].concat())
        .fails(125, "port is already allocated");
    let six = ["run", "--rm", "--network", "slirp4netns", "-p", "[::1]::80"];
    let refused = env.run(&[&six[..], &["busybox", "true"]].concat());
    refused.fails(125, "slirp4netns publishes ports of IPv4 alone");
    for _ in 0..3 {
        env.run(&["restart", "-t", "0", "server"]).ok();
        eventually("an answer again", answers);
    }
    env.run(&["stop", "-t", "0", "server"]).ok();
    std::net::TcpListener::bind(&address).expect("the port is free");
}

/// The shared network, and a container's own, lead out by it.
#[test]
fn without_pasta_there_is_slirp4netns() {
    let env = test_env!();
    need!(Need::Program("slirp4netns"), Need::Device("/dev/net/tun"));
    env.busybox();
    let archive = crate::image::busybox().docker_archive("busybox:latest");
    let file = env.file("busybox.tar", archive);
    let lacking = |programs: &[&str], lines: &str| env.lacking(programs, lines);
    let pastas = ["pasta", "pasta.avx2"];
    lacking(&pastas, &format!("exec $BRYO load -q -i {file}")).ok();
    let lines = "
        set -e
        $BRYO network create one >/dev/null
        $BRYO run -d --name aa --network one busybox nc -ll -p 7000 -e echo hello >/dev/null
        $BRYO run --rm --network one busybox sh -c 'until nc aa 7000 </dev/null | grep hello; do :; done'
        $BRYO exec aa ip route
        ps -e -o comm= | grep -c '^slirp4netns$'
        $BRYO rm -f aa >/dev/null
        $BRYO network rm one >/dev/null
    ";
    let shared = lacking(&pastas, lines).ok().out();
    assert!(shared.starts_with("hello\n"), "{shared}");
    assert!(shared.contains("default via "), "{shared}");
    let make = "BRYO_NETWORK=pasta $BRYO create --name cc busybox true >/dev/null && $BRYO inspect -f '{{.HostConfig.NetworkMode}}' cc; $BRYO rm cc >/dev/null";
    assert_eq!(lacking(&pastas, make).ok().out(), "slirp4netns");
}

/// That of another container: what listens there is reached, and nothing of it is this container's to change.
#[test]
fn a_network_namespace_is_joined_by_its_file() {
    let env = test_env!();
    env.busybox();
    let start = ["run", "-d", "--name", "aa", "--network", "none", "busybox"];
    let serve = ["nc", "-ll", "-p", "7000", "-e", "echo", "hello"];
    env.run(&[&start[..], &serve].concat()).ok();
    let pid = env.out(&["inspect", "-f", "{{.State.Pid}}", "aa"]);
    let network = format!("ns:/proc/{pid}/ns/net");
    stay(&env, "bb", &["--network", &network]);
    let place = |name: &str| env.out(&["exec", name, "readlink", "/proc/self/ns/net"]);
    assert_eq!(place("aa"), place("bb"));
    let asked = ["exec", "bb", "sh", "-c", "nc 127.0.0.1 7000 </dev/null"];
    eventually("an answer", || env.run(&asked).stdout == "hello\n");
    let change = ["exec", "bb", "ip", "link", "set", "lo", "down"];
    assert_ne!(env.run(&change).code, 0, "it owns nothing there");
    env.run(&["restart", "-t", "0", "bb"]).ok();
    eventually("the same after a restart", || place("aa") == place("bb"));
    let refused = |network: &str, words: &str| {
        let run = ["run", "--rm", "--network", network, "busybox", "true"];
        env.run(&run).fails(125, words);
    };
    refused(
        "ns:/nowhere",
        "Error: network namespace /nowhere: No such file or directory\n",
    );
    let other = format!("ns:/proc/{pid}/ns/uts");
    refused(&other, "it is no network namespace");
    refused("ns:/dev/null", "it is no network namespace");
    // The host's own belongs to somebody else.
    refused("ns:/proc/self/ns/net", "clone the container's init");
    let publish = ["create", "--network", &network, "-p", "80", "busybox"];
    env.run(&publish)
        .fails(1, "conflicting options: port publishing");
}
