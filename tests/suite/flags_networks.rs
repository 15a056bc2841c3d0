//! The flags of `network` and of a container's places in networks, each in its spellings.

use crate::env::{TestEnv, test_env};
use crate::network_bridge::{address, need_bridges};
use crate::spellings::{WAYS, ask};

/// What a command that succeeds writes.
#[track_caller]
fn out(env: &TestEnv, command: &str, words: &[&str]) -> String {
    ask(env, command, words).ok().out()
}

fn shown(env: &TestEnv, name: &str, format: &str) -> String {
    out(env, "network inspect", &["-f", format, name])
}

#[test]
fn network_is_a_group_of_verbs() {
    let env = test_env!();
    let help = env.run(&["network"]);
    assert!((help.stdout + &help.stderr).contains("disconnect"));
}

#[test]
fn network_create_says_which_addresses_there_are() {
    let env = test_env!();
    let id = out(
        &env,
        "network create",
        &[
            "--subnet",
            "10.77.0.0/16",
            "--gateway",
            "10.77.0.9",
            "--ip-range",
            "10.77.5.0/24",
            "--aux-address",
            "printer=10.77.5.1",
            "--subnet",
            "fd77::/64",
            "--ipv6",
            "--ipv4=true",
            "--attachable",
            "--label",
            "tier=db",
            "--scope",
            "local",
            "--ipam-driver",
            "default",
            "--driver",
            "bridge",
            "--opt",
            "com.docker.network.driver.mtu=1400",
            "one",
        ],
    );
    assert_eq!(
        shown(&env, "one", "{{.Id}} {{.EnableIPv6}} {{.Attachable}}"),
        format!("{id} true true")
    );
    assert_eq!(
        shown(&env, "one", "{{json .IPAM.Config}}"),
        r#"[{"Subnet":"10.77.0.0/16","IPRange":"10.77.5.0/24","Gateway":"10.77.0.9","AuxiliaryAddresses":{"printer":"10.77.5.1"}},{"Subnet":"fd77::/64","Gateway":"fd77::1"}]"#
    );
    assert_eq!(
        shown(&env, "one", "{{json .Labels}} {{json .Options}}"),
        r#"{"tier":"db"} {"com.docker.network.driver.mtu":"1400"}"#
    );
    let created = |flags: &[&str]| ask(&env, "network create", &[flags, &["two"]].concat());
    created(&["--subnet", "10.77.1.0/24"])
        .fails(1, "Pool overlaps with other one on this address space");
    created(&["--subnet", "10.78.0.1/16"])
        .fails(1, "invalid subnet 10.78.0.1/16: it should be 10.78.0.0/16");
    created(&["--gateway", "10.78.0.1"]).fails(1, "gateway without a --subnet");
    created(&["--subnet", "10.78.0.0/16", "--gateway", "10.79.0.1"])
        .fails(1, "no matching subnet for gateway 10.79.0.1");
    created(&["--driver", "macvlan"])
        .fails(1, "only root can put an interface onto one of the host's");
    created(&["-d", "nothing"]).fails(1, "could not find plugin nothing");
    created(&["--ipam-driver", "dhcp"]).fails(1, "ipam driver dhcp is not supported");
    created(&["-o", "colour=red"]).fails(1, "network option colour is not supported");
    created(&["--scope", "swarm"]).fails(125, "--scope swarm");
    created(&["--ipv4=false"]).fails(125, "--ipv4=false");
    ask(&env, "network create", &["one"]).fails(1, "network with name one already exists");
    assert_eq!(out(&env, "network create", &["--ignore", "one"]), id);
    ask(&env, "network create", &["bridge"])
        .fails(1, "operation is not permitted on predefined bridge network");
    ask(&env, "network create", &["a/b"]).fails(1, "invalid network name");
    created(&["--internal", "-d", "bridge"]).ok();
    assert_eq!(shown(&env, "two", "{{.Internal}}"), "true");
}

