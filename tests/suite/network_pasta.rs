//! With pasta and on the bridge: the outside is reachable, the host's loopback is not, and only named ports come in.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::network_bridge::{child_of, need_bridges, parent, titled};
use crate::process::eventually;

const NETWORKS: [&str; 2] = ["pasta", "bridge"];

/// A port that nobody listened on a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has ports");
    listener.local_addr().expect("it is bound").port()
}

pub fn answer(address: &str) -> Option<String> {
    let address: SocketAddr = address.parse().expect("an address");
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(b"ping\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    (!text.is_empty()).then_some(text)
}

/// A container that answers `pong` to every connection on its port 8080.
fn server(env: &TestEnv, network: &str, flags: &[&str]) {
    let start = ["run", "-d", "--network", network, "--name", "server"];
    let command = ["busybox", "nc", "-ll", "-p", "8080", "-e", "echo", "pong"];
    env.run(&[&start[..], flags, &command].concat()).ok();
}

#[test]
fn a_published_port_answers_and_is_listed() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    env.busybox();
    let port = free_port();
    server(&env, "pasta", &["-p", &format!("127.0.0.1:{port}:8080")]);
    eventually("an answer", || {
        answer(&format!("127.0.0.1:{port}")).as_deref() == Some("pong\n")
    });
    assert_eq!(
        env.out(&["ps", "--format", "{{.Ports}}"]),
        format!("127.0.0.1:{port}->8080/tcp")
    );
}

/// proc_pid_status(5). pasta of 2026 has a child each second, and one that does not hear of their ends keeps them all.
#[test]
fn pasta_hears_every_signal() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    for network in NETWORKS {
        server(&env, network, &[]);
        let keeper = match network {
            "pasta" => parent(&env.out(&["inspect", "-f", "{{.State.Pid}}", "server"])),
            _ => titled(&env, "bryo: net").expect("somebody holds the bridge"),
        };
        let pasta = child_of(keeper, "pasta").expect("it leads out");
        let status = std::fs::read_to_string(format!("/proc/{pasta}/status"));
        let status = status.expect("it is this user's");
        assert!(
            status.contains("SigBlk:\t0000000000000000\n"),
            "{network}: {status}"
        );
        env.run(&["rm", "-f", "server"]).ok();
    }
}

/// The program inside takes the flag, `ps` and `inspect` name the ports, and each of them answers.
#[test]
fn every_form_of_p_is_understood() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    env.busybox();
    let ipv6 = if leads_ipv6() {
        ", [::]:?->8080/tcp"
    } else {
        ""
    };
    every_form(&env, "pasta", ipv6);
}

/// Whether the host has a way of IPv6, and so a container with a pasta of its own.
fn leads_ipv6() -> bool {
    let table = std::fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    let any = format!("{} 00 ", "0".repeat(32));
    let mut ways = table.lines().filter(|line| line.starts_with(&any));
    ways.any(|way| !way.trim_end().ends_with(" lo"))
}

/// Without an address it means both families there.
#[test]
fn every_form_of_p_is_understood_on_the_bridge() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    every_form(&env, "bridge", ", [::]:?->8080/tcp");
}

