//! What containers with `--egress` reach, tried from inside as root with every right over their network, beside a container without
//! it that shows that all of it would have got out.

use std::collections::BTreeMap;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::env::{TestEnv, test_env};
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
    $out perl world.pl state >/dev/null 2>world.log &
    world=$!
    # What serves a connection may outlive the listener, and must not hold the output of the test.
    busybox nc -ll -p 7777 -e echo hello >/dev/null 2>&1 &
    service=$!
    busybox nc -ll -p 8888 -e cat >/dev/null 2>&1 &
    echoing=$!
    until [ -e state/ready ]; do :; done
    mounts="-v $PWD/probe.pl:/probe.pl:ro -v $PWD/state:/state"
    for place in /usr /lib /lib64; do
        if [ -e $place ]; then mounts="$mounts -v $place:$place:ro"; fi
    done
    place() {
        "$BRYO" network create --ipv6 --subnet $2 $1 >/dev/null
        "$BRYO" run -d --name by-$1 --network $1 --dns 10.9.9.2 --sysctl net.ipv4.ip_forward=1 busybox sleep 1000 >/dev/null
    }
    changes() {
        until [ -e state/change ]; do sleep 0.05; done
        "$@"
        : >state/changed
    }
    probe() {
        rm -f state/moved state/change state/changed
        : >state/seen
        changes $change >/dev/null &
        changing=$!
        name=$1
        network=$2
        free=$([ $name != control ] || echo 1)
        neighbour=$("$BRYO" inspect -f "{{.NetworkSettings.Networks.$network.IPAddress}}" by-$network)
        gateway=$("$BRYO" network inspect -f '{{(index .IPAM.Config 0).Gateway}}' $network)
        shift 2
        "$BRYO" run --rm --name $name --network $network --dns 10.9.9.2 --cap-add NET_ADMIN --cap-add NET_RAW $mounts "$@" \
            busybox perl /probe.pl "$neighbour" $gateway 7777 8888 $free | sed "s/^/$name /"
        # One that was not asked to change anything waits for ever.
        kill $changing 2>/dev/null || true
        sed "s/^/$name seen /" state/seen
    }
    place one 172.31.7.0/24
    place two 172.31.8.0/24
    change=true
    probe control one
    change="$BRYO update --egress $CHANGED limited"
    probe limited one --egress "$EGRESS"
    "$BRYO" network update --egress "$EGRESS" two >/dev/null
    change="$BRYO network update --egress $CHANGED two"
    probe network two
    "$BRYO" events --since 1h --until 0s --filter type=network --filter event=refuse --format \
        'refuse {{json .Actor.Attributes}}'
    "$BRYO" rm -f by-one by-two >/dev/null
    kill $world $service $echoing $outside
    cat world.log >&2
"#;

const EGRESS: &str = "allowed.test:443,*.wild.test:80,*.wild.test:443,moving.test:80,staying.test:443,leaving.test,\
    192.0.2.20/31:80,[2001:db8::20]:80,host.docker.internal:8888";

/// What becomes of the list while the probe has its connections open.
const CHANGED: &str = "allowed.test:443,moving.test:80,192.0.2.22:80,host.docker.internal:8889";

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
    let world = env.apart(&[], WORLD);
    let world = world.var("EGRESS", EGRESS).var("CHANGED", CHANGED);
    let shown = world.limit(std::time::Duration::from_secs(600)).run();
    let tries = |who: &str| -> BTreeMap<&str, &str> {
        let lines = shown.stdout.lines();
        let lines = lines.filter_map(|line| line.strip_prefix(who)?.strip_prefix(' '));
        let tries = lines.filter_map(|line| line.split_once(' '));
        tries.filter(|(name, _)| *name != "seen").collect()
    };
    let control = tries("control");
    let (allowed, forbidden): (Vec<&str>, Vec<&str>) =
        control.keys().partition(|name| name.starts_with("may-"));
    assert_eq!((allowed.len(), forbidden.len()), (19, 52), "{shown:?}");
    for (name, outcome) in &control {
        assert_eq!(*outcome, "out", "without --egress: {name}\n{shown:?}");
    }
    for name in control.keys() {
        let expected = if name.starts_with("may-") {
            "out"
        } else {
            "refused"
        };
        for who in ["limited", "network"] {
            let outcome = tries(who).get(name).copied();
            assert_eq!(outcome, Some(expected), "{who}: {name}\n{shown:?}");
        }
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
        for who in ["limited", "network"] {
            assert!(!seen(who, what), "{who}: {what}\n{shown:?}");
        }
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

/// Flags of what a container may reach, on the host's own address in place of the outside.
struct Reached<'a> {
    env: &'a TestEnv,
    host: String,
    port: String,
}

