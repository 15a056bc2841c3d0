//! What containers with `--egress` reach, tried from inside as root with every right over their network, beside a container without
//! it that shows that all of it would have got out.

use std::collections::BTreeMap;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::env::test_env;
use crate::need::{Need, need};
use crate::network_bridge::{address, need_bridges, stay, titled};
use crate::network_host::{heard, hears, service};
use crate::process::eventually;

/// Two network namespaces with a cable between them: the host, and an outside where a name server and many hosts are.
const WORLD: &str = r#"
    set -e
    ip link set lo up
    unshare --net sleep 1000 &
    outside=$!
    while [ "$(readlink /proc/$outside/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do :; done
    out="nsenter --target $outside --net"
    ip link add host0 type veth peer name out0 netns $outside
    ip addr add 10.9.9.1/24 dev host0
    ip addr add 2001:db8:9::1/64 dev host0 nodad
    ip link set host0 up
    $out ip link set lo up
    $out ip addr add 10.9.9.2/24 dev out0
    $out ip addr add 2001:db8:9::2/64 dev out0 nodad
    $out ip link set out0 up
    for last in 10 11 12 13 14 20 21 22 53; do
        $out ip addr add 192.0.2.$last/32 dev lo
        $out ip addr add 2001:db8::$last/128 dev lo nodad
    done
    ip route add default via 10.9.9.2
    ip route add default via 2001:db8:9::2
    # pasta sends the echo requests of containers through sockets that this allows.
    echo 0 0 >/proc/sys/net/ipv4/ping_group_range
    mkdir state
    $out perl world.pl state &
    world=$!
    busybox nc -ll -p 7777 -e echo hello &
    service=$!
    until [ -e state/ready ]; do :; done
    "$BRYO" network create --ipv6 --subnet 172.31.7.0/24 one >/dev/null
    "$BRYO" run -d --name neighbour --network one --dns 10.9.9.2 --sysctl net.ipv4.ip_forward=1 busybox sleep 1000 >/dev/null
    neighbour=$("$BRYO" inspect -f '{{.NetworkSettings.Networks.one.IPAddress}}' neighbour)
    mounts="-v $PWD/probe.pl:/probe.pl:ro -v $PWD/state:/state"
    for place in /usr /lib /lib64; do
        if [ -e $place ]; then mounts="$mounts -v $place:$place:ro"; fi
    done
    probe() {
        rm -f state/moved
        : >state/seen
        name=$1
        shift
        "$BRYO" run --rm --dns 10.9.9.2 --cap-add NET_ADMIN --cap-add NET_RAW $mounts "$@" \
            busybox perl /probe.pl "$neighbour" 172.31.7.1 7777 | sed "s/^/$name /"
        sed "s/^/$name seen /" state/seen
    }
    probe control --network one
    probe limited --network one --egress "$EGRESS"
    "$BRYO" events --since 1h --until 0s --filter type=network --filter event=refuse --format \
        'refuse {{json .Actor.Attributes}}'
    "$BRYO" rm -f neighbour >/dev/null
    kill $world $service $outside
"#;

const EGRESS: &str = "allowed.test:443,*.wild.test:80,moving.test:80,staying.test:443,leaving.test,\
    192.0.2.20/31:80,[2001:db8::20]:80";

#[test]
fn egress_lets_nothing_out_but_what_it_names() {
    let env = test_env!();
    need_bridges!();
    need!(
        Need::Program("ip"),
        Need::Program("nsenter"),
        Need::Program("perl")
    );
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return crate::need::lacks(crate::need::test_name!(), "no IPv6 on the loopback");
    }
    env.busybox();
    env.file("world.pl", include_str!("egress/world.pl"));
    env.file("probe.pl", include_str!("egress/probe.pl"));
    let world = env.apart(&[], WORLD).var("EGRESS", EGRESS);
    let shown = world.limit(std::time::Duration::from_secs(300)).run();
    let tries = |who: &str| -> BTreeMap<&str, &str> {
        let lines = shown.stdout.lines();
        let lines = lines.filter_map(|line| line.strip_prefix(who)?.strip_prefix(' '));
        let tries = lines.filter_map(|line| line.split_once(' '));
        tries.filter(|(name, _)| *name != "seen").collect()
    };
    let (control, limited) = (tries("control"), tries("limited"));
    let (allowed, forbidden): (Vec<&str>, Vec<&str>) =
        control.keys().partition(|name| name.starts_with("may-"));
    assert_eq!((allowed.len(), forbidden.len()), (13, 41), "{shown:?}");
    for (name, outcome) in &control {
        assert_eq!(*outcome, "out", "without --egress: {name}\n{shown:?}");
    }
    for name in control.keys() {
        let expected = if name.starts_with("may-") {
            "out"
        } else {
            "refused"
        };
        assert_eq!(limited.get(name), Some(&expected), "{name}\n{shown:?}");
    }
    // What the outside has seen: nothing forged, no name that says something.
    let seen = |who: &str, what: &str| {
        let mut lines = shown.stdout.lines();
        let line = format!("{who} seen {what}");
        lines.any(|seen| seen.starts_with(&line))
    };
    for what in [
        "datagram forged-neighbour",
        "name forged.leak.test",
        "name leak.test",
        "name secret.leak.test",
        "name forbidden.test",
    ] {
        assert!(seen("control", what), "{what}\n{shown:?}");
        assert!(!seen("limited", what), "{what}\n{shown:?}");
    }
    let refusals = shown.stdout.lines();
    let refusals: Vec<&str> = refusals
        .filter_map(|line| line.strip_prefix("refuse "))
        .collect();
    for (destination, protocol) in [
        ("192.0.2.11:80", "tcp"),
        ("[2001:db8::11]:80", "tcp"),
        ("192.0.2.53:53", "udp"),
        ("192.0.2.11", "icmp"),
    ] {
        let told = |line: &&str| {
            line.contains(&format!("\"destination\":{destination:?}"))
                && line.contains(&format!("\"protocol\":{protocol:?}"))
        };
        assert!(refusals.iter().any(told), "{destination}\n{shown:?}");
    }
    let name = "\"query\":\"forbidden.test\"";
    assert!(refusals.iter().any(|line| line.contains(name)), "{shown:?}");
}

