//! pasta's command line, its features and the explanation of its failures, as values.

use super::*;

fn mapping(host: &str, container_port: u16, protocol: Protocol) -> PortMapping {
    let address: std::net::SocketAddr = host.parse().unwrap();
    PortMapping {
        host_ip: address.ip(),
        host_port: address.port(),
        container_port,
        protocol,
    }
}

const DEBIAN_12: Features = Features {
    no_map_gw: true,
    map_host_loopback: false,
    map_guest_addr: false,
    dns_forward: true,
    ns_ifname: true,
    config_net: true,
    no_netns_quit: true,
};

const ONLINE: HostRoutes = HostRoutes {
    ipv4: true,
    ipv6: true,
};

fn line(features: Features, mappings: &[PortMapping], routes: HostRoutes, dns: bool) -> String {
    let plan = Plan {
        mappings,
        routes,
        options: &PastaOptions::default(),
        dns_forward: dns,
        is_shared: false,
    };
    let words = command_line(features, &plan);
    let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap()).collect();
    words.join(" ")
}

#[test]
fn features_are_read_from_help() {
    let old = "  -I, --ns-ifname NAME\tnamespace\n  --dns-forward ADDR\n  --no-map-gw\t\tDon't map\n  --config-net\t\n  --no-netns-quit\t";
    assert_eq!(Features::from_help(old), DEBIAN_12);
    let new = format!("{old}\n  --map-host-loopback ADDR\tTranslate\n  --map-guest-addr ADDR");
    let features = Features::from_help(&new);
    assert!(features.map_host_loopback && features.map_guest_addr);
    assert_eq!(Features::from_help(""), Features::default());
}

#[test]
fn nothing_is_forwarded_that_no_flag_names() {
    assert_eq!(
        line(DEBIAN_12, &[], ONLINE, false),
        "--quiet --netns-only --netns /proc/self/fd/0 --config-net --no-netns-quit --ns-ifname eth0 --no-map-gw \
         --address 10.0.2.100 --netmask 24 --gateway 10.0.2.2 --mac-addr 9a:55:9a:55:9a:55 \
         -t none -u none -T none -U none"
    );
}

#[test]
fn newer_versions_are_told_to_map_no_address_to_the_host() {
    let features = Features {
        map_host_loopback: true,
        map_guest_addr: true,
        ..DEBIAN_12
    };
    let line = line(features, &[], ONLINE, true);
    assert!(
        line.contains("--no-map-gw --map-host-loopback none --map-guest-addr none"),
        "{line}"
    );
    assert!(line.contains("--dns-forward 169.254.1.1"), "{line}");
}

#[test]
fn each_port_is_an_option_of_its_own() {
    let mappings = [
        mapping("0.0.0.0:8080", 80, Protocol::Tcp),
        mapping("127.0.0.1:8081", 81, Protocol::Tcp),
        mapping("[::1]:53", 53, Protocol::Udp),
    ];
    let line = line(DEBIAN_12, &mappings, ONLINE, false);
    assert!(
        line.ends_with("-t 0.0.0.0/8080:80 -t 127.0.0.1/8081:81 -u ::1/53:53 -T none -U none"),
        "{line}"
    );
}

#[test]
fn one_port_of_both_families_is_one_option_and_a_second_address_is_told() {
    let mappings = [
        mapping("0.0.0.0:8080", 80, Protocol::Tcp),
        mapping("[::]:8080", 80, Protocol::Tcp),
        mapping("0.0.0.0:8080", 80, Protocol::Udp),
        mapping("[::]:8080", 81, Protocol::Udp),
    ];
    let line = line(DEBIAN_12, &mappings, ONLINE, false);
    assert!(
        line.contains("-t 8080:80 -u 0.0.0.0/8080:80 -u ::/8080:81 -T none"),
        "{line}"
    );
    let words = "Overlapping port specifier ::/8080:81\nFailed to send 46 bytes to syslog\n";
    let error = explain(words, &mappings, 1024);
    assert!(
        error
            .to_string()
            .contains("Bind for [::]:8080 failed: this version of pasta"),
        "{error}"
    );
    let taken = "Failed to bind any port for '-t 8080:80', exiting";
    let error = explain(taken, &mappings, 1024).to_string();
    assert!(
        error.ends_with("0.0.0.0:8080 failed: port is already allocated"),
        "{error}"
    );
}

#[test]
fn what_was_asked_for_replaces_what_would_be_said() {
    let asked = |text: &str| {
        let plan = Plan {
            mappings: &[mapping("0.0.0.0:8080", 80, Protocol::Tcp)],
            routes: ONLINE,
            options: &text.parse().unwrap(),
            dns_forward: true,
            is_shared: false,
        };
        let words = command_line(DEBIAN_12, &plan);
        let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap()).collect();
        words.join(" ")
    };
    let line = asked("-a,10.1.0.9,-n,16,-g,10.1.0.1,--dns-forward,10.1.0.1,-I,up0,-T,5432");
    for gone in ["10.0.2", "169.254", "eth0", "-T none"] {
        assert!(!line.contains(gone), "{line}");
    }
    assert!(
        line.contains("-t 0.0.0.0/8080:80 -u none -U none"),
        "{line}"
    );
    assert!(line.ends_with(
        "--address 10.1.0.9 --netmask 16 --gateway 10.1.0.1 --dns-forward 10.1.0.1 --ns-ifname up0 --tcp-ns 5432"
    ));
    let mtu = asked("--mtu,1400");
    assert!(
        mtu.contains("--no-map-gw --address 10.0.2.100 --netmask 24"),
        "{mtu}"
    );
    assert!(!asked("--map-gw").contains("map-gw"));
    assert!(!asked("--ipv6-only").contains("--address"));
}

