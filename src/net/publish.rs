//! Finds the host's ports for what `-p` says, and holds them until pasta listens or as long as the container runs. Never parses
//! a flag.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use super::ports::{PortSpec, Protocol};
use crate::sys::network::{self, Transport};

/// A published port: the address and port of the host that lead to a port of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    pub host_ip: IpAddr,
    pub host_port: u16,
    pub container_port: u16,
    pub protocol: Protocol,
}

impl PortMapping {
    pub fn host(&self) -> SocketAddr {
        SocketAddr::new(self.host_ip, self.host_port)
    }
}

/// As `ps` shows it: `0.0.0.0:8080->80/tcp`.
impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port, protocol) = (self.host(), self.container_port, self.protocol);
        write!(f, "{host}->{port}/{protocol}")
    }
}

/// Messages are docker's.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(
        "driver failed programming external connectivity: Bind for {address} failed: port is already allocated"
    )]
    InUse { address: SocketAddr },
    #[error(
        "driver failed programming external connectivity: Bind for {address} failed: ports below {first} are kept for root on this host"
    )]
    Privileged { address: SocketAddr, first: u16 },
    #[error(
        "driver failed programming external connectivity: Bind for {address} failed: the host has no such address"
    )]
    NoSuchAddress { address: SocketAddr },
    #[error(
        "driver failed programming external connectivity: all ports of {spec} are already allocated"
    )]
    RangeInUse { spec: PortSpec },
    #[error("driver failed programming external connectivity: Bind for {address} failed: {source}")]
    Bind {
        address: SocketAddr,
        source: io::Error,
    },
}

impl PublishError {
    /// The address that somebody else has.
    pub fn taken(&self) -> Option<SocketAddr> {
        match self {
            PublishError::InUse { address } => Some(*address),
            _ => None,
        }
    }

    /// What to type next, one line each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            PublishError::InUse { .. } => vec![
                "or let bryo choose a free port: leave out the host's port, as in -p 80".to_owned(),
            ],
            PublishError::Privileged { address, .. } => vec![
                format!(
                    "use a port of 1024 or above, as in -p {}:80",
                    8000 + address.port()
                ),
                format!(
                    "or allow it for every user: sudo sysctl net.ipv4.ip_unprivileged_port_start={}",
                    address.port()
                ),
            ],
            PublishError::NoSuchAddress { .. } => {
                vec!["see the host's addresses: ip -brief address".to_owned()]
            }
            PublishError::RangeInUse { .. } => vec!["give a wider range of host ports".to_owned()],
            PublishError::Bind { .. } => Vec::new(),
        }
    }
}

/// Keeps a port from being taken by somebody else until pasta is about to bind it, or is what listens there.
#[derive(Debug)]
enum Held {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

/// Ports that were free and are held. Dropping gives them back; `release` does so right before pasta starts.
#[derive(Debug)]
pub struct ClaimedPorts {
    mappings: Vec<PortMapping>,
    /// What each is for.
    specs: Vec<PortSpec>,
    held: Vec<Held>,
}

impl ClaimedPorts {
    pub fn mappings(&self) -> &[PortMapping] {
        &self.mappings
    }

    /// With the sockets themselves, which listen.
    pub fn keep(self) -> Vec<Kept> {
        let sockets = self.held.into_iter().map(|held| match held {
            Held::Tcp(socket) => socket.into(),
            Held::Udp(socket) => socket.into(),
        });
        let ports = self.specs.into_iter().zip(self.mappings);
        let kept = ports.zip(sockets).map(|((spec, mapping), socket)| Kept {
            spec,
            mapping,
            socket,
        });
        kept.collect()
    }