/// Each in docker's words; nothing is made, and what was said is not left out.
#[test]
fn ranges_that_contradict_each_other_are_refused() {
    let env = test_env!();
    for (words, reason) in [
        (
            "--subnet 10.77.0.0/24 --subnet 10.77.0.0/25",
            "multiple overlapping subnet configuration is not supported",
        ),
        (
            "--subnet 10.77.0.0/24 --subnet 10.77.1.0/24",
            "a network has one subnet of each family",
        ),
        (
            "--subnet 10.77.0.0/24 --gateway 10.77.0.2 --gateway 10.77.0.3",
            "cannot configure multiple gateways (10.77.0.2, 10.77.0.3) for the same subnet (10.77.0.0/24)",
        ),
        (
            "--subnet 10.77.0.0/24 --ip-range 10.77.0.0/25 --ip-range 10.77.0.128/25",
            "cannot configure multiple ranges",
        ),
        (
            "--subnet 10.77.0.0/24 --gateway 10.77.0.0",
            "failed to allocate gateway (10.77.0.0): Address already in use",
        ),
        (
            "--subnet 10.77.0.0/24 --gateway 10.77.0.255",
            "failed to allocate gateway (10.77.0.255): Address already in use",
        ),
        (
            "--subnet 10.77.0.0/24 --aux-address a=10.77.0.5 --aux-address b=10.77.0.5",
            "failed to allocate aux-address b (10.77.0.5): Address already in use",
        ),
        (
            "--subnet 10.77.0.0/24 --aux-address a=10.77.0.1",
            "failed to allocate aux-address a (10.77.0.1): Address already in use",
        ),
        (
            "-o com.docker.network.bridge.name=br-mine",
            "bridge.name is not supported: the bridges are in a namespace of their own",
        ),
        (
            "-o com.docker.network.bridge.gateway_mode_ipv4=routed",
            "gateway_mode_ipv4 is not supported: without root nothing leads to the containers' own addresses",
        ),
    ] {
        let words: Vec<&str> = words.split(' ').chain(["one"]).collect();
        ask(&env, "network create", &words).fails(1, reason);
        assert_eq!(ask(&env, "network exists", &["one"]).code, 1, "{words:?}");
    }
}

/// More than docker has ranges for.
#[test]
fn forty_networks_have_ranges_of_their_own() {
    let env = test_env!();
    let mut ranges = std::collections::BTreeSet::new();
    for number in 0..40 {
        let name = format!("net{number}");
        ask(&env, "network create", &[&name]).ok();
        ranges.insert(shown(&env, &name, "{{(index .IPAM.Config 0).Subnet}}"));
    }
    assert_eq!(ranges.len(), 40, "{ranges:?}");
}

#[test]
fn the_default_network_says_of_itself_what_dockers_does() {
    let env = test_env!();
    let option = |name: &str| {
        let format = format!("{{{{index .Options \"com.docker.network.{name}\"}}}}");
        shown(&env, "bridge", &format)
    };
    for (name, value) in [
        ("bridge.default_bridge", "true"),
        ("bridge.enable_icc", "true"),
        ("bridge.enable_ip_masquerade", "true"),
        ("bridge.host_binding_ipv4", "0.0.0.0"),
        ("driver.mtu", "65520"),
    ] {
        assert_eq!(option(name), value, "{name}");
    }
    assert!(option("bridge.name").starts_with("br-"));
    assert_eq!(shown(&env, "bridge", "{{.IPAM.Options}}"), "map[]");
    let none = shown(&env, "none", "{{json .IPAM.Config}} {{.IPAM.Config}}");
    assert_eq!(none, "null []");
}

