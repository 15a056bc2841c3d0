//! What a monitor and the inner half of `bryo net` say to each other, and what that half asks of the outer one. A message a
//! packet, JSON; a monitor's connection is its lease: what was attached through it goes when it closes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::egress::Egress;
use super::hosted::HostPort;
use super::publish::PortMapping;
use super::record::NetworkConfig;
use super::start::StartError;
use crate::sys::namespace;
use crate::sys::socket::{self, MESSAGE_MAX, Received};

/// From a monitor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ToInner {
    /// With the asker's user namespace: `Done`, or `Failed` where it is another, and then this `bryo net` is of no use to anybody.
    Hello,
    /// The first words of a monitor, with its user namespace and the container's network namespace. `Welcome`, with the shared
    /// one, or `Failed` as above.
    Join(Member),
    /// Addresses that other containers have, with their networks' ids: their monitors may not have come back yet. `Done`.
    Expect(Vec<(String, IpAddr)>),
    /// `Attached` or `Failed`.
    Attach(Box<Attach>),
    /// By its id. `Left`.
    Detach { network: String },
    /// What the container is called from now on. `Renamed`.
    Rename(String),
    /// With a socket of the host's that listens. `Done`.
    Publish(PortMapping),
    /// It is published no more; what came by it goes on. `Done`. Since 1.
    Unpublish(PortMapping),
    /// Makes a place anew, with the addresses it has, and loads the common rules again. `Attached` or `Failed`. Since 2.
    Reload(Box<Attach>),
    /// What it may reach from now on. `Done` or `Failed`. Since 4.
    Limit(Option<Egress>),
    /// From anybody: the record of a network of this name says something else of what its containers reach. `Limited` or `Failed`. Since 4.
    LimitNetwork(String),
}

/// To a monitor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum FromInner {
    Welcome {
        /// `Expect` is to follow.
        is_fresh: bool,
        /// What it understands (`VERSION`).
        #[serde(default)]
        version: u32,
        #[serde(default)]
        way: Way,
    },
    /// No answer, and once, to members of whose way out that was not known when they came: it is known now. Since 3.
    Way(Way),
    /// No answer: the container has tried to reach what it may not.
    Refused(Refusal),
    Attached(Box<Endpoint>),
    /// The places that are left, and which of them leads out now.
    Left(Vec<Endpoint>),
    /// All places, with their new names.
    Renamed(Vec<Endpoint>),
    /// The ids of all containers that are in the network.
    Limited(Vec<String>),
    Done,
    Failed {
        message: String,
    },
}

/// Of what a `bryo net` understands. 1: egress, ports of the host's loopback, ports that go. 2: networks' own name servers and
/// routes, places that are made anew. 3: it says when the way out is there. 4: limits that change.
pub const VERSION: u32 = 4;

/// Whoever understands this takes other limits.
pub const VERSION_OF_LIMITS: u32 = 4;

/// Whoever understands this is told of the way out.
pub(super) const VERSION_OF_WAYS: u32 = 3;

/// The way out of all networks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    /// Who has to know waits for the lock of `bryo net`: an older one does not say.
    #[default]
    Untold,
    /// It is being made, and what is sent there now is refused.
    Coming,
    /// It is being made, and what is sent there waits for it.
    Held,
    Open,
    /// There is none, and the end of `bryo net` follows.
    Shut(StartError),
}

impl Way {
    pub fn is_pending(&self) -> bool {
        matches!(self, Way::Coming | Way::Held)
    }
}

/// Something that a container may not reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    Packet {
        /// With the port, if it is of a protocol that has ports.
        destination: String,
        protocol: String,
    },
    /// A name, or one that a name stands for.
    Name(String),
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its full id.
    pub id: String,
    pub name: String,
    pub hostname: String,
    /// Name servers to ask instead of the host's (`--dns`).
    pub servers: Vec<IpAddr>,
    /// What it is limited to; None: it is not.
    #[serde(default)]
    pub egress: Option<Egress>,
    /// Ports of the host's loopback that are open to it.
    #[serde(default)]
    pub host_ports: Vec<HostPort>,
    /// What its monitor understands (`VERSION`).
    #[serde(default)]
    pub understands: u32,
}

impl Member {
    /// What the other half has to understand for it.
    pub fn version(&self) -> u32 {
        u32::from(self.egress.is_some() || !self.host_ports.is_empty())
    }
}

