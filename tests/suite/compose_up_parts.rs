//! What a service of a compose file says of its containers, seen from inside.

use crate::compose_up::{compose, id, inspected, ok, project, states};
use crate::env::test_env;
use crate::network_bridge::{address, need_bridges};

#[test]
fn compose_services_have_variables_secrets_and_configs() {
    let mut env = test_env!();
    need_bridges!();
    env.busybox();
    env.file("shop/token", "of a file");
    let text = r#"
services:
  web:
    image: busybox
    command: [sleep, "1000"]
    stop_signal: SIGKILL
    environment: {A: "b c", EMPTY: ""}
    volumes: [runs:/run]
    secrets:
      - token
      - {source: given, target: /etc/given, uid: "7", gid: "8", mode: 0440}
    configs:
      - {source: words, target: /etc/words}
      - words
secrets:
  token: {file: ./token}
  given: {environment: GIVEN}
configs:
  words: {content: "a=${GIVEN}\n"}
volumes: {runs: {}}
"#;
    project(&env, text);
    compose(&env, &["compose up", "-d"])
        .run()
        .fails(1, "\"GIVEN\" required by secret \"given\" is not set");
    env.set("GIVEN", "of a variable");
    ok(&env, &["compose up", "-d"]);
    let sh = ["exec", "shop-web-1", "sh", "-c"];
    let inside = |script: &str| env.out(&[&sh[..], &[script]].concat());
    assert_eq!(inside("echo \"$A\""), "b c");
    assert_eq!(inside("cat /run/secrets/token"), "of a file");
    assert_eq!(
        inside("cat /etc/given; stat -c ' %u %g %a' /etc/given"),
        "of a variable 7 8 440"
    );
    assert_eq!(
        inside("cat /etc/words /words"),
        "a=of a variable\na=of a variable"
    );
    // A container could have put a link where they go, into what outlives it: nothing is written through it.
    let outside = env.file("shop/outside", "untouched");
    let plant = format!(
        "umount /run/secrets/token; rm -rf /run/secrets; ln -s {} /run/secrets; ln -sf /etc/passwd /etc/given",
        outside.trim_end_matches("/outside")
    );
    let _ = env.run(&["exec", "shop-web-1", "sh", "-c", &plant]);
    let before = crate::env::names(&env.path("home/shop"));
    env.set("GIVEN", "another");
    ok(&env, &["compose up", "-d"]).says("Container shop-web-1  Recreated");
    let inside = |script: &str| env.out(&[&sh[..], &[script]].concat());
    assert_eq!(
        inside("cat /run/secrets/token /etc/given"),
        "of a fileanother"
    );
    assert_eq!(crate::env::names(&env.path("home/shop")), before);
    assert_eq!(
        std::fs::read_to_string(&outside).expect("it is there"),
        "untouched"
    );
    // None of it is in the container's own layer.
    env.run(&["commit", "shop-web-1", "kept"]).ok();
    let layer = ["run", "--rm", "--network", "none", "kept"];
    let content = env.out(&[&layer[..], &["cat", "/etc/given", "/etc/words"]].concat());
    assert_eq!(content, "");
    assert!(!inspected(&env, "shop-web-1", "{{json .}}").contains("another"));
    ok(&env, &["compose down", "-v"]);
    assert_eq!(
        std::fs::read_to_string(&outside).expect("it is there"),
        "untouched"
    );
}

#[test]
fn compose_secrets_may_be_the_engine_s() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let text = "services: {web: {image: busybox, command: [sleep, '1000'], stop_signal: SIGKILL, secrets: [kept]}}\nsecrets: {kept: {external: true}}\n";
    project(&env, text);
    compose(&env, &["compose up", "-d"])
        .run()
        .fails(1, "no such secret: kept");
    env.command(&["secret", "create", "kept", "-"])
        .input("value")
        .run()
        .ok();
    ok(&env, &["compose up", "-d"]);
    assert_eq!(
        env.out(&["exec", "shop-web-1", "cat", "/run/secrets/kept"]),
        "value"
    );
    ok(&env, &["compose down"]);
}

#[test]
fn compose_services_have_mounts_of_every_kind() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.file("shop/bound/file", "bound");
    let text = r#"
services:
  web:
    image: busybox
    command: [sleep, "1000"]
    stop_signal: SIGKILL
    volumes:
      - ./bound:/bound:ro
      - made:/made
      - {type: volume, target: /anonymous}
      - {type: volume, source: outer, target: /outer, volume: {nocopy: true}}
      - {type: tmpfs, target: /small, tmpfs: {size: 1m, mode: 0700}}
      - {type: bind, source: ./new, target: /new, bind: {create_host_path: true}}
    tmpfs: ["/scratch:size=2m"]
  other:
    image: busybox
    command: [sleep, "1000"]
    stop_signal: SIGKILL
    volumes_from: ["web:ro"]
volumes:
  made: {labels: {a: b}}
  outer: {external: true, name: theirs}
