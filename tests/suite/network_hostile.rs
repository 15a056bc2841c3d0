//! Name servers that answer nonsense and containers that ask without end: nobody else notices.

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::network_bridge::need_bridges;

/// Answers by the first label of the name; all that is not named there is 192.0.2.7.
const SERVER: &str = r#"
    my $socket = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 53, Proto => "udp") or die;
    open(my $ready, ">", "ready");
    while ($socket->recv(my $query, 512)) {
        my ($label) = unpack "x12 C/a*", $query;
        my $end = 12 + length((split /\0/, substr($query, 12), 2)[0]) + 5;
        my $head = substr($query, 0, 2) . pack("n5", 0x8180, 1, 1, 0, 0) . substr($query, 12, $end - 12);
        my $address = pack("n3 N n C4", 0xc00c, 1, 1, 9, 4, 192, 0, 2, 7);
        my %answers = (
            short => substr($query, 0, 5),
            # A name that is where it is, and another name for it.
            loop => $head . pack("n3 N n n", 0xc000 | $end, 1, 1, 9, 4, 0xc00c),
            alias => $head . pack("n3 N n n", 0xc00c, 5, 1, 9, 2, 0xc000 | ($end + 12)),
            huge => $head . $address . ("x" x 60000),
            cut => substr($head . $address, 0, $end + 9),
            count => substr($query, 0, 2) . pack("n5", 0x8180, 1, 65535, 65535, 65535) . substr($query, 12, $end - 12),
            other => pack("n", 1 + unpack "n", $query) . substr($head . $address, 2),
            silent => "",
        );
        my $answer = $answers{$label};
        $answer = $head . $address unless defined $answer;
        $socket->send($answer) if length $answer;
    }
"#;

/// A host of its own, where the name server is that one, and network `one` has a container `aa`.
fn play(env: &TestEnv, lines: &str) -> String {
    env.busybox();
    env.file("server.pl", SERVER);
    let begin = r#"
        set -e
        ip link set lo up
        perl -MIO::Socket::INET server.pl &
        server=$!
        until [ -e ready ]; do :; done
        "$BRYO" network create --dns 127.0.0.1 one >/dev/null
        "$BRYO" run -d --name aa --network one busybox sleep 1000 >/dev/null
        helpers() {
            for process in /proc/[0-9]*; do
                [ "$(readlink $process/ns/net)" = "$(readlink /proc/$$/ns/net)" ] || continue
                case "$(cat $process/comm)" in
                "bryo: net"* | pasta*) echo "${process#/proc/}" ;;
            esac
            done
        }
    "#;
    let script = format!("{begin}\n{lines}\nkill $server");
    let world = env.apart(&[], &script);
    let shown = world.limit(std::time::Duration::from_secs(300)).run();
    assert_eq!(shown.code, 0, "{shown:?}");
    shown.stdout
}

/// Without limits the answers are passed on; with them they are read.
#[test]
fn answers_that_make_no_sense_harm_nobody() {
    let env = test_env!();
    need_bridges!();
    need!(Need::Program("ip"), Need::Program("perl"));
    let shown = play(
        &env,
        r#"
        "$BRYO" run -d --name bb --network one --egress '*.test' busybox sleep 1000 >/dev/null
        before=$(helpers)
        for name in aa bb; do
            "$BRYO" exec $name sh -c '
                for label in short loop alias huge cut count other silent; do
                    nslookup -type=a $label.test >/dev/null 2>&1 &
                done
                wait
                nslookup -type=a good.test | grep -c "Address: 192.0.2.7"
                nslookup aa | grep -c "^Name:.*aa"
            '
        done
        [ -n "$before" ] && [ "$(helpers)" = "$before" ] && echo nobody has restarted
        "$BRYO" rm -f aa bb >/dev/null
        "#,
    );
    assert_eq!(shown, "1\n1\n1\n1\nnobody has restarted\n");
}

/// A thousand questions a second that the server never answers.
#[test]
fn whoever_asks_without_end_starves_nobody() {
    let env = test_env!();
    need_bridges!();
    need!(Need::Program("ip"), Need::Program("perl"));
    let shown = play(
        &env,
        r#"
        mounts=
        for place in /usr /lib /lib64; do
            if [ -e $place ]; then mounts="$mounts -v $place:$place:ro"; fi
        done
        "$BRYO" run -d --name noisy --network one $mounts busybox perl -MIO::Socket::INET -e '
            my $socket = IO::Socket::INET->new(PeerAddr => "169.254.1.1", PeerPort => 53, Proto => "udp") or die;
            $| = 1;
            for (my $number = 0; ; $number++) {
                $socket->send(pack("n6", $number, 0x100, 1, 0, 0, 0) . pack("C/a* C/a* x n2", "silent", "test", 1, 1));
                print "asked\n" if $number == 500;
                select undef, undef, undef, 0.001;
            }
        ' >/dev/null
        until [ "$("$BRYO" logs noisy)" = asked ]; do :; done
        number=0
        while [ $number -lt 10 ]; do
            "$BRYO" exec aa nslookup noisy | grep -c '^Name:.*noisy'
            "$BRYO" exec aa nslookup -type=a good$number.test | grep -c 'Address: 192.0.2.7'
            number=$((number + 1))
        done
        "$BRYO" inspect -f '{{.State.Running}}' noisy
        "$BRYO" rm -f aa noisy >/dev/null
        "#,
    );
    assert_eq!(shown, format!("{}true\n", "1\n".repeat(20)));
}
