//! Sequenced-packet Unix sockets: whole messages, and descriptors that travel with them.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

/// The largest message anybody sends: well below the kernel's default of 208 KiB a packet.
pub const MESSAGE_MAX: usize = 64 * 1024 + 1024;

/// How many descriptors one message may carry: SCM_MAX_FD.
const FDS_MAX: usize = 253;

/// A connected pair, both close-on-exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let pair = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    Ok(pair)
}

/// A listening socket at `path`, replacing one that a dead process left there.
pub fn listen(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    match super::disk::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    super::fault::at("make socket")?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, 64)?;
    Ok(socket)
}

pub fn connect(path: &Path) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// A socket whose messages go to the datagram socket at `path`, each by itself.
pub fn connect_datagrams(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// The next waiting connection; `None` if there is none. Its calls do not block.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    match rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
        Ok(socket) => Ok(Some(socket)),
        Err(
            rustix::io::Errno::AGAIN | rustix::io::Errno::CONNABORTED | rustix::io::Errno::INTR,
        ) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Sends one message of several parts. `Ok(false)` if a socket that does not block has no room.
pub fn send(socket: BorrowedFd<'_>, parts: &[&[u8]], fds: &[BorrowedFd<'_>]) -> io::Result<bool> {
    send_with(socket, parts, fds, SendFlags::NOSIGNAL)
}

/// The same on a socket that blocks, without waiting for room.
pub fn send_now(socket: BorrowedFd<'_>, parts: &[&[u8]]) -> io::Result<bool> {
    send_with(
        socket,
        parts,
        &[],
        SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
    )
}

fn send_with(
    socket: BorrowedFd<'_>,
    parts: &[&[u8]],
    fds: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> io::Result<bool> {
    let slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many descriptors for one message"));
    }
    loop {
        match rustix::net::sendmsg(socket, &slices, &mut control, flags) {
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}

/// What a receive gave.
pub enum Received {
    /// A message of this many bytes, with the descriptors that came along.
    Message(usize, Vec<OwnedFd>),
    /// The peer has closed its end.
    Closed,
    /// Nothing waits, and the socket does not block.
    Empty,
}

/// Receives one message into `buffer`, which has room for it: `MESSAGE_MAX` for any.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut slices = [IoSliceMut::new(buffer)];
        match rustix::net::recvmsg(
            socket.as_fd(),
            &mut slices,
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        ) {
            Ok(received) => break received,
            // A peer that closed without reading all of ours resets the connection, and the kernel says so before it
            // gives what the peer had sent: it says it once.
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
            Err(rustix::io::Errno::AGAIN) => return Ok(Received::Empty),
            Err(rustix::io::Errno::PIPE) => {
                return Ok(Received::Closed);
            }
            Err(error) => return Err(error.into()),
        }
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if received.bytes == 0 && fds.is_empty() {
        Ok(Received::Closed)
    } else {
        Ok(Received::Message(received.bytes, fds))
    }
}

/// The next message, of whatever length up to `MESSAGE_MAX`, and its descriptors; `None` when the peer has closed its end. On a
/// socket that does not block an error of that kind says that none waits. Its length is asked first, so that nobody touches 17 pages to receive a few bytes.
pub fn receive_message(socket: BorrowedFd<'_>) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let flags = RecvFlags::PEEK | RecvFlags::TRUNC;
    let length = loop {
        match rustix::net::recv(socket, &mut [0u8; 0][..], flags) {
            Ok((_, length)) => break length,
            // Said once, see `receive`.
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let mut buffer = vec![0; length.min(MESSAGE_MAX)];
    match receive(socket, &mut buffer)? {
        Received::Message(length, fds) => {
            buffer.truncate(length);
            Ok(Some((buffer, fds)))
        }
        Received::Closed | Received::Empty => Ok(None),
    }
}

/// Says that nothing more will be sent; what the peer sends can still be read.
pub fn end_sending(socket: BorrowedFd<'_>) -> io::Result<()> {
    rustix::net::shutdown(socket, rustix::net::Shutdown::Write).map_err(io::Error::from)
}

/// Makes calls on a descriptor of ours return instead of waiting. Never for one that is shared with another program.
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    rustix::io::ioctl_fionbio(fd, true).map_err(io::Error::from)
}

/// Receiving from a socket that blocks gives up after `time`: it reads as empty.
pub fn limit_waiting(socket: BorrowedFd<'_>, time: std::time::Duration) -> io::Result<()> {
    let limit = rustix::net::sockopt::Timeout::Recv;
    rustix::net::sockopt::set_socket_timeout(socket, limit, Some(time)).map_err(io::Error::from)
}
