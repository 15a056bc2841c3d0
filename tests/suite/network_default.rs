//! The network of a container that names none: the bridge that all of these share, where the host can have one.

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::network_bridge::{address, need_bridges, reaches, titled};
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

/// Only what limits one container is loaded by it.
#[test]
fn without_nft_networks_are_shared_and_limits_refused() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    let archive = crate::image::busybox().docker_archive("busybox:latest");
    let file = env.file("busybox.tar", archive);
    let lacking = |line: &str| env.lacking(&["nft"], line);
    let doctor = lacking("exec $BRYO doctor");
    assert!(doctor.stdout.contains("nft is not installed"), "{doctor:?}");
    lacking(&format!("exec $BRYO load -q -i {file}")).ok();
    let lines = "
        set -e
        $BRYO network create one >/dev/null
        $BRYO run -d --name aa --network one busybox nc -ll -p 7000 -e echo hello >/dev/null
        $BRYO run --rm --network one busybox sh -c 'until nc aa 7000 </dev/null; do :; done'
        $BRYO rm -f aa >/dev/null
        $BRYO create --name cc busybox true >/dev/null
        $BRYO inspect -f '{{.HostConfig.NetworkMode}}' cc
    ";
    assert_eq!(lacking(lines).ok().out(), "hello\nbridge");
    for limit in ["--egress none", "--host-port 5432"] {
        let run = lacking(&format!("exec $BRYO run --rm {limit} busybox true"));
        run.fails(
            125,
            "nft is not installed, and --egress and --host-port need it",
        );
    }
    lacking("exec $BRYO network create --egress none shut").ok();
    let run = lacking("exec $BRYO run --rm --network shut busybox true");
    run.fails(
        125,
        "nft is not installed, and --egress and --host-port need it",
    );
}

/// The kernel was told what the rules are meant to be, as another program reads them.
#[test]
fn the_common_rules_are_what_nft_lists() {
    let env = test_env!();
    need!(
        Need::Program("nft"),
        Need::Program("nsenter"),
        Need::Program("pasta"),
        Need::Device("/dev/net/tun")
    );
    env.busybox();
    stay(&env, "aa", &["--network", "bridge"]);
    let rules = || {
        let holder = titled(&env, "bryo: net, inside").expect("somebody holds the bridge");
        let list = format!("exec nsenter --target {holder} --net nft list table inet bryo");
        let listed = env.run(&["unshare", "sh", "-c", &list]).ok().stdout;
        // Newer versions of nft say the default.
        let listed = listed.replace(" with icmp port-unreachable", "");
        let lines = listed.lines().map(str::trim);
        // The host's address, where it has one.
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("elements"));
        lines.collect::<Vec<_>>().join("\n")
    };
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
