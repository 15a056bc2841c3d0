//! `--network pasta:OPTIONS`: which of pasta(1)'s options a container may choose, and which are bryo's own. Runs nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::super::route::HostRoutes;

/// Options that a container may have, by their long and short names.
const WITH_VALUE: [(&str, Option<char>); 22] = [
    ("mtu", Some('m')),
    ("address", Some('a')),
    ("netmask", Some('n')),
    ("mac-addr", Some('M')),
    ("gateway", Some('g')),
    ("interface", Some('i')),
    ("outbound", Some('o')),
    ("outbound-if4", None),
    ("outbound-if6", None),
    ("dns", Some('D')),
    ("dns-forward", None),
    ("dns-host", None),
    ("search", Some('S')),
    ("map-host-loopback", None),
    ("map-guest-addr", None),
    ("ns-ifname", Some('I')),
    ("ns-mac-addr", None),
    ("hostname", Some('H')),
    ("tcp-ports", Some('t')),
    ("udp-ports", Some('u')),
    ("tcp-ns", Some('T')),
    ("udp-ns", Some('U')),
];

const PLAIN: [(&str, Option<char>); 20] = [
    ("ipv4-only", Some('4')),
    ("ipv6-only", Some('6')),
    ("no-tcp", None),
    ("no-udp", None),
    ("no-icmp", None),
    ("no-dhcp", None),
    ("no-ndp", None),
    ("no-dhcpv6", None),
    ("no-ra", None),
    ("freebind", None),
    ("dhcp-dns", None),
    ("no-dhcp-dns", None),
    ("dhcp-search", None),
    ("no-dhcp-search", None),
    ("host-lo-to-ns-lo", None),
    ("no-copy-routes", None),
    ("no-copy-addrs", None),
    ("no-splice", None),
    ("no-map-gw", None),
    // No option of pasta's, but podman's word for the absence of the one before.
    (MAP_GATEWAY, None),
];

const MAP_GATEWAY: &str = "map-gw";

/// How pasta is run and watched.
const OWN: [(&str, Option<char>); 21] = [
    ("debug", Some('d')),
    ("trace", None),
    ("stats", None),
    ("foreground", Some('f')),
    ("stderr", Some('e')),
    ("log-file", Some('l')),
    ("log-size", None),
    ("runas", None),
    ("conf-path", Some('c')),
    ("help", Some('h')),
    ("version", None),
    ("pcap", Some('p')),
    ("pid", Some('P')),
    ("fd", Some('F')),
    ("netns", None),
    ("netns-only", None),
    ("userns", None),
    ("no-netns-quit", None),
    ("no-pidns", None),
    ("socket", Some('s')),
    ("one-off", Some('1')),
];

/// What every pasta of bryo's is told anyway.
const ALWAYS: [(&str, Option<char>); 2] = [("config-net", None), ("quiet", Some('q'))];

/// Options of one container's pasta, in the order in which they were said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PastaOptions {
    said: Vec<(String, Option<String>)>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PastaOptionError {
    #[error("pasta has no option {word}")]
    Unknown { word: String },
    #[error("pasta's option {word} is bryo's own: it runs and watches pasta itself")]
    Own { word: String },
    #[error("pasta's option {word} needs a value, as in pasta:{word},VALUE")]
    Valueless { word: String },
    #[error("pasta's option {word} takes no value")]
    Value { word: String },
    #[error("invalid value {value:?} of pasta's option {word}")]
    Invalid { word: String, value: String },
}

impl PastaOptions {
    pub fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// Whether the container has addresses of IPv6 that lead out, on a host with these ways.
    pub fn leads_ipv6(&self, routes: HostRoutes) -> bool {
        routes.ipv6 && !self.has("ipv4-only") && !self.has("interface")
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.said.iter().any(|(known, _)| known == name)
    }

    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let of_name = self.said.iter().filter(move |(known, _)| known == name);
        of_name.filter_map(|(_, value)| value.as_deref())
    }

    /// The gateway's address stands for the host, its loopback included.
    pub(super) fn opens_loopback(&self) -> bool {
        self.has(MAP_GATEWAY) || self.has("map-host-loopback")
    }

    /// The container's address of IPv4, if another is asked for.
    pub fn ipv4(&self) -> Option<Ipv4Addr> {
        let address = |value: &str| value.split('/').next().and_then(|ip| ip.parse().ok());
        self.values("address").find_map(address)
    }

    /// Where the container shall ask for names.
    pub fn dns_forward(&self) -> Option<IpAddr> {
        self.values("dns-forward").find_map(|ip| ip.parse().ok())
    }

    /// As they are said to pasta.
    pub(super) fn words(&self) -> Vec<String> {
        let said = self.said.iter().filter(|(name, _)| name != MAP_GATEWAY);
        let words = said.flat_map(|(name, value)| {
            let value = value.iter().cloned();
            std::iter::once(format!("--{name}")).chain(value)
        });
        words.collect()
    }
}

