//! Published ports of one container, from inside: what comes to a socket of the host's goes on to the container, with the
//! client's address where that can be one in the shared namespace, else with the gateway's.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::ports::Protocol;
use super::publish::PortMapping;
use super::relay::Relays;
use super::wire::{Address, Endpoint};
use crate::sys::network::{self, Own, Transport};
use crate::sys::timer::Moment;

/// After so long without a datagram a client is forgotten.
const IDLE: Duration = Duration::from_secs(60);

/// So many clients of one port at once: of more, the one that has been silent longest is forgotten.
const FLOWS: usize = 1024;

/// How many are taken in one turn, so that nobody else waits for long.
const TURN: usize = 32;

/// A socket of the host's that leads to a port of the container.
pub struct Published {
    mapping: PortMapping,
    socket: OwnedFd,
    flows: HashMap<Client, Flow>,
}

/// Who sends datagrams, and to which of the host's addresses: the answers have to come from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    from: SocketAddr,
    own: Option<Own>,
}

/// A client that sends datagrams.
struct Flow {
    socket: OwnedFd,
    last: Moment,
}

impl Published {
    pub fn new(mapping: PortMapping, socket: OwnedFd) -> io::Result<Published> {
        crate::sys::socket::set_nonblocking(socket.as_fd())?;
        if mapping.protocol == Protocol::Udp {
            network::ask_for_own(socket.as_fd(), mapping.host_ip)?;
        }
        Ok(Published {
            mapping,
            socket,
            flows: HashMap::new(),
        })
    }

    pub fn mapping(&self) -> &PortMapping {
        &self.mapping
    }

    /// The host's, and those to the container on behalf of clients.
    pub fn sources(&self) -> impl Iterator<Item = (Option<Client>, BorrowedFd<'_>)> {
        let flows = self.flows.iter();
        let flows = flows.map(|(client, flow)| (Some(*client), flow.socket.as_fd()));
        std::iter::once((None, self.socket.as_fd())).chain(flows)
    }

    /// What has come from outside.
    pub fn take(&mut self, endpoints: &[Endpoint], relays: &mut Relays, buffer: &mut [u8]) {
        for _ in 0..TURN {
            let more = match self.mapping.protocol {
                Protocol::Tcp => self.accept(endpoints, relays),
                Protocol::Udp | Protocol::Sctp => self.receive(endpoints, buffer),
            };
            // One that could not be served is gone; the next may be.
            if let Ok(false) = more {
                return;
            }
        }
    }

    fn accept(&mut self, endpoints: &[Endpoint], relays: &mut Relays) -> io::Result<bool> {
        let Some((client, from)) = network::accept(self.socket.as_fd())? else {
            return Ok(false);
        };
        let port = self.mapping.container_port;
        let server = towards(endpoints, Transport::Tcp, from, port)?;
        relays.add(client, server)?;
        Ok(true)
    }

    fn receive(&mut self, endpoints: &[Endpoint], buffer: &mut [u8]) -> io::Result<bool> {
        let Some((length, from, own)) = network::receive_at(self.socket.as_fd(), buffer)? else {
            return Ok(false);
        };
        let sender = Client { from, own };
        if !self.flows.contains_key(&sender) {
            self.make_room();
            let client = SocketAddr::new(from.ip().to_canonical(), from.port());
            let port = self.mapping.container_port;
            let socket = towards(endpoints, Transport::Udp, client, port)?;
            let last = Moment::now();
            self.flows.insert(sender, Flow { socket, last });
        }
        if let Some(flow) = self.flows.get_mut(&sender) {
            flow.last = Moment::now();
            network::send(flow.socket.as_fd(), &buffer[..length]);
        }
        Ok(true)
    }

    fn make_room(&mut self) {
        self.flows.retain(|_, flow| flow.last.elapsed() < IDLE);
        if self.flows.len() >= FLOWS {
            let oldest = self.flows.iter().min_by_key(|(_, flow)| flow.last);
            if let Some(oldest) = oldest.map(|(client, _)| *client) {
                self.flows.remove(&oldest);
            }
        }
    }

    /// What the container answers to a client.
    pub fn answer(&mut self, client: Client, buffer: &mut [u8]) {
        let Some(flow) = self.flows.get_mut(&client) else {
            return;
        };
        for _ in 0..TURN {
            match network::receive_from(flow.socket.as_fd(), buffer) {
                Ok(Some((length, _))) => {
                    flow.last = Moment::now();
                    let (socket, bytes) = (self.socket.as_fd(), &buffer[..length]);
                    match client.own {
                        Some(own) => network::send_from(socket, bytes, client.from, own),
                        None => network::send_to(socket, bytes, client.from),
                    }
                }
                Ok(None) => return,
                // Nobody listens in the container: said once to the socket, and the client hears nothing, as from a firewall.
                Err(_) => return,
            }
        }
    }
}