impl Reached<'_> {
    fn new(env: &TestEnv) -> Option<Reached<'_>> {
        let host = crate::network_pasta::host_address()?;
        let port = service(host, "hello\n");
        let host = host.to_string();
        Some(Reached { env, host, port })
    }

    fn by(&self, name: &str) -> bool {
        heard(self.env, name, &self.host, &self.port) == "hello\n"
    }

    #[track_caller]
    fn surely_by(&self, name: &str) {
        eventually("the way out", || self.by(name));
    }

    fn update(&self, list: &str, name: &str) {
        self.env.run(&["update", "--egress", list, name]).ok();
    }

    fn update_network(&self, list: &str, name: &str) {
        let words = ["network", "update", "--egress", list, name];
        self.env.run(&words).ok();
    }

    fn list_of(&self, name: &str) -> String {
        let format = "{{with .HostConfig.Egress}}{{.}}{{end}}";
        self.env.out(&["inspect", "-f", format, name])
    }
}

macro_rules! reached {
    ($env:ident) => {
        match Reached::new(&$env) {
            Some(reached) => reached,
            None => return crate::need::lacks(crate::need::test_name!(), "the host has no network"),
        }
    };
}

fn end_of_inner(env: &TestEnv) {
    let inner = titled(env, "bryo: net, inside").expect("somebody holds the network");
    kill(Pid::from_raw(inner), Signal::SIGKILL).expect("it is this user's");
}

#[test]
fn a_changed_list_of_a_container_holds_at_once_and_in_its_later_lives() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let reached = reached!(env);
    let open = format!("{}:{}", reached.host, reached.port);
    env.run(&["network", "create", "one"]).ok();
    stay(&env, "aa", &["--network", "one", "--stop-timeout", "0"]);
    stay(&env, "bb", &["--network", "one"]);
    reached.surely_by("aa");
    // From nothing to a limit, to another, and to nothing.
    reached.update("none", "aa");
    assert!(!reached.by("aa"));
    assert_eq!(reached.list_of("aa"), "none");
    reached.update(&open, "aa");
    assert!(reached.by("aa"));
    assert_eq!(reached.list_of("aa"), open);
    reached.update("any", "aa");
    assert!(reached.by("aa"));
    assert_eq!(reached.list_of("aa"), "");
    reached.update("192.0.2.1,none.test:443", "aa");
    // What holds the networks is another, then the container's program is, then its monitor.
    assert!(!reached.by("aa"));
    end_of_inner(&env);
    reached.surely_by("bb");
    assert!(!reached.by("aa"));
    env.run(&["restart", "aa"]).ok();
    assert!(!reached.by("aa"));
    env.run(&["stop", "aa"]).ok();
    env.run(&["start", "aa"]).ok();
    assert!(!reached.by("aa"));
    assert_eq!(reached.list_of("aa"), "192.0.2.1,none.test:443");
    // One that does not run.
    env.run(&["stop", "aa"]).ok();
    reached.update("any", "aa");
    env.run(&["start", "aa"]).ok();
    reached.surely_by("aa");
    env.run(&["stop", "aa"]).ok();
    reached.update("none", "aa");
    env.run(&["start", "aa"]).ok();
    assert!(!reached.by("aa") && reached.by("bb"));
    let events = ["events", "--since", "1h", "--until", "0s"];
    let words = [
        &events[..],
        &["--filter", "event=update", "--filter", "container=aa"],
    ]
    .concat();
    assert_eq!(env.out(&words).lines().count(), 6);
    let words = [
        &events[..],
        &["--filter", "type=network", "--filter", "event=refuse"],
    ]
    .concat();
    let told = format!("destination={open}");
    assert!(env.out(&words).contains(&told));
}

#[test]
fn a_changed_list_of_a_network_holds_at_once_for_all_who_are_in_it() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let reached = reached!(env);
    let open = format!("{}:{}", reached.host, reached.port);
    env.run(&["network", "create", "one"]).ok();
    env.run(&["network", "create", "two"]).ok();
    stay(&env, "aa", &["--network", "one"]);
    stay(&env, "bb", &["--network", "one", "--egress", &open]);
    stay(&env, "cc", &["--network", "two"]);
    let all = |expected: [bool; 3]| {
        let now = ["aa", "bb", "cc"].map(|name| reached.by(name));
        assert_eq!(now, expected);
    };
    reached.surely_by("aa");
    reached.surely_by("cc");
    reached.update_network("none", "one");
    all([false, false, true]);
    let shown = ["network", "inspect", "-f", "{{.Egress}}", "one"];
    assert_eq!(env.out(&shown), "none");
    // Who comes later, and who is taken in by another `bryo net`.
    env.run(&["network", "connect", "one", "cc"]).ok();
    env.run(&["network", "disconnect", "two", "cc"]).ok();
    stay(&env, "dd", &["--network", "one"]);
    all([false, false, false]);
    assert!(!reached.by("dd"));
    end_of_inner(&env);
    eventually("they are in their network again", || {
        crate::network_bridge::reaches(&env, "aa", &address(&env, "dd", "one"))
    });
    all([false, false, false]);
    reached.update_network(&format!("192.0.2.0/24,{open}"), "one");
    eventually("the way out", || reached.by("aa"));
    all([true, true, true]);
    reached.update_network("any", "one");
    reached.update("none", "bb");
    all([true, false, true]);
    let limits = env.out(&["network", "inspect", "one"]);
    assert!(!limits.contains("Egress"), "{limits}");
    let events = [
        "events",
        "--since",
        "1h",
        "--until",
        "0s",
        "--filter",
        "type=network",
        "--filter",
        "event=update",
    ];
    assert_eq!(env.out(&events).lines().count(), 3);
}

