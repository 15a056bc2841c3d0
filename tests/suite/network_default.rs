//! The network of a container that names none: the bridge that all of these share, where the host can have one.

use std::net::Ipv4Addr;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::network_bridge::{address, need_bridges, reaches, titled};
use crate::network_host::service;
use crate::process::eventually;

const MODE: &str = "{{.HostConfig.NetworkMode}}";

/// A container that stays, on whatever the default is.
fn stay(env: &TestEnv, name: &str, flags: &[&str]) {
    let start = ["run", "-d", "--name", name];
    let words = [&start[..], flags, &["busybox", "sleep", "1000"]].concat();
    env.run(&words).ok();
}

#[test]
fn containers_that_name_no_network_share_the_bridge() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    stay(&env, "aa", &[]);
    stay(&env, "bb", &["--mac-address", "02:42:ac:11:00:77"]);
    assert_eq!(env.out(&["inspect", "-f", MODE, "aa"]), "bridge");
    assert!(reaches(&env, "aa", &address(&env, "bb", "bridge")));
    // As docker shows it since before there were other networks.
    let old = "{{.NetworkSettings.IPAddress}} {{.NetworkSettings.IPPrefixLen}} {{.NetworkSettings.MacAddress}}";
    let place = format!("{} 16 02:42:ac:11:00:77", address(&env, "bb", "bridge"));
    assert_eq!(env.out(&["inspect", "-f", old, "bb"]), place);
    let link = env.out(&["exec", "bb", "ip", "link", "show", "eth0"]);
    assert!(link.contains("02:42:ac:11:00:77"), "{link}");
    let inside = "{{range .Containers}}{{.Name}} {{end}}";
    let inside = env.out(&["network", "inspect", "-f", inside, "bridge"]);
    let mut names: Vec<&str> = inside.split_whitespace().collect();
    names.sort_unstable();
    assert_eq!(names, ["aa", "bb"]);
    let fixed = ["run", "--ip", "172.17.0.9", "busybox", "true"];
    let refused = env.run(&fixed);
    refused.fails(125, "supported on user defined networks only");
}

/// As in docker's book: one that is linked is reached by names, on a network that has none otherwise.
#[test]
fn linked_containers_know_each_other_on_the_bridge() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    stay(&env, "store", &[]);
    let id = env.out(&["inspect", "-f", "{{.Id}}", "store"]);
    let by_id = format!("{}:twin", &id[..12]);
    stay(&env, "app", &["--link", "store:db", "--link", &by_id]);
    for name in ["db", "store", "twin"] {
        assert!(reaches(&env, "app", name), "{name}");
    }
    assert!(!reaches(&env, "app", "app"), "nothing else has a name");
    stay(&env, "stranger", &[]);
    assert!(!reaches(&env, "stranger", "store"));
    env.run(&["restart", "-t", "0", "store"]).ok();
    assert!(reaches(&env, "app", "db"));
    let link = |to: &str| env.run(&["create", "--link", to, "busybox"]);
    link("nobody:db").fails(1, "No such container: nobody");
    stay(&env, "apart", &["--network", "none"]);
    link("apart").fails(1, "container apart not attached to default bridge network");
}

#[test]
fn the_configuration_may_name_another() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    env.busybox();
    for network in ["pasta", "none", "host"] {
        let make = ["create", "--name", network, "busybox", "true"];
        env.command(&make).var("BRYO_NETWORK", network).run().ok();
        assert_eq!(env.out(&["inspect", "-f", MODE, network]), network);
        let place = ["create", "--ip", "10.0.0.1", "busybox", "true"];
        let place = env.command(&place).var("BRYO_NETWORK", network).run();
        place.fails(1, "--network NAME");
    }
}

/// A container on the bridge may be the first that needs what holds it, and the first to leave.
#[test]
fn what_holds_the_bridge_does_not_end_with_the_container_that_came_first() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    // With a living home the monitor is called before it is known which network it is to have.
    for before in [&[][..], &["other"]] {
        for name in before {
            stay(&env, name, &["--network", "none"]);
        }
        stay(&env, "aa", &["--network", "bridge"]);
        stay(&env, "bb", &["--network", "bridge"]);
        let holder = titled(&env, "bryo: net, inside").expect("somebody holds the bridge");
        env.run(&["rm", "-f", "aa"]).ok();
        assert_eq!(titled(&env, "bryo: net, inside"), Some(holder));
        stay(&env, "aa", &["--network", "bridge"]);
        assert!(reaches(&env, "aa", &address(&env, "bb", "bridge")));
        env.run(&["rm", "-f", "aa", "bb"]).ok();
        // One that is about to leave is still there for whoever comes next.
        eventually("the holder has left", || {
            titled(&env, "bryo: net, inside").is_none()
        });
    }
}

