//! The first container on shared networks: its program runs while the way out is still being made. What it sends there waits, and a way
//! out that fails is a start that has failed.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::network_bridge::need_bridges;
use crate::process::{Background, eventually};

/// A pasta that waits for the file `go`, and then does this.
fn slow_pasta(env: &mut TestEnv, then: &str) {
    slow(env, "pasta", then);
}

fn slow(env: &mut TestEnv, program: &str, then: &str) {
    let wait = format!("until [ -e {} ]; do sleep 0.01; done", go(env));
    let script = format!(
        "#!/bin/sh\n[ \"$1\" != --help ] || exec /usr/bin/{program} \"$@\"\n{wait}\n{then}\n"
    );
    let file = env.file(&format!("bin/{program}"), script);
    env.other("chmod", &["+x", &file]).run().ok();
    let (directory, _) = file.rsplit_once('/').expect("it is a path");
    let path = std::env::var("PATH").unwrap_or_default();
    env.set("PATH", &format!("{directory}:{path}"));
}

const BROKEN: &str = "echo it is broken >&2; exit 1";

fn go(env: &TestEnv) -> String {
    env.path("home/go")
        .to_str()
        .expect("test paths are UTF-8")
        .to_owned()
}

fn let_go(env: &TestEnv) {
    env.file("go", "");
}

fn hold_again(env: &TestEnv) {
    eventually("the end of the last bryo net", || net(env).is_none());
    let _ = std::fs::remove_file(go(env));
}

/// The inner half.
fn net(env: &TestEnv) -> Option<i32> {
    let processes = env.processes();
    let mut net = processes
        .iter()
        .filter(|process| process.contains("bryo: net, inside"));
    net.next()?.split(' ').next()?.parse().ok()
}

/// Flags by which a program can say that it runs, to a client that is told of nothing else.
fn shared(env: &TestEnv) -> String {
    format!("{}:/w", env.path("home").display())
}

fn runs(env: &TestEnv) {
    let mark = env.path("home/runs");
    eventually("the program", || mark.exists());
    let _ = std::fs::remove_file(mark);
}

fn start(env: &TestEnv, flags: &[&str], script: &str) -> Background {
    let begin = ["run", "-v"];
    let shared = shared(env);
    let program = ["busybox", "sh", "-c", script];
    env.spawn(&[&begin[..], &[&shared], flags, &program].concat())
}

/// By TCP and UDP over IPv4 and IPv6, to the world and to the host by its name, and a question for a name; each says when it was
/// answered. Those that are sent while nothing leads out are not sent again within a second.
const ASKER: &str = r#"
    use Time::HiRes qw(time);
    my @asked = @ARGV;
    open(my $runs, ">", "/w/runs") or die;
    close $runs;
    my $name = pack("n6", 7, 0x100, 1, 0, 0, 0) . "\4long\4test\0" . pack("n2", 1, 1);
    my %of = (
        tcp4 => ["tcp", "198.51.100.1", 7777], tcp6 => ["tcp", "2001:db8:7::1", 7777],
        udp4 => ["udp", "198.51.100.1", 7777], udp6 => ["udp", "2001:db8:7::1", 7777],
        host => ["tcp", "169.254.1.2", 7777], loopback => ["tcp", "169.254.1.2", 7778],
        name => ["udp", "169.254.1.1", 53],
    );
    for my $what (@asked) {
        next if fork;
        my ($protocol, $address, $port) = @{$of{$what}};
        my $socket = IO::Socket::IP->new(PeerHost => $address, PeerPort => $port, Proto => $protocol) or die "$what: $@";
        $socket->syswrite($what eq "name" ? $name : "question\n") or die "$what: $!";
        $socket->sysread(my $answer, 600) or die "$what: $!";
        printf "%s %.3f\n", $what, time;
        exit;
    }
    while (wait() != -1) { $failed ||= $?; }
    exit($failed ? 1 : 0);
"#;

/// Answers whatever it is asked.
const SERVER: &str = r#"
    my @listeners = map {
        my ($address, $port) = @$_;
        IO::Socket::IP->new(LocalHost => $address, LocalPort => $port, Proto => "tcp", Listen => 9, ReuseAddr => 1) or die $@;
    } ["198.51.100.1", 7777], ["2001:db8:7::1", 7777], ["127.0.0.1", 7778];
    my @datagrams = map {
        my ($address, $port) = @$_;
        IO::Socket::IP->new(LocalHost => $address, LocalPort => $port, Proto => "udp") or die $@;
    } ["198.51.100.1", 7777], ["2001:db8:7::1", 7777], ["127.0.0.1", 53];
    open(my $ready, ">", "ready");
    my $select = IO::Select->new(@listeners, @datagrams);
    while (my @ready = $select->can_read) {
        for my $one (@ready) {
            if (grep { $_ == $one } @listeners) {
                $select->add($one->accept);
            } elsif (grep { $_ == $one } @datagrams) {
                $one->recv(my $query, 600);
                $query |= "\0\0\x81\x80" if $one->sockport == 53;
                $one->send($query);
            } else {
                $one->sysread(my $asked, 600);
                $one->syswrite("answer\n") if $asked;
                $select->remove($one);
                $one->close;
            }
        }
    }
