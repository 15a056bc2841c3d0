//! A host that comes into another network, or into one at all, while containers run: they go on, and reach what the host reaches.

use crate::env::{TestEnv, test_env};
use crate::need::{Need, fixture, need};
use crate::network_bridge::need_bridges;

/// Two cables to one outside, where 192.0.2.1 answers everybody with many lines, and three containers that ask it. `ask` goes on until
/// all have heard the last line.
const WORLD: &str = r#"
    set -e
    ip link set lo up
    unshare --net sleep 1000 &
    outside=$!
    while [ "$(readlink /proc/$outside/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do :; done
    out="nsenter --target $outside --net"
    ip link add wifi0 type veth peer name a0 netns $outside
    ip link add cable0 type veth peer name b0 netns $outside
    $out ip link set lo up
    $out ip addr add 192.0.2.1/32 dev lo
    $out ip addr add 10.9.9.2/24 dev a0
    $out ip addr add 10.9.8.2/24 dev b0
    $out ip link set a0 up
    $out ip link set b0 up
    $out busybox nc -ll -p 7777 -e seq 20000 &
    service=$!
    "$BRYO" network create one >/dev/null
    start() {
        for network in bridge one pasta; do
            "$BRYO" run -d --name on-$network --network $network busybox sleep 1000 >/dev/null
        done
    }
    hears() {
        "$BRYO" exec on-$1 sh -c 'mkfifo /f$$; exec 3<>/f$$; timeout 30 nc 192.0.2.1 7777 <&3 3<&- | head -n 20000 | tail -n 1' |
            grep -q '^20000$'
    }
    ask() {
        for network in bridge one pasta; do
            tries=0
            until hears $network || [ $tries = 50 ]; do
                tries=$((tries + 1))
            done
            [ $tries = 50 ] || echo "$1: $network"
        done
    }
    # The same two seconds after a change, and without a second try.
    soon() {
        sleep 2
        for network in bridge one pasta; do
            if hears $network; then echo "$1: $network"; else echo "$1: $network does not"; fi
        done
    }
    # Whoever connects them: the processes that live in this namespace.
    helpers() {
        for process in /proc/[0-9]*; do
            [ "$(readlink $process/ns/net)" = "$(readlink /proc/$$/ns/net)" ] || continue
            case "$(cat $process/comm)" in
                "bryo: net"* | pasta*) echo "${process#/proc/}" ;;
            esac
        done
    }
    # All that bryo and its containers are made of here: those processes, and their children's children.
    below() {
        for process in "$@"; do
            echo $process
            below $(cat /proc/$process/task/*/children 2>/dev/null)
        done
    }
    everything() {
        for process in /proc/[0-9]*; do
            [ "$(readlink $process/ns/net)" = "$(readlink /proc/$$/ns/net)" ] || continue
            case "$(cat $process/comm)" in
                "bryo"* | pasta*) below ${process#/proc/} ;;
            esac
        done | sort -u
    }
    join() {
        ip addr add $2 dev $1
        ip link set $1 up
        ip route replace default via $3
    }
    leave() {
        ip link set $1 down
        ip addr flush dev $1
    }
    finish() {
        "$BRYO" rm -f on-bridge on-one on-pasta >/dev/null
        kill $service $outside
    }
"#;

fn play(env: &TestEnv, script: &str) -> String {
    env.busybox();
    let script = format!("{WORLD}{script}");
    let world = env.apart(&[], &script);
    let shown = world.limit(std::time::Duration::from_secs(300)).run();
    assert_eq!(shown.code, 0, "{shown:?}");
    shown.stdout
}

fn all(moments: &[&str]) -> String {
    let lines = moments.iter().flat_map(|moment| {
        let networks = ["bridge", "one", "pasta"];
        networks.map(|network| format!("{moment}: {network}\n"))
    });
    lines.collect()
}

#[test]
fn containers_follow_the_host_into_another_network() {
    let env = test_env!();
    need_bridges!();
    need!(Need::Program("ip"), Need::Program("nsenter"));
    let shown = play(
        &env,
        r#"
        join wifi0 10.9.9.1/24 10.9.9.2
        start
        ask wifi
        before=$(helpers)
        leave wifi0
        join cable0 10.9.8.1/24 10.9.8.2
        soon cable
        ip link set cable0 mtu 1280
        soon narrow
        leave cable0
        join wifi0 10.9.9.77/24 10.9.9.2
        soon again
        after=$(helpers)
        if [ -n "$before" ] && [ "$after" = "$before" ]; then echo nobody has restarted; else echo $before, $after; fi
        finish
        "#,
    );
    let moments = all(&["wifi", "cable", "narrow", "again"]);
    assert_eq!(shown, format!("{moments}nobody has restarted\n"));
}

#[test]
fn containers_that_start_without_a_network_gain_the_hosts() {
    let env = test_env!();
    need_bridges!();
    need!(Need::Program("ip"), Need::Program("nsenter"));
    let shown = play(
        &env,
        r#"
        start
        "$BRYO" exec on-one nslookup on-one | grep -q Address && echo among themselves
        join cable0 10.9.8.1/24 10.9.8.2
        soon cable
        finish
        "#,
    );
    let cable = all(&["cable"]);
    assert_eq!(shown, format!("among themselves\n{cable}"));
}

/// By what a network has of IPv6, with the pasta that is installed and with the newest, and by a container's own pasta with the newest.
#[test]
fn ipv6_is_gained_like_ipv4() {
    for newest in [false, true] {
        let mut env = test_env!();
        need_bridges!();
        need!(Need::Program("ip"), Need::Program("nsenter"));
        if std::net::TcpListener::bind("[::1]:0").is_err() {
            return crate::need::lacks(crate::need::test_name!(), "no IPv6 on the loopback");
        }
        let mut networks = "six";
        if newest {
            need!(Need::Fixture("pasta"));
            let pasta = fixture("pasta");
            let path = std::env::var("PATH").unwrap_or_default();
            env.set("PATH", &format!("{}:{path}", pasta.display()));
            networks = "six pasta";
        }
        let script = format!(
            r#"
            $out ip addr add 2001:db8::1/128 dev lo nodad
            $out ip addr add fd09:8::2/64 dev b0 nodad
            "$BRYO" network create --ipv6 six >/dev/null
            for network in {networks}; do
                "$BRYO" run -d --name on-$network --network $network busybox sleep 1000 >/dev/null
            done
            join wifi0 10.9.9.1/24 10.9.9.2
            ip addr add fd09:8::1/64 dev cable0 nodad
            ip link set cable0 up
            ip -6 route add default via fd09:8::2
            # An interface that has just come up asks a second or two whether its own address is free.
            for network in {networks}; do
                for host in 192.0.2.1 2001:db8::1; do
                    tries=0
                    until "$BRYO" exec on-$network sh -c "timeout 10 nc $host 7777 </dev/null | head -n 1" 2>/dev/null |
                        sed "s/^/$network $host /" | grep . || [ $tries = 100 ]; do
                        tries=$((tries + 1))
                        sleep 0.05
                    done
                done
            done
            "$BRYO" rm -f $("$BRYO" ps -aq) >/dev/null
            kill $service $outside
            "#
        );
        let lines = networks.split(' ').flat_map(|network| {
            ["192.0.2.1", "2001:db8::1"].map(|host| format!("{network} {host} 1\n"))
        });
        assert_eq!(play(&env, &script), lines.collect::<String>());
    }
}

/// A laptop that is closed in one place and opened in another: nothing has run meanwhile.
#[test]
fn containers_wake_up_in_another_network() {
    let env = test_env!();
    need_bridges!();
    need!(Need::Program("ip"), Need::Program("nsenter"));
    let shown = play(
        &env,
        r#"
        join wifi0 10.9.9.1/24 10.9.9.2
        start
        ask wifi
        before=$(helpers)
        frozen=$(everything)
        kill -STOP $frozen
        leave wifi0
        sleep 3
        join cable0 10.9.8.1/24 10.9.8.2
        kill -CONT $frozen
        soon cable
        [ $(echo "$frozen" | wc -l) -ge 9 ] && [ "$(helpers)" = "$before" ] && echo nobody has restarted
        finish
        "#,
    );
    let moments = all(&["wifi", "cable"]);
    assert_eq!(shown, format!("{moments}nobody has restarted\n"));
}