/// Where it can't be run, containers are connected all the same, and limited.
#[test]
fn networks_and_limits_need_no_nft() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    let Some(host) = crate::network_pasta::host_address() else {
        return crate::need::lacks(crate::need::test_name!(), "the host has no network");
    };
    let archive = crate::image::busybox().docker_archive("busybox:latest");
    let file = env.file("busybox.tar", archive);
    let (outside, inside) = (
        service(host, "outside\n"),
        service(Ipv4Addr::LOCALHOST.into(), "inside\n"),
    );
    let lines = format!(
        r#"
        set -e
        $BRYO load -q -i {file} >/dev/null
        $BRYO network create one >/dev/null
        $BRYO network create --egress none shut >/dev/null
        start() {{ name=$1; shift; $BRYO run -d --name $name "$@" busybox sleep 1000 >/dev/null; }}
        start free --network one
        start limited --network one --egress none
        start opened --egress none --host-port {inside}
        start shut --network shut
        for name in free limited opened shut; do
            for place in {host}:{outside} host.docker.internal:{inside}; do
                said=$($BRYO exec $name sh -c "
                    mkfifo /f\$\$; exec 3<>/f\$\$; echo ask >&3
                    timeout 5 nc ${{place%:*}} ${{place#*:}} <&3 3<&- | head -n 1")
                echo $name $said
            done
        done
        $BRYO rm -f free limited opened shut >/dev/null
        "#
    );
    let expected = "free outside\nfree\nlimited\nlimited\nopened\nopened inside\nshut\nshut";
    assert_eq!(env.lacking(&["nft"], &lines).ok().out(), expected);
}

/// What another program reads of the rules in the shared namespace; nothing while it is being made anew.
fn rules(env: &TestEnv, family: &str, table: &str) -> String {
    let Some(holder) = titled(env, "bryo: net, inside") else {
        return String::new();
    };
    let list = format!("exec nsenter --target {holder} --net nft list table {family} {table}");
    // It may end meanwhile: whoever compares tells that from rules.
    let listed = env.run(&["unshare", "sh", "-c", &list]).stdout;
    // Newer versions of nft say the default.
    let listed = listed.replace(" with icmp port-unreachable", "");
    let lines = listed.lines().map(str::trim);
    // The host's address, where it has one.
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("elements"));
    lines.collect::<Vec<_>>().join("\n")
}

/// What those two tests need.
macro_rules! need_listed {
    () => {
        need!(
            Need::Program("nft"),
            Need::Program("nsenter"),
            Need::Program("pasta"),
            Need::Device("/dev/net/tun")
        );
    };
}

/// The kernel was told what the rules are meant to be, as another program reads them.
#[test]
fn the_common_rules_are_what_nft_lists() {
    let env = test_env!();
    need_listed!();
    env.busybox();
    stay(&env, "aa", &["--network", "bridge"]);
    let rules = || rules(&env, "inet", "bryo");
    let expected = r#"table inet bryo {
map host {
type ipv4_addr : ipv4_addr
}
chain translate {
type nat hook prerouting priority dstnat; policy accept;
ip daddr 169.254.1.2 dnat ip to ip daddr map @host
}
chain host {
type filter hook input priority filter; policy accept;
ip daddr 169.254.1.2 ct status ! dnat reject
}
chain prerouting {
type filter hook prerouting priority mangle; policy accept;
socket transparent 1 meta mark set 0x00000001 accept
}
chain forward {
type filter hook forward priority filter; policy accept;
ct state established,related accept
iifname "bi-*" drop
oifname "bi-*" drop
iifname "br-*" oifname "br-*" drop
iifname != "br-*" drop
}
chain postrouting {
type nat hook postrouting priority srcnat; policy accept;
oifname "br-*" accept
oifname "bi-*" accept
oifname "lo" accept
masquerade
}
}"#;
    assert_eq!(rules(), expected);
    env.run(&["network", "reload", "aa"]).ok();
    assert_eq!(rules(), expected);
    env.run(&["rm", "-f", "aa"]).ok();
}

