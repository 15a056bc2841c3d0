//! Network interfaces, as far as a single ioctl goes, and sockets with options that the standard library has no words for.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt as options,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

/// What netdevice(7) asks about interfaces through.
pub(super) fn interface_socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)
}

/// Sets an interface up (netdevice(7), SIOCSIFFLAGS); a new network namespace has its loopback down.
pub fn bring_up(name: &str) -> io::Result<()> {
    let socket = interface_socket()?;
    // SAFETY: all zeroes is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for (slot, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *slot = byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which `request` is.
    match unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw const request,
        )
    } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Whether the tun device is there and can be opened.
pub fn try_tun() -> io::Result<()> {
    let device = File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    // Documentation/admin-guide/devices.txt: 10, 200.
    match device.metadata()?.rdev() == rustix::fs::makedev(10, 200) {
        true => Ok(()),
        false => Err(io::Error::other("it is not the tun device")),
    }
}

/// Connections that wait to be accepted: the kernel's own limit since 5.4.
const BACKLOG: i32 = 4096;

/// A transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Udp,
}

fn family_of(ip: IpAddr) -> AddressFamily {
    match ip {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    }
}

/// A socket that does not block.
pub fn socket(transport: Transport, like: IpAddr) -> io::Result<OwnedFd> {
    let kind = match transport {
        Transport::Tcp => SocketType::STREAM,
        Transport::Udp => SocketType::DGRAM,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family_of(like), kind, flags, None)?;
    Ok(socket)
}

/// One that is bound to an address of one family, not of both; of a stream, one that listens.
pub fn bound(transport: Transport, address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket(transport, address.ip())?;
    bind(&socket, transport, address)?;
    Ok(socket)
}

/// The same where the address may come only later (ip(7), IP_FREEBIND).
pub fn bound_early(transport: Transport, address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket(transport, address.ip())?;
    sockopt::set_ip_freebind(&socket, true)?;
    bind(&socket, transport, address)?;
    Ok(socket)
}

fn bind(socket: &OwnedFd, transport: Transport, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(socket, true)?;
    }
    match transport {
        // A port in TIME_WAIT counts as free.
        Transport::Tcp => {
            sockopt::set_socket_reuseaddr(socket, true)?;
            rustix::net::bind(socket, &address)?;
            rustix::net::listen(socket, BACKLOG)?;
        }
        // With that option two could have one port.
        Transport::Udp => rustix::net::bind(socket, &address)?,
    }
    Ok(())
}

/// One whose own address is somebody else's, which needs CAP_NET_ADMIN over the network namespace (ip(7), IP_TRANSPARENT).
pub fn transparent(transport: Transport, own: SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket(transport, own.ip())?;
    let (level, option) = match own {
        SocketAddr::V4(_) => (libc::SOL_IP, libc::IP_TRANSPARENT),
        SocketAddr::V6(_) => (libc::SOL_IPV6, libc::IPV6_TRANSPARENT),
    };
    let on: libc::c_int = 1;
    // SAFETY: the option's value is the int it is given the size of, which outlives the call.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if set == -1 {
        return Err(io::Error::last_os_error());
    }
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &own)?;
    Ok(socket)
}

