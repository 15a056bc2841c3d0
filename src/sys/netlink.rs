//! rtnetlink(7), as far as networks need it: links, addresses, routes, rules. Speaks to the network namespace of the caller
//! that opened the socket; knows no network of ours.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// A conversation with the kernel. A descriptor stays in the namespace where it was opened.
pub struct Netlink {
    socket: OwnedFd,
}

/// A hardware address.
pub type Mac = [u8; 6];

/// One end of a new pair, in another namespace.
pub struct Peer<'a> {
    pub name: &'a str,
    pub mac: Mac,
    pub namespace: BorrowedFd<'a>,
}

/// A destination and its prefix length.
pub type Destination = (IpAddr, u8);

/// A route to be added.
#[derive(Clone, Copy)]
pub struct Route {
    pub to: Destination,
    pub gateway: Option<IpAddr>,
    pub link: u32,
    pub table: u8,
    /// The destination is this host itself.
    pub local: bool,
    /// Of two ways to one place the lesser counts; None: the kernel's.
    pub metric: Option<u32>,
}

/// The main table of routes.
pub const MAIN_TABLE: u8 = libc::RT_TABLE_MAIN;

const HEADER: usize = 16;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const NESTED: u16 = 1 << 15;
const FRA_FWMARK: u16 = 10;
const FRA_TABLE: u16 = 15;
const FR_ACT_TO_TBL: u8 = 1;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;
const IFA_FLAGS: u16 = 8;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NUD_REACHABLE: u16 = 0x02;

/// A request under construction.
pub(super) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    pub(super) fn new(kind: u16, flags: i32) -> Message {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        let flags = (libc::NLM_F_REQUEST | flags) as u16;
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        Message { bytes }
    }

    /// `struct ifinfomsg`.
    fn link(mut self, family: u8, index: u32, flags: u32) -> Message {
        self.bytes.extend([family, 0, 0, 0]);
        self.bytes.extend(index.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = (value.len() + 4) as u16;
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    pub(super) fn text(&mut self, kind: u16, text: &str) {
        self.attribute(kind, &[text.as_bytes(), &[0]].concat());
    }

    fn number(&mut self, kind: u16, number: u32) {
        self.attribute(kind, &number.to_ne_bytes());
    }

    /// In the order of the network, as netfilter wants its numbers.
    pub(super) fn network_number(&mut self, kind: u16, number: u32) {
        self.attribute(kind, &number.to_be_bytes());
    }

    fn address(&mut self, kind: u16, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.attribute(kind, &ip.octets()),
            IpAddr::V6(ip) => self.attribute(kind, &ip.octets()),
        }
    }

    /// With the flag that newer parts of the kernel want of what holds others.
    pub(super) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Message)) {
        self.nested(kind | NESTED, fill);
    }

    fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Message)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        fill(self);
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    pub(super) fn ask_for_answer(&mut self) {
        let flags = [self.bytes[6], self.bytes[7]];
        let flags = u16::from_ne_bytes(flags) | libc::NLM_F_ACK as u16;
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    }

    pub(super) fn length(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn finished(mut self) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes
    }

    /// What the kernel says of a request that wanted an answer.
    pub(super) fn verdict(answer: &[u8]) -> io::Result<()> {
        let errno = answer.get(HEADER..HEADER + 4);
        let errno = errno.and_then(|bytes| bytes.try_into().ok());
        match errno.map(i32::from_ne_bytes) {
            Some(0) => Ok(()),
            Some(negative) => Err(io::Error::from_raw_os_error(negative.saturating_neg())),
            None => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    }
}