fn every_form(env: &TestEnv, network: &str, ipv6: &str) {
    let port = free_port();
    let next = port.saturating_add(3);
    // The flag, and what `ps` shows; the host's port is `?` where bryo chooses it.
    for (form, shown) in [
        (
            format!("{port}:8080"),
            format!("0.0.0.0:{port}->8080/tcp{ipv6}"),
        ),
        (
            format!("127.0.0.1:{port}:8080/tcp"),
            format!("127.0.0.1:{port}->8080/tcp"),
        ),
        (
            format!("127.0.0.1:{port}-{next}:8080"),
            "127.0.0.1:?->8080/tcp".to_owned(),
        ),
        (
            format!("127.0.0.1:{port}-{port}:8080-8080"),
            format!("127.0.0.1:{port}->8080/tcp"),
        ),
        (
            format!("published={port},target=8080"),
            format!("0.0.0.0:{port}->8080/tcp{ipv6}"),
        ),
        (
            "127.0.0.1::8080".to_owned(),
            "127.0.0.1:?->8080/tcp".to_owned(),
        ),
        (
            "127.0.0.1:0:8080".to_owned(),
            "127.0.0.1:?->8080/tcp".to_owned(),
        ),
        (":8080".to_owned(), format!("0.0.0.0:?->8080/tcp{ipv6}")),
        ("8080".to_owned(), format!("0.0.0.0:?->8080/tcp{ipv6}")),
    ] {
        server(env, network, &["-p", &form]);
        let ports = env.out(&["ps", "--format", "{{.Ports}}"]);
        let bindings = "{{json .NetworkSettings.Ports}}";
        let inspected = env.out(&["inspect", "--format", bindings, "server"]);
        let inspected: serde_json::Value = serde_json::from_str(&inspected).expect("it is JSON");
        let chosen = inspected["8080/tcp"][0]["HostPort"].as_str();
        let chosen = chosen.expect("it is a text").to_owned();
        assert_eq!(ports, shown.replace('?', &chosen), "-p {form}");
        eventually(&format!("an answer with -p {form}"), || {
            answer(&format!("127.0.0.1:{chosen}")).as_deref() == Some("pong\n")
        });
        env.run(&["rm", "-f", "server"]).ok();
    }
}

#[test]
fn a_range_publishes_each_of_its_ports() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    env.busybox();
    let ask = "--format={{range $inside, $b := .NetworkSettings.Ports}}{{$inside}} {{(index $b 0).HostPort}} {{end}}";
    server(
        &env,
        "pasta",
        &["-p", "127.0.0.1::8079-8081", "-p", "127.0.0.1::53/udp"],
    );
    let shown = env.out(&["inspect", ask, "server"]);
    let words: Vec<&str> = shown.split_whitespace().collect();
    // Templates go through maps in the order of their keys.
    let inside: Vec<&str> = words.iter().step_by(2).copied().collect();
    assert_eq!(inside, ["53/udp", "8079/tcp", "8080/tcp", "8081/tcp"]);
    let reached = || answer(&format!("127.0.0.1:{}", words[5]));
    eventually("an answer", || reached().as_deref() == Some("pong\n"));
}

#[test]
fn a_p_that_means_nothing_is_refused_in_dockers_words() {
    let env = test_env!();
    env.busybox();
    for (bad, words) in [
        ("", "no port specified: <empty>"),
        ("x", "invalid containerPort: x"),
        ("70000:80", "invalid hostPort: 70000"),
        ("80:70000", "invalid containerPort: 70000"),
        ("1.2.3.4.5:80:80", "invalid IP address: 1.2.3.4.5"),
        ("80:80/nonsense", "invalid proto: nonsense"),
        (
            "10-12:20-21",
            "invalid ranges specified for container and host Ports: 20-21 and 10-12",
        ),
        ("127.0.0.1:80", "invalid hostPort: 127.0.0.1"),
        ("80:80/sctp", "sctp"),
    ] {
        for verb in ["run", "create"] {
            env.run(&[verb, "-p", bad, "busybox", "true"])
                .fails(125, words);
        }
    }
    assert_eq!(env.out(&["ps", "-aq"]), "");
}

#[test]
fn a_published_udp_port_answers() {
    let env = test_env!();
    need!(
        Need::Program("pasta"),
        Need::Device("/dev/net/tun"),
        Need::Program("perl")
    );
    env.busybox();
    // The same port on both sides, and another one on an address of the host's: of the loopback with another port, pasta of
    // 2023 loses the answers.
    let port = free_port();
    assert_echo(
        &env,
        &[],
        &format!("127.0.0.1:{port}:{port}/udp"),
        port,
        ([127, 0, 0, 1], port).into(),
    );
    let Some(ip) = host_address() else {
        return crate::need::lacks(crate::need::test_name!(), "the host has no network");
    };
    let port = free_port();
    assert_echo(
        &env,
        &[],
        &format!("{port}:8080/udp"),
        8080,
        (ip, port).into(),
    );
}

