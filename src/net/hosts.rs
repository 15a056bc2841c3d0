//! The texts of a container's `/etc/hosts` and `/etc/hostname`, as docker writes them. Pure; writes no file.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// The host, as containers of shared networks see it: whatever address it has, this one leads to it (`firewall`).
pub const HOST: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 2);

/// What it is called: docker's name and podman's.
pub const HOST_NAMES: [&str; 2] = ["host.docker.internal", "host.containers.internal"];

/// What docker's containers begin with.
const BASE: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::\tip6-localnet\n\
    ff00::\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

/// `--add-host NAME:ADDRESS` (or `NAME=ADDRESS`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraHost {
    pub name: String,
    pub address: ExtraAddress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtraAddress {
    Ip(IpAddr),
    /// `host-gateway`: the host's address, as the container finds it.
    HostGateway,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtraHostError {
    #[error("bad format for add-host: \"{text}\"")]
    Format { text: String },
    #[error("invalid IP address in add-host: \"{address}\"")]
    Address { address: String },
}

impl FromStr for ExtraHost {
    type Err = ExtraHostError;

    fn from_str(text: &str) -> Result<ExtraHost, ExtraHostError> {
        let format = || ExtraHostError::Format {
            text: text.to_owned(),
        };
        let (name, address) = text
            .split_once('=')
            .or_else(|| text.split_once(':'))
            .ok_or_else(format)?;
        // A line break or a blank in the name would write lines of its own into the file.
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(format());
        }
        let bare = address
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(address);
        let address = match bare {
            "host-gateway" => ExtraAddress::HostGateway,
            ip => ExtraAddress::Ip(ip.parse().map_err(|_| ExtraHostError::Address {
                address: address.to_owned(),
            })?),
        };
        Ok(ExtraHost {
            name: name.to_owned(),
            address,
        })
    }
}

impl std::fmt::Display for ExtraHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.address {
            ExtraAddress::Ip(ip) => write!(f, "{}:{ip}", self.name),
            ExtraAddress::HostGateway => write!(f, "{}:host-gateway", self.name),
        }
    }
}

/// What the hosts file is made of.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostsFile<'a> {
    /// `--network host`: the host's own file comes first.
    pub host_file: Option<&'a str>,
    pub extra: &'a [ExtraHost],
    /// What `host-gateway` stands for; entries that need it are left out without it.
    pub host_gateway: Option<IpAddr>,
    /// Where the host is found by its own names, unless `extra` says something else of one.
    pub host: Option<IpAddr>,
    /// The container's own address, hostname and domain, which may be empty; none with `--network none|host`.
    pub own: Option<(IpAddr, &'a str, &'a str)>,
}

impl HostsFile<'_> {
    pub fn text(&self) -> String {
        let mut text = self.host_file.unwrap_or(BASE).to_owned();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        let mut line = |ip: IpAddr, names: &str| {
            writeln!(text, "{ip}\t{names}").expect("a String takes every write");
        };
        for extra in self.extra {
            match extra.address {
                ExtraAddress::Ip(ip) => line(ip, &extra.name),
                ExtraAddress::HostGateway => {
                    if let Some(ip) = self.host_gateway {
                        line(ip, &extra.name);
                    }
                }
            }
        }
        let is_given = |name: &str| self.extra.iter().any(|extra| extra.name == name);
        let names: Vec<&str> = HOST_NAMES.into_iter().filter(|n| !is_given(n)).collect();
        if let (Some(ip), false) = (self.host, names.is_empty()) {
            line(ip, &names.join(" "));
        }
        if let Some((ip, hostname, domain)) = self.own {
            line(ip, &own_names(hostname, domain));
        }
        text
    }
}

/// What a container is called in its own hosts file. As docker: a full name is followed by its first label.
pub fn own_names(hostname: &str, domain: &str) -> String {
    if !domain.is_empty() {
        return format!("{hostname}.{domain} {hostname}");
    }
    match hostname.split_once('.') {
        Some((short, _)) if !short.is_empty() => format!("{hostname} {short}"),
        _ => hostname.to_owned(),
    }
}

/// The content of `/etc/hostname`.
pub fn hostname_text(hostname: &str) -> String {
    format!("{hostname}\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn base_then_extra_then_own() {
        let extra: Vec<ExtraHost> = [
            "db:192.0.2.9",
            "v6=2001:db8::1",
            "up:host-gateway",
            "b6:[::1]",
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
        let text = HostsFile {
            extra: &extra,
            host_gateway: Some("192.0.2.2".parse().unwrap()),
            own: Some(("10.0.2.100".parse().unwrap(), "web.example.org", "")),
            ..HostsFile::default()
        }
        .text();
        let expected = format!(
            "{BASE}192.0.2.9\tdb\n2001:db8::1\tv6\n192.0.2.2\tup\n::1\tb6\n10.0.2.100\tweb.example.org web\n"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn the_host_has_names_unless_somebody_else_has_them() {
        let text = |extra: &[ExtraHost]| {
            let file = HostsFile {
                extra,
                host: Some(IpAddr::V4(HOST)),
                ..HostsFile::default()
            };
            file.text().strip_prefix(BASE).unwrap().to_owned()
        };
        let line = "169.254.1.2\thost.docker.internal host.containers.internal\n";
        assert_eq!(text(&[]), line);
        let own = ["host.docker.internal:192.0.2.9".parse().unwrap()];
        let lines = "192.0.2.9\thost.docker.internal\n169.254.1.2\thost.containers.internal\n";
        assert_eq!(text(&own), lines);
    }

    #[test]
    fn host_network_keeps_the_hosts_file() {
        let text = HostsFile {
            host_file: Some("127.0.0.1 localhost laptop"),
            ..HostsFile::default()
        }
        .text();
        assert_eq!(text, "127.0.0.1 localhost laptop\n");
    }

    #[test]
    fn wrong_entries_are_named() {
        let error = |text: &str| text.parse::<ExtraHost>().unwrap_err().to_string();
        assert_eq!(error("db"), "bad format for add-host: \"db\"");
        assert_eq!(error("db:x"), "invalid IP address in add-host: \"x\"");
        assert!(error("a\n1.1.1.1 b:127.0.0.1").starts_with("bad format"));
    }
}
