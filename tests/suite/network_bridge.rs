//! Networks that containers share: they reach each other and the outside by address, are kept apart from other networks,
//! and nothing is left when the last has gone.

use crate::env::{TestEnv, count, test_env};
use crate::need::{Need, need};
use crate::process::eventually;
use crate::spellings::ask;

/// What every network of bridges needs of its host.
macro_rules! need_bridges {
    () => {
        $crate::need::need!(
            $crate::need::Need::Program("pasta"),
            $crate::need::Need::Device("/dev/net/tun")
        );
    };
}
pub(crate) use need_bridges;

/// A container that stays, with these flags.
#[track_caller]
pub fn stay(env: &TestEnv, name: &str, flags: &[&str]) {
    let start = ["run", "-d", "--name", name];
    let program = ["busybox", "sleep", "1000"];
    env.run(&[&start[..], flags, &program].concat()).ok();
}

pub fn address(env: &TestEnv, name: &str, network: &str) -> String {
    let format = format!("{{{{(index .NetworkSettings.Networks {network:?}).IPAddress}}}}");
    env.out(&["inspect", "-f", &format, name])
}

/// Whether one packet comes back.
pub fn reaches(env: &TestEnv, from: &str, to: &str) -> bool {
    let ping = ["exec", from, "ping", "-c", "1", "-W", "1", to];
    env.run(&ping).code == 0
}

#[test]
fn containers_of_a_network_reach_each_other_and_not_those_of_another() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "one"]).ok();
    env.run(&["network", "create", "two"]).ok();
    stay(&env, "aa", &["--network", "one"]);
    stay(&env, "bb", &["--network", "one"]);
    stay(&env, "cc", &["--network", "two"]);
    let (b, c) = (address(&env, "bb", "one"), address(&env, "cc", "two"));
    assert!(reaches(&env, "aa", &b));
    assert!(!reaches(&env, "aa", &c), "networks are apart");
    let removed = env.run(&["network", "rm", "one"]);
    removed.fails(1, "network one has active endpoints");
    env.run(&["rm", "-f", "aa", "bb"]).ok();
    assert_eq!(env.out(&["network", "rm", "one"]), "one");
}

#[test]
fn traffic_between_containers_can_be_forbidden() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let option = "com.docker.network.bridge.enable_icc=false";
    env.run(&["network", "create", "-o", option, "apart"]).ok();
    stay(&env, "aa", &["--network", "apart"]);
    stay(&env, "bb", &["--network", "apart"]);
    let b = address(&env, "bb", "apart");
    assert!(!reaches(&env, "aa", &b));
    let gateway = "{{(index .NetworkSettings.Networks \"apart\").Gateway}}";
    let gateway = env.out(&["inspect", "-f", gateway, "aa"]);
    assert!(reaches(&env, "aa", &gateway), "the gateway is no container");
}

/// docker's words and podman's; what would have no effect is refused by its name.
#[test]
fn options_of_a_network_do_what_they_say() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let mtu = |option: &str| {
        env.run(&["network", "create", "-o", option, "sized"]).ok();
        let show = ["busybox", "cat", "/sys/class/net/eth0/mtu"];
        let shown = env.out(&[&["run", "--rm", "--network", "sized"], &show[..]].concat());
        env.run(&["network", "rm", "sized"]).ok();
        shown
    };
    assert_eq!(mtu("com.docker.network.driver.mtu=1300"), "1300");
    assert_eq!(mtu("mtu=1280"), "1280");
    // Not by the other network's gateway either.
    for (name, isolate) in [("one", "isolate=true"), ("two", "isolate=strict")] {
        env.run(&["network", "create", "-o", isolate, name]).ok();
        stay(&env, name, &["--network", name, "--cap-add", "NET_ADMIN"]);
    }
    let (one, two) = (address(&env, "one", "one"), address(&env, "two", "two"));
    stay(&env, "other", &["--network", "two"]);
    assert!(reaches(&env, "other", &two));
    assert!(!reaches(&env, "one", &two) && !reaches(&env, "two", &one));
    for (option, words) in [
        ("isolate=false", "bryo's networks are always apart"),
        ("mtu=many", "invalid MTU: many"),
        (
            "com.docker.network.bridge.host_binding_ipv4=here",
            "host_binding_ipv4: here",
        ),
        (
            "com.docker.network.bridge.enable_ip_masquerade=false",
            "enable_ip_masquerade is not supported",
        ),
        (
            "com.docker.network.bridge.enable_icc=perhaps",
            "enable_icc: perhaps",
        ),
        (
            "com.docker.network.bridge.name=br0",
            "com.docker.network.bridge.name is not supported",
        ),
        (
            "no_default_route=1",
            "network option no_default_route is not supported",
        ),
    ] {
        let refused = env.run(&["network", "create", "--opt", option, "never"]);
        refused.fails(1, words);
    }
}