/// A container that sends datagrams back answers at this address of the host.
pub fn assert_echo(env: &TestEnv, flags: &[&str], publish: &str, inside: u16, outside: SocketAddr) {
    // The host's perl, since busybox has no program that listens for datagrams.
    let echo = format!(
        r#"my $s = IO::Socket::INET->new(LocalPort => {inside}, Proto => "udp") or die; while ($s->recv(my $m, 99)) {{ $s->send("echo $m") }}"#
    );
    let mut words = vec!["run", "-d", "--name", "echo", "-p", publish];
    words.extend(flags);
    for place in ["/usr:/usr:ro", "/lib:/lib:ro", "/lib64:/lib64:ro"] {
        if Path::new(place.split(':').next().unwrap_or_default()).exists() {
            words.extend(["-v", place]);
        }
    }
    words.extend(["busybox", "perl", "-MIO::Socket::INET", "-e", &echo]);
    env.run(&words).ok();
    let socket = UdpSocket::bind("0.0.0.0:0").expect("the host has ports");
    let wait = Some(Duration::from_millis(200));
    socket.set_read_timeout(wait).expect("a socket option");
    let mut answer = [0; 99];
    eventually(&format!("an answer with -p {publish}"), || {
        let sent = socket.send_to(b"hello", outside);
        let received = sent.and_then(|_| socket.recv(&mut answer));
        received.is_ok_and(|length| &answer[..length] == b"echo hello")
    });
    env.run(&["rm", "-f", "echo"]).ok();
}

#[test]
fn a_port_of_ipv6_answers() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    if TcpListener::bind("[::1]:0").is_err() {
        return crate::need::lacks(crate::need::test_name!(), "no IPv6 on the loopback");
    }
    env.busybox();
    let port = free_port();
    server(&env, "pasta", &["-p", &format!("[::1]:{port}:8080")]);
    assert_eq!(
        env.out(&["ps", "--format", "{{.Ports}}"]),
        format!("[::1]:{port}->8080/tcp")
    );
    eventually("an answer", || {
        answer(&format!("[::1]:{port}")).as_deref() == Some("pong\n")
    });
    assert_eq!(answer(&format!("127.0.0.1:{port}")), None);
}

/// In two network namespaces with a cable between them: clients at both ends, in both families; first without a way of IPv6.
#[test]
fn a_port_without_an_address_is_of_both_families_where_the_container_is() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    need!(Need::Program("ip"), Need::Program("nsenter"));
    if TcpListener::bind("[::1]:0").is_err() {
        return crate::need::lacks(crate::need::test_name!(), "no IPv6 on the loopback");
    }
    env.busybox();
    let lines = r#"
        set -e
        ip link set lo up
        unshare --net sleep 1000 &
        outside=$!
        while [ "$(readlink /proc/$outside/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do :; done
        out="nsenter --target $outside --net"
        ip link add host0 type veth peer name out0 netns $outside
        ip addr add 10.9.9.1/24 dev host0
        ip link set host0 up
        $out ip addr add 10.9.9.2/24 dev out0
        $out ip addr add 2001:db8:9::2/64 dev out0 nodad
        $out ip link set out0 up
        ip route add default via 10.9.9.2
        serve() {
            "$BRYO" run -d --name server --network pasta -p 8080:80 -p 8080:80/udp busybox sh -c '
                nc -ll -p 80 -e sh -c "read said; echo tcp" & exec sleep 1000' >/dev/null
            until "$BRYO" exec server grep -q :0050 /proc/net/tcp6; do :; done
            "$BRYO" ps --format '{{.Ports}}'
        }
        says() { mkfifo f; exec 3<>f; echo ask >&3; $1 timeout 2 busybox nc $2 <f 3<&- | head -n 1; exec 3<&-; rm f; }
        ask() {
            # pasta of 2023 can lose an answer.
            for try in 1 2 3 4 5; do
                said=$(says "$2" "$3 8080")
                if [ -n "$said" ]; then break; fi
            done
            echo "$1 $said"
        }
        asks() {
            for at in 127.0.0.1 10.9.9.1 $1; do ask "here $at" '' $at; done
            for at in 10.9.9.1 $2; do ask "there $at" "$out" $at; done
        }
        serve
        asks ::1 ''
        "$BRYO" rm -f server >/dev/null
        ip addr add 2001:db8:9::1/64 dev host0 nodad
        ip route add default via 2001:db8:9::2
        serve
        asks '::1 2001:db8:9::1' 2001:db8:9::1
        "$BRYO" rm -f server >/dev/null
        kill $outside
    "#;
    let shown = env.apart(&[], lines).run().ok();
    let (four, six) = (
        "0.0.0.0:8080->80/tcp, 0.0.0.0:8080->80/udp",
        "0.0.0.0:8080->80/tcp, 0.0.0.0:8080->80/udp, [::]:8080->80/tcp, [::]:8080->80/udp",
    );
    let four_only = "here 127.0.0.1 tcp\nhere 10.9.9.1 tcp\nhere ::1 \nthere 10.9.9.1 tcp";
    let both = "here 127.0.0.1 tcp\nhere 10.9.9.1 tcp\nhere ::1 tcp\nhere 2001:db8:9::1 tcp\nthere 10.9.9.1 tcp\nthere 2001:db8:9::1 tcp";
    let lines = shown.stdout.lines().map(str::trim_end);
    let expected = format!("{four}\n{four_only}\n{six}\n{both}");
    assert_eq!(
        lines.collect::<Vec<_>>().join("\n"),
        expected
            .lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n"),
        "{shown:?}"
    );
}

