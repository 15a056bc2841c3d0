//! Ports that are published on networks that containers share, in every way that they are asked for and come to their end.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size, pipe};

use crate::env::{TestEnv, count, test_env};
use crate::need::{Need, need};
use crate::network_bridge::{need_bridges, titled};
use crate::network_pasta::{answer, assert_echo, free_port};
use crate::process::eventually;

/// A container that answers `pong` to every connection on its port 8080.
#[track_caller]
fn server(env: &TestEnv, flags: &[&str]) {
    let start = ["run", "-d", "--name", "server"];
    let command = ["busybox", "nc", "-ll", "-p", "8080", "-e", "echo", "pong"];
    env.run(&[&start[..], flags, &command].concat()).ok();
}

fn answers(address: &str) -> bool {
    answer(address).as_deref() == Some("pong\n")
}

#[test]
fn a_udp_port_answers() {
    let env = test_env!();
    need_bridges!();
    need!(Need::Program("perl"));
    env.busybox();
    env.run(&["network", "create", "one"]).ok();
    let port = free_port();
    for (network, publish) in [
        ("one", format!("127.0.0.1:{port}:8080/udp")),
        ("bridge", format!("{port}:8080/udp")),
    ] {
        let flags = ["--network", network];
        let outside = ([127, 0, 0, 1], port).into();
        assert_echo(&env, &flags, &publish, 8080, outside);
    }
}

#[test]
fn a_port_without_an_address_is_published_for_both_families() {
    let env = test_env!();
    need_bridges!();
    if TcpListener::bind("[::1]:0").is_err() {
        return crate::need::lacks(crate::need::test_name!(), "no IPv6 on the loopback");
    }
    env.busybox();
    env.run(&["network", "create", "--ipv6", "six"]).ok();
    for network in ["bridge", "six"] {
        server(&env, &["--network", network, "-p", "8080"]);
        let shown = env.out(&["port", "server"]);
        let port = shown
            .split(['\n', ':'])
            .nth(1)
            .unwrap_or_else(|| panic!("no port in {shown:?}"));
        let both = format!("8080/tcp -> 0.0.0.0:{port}\n8080/tcp -> [::]:{port}");
        assert_eq!(shown, both);
        let listed = format!("0.0.0.0:{port}->8080/tcp, [::]:{port}->8080/tcp");
        assert_eq!(env.out(&["ps", "--format", "{{.Ports}}"]), listed);
        for address in ["127.0.0.1", "[::1]"] {
            let address = format!("{address}:{port}");
            eventually(&address, || answers(&address));
        }
        let taken = format!("[::]:{port}:80");
        let words = ["run", "--rm", "--network", network, "-p", &taken];
        env.run(&[&words[..], &["busybox", "true"]].concat())
            .fails(125, "port is already allocated");
        env.run(&["rm", "-f", "server"]).ok();
    }
}

#[test]
fn a_port_is_there_again_after_each_restart() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "one"]).ok();
    let address = format!("127.0.0.1:{}", free_port());
    let publish = format!("{address}:8080");
    server(&env, &["--network", "one", "-p", &publish]);
    for _ in 0..count(5, 100) {
        env.run(&["restart", "-t", "0", "server"]).ok();
        eventually("an answer", || answers(&address));
    }
}

/// pipe(7): beyond 64 MiB of one user's, which two pastas have between them, a new pipe holds two pages.
#[test]
fn a_connection_has_whole_pipes_when_those_of_the_user_are_used_up() {
    let env = test_env!();
    need_bridges!();
    need!(Need::SubordinateIds);
    env.busybox();
    let address = format!("127.0.0.1:{}", free_port());
    let publish = format!("{address}:8080");
    let start = ["run", "-d", "-p", &publish, "busybox"];
    let listen = ["nc", "-ll", "-p", "8080", "-e", "cat"];
    env.run(&[&start[..], &listen].concat()).ok();
    // Few and large, and not for long: the tests beside this one have the same user.
    let mut held = Vec::new();
    while fcntl_getpipe_size(&pipe().expect("a pipe").0).expect("its size") > 8192 {
        let (reader, writer) = pipe().expect("a pipe");
        let largest = [1 << 20, 1 << 16, 1 << 14].into_iter();
        largest
            .take_while(|size| fcntl_setpipe_size(&writer, *size).is_err())
            .for_each(drop);
        held.push((reader, writer));
        if held.len() == 2000 {
            return crate::need::skip(crate::need::test_name!(), "this user may have any pipes");
        }
    }
    let client = TcpStream::connect(&address).expect("it listens");
    let inner = titled(&env, "bryo: net, inside").expect("somebody holds the bridge");
    let sizes = || {
        let entries = std::fs::read_dir(format!("/proc/{inner}/fd")).expect("it is this user's");
        let paths = entries.flatten().map(|entry| entry.path());
        let is_pipe = |path: &std::path::PathBuf| {
            let target = std::fs::read_link(path).unwrap_or_default();
            target.to_string_lossy().starts_with("pipe:")
        };
        let pipes = paths.filter(is_pipe);
        let opened = pipes.filter_map(|path| File::open(path).ok());
        let sizes = opened.filter_map(|pipe| fcntl_getpipe_size(pipe).ok());
        sizes.collect::<Vec<usize>>()
    };
    eventually("the connection's pipes", || sizes().len() >= 4);
    let sizes = sizes();
    drop((held, client));
    assert!(sizes.iter().all(|size| *size >= 65536), "{sizes:?}");
}