fn family(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

impl Netlink {
    /// In the network namespace of the caller.
    pub fn open() -> io::Result<Netlink> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok(Netlink { socket })
    }

    /// One that is told when the addresses or routes of IPv4 change. Never waits.
    pub fn watch() -> io::Result<Netlink> {
        Netlink::watch_groups(libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV4_ROUTE)
    }

    /// The same for the routes of IPv6.
    pub fn watch_ipv6() -> io::Result<Netlink> {
        Netlink::watch_groups(libc::RTMGRP_IPV6_ROUTE)
    }

    fn watch_groups(groups: i32) -> io::Result<Netlink> {
        let netlink = Netlink::open()?;
        rustix::io::ioctl_fionbio(&netlink.socket, true)?;
        let address = rustix::net::netlink::SocketAddrNetlink::new(0, groups as u32);
        rustix::net::bind(&netlink.socket, &address)?;
        Ok(netlink)
    }

    /// Sends a request that changes something, and waits for the kernel's verdict.
    fn change(&self, message: Message) -> io::Result<()> {
        rustix::net::send(&self.socket, &message.finished(), SendFlags::empty())?;
        let mut buffer = vec![0; 8192];
        let (length, _) = rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::empty())?;
        Message::verdict(&buffer[..length])
    }

    fn create(kind: u16) -> Message {
        Message::new(
            kind,
            libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL,
        )
    }

    /// The number of an interface; `None` if there is none of this name.
    pub fn index(&self, name: &str) -> io::Result<Option<u32>> {
        let socket = super::network::interface_socket()?;
        match rustix::net::netdevice::name_to_index(&socket, name) {
            Ok(index) => Ok(Some(index)),
            Err(rustix::io::Errno::NODEV) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub fn add_bridge(&self, name: &str, mac: Mac, mtu: u32) -> io::Result<()> {
        let mut message = Netlink::create(libc::RTM_NEWLINK).link(0, 0, 0);
        message.text(libc::IFLA_IFNAME, name);
        message.attribute(libc::IFLA_ADDRESS, &mac);
        message.number(libc::IFLA_MTU, mtu);
        message.nested(libc::IFLA_LINKINFO, |info| info.text(INFO_KIND, "bridge"));
        self.change(message)
    }

    /// A pair of connected interfaces: `name` here, below a bridge, and its peer elsewhere. Both are down.
    pub fn add_pair(&self, name: &str, bridge: u32, mtu: u32, peer: &Peer<'_>) -> io::Result<()> {
        let mut message = Netlink::create(libc::RTM_NEWLINK).link(0, 0, 0);
        message.text(libc::IFLA_IFNAME, name);
        message.number(libc::IFLA_MTU, mtu);
        message.number(libc::IFLA_MASTER, bridge);
        message.nested(libc::IFLA_LINKINFO, |info| {
            info.text(INFO_KIND, "veth");
            info.nested(INFO_DATA, |data| {
                data.nested(VETH_INFO_PEER, |other| {
                    other.bytes.extend([0; 16]);
                    other.text(libc::IFLA_IFNAME, peer.name);
                    other.number(libc::IFLA_MTU, mtu);
                    other.attribute(libc::IFLA_ADDRESS, &peer.mac);
                    let namespace = peer.namespace.as_raw_fd() as u32;
                    other.number(libc::IFLA_NET_NS_FD, namespace);
                });
            });
        });
        self.change(message)
    }

    /// Ports of a bridge that are isolated don't hear each other.
    pub fn isolate_port(&self, link: u32) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_SETLINK, libc::NLM_F_ACK);
        message = message.link(libc::AF_BRIDGE as u8, link, 0);
        message.nested(libc::IFLA_PROTINFO | NESTED, |port| {
            port.attribute(IFLA_BRPORT_ISOLATED, &[1]);
        });
        self.change(message)
    }

    pub fn bring_up(&self, link: u32) -> io::Result<()> {
        let message = Message::new(libc::RTM_NEWLINK, libc::NLM_F_ACK);
        self.change(message.link(0, link, libc::IFF_UP as u32))
    }

    pub fn delete_link(&self, link: u32) -> io::Result<()> {
        let message = Message::new(libc::RTM_DELLINK, libc::NLM_F_ACK);
        self.change(message.link(0, link, 0))
    }

    /// Usable at once: nobody else has it, so nobody is asked.
    pub fn add_address(&self, link: u32, ip: IpAddr, prefix: u8) -> io::Result<()> {
        self.give_address(link, ip, prefix, IFA_F_NODAD)
    }

    /// The same without the route to its prefix that the kernel makes.
    pub fn add_address_alone(&self, link: u32, ip: IpAddr, prefix: u8) -> io::Result<()> {
        self.give_address(link, ip, prefix, IFA_F_NODAD | IFA_F_NOPREFIXROUTE)
    }

    fn give_address(&self, link: u32, ip: IpAddr, prefix: u8, flags: u32) -> io::Result<()> {
        let mut message = Netlink::create(libc::RTM_NEWADDR);
        message.bytes.extend([family(ip), prefix, 0, 0]);
        message.bytes.extend(link.to_ne_bytes());
        message.attribute(IFA_FLAGS, &flags.to_ne_bytes());
        message.address(libc::IFA_LOCAL, ip);
        message.address(libc::IFA_ADDRESS, ip);
        if let IpAddr::V4(ip) = ip {
            let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            let last = Ipv4Addr::from_bits(ip.to_bits() | host);
            message.address(libc::IFA_BROADCAST, IpAddr::V4(last));
        }
        self.change(message)
    }

    pub fn add_route(&self, route: &Route) -> io::Result<()> {
        let mut message = Message::new(
            libc::RTM_NEWROUTE,
            libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_REPLACE,
        );
        self.fill_route(&mut message, route);
        self.change(message)
    }

    pub fn delete_route(&self, route: &Route) -> io::Result<()> {
        let mut message = Message::new(libc::RTM_DELROUTE, libc::NLM_F_ACK);
        self.fill_route(&mut message, route);
        self.change(message)
    }

    /// Says who has an address on a link, until the kernel asks for itself. What waits for that is sent at once.
    pub fn add_neighbour(&self, link: u32, ip: IpAddr, mac: Mac) -> io::Result<()> {
        let mut message = Message::new(
            libc::RTM_NEWNEIGH,
            libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_REPLACE,
        );
        message.bytes.extend([family(ip), 0, 0, 0]);
        message.bytes.extend(link.to_ne_bytes());
        message.bytes.extend(NUD_REACHABLE.to_ne_bytes());
        message.bytes.extend([0; 2]);
        message.address(NDA_DST, ip);
        message.attribute(NDA_LLADDR, &mac);
        self.change(message)
    }

    /// `struct rtmsg` and its attributes.
    fn fill_route(&self, message: &mut Message, route: &Route) {
        let (to, prefix) = route.to;
        let (kind, scope) = match (route.local, route.gateway) {
            (true, _) => (libc::RTN_LOCAL, libc::RT_SCOPE_HOST),
            (false, Some(_)) => (libc::RTN_UNICAST, libc::RT_SCOPE_UNIVERSE),
            (false, None) => (libc::RTN_UNICAST, libc::RT_SCOPE_LINK),
        };
        let protocol = libc::RTPROT_STATIC;
        message.bytes.extend([family(to), prefix, 0, 0]);
        message.bytes.extend([route.table, protocol, scope, kind]);
        message.bytes.extend([0; 4]);
        if prefix > 0 {
            message.address(libc::RTA_DST, to);
        }
        if let Some(gateway) = route.gateway {
            message.address(libc::RTA_GATEWAY, gateway);
        }
        message.number(libc::RTA_OIF, route.link);
        if let Some(metric) = route.metric {
            message.number(libc::RTA_PRIORITY, metric);
        }
    }

    /// What carries `mark` is routed by `table`. One that is there already is no error.
    pub fn add_mark_rule(&self, any: IpAddr, mark: u32, table: u8) -> io::Result<()> {
        let mut message = Netlink::create(libc::RTM_NEWRULE);
        message.bytes.extend([family(any), 0, 0, 0]);
        message.bytes.extend([table, 0, 0, FR_ACT_TO_TBL]);
        message.bytes.extend([0; 4]);
        message.number(FRA_FWMARK, mark);
        message.number(FRA_TABLE, table.into());
        match self.change(message) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// The destinations of all routes of the main table.
    pub fn destinations(&self) -> io::Result<Vec<Destination>> {
        let mut found = Vec::new();
        for family in [libc::AF_INET as u8, libc::AF_INET6 as u8] {
            let mut message = Message::new(libc::RTM_GETROUTE, libc::NLM_F_DUMP);
            message.bytes.extend([family]);
            message.bytes.extend([0; 11]);
            rustix::net::send(&self.socket, &message.finished(), SendFlags::empty())?;
            let mut buffer = vec![0; 64 * 1024];
            'dump: loop {
                let (length, _) =
                    rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::empty())?;
                let mut rest = &buffer[..length];
                while let Some((kind, body, next)) = split_message(rest) {
                    match i32::from(kind) {
                        libc::NLMSG_DONE => break 'dump,
                        libc::NLMSG_ERROR => break 'dump,
                        _ => found.extend(destination(body)),
                    }
                    rest = next;
                }
            }
        }
        Ok(found)
    }
}

