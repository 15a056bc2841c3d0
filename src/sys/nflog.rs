//! nfnetlink_log: packets that a rule of nf_tables reports to a group. Reads headers of packets, which are hostile input; knows
//! no rule.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use super::netlink::{Message, split_message};

// linux/netfilter/nfnetlink_log.h.
const SUBSYSTEM: u16 = 4;
const PACKET: u16 = SUBSYSTEM << 8;
const CONFIG: u16 = SUBSYSTEM << 8 | 1;
const CONFIG_COMMAND: u16 = 1;
const CONFIG_MODE: u16 = 2;
const CONFIG_THRESHOLD: u16 = 5;
const COMMAND_BIND: u8 = 1;
const COPY_PACKET: u8 = 2;
const PACKET_MARK: u16 = 2;
const PACKET_PAYLOAD: u16 = 9;

/// So much of each packet is copied: the headers.
const HEADERS: u32 = 64;

/// Where a packet was to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub mark: u32,
    pub to: IpAddr,
    /// Of IP: 6 is TCP.
    pub protocol: u8,
    /// Of TCP and UDP.
    pub port: Option<u16>,
}

/// Of the network namespace it was opened in.
pub struct PacketLog {
    socket: OwnedFd,
}

impl PacketLog {
    pub fn open(group: u16) -> io::Result<PacketLog> {
        let flags = SocketFlags::CLOEXEC;
        let family = rustix::net::AddressFamily::NETLINK;
        let protocol = Some(netlink::NETFILTER);
        let socket = rustix::net::socket_with(family, SocketType::RAW, flags, protocol)?;
        let log = PacketLog { socket };
        log.configure(group, CONFIG_COMMAND, &[COMMAND_BIND])?;
        let [a, b, c, d] = HEADERS.to_be_bytes();
        log.configure(group, CONFIG_MODE, &[a, b, c, d, COPY_PACKET, 0])?;
        // At once, not by the hundred.
        log.configure(group, CONFIG_THRESHOLD, &1u32.to_be_bytes())?;
        rustix::io::ioctl_fionbio(&log.socket, true)?;
        Ok(log)
    }

    fn configure(&self, group: u16, kind: u16, value: &[u8]) -> io::Result<()> {
        let mut message = Message::new(CONFIG, libc::NLM_F_ACK);
        let [high, low] = group.to_be_bytes();
        message.raw(&[libc::AF_UNSPEC as u8, 0, high, low]);
        message.attribute(kind, value);
        rustix::net::send(&self.socket, &message.finished(), SendFlags::empty())?;
        let mut buffer = [0; 1024];
        let (length, _) = rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::empty())?;
        Message::verdict(&buffer[..length])
    }

    /// What has been reported since; what there was no room for is lost.
    pub fn take(&self, buffer: &mut [u8]) -> Vec<Seen> {
        match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((length, _)) => packets(&buffer[..length]),
            Err(_) => Vec::new(),
        }
    }
}

impl AsFd for PacketLog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn packets(mut bytes: &[u8]) -> Vec<Seen> {
    let mut found = Vec::new();
    while let Some((kind, body, rest)) = split_message(bytes) {
        if kind == PACKET {
            found.extend(packet(body));
        }
        bytes = rest;
    }
    found
}

fn packet(body: &[u8]) -> Option<Seen> {
    let (mut mark, mut seen) = (0, None);
    let mut rest = body.get(4..)?;
    while let Some(head) = rest.get(..4) {
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let value = rest.get(4..length)?;
        match u16::from_ne_bytes([head[2], head[3]]) {
            PACKET_MARK => mark = u32::from_be_bytes(value.try_into().ok()?),
            PACKET_PAYLOAD => seen = destination(value),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    let (to, protocol, port) = seen?;
    Some(Seen {
        mark,
        to,
        protocol,
        port,
    })
}

/// Of a packet of IP, whatever its version.
fn destination(packet: &[u8]) -> Option<(IpAddr, u8, Option<u16>)> {
    let (to, protocol, header) = match packet.first()? >> 4 {
        4 => {
            let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            let header = usize::from(packet[0] & 0xf) * 4;
            (IpAddr::from(to), packet[9], header)
        }
        6 => {
            let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            (IpAddr::from(to), packet[6], 40)
        }
        _ => return None,
    };
    let has_ports =
        i32::from(protocol) == libc::IPPROTO_TCP || i32::from(protocol) == libc::IPPROTO_UDP;
    let port = packet.get(header + 2..header + 4).filter(|_| has_ports);
    let port = port.map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    Some((to, protocol, port))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn destinations_are_read_from_both_versions() {
        let mut four = vec![
            0x46, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1,
        ];
        four.extend([1, 1, 1, 1, 0, 9, 1, 187]);
        let seen = destination(&four).unwrap();
        assert_eq!(seen, (IpAddr::from([192, 0, 2, 1]), 6, Some(443)));
        let mut six = vec![0; 44];
        (six[0], six[6], six[39]) = (0x60, 58, 1);
        assert_eq!(
            destination(&six).unwrap(),
            ("::1".parse().unwrap(), 58, None)
        );
    }

    proptest! {
        #[test]
        fn nothing_that_comes_does_any_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = packets(&bytes);
            let _ = packet(&bytes);
            let _ = destination(&bytes);
        }
    }
}
