//! The name server of shared networks, as programs speak to it that say more than a short question in one datagram.

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::network_bridge::{need_bridges, stay};

/// By datagrams and streams: 60 addresses, which a datagram has room for only if the asker says so. Every question is written down.
const SERVER: &str = r#"
    my %own = (LocalAddr => "127.0.0.1", LocalPort => 53, ReuseAddr => 1);
    my $datagrams = IO::Socket::INET->new(%own, Proto => "udp") or die $@;
    my $streams = IO::Socket::INET->new(%own, Proto => "tcp", Listen => 9) or die $@;
    open(my $asked, ">", "asked") or die;
    $asked->autoflush;
    open(my $ready, ">", "ready");
    sub answer {
        my ($query, $fits) = @_;
        my $end = 12 + length((split /\0/, substr($query, 12), 2)[0]) + 5;
        my $question = substr($query, 12, $end - 12);
        print $asked "asked\n";
        my $flags = $fits ? 0x8180 : 0x8380;
        my $count = $fits ? 60 : 0;
        my $all = join "", map { pack("n3 N n C4", 0xc00c, 1, 1, 9, 4, 192, 0, 2, $_) } 1 .. $count;
        return substr($query, 0, 2) . pack("n5", $flags, 1, $count, 0, 0) . $question . $all;
    }
    my $select = IO::Select->new($datagrams, $streams);
    while (my @ready = $select->can_read) {
        for my $one (@ready) {
            if ($one == $datagrams) {
                $one->recv(my $query, 512);
                my ($more) = unpack "x10 n", $query;
                $one->send(answer($query, $more));
            } elsif ($one == $streams) {
                $select->add($one->accept);
            } elsif ($one->sysread(my $message, 600)) {
                my $all = answer(substr($message, 2), 1);
                $one->syswrite(pack("n/a*", $all));
            } else {
                $select->remove($one);
                $one->close;
            }
        }
    }
"#;

/// Asks for a name in every way, and says whether the answer is cut, how many addresses it has and whether it speaks EDNS.
const ASKER: &str = r#"
    my %server = (PeerAddr => "169.254.1.1", PeerPort => 53);
    my $number = 0;
    sub query {
        my ($name, $edns) = @_;
        my $labels = join "", map { pack "C/a*", $_ } split /\./, $name;
        my $more = $edns ? pack("x n2 N n", 41, 4096, 0, 0) : "";
        return pack("n6", ++$number, 0x100, 1, 0, 0, $edns) . $labels . pack("x n2", 1, 1) . $more;
    }
    sub shown {
        my ($how, $name, $answer) = @_;
        my ($id, $flags, $questions, $answers, $authorities, $more) = unpack "n6", $answer;
        $id == $number or die;
        my $cut = $flags & 0x200 ? "cut" : "whole";
        print "$how $name $cut ", $answers > 0 ? $answers : "no", " answers", $more ? " edns" : "", "\n";
    }
    for my $name ("aa", "long.test") {
        for my $edns (0, 1) {
            my $socket = IO::Socket::INET->new(%server, Proto => "udp") or die;
            $socket->send(query($name, $edns));
            $socket->recv(my $answer, 65535);
            shown($edns ? "edns" : "datagram", $name, $answer);
        }
    }
    my $socket = IO::Socket::INET->new(%server, Proto => "tcp") or die;
    for my $name ("aa", "long.test", "aa") {
        # In two pieces.
        my $message = pack "n/a*", query($name, 0);
        $socket->syswrite(substr $message, 0, 5);
        $socket->syswrite(substr $message, 5);
        $socket->read(my $length, 2);
        $socket->read(my $answer, unpack "n", $length);
        shown("stream", $name, $answer);
    }
"#;

/// A host of its own whose name server is that one.
fn play(env: &TestEnv, lines: &str) -> String {
    env.busybox();
    env.file("server.pl", SERVER);
    env.file("asker.pl", ASKER);
    let begin = r#"
        set -e
        ip link set lo up
        perl -MIO::Socket::INET -MIO::Select -MIO::Handle server.pl &
        server=$!
        until [ -e ready ]; do :; done
        echo nameserver 127.0.0.1 >resolv
        mount --bind resolv /etc/resolv.conf
        for place in /usr /lib /lib64; do
            if [ -e $place ]; then mounts="$mounts -v $place:$place:ro"; fi
        done
    "#;
    let script = format!("{begin}\n{lines}\nkill $server");
    let shown = env.apart(&["--mount"], &script).run();
    assert_eq!(shown.code, 0, "{shown:?}");
    shown.stdout
}

/// A server on the host's loopback, as a local stub that parts the names of a VPN from all others is one.
#[test]
fn names_are_asked_for_by_datagrams_and_streams_with_and_without_edns() {
    let env = test_env!();
    need_bridges!();
    need!(Need::Program("ip"), Need::Program("perl"));
    let shown = play(
        &env,
        r#"
        "$BRYO" network create one >/dev/null
        "$BRYO" run --rm --name aa --network one $mounts -v "$PWD/asker.pl:/asker.pl:ro" \
            busybox perl -MIO::Socket::INET /asker.pl
        "#,
    );
    let expected = [
        "datagram aa whole 1 answers",
        "edns aa whole 1 answers edns",
        "datagram long.test cut no answers",
        "edns long.test whole 60 answers",
        "stream aa whole 1 answers",
        "stream long.test whole 60 answers",
        "stream aa whole 1 answers",
    ];
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
}

/// CVE-2024-29018.
#[test]
fn a_question_from_an_internal_network_goes_nowhere() {
    let env = test_env!();
    need_bridges!();
    need!(Need::Program("ip"), Need::Program("perl"));
    let shown = play(
        &env,
        r#"
        "$BRYO" network create --internal inside >/dev/null
        for network in inside bridge; do
            : >asked
            "$BRYO" run --rm --network $network busybox nslookup -type=a secret.leak.test 2>&1 | grep -o 'REFUSED$' || true
            "$BRYO" run --rm --network $network --dns 127.0.0.1 busybox nslookup -type=a secret.leak.test >/dev/null 2>&1 || true
            echo $network $(sort -u asked)
        done
        "#,
    );
    assert_eq!(shown, "REFUSED\ninside\nbridge asked\n");
}

#[test]
fn containers_are_known_in_both_families_and_by_their_addresses() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "--ipv6", "six"]).ok();
    stay(&env, "aa", &["--network", "six"]);
    stay(
        &env,
        "bb",
        &["--network", "six", "--network-alias", "store"],
    );
    let format =
        "{{with .NetworkSettings.Networks.six}}{{.IPAddress}} {{.GlobalIPv6Address}}{{end}}";
    let addresses = env.out(&["inspect", "-f", format, "bb"]);
    let (ipv4, ipv6) = addresses.split_once(' ').expect("it has two");
    let lookup = |words: &[&str]| {
        env.run(&[&["exec", "aa", "nslookup"], words].concat())
            .stdout
    };
    for name in ["bb", "store", "bb.six"] {
        for (kind, address) in [("-type=a", ipv4), ("-type=aaaa", ipv6)] {
            let said = lookup(&[kind, name]);
            assert!(
                said.contains(&format!("Address: {address}\n")),
                "{name}: {said}"
            );
        }
    }
    for address in [ipv4, ipv6] {
        let said = lookup(&[address]);
        assert!(said.contains("name = bb.six"), "{address}: {said}");
    }
    assert!(crate::network_bridge::reaches(&env, "aa", ipv6));
}
