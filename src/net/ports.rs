//! What `-p`, `-P` and `--expose` say, as types. Never opens a socket: that is `publish`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A transport that a port belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Tcp,
    Udp,
    /// Can be exposed by an image, never published: pasta and slirp4netns carry tcp and udp only.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

impl FromStr for Protocol {
    type Err = PortSpecError;

    fn from_str(text: &str) -> Result<Protocol, PortSpecError> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Protocol::Tcp),
            "udp" => Ok(Protocol::Udp),
            "sctp" => Ok(Protocol::Sctp),
            _ => Err(PortSpecError::Protocol {
                text: text.to_owned(),
            }),
        }
    }
}

/// One port or an inclusive range, `start <= end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange {
    start: u16,
    end: u16,
}

impl PortRange {
    pub fn single(port: u16) -> PortRange {
        PortRange {
            start: port,
            end: port,
        }
    }

    /// `None` for a range that runs backwards.
    pub fn new(start: u16, end: u16) -> Option<PortRange> {
        (start <= end).then_some(PortRange { start, end })
    }

    pub fn start(self) -> u16 {
        self.start
    }

    pub fn end(self) -> u16 {
        self.end
    }

    pub fn is_single(self) -> bool {
        self.start == self.end
    }

    /// Number of ports; a `u32` because the whole range has 65,536.
    pub fn count(self) -> u32 {
        u32::from(self.end) - u32::from(self.start) + 1
    }

    pub fn ports(self) -> impl Iterator<Item = u16> {
        self.start..=self.end
    }

    /// Whether they have a port in common.
    pub fn meets(self, other: PortRange) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    fn parse(text: &str) -> Option<PortRange> {
        // `parse` alone would accept a leading plus sign.
        let port = |digits: &str| -> Option<u16> {
            digits
                .bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| digits.parse().ok())
                .flatten()
        };
        match text.split_once('-') {
            None => port(text).map(PortRange::single),
            Some((start, end)) => PortRange::new(port(start)?, port(end)?),
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() {
            write!(f, "{}", self.start)
        } else {
            write!(f, "{}-{}", self.start, self.end)
        }
    }
}

/// One `-p`: `[[ip:][host-ports]:]container-ports[/protocol]`. Its `Display` is canonical and parses back to the same value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PortSpec {
    /// `None`: every address of the host.
    pub host_ip: Option<IpAddr>,
    /// `None`: a free port that bryo chooses. A range for a single container port: the first free one of it.
    pub host: Option<PortRange>,
    pub container: PortRange,
    pub protocol: Protocol,
}

/// Messages are docker's, so that scripts and people recognise them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortSpecError {
    #[error("no port specified: {text}<empty>")]
    Empty { text: String },
    #[error("invalid containerPort: {text}")]
    ContainerPort { text: String },
    #[error("invalid hostPort: {text}")]
    HostPort { text: String },
    #[error("invalid IP address: {text}")]
    Address { text: String },
    #[error("invalid proto: {text}")]
    Protocol { text: String },
    #[error("invalid ranges specified for container and host Ports: {container} and {host}")]
    RangesDiffer { container: String, host: String },
    #[error("invalid publish opts format (should be name=value but got '{text}')")]
    Option { text: String },
    #[error("can't publish {text}: tcp and udp are published, sctp is not")]
    Sctp { text: String },
}

impl FromStr for PortSpec {
    type Err = PortSpecError;

    fn from_str(text: &str) -> Result<PortSpec, PortSpecError> {
        if text.contains('=') {
            return from_options(text);
        }
        let (ports, protocol) = split_protocol(text)?;
        let (ip, host, container) = split_addresses(ports);
        if container.is_empty() {
            return Err(PortSpecError::Empty {
                text: text.to_owned(),
            });
        }
        let host_ip = parse_address(ip)?;
        // Port 0 can't be listened on; docker lets it through to a later failure.
        let container_range = PortRange::parse(container)
            .filter(|range| range.start != 0)
            .ok_or_else(|| PortSpecError::ContainerPort {
                text: container.to_owned(),
            })?;
        let host_range = parse_host_ports(host)?;
        if let Some(range) = host_range
            && range.count() != container_range.count()
            && !container_range.is_single()
        {
            return Err(PortSpecError::RangesDiffer {
                container: container.to_owned(),
                host: host.to_owned(),
            });
        }
        if protocol == Protocol::Sctp {
            return Err(PortSpecError::Sctp {
                text: text.to_owned(),
            });
        }
        Ok(PortSpec {
            host_ip,
            host: host_range,
            container: container_range,
            protocol,
        })
    }
}