/// Begins to connect; whether it has worked shows when the socket can be written to (`outcome`).
pub fn connect(socket: BorrowedFd<'_>, to: SocketAddr) -> io::Result<()> {
    match rustix::net::connect(socket, &to) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// How a connection that was begun has gone.
pub fn outcome(socket: BorrowedFd<'_>) -> io::Result<()> {
    match sockopt::socket_error(socket)? {
        Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The next connection, and from where; `None` if none waits.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<Option<(OwnedFd, SocketAddr)>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    match rustix::net::acceptfrom_with(listener, flags) {
        Ok((socket, Some(from))) => match SocketAddr::try_from(from) {
            Ok(from) => Ok(Some((socket, plain(from)))),
            Err(error) => Err(error.into()),
        },
        Ok((_, None)) => Ok(None),
        Err(
            rustix::io::Errno::AGAIN | rustix::io::Errno::CONNABORTED | rustix::io::Errno::INTR,
        ) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The next datagram, and from where; `None` if none waits.
pub fn receive_from(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<Option<(usize, SocketAddr)>> {
    let flags = rustix::net::RecvFlags::DONTWAIT;
    match rustix::net::recvfrom(socket, buffer, flags) {
        Ok((length, _, Some(from))) => match SocketAddr::try_from(from) {
            Ok(from) => Ok(Some((length, from))),
            Err(error) => Err(error.into()),
        },
        Ok((_, _, None)) => Ok(None),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Sends a datagram; one that there is no room for is lost, as datagrams are.
pub fn send_to(socket: BorrowedFd<'_>, bytes: &[u8], to: SocketAddr) {
    let flags = rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL;
    let _ = rustix::net::sendto(socket, bytes, flags, &to);
}

/// The same over a socket that is connected.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8]) {
    let flags = rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL;
    let _ = rustix::net::send(socket, bytes, flags);
}

/// Small pieces are not held back to be sent together.
pub fn send_at_once(socket: impl AsFd) -> io::Result<()> {
    sockopt::set_tcp_nodelay(socket, true).map_err(io::Error::from)
}

/// Without the form in which IPv6 sockets show addresses of IPv4.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Any address of a family.
pub fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// The port that a socket is bound to.
pub fn own_port(socket: BorrowedFd<'_>) -> io::Result<u16> {
    let address = SocketAddr::try_from(rustix::net::getsockname(socket)?)?;
    Ok(address.port())
}

/// Which of this host's addresses a datagram was sent to, as the answer has to say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Own {
    V4(Ipv4Addr),
    /// With the interface, without which an address of a link alone says nothing.
    V6(Ipv6Addr, u32),
}

/// Datagrams come with the address they were sent to from now on (`receive_at`).
pub fn ask_for_own(socket: BorrowedFd<'_>, like: IpAddr) -> io::Result<()> {
    match like {
        IpAddr::V4(_) => setsockopt(&socket, options::Ipv4PacketInfo, &true)?,
        IpAddr::V6(_) => setsockopt(&socket, options::Ipv6RecvPacketInfo, &true)?,
    }
    Ok(())
}

/// The next datagram, from where, and to which of this host's addresses; `None` if none waits.
pub fn receive_at(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<Option<(usize, SocketAddr, Option<Own>)>> {
    let mut control = nix::cmsg_space!(libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let fd = socket.as_raw_fd();
    let received = match recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), flags) {
        Ok(received) => received,
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let own = received.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            let ip = Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes());
            Some(Own::V4(ip))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            Some(Own::V6(ip, info.ipi6_ifindex))
        }
        _ => None,
    });
    let from = received.address.as_ref().and_then(socket_address);
    Ok(from.map(|from| (received.bytes, from, own)))
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(four) = address.as_sockaddr_in() {
        return Some(SocketAddr::new(IpAddr::V4(four.ip()), four.port()));
    }
    let six = *address.as_sockaddr_in6()?;
    Some(SocketAddr::V6(six.into()))
}

/// Sends a datagram from one of this host's addresses; one that there is no room for is lost, as datagrams are.
pub fn send_from(socket: BorrowedFd<'_>, bytes: &[u8], to: SocketAddr, own: Own) {
    let parts = [IoSlice::new(bytes)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    let to = SockaddrStorage::from(to);
    let (four, six);
    let control = match own {
        Own::V4(ip) => {
            four = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr {
                    s_addr: u32::from_ne_bytes(ip.octets()),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            ControlMessage::Ipv4PacketInfo(&four)
        }
        Own::V6(ip, interface) => {
            six = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr {
                    s6_addr: ip.octets(),
                },
                ipi6_ifindex: interface,
            };
            ControlMessage::Ipv6PacketInfo(&six)
        }
    };
    let _ = sendmsg(socket.as_raw_fd(), &parts, &[control], flags, Some(&to));
}