/// Whatever happens at the same time: once a command has said that a list is in force, it is.
#[test]
fn a_list_changes_while_networks_are_joined_and_their_helper_is_killed() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let reached = reached!(env);
    for name in ["one", "two"] {
        env.run(&["network", "create", name]).ok();
    }
    stay(&env, "aa", &["--network", "one", "--stop-timeout", "0"]);
    stay(&env, "bb", &["--network", "two"]);
    reached.surely_by("aa");
    // The holder may be killed while it is asked, or be on its way still.
    let joined = |verb: &str, network: &str| {
        let words = ["network", verb, network, "aa"];
        eventually("another network", || env.run(&words).code == 0);
    };
    let rounds = crate::env::count(12, 100);
    for round in 0..rounds {
        let of_network = round % 2 == 0;
        let change = |list: &str| match of_network {
            true => reached.update_network(list, "two"),
            false => reached.update(list, "bb"),
        };
        std::thread::scope(|scope| {
            // It is killed before, within and after the change.
            scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(round as u64 * 7 % 60));
                if let Some(inner) = titled(&env, "bryo: net, inside") {
                    let _ = kill(Pid::from_raw(inner), Signal::SIGKILL);
                }
            });
            scope.spawn(|| {
                joined("connect", "two");
            });
            scope.spawn(|| {
                if round % 3 == 0 {
                    env.run(&["restart", "-t", "0", "bb"]).ok();
                }
            });
            change("none");
            assert!(!reached.by("bb"), "round {round}");
        });
        assert!(!reached.by("bb"), "round {round}");
        joined("disconnect", "one");
        if of_network {
            assert!(!reached.by("aa"), "round {round}: as recorded when it came");
        }
        joined("connect", "one");
        joined("disconnect", "two");
        change("any");
        reached.surely_by("bb");
        reached.surely_by("aa");
    }
}

/// Whoever starts a container may have read its settings before they were others.
#[test]
fn what_is_changed_while_a_container_is_about_to_start_counts() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let reached = reached!(env);
    stay(&env, "aa", &["--network", "bridge", "--stop-timeout", "0"]);
    reached.surely_by("aa");
    env.run(&["stop", "aa"]).ok();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let late = env.command(&["start", "aa"]);
            late.var("BRYO_TEST_LINGERS", "settings read").run().ok();
        });
        std::thread::sleep(std::time::Duration::from_millis(100));
        reached.update("none", "aa");
    });
    assert_eq!(reached.list_of("aa"), "none");
    assert!(!reached.by("aa"));
    env.run(&["restart", "aa"]).ok();
    assert_eq!(reached.list_of("aa"), "none");
    assert!(!reached.by("aa"));
}

#[test]
fn a_list_is_changed_where_there_can_be_one() {
    let env = test_env!();
    env.busybox();
    env.run(&["create", "--name", "own", "--network", "none", "busybox"])
        .ok();
    env.run(&[
        "create",
        "--name",
        "shared",
        "--network",
        "bridge",
        "busybox",
    ])
    .ok();
    env.run(&["update", "--egress", "none", "own"])
        .fails(1, "--egress needs a network that containers share");
    for wrong in ["", "*", "a.test:0", "none,a.test", "any,a.test"] {
        env.run(&["update", "--egress", wrong, "shared"])
            .fails(125, "--egress");
        let words = ["network", "update", "--egress", wrong, "bridge"];
        env.run(&words).fails(125, "--egress");
    }
    env.run(&["network", "update", "--egress", "none", "host"])
        .fails(1, "network host is one of docker's own");
    let words = [
        "create",
        "--name",
        "any",
        "--network",
        "bridge",
        "--egress",
        "any",
        "busybox",
    ];
    env.run(&words).ok();
    let shown = ["inspect", "-f", "{{json .HostConfig}}"];
    for (list, is_shown) in [("none", true), ("any", false)] {
        env.run(&["update", "--egress", list, "shared"]).ok();
        let config = env.out(&[&shown[..], &["shared"]].concat());
        assert_eq!(config.contains("\"Egress\":"), is_shown, "{config}");
    }
    assert!(
        !env.out(&[&shown[..], &["any"]].concat())
            .contains("\"Egress\":")
    );
}