/// The host's own address stands for the outside.
#[test]
fn egress_of_a_network_is_that_of_all_its_containers() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let Some(host) = crate::network_pasta::host_address() else {
        return crate::need::lacks(crate::need::test_name!(), "the host has no network");
    };
    let port = service(host, "hello\n");
    let host = host.to_string();
    let open = format!("host.docker.internal:{port}");
    let create = ["network", "create", "--egress"];
    env.run(&[&create[..], &["none", "shut"]].concat()).ok();
    env.run(&[&create[..], &[&open, "open"]].concat()).ok();
    let shown = ["network", "inspect", "-f", "{{.Egress}}"];
    assert_eq!(env.out(&[&shown[..], &["shut"]].concat()), "none");
    assert_eq!(env.out(&[&shown[..], &["open"]].concat()), open);
    env.run(&[&create[..], &["*", "wrong"]].concat())
        .fails(125, "invalid destination");
    stay(&env, "aa", &["--network", "shut"]);
    stay(&env, "bb", &["--network", "open"]);
    stay(&env, "cc", &["--network", "open", "--egress", "none"]);
    let by_name = "host.docker.internal";
    let reaches = |name: &str, to: &str| heard(&env, name, to, &port) == "hello\n";
    let surely = |name: &str, to: &str| hears(&env, name, to, &port, "hello\n");
    // Without a limit both ways lead there.
    stay(&env, "dd", &["--network", "bridge"]);
    surely("dd", by_name);
    surely("dd", &host);
    // What the network allows.
    surely("bb", by_name);
    assert!(!reaches("bb", &host), "and not by another way");
    assert!(!reaches("aa", &host) && !reaches("aa", by_name));
    assert!(
        !reaches("cc", by_name),
        "the container's own limit counts too"
    );
    assert_eq!(
        env.out(&["inspect", "-f", "{{.HostConfig.Egress}}", "cc"]),
        "none"
    );
    // One more network, while it runs.
    env.run(&["network", "connect", "shut", "bb"]).ok();
    surely("bb", by_name);
    env.run(&["network", "disconnect", "open", "bb"]).ok();
    assert!(!reaches("bb", by_name));
    surely("dd", by_name);
}