/// Where a port names no address, on its first day and later; one that names one keeps it.
#[test]
fn ports_are_published_at_the_address_that_the_network_says() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let create = [
        "network",
        "create",
        "-o",
        "com.docker.network.bridge.enable_ip_masquerade=true",
    ];
    let binding = "com.docker.network.bridge.host_binding_ipv4=127.0.0.2";
    env.run(&[&create[..], &["-o", binding, "near"]].concat())
        .ok();
    stay(
        &env,
        "web",
        &["--network", "near", "-p", "80", "-p", "127.0.0.3::81"],
    );
    let bindings = "{{range $k, $v := .HostConfig.PortBindings}}{{(index $v 0).HostIp}};{{end}}";
    assert_eq!(env.out(&["inspect", "-f", bindings, "web"]), ";127.0.0.3;");
    env.run(&["port", "add", "web", "82"]).ok();
    let shown = env.out(&["port", "web"]);
    let addresses: Vec<&str> = shown
        .lines()
        .filter_map(|line| line.rsplit_once(':').map(|(before, _)| before))
        .collect();
    let expected = [
        "80/tcp -> 127.0.0.2",
        "81/tcp -> 127.0.0.3",
        "82/tcp -> 127.0.0.2",
    ];
    assert_eq!(addresses, expected, "{shown}");
    env.run(&["port", "rm", "web", "82"]).ok();
    env.run(&["rm", "-f", "web"]).ok();
}

/// The classic example: a linked container's database is reached, and by nobody on another network.
#[test]
fn a_linked_containers_port_is_reached_and_by_no_other_network() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "back"]).ok();
    env.run(&["network", "create", "front"]).ok();
    for network in ["bridge", "back"] {
        let start = ["run", "-d", "--name", "store", "--network", network];
        let serve = ["busybox", "nc", "-ll", "-p", "5432", "-e", "echo", "rows"];
        env.run(&[&start[..], &serve].concat()).ok();
        stay(&env, "app", &["--network", network, "--link", "store:db"]);
        stay(&env, "web", &["--network", "front"]);
        let rows = |from: &str, to: &str| {
            let script = format!("nc -w 2 {to} 5432 </dev/null");
            let asked = env.run(&["exec", from, "timeout", "3", "sh", "-c", &script]);
            asked.stdout == "rows\n"
        };
        eventually("the database", || rows("app", "db"));
        let ip = address(&env, "store", network);
        assert!(!rows("web", "db") && !rows("web", "store") && !rows("web", &ip));
        env.run(&["rm", "-f", "store", "app", "web"]).ok();
    }
}

/// The host has a network where docker's first ones would be.
#[test]
fn subnets_are_chosen_free_of_the_hosts_routes() {
    let env = test_env!();
    need!(Need::Program("ip"));
    let script = r#"
        set -e
        ip link add cable0 type veth peer name cable1
        ip link set cable0 up
        ip link set cable1 up
        ip addr add 172.17.0.9/24 dev cable0
        ip route add 172.18.0.0/15 dev cable0
        "$BRYO" network create one >/dev/null
        "$BRYO" network create two >/dev/null
        "$BRYO" network inspect -f '{{(index .IPAM.Config 0).Subnet}}' bridge one two
    "#;
    let shown = env.apart(&[], script).run();
    assert_eq!(
        shown.stdout, "172.20.0.0/16\n172.21.0.0/16\n172.22.0.0/16\n",
        "{shown:?}"
    );
}