/// A socket on its way to the container, from the client's own address.
fn towards(
    endpoints: &[Endpoint],
    transport: Transport,
    client: SocketAddr,
    port: u16,
) -> io::Result<OwnedFd> {
    let place = place(endpoints, client.ip());
    let place = place.ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?;
    let own = match (source(&place, client.ip()), place.address.gateway) {
        (Some(ip), _) => SocketAddr::new(ip, client.port()),
        (None, Some(gateway)) => SocketAddr::new(gateway, 0),
        (None, None) => SocketAddr::new(network::unspecified(place.address.ip), 0),
    };
    // Its port may be in use there: by a connection of the same client that is not quite over.
    let socket = network::transparent(transport, own)
        .or_else(|_| network::transparent(transport, SocketAddr::new(own.ip(), 0)))?;
    network::connect(socket.as_fd(), SocketAddr::new(place.address.ip, port))?;
    Ok(socket)
}

/// One of the container's addresses.
#[derive(Clone, Copy)]
struct Place {
    address: Address,
    /// Its answers to everybody go this way.
    is_default: bool,
}

/// Where the container is reached: of the client's family if it has an address of that, on the network that its default
/// route leads to if there is one.
fn place(endpoints: &[Endpoint], client: IpAddr) -> Option<Place> {
    let mut sorted: Vec<&Endpoint> = endpoints.iter().collect();
    sorted.sort_by_key(|endpoint| !endpoint.is_way_to(client));
    let places = || {
        sorted.iter().flat_map(move |endpoint| {
            let is_default = endpoint.is_way_to(client);
            let addresses = endpoint.addresses.iter().copied();
            addresses.map(move |address| Place {
                address,
                is_default,
            })
        })
    };
    let of_family = places().find(|place| place.address.ip.is_ipv4() == client.is_ipv4());
    of_family.or_else(|| places().next())
}

/// The client's address, where the container's answers to it come back through the gateway.
fn source(place: &Place, client: IpAddr) -> Option<IpAddr> {
    let Address {
        ip,
        prefix,
        gateway,
    } = place.address;
    let own = super::subnet::Subnet::around(ip, prefix)?;
    let foreign = client.is_ipv4() == ip.is_ipv4()
        && !client.is_loopback()
        && !client.is_unspecified()
        && !own.contains(client)
        && place.is_default
        && gateway.is_some();
    foreign.then_some(client)
}

/// Of clients that come from elsewhere to an address of the host's, be it one that stands for all: whom the container takes them for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appearance {
    Themselves,
    /// What is behind it has one address, where that is known.
    Gateway(Option<IpAddr>),
}

impl Appearance {
    pub fn of_clients(endpoints: &[Endpoint], host: IpAddr) -> Appearance {
        // No container has these (RFC 5737, RFC 3849).
        let elsewhere: IpAddr = match host {
            IpAddr::V4(_) => Ipv4Addr::new(203, 0, 113, 1).into(),
            IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1).into(),
        };
        let Some(place) = place(endpoints, elsewhere) else {
            return Appearance::Gateway(None);
        };
        match source(&place, elsewhere) {
            Some(_) => Appearance::Themselves,
            None => Appearance::Gateway(place.address.gateway),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn place(gateway: Option<&str>, is_default: bool) -> Place {
        Place {
            address: Address {
                ip: "10.9.0.2".parse().unwrap(),
                prefix: 24,
                gateway: gateway.map(|ip| ip.parse().unwrap()),
            },
            is_default,
        }
    }

    #[test]
    fn only_addresses_that_answers_come_back_from_are_kept() {
        let common = place(Some("10.9.0.1"), true);
        let kept = |client: &str| source(&common, client.parse().unwrap()).is_some();
        assert!(kept("203.0.113.7"));
        for lost in ["127.0.0.1", "::1", "2001:db8::1", "10.9.0.9"] {
            assert!(!kept(lost), "{lost}");
        }
        let foreign = "203.0.113.7".parse().unwrap();
        let internal = place(None, true);
        assert!(source(&internal, foreign).is_none());
        let aside = place(Some("10.9.0.1"), false);
        assert!(source(&aside, foreign).is_none());
    }
}