/// Two that have one hear each other by it; the name server and the host are where they are without.
#[test]
fn a_link_local_address_is_reached_by_its_like() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    ask(&env, "network create", &["one"]).ok();
    let place = ["--network", "one", "--link-local-ip"];
    let start = ["run", "-d", "--name", "aa"];
    let serve = ["busybox", "nc", "-ll", "-p", "7000", "-e", "echo", "hello"];
    env.run(&[&start[..], &place, &["169.254.8.8"], &serve].concat())
        .ok();
    let ask_for = "until nc 169.254.8.8 7000 </dev/null | grep hello; do :; done; nslookup aa | grep -c Name:; ip route get 169.254.1.2";
    let second = ["169.254.9.9", "busybox", "sh", "-c", ask_for];
    for limit in [&[][..], &["--egress", "none"]] {
        let shown = env.out(&[&["run", "--rm"], limit, &place, &second].concat());
        assert!(shown.starts_with("hello\n1\n"), "{shown}");
        assert!(shown.contains("169.254.1.2 via "), "{shown}");
    }
    for (ip, words) in [
        ("10.1.2.3", "invalid link-local IP address: 10.1.2.3"),
        ("169.254.1.2", "those of 169.254.1.0/24 are bryo's own"),
        ("fe80::1:x", "invalid link-local IP address: fe80::1:x"),
    ] {
        let flags = ["--network", "one", "--link-local-ip", ip];
        env.run(&[&["create"][..], &flags, &["busybox"]].concat())
            .fails(125, words);
    }
}

#[test]
fn network_ls_shows_what_fits() {
    let env = test_env!();
    ask(&env, "network create", &["--label", "tier=db", "mine"]).ok();
    let id = shown(&env, "mine", "{{.Id}}");
    for list in ["network ls", "network list"] {
        let out = |flags: &[&str]| out(&env, list, flags);
        let table = out(&[]);
        assert!(
            table.starts_with("NETWORK ID     NAME      DRIVER    SCOPE\n"),
            "{table}"
        );
        assert!(
            table.contains(&format!("{}   mine      bridge    local", &id[..12])),
            "{table}"
        );
        for filter in ["name=mine", "label=tier=db", "type=custom", "dangling=true"] {
            for flag in ["--filter", "-f"] {
                assert_eq!(
                    out(&[flag, filter, "--format", "{{.Name}}"]),
                    "mine",
                    "{filter}"
                );
            }
        }
        assert_eq!(
            out(&[
                "--filter",
                "type=builtin",
                "--format",
                "{{.Name}}:{{.Driver}}"
            ]),
            "bridge:bridge\nhost:host\nnone:null"
        );
        for flag in ["--quiet", "-q"] {
            assert_eq!(
                out(&["--no-trunc", flag, "--filter", &format!("id={id}")]),
                id
            );
        }
        ask(&env, list, &["--filter", "colour=red"]).fails(1, "invalid filter 'colour'");
    }
}

#[test]
fn network_inspect_rm_and_prune_take_names_and_ids() {
    let env = test_env!();
    let id = out(&env, "network create", &["one"]);
    for flag in ["--format", "-f"] {
        assert_eq!(
            out(&env, "network inspect", &[flag, "{{.Name}}", &id[..8]]),
            "one"
        );
    }
    assert_eq!(
        env.out(&["inspect", "--type", "network", "-f", "{{.Scope}}", "one"]),
        "local"
    );
    assert_eq!(ask(&env, "network exists", &["one"]).code, 0);
    assert_eq!(out(&env, "network rm", &[&id[..8]]), &id[..8]);
    assert_eq!(ask(&env, "network exists", &["one"]).code, 1);
    for flag in ["--force", "-f"] {
        assert_eq!(ask(&env, "network rm", &[flag, "one"]).ok().stdout, "");
    }
    ask(&env, "network rm", &["one"]).fails(1, "network one not found");
    ask(&env, "network rm", &["host"])
        .fails(1, "operation is not permitted on predefined host network");
    for flag in ["--force", "-f"] {
        ask(&env, "network create", &["--label", "keep", "kept"]).ok();
        ask(&env, "network create", &["gone"]).ok();
        let pruned = out(&env, "network prune", &[flag, "--filter", "label!=keep"]);
        assert_eq!(pruned, "Deleted Networks:\ngone\n");
        let none = ["--filter", "until=1h", "--filter", "label=keep"];
        let pruned = |filters: &[&str]| out(&env, "network prune", &[&[flag], filters].concat());
        assert_eq!(pruned(&none), "", "it is younger");
        assert_eq!(pruned(&["--filter", "label=other"]), "");
        assert_eq!(
            pruned(&["--filter", "label=keep"]),
            "Deleted Networks:\nkept\n"
        );
        ask(&env, "network create", &["--label", "keep", "kept"]).ok();
        let wrong = ["--force", "--filter", "colour=red"];
        ask(&env, "network prune", &wrong).fails(1, "invalid filter 'colour'");
        ask(&env, "network rm", &["kept"]).ok();
    }
}

