//! The text of a container's `/etc/resolv.conf`, as docker makes it of the host's. Pure; writes no file, asks no server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::pasta;

/// The name server of containers that share networks: nothing that a container could want for itself, as its loopback is.
pub const EMBEDDED: Ipv4Addr = pasta::DNS_FORWARD;

/// What the container's network means for its name servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// `--network host`: everything the host reaches, its loopback included.
    Host,
    /// pasta: the host's loopback is out of reach, but pasta can forward queries to it.
    Pasta { ipv6: bool },
    /// What connects it answers at this address, with what the host's servers say.
    Helper(IpAddr),
    /// A network that is shared: `bryo net` answers in the container itself, and knows the host's servers and the user's.
    Bridged,
    /// `--network none`.
    Nothing,
}

/// `--dns`, `--dns-search`, `--dns-option`; each that is given replaces the host's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    pub servers: Vec<IpAddr>,
    /// A single `.` means none.
    pub search: Vec<String>,
    pub options: Vec<String>,
}

/// The file, and whether pasta has to forward queries for it to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolver {
    pub text: String,
    pub forward: bool,
}

/// Makes the container's file from the host's (`""` where the host has none).
pub fn resolver(host: &str, overrides: &Overrides, reach: Reach) -> Resolver {
    if reach == Reach::Host && *overrides == Overrides::default() {
        return Resolver {
            text: host.to_owned(),
            forward: false,
        };
    }
    let parsed = HostFile::parse(host);
    let (mut servers, forward) = if reach == Reach::Bridged {
        (vec![EMBEDDED.to_string()], false)
    } else if let (Reach::Helper(server), true) = (reach, overrides.servers.is_empty()) {
        (vec![server.to_string()], false)
    } else if overrides.servers.is_empty() {
        parsed.servers_for(reach)
    } else {
        (
            overrides.servers.iter().map(IpAddr::to_string).collect(),
            false,
        )
    };
    // glibc reads three and warns about more.
    servers.truncate(3);
    let search = match overrides.search.as_slice() {
        [] => parsed.search.clone(),
        [dot] if dot == "." => Vec::new(),
        given => given.to_vec(),
    };
    let mut options = if overrides.options.is_empty() {
        parsed.options.clone()
    } else {
        overrides.options.clone()
    };
    let has_dots = options.iter().any(|option| option.starts_with("ndots:"));
    if reach == Reach::Bridged && !has_dots {
        options.push("ndots:0".to_owned());
    }
    let mut text = String::new();
    for server in servers {
        text += &format!("nameserver {server}\n");
    }
    if !search.is_empty() {
        text += &format!("search {}\n", search.join(" "));
    }
    if !options.is_empty() {
        text += &format!("options {}\n", options.join(" "));
    }
    Resolver { text, forward }
}

/// The servers that the host's file names; without one, the host's own (resolv.conf(5)).
pub fn servers(host: &str) -> Vec<IpAddr> {
    let named = HostFile::parse(host).servers.into_iter();
    let servers: Vec<IpAddr> = named.filter_map(|server| server.parse().ok()).collect();
    match servers.is_empty() {
        true => vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        false => servers,
    }
}

/// resolv.conf(5), as much of it as is passed on.
#[derive(Default)]
struct HostFile {
    /// As written: an address may carry a zone (`fe80::1%eth0`).
    servers: Vec<String>,
    search: Vec<String>,
    options: Vec<String>,
}

impl HostFile {
    fn parse(text: &str) -> HostFile {
        let mut file = HostFile::default();
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace().map(str::to_owned);
            match words.next().as_deref() {
                Some("nameserver") => file.servers.extend(words.next()),
                // The last of several wins, whichever keyword it has.
                Some("search" | "domain") => {
                    file.search = words.filter(|word| word != ".").collect()
                }
                Some("options") => file.options.extend(words),
                _ => {}
            }
        }
        file
    }

    fn servers_for(&self, reach: Reach) -> (Vec<String>, bool) {
        if reach == Reach::Host {
            return (self.servers.clone(), false);
        }
        let ipv6 = !matches!(reach, Reach::Pasta { ipv6: false });
        let usable: Vec<String> = self
            .servers
            .iter()
            .filter(|server| server.parse().is_ok_and(|ip| is_reachable(ip, ipv6)))
            .cloned()
            .collect();
        // Without a usable one the host asks a resolver on its loopback (systemd-resolved, dnsmasq, or glibc's default).
        if usable.is_empty() && matches!(reach, Reach::Pasta { .. }) {
            return (vec![pasta::DNS_FORWARD.to_string()], true);
        }
        (usable, false)
    }
}

/// An address that means the same in the container. Those of a zone did not parse and are out already.
fn is_reachable(ip: IpAddr, ipv6: bool) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_unspecified(),
        IpAddr::V6(ip) => {
            let link_local = ip.segments()[0] & 0xffc0 == 0xfe80;
            ipv6 && ip != Ipv6Addr::LOCALHOST && !ip.is_unspecified() && !link_local
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PASTA: Reach = Reach::Pasta { ipv6: true };

    fn text(host: &str, reach: Reach) -> (String, bool) {
        let made = resolver(host, &Overrides::default(), reach);
        (made.text, made.forward)
    }

    #[test]
    fn search_and_options_are_kept_and_comments_dropped() {
        let host = "# made by x\nnameserver 192.0.2.53 # office\nsearch example.org corp.example\noptions edns0\noptions trust-ad\n";
        let expected =
            "nameserver 192.0.2.53\nsearch example.org corp.example\noptions edns0 trust-ad\n";
        assert_eq!(text(host, PASTA), (expected.to_owned(), false));
    }

    #[test]
    fn loopback_resolver_is_reached_through_pasta() {
        for host in [
            "nameserver 127.0.0.53\noptions edns0\n",
            "nameserver ::1\noptions edns0\n",
            "options edns0\n",
        ] {
            let expected = "nameserver 169.254.1.1\noptions edns0\n".to_owned();
            assert_eq!(text(host, PASTA), (expected, true), "{host}");
        }
    }

    #[test]
    fn loopback_is_filtered_beside_a_usable_one() {
        let host = "nameserver 127.0.0.1\nnameserver fe80::1%eth0\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n";
        let expected = "nameserver 192.0.2.1\nnameserver 2001:db8::1\n";
        assert_eq!(text(host, PASTA), (expected.to_owned(), false));
        let expected = "nameserver 192.0.2.1\n";
        assert_eq!(
            text(host, Reach::Pasta { ipv6: false }),
            (expected.to_owned(), false)
        );
        assert_eq!(
            text("nameserver 127.0.0.1\n", Reach::Nothing),
            (String::new(), false)
        );
    }

    #[test]
    fn host_network_copies_the_file() {
        let host = "# comment\nnameserver 127.0.0.53\n";
        assert_eq!(text(host, Reach::Host), (host.to_owned(), false));
    }

    #[test]
    fn flags_replace_the_hosts() {
        let overrides = Overrides {
            servers: vec!["9.9.9.9".parse().unwrap()],
            search: vec![".".to_owned()],
            options: vec!["ndots:2".to_owned()],
        };
        let made = resolver(
            "nameserver 127.0.0.53\nsearch example.org\n",
            &overrides,
            PASTA,
        );
        assert_eq!(made.text, "nameserver 9.9.9.9\noptions ndots:2\n");
        assert!(!made.forward);
    }
}