/// Takes from one that watches what has come. Too much at once is an error, and as good as what was lost by it.
pub fn forget_waiting(watching: BorrowedFd<'_>, buffer: &mut [u8]) {
    const MOST: usize = 4096;
    for _ in 0..MOST {
        let received = rustix::net::recv(watching, &mut *buffer, RecvFlags::DONTWAIT);
        if received == Err(rustix::io::Errno::AGAIN) {
            return;
        }
    }
}

impl From<Netlink> for OwnedFd {
    fn from(netlink: Netlink) -> OwnedFd {
        netlink.socket
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The kind and body of the first message, and what is behind it.
pub(super) fn split_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(bytes.get(0..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(HEADER..length)?;
    let next = length.next_multiple_of(4).min(bytes.len());
    Some((kind, body, &bytes[next..]))
}

/// Of a route of the main table.
fn destination(body: &[u8]) -> Option<Destination> {
    let prefix = *body.get(1)?;
    if *body.get(4)? != libc::RT_TABLE_MAIN {
        return None;
    }
    let mut rest = body.get(12..)?;
    while rest.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes(rest[0..2].try_into().ok()?));
        let kind = u16::from_ne_bytes(rest[2..4].try_into().ok()?);
        let value = rest.get(4..length)?;
        if kind == libc::RTA_DST {
            let ip = match value.len() {
                4 => IpAddr::from(<[u8; 4]>::try_from(value).ok()?),
                _ => IpAddr::from(<[u8; 16]>::try_from(value).ok()?),
            };
            return Some((ip, prefix));
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_loopback_is_number_one_and_others_are_not_there() {
        let netlink = Netlink::open().unwrap();
        assert_eq!(netlink.index("lo").unwrap(), Some(1));
        assert_eq!(netlink.index("no-such-link").unwrap(), None);
        netlink.destinations().unwrap();
    }

    #[test]
    fn attributes_are_padded_and_nested_ones_counted() {
        let mut message = Message::new(1, 0);
        message.nested(7, |inside| inside.text(3, "ab"));
        let bytes = message.finished();
        assert_eq!(bytes.len(), HEADER + 4 + 8);
        assert_eq!(u32::from_ne_bytes(bytes[0..4].try_into().unwrap()), 28);
        assert_eq!(u16::from_ne_bytes(bytes[16..18].try_into().unwrap()), 12);
        assert_eq!(u16::from_ne_bytes(bytes[20..22].try_into().unwrap()), 7);
    }
}
