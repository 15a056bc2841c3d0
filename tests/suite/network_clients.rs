//! Whom a container takes the clients of its published ports for: TCP and UDP, IPv4 and IPv6, on every kind of network, with the
//! pasta that is installed and with the newest.

use std::collections::BTreeMap;

use crate::env::{TestEnv, test_env};
use crate::need::{Need, fixture, need};
use crate::network_bridge::need_bridges;

/// Answers everybody with the address it sees: TCP and UDP, both families.
const SERVER: &str = r#"
    sub peer {
        my ($error, $host) = Socket::getnameinfo(shift, Socket::NI_NUMERICHOST(), Socket::NIx_NOSERV());
        $host =~ s/^::ffff:// if defined $host;
        return $error ? "$error" : $host;
    }
    my %own = (LocalHost => "::", LocalPort => 8080, V6Only => 0);
    if (fork) {
        my $all = IO::Socket::IP->new(%own, Listen => 9, ReuseAddr => 1) or die $@;
        while (1) {
            my $one = $all->accept or next;
            print $one peer($one->peername), "\n";
            my $end = <$one>;
        }
    }
    my $all = IO::Socket::IP->new(%own, Type => Socket::SOCK_DGRAM()) or die $@;
    while (1) {
        my $from = $all->recv(my $said, 99) // next;
        $all->send(peer($from), 0, $from);
    }
"#;