/// The host's own address stands for the outside.
#[test]
fn the_outside_is_reached_and_an_internal_network_has_none() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let Some(host) = crate::network_pasta::host_address() else {
        return crate::need::lacks(crate::need::test_name!(), "the host has no network");
    };
    let listener = std::net::TcpListener::bind((host, 0)).expect("the host has ports");
    let port = listener
        .local_addr()
        .expect("it is bound")
        .port()
        .to_string();
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("somebody comes");
        std::io::Write::write_all(&mut client, b"hello\n").expect("it listens");
    });
    env.run(&["network", "create", "--internal", "inside"]).ok();
    let connect = |network: &str| {
        // Not as PID 1, which no alarm ends.
        let script = format!("timeout 3 nc {host} {port}; exit $?");
        let program = ["busybox", "sh", "-c", &script];
        let words = [&["run", "-i", "--rm", "--network", network], &program[..]].concat();
        // Whose side ends first is not told of the other's end by older versions of pasta.
        let (running, input) = env.command(&words).spawn_interactive();
        let ended = running.wait();
        drop(input);
        ended
    };
    assert_ne!(connect("inside").code, 0);
    assert_eq!(connect("bridge").stdout, "hello\n");
    server.join().expect("the server ends");
}

#[test]
fn the_helper_of_networks_is_gone_with_the_last_container() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let routes = ["busybox", "ip", "route"];
    let shown = env.out(&[&["run", "--rm", "--network", "bridge"], &routes[..]].concat());
    assert!(shown.starts_with("default via "), "{shown}");
    eventually("nothing is left", || env.processes().is_empty());
}

#[test]
fn a_container_connects_and_disconnects_while_it_runs() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "one"]).ok();
    env.run(&["network", "create", "two"]).ok();
    stay(&env, "aa", &["--network", "one"]);
    stay(&env, "cc", &["--network", "two"]);
    let c = address(&env, "cc", "two");
    assert!(!reaches(&env, "aa", &c));
    env.run(&["network", "connect", "two", "aa"]).ok();
    env.run(&["network", "connect", "two", "aa"])
        .fails(1, "endpoint with name aa already exists in network two");
    assert!(reaches(&env, "aa", &c) && reaches(&env, "aa", "cc"));
    let own = address(&env, "aa", "two");
    let hosts = env.out(&["exec", "aa", "cat", "/etc/hosts"]);
    assert!(hosts.contains(&own), "{own} in {hosts}");
    for (command, flags) in [("disconnect", vec![]), ("disconnect", vec!["-f"])] {
        let words = [&["network", command], &flags[..], &["one", "aa"]].concat();
        env.run(&words).ok();
    }
    env.run(&["network", "disconnect", "one", "aa"])
        .fails(1, "container aa is not connected to network one");
    let routes = env.out(&["exec", "aa", "ip", "route"]);
    let gateway = "{{(index .NetworkSettings.Networks \"two\").Gateway}}";
    let gateway = env.out(&["inspect", "-f", gateway, "aa"]);
    assert!(
        routes.contains(&format!("default via {gateway}")),
        "{routes}"
    );
    env.run(&["restart", "-t", "0", "aa"]).ok();
    assert!(reaches(&env, "aa", "cc"), "it is remembered");
    let names = "{{range $name, $place := .NetworkSettings.Networks}}{{$name}} {{end}}";
    assert_eq!(env.out(&["inspect", "-f", names, "aa"]), "two ");
    assert_eq!(
        env.out(&[
            "ps",
            "--filter",
            "network=two",
            "--format",
            "{{.Names}}",
            "--filter",
            "name=aa"
        ]),
        "aa"
    );
}

/// proc_pid_stat(5).
fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split(' ').nth(2)?.parse().ok()
}

/// Of a container's program: its monitor.
#[track_caller]
pub fn parent(pid: &str) -> i32 {
    let pid = pid.parse().expect("inspect shows a number");
    parent_of(pid).expect("it runs")
}

