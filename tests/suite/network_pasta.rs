//! The default network: the outside is reachable, the host's loopback is not, and only named ports come in.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::process::eventually;

/// A port that nobody listened on a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has ports");
    listener.local_addr().expect("it is bound").port()
}

fn answer(address: &str) -> Option<String> {
    let address: SocketAddr = address.parse().expect("an address");
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(b"ping\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    (!text.is_empty()).then_some(text)
}

/// A container that answers `pong` to every connection on its port 8080.
fn server(env: &TestEnv, flags: &[&str]) {
    let start = ["run", "-d", "--name", "server"];
    let command = ["busybox", "nc", "-lk", "-p", "8080", "-e", "echo", "pong"];
    env.run(&[&start[..], flags, &command].concat()).ok();
}

#[test]
fn a_published_port_answers_and_is_listed() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    env.busybox();
    let port = free_port();
    server(&env, &["-p", &format!("127.0.0.1:{port}:8080")]);
    eventually("an answer", || {
        answer(&format!("127.0.0.1:{port}")).as_deref() == Some("pong\n")
    });
    assert_eq!(
        env.out(&["ps", "--format", "{{.Ports}}"]),
        format!("127.0.0.1:{port}->8080/tcp")
    );
}

#[test]
fn every_form_of_p_is_understood() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    env.busybox();
    let port = free_port();
    for (form, shown) in [
        (format!("{port}:8080"), format!("0.0.0.0:{port}->8080/tcp")),
        (
            format!("127.0.0.1:{port}:8080/tcp"),
            format!("127.0.0.1:{port}->8080/tcp"),
        ),
        (
            format!("127.0.0.1:{port}:8080/udp"),
            format!("127.0.0.1:{port}->8080/udp"),
        ),
        ("127.0.0.1::8080".to_owned(), "->8080/tcp".to_owned()),
        ("8080".to_owned(), "->8080/tcp".to_owned()),
    ] {
        server(&env, &["-p", &form]);
        let shows = env.out(&["ps", "--format", "{{.Ports}}"]);
        assert!(shows.contains(&shown), "-p {form}: {shows}");
        env.run(&["rm", "-f", "server"]).ok();
    }
    for bad in [
        "",
        "x",
        "70000:80",
        "80:70000",
        "1.2.3.4.5:80:80",
        "80:80/nonsense",
        "10-12:20-21",
        "127.0.0.1:80",
    ] {
        env.run(&["run", "--rm", "-p", bad, "busybox", "true"])
            .code(125);
    }
}

#[test]
fn a_port_in_use_is_refused_in_dockers_words() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    env.busybox();
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has ports");
    let port = listener.local_addr().expect("it is bound").port();
    let publish = format!("127.0.0.1:{port}:8080");
    env.run(&["run", "--rm", "-p", &publish, "busybox", "true"])
        .fails(125, &port.to_string());
    drop(listener);
    env.run(&["run", "--rm", "-p", &publish, "busybox", "true"])
        .ok();
}

#[test]
fn the_hosts_loopback_is_out_of_reach() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    env.busybox();
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has ports");
    let port = listener.local_addr().expect("it is bound").port();
    listener.set_nonblocking(true).expect("a socket option");
    let gateway = "$(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')";
    let script = format!(
        "for a in 127.0.0.1 127.0.0.2 127.1.2.3 ::1 0.0.0.0 {gateway} 10.0.2.2 169.254.1.1 169.254.1.2 192.168.127.254 host.docker.internal; \
         do nc -w 1 $a {port} </dev/null && echo reached $a; done 2>/dev/null; echo done"
    );
    assert_eq!(
        env.out(&["run", "--rm", "busybox", "sh", "-c", &script]),
        "done"
    );
    assert!(listener.accept().is_err(), "something connected");
}

#[test]
fn a_port_that_is_not_named_is_not_forwarded() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    env.busybox();
    let port = free_port().to_string();
    env.run(&[
        "run", "-d", "--name", "quiet", "busybox", "nc", "-lk", "-p", &port, "-e", "echo", "pong",
    ])
    .ok();
    eventually("the program runs", || {
        env.out(&["inspect", "--format", "{{.State.Running}}", "quiet"]) == "true"
    });
    assert_eq!(answer(&format!("127.0.0.1:{port}")), None);
    // The host can still use the port itself.
    UdpSocket::bind(format!("127.0.0.1:{port}")).expect("the port is free");
    TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free");
}

#[test]
fn a_stopped_container_frees_its_port() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    env.busybox();
    let publish = format!("127.0.0.1:{}:8080", free_port());
    for _ in 0..3 {
        server(&env, &["-p", &publish]);
        env.run(&["rm", "-f", "server"]).ok();
    }
}