/// Whoever of them is killed, the host has its port again within a second. The best of three: a machine may be busy.
#[test]
fn the_ports_of_what_is_killed_are_free_within_a_second() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "one"]).ok();
    let address = format!("127.0.0.1:{}", free_port());
    let publish = format!("{address}:8080");
    for (network, victim) in [
        ("one", "its monitor"),
        ("one", "its program"),
        ("pasta", "its monitor"),
        ("pasta", "its program"),
    ] {
        let round = || {
            server(&env, &["--network", network, "-p", &publish]);
            eventually("an answer", || answers(&address));
            let pid = env.out(&["inspect", "-f", "{{.State.Pid}}", "server"]);
            let pid = match victim {
                "its monitor" => crate::network_bridge::parent(&pid),
                _ => pid.parse().expect("inspect shows a number"),
            };
            kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).expect("it is this user's");
            let since = Instant::now();
            eventually("the port is free", || TcpListener::bind(&address).is_ok());
            let took = since.elapsed();
            env.run(&["rm", "-f", "server"]).ok();
            took
        };
        let least = (0..3).map(|_| round()).min();
        let in_time = least.is_some_and(|took| took < Duration::from_secs(1));
        assert!(in_time, "{victim} on {network}: {least:?}");
    }
}

#[test]
fn a_port_that_is_roots_is_explained() {
    let env = test_env!();
    need_bridges!();
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first: u16 = first
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0);
    if first <= 80 || nix::unistd::getuid().is_root() {
        return crate::need::skip(crate::need::test_name!(), "this user may listen on port 80");
    }
    env.busybox();
    for network in ["bridge", "pasta"] {
        let words = ["run", "--rm", "--network", network, "-p", "127.0.0.1:80:80"];
        let refused = env.run(&[&words[..], &["busybox", "true"]].concat());
        let reason = format!(
            "Bind for 127.0.0.1:80 failed: ports below {first} are kept for root on this host"
        );
        refused
            .fails(125, &reason)
            .says("-p 8080:80")
            .says("sudo sysctl net.ipv4.ip_unprivileged_port_start=80");
    }
}

/// The classic example: what is pushed to it is there after a restart.
#[test]
fn a_registry_runs_as_a_container() {
    let env = test_env!();
    need_bridges!();
    need!(Need::Program("docker-registry"));
    env.busybox();
    let text = "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /var/lib/registry\nhttp:\n  addr: :5000\n";
    let config = format!("{}:/registry.yml:ro", env.file("registry.yml", text));
    let port = free_port();
    let publish = format!("{port}:5000");
    let mut words = vec!["run", "-d", "--name", "registry", "-p", &publish];
    words.extend(["-v", "images:/var/lib/registry", "-v", &config]);
    let places = ["/usr", "/lib", "/lib64"].into_iter();
    let places = places.filter(|place| std::path::Path::new(place).exists());
    let mounts: Vec<String> = places.map(|place| format!("{place}:{place}:ro")).collect();
    words.extend(mounts.iter().flat_map(|mount| ["-v", mount]));
    words.extend(["busybox", "docker-registry", "serve", "/registry.yml"]);
    env.run(&words).ok();
    let name = format!("localhost:{port}/own:1");
    env.run(&["commit", "registry", &name]).ok();
    let id = env.out(&["images", "-q", "--no-trunc", &name]);
    eventually("a push", || env.run(&["push", "-q", &name]).code == 0);
    for _ in 0..2 {
        env.run(&["restart", "-t", "1", "registry"]).ok();
        env.run(&["rmi", &name]).ok();
        eventually("a pull", || env.run(&["pull", "-q", &name]).code == 0);
        assert_eq!(env.out(&["images", "-q", "--no-trunc", &name]), id);
    }
}