#[test]
fn the_rules_of_a_limited_container_are_what_nft_lists() {
    let env = test_env!();
    need_listed!();
    env.busybox();
    let subnets = ["--subnet", "10.79.0.0/24", "--subnet", "fd79::/64"];
    let words = [&["network", "create", "--egress", "none"], &subnets[..]].concat();
    env.run(&[&words[..], &["one"]].concat()).ok();
    let egress = "192.0.2.0/24:443,192.0.2.7,2001:db8::/32,0.0.0.0/0:53,host.docker.internal:80,a.test:443,b.test";
    let flags = [
        "--network",
        "one",
        "--egress",
        egress,
        "--host-port",
        "5432:80",
    ];
    stay(&env, "aa", &flags);
    let shown = || {
        let id = env.out(&["inspect", "-f", "{{.Id}}", "aa"]);
        let network = env.out(&["network", "inspect", "-f", "{{.Id}}", "one"]);
        // One of two names, by turns.
        let table = format!("bryo-{}-{}", &id[..12], &network[..12]);
        let other = format!("{table}-2");
        let of = |table: &str| {
            let families = ["bridge", "inet"];
            let listed = families.map(|family| rules(&env, family, table));
            listed.join("\n").replace(table, "TABLE")
        };
        let shown = [of(&table), of(&other)].join("\n");
        let shown = shown.trim().to_owned();
        let pair = format!("\"v{}{}\"", &id[..8], &network[..6]);
        let bridge = format!("\"br-{}\"", &network[..12]);
        let mark = format!("0x{}fe", &id[..6]);
        let plain = shown.replace(&pair, "PAIR");
        let plain = plain.replace(&bridge, "BRIDGE").replace(&mark, "MARK");
        // The port where the inner half listens is any.
        let lines = plain
            .lines()
            .map(|line| match line.split_once("dnat ip to 169.254.1.2:") {
                Some((before, _)) => format!("{before}dnat ip to 169.254.1.2:PORT"),
                None => number_of_port(line),
            });
        lines.collect::<Vec<_>>().join("\n")
    };
    let expected = include_str!("egress/rules.nft").trim_end();
    assert_eq!(shown(), expected);
    // Made anew, by turns under two names, and made again by another `bryo net`, which does not know which of them it is.
    for _ in 0..3 {
        env.run(&["network", "reload", "aa"]).ok();
        assert_eq!(shown(), expected);
    }
    let inner = titled(&env, "bryo: net, inside").expect("somebody holds the bridge");
    kill(Pid::from_raw(inner), Signal::SIGKILL).expect("it is this user's");
    eventually("another", || {
        titled(&env, "bryo: net, inside").is_some_and(|now| now != inner)
    });
    eventually("the same rules", || shown() == expected);
}

/// nft knows no service without a protocol: `0x1bb [invalid type]`.
fn number_of_port(line: &str) -> String {
    let plain = || {
        let (before, rest) = line.split_once("0x")?;
        let (digits, behind) = rest.split_once(" [invalid type]")?;
        let number = u16::from_str_radix(digits, 16).ok()?;
        Some(format!("{before}{number}{behind}"))
    };
    plain().unwrap_or_else(|| line.to_owned())
}

/// Where pasta ends its connections, a container sends no more at once than pasta takes; elsewhere the kernel decides.
#[test]
fn what_leaves_by_pasta_is_sent_in_pieces_that_it_takes() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let file = "/proc/sys/net/ipv4/tcp_wmem";
    let most = |flags: &[&str]| {
        let words = [&["run", "--rm"], flags, &["busybox", "cat", file]].concat();
        let text = env.out(&words);
        let last = text.split_whitespace().last().map(str::to_owned);
        last.unwrap_or_else(|| panic!("{text:?}"))
    };
    assert_eq!(most(&[]), "262144");
    assert_eq!(most(&["--network", "pasta"]), "262144");
    let own = "net.ipv4.tcp_wmem=4096 16384 300000";
    assert_eq!(most(&["--sysctl", own]), "300000");
    let kernel = std::fs::read_to_string(file).expect("it is there");
    let kernel = kernel.split_whitespace().last().map(str::to_owned);
    assert_eq!(Some(most(&["--network", "none"])), kernel);
}