type Table = [(&'static str, Option<char>)];

/// An option's long name, if it is in the table: by `long` or by its letter.
fn found(table: &Table, long: Option<&str>, letter: Option<char>) -> Option<&'static str> {
    let named = |(name, short): &&(&'static str, Option<char>)| match long {
        Some(long) => *name == long,
        None => short.is_some() && *short == letter,
    };
    table.iter().find(named).map(|(name, _)| *name)
}

impl FromStr for PastaOptions {
    type Err = PastaOptionError;

    /// `--mtu,1500,-T,none`, as podman takes them.
    fn from_str(text: &str) -> Result<PastaOptions, PastaOptionError> {
        let mut said = Vec::new();
        let mut words = text.split(',');
        while let Some(word) = words.next() {
            let unknown = || PastaOptionError::Unknown {
                word: word.to_owned(),
            };
            let (long, letter, glued) = match word.strip_prefix("--") {
                Some(rest) => match rest.split_once('=') {
                    Some((name, value)) => (Some(name), None, Some(value)),
                    None => (Some(rest), None, None),
                },
                None => {
                    let rest = word.strip_prefix('-').ok_or_else(unknown)?;
                    let letter = rest.chars().next().ok_or_else(unknown)?;
                    let value = Some(&rest[letter.len_utf8()..]).filter(|v| !v.is_empty());
                    (None, Some(letter), value)
                }
            };
            let shown = || match (long, letter) {
                (Some(long), _) => format!("--{long}"),
                (None, letter) => format!("-{}", letter.unwrap_or_default()),
            };
            if found(&OWN, long, letter).is_some() {
                return Err(PastaOptionError::Own { word: shown() });
            }
            let plain = found(&PLAIN, long, letter);
            let always = found(&ALWAYS, long, letter);
            if (plain.is_some() || always.is_some()) && glued.is_some() {
                return Err(PastaOptionError::Value { word: shown() });
            }
            if always.is_some() {
                continue;
            }
            if let Some(name) = plain {
                said.push((name.to_owned(), None));
                continue;
            }
            let name = found(&WITH_VALUE, long, letter).ok_or_else(unknown)?;
            let value = glued.or_else(|| words.next()).unwrap_or_default();
            if value.is_empty() {
                return Err(PastaOptionError::Valueless { word: shown() });
            }
            if !is_valid(name, value) {
                return Err(PastaOptionError::Invalid {
                    word: shown(),
                    value: value.to_owned(),
                });
            }
            said.push((name.to_owned(), Some(value.to_owned())));
        }
        Ok(PastaOptions { said })
    }
}

/// What is certainly wrong; pasta itself judges the rest.
fn is_valid(name: &str, value: &str) -> bool {
    let ip = || value.parse::<IpAddr>().is_ok();
    match name {
        "mtu" => value.parse::<u32>().is_ok_and(|mtu| mtu <= 65535),
        "address" => {
            let ip = value.split('/').next().unwrap_or_default();
            ip.parse::<IpAddr>().is_ok()
        }
        "gateway" | "outbound" | "dns-forward" | "dns-host" => ip(),
        "map-host-loopback" | "map-guest-addr" => value == "none" || ip(),
        _ => !value.starts_with('-') && !value.contains(char::is_control),
    }
}

impl fmt::Display for PastaOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, value)) in self.said.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            write!(f, "{comma}--{name}")?;
            if let Some(value) = value {
                write!(f, ",{value}")?;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for PastaOptions {
    type Error = PastaOptionError;

    fn try_from(text: String) -> Result<PastaOptions, PastaOptionError> {
        match text.as_str() {
            "" => Ok(PastaOptions::default()),
            text => text.parse(),
        }
    }
}

impl From<PastaOptions> for String {
    fn from(options: PastaOptions) -> String {
        options.to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_an_option_are_one() {
        for text in [
            "--mtu,1500,--ipv4-only",
            "-m,1500,-4",
            "--mtu=1500,-4",
            "-m1500,-4",
        ] {
            let options: PastaOptions = text.parse().unwrap();
            assert_eq!(options.to_string(), "--mtu,1500,--ipv4-only");
            assert_eq!(options.words(), ["--mtu", "1500", "--ipv4-only"]);
        }
        let podmans: PastaOptions = "--config-net,--map-gw,-a,10.1.0.9/24".parse().unwrap();
        assert!(podmans.opens_loopback());
        assert_eq!(podmans.words(), ["--address", "10.1.0.9/24"]);
        assert_eq!(podmans.ipv4(), Some(Ipv4Addr::new(10, 1, 0, 9)));
    }

    #[test]
    fn what_is_no_option_of_the_containers_is_refused_by_name() {
        for (text, words) in [
            ("", "pasta has no option "),
            ("mtu", "pasta has no option mtu"),
            ("--colour", "pasta has no option --colour"),
            ("-x", "pasta has no option -x"),
            ("--netns,/proc/1/ns/net", "--netns is bryo's own"),
            ("--mtu", "--mtu needs a value"),
            ("-4,--mtu", "--mtu needs a value"),
            ("--ipv4-only=yes", "--ipv4-only takes no value"),
            (
                "--mtu,many",
                "invalid value \"many\" of pasta's option --mtu",
            ),
            ("-g,here", "invalid value \"here\" of pasta's option -g"),
            ("-t,--netns", "invalid value"),
        ] {
            let error = text.parse::<PastaOptions>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