/// How a container is to be connected with a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    pub network: NetworkConfig,
    /// Its name in the container.
    pub interface: String,
    pub ipv4: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
    pub mac: Option<[u8; 6]>,
    /// More addresses of the interface (`--link-local-ip`).
    pub more: Vec<IpAddr>,
    /// Names beside its own and the beginning of its id.
    pub aliases: Vec<String>,
    /// Other containers, and what this one calls them.
    pub links: Vec<(String, String)>,
    /// The way to everything else.
    pub is_default: bool,
    /// The same of IPv6 alone: the network of the other has none.
    #[serde(default)]
    pub is_default_ipv6: bool,
}

/// A container's place in a network; also what its `endpoints.json` has of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub network: String,
    pub network_id: String,
    /// 64 hex digits, another at every start.
    pub id: String,
    pub interface: String,
    pub mac: String,
    pub addresses: Vec<Address>,
    /// Every name that others reach it by.
    pub names: Vec<String>,
    /// Those of them that were asked for.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Whether its default route leads here.
    pub is_default: bool,
    /// Or that of IPv6 alone.
    #[serde(default)]
    pub is_default_ipv6: bool,
    /// Nobody is known by name there.
    #[serde(default)]
    pub nameless: bool,
}

impl Endpoint {
    /// Whether what the container sends to an address like this one, wherever it is, comes here.
    pub fn is_way_to(&self, like: IpAddr) -> bool {
        self.is_default || (self.is_default_ipv6 && like.is_ipv6())
    }

    /// Whether there is a way out of the network.
    pub fn leads_out(&self) -> bool {
        self.addresses
            .iter()
            .any(|address| address.gateway.is_some())
    }

    pub fn leads_out_ipv6(&self) -> bool {
        self.ipv6().is_some_and(|address| address.gateway.is_some())
    }
}

/// An address of an endpoint, how long its network's prefix is, and its gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    pub ip: IpAddr,
    pub prefix: u8,
    /// None: nothing leads out of the network.
    pub gateway: Option<IpAddr>,
}

impl Endpoint {
    pub fn ipv4(&self) -> Option<Address> {
        let mut addresses = self.addresses.iter().copied();
        addresses.find(|address| address.ip.is_ipv4())
    }

    pub fn ipv6(&self) -> Option<Address> {
        let mut addresses = self.addresses.iter().copied();
        addresses.find(|address| address.ip.is_ipv6())
    }
}

/// Sockets in the host's network namespace, one a request: what the inner half asks the outer one for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostSocket {
    Udp4,
    Udp6,
    Tcp4,
    Tcp6,
}

const HOST_SOCKETS: [(u8, HostSocket); 4] = [
    (b'u', HostSocket::Udp4),
    (b'U', HostSocket::Udp6),
    (b't', HostSocket::Tcp4),
    (b'T', HostSocket::Tcp6),
];

impl HostSocket {
    pub fn word(self) -> u8 {
        let found = HOST_SOCKETS.iter().find(|(_, kind)| *kind == self);
        found.expect("all kinds are listed").0
    }

    pub fn of(word: u8) -> Option<HostSocket> {
        let found = HOST_SOCKETS.iter().find(|(known, _)| *known == word);
        found.map(|(_, kind)| *kind)
    }

    pub fn towards(ip: IpAddr, stream: bool) -> HostSocket {
        match (ip, stream) {
            (IpAddr::V4(_), false) => HostSocket::Udp4,
            (IpAddr::V6(_), false) => HostSocket::Udp6,
            (IpAddr::V4(_), true) => HostSocket::Tcp4,
            (IpAddr::V6(_), true) => HostSocket::Tcp6,
        }
    }
}