#[test]
fn a_container_gets_the_addresses_and_names_that_were_asked_for() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    ask(
        &env,
        "network create",
        &["--subnet", "10.77.0.0/16", "--subnet", "fd77::/64", "one"],
    )
    .ok();
    for way in WAYS {
        let id = way.start(
            &env,
            &[
                "--network",
                "one",
                "--ip",
                "10.77.0.7",
                "--ip6",
                "fd77::7",
                "--mac-address",
                "02:00:00:00:00:07",
                "--link-local-ip",
                "169.254.7.7",
                "--network-alias",
                "seven",
                "--link",
                "other:friend",
                "busybox",
                "sleep",
                "1000",
            ],
        );
        let shown = env.out(&["exec", &id, "ip", "address", "show", "eth0"]);
        for part in [
            "inet 10.77.0.7/16",
            "inet6 fd77::7/64",
            "link/ether 02:00:00:00:00:07",
            "inet 169.254.7.7/16",
        ] {
            assert!(shown.contains(part), "{way:?}: {part} in {shown}");
        }
        let place = "{{with index .NetworkSettings.Networks \"one\"}}{{.IPAddress}} {{.GlobalIPv6Address}} {{.MacAddress}} {{.Aliases}} {{.Links}}{{end}}";
        assert_eq!(
            env.out(&["inspect", "-f", place, &id]),
            "10.77.0.7 fd77::7 02:00:00:00:00:07 [seven] [other:friend]"
        );
        let taken = env.run(&[
            "run",
            "--rm",
            "--network",
            "one",
            "--ip",
            "10.77.0.7",
            "busybox",
            "true",
        ]);
        taken.fails(125, "Address already in use");
        let foreign = ask(
            &env,
            way.make,
            &["--network", "one", "--ip", "10.99.0.7", "busybox", "true"],
        );
        assert!(
            foreign.code != 0 && foreign.stderr.contains("10.99.0.7 is not of network one"),
            "{foreign:?}"
        );
        let default = ask(
            &env,
            way.make,
            &[
                "--network",
                "bridge",
                "--ip",
                "172.17.0.7",
                "busybox",
                "true",
            ],
        );
        let words = "user specified IP address is supported on user defined networks only";
        assert!(
            default.code != 0 && default.stderr.contains(words),
            "{default:?}"
        );
        let wrong = ask(
            &env,
            way.make,
            &["--network", "one", "--mac-address", "x", "busybox", "true"],
        );
        wrong.fails(125, "x is not a valid mac address");
        let none = ask(
            &env,
            way.make,
            &["--network", "none", "--link", "a:b", "busybox", "true"],
        );
        let none = none.says("are of a network that containers share");
        assert_ne!(none.code, 0);
        env.run(&["rm", "-f", &id]).ok();
    }
}