/// Asks each host by TCP and by UDP until there is an answer. It speaks first: pasta of 2023 tells a server of the connection no sooner.
const CLIENT: &str = r#"
    for my $host (@ARGV) {
        for my $kind ("tcp", "udp") {
            my $seen;
            for (1 .. 60) {
                my $type = $kind eq "tcp" ? Socket::SOCK_STREAM() : Socket::SOCK_DGRAM();
                my $one = IO::Socket::IP->new(PeerHost => $host, PeerPort => 8080, Type => $type, Timeout => 5);
                $one and $one->send("who am I\n");
                if ($one and IO::Select->new($one)->can_read(1)) {
                    $one->sysread($seen, 99);
                }
                last if length($seen // "");
                select undef, undef, undef, 0.1;
            }
            chomp($seen //= "nobody");
            print "$kind $host $seen\n";
        }
    }
"#;

/// A host, and behind a cable a client with 10.9.9.2 and 2001:db8:9::2. `server NETWORK PORTS...` is a container; `clients NAME` are what it
/// takes the other side for, and the host itself; `lost` is what `inspect` says.
const WORLD: &str = r#"
    set -e
    ip link set lo up
    unshare --net sleep 1000 &
    client=$!
    while [ "$(readlink /proc/$client/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do :; done
    ip link add host0 type veth peer name client0 netns $client
    ip addr add 10.9.9.1/24 dev host0
    ip addr add 2001:db8:9::1/64 dev host0 nodad
    ip link set host0 up
    nsenter --target $client --net sh -c '
        ip addr add 10.9.9.2/24 dev client0
        ip addr add 2001:db8:9::2/64 dev client0 nodad
        ip link set client0 up
    '
    ip route add default via 10.9.9.2
    ip route add default via 2001:db8:9::2
    for place in /usr /lib /lib64; do
        if [ -e $place ]; then mounts="$mounts -v $place:$place:ro"; fi
    done
    modules="-MSocket -MIO::Socket::IP -MIO::Select"
    server() {
        network=$1
        shift
        "$BRYO" run -d --name server --network $network "$@" $mounts -v "$PWD/server.pl:/server.pl:ro" \
            busybox perl $modules /server.pl >/dev/null
    }
    clients() {
        nsenter --target $client --net perl $modules client.pl 10.9.9.1 2001:db8:9::1 | sed "s/^/$1 /"
        perl $modules client.pl 127.0.0.1 | sed "s/^/$1 /"
    }
    lost() {
        "$BRYO" inspect server --format '{{range .NetworkSettings.ClientAddressLost}}{{println "lost" .HostIp .Port .AppearsAs}}{{end}}' |
            sed -n "s/^lost/$1 lost/p"
    }
    gone() { "$BRYO" rm -f "$@" >/dev/null; }
"#;

fn play(env: &TestEnv, lines: &str) -> String {
    env.busybox();
    env.file("server.pl", SERVER);
    env.file("client.pl", CLIENT);
    let script = format!("{WORLD}{lines}\nkill $client");
    let world = env.apart(&[], &script);
    let shown = world.limit(std::time::Duration::from_secs(300)).run();
    assert_eq!(shown.code, 0, "{shown:?}");
    shown.stdout
}

/// What is needed of the host beside a pasta.
macro_rules! need_clients {
    () => {
        need!(
            Need::Program("ip"),
            Need::Program("nsenter"),
            Need::Program("perl"),
            Need::Device("/dev/net/tun")
        );
        if std::net::TcpListener::bind("[::1]:0").is_err() {
            return crate::need::lacks(crate::need::test_name!(), "no IPv6 on the loopback");
        }
    };
}

const PLAYED: &str = r#"
    "$BRYO" network create --ipv6 six >/dev/null
    for network in bridge six; do
        server $network -p 8080:8080 -p 8080:8080/udp
        clients $network
        lost $network
        gone server
    done
    everywhere=
    for place in 0.0.0.0 '[::]'; do
        everywhere="$everywhere -p $place:8080:8080 -p $place:8080:8080/udp"
    done
    server pasta $everywhere
    clients pasta
    lost pasta
    gone server
"#;

fn matrix(shown: &str) -> BTreeMap<String, &str> {
    let lines = shown.lines().filter_map(|line| line.rsplit_once(' '));
    lines.map(|(who, seen)| (who.to_owned(), seen)).collect()
}

fn check(shown: &str) {
    let seen = matrix(shown);
    let (ipv4, ipv6) = ("10.9.9.1", "2001:db8:9::1");
    for network in ["bridge", "six", "pasta"] {
        for kind in ["tcp", "udp"] {
            let of = |host: &str| {
                let found = seen.get(&format!("{network} {kind} {host}"));
                *found.unwrap_or_else(|| panic!("{network} {kind} {host}: {shown}"))
            };
            let told = seen.get(&format!("{network} lost :: 8080/{kind}"));
            assert_eq!(of(ipv4), "10.9.9.2", "{network} {kind}\n{shown}");
            // docker's default network has no IPv6 either: where the client's address is lost, that is said.
            match network {
                "bridge" => assert_eq!(told, Some(&of(ipv6)), "{kind}\n{shown}"),
                _ => assert_eq!(
                    (of(ipv6), told),
                    ("2001:db8:9::2", None),
                    "{network} {kind}\n{shown}"
                ),
            }
            // CVE-2021-20199; the host's own loopback is another matter for pasta, which is asked only by those who are on the host.
            if network != "pasta" {
                assert_ne!(of("127.0.0.1"), "127.0.0.1", "{network} {kind}\n{shown}");
            }
            let lost = seen.get(&format!("{network} lost 0.0.0.0 8080/{kind}"));
            assert_eq!(lost, None, "{shown}");
        }
    }
}

#[test]
fn clients_are_seen_as_themselves() {
    let env = test_env!();
    need_bridges!();
    need_clients!();
    check(&play(&env, PLAYED));
}

#[test]
fn clients_are_seen_as_themselves_with_the_newest_pasta() {
    let mut env = test_env!();
    need!(Need::Fixture("pasta"));
    need_clients!();
    let pasta = fixture("pasta");
    let pasta = pasta.to_str().expect("test paths are UTF-8");
    let path = std::env::var("PATH").unwrap_or_default();
    env.set("PATH", &format!("{pasta}:{path}"));
    let shown = play(&env, &format!("{PLAYED}\ncommand -v pasta\n"));
    assert!(shown.contains(&format!("{pasta}/pasta")), "{shown}");
    check(&shown);
}

/// Connected with several networks, or with one that nothing leads out of: whoever the container can't answer is somebody else to it.
#[test]
fn where_the_clients_address_is_lost_inspect_says_so() {
    let env = test_env!();
    need_bridges!();
    need_clients!();
    let shown = play(
        &env,
        r#"
        "$BRYO" network create a >/dev/null
        "$BRYO" network create --ipv6 --subnet 10.7.0.0/24 --subnet fd07::/64 b >/dev/null
        "$BRYO" network create --internal c >/dev/null
        server a --network b -p 8080:8080 -p 8080:8080/udp
        clients both
        lost both
        "$BRYO" exec server ip -6 route | sed -n 's/^default \(via [^ ]* dev [^ ]*\).*/both route \1/p'
        "$BRYO" network disconnect b server
        clients one
        lost one
        "$BRYO" network connect b server
        clients again
        lost again
        "$BRYO" network disconnect a server
        clients other
        lost other
        gone server
        server c -p 8080:8080
        lost inside
        "$BRYO" inspect server --format '{{len .NetworkSettings.ClientAddressLost}}'
        gone server
        server b -p 127.0.0.1:8080:8080
        "$BRYO" inspect server --format '{{json .NetworkSettings}}' | grep -c ClientAddressLost || true
        gone server
        "#,
    );
    let seen = matrix(&shown);
    let of = |who: &str| seen.get(who).copied();
    let (ipv4, ipv6) = ("10.9.9.1", "2001:db8:9::1");
    assert!(
        shown.contains("both route via fd07::1 dev eth1\n"),
        "{shown}"
    );
    for kind in ["tcp", "udp"] {
        for when in ["both", "one", "again", "other"] {
            assert_eq!(
                of(&format!("{when} {kind} {ipv4}")),
                Some("10.9.9.2"),
                "{shown}"
            );
            let seen = of(&format!("{when} {kind} {ipv6}"));
            let told = of(&format!("{when} lost :: 8080/{kind}"));
            match when {
                "one" => assert!(seen == told && seen != Some("nobody"), "{shown}"),
                _ => assert_eq!(
                    (seen, told),
                    (Some("2001:db8:9::2"), None),
                    "{when}\n{shown}"
                ),
            }
            assert_eq!(
                of(&format!("{when} lost 0.0.0.0 8080/{kind}")),
                None,
                "{shown}"
            );
        }
    }
    assert!(shown.ends_with("\n2\n0\n"), "{shown}");
}

/// The other way round: a host with two addresses, and a container that shall appear as the second.
#[test]
fn the_address_that_a_container_leaves_from_is_chosen() {
    let env = test_env!();
    need_bridges!();
    need!(Need::Program("slirp4netns"));
    need_clients!();
    let shown = play(
        &env,
        r#"
        ip addr add 10.9.9.5/24 dev host0
        nsenter --target $client --net perl $modules server.pl &
        service=$!
        for network in pasta pasta:--outbound,10.9.9.5 slirp4netns slirp4netns:outbound_addr=10.9.9.5; do
            tries=0
            until "$BRYO" run --rm --network $network busybox sh -c '
                    mkfifo /f; exec 3<>/f; echo ask >&3; timeout 5 nc 10.9.9.2 8080 <&3 3<&- | head -n 1' |
                grep . || [ $tries = 20 ]; do
                tries=$((tries + 1))
            done
        done
        kill $(cat /proc/$service/task/*/children) $service
        "#,
    );
    assert_eq!(shown, "10.9.9.1\n10.9.9.5\n10.9.9.1\n10.9.9.5\n");
}
