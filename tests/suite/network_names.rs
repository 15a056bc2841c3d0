//! Names of containers on the networks they share, and what becomes of all other names.

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::network_bridge::{address, need_bridges, reaches, stay};
use crate::process::eventually;
use crate::spellings::ask;

/// What the name server says.
fn lookup(env: &TestEnv, from: &str, name: &str) -> String {
    let asked = env.run(&["exec", from, "nslookup", name]);
    asked.stdout + &asked.stderr
}

#[test]
fn containers_are_known_by_every_name_they_have() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "one"]).ok();
    let link = ["--network", "one", "--link", "db:database"];
    stay(&env, "web", &link);
    let names = [
        "--network",
        "one",
        "--network-alias",
        "store",
        "--hostname",
        "box",
    ];
    stay(&env, "db", &names);
    let ip = address(&env, "db", "one");
    let short = env.out(&["inspect", "-f", "{{slice .Id 0 12}}", "db"]);
    for name in ["db", "DB", "store", "db.one", "database", "box", &short] {
        let said = lookup(&env, "web", name);
        assert!(said.contains(&format!("Address: {ip}")), "{name}: {said}");
    }
    let said = lookup(&env, "web", &ip);
    assert!(said.contains("name = db.one"), "{said}");
    assert!(
        !lookup(&env, "db", "database").contains(&ip),
        "a link is its owner's"
    );
    env.run(&["rm", "-f", "db"]).ok();
    eventually("it is forgotten", || {
        !lookup(&env, "web", "db").contains(&ip)
    });
}

#[test]
fn containers_of_one_alias_take_turns() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "one"]).ok();
    for name in ["r1", "r2", "r3"] {
        stay(&env, name, &["--network", "name=one,alias=replica"]);
    }
    let first = || {
        let said = lookup(&env, "r1", "replica");
        let mut lines = said.lines().filter(|line| line.starts_with("Address: "));
        lines.next().map(str::to_owned)
    };
    let seen: std::collections::BTreeSet<_> = (0..12).map(|_| first()).collect();
    assert!(seen.len() > 1, "{seen:?}");
}

#[test]
fn an_internal_network_answers_for_its_own_names_and_refuses_others() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "--internal", "inside"]).ok();
    stay(&env, "aa", &["--network", "inside"]);
    stay(&env, "bb", &["--network", "inside"]);
    assert!(reaches(&env, "aa", "bb"));
    let said = lookup(&env, "aa", "example.org");
    assert!(said.contains("REFUSED"), "{said}");
}

#[test]
fn the_default_network_has_no_names() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    stay(&env, "aa", &["--network", "bridge"]);
    stay(&env, "bb", &["--network", "bridge"]);
    let b = address(&env, "bb", "bridge");
    assert!(reaches(&env, "aa", &b));
    assert!(!lookup(&env, "aa", "bb").contains(&b));
}

/// A name server of the test's own, on an address of the host's, that knows one name.
#[test]
fn other_names_are_asked_of_the_servers_that_were_given() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "one"]).ok();
    let socket = std::net::UdpSocket::bind("127.0.0.1:53");
    let Ok(socket) = socket else {
        return crate::need::skip(crate::need::test_name!(), "port 53 is root's on this host");
    };
    let server = std::thread::spawn(move || {
        let mut buffer = [0; 512];
        let (length, from) = socket.recv_from(&mut buffer).expect("a query comes");
        let mut answer = buffer[..length].to_vec();
        answer[2] |= 0x80;
        answer[7] = 1;
        // The answer goes before what follows the question, which is nothing from busybox.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 77]);
        socket.send_to(&answer, from).expect("it can be answered");
    });
    stay(&env, "aa", &["--network", "one", "--dns", "127.0.0.1"]);
    let asked = ["exec", "aa", "nslookup", "-type=a", "elsewhere.test"];
    let said = env.run(&asked).stdout;
    assert!(said.contains("192.0.2.77"), "{said}");
    server.join().expect("the server ends");
}

#[test]
fn a_renamed_container_is_known_by_its_new_name() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "one"]).ok();
    stay(&env, "aa", &["--network", "one"]);
    stay(
        &env,
        "bb",
        &["--network", "one", "--network-alias", "store"],
    );
    let ip = address(&env, "bb", "one");
    let line = format!("Address: {ip}");
    let knows = |name: &str| lookup(&env, "aa", name).contains(&line);
    env.run(&["rename", "bb", "cc"]).ok();
    assert!(knows("cc") && knows("store") && !knows("bb"));
    let shown = "{{(index .NetworkSettings.Networks \"one\").DNSNames}}";
    let shown = env.out(&["inspect", "-f", shown, "cc"]);
    assert!(shown.starts_with("[cc "), "{shown}");
    env.run(&["restart", "-t", "0", "cc"]).ok();
    eventually("its new name", || {
        lookup(&env, "aa", "cc").contains("Address: ")
    });
}