/// One of the host's; the outer half is at hand.
pub(super) fn host_socket(outer: &OwnedFd, kind: HostSocket) -> io::Result<OwnedFd> {
    socket::send(outer.as_fd(), &[&[kind.word()]], &[])?;
    match socket::receive(outer.as_fd(), &mut [0; 8])? {
        Received::Message(_, mut fds) => fds
            .pop()
            .ok_or_else(|| io::ErrorKind::AddrNotAvailable.into()),
        Received::Closed | Received::Empty => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A monitor's end of its lease.
pub struct Lease {
    socket: OwnedFd,
    /// The shared namespace, which outlives `bryo net` as long as somebody has it.
    pub shared: OwnedFd,
    /// `Expect` is to follow.
    pub is_fresh: bool,
    /// What the other end understands.
    pub version: u32,
    /// What it has said last of the way out.
    pub way: Way,
    /// What came between an answer and the next.
    refusals: Vec<Refusal>,
    /// Answers that nobody waits for any more: they are not those of the next question.
    owed: u32,
    buffer: Vec<u8>,
}

/// Nobody waits longer for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

impl Lease {
    pub fn join(path: &Path, member: &Member, container: BorrowedFd<'_>) -> io::Result<Lease> {
        let socket = socket::connect(path)?;
        socket::limit_waiting(socket.as_fd(), PATIENCE)?;
        let own = namespace::open_own("user")?;
        let fds = [own.as_fd(), container];
        send(socket.as_fd(), &ToInner::Join(member.clone()), &fds)?;
        let mut buffer = vec![0; MESSAGE_MAX];
        let Some((welcome, mut fds)) = receive(socket.as_fd(), &mut buffer)? else {
            return Err(io::ErrorKind::TimedOut.into());
        };
        match (welcome, fds.pop()) {
            (
                FromInner::Welcome {
                    is_fresh,
                    version,
                    way,
                },
                Some(shared),
            ) => Ok(Lease {
                socket,
                shared,
                is_fresh,
                version,
                way,
                refusals: Vec::new(),
                owed: 0,
                buffer,
            }),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Returns when all that was taken through it is free.
    pub fn end(self) {
        let mut buffer = self.buffer;
        let _ = socket::end_sending(self.socket.as_fd());
        while let Ok(Some(_)) = receive::<FromInner>(self.socket.as_fd(), &mut buffer) {}
    }

    /// Says something and waits for the answer.
    pub fn ask(&mut self, message: &ToInner, fds: &[BorrowedFd<'_>]) -> io::Result<FromInner> {
        send(self.socket.as_fd(), message, fds)?;
        loop {
            let Some((answer, _)) = receive(self.socket.as_fd(), &mut self.buffer)? else {
                self.owed += 1;
                return Err(io::ErrorKind::TimedOut.into());
            };
            if let Some(answer) = self.note(answer) {
                return Ok(answer);
            }
        }
    }

    /// Waits until it is known what has become of the way out.
    pub fn settle(&mut self) -> io::Result<()> {
        while self.way.is_pending() {
            self.hear()?;
        }
        Ok(())
    }

    /// Keeps what is said of its own accord, and passes over what nobody waits for any more; gives all else.
    fn note(&mut self, said: FromInner) -> Option<FromInner> {
        match said {
            FromInner::Refused(refusal) => self.refusals.push(refusal),
            FromInner::Way(way) => self.way = way,
            _ if self.owed > 0 => self.owed -= 1,
            answer => return Some(answer),
        }
        None
    }

    /// One message that was not asked for, if one comes in time.
    fn hear(&mut self) -> io::Result<()> {
        let heard = receive(self.socket.as_fd(), &mut self.buffer)?;
        match heard.and_then(|(said, _)| self.note(said)) {
            Some(_) => Err(io::ErrorKind::InvalidData.into()),
            None => Ok(()),
        }
    }

    /// What it says of its own accord; an error is its end. `waits`: there is something to read.
    pub fn refusals(&mut self, waits: bool) -> io::Result<Vec<Refusal>> {
        if waits {
            self.hear()?;
        }
        Ok(std::mem::take(&mut self.refusals))
    }
}

/// Says from outside of the home namespace that the record of a network limits its containers otherwise now. What the other half answers; an error
/// says that there is none, or that it has ended or is too old to understand this.
pub fn limit_network(path: &Path, name: &str) -> io::Result<Result<Vec<String>, String>> {
    let socket = socket::connect(path)?;
    socket::limit_waiting(socket.as_fd(), PATIENCE)?;
    let message = ToInner::LimitNetwork(name.to_owned());
    send(socket.as_fd(), &message, &[])?;
    let mut buffer = vec![0; MESSAGE_MAX];
    match receive(socket.as_fd(), &mut buffer)? {
        Some((FromInner::Limited(ids), _)) => Ok(Ok(ids)),
        Some((FromInner::Failed { message }, _)) => Ok(Err(message)),
        Some(_) => Err(io::ErrorKind::InvalidData.into()),
        None => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Reads when `bryo net` has ended, or says something of its own accord.
impl AsFd for Lease {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Sends a message. `Ok(false)` if a socket that does not block has no room.
pub fn send<T: Serialize>(
    socket: BorrowedFd<'_>,
    message: &T,
    fds: &[BorrowedFd<'_>],
) -> io::Result<bool> {
    let text = serde_json::to_vec(message)?;
    socket::send(socket, &[&text], fds)
}

/// A message of a socket that does not block: `None` if nothing waits. An end is an error.
pub fn receive<T: DeserializeOwned>(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    match socket::receive(socket.as_fd(), buffer)? {
        Received::Message(length, fds) => {
            Ok(Some((serde_json::from_slice(&buffer[..length])?, fds)))
        }
        Received::Empty => Ok(None),
        Received::Closed => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