/// docker's other spelling: `published=8080,target=80,protocol=udp`.
fn from_options(text: &str) -> Result<PortSpec, PortSpecError> {
    let (mut published, mut target, mut protocol) = ("", "", "tcp");
    for option in text.split(',') {
        match option.split_once('=') {
            Some(("published", value)) => published = value,
            Some(("target", value)) => target = value,
            Some(("protocol", value)) => protocol = value,
            // docker ignores every other name; a typing error must not publish something else.
            _ => {
                return Err(PortSpecError::Option {
                    text: option.to_owned(),
                });
            }
        }
    }
    if [published, target, protocol]
        .iter()
        .any(|v| v.contains('='))
    {
        return Err(PortSpecError::Option {
            text: text.to_owned(),
        });
    }
    format!("{published}:{target}/{protocol}").parse()
}

fn split_protocol(text: &str) -> Result<(&str, Protocol), PortSpecError> {
    match text.rsplit_once('/') {
        None => Ok((text, Protocol::Tcp)),
        // `80/` is `80/tcp`, as docker reads it.
        Some((ports, "")) => Ok((ports, Protocol::Tcp)),
        Some((ports, protocol)) => Ok((ports, protocol.parse()?)),
    }
}

/// Address, host ports, container ports: split from the right, since an IPv6 address has colons of its own.
fn split_addresses(text: &str) -> (&str, &str, &str) {
    let Some((front, container)) = text.rsplit_once(':') else {
        return ("", "", text);
    };
    match front.rsplit_once(':') {
        None => ("", front, container),
        Some((ip, host)) => (ip, host, container),
    }
}

fn parse_address(text: &str) -> Result<Option<IpAddr>, PortSpecError> {
    if text.is_empty() {
        return Ok(None);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse().map(Some).map_err(|_| PortSpecError::Address {
        text: text.to_owned(),
    })
}

/// Empty and `0` both mean "any free port".
fn parse_host_ports(text: &str) -> Result<Option<PortRange>, PortSpecError> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    PortRange::parse(text)
        .filter(|range| range.start != 0)
        .map(Some)
        .ok_or_else(|| PortSpecError::HostPort {
            text: text.to_owned(),
        })
}

impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip {
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:")?,
            Some(IpAddr::V4(ip)) => write!(f, "{ip}:")?,
            None => {}
        }
        match self.host {
            Some(range) => write!(f, "{range}:")?,
            None if self.host_ip.is_some() => f.write_str(":")?,
            None => {}
        }
        write!(f, "{}/{}", self.container, self.protocol)
    }
}

impl PortSpec {
    /// Whether whoever names `self` may mean a port of `host`; what is left out fits all. Of single ports.
    pub fn means(
        &self,
        host_ip: Option<IpAddr>,
        host: Option<u16>,
        inside: (u16, Protocol),
    ) -> bool {
        (self.container.start, self.protocol) == inside
            && self.host_ip.is_none_or(|ip| host_ip == Some(ip))
            && self.host.is_none_or(|range| host == Some(range.start))
    }

    /// One spec per container port. What stays a range on the host's side is a choice: the first free one.
    pub fn expand(&self) -> Vec<PortSpec> {
        let one = |host: Option<PortRange>, container: u16| PortSpec {
            host,
            container: PortRange::single(container),
            ..self.clone()
        };
        match self.host {
            Some(host) if host.count() == self.container.count() => host
                .ports()
                .zip(self.container.ports())
                .map(|(host, container)| one(Some(PortRange::single(host)), container))
                .collect(),
            host => self.container.ports().map(|port| one(host, port)).collect(),
        }
    }
}

impl Serialize for PortSpec {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PortSpec {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<PortSpec, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A port that an image's `EXPOSE` or `--expose` names: `80`, `80/udp`, `8000-8010/tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExposedPorts {
    pub ports: PortRange,
    pub protocol: Protocol,
}

impl FromStr for ExposedPorts {
    type Err = PortSpecError;

    fn from_str(text: &str) -> Result<ExposedPorts, PortSpecError> {
        let (ports, protocol) = split_protocol(text)?;
        let range = PortRange::parse(ports).filter(|range| range.start != 0);
        let ports = range.ok_or_else(|| PortSpecError::ContainerPort {
            text: ports.to_owned(),
        })?;
        Ok(ExposedPorts { ports, protocol })
    }
}

impl fmt::Display for ExposedPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ports, self.protocol)
    }
}