"#;

/// A host of its own. `begins NAME FLAG... -- WHAT...` starts a container that asks; when all that were begun run, `leads` lets the way
/// out be made, and shows what was not answered within 0.6 seconds from then: the kernel's own second try would come later.
const WORLD: &str = r#"
    set -e
    ip link set lo up
    ip link add out0 type veth peer name out1
    ip link set out0 up
    ip link set out1 up
    ip addr add 198.51.100.1/24 dev out0
    ip addr add 2001:db8:9::3/64 dev out0 nodad
    # pasta gives the shared namespace the address above.
    ip addr add 2001:db8:7::1/128 dev lo
    ip route add default via 198.51.100.2
    ip -6 route add default via 2001:db8:9::2
    perl -MIO::Socket::IP -MIO::Select server.pl &
    server=$!
    until [ -e ready ]; do :; done
    echo nameserver 127.0.0.1 >resolv
    mount --bind resolv /etc/resolv.conf
    for place in /usr /lib /lib64; do
        if [ -e $place ]; then mounts="$mounts -v $place:$place:ro"; fi
    done
    "$BRYO" network create --ipv6 both >/dev/null
    "$BRYO" network create --internal shut >/dev/null
    begins() {
        rm -f runs
        name=$1
        shift
        flags=
        while [ "$1" != -- ]; do flags="$flags $1"; shift; done
        shift
        "$BRYO" run --rm --name $name $flags $mounts -v $PWD:/w busybox perl -MIO::Socket::IP /w/asker.pl "$@" >>answers 2>>errors &
        begun="$begun $!"
        until [ -e runs ]; do
            kill -0 $! || { cat errors >&2; exit 1; }
            sleep 0.01
        done
    }
    leads() {
        # Every question is on its way.
        sleep 0.1
        date +%s.%N >go
        for one in $begun; do wait $one || cat errors >&2; done
        begun=
        late=$(perl -ane 'BEGIN { open(my $file, "<", "go"); $go = <$file> }
            $F[1] - $go > 0.6 && printf "%s after %.1f s\n", $F[0], $F[1] - $go' answers)
    }
    # A busy machine may be late once; what is lost is late each time.
    ask() {
        for try in 1 2 3 4 5; do
            rm -f go answers errors
            "$@"
            leads
            answers=$(wc -l <answers)
            while [ -e $XDG_RUNTIME_DIR/bryo/net ]; do sleep 0.01; done
            [ -n "$late" ] || break
        done
        echo "$answers answers $late"
    }
"#;

fn play(env: &TestEnv, lines: &str) -> String {
    env.busybox();
    env.file("server.pl", SERVER);
    env.file("asker.pl", ASKER);
    let script = format!("trap 'kill $server' EXIT\n{WORLD}{lines}");
    let shown = env.apart(&["--mount"], &script).run().ok();
    shown.stdout
}

#[test]
fn what_is_sent_before_anything_leads_out_waits_and_is_not_lost() {
    let mut env = test_env!();
    need_bridges!();
    need!(Need::Program("ip"), Need::Program("perl"));
    slow_pasta(&mut env, "exec /usr/bin/pasta \"$@\"");
    let shown = play(
        &env,
        r#"
        default() { begins one -- tcp4 udp4 host name; }
        both() { begins one --network both -- tcp4 udp4 tcp6 udp6 host name; }
        loopback() { begins one --network shut --host-port 7778 -- loopback; }
        open() { begins one --host-port 7778 -- loopback tcp4 host; }
        several() {
            begins one -- tcp4 name
            begins two --network both -- tcp6 tcp4 name
            # Its monitor is not called before its words are understood.
            begins three --log-driver none --network shut --network both -- udp4 udp6
        }
        limited() { begins one --egress 198.51.100.1:7777,long.test -- tcp4 udp4 name; }
        for what in default both loopback open several limited; do
            ask $what
        done
        "#,
    );
    let expected = ["4", "6", "1", "3", "7", "3"].map(|count| format!("{count} answers \n"));
    assert_eq!(shown, expected.concat());
}

#[test]
fn slirp4netns_leads_out_later_too() {
    let mut env = test_env!();
    need_bridges!();
    need!(
        Need::Program("ip"),
        Need::Program("perl"),
        Need::Program("slirp4netns")
    );
    slow(&mut env, "slirp4netns", "exec /usr/bin/slirp4netns \"$@\"");
    let shown = play(
        &env,
        r#"
        mount --bind /dev/null /usr/bin/pasta
        default() { begins one -- tcp4 udp4 name; }
        ask default
        "#,
    );
    assert_eq!(shown, "3 answers \n");
}

/// A container that is published is not reached before it could answer.
#[test]
fn who_comes_to_a_published_port_before_anything_leads_out_waits() {
    let mut env = test_env!();
    need_bridges!();
    slow_pasta(&mut env, "exec /usr/bin/pasta \"$@\"");
    env.busybox();
    let flags = ["--name", "server", "-p", "127.0.0.1::8080"];
    let mut server = start(&env, &flags, "touch /w/runs; nc -l -p 8080 -e echo pong");
    runs(&env);
    let port = env.out(&["port", "server", "8080"]);
    let client = std::thread::spawn(move || crate::network_pasta::answer(&port));
    std::thread::sleep(Duration::from_millis(50));
    assert!(server.is_running());
    let_go(&env);
    assert_eq!(client.join().expect("it asks").as_deref(), Some("pong\n"));
    server.wait().ok();
}

#[test]
fn a_way_out_that_fails_later_is_a_start_that_has_failed() {
    let mut env = test_env!();
    need_bridges!();
    slow_pasta(&mut env, BROKEN);
    env.busybox();
    let words = "pasta failed: it is broken";
    // What it writes is seen at once.
    let mut attached = start(&env, &["--rm"], "echo runs; sleep 1000");
    attached.until("runs\n");
    let_go(&env);
    attached
        .wait()
        .fails(125, words)
        .says("Hint: see what this host lacks: bryo doctor");
    assert_eq!(env.out(&["ps", "-aq"]), "");
    hold_again(&env);
    // Who is shown nothing hears of a start that is certain.
    for policy in ["no", "always"] {
        let flags = ["-d", "--name", policy, "--restart", policy];
        let mut detached = start(&env, &flags, "touch /w/runs; sleep 1000");
        runs(&env);
        std::thread::sleep(Duration::from_millis(50));
        assert!(detached.is_running());
        let_go(&env);
        detached.wait().fails(125, words);
        let state = "{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}} {{.State.Error}}";
        let state = env.out(&["inspect", "-f", state, policy]);
        assert_eq!(state, format!("exited 125 0 {words}"));
        hold_again(&env);
    }
    // The same of one that is started another time, in the foreground or not.
    for flags in [&["start", "no"][..], &["start", "-a", "no"]] {
        let started = env.spawn(flags);
        runs(&env);
        let_go(&env);
        started.wait().fails(1, words);
        hold_again(&env);
    }
    // An end of its own comes first.
    let own = start(&env, &["--rm"], "exit 7").wait();
    assert_eq!(own.code, 7, "{own:?}");
    let_go(&env);
}

/// A step that has happened could not be repeated on another network.
#[test]
fn a_step_of_a_build_waits_for_its_way_out() {
    let mut env = test_env!();
    need_bridges!();
    slow_pasta(&mut env, BROKEN);
    env.busybox();
    let file = env.file(
        "built/Dockerfile",
        "FROM busybox\nRUN echo has run $((40 + 2))\n",
    );
    let mut build = env.spawn(&["build", file.trim_end_matches("/Dockerfile")]);
    eventually("bryo net", || net(&env).is_some());
    std::thread::sleep(Duration::from_millis(100));
    assert!(!build.has_written("has run 42"));
    let_go(&env);
    let built = build.wait().fails(1, "it is broken");
    assert!(!format!("{built:?}").contains("has run 42"));
}

/// Its end while nothing leads out yet: another is started, and what waits goes on.
#[test]
fn an_end_of_bryo_net_before_anything_leads_out_costs_nothing() {
    let mut env = test_env!();
    need_bridges!();
    let Some(host) = crate::network_pasta::host_address() else {
        return;
    };
    slow_pasta(&mut env, "exec /usr/bin/pasta \"$@\"");
    env.busybox();
    let listener = std::net::TcpListener::bind((host, 0)).expect("the host has ports");
    let port = listener.local_addr().expect("it is bound").port();
    listener.set_nonblocking(true).expect("it is a socket");
    let comes = |what: &str| eventually(what, || listener.accept().is_ok());
    let script = format!("touch /w/runs; nc {host} {port} </dev/null; sleep 1000");
    let mut run = start(&env, &["-d", "--name", "asker"], &script);
    runs(&env);
    let first = net(&env).expect("it holds the networks");
    kill(Pid::from_raw(first), Signal::SIGKILL).expect("it is this user's");
    eventually("another", || net(&env).is_some_and(|now| now != first));
    assert!(run.is_running());
    let_go(&env);
    run.wait().ok();
    comes("what has waited");
    // The next has what the first did not live to make.
    let ask = format!("nc -w 5 {host} {port} </dev/null");
    let another = start(&env, &["--rm"], &ask);
    comes("what the next one sends");
    another.wait().ok();

    env.run(&["rm", "-f", "asker"]).ok();
}

/// The one that is started for another that has ended fails as the first would have.
#[test]
fn why_another_bryo_net_does_not_start_is_told_too() {
    let mut env = test_env!();
    need_bridges!();
    slow_pasta(&mut env, BROKEN);
    env.busybox();
    let run = start(&env, &["-d", "--name", "aa"], "touch /w/runs; sleep 1000");
    runs(&env);
    let first = net(&env).expect("it holds the networks");
    kill(Pid::from_raw(first), Signal::SIGKILL).expect("it is this user's");
    eventually("another", || net(&env).is_some_and(|now| now != first));
    let_go(&env);
    run.wait()
        .fails(125, "pasta failed: it is broken")
        .says("Hint: see what this host lacks: bryo doctor");
}