#[test]
fn host_without_a_route_uses_its_loopback_as_template() {
    let offline = HostRoutes::default();
    assert!(line(DEBIAN_12, &[], offline, false).contains("--ipv4-only --interface lo"));
    let ipv6 = HostRoutes {
        ipv4: false,
        ipv6: true,
    };
    assert!(!line(DEBIAN_12, &[], ipv6, false).contains("--address"));
    let published = [mapping("0.0.0.0:8080", 80, Protocol::Tcp)];
    assert!(line(DEBIAN_12, &published, ipv6, false).contains("--ipv4-only --interface lo"));
}

#[test]
fn taken_port_is_told_in_dockers_words() {
    let mappings = [
        mapping("0.0.0.0:80", 80, Protocol::Tcp),
        mapping("0.0.0.0:8080", 80, Protocol::Tcp),
    ];
    let taken = "driver failed programming external connectivity: Bind for 0.0.0.0:8080 failed: port is already allocated";
    for words in [
        "Failed to bind any port for '-t 0.0.0.0/8080:80', exiting\nFailed to send 58 bytes to syslog\n",
        "Failed to bind port 8080 (Address already in use) for option '-t 0.0.0.0/8080:80', exiting",
    ] {
        assert_eq!(explain(words, &mappings, 1024).to_string(), taken);
    }
    let low = explain(
        "Failed to bind any port for '-t 0.0.0.0/80:80', exiting",
        &mappings,
        1024,
    );
    assert!(low.to_string().contains("ports below 1024"), "{low}");
    assert!(low.hints()[1].ends_with("ip_unprivileged_port_start=80"));
}

#[test]
fn other_failures_keep_their_words() {
    let error = explain("Failed to open tun socket in namespace\n", &[], 1024);
    assert!(matches!(error, PastaError::Tun));
    let error = explain(
        "Couldn't open network namespace /proc/self/fd/7\n",
        &[],
        1024,
    );
    assert!(matches!(error, PastaError::OpenNamespace { .. }));
    let error = explain(
        "External interface not usable\nFailed to send 3 bytes to syslog\n",
        &[],
        1024,
    );
    assert_eq!(
        error.to_string(),
        "pasta failed: External interface not usable"
    );
}

#[test]
fn probe_asks_once_per_binary() {
    use std::os::unix::fs::PermissionsExt;
    let directory = std::env::temp_dir().join(format!("bryo-pasta-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let binary = directory.join("pasta");
    let asked = directory.join("asked");
    let script = |option: &str| {
        let text = format!(
            "#!/bin/sh\necho >>{}\necho '  --config-net  --no-map-gw {option}' >&2\n",
            asked.display()
        );
        // Renamed into place: another test's fork may hold a writable descriptor of a file written directly (ETXTBSY).
        std::fs::write(directory.join("new"), text).unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.join("new"), executable).unwrap();
        std::fs::rename(directory.join("new"), &binary).unwrap();
    };
    script("");
    assert!(!probe(&binary, &directory).unwrap().dns_forward);
    assert!(!probe(&binary, &directory).unwrap().dns_forward);
    assert_eq!(std::fs::read(&asked).unwrap().len(), 1);
    script("--dns-forward ADDR");
    assert!(probe(&binary, &directory).unwrap().dns_forward);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_build_for_this_processor_is_executed_at_once() {
    let directory = std::env::temp_dir().join(format!("bryo-pasta-build-{}", std::process::id()));
    std::fs::create_dir(&directory).expect("temporary directory");
    let pasta = directory.join("pasta");
    let place = |name: &str| std::fs::write(directory.join(name), "").expect("temporary file");
    place("passt");
    std::os::unix::fs::symlink("passt", &pasta).expect("temporary directory");
    assert_eq!(build_for_here(&pasta), pasta);
    place("passt.avx2");
    let expected = match is_x86_feature_detected!("avx2") {
        true => directory
            .canonicalize()
            .expect("it exists")
            .join("passt.avx2"),
        false => pasta.clone(),
    };
    assert_eq!(build_for_here(&pasta), expected);
    assert_eq!(
        build_for_here(Path::new("/nowhere/pasta")),
        Path::new("/nowhere/pasta")
    );
    std::fs::remove_dir_all(directory).expect("temporary directory");
}

/// What leads shared networks out has both families from the start where it can, and so has what is started without a way.
#[test]
fn a_family_that_the_host_lacks_is_there_for_later() {
    let newest = Features {
        map_host_loopback: true,
        map_guest_addr: true,
        ..DEBIAN_12
    };
    let line = |features, (ipv4, ipv6), is_shared| {
        let plan = Plan {
            mappings: &[],
            routes: HostRoutes { ipv4, ipv6 },
            options: &PastaOptions::default(),
            dns_forward: false,
            is_shared,
        };
        let words = command_line(features, &plan);
        let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap()).collect();
        words.join(" ")
    };
    let both = "--address 10.0.2.100 --netmask 24 --gateway 10.0.2.2 --mac-addr 9a:55:9a:55:9a:55 \
        --address fd00:a:2::64 --gateway fe80::1 --interface lo ";
    for (routes, shared, own) in [
        ((false, false), true, true),
        ((true, false), true, false),
        ((false, true), true, false),
        ((true, true), false, false),
    ] {
        for (is_shared, has) in [(true, shared), (false, own)] {
            let line = line(newest, routes, is_shared);
            assert_eq!(line.contains(both), has, "{routes:?} {is_shared} {line}");
        }
        assert!(!line(DEBIAN_12, routes, true).contains("fe80::1"));
    }
    assert!(line(DEBIAN_12, (false, false), true).contains("--ipv4-only --interface lo"));
}