    /// Closes the sockets. pasta must bind next; if somebody else was faster, its failure is explained the same way.
    pub fn release(self) -> Vec<PortMapping> {
        drop(self.held);
        self.mappings
    }
}

/// A port that is published as long as its socket lives.
#[derive(Debug)]
pub struct Kept {
    /// What was asked for, of one port; it may have several mappings.
    pub spec: PortSpec,
    pub mapping: PortMapping,
    pub socket: OwnedFd,
}

/// What `-p` means where it names no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Everywhere {
    /// The container has IPv4 alone: where `localhost` is `[::1]` first, `curl` would get an empty reply instead of falling back to
    /// 127.0.0.1.
    Ipv4,
    /// As docker has it, on one port; IPv4 alone on a host without IPv6.
    Both,
}

/// Ports of the host's that were chosen for IPv4 and taken in IPv6: so many are tried.
const ATTEMPTS: usize = 32;

/// Chooses a host port for each spec (all ranges expanded) and holds it. Must run in the host's network namespace.
pub fn claim(specs: &[PortSpec], everywhere: Everywhere) -> Result<ClaimedPorts, PublishError> {
    let mut claimed = ClaimedPorts {
        mappings: Vec::new(),
        specs: Vec::new(),
        held: Vec::new(),
    };
    let expanded: Vec<PortSpec> = specs.iter().flat_map(PortSpec::expand).collect();
    // Fixed ports first, so that a chosen one never takes what a later flag names.
    let (fixed, chosen): (Vec<_>, Vec<_>) = expanded
        .iter()
        .partition(|spec| spec.host.is_some_and(|range| range.is_single()));
    for spec in fixed.into_iter().chain(chosen) {
        for (mapping, held) in claim_one(spec, everywhere)? {
            claimed.mappings.push(mapping);
            claimed.specs.push(spec.clone());
            claimed.held.push(held);
        }
    }
    Ok(claimed)
}

type Claims = Vec<(PortMapping, Held)>;

fn claim_one(spec: &PortSpec, everywhere: Everywhere) -> Result<Claims, PublishError> {
    let claim = |port| match (spec.host_ip, everywhere) {
        (Some(ip), _) => Ok(vec![bind(spec, SocketAddr::new(ip, port))?]),
        (None, Everywhere::Ipv4) => Ok(vec![bind(spec, (Ipv4Addr::UNSPECIFIED, port).into())?]),
        (None, Everywhere::Both) => bind_both(spec, port),
    };
    let Some(range) = spec.host else {
        let taken = |claimed: &Result<Claims, PublishError>| {
            matches!(claimed, Err(PublishError::InUse { .. }))
        };
        let mut attempts = (1..ATTEMPTS).map(|_| claim(0));
        return attempts
            .find(|claimed| !taken(claimed))
            .unwrap_or_else(|| claim(0));
    };
    for port in range.ports() {
        match claim(port) {
            Err(PublishError::InUse { .. }) if !range.is_single() => {}
            result => return result,
        }
    }
    Err(PublishError::RangeInUse { spec: spec.clone() })
}

/// One port of both families.
fn bind_both(spec: &PortSpec, port: u16) -> Result<Claims, PublishError> {
    let first = bind(spec, (Ipv4Addr::UNSPECIFIED, port).into())?;
    let port = first.0.host_port;
    match bind(spec, (Ipv6Addr::UNSPECIFIED, port).into()) {
        Ok(second) => Ok(vec![first, second]),
        Err(error @ PublishError::InUse { .. }) => Err(error),
        // The host has no IPv6.
        Err(_) => Ok(vec![first]),
    }
}

fn bind(spec: &PortSpec, address: SocketAddr) -> Result<(PortMapping, Held), PublishError> {
    let held = match spec.protocol {
        Protocol::Tcp => network::bound(Transport::Tcp, address).and_then(|socket| {
            let socket = TcpListener::from(socket);
            Ok((socket.local_addr()?, Held::Tcp(socket)))
        }),
        // A parsed PortSpec is never sctp.
        Protocol::Udp | Protocol::Sctp => {
            network::bound(Transport::Udp, address).and_then(|socket| {
                let socket = UdpSocket::from(socket);
                Ok((socket.local_addr()?, Held::Udp(socket)))
            })
        }
    };
    let (bound, held) = held.map_err(|source| explain(address, source))?;
    let mapping = PortMapping {
        host_ip: address.ip(),
        host_port: bound.port(),
        container_port: spec.container.start(),
        protocol: spec.protocol,
    };
    Ok((mapping, held))
}