"#;
    project(&env, text);
    compose(&env, &["compose up", "-d"])
        .run()
        .fails(1, "external volume \"theirs\" not found");
    env.run(&["volume", "create", "theirs"]).ok();
    ok(&env, &["compose up", "-d"]);
    let inside = |name: &str, script: &str| env.run(&["exec", name, "sh", "-c", script]);
    inside(
        "shop-web-1",
        "cat /bound/file; ! touch /bound/x; touch /made/a /anonymous/b /outer/c /new/d /scratch/e",
    )
    .ok()
    .prints("bound");
    let sizes = inside(
        "shop-web-1",
        "df -k /small /scratch | awk 'NR>1{print $2}'; stat -c %a /small",
    )
    .ok();
    assert_eq!(sizes.lines(), ["1024", "2048", "700"]);
    assert!(env.path("home/shop/new/d").exists());
    inside(
        "shop-other-1",
        "test -e /made/a -a -e /anonymous/b -a -e /new/d && ! touch /made/x",
    )
    .ok();
    let label = "{{index .Labels \"a\"}}";
    assert_eq!(
        env.out(&["volume", "inspect", "-f", label, "shop_made"]),
        "b"
    );
    // A volume that is another by now is only made anew where somebody says so.
    project(&env, &text.replace("a: b", "a: c"));
    ok(&env, &["compose up", "-d"]).says("doesn't match configuration");
    assert_eq!(
        env.out(&["volume", "inspect", "-f", label, "shop_made"]),
        "b"
    );
    for (flag, value) in [("-y", "c"), ("--yes", "d")] {
        project(&env, &text.replace("a: b", &format!("a: {value}")));
        ok(&env, &["compose up", "-d", flag]);
        assert_eq!(
            env.out(&["volume", "inspect", "-f", label, "shop_made"]),
            value
        );
    }
    inside("shop-web-1", "! test -e /made/a").ok();
    for (flag, value) in [("-y", "e"), ("--yes", "f")] {
        project(&env, &text.replace("a: b", &format!("a: {value}")));
        ok(&env, &["compose create", flag]);
        assert_eq!(
            env.out(&["volume", "inspect", "-f", label, "shop_made"]),
            value
        );
    }
    ok(&env, &["compose down", "-v"]);
    // What is somebody else's stays.
    env.run(&["volume", "inspect", "theirs"]).ok();
}

#[test]
fn compose_services_are_limited_published_and_named() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let text = r#"
services:
  web:
    image: busybox
    command: [sleep, "1000"]
    stop_signal: SIGUSR1
    stop_grace_period: 1500ms
    hostname: front
    user: "5:6"
    working_dir: /tmp
    init: true
    read_only: true
    cap_add: [NET_ADMIN]
    cap_drop: [ALL]
    security_opt: [no-new-privileges]
    sysctls: {net.ipv4.ip_default_ttl: 70}
    ulimits: {nofile: {soft: 100, hard: 200}}
    shm_size: 1m
    extra_hosts: ["far=192.0.2.7"]
    dns: [192.0.2.53]
    dns_search: [example.org]
    restart: on-failure:3
    ports: ["127.0.0.1:0:80", "127.0.0.1::81-82/udp"]
    expose: ["90"]
    logging: {driver: json-file, options: {max-size: 1m}}
    healthcheck: {test: "exit 0", interval: 1h}
    annotations: {note: yes}
"#;
    project(&env, text);
    ok(&env, &["compose up", "-d"]);
    let inside = |script: &str| env.out(&["exec", "shop-web-1", "sh", "-c", script]);
    let seen = inside(
        "hostname; id -u; id -g; pwd; touch /x 2>/dev/null || echo read-only; cat /proc/sys/net/ipv4/ip_default_ttl; ulimit -Sn; ulimit -Hn; df -k /dev/shm | awk 'NR>1{print $2}'; grep -c 192.0.2.7.far /etc/hosts; grep -c example.org /etc/resolv.conf",
    );
    let expected = [
        "front",
        "5",
        "6",
        "/tmp",
        "read-only",
        "70",
        "100",
        "200",
        "1024",
        "1",
        "1",
    ];
    assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
    for (format, value) in [
        (
            "{{.Config.StopSignal}} {{.Config.StopTimeout}}",
            "SIGUSR1 2",
        ),
        (
            "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}",
            "on-failure 3",
        ),
        (
            "{{.HostConfig.CapAdd}} {{.HostConfig.CapDrop}}",
            "[CAP_NET_ADMIN] [ALL]",
        ),
        (
            "{{json .Config.Healthcheck.Test}}",
            r#"["CMD-SHELL","exit 0"]"#,
        ),
        ("{{.HostConfig.LogConfig.Config}}", "map[max-size:1m]"),
    ] {
        assert_eq!(inspected(&env, "shop-web-1", format), value);
    }
    let ports = env.out(&["port", "shop-web-1"]);
    assert_eq!(ports.matches("-> 127.0.0.1:").count(), 3, "{ports}");
    ok(&env, &["compose down", "-t", "0"]);
}