/// A child of a process with this word on its command line.
pub fn child_of(parent: i32, word: &str) -> Option<i32> {
    let entries = std::fs::read_dir("/proc")
        .expect("/proc is mounted")
        .flatten();
    let mut children = entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse::<i32>().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let of = parent_of(pid)?;
        (of == parent && String::from_utf8_lossy(&line).contains(word)).then_some(pid)
    });
    children.next()
}

/// The process of bryo's that is called this.
pub fn titled(env: &TestEnv, title: &str) -> Option<i32> {
    let all = env.processes().into_iter();
    let mut pids = all.filter_map(|process| {
        let (pid, words) = process.split_once(' ')?;
        let pid = pid.parse::<i32>().ok()?;
        (words.trim() == title).then_some(pid)
    });
    pids.next()
}

/// Whoever of them is killed: what runs goes on, at the same address, and the ports come back.
#[test]
fn the_helper_of_networks_may_be_killed() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "one"]).ok();
    stay(&env, "aa", &["--network", "one"]);
    let serve = ["busybox", "nc", "-ll", "-p", "8080", "-e", "echo", "pong"];
    let flags = [
        "run",
        "-d",
        "--name",
        "bb",
        "--network",
        "one",
        "-p",
        "127.0.0.1::8080",
    ];
    env.run(&[&flags[..], &serve].concat()).ok();
    let port = env.out(&["port", "bb", "8080"]);
    let b = address(&env, "bb", "one");
    // A connection between the two that lasts as long as all of them.
    stay(&env, "cc", &["--network", "one"]);
    let echo = ["exec", "-d", "bb", "nc", "-l", "-p", "9000", "-e", "cat"];
    env.run(&echo).ok();
    let script = format!("mkfifo /in; exec 3<>/in; until nc {b} 9000 <&3 >>/out; do :; done");
    env.run(&["exec", "-d", "aa", "sh", "-c", &script]).ok();
    let goes_on = |word: &str| {
        let say = format!("echo {word} >/in");
        eventually("the fifo", || {
            env.run(&["exec", "aa", "test", "-p", "/in"]).code == 0
        });
        env.run(&["exec", "aa", "sh", "-c", &say]).ok();
        let heard = ["exec", "aa", "grep", "-qx", word, "/out"];
        eventually(&format!("{word} on the old connection"), || {
            env.run(&heard).code == 0
        });
    };
    goes_on("first");
    let answers = || crate::network_pasta::answer(&port).as_deref() == Some("pong\n");
    eventually("an answer", answers);
    for title in ["bryo: net, inside", "pasta", "bryo: net", "a monitor"] {
        let victim = || match title {
            "a monitor" => {
                let pid = env.out(&["inspect", "-f", "{{.State.Pid}}", "cc"]);
                pid.parse().ok().filter(|pid| *pid != 0).and_then(parent_of)
            }
            // It hides its environment from its own user.
            "pasta" => child_of(titled(&env, "bryo: net")?, "pasta"),
            title => titled(&env, title),
        };
        let pid = victim().unwrap_or_else(|| panic!("no {title} in {:?}", env.processes()));
        let killed = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGKILL,
        );
        killed.expect("it is this user's");
        assert!(reaches(&env, "aa", &b), "bridges outlive {title}");
        goes_on(&title.replace([' ', ':', ','], "-"));
        eventually(&format!("an answer without {title}"), || {
            let another = title == "a monitor" || victim().is_some_and(|now| now != pid);
            another && answers()
        });
        eventually("names", || reaches(&env, "aa", "bb"));
        assert_eq!(address(&env, "bb", "one"), b);
    }
}