#[test]
fn a_port_in_use_is_refused_in_dockers_words() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has ports");
    let port = listener.local_addr().expect("it is bound").port();
    let publish = format!("127.0.0.1:{port}:8080");
    let publishing = |network| {
        let words = ["run", "--rm", "-p", &publish, "busybox", "true"];
        env.command(&words).var("BRYO_NETWORK", network).run()
    };
    let taken = format!("Bind for 127.0.0.1:{port} failed: port is already allocated");
    let own = format!("has it: ps -p {}", std::process::id());
    for network in NETWORKS {
        let refused = publishing(network);
        let refused = refused.fails(125, &taken);
        refused.says(&own).says("use the next free port, ");
    }
    drop(listener);
    server(&env, "bridge", &["-p", &publish]);
    for network in NETWORKS {
        publishing(network)
            .fails(125, &taken)
            .says("container server has it: bryo port server");
    }
    env.run(&["rm", "-f", "server"]).ok();
    for network in NETWORKS {
        publishing(network).ok();
    }
}

#[test]
fn the_hosts_loopback_is_out_of_reach() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has ports");
    let port = listener.local_addr().expect("it is bound").port();
    listener.set_nonblocking(true).expect("a socket option");
    let gateway = "$(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')";
    let script = format!(
        "for a in 127.0.0.1 127.0.0.2 127.1.2.3 ::1 0.0.0.0 {gateway} 10.0.2.2 169.254.1.1 169.254.1.2 192.168.127.254 host.docker.internal; \
         do timeout 2 nc -w 1 $a {port} </dev/null && echo reached $a; done 2>/dev/null; echo done"
    );
    for network in NETWORKS {
        let words = ["run", "--rm", "busybox", "sh", "-c", &script];
        let shown = env.command(&words).var("BRYO_NETWORK", network).run();
        assert_eq!(shown.ok().out(), "done", "{network}");
        assert!(listener.accept().is_err(), "something connected");
    }
}

#[test]
fn a_port_that_is_not_named_is_not_forwarded() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let port = free_port().to_string();
    for network in NETWORKS {
        let words = [
            "run", "-d", "--name", network, "busybox", "nc", "-ll", "-p", &port, "-e", "echo",
            "pong",
        ];
        env.command(&words).var("BRYO_NETWORK", network).run().ok();
        eventually("the program runs", || {
            env.out(&["inspect", "--format", "{{.State.Running}}", network]) == "true"
        });
        assert_eq!(answer(&format!("127.0.0.1:{port}")), None);
        // The host can still use the port itself.
        UdpSocket::bind(format!("127.0.0.1:{port}")).expect("the port is free");
        TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free");
    }
}

