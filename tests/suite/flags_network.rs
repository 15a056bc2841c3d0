//! The flags for names and ports of a container: `--dns*`, `--add-host`, `--expose`, `-P`.

use crate::env::test_env;
use crate::need::{Need, need};
use crate::process::eventually;
use crate::spellings::{WAYS, ask};

#[test]
fn dns_flags_are_the_lines_of_resolv_conf() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let flags = [
            "--dns",
            "192.0.2.53",
            "--dns-search",
            "corp.test",
            "--dns-option",
            "ndots:3",
        ];
        let file = ["busybox", "cat", "/etc/resolv.conf"];
        let out = way.out(&env, &[&flags[..], &file].concat());
        let expected = "nameserver 192.0.2.53\nsearch corp.test\noptions ndots:3";
        assert_eq!(out, expected, "{way:?}");
        way.run(&env, &["--dns", "resolver.test", "busybox", "true"])
            .fails(125, "resolver.test is not an ip address");
        way.run(
            &env,
            &["--dns-search", "a\nnameserver 1.1.1.1", "busybox", "true"],
        )
        .fails(125, "is no word of a resolver's configuration");
    }
    let flags = ["--dns", "192.0.2.53", "--dns-search", "a.test", "busybox"];
    let id = env.out(&[&["create"], &flags[..]].concat());
    let format = "{{.HostConfig.Dns}} {{.HostConfig.DnsSearch}}";
    assert_eq!(
        env.out(&["inspect", "-f", format, &id]),
        "[192.0.2.53] [a.test]"
    );
}

#[test]
fn add_host_is_a_line_of_the_hosts_file() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let flags = [
            "--add-host",
            "db.test:192.0.2.7",
            "--add-host",
            "six.test=::7",
        ];
        let file = ["busybox", "cat", "/etc/hosts"];
        let out = way.out(&env, &[&flags[..], &file].concat());
        assert!(out.contains("192.0.2.7\tdb.test\n"), "{way:?}: {out}");
        assert!(out.contains("::7\tsix.test"), "{way:?}: {out}");
        way.run(&env, &["--add-host", "nothing", "busybox", "true"])
            .fails(125, "bad format for add-host: \"nothing\"");
    }
    let id = env.out(&["create", "--add-host", "up:host-gateway", "busybox"]);
    let hosts = env.out(&["inspect", "-f", "{{.HostConfig.ExtraHosts}}", &id]);
    assert_eq!(hosts, "[up:host-gateway]");
}

#[test]
fn expose_is_shown_and_publishes_nothing() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let flags = [
            "--network",
            "none",
            "--expose",
            "7000-7001",
            "--expose",
            "53/udp",
        ];
        let id = way.start(&env, &[&flags[..], &["busybox", "true"]].concat());
        env.run(&["wait", &id]).ok();
        let ports = env.out(&["inspect", "-f", "{{json .Config.ExposedPorts}}", &id]);
        assert_eq!(
            ports, r#"{"53/udp":{},"7000/tcp":{},"7001/tcp":{}}"#,
            "{way:?}"
        );
        ask(&env, way.make, &["--expose", "x", "busybox"]).code(125);
    }
}

#[test]
fn publish_all_gives_every_exposed_port_one_of_the_hosts() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    env.busybox();
    let server = ["sh", "-c", "while :; do echo answer | nc -l -p 7000; done"];
    for way in WAYS {
        for flag in ["-P", "--publish-all"] {
            let flags = ["--network", "pasta", flag, "--expose", "7000", "busybox"];
            let id = way.start(&env, &[&flags[..], &server].concat());
            let port = env.out(&[
                "inspect",
                "-f",
                "{{(index (index .NetworkSettings.Ports \"7000/tcp\") 0).HostPort}}",
                &id,
            ]);
            let address = format!("127.0.0.1:{port}");
            eventually("the program answers", || {
                let Ok(mut stream) = std::net::TcpStream::connect(&address) else {
                    return false;
                };
                let mut text = String::new();
                std::io::Read::read_to_string(&mut stream, &mut text).is_ok() && text == "answer\n"
            });
            env.run(&["rm", "-f", &id]).ok();
        }
    }
}