#[test]
fn egress_outlives_the_helper_of_networks() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let Some(host) = crate::network_pasta::host_address() else {
        return crate::need::lacks(crate::need::test_name!(), "the host has no network");
    };
    let port = service(host, "hello\n");
    let host = host.to_string();
    env.run(&["network", "create", "one"]).ok();
    stay(&env, "limited", &["--network", "one", "--egress", "none"]);
    stay(&env, "free", &["--network", "one"]);
    let reaches = |name: &str| heard(&env, name, &host, &port) == "hello\n";
    eventually("the way out", || reaches("free"));
    assert!(!reaches("limited"));
    let inner = titled(&env, "bryo: net, inside").expect("somebody holds the network");
    kill(Pid::from_raw(inner), Signal::SIGKILL).expect("it is this user's");
    eventually("the way out is there again", || {
        assert!(!reaches("limited"));
        reaches("free")
    });
    assert!(!reaches("limited"));
    // What shuts it in is the limit, not that it has lost its network.
    let ip = address(&env, "limited", "one");
    assert!(crate::network_bridge::reaches(&env, "free", &ip));
}

/// Of more than one message of the kernel's has room for.
#[test]
fn a_long_list_is_in_force_to_its_last_destination() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let Some(host) = crate::network_pasta::host_address() else {
        return crate::need::lacks(crate::need::test_name!(), "the host has no network");
    };
    let port = service(host, "hello\n");
    let host = host.to_string();
    let subnet = |n: usize| format!("10.{}.{}.0/24:{}", n / 200, n % 200, 1000 + n % 9);
    let many = (0..2500).map(subnet).collect::<Vec<_>>().join(",");
    let open = format!("{many},{host}:{port}");
    let create = ["network", "create", "--egress"];
    env.run(&[&create[..], &[&open, "one"]].concat()).ok();
    stay(&env, "aa", &["--network", "one", "--egress", &open]);
    stay(&env, "bb", &["--network", "one", "--egress", &many]);
    let reaches = |name: &str| heard(&env, name, &host, &port) == "hello\n";
    eventually("the way out", || reaches("aa"));
    assert!(!reaches("bb"));
    let inner = titled(&env, "bryo: net, inside").expect("somebody holds the network");
    kill(Pid::from_raw(inner), Signal::SIGKILL).expect("it is this user's");
    eventually("the way out is there again", || {
        assert!(!reaches("bb"));
        reaches("aa")
    });
    let long = format!("{many},{open}");
    let words = ["create", "--network", "one", "--egress", &long, "busybox"];
    let refused = env.run(&words);
    let refused = refused.fails(125, "is too long: the most is 60000, about 3,000 subnets");
    assert!(refused.stderr.len() < 1000, "{refused:?}");
}

#[test]
fn egress_and_host_port_need_a_shared_network() {
    let env = test_env!();
    env.busybox();
    for network in ["pasta", "none", "host"] {
        for flag in [["--egress", "none"], ["--host-port", "5432"]] {
            let words = [
                "run",
                "--rm",
                "--network",
                network,
                flag[0],
                flag[1],
                "busybox",
                "true",
            ];
            let refusal = format!("{} needs a network that containers share", flag[0]);
            env.run(&words).fails(125, &refusal);
        }
    }
    for wrong in ["", "*", "a.test:0", "none,a.test"] {
        env.run(&[
            "create",
            "--network",
            "bridge",
            "--egress",
            wrong,
            "busybox",
        ])
        .fails(125, "--egress");
    }
}