#[test]
fn ports_come_and_go_while_the_container_runs() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "one"]).ok();
    server(&env, &["--network", "one", "-p", "127.0.0.1::8080"]);
    let first = env.out(&["port", "server", "8080"]);
    eventually("the first port", || answers(&first));
    let second = format!("127.0.0.1:{}", free_port());
    let publish = format!("{second}:8080");
    env.run(&["port", "add", "server", &publish]).ok();
    eventually("the second port", || answers(&second));
    assert!(answers(&first));
    let listed = env.out(&["port", "server", "8080"]);
    assert_eq!(listed.lines().collect::<Vec<_>>().len(), 2, "{listed}");
    let row = env.out(&["ps", "--format", "{{.Ports}}"]);
    assert!(row.contains(&format!("{second}->8080/tcp")), "{row}");
    let bindings = "{{len (index .HostConfig.PortBindings \"8080/tcp\")}}";
    assert_eq!(env.out(&["inspect", "-f", bindings, "server"]), "2");
    env.run(&["container", "port", "add", "server", &publish])
        .fails(1, "port is already allocated")
        .says("Hint: container server has it: bryo port server")
        .says("Hint: use the next free port, ");
    let other = TcpListener::bind("127.0.0.1:0").expect("the host has ports");
    let taken = other.local_addr().expect("it is bound");
    env.run(&["port", "add", "server", &format!("{taken}:8080")])
        .fails(1, "port is already allocated")
        .says(&format!("has it: ps -p {}", std::process::id()));
    env.run(&["port", "add", "server"])
        .fails(125, "bryo port add server: which ports?");
    // A restart keeps both, whoever does it.
    env.run(&["restart", "-t", "0", "server"]).ok();
    eventually("the second port after a restart", || answers(&second));
    env.run(&["stop", "-t", "0", "server"]).ok();
    env.run(&["start", "server"]).ok();
    eventually("the second port after a start", || answers(&second));
    env.run(&["port", "rm", "server", "9090"])
        .fails(1, "port 9090/tcp is not published");
    env.run(&["port", "rm", "server", &publish]).ok();
    assert!(TcpListener::bind(&second).is_ok(), "it is the host's again");
    assert_eq!(env.out(&["port", "server"]).lines().count(), 1);
    env.run(&["port", "rm", "server", "8080"]).ok();
    assert_eq!(env.out(&["port", "server"]), "");
    env.run(&["restart", "-t", "0", "server"]).ok();
    assert_eq!(env.out(&["port", "server"]), "");
    env.run(&["stop", "-t", "0", "server"]).ok();
    env.run(&["port", "add", "server", "8080"])
        .fails(1, "is not running");
}

#[test]
fn ports_are_added_to_shared_networks_alone() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    crate::network_bridge::stay(&env, "own", &["--network", "none"]);
    env.run(&["port", "add", "own", "8080"])
        .fails(1, "container own shares no networks with others");
    env.run(&["port", "add", "own", "x"])
        .fails(125, "invalid containerPort: x");
    env.run(&["port", "own", "1", "2"])
        .fails(125, "at most one of its ports");
    // Two words are a container and its port, whatever the container is called.
    crate::network_bridge::stay(&env, "add", &["--network", "none"]);
    env.run(&["port", "add", "80"])
        .fails(1, "No public port '80' published for add");
}

/// A client that takes an answer only from where it has asked, and a host that would answer it from another of its addresses.
#[test]
fn a_datagram_is_answered_from_the_address_it_was_sent_to() {
    let env = test_env!();
    need_bridges!();
    need!(
        Need::Program("ip"),
        Need::Program("nsenter"),
        Need::Program("perl")
    );
    env.busybox();
    let echo = r#"my $s = IO::Socket::INET->new(LocalPort => 8080, Proto => "udp") or die;
        while ($s->recv(my $m, 99)) { $s->send("echo $m") }"#;
    env.file("echo.pl", echo);
    let client = r#"for my $host (@ARGV) {
            my $s = IO::Socket::IP->new(PeerHost => $host, PeerPort => 8080, Type => SOCK_DGRAM) or die $@;
            my $said;
            for (1 .. 60) {
                $s->send($host);
                IO::Select->new($s)->can_read(0.5) or next;
                $s->recv($said, 99);
                last if length($said // "");
            }
            print $said // "nothing", "\n";
        }"#;
    env.file("client.pl", client);
    let script = r#"
        set -e
        ip link set lo up
        unshare --net sleep 1000 &
        client=$!
        while [ "$(readlink /proc/$client/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do :; done
        ip link add host0 type veth peer name client0 netns $client
        for last in 1 5; do
            ip addr add 10.9.9.$last/24 dev host0
            ip addr add 2001:db8:9::$last/64 dev host0 nodad
        done
        ip link set host0 up
        nsenter --target $client --net ip addr add 10.9.9.2/24 dev client0
        nsenter --target $client --net ip addr add 2001:db8:9::2/64 dev client0 nodad
        nsenter --target $client --net ip link set client0 up
        for place in /usr /lib /lib64; do
            if [ -e $place ]; then mounts="$mounts -v $place:$place:ro"; fi
        done
        "$BRYO" run -d --name echo --network bridge -p 8080:8080/udp $mounts -v "$PWD/echo.pl:/echo.pl:ro" \
            busybox perl -MIO::Socket::INET /echo.pl >/dev/null
        nsenter --target $client --net perl -MIO::Socket::IP -MIO::Select client.pl \
            10.9.9.1 10.9.9.5 2001:db8:9::1 2001:db8:9::5
        "$BRYO" rm -f echo >/dev/null
        kill $client
    "#;
    let shown = env.apart(&[], script).run();
    let all = "echo 10.9.9.1\necho 10.9.9.5\necho 2001:db8:9::1\necho 2001:db8:9::5\n";
    assert_eq!(shown.stdout, all, "{shown:?}");
}