#[test]
fn compose_services_share_namespaces_and_follow_whose_they_are() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let text = r#"
x-stay: &stay {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL}
services:
  vpn: {<<: *stay, ipc: shareable, environment: [A=1]}
  web: {<<: *stay, network_mode: "service:vpn", ipc: "service:vpn", pid: "service:vpn"}
  alone: {<<: *stay, network_mode: none}
  open: {<<: *stay, network_mode: host}
  guest: {<<: *stay, network_mode: "container:lender"}
  linked: {<<: *stay, links: ["vpn:tunnel"]}
  restarting: {<<: *stay, depends_on: {vpn: {condition: service_started, restart: true}}}
"#;
    env.run(&[
        "run",
        "-d",
        "--name",
        "lender",
        "--stop-signal",
        "KILL",
        "busybox",
        "sleep",
        "1000",
    ])
    .ok();
    project(&env, text);
    ok(&env, &["compose up", "-d"]);
    let namespace = |name: &str, kind: &str| {
        let place = format!("/proc/self/ns/{kind}");
        env.out(&["exec", name, "readlink", &place])
    };
    for kind in ["net", "ipc", "pid"] {
        assert_eq!(
            namespace("shop-web-1", kind),
            namespace("shop-vpn-1", kind),
            "{kind}"
        );
    }
    assert_eq!(namespace("shop-guest-1", "net"), namespace("lender", "net"));
    let host = std::fs::read_link("/proc/self/ns/net").expect("there is /proc");
    assert_eq!(namespace("shop-open-1", "net"), host.to_string_lossy());
    let links = env.out(&["exec", "shop-alone-1", "ls", "/sys/class/net"]);
    assert_eq!(links, "lo");
    let found = env.out(&["exec", "shop-linked-1", "nslookup", "tunnel"]);
    assert!(
        found.contains(&address(&env, "shop-vpn-1", "shop_default")),
        "{found}"
    );
    // Made anew, it takes along who lives in it, and starts again who says so.
    let (web, restarting) = (id(&env, "shop-web-1"), id(&env, "shop-restarting-1"));
    project(&env, &text.replace("A=1", "A=2"));
    let up = ok(&env, &["compose up", "-d"]);
    assert_ne!(id(&env, "shop-web-1"), web);
    assert_eq!(id(&env, "shop-restarting-1"), restarting);
    assert!(
        up.stderr.contains(" Container shop-restarting-1  Started"),
        "{}",
        up.stderr
    );
    assert_eq!(
        namespace("shop-web-1", "net"),
        namespace("shop-vpn-1", "net")
    );
    assert!(states(&env).iter().all(|line| line.ends_with("running")));
    ok(&env, &["compose down"]);
    env.run(&["rm", "-f", "lender"]).ok();
}

#[test]
fn compose_services_and_networks_reach_what_the_file_allows() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let text = r#"
x-stay: &stay {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL}
services:
  db: {<<: *stay, command: [sh, -c, "while :; do nc -l -p 80 </dev/null >/dev/null; done"]}
  free: {<<: *stay}
  held: {<<: *stay, x-bryo-egress: ["host.docker.internal", "allowed.example:443"]}
  kept: {<<: *stay, networks: [inner]}
networks:
  inner: {x-bryo-egress: [none]}
"#;
    project(&env, text);
    ok(&env, &["compose up", "-d"]);
    let egress = |name: &str| inspected(&env, name, "{{.HostConfig.Egress}}");
    assert_eq!(
        egress("shop-held-1"),
        "host.docker.internal,allowed.example:443"
    );
    // A name outside of the list is refused, one of the project is not; and the network's own list holds for who is in it.
    env.run(&["exec", "shop-held-1", "nslookup", "db"]).ok();
    let refused = |name: &str, asked: &str| {
        let looked = env.run(&["exec", name, "nslookup", asked]);
        let said = looked.stdout.clone() + &looked.stderr;
        assert!(said.contains("REFUSED"), "{name} {asked}: {said}");
    };
    refused("shop-held-1", "denied.example");
    refused("shop-kept-1", "denied.example");
    let free = env.run(&["exec", "shop-free-1", "nslookup", "denied.example"]);
    assert!(!(free.stdout + &free.stderr).contains("REFUSED"));
    // An address that is in no list is not reached, while a container of the same network is.
    let db = address(&env, "shop-db-1", "shop_default");
    let reaches = |from: &str, to: &str| {
        let script = format!("nc -w 2 {to} </dev/null");
        env.run(&["exec", from, "sh", "-c", &script]).code
    };
    crate::process::eventually("the database listens", || {
        reaches("shop-held-1", &format!("{db} 80")) == 0
    });
    assert_ne!(reaches("shop-kept-1", "192.0.2.1 80"), 0);
    assert_ne!(reaches("shop-held-1", "192.0.2.1 80"), 0);
    project(&env, &text.replace("allowed.example:443", "not a place"));
    compose(&env, &["compose up", "-d"])
        .run()
        .fails(1, "not a place");
    project(&env, text);
    ok(&env, &["compose down"]);
}