/// What `-P` adds to the `-p` given: every exposed port that no `-p` names, on a free port of every address.
/// sctp ports are left out, since a flag that names none of them must not fail because of one.
pub fn publish_all(exposed: &[ExposedPorts], given: &[PortSpec]) -> Vec<PortSpec> {
    let mut specs: Vec<PortSpec> = Vec::new();
    for ports in exposed {
        for port in ports.ports.ports() {
            let named = |spec: &PortSpec| {
                spec.protocol == ports.protocol
                    && (spec.container.start..=spec.container.end).contains(&port)
            };
            let taken = given.iter().chain(&specs).any(named);
            if ports.protocol != Protocol::Sctp && !taken {
                specs.push(PortSpec {
                    host_ip: None,
                    host: None,
                    container: PortRange::single(port),
                    protocol: ports.protocol,
                });
            }
        }
    }
    specs
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(text: &str) -> String {
        text.parse::<PortSpec>().unwrap().to_string()
    }

    fn error(text: &str) -> String {
        text.parse::<PortSpec>().unwrap_err().to_string()
    }

    #[test]
    fn every_form_of_docker_is_read() {
        for (text, expected) in [
            ("80", "80/tcp"),
            ("80/", "80/tcp"),
            ("80/UDP", "80/udp"),
            ("8080:80", "8080:80/tcp"),
            (":80", "80/tcp"),
            ("0:80", "80/tcp"),
            ("127.0.0.1:8080:80/udp", "127.0.0.1:8080:80/udp"),
            ("127.0.0.1::80", "127.0.0.1::80/tcp"),
            ("127.0.0.1:0:80", "127.0.0.1::80/tcp"),
            ("0.0.0.0:80:80", "0.0.0.0:80:80/tcp"),
            ("[::1]:80:80", "[::1]:80:80/tcp"),
            ("::1:80:80", "[::1]:80:80/tcp"),
            ("[::]::80", "[::]::80/tcp"),
            ("8000-8005:80-85", "8000-8005:80-85/tcp"),
            ("8000-8005:80", "8000-8005:80/tcp"),
            ("80-85", "80-85/tcp"),
            ("published=8080,target=80,protocol=udp", "8080:80/udp"),
            ("target=80", "80/tcp"),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn errors_are_dockers() {
        for (text, expected) in [
            ("", "no port specified: <empty>"),
            ("8080:", "no port specified: 8080:<empty>"),
            ("x:80", "invalid hostPort: x"),
            ("80:x", "invalid containerPort: x"),
            ("80:70000", "invalid containerPort: 70000"),
            ("80:+8", "invalid containerPort: +8"),
            ("85-80", "invalid containerPort: 85-80"),
            ("localhost:80:80", "invalid IP address: localhost"),
            ("80/icmp", "invalid proto: icmp"),
            (
                "target=80,x",
                "invalid publish opts format (should be name=value but got 'x')",
            ),
            (
                "8000-8001:80-85",
                "invalid ranges specified for container and host Ports: 80-85 and 8000-8001",
            ),
            (
                "80:80/sctp",
                "can't publish 80:80/sctp: tcp and udp are published, sctp is not",
            ),
        ] {
            assert_eq!(error(text), expected, "{text}");
        }
    }

    #[test]
    fn ranges_expand_pairwise_and_a_choice_stays_a_choice() {
        let expanded = |text: &str| -> Vec<String> {
            let spec: PortSpec = text.parse().unwrap();
            spec.expand().iter().map(PortSpec::to_string).collect()
        };
        assert_eq!(expanded("8000-8001:80-81"), ["8000:80/tcp", "8001:81/tcp"]);
        assert_eq!(expanded("8000-8005:80"), ["8000-8005:80/tcp"]);
        assert_eq!(expanded("80-81/udp"), ["80/udp", "81/udp"]);
    }

    #[test]
    fn publish_all_adds_what_no_flag_names() {
        let exposed: Vec<ExposedPorts> = ["80", "443/tcp", "53/udp", "80/tcp", "9/sctp"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let given = ["8443:443".parse().unwrap()];
        let specs = publish_all(&exposed, &given);
        let texts: Vec<String> = specs.iter().map(PortSpec::to_string).collect();
        assert_eq!(texts, ["80/tcp", "53/udp"]);
    }

    proptest! {
        #[test]
        fn canonical_form_parses_back(text in "(\\[?[0-9a-f:.]{0,9}\\]?:)?[0-9]{0,5}(-[0-9]{1,5})?:[0-9]{1,5}(-[0-9]{1,5})?(/(tcp|udp))?") {
            if let Ok(spec) = text.parse::<PortSpec>() {
                prop_assert_eq!(spec.to_string().parse::<PortSpec>().unwrap(), spec);
            }
        }

        #[test]
        fn no_input_panics(text in "\\PC{0,30}") {
            let _ = text.parse::<PortSpec>();
        }
    }
}