#[test]
fn a_stopped_container_frees_its_port() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    env.busybox();
    let publish = format!("127.0.0.1:{}:8080", free_port());
    for _ in 0..3 {
        server(&env, "pasta", &["-p", &publish]);
        env.run(&["rm", "-f", "server"]).ok();
    }
}

#[test]
fn what_the_host_offers_on_its_own_address_is_reached() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let Some(ip) = host_address() else {
        return crate::need::lacks(crate::need::test_name!(), "the host has no network");
    };
    let listener = TcpListener::bind((ip, 0)).expect("the address is the host's");
    let port = listener.local_addr().expect("it is bound").port();
    let serve = std::thread::spawn(move || {
        for _ in NETWORKS {
            let (mut stream, _) = listener.accept()?;
            // The client asks and waits: pasta of 2023 can lose the answer to one that closes its half at once.
            let _ = stream.read(&mut [0; 1024])?;
            stream.write_all(b"from the host\n")?;
        }
        Ok::<_, std::io::Error>(())
    });
    let script = format!("(echo ask; sleep 3) | nc {ip} {port}");
    for network in NETWORKS {
        let words = ["run", "--rm", "busybox", "sh", "-c", &script];
        let heard = env.command(&words).var("BRYO_NETWORK", network).run();
        assert_eq!(heard.ok().out(), "from the host", "{network}");
    }
    let served = serve.join().expect("it does not panic");
    served.expect("the stream is open");
}

/// An address of the host that is not its loopback. Connecting a datagram socket sends nothing, it only looks up the route.
pub fn host_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.77:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

#[test]
fn the_hosts_network_is_shared_whole() {
    let env = test_env!();
    env.busybox();
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has ports");
    let port = listener.local_addr().expect("it is bound").port();
    let serve = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        stream.write_all(b"from the loopback\n")
    });
    let script = format!("readlink /proc/self/ns/net; nc 127.0.0.1 {port} </dev/null");
    let shared = [
        "run",
        "--rm",
        "--network",
        "host",
        "busybox",
        "sh",
        "-c",
        &script,
    ];
    let own = std::fs::read_link("/proc/self/ns/net").expect("/proc is mounted");
    let own = own.to_str().expect("it is ASCII");
    assert_eq!(env.out(&shared), format!("{own}\nfrom the loopback"));
    let served = serve.join().expect("it does not panic");
    served.expect("the stream is open");
    // The host's own files, as docker.
    for file in ["/etc/hosts", "/etc/resolv.conf"] {
        let inside = env.out(&["run", "--rm", "--network=host", "busybox", "cat", file]);
        let host = std::fs::read_to_string(file).unwrap_or_default();
        assert_eq!(inside.trim_end(), host.trim_end(), "{file}");
    }
    env.run(&[
        "run",
        "--rm",
        "--network",
        "host",
        "-p",
        "80",
        "busybox",
        "true",
    ])
    .ok()
    .says("published ports are discarded when using host network mode");
}

#[test]
fn no_network_is_the_loopback_alone() {
    let env = test_env!();
    env.busybox();
    let script = "ls /sys/class/net; ip -o addr show lo | grep -c 127.0.0.1; ip route";
    let all = [
        "run",
        "--rm",
        "--network",
        "none",
        "busybox",
        "sh",
        "-c",
        script,
    ];
    assert_eq!(env.out(&all), "lo\n1");
}

#[test]
fn names_are_looked_up_where_the_host_looks_them_up() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    env.busybox();
    let words = ["run", "--rm", "busybox", "cat", "/etc/resolv.conf"];
    let inside = env.command(&words).var("BRYO_NETWORK", "pasta").run();
    let inside = inside.ok().out();
    let servers: Vec<&str> = inside
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver "))
        .collect();
    assert!(!servers.is_empty(), "{inside}");
    let host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    for server in servers {
        // The host's loopback is another one than the container's: such servers are reached through pasta.
        assert!(!server.starts_with("127.") && server != "::1", "{inside}");
        let through_pasta = server == "169.254.1.1";
        assert!(through_pasta || host.contains(server), "{inside}");
    }
}