/// Why a port could not be bound.
pub fn explain(address: SocketAddr, source: io::Error) -> PublishError {
    match source.kind() {
        io::ErrorKind::AddrInUse => PublishError::InUse { address },
        io::ErrorKind::AddrNotAvailable => PublishError::NoSuchAddress { address },
        io::ErrorKind::PermissionDenied => PublishError::Privileged {
            address,
            first: first_unprivileged_port(),
        },
        _ => PublishError::Bind { address, source },
    }
}

/// The first port that an ordinary user may listen on.
pub fn first_unprivileged_port() -> u16 {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1024)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn spec(text: &str) -> PortSpec {
        text.parse().unwrap()
    }

    #[test]
    fn free_port_is_chosen_and_held() {
        let claimed = claim(&[spec("127.0.0.1::80")], Everywhere::Ipv4).unwrap();
        let mapping = &claimed.mappings()[0];
        assert_ne!(mapping.host_port, 0);
        let again = claim(
            &[spec(&format!("127.0.0.1:{}:80", mapping.host_port))],
            Everywhere::Ipv4,
        );
        let message = again.unwrap_err().to_string();
        assert_eq!(
            message,
            format!(
                "driver failed programming external connectivity: Bind for {} failed: port is already allocated",
                mapping.host()
            )
        );
        let mapping = claimed.release().remove(0);
        claim(
            &[spec(&format!("127.0.0.1:{}:80", mapping.host_port))],
            Everywhere::Ipv4,
        )
        .unwrap();
    }

    #[test]
    fn first_free_port_of_a_range_is_taken() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let Some(next) = port.checked_add(20) else {
            return;
        };
        let claimed = claim(
            &[spec(&format!("127.0.0.1:{port}-{next}:80"))],
            Everywhere::Ipv4,
        )
        .unwrap();
        assert!(claimed.mappings()[0].host_port > port);
        let only = spec(&format!("127.0.0.1:{port}-{port}:80"));
        assert!(matches!(
            claim(&[only], Everywhere::Ipv4),
            Err(PublishError::InUse { .. })
        ));
    }

    #[test]
    fn address_of_another_host_is_refused() {
        let error = claim(&[spec("203.0.113.7::80")], Everywhere::Ipv4).unwrap_err();
        assert!(
            matches!(error, PublishError::NoSuchAddress { .. }),
            "{error}"
        );
    }

    #[test]
    fn without_an_address_both_families_have_one_port() {
        if TcpListener::bind("[::1]:0").is_err() {
            return;
        }
        for protocol in ["tcp", "udp"] {
            let spec = spec(&format!("80/{protocol}"));
            let claimed = claim(std::slice::from_ref(&spec), Everywhere::Both).unwrap();
            let [first, second] = claimed.mappings() else {
                panic!("{claimed:?}");
            };
            assert!(first.host_ip.is_ipv4() && second.host_ip.is_ipv6());
            assert_eq!(first.host_port, second.host_port);
            let again = format!("[::]:{}:80/{protocol}", first.host_port);
            let again = claim(&[again.parse().unwrap()], Everywhere::Both);
            assert!(matches!(again, Err(PublishError::InUse { .. })));
        }
    }

    #[test]
    fn mapping_reads_as_in_ps() {
        let mapping = PortMapping {
            host_ip: "::".parse().unwrap(),
            host_port: 8080,
            container_port: 80,
            protocol: Protocol::Tcp,
        };
        assert_eq!(mapping.to_string(), "[::]:8080->80/tcp");
    }
}