#[test]
fn network_connect_takes_what_run_takes() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    ask(&env, "network create", &["one"]).ok();
    ask(
        &env,
        "network create",
        &["--subnet", "10.77.0.0/16", "--subnet", "fd77::/64", "two"],
    )
    .ok();
    let id = env.out(&["run", "-d", "--network", "one", "busybox", "sleep", "1000"]);
    ask(
        &env,
        "network connect",
        &[
            "--ip",
            "10.77.0.7",
            "--ip6",
            "fd77::7",
            "--alias",
            "seven",
            "--link",
            "other:friend",
            "--link-local-ip",
            "169.254.7.7",
            "--gw-priority",
            "5",
            "--driver-opt",
            "com.docker.network.endpoint.ifname=lan0",
            "two",
            &id,
        ],
    )
    .ok();
    assert_eq!(address(&env, &id, "two"), "10.77.0.7");
    let shown = env.out(&["exec", &id, "ip", "address", "show", "lan0"]);
    assert!(
        shown.contains("inet6 fd77::7/64") && shown.contains("169.254.7.7"),
        "{shown}"
    );
    let routes = env.out(&["exec", &id, "ip", "route"]);
    assert!(
        routes.contains("default via 10.77.0.1 dev lan0"),
        "{routes}"
    );
    let place = "{{with index .NetworkSettings.Networks \"two\"}}{{.Aliases}} {{.Links}} {{.GwPriority}}{{end}}";
    assert_eq!(
        env.out(&["inspect", "-f", place, &id]),
        "[seven] [other:friend] 5"
    );
    for flag in ["--force", "-f"] {
        ask(&env, "network disconnect", &[flag, "two", &id]).ok();
    }
    let connected = ask(
        &env,
        "network connect",
        &["--driver-opt", "a=b", "two", &id],
    );
    connected.fails(125, "driver-opt a=b is not supported");
    ask(&env, "network connect", &["host", &id]).fails(1, "network host is one of docker's own");
}

/// docker's long form of `--network`: each place has what is its own, and the way out is that of the highest priority.
#[test]
fn each_network_of_run_has_words_of_its_own() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let subnets = ["--subnet", "10.78.0.0/24", "--subnet", "fd78::/64"];
    ask(&env, "network create", &["one"]).ok();
    ask(&env, "network create", &[&subnets[..], &["two"]].concat()).ok();
    let two = "name=two,ip=10.78.0.7,ip6=fd78::7,mac-address=02:00:00:00:00:07,link-local-ip=169.254.7.7,alias=seven,\
        gw-priority=1,driver-opt=com.docker.network.endpoint.ifname=lan0";
    for way in WAYS {
        let flags = ["--network", "one", "--network", two];
        let program = ["busybox", "sleep", "1000"];
        let id = way.start(&env, &[&flags[..], &program].concat());
        let shown = env.out(&["exec", &id, "ip", "address", "show", "lan0"]);
        for part in [
            "inet 10.78.0.7/24",
            "inet6 fd78::7/64",
            "link/ether 02:00:00:00:00:07",
            "inet 169.254.7.7/16",
        ] {
            assert!(shown.contains(part), "{way:?}: {part} in {shown}");
        }
        for family in ["-4", "-6"] {
            let routes = env.out(&["exec", &id, "ip", family, "route"]);
            assert!(routes.contains("dev lan0"), "{routes}");
            let other = routes
                .lines()
                .find(|line| line.starts_with("default") && !line.contains("dev lan0"));
            assert_eq!(other, None, "{routes}");
        }
        assert!(crate::network_bridge::reaches(&env, &id, "seven"));
        env.run(&["rm", "-f", &id]).ok();
    }
    for (wrong, words) in [
        ("name=two,colour=red", "colour"),
        ("name=two,gw-priority=high", "invalid priority: high"),
        ("name=two,driver-opt=a=b", "a=b"),
    ] {
        let made = env.run(&["create", "--network", wrong, "busybox", "true"]);
        assert_eq!(made.code, 125, "{made:?}");
        assert!(made.stderr.contains(words), "{made:?}");
    }
    for (network, flag, value, what) in [
        ("name=two,ip=10.78.0.8", "--ip", "10.78.0.9", "IPv4 address"),
        ("name=two,ip6=fd78::8", "--ip6", "fd78::9", "IPv6 address"),
        ("name=two,alias=a", "--network-alias", "b", "alias"),
        (
            "name=two,mac-address=02:00:00:00:00:08",
            "--mac-address",
            "02:00:00:00:00:09",
            "MAC address",
        ),
    ] {
        let twice = ["create", "--network", network, flag, value, "busybox"];
        let words = format!("cannot specify both {flag} and per-network {what}");
        env.run(&twice).fails(125, &words);
    }
}