/// On a host of its own with name servers at 127.0.0.1 and 127.0.0.2: every name is 192.0.2.1 to the one, and 192.0.2.2 to the other.
fn with_servers(env: &TestEnv, lines: &str) -> String {
    let server = r#"
        my ($own, $last) = @ARGV;
        my $socket = IO::Socket::INET->new(LocalAddr => $own, LocalPort => 53, Proto => "udp") or die;
        open(my $ready, ">", "$own.ready");
        while ($socket->recv(my $query, 512)) {
            substr($query, 2, 1) = chr(ord(substr($query, 2, 1)) | 0x80);
            substr($query, 7, 1) = chr(1);
            $socket->send($query . pack("C*", 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, $last));
        }
    "#;
    env.file("server.pl", server);
    let begin = r#"
        set -e
        ip link set lo up
        for last in 1 2; do
            perl -MIO::Socket::INET server.pl 127.0.0.$last $last &
            servers="$servers $!"
            until [ -e 127.0.0.$last.ready ]; do :; done
        done
        ask() { "$BRYO" exec aa nslookup -type=a elsewhere.test | grep -o 'Address: 192.*'; }
    "#;
    let script = format!("{begin}\n{lines}\n\"$BRYO\" rm -f aa >/dev/null; kill $servers");
    let shown = env.apart(&["--mount"], &script).run();
    assert_eq!(shown.code, 0, "{shown:?}");
    shown.stdout
}

/// A host whose resolver file names a server on its loopback, and then another.
#[test]
fn other_names_are_asked_of_the_servers_that_the_host_has_now() {
    let env = test_env!();
    need_bridges!();
    need!(Need::Program("ip"), Need::Program("perl"));
    env.busybox();
    let shown = with_servers(
        &env,
        r#"
        echo nameserver 127.0.0.1 >resolv
        mount --bind resolv /etc/resolv.conf
        "$BRYO" network create one >/dev/null
        "$BRYO" run -d --name aa --network one busybox sleep 1000 >/dev/null
        ask
        echo nameserver 127.0.0.2 >resolv
        ask
        "#,
    );
    assert_eq!(shown, "Address: 192.0.2.1\nAddress: 192.0.2.2\n");
}

#[test]
fn a_network_has_name_servers_and_routes_of_its_own() {
    let env = test_env!();
    need_bridges!();
    need!(Need::Program("ip"), Need::Program("perl"));
    env.busybox();
    let shown = with_servers(
        &env,
        r#"
        "$BRYO" network create --dns 127.0.0.1 one >/dev/null
        "$BRYO" run -d --name aa --network one busybox sleep 1000 >/dev/null
        ask
        "$BRYO" network update one --dns-drop 127.0.0.1 --dns-add 127.0.0.2
        ask
        "$BRYO" network inspect -f '{{json .NetworkDNSServers}}' one
        "#,
    );
    let servers = "one\nAddress: 192.0.2.2\n[\"127.0.0.2\"]\n";
    assert_eq!(shown, format!("Address: 192.0.2.1\n{servers}"));
    let create = |more: &[&str]| ask(&env, "network create", more);
    let route = "10.99.0.0/24,10.215.1.7,55";
    let subnet = ["--subnet", "10.215.1.0/24"];
    let more = ["--disable-dns", "--route", route, "apart"];
    create(&[&subnet[..], &more].concat()).ok();
    create(&["--dns", "192.0.2.53,192.0.2.54", "asks"]).ok();
    let servers = ["--dns-drop", "192.0.2.53", "--dns-add", "192.0.2.55"];
    ask(&env, "network update", &[&["asks"], &servers[..]].concat()).ok();
    let shown = ["network", "inspect", "-f", "{{.NetworkDNSServers}}", "asks"];
    assert_eq!(env.out(&shown), "[192.0.2.54 192.0.2.55]");
    stay(&env, "bb", &["--network", "apart"]);
    stay(&env, "cc", &["--network", "apart"]);
    let routes = env.out(&["exec", "bb", "ip", "route"]);
    let wanted = "10.99.0.0/24 via 10.215.1.7 dev eth0  metric 55";
    assert!(routes.contains(wanted), "{routes}");
    let ip = address(&env, "cc", "apart");
    assert!(reaches(&env, "bb", &ip));
    assert!(!lookup(&env, "bb", "cc").contains(&ip), "no names there");
    let shown = "{{.DNSEnabled}} {{json .Routes}}";
    assert_eq!(
        env.out(&["network", "inspect", "-f", shown, "apart"]),
        "false [{\"Destination\":\"10.99.0.0/24\",\"Gateway\":\"10.215.1.7\",\"Metric\":55}]"
    );
    for (wrong, words) in [
        (["--route", "10.99.0.0/24"], "invalid route: 10.99.0.0/24"),
        (["--route", "10.99.0.0/24,10.1.1.1"], "is in no subnet"),
        (["--dns", "here"], "--dns"),
    ] {
        let made = env.run(&[&["network", "create"], &wrong[..], &["more"]].concat());
        assert_ne!(made.code, 0, "{made:?}");
        assert!(made.stderr.contains(words), "{made:?}");
    }
    env.run(&["network", "update", "apart", "--dns-add", "127.0.0.1"])
        .fails(1, "has no names");
    env.run(&["network", "update", "host", "--dns-add", "127.0.0.1"])
        .fails(1, "has no name servers");
}