/// Its root has taken its interface away: it gets another with the same address, and nobody else notices.
#[test]
fn places_in_networks_are_made_anew() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "one"]).ok();
    stay(&env, "aa", &["--network", "one"]);
    let flags = ["--network", "one", "--network", "bridge"];
    stay(
        &env,
        "bb",
        &[&flags[..], &["--cap-add", "NET_ADMIN"]].concat(),
    );
    stay(&env, "cc", &["--network", "none"]);
    let ip = address(&env, "bb", "one");
    assert!(reaches(&env, "aa", &ip));
    let routes = || env.out(&["exec", "bb", "ip", "route"]);
    let before = routes();
    for words in [&["bb"][..], &["-a"], &["--all"]] {
        env.run(&["exec", "bb", "ip", "link", "del", "eth0"]).ok();
        assert!(!reaches(&env, "aa", &ip));
        let reloaded = ask(&env, "network reload", words).ok().out();
        let id = env.out(&["inspect", "-f", "{{.Id}}", "bb"]);
        assert!(reloaded.lines().any(|line| line == id), "{reloaded}");
        let all = if words == ["bb"] { 1 } else { 2 };
        assert_eq!(reloaded.lines().count(), all);
        assert_eq!(address(&env, "bb", "one"), ip);
        assert!(reaches(&env, "aa", &ip) && reaches(&env, "aa", "bb"));
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&routes()), sorted(&before));
    }
    env.run(&["network", "reload", "cc"])
        .fails(1, "shares no networks with others");
    env.run(&["network", "reload", "nobody"])
        .fails(1, "No such container");
}

/// A network of one container: the next has to wait until it goes.
#[test]
fn a_network_without_a_free_address_takes_nobody() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let create = ["network", "create", "--subnet", "10.213.7.0/30", "tiny"];
    env.run(&create).ok();
    stay(&env, "aa", &["--network", "tiny"]);
    let next = ["run", "--rm", "--network", "tiny", "busybox", "true"];
    let full = "no available IP addresses on network tiny";
    env.run(&next).fails(125, full);
    env.run(&["rm", "-f", "aa"]).ok();
    eventually("room", || env.run(&next).code == 0);
}

#[test]
fn of_two_networks_with_one_subnet_made_at_once_there_is_one() {
    let env = test_env!();
    for round in 0..count(4, 50) {
        let subnet = format!("10.214.{round}.0/24");
        let names = [format!("a{round}"), format!("b{round}")];
        let create = |name: &String| env.spawn(&["network", "create", "--subnet", &subnet, name]);
        let outcomes: Vec<_> = names.iter().map(create).collect();
        let outcomes: Vec<_> = outcomes.into_iter().map(|o| o.wait()).collect();
        let failed: Vec<_> = outcomes.iter().filter(|o| o.code != 0).collect();
        assert_eq!(failed.len(), 1, "{outcomes:?}");
        assert!(failed[0].stderr.contains("Pool overlaps"), "{failed:?}");
    }
    let made = env.out(&["network", "ls", "-q", "--filter", "type=custom"]);
    assert_eq!(made.lines().count(), count(4, 50));
}

#[test]
fn many_containers_share_a_network() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "crowd"]).ok();
    let names: Vec<String> = (0..count(8, 50)).map(|n| format!("c{n}")).collect();
    for some in names.chunks(4) {
        let start = |name: &String| {
            let words = ["run", "-d", "--network", "crowd", "--name", name];
            env.spawn(&[&words[..], &["busybox", "sleep", "1000"]].concat())
        };
        let started: Vec<_> = some.iter().map(start).collect();
        for one in started {
            one.wait().ok();
        }
    }
    let addresses: std::collections::BTreeSet<String> = names
        .iter()
        .map(|name| address(&env, name, "crowd"))
        .collect();
    assert_eq!(addresses.len(), names.len());
    for name in &names {
        assert!(reaches(&env, "c0", name), "{name}");
    }
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    env.run(&[&["rm", "-f"], &all[..]].concat()).ok();
}

#[test]
fn the_life_of_a_network_is_among_the_events() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "one"]).ok();
    env.run(&["network", "create", "two"]).ok();
    stay(&env, "aa", &["--network", "one"]);
    env.run(&["network", "connect", "two", "aa"]).ok();
    env.run(&["network", "disconnect", "two", "aa"]).ok();
    env.run(&["rm", "-f", "aa"]).ok();
    env.run(&["network", "rm", "one"]).ok();
    let format = "{{.Action}} {{.Actor.Attributes.name}}";
    let words = ["--since", "1h", "--until", "0s", "--filter", "type=network"];
    let shown = env.out(&[&["events", "--format", format], &words[..]].concat());
    let expected = [
        "create one",
        "create two",
        "connect one",
        "connect two",
        "disconnect two",
        "disconnect one",
        "destroy one",
    ];
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
}
