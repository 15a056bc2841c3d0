//! What a client and a monitor say to each other: one enum per direction, a message a packet.
//!
//! The first byte is the kind: `j` a JSON request or reply, `J` a JSON request in the file that comes along (too long for a
//! packet), `i` input, `c` end of input, `o` and `e` output of the program.
//!
//! A request carries the version that first had it, so that monitors and clients of neighbouring versions understand each other
//! in everything that both know; a monitor that does not know a version says which it speaks.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::container::{EndpointConfig, SettingsChange};
use crate::net::pasta::PastaError;
use crate::net::ports::PortSpec;
use crate::net::wire;
use crate::runtime::enter::ProgramChoice;
use crate::runtime::execute::SetupError;
use crate::runtime::limits::Setting;
use crate::sys::socket::{self, MESSAGE_MAX, Received};

/// Spoken by this program. The feature `previous-protocol` makes a program whose monitors know no more than the first version,
/// for the test that this one gets on with them.
pub const VERSION: u32 = if cfg!(feature = "previous-protocol") {
    1
} else {
    5
};

/// The most payload of one packet.
pub const CHUNK: usize = 64 * 1024;

/// Which of the program's streams a client wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// `Done`, then streams until the container ends, and then `Exited`.
    Attach(Attach),
    /// `Exited`, when it does.
    Wait,
    /// Sends a signal to the container's init.
    Signal(i32),
    /// The size of the terminal this client is attached to.
    Resize { rows: u16, columns: u16 },
    /// `Started` when the program runs, its streams, then `Exited`; or `Failed`.
    Exec(Box<ExecOrders>),
    /// Sends a signal that is meant to end the container for good: no policy starts it again. Since 2.
    Stop(i32),
    /// `Done`; sends a signal, `Exited` when the program ends by whatever, then starts it again: `Started` or `Failed`. Since 2.
    Restart(i32),
    /// Freezes the container's processes. Since 2.
    Pause,
    /// Since 2.
    Unpause,
    /// Replaces some of the settings; `limits` is what those of the change are to the container's cgroup. Since 2; what it may reach since 5.
    Update {
        change: Box<SettingsChange>,
        limits: Vec<Setting>,
    },
    /// Connects the container with one more network; `endpoints` are all that it then has. Since 2.
    Connect {
        attach: Box<wire::Attach>,
        endpoints: Vec<EndpointConfig>,
    },
    /// The container has got another name: its networks know it by that. Since 2.
    Renamed(String),
    /// Takes it out of a network, by id. Since 2.
    Disconnect {
        network: String,
        endpoints: Vec<EndpointConfig>,
    },
    /// Publishes more ports, now and in later lives. Since 3.
    Publish(Vec<PortSpec>),
    /// They are published no more: each fits what was asked for once, or one that was chosen. Since 3.
    Unpublish(Vec<PortSpec>),
    /// Makes its places in networks anew. Since 4.
    ReloadNetworks,
}

impl Request {
    /// The version of the protocol that first had it.
    pub fn since(&self) -> u32 {
        match self {
            Request::Attach(_) | Request::Wait | Request::Signal(_) | Request::Resize { .. } => 1,
            Request::Exec(orders) if orders.preserves.is_empty() => 1,
            // An older monitor would leave these out without a word.
            Request::Exec(_) => 3,
            Request::Update { change, .. } if change.egress.is_some() => 5,
            Request::Connect { attach, .. } if attach.network.version() > 1 => 4,
            Request::Connect { attach, .. } if attach.network.version() > 0 => 3,
            Request::Stop(_)
            | Request::Restart(_)
            | Request::Pause
            | Request::Unpause
            | Request::Update { .. }
            | Request::Connect { .. }
            | Request::Renamed(_)
            | Request::Disconnect { .. } => 2,
            Request::Publish(_) | Request::Unpublish(_) => 3,
            Request::ReloadNetworks => 4,
        }
    }
}

/// One more program for a running container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecOrders {
    /// 64 hex digits.
    pub id: String,
    pub program: ProgramChoice,
    /// What this client wants of its streams; nothing: the program's are empty and nobody keeps what it writes.
    pub attach: Attach,
    /// Rows and columns of the client's terminal.
    pub terminal_size: Option<(u16, u16)>,
    /// The numbers that the program has for the descriptors that come along. Since 2.
    #[serde(default)]
    pub preserves: Vec<i32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The program runs.
    Started,
    /// It could not be started.
    Failed(StartFailure),
    Done,
    /// The request could not be carried out.
    Refused(String),
    /// The monitor speaks another version.
    Version(u32),
    /// The program's exit code, or 128 plus the signal that ended it. Nothing follows.
    Exited(i32),
}

/// Why a container did not start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum StartFailure {
    #[error(transparent)]
    Setup(SetupError),
    #[error("{message}")]
    Network {
        message: String,
        hints: Vec<String>,
        /// What was to be published there is somebody else's.
        #[serde(default)]
        taken: Option<SocketAddr>,
    },
    /// The network helper found no tun device that it may use.
    #[error("{}", PastaError::Tun)]
    NoTun,
    #[error("{operation}: {message}")]
    Monitor { operation: String, message: String },
    #[error("container {name} is already running")]
    Running { name: String },
    /// Another command was faster.
    #[error("No such container: {name}")]
    Removed { name: String },
    /// Its settings are others than those it was to start with.
    #[error("container {name} was changed while it was to start")]
    Changed { name: String },
}

impl StartFailure {
    /// Docker's exit codes for a container that did not start.
    pub fn exit_code(&self) -> i32 {
        match self {
            StartFailure::Setup(error) => error.exit_code(),
            _ => 125,
        }
    }
}

/// The program's output streams. With a terminal there is only `Stdout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    version: u32,
    request: Request,
}

/// A packet that a monitor received.
#[derive(Debug, PartialEq, Eq)]
pub enum FromClient<'a> {
    Request(Request),
    Input(&'a [u8]),
    InputEnd,
    /// A version this monitor does not speak, or nonsense.
    Unknown,
}

/// A packet that a client received.
#[derive(Debug, PartialEq, Eq)]
pub enum FromMonitor<'a> {
    Reply(Reply),
    Output(Stream, &'a [u8]),
    /// The monitor is gone.
    Closed,
    /// Nothing waits.
    Nothing,
}

/// `fds` came with the packet; those that belong to the request are left.
pub(super) fn parse_request<'a>(packet: &'a [u8], fds: &mut Vec<OwnedFd>) -> FromClient<'a> {
    let request = |text: &[u8]| match serde_json::from_slice::<Envelope>(text) {
        Ok(envelope) if envelope.version <= VERSION => FromClient::Request(envelope.request),
        _ => FromClient::Unknown,
    };
    match packet.split_first() {
        Some((b'i', bytes)) => FromClient::Input(bytes),
        Some((b'c', _)) => FromClient::InputEnd,
        Some((b'j', text)) => request(text),
        Some((b'J', _)) if !fds.is_empty() => match read_long(fds.remove(0)) {
            Ok(text) => request(&text),
            Err(_) => FromClient::Unknown,
        },
        _ => FromClient::Unknown,
    }
}

/// Longer ones than the kernel takes as a program's arguments are nonsense.
const LONG_MAX: u64 = 4 << 20;

fn read_long(file: OwnedFd) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    // Only a file in memory: another could make the monitor wait.
    if rustix::fs::fcntl_get_seals(&file).is_err() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let mut file = File::from(file).take(LONG_MAX);
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// A request too long for a packet, in a file of its own.
fn long_file(text: &[u8]) -> io::Result<OwnedFd> {
    let memory = rustix::fs::memfd_create("request", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(memory);
    file.write_all(text)?;
    file.rewind()?;
    Ok(file.into())
}

/// A reply as a packet.
pub(super) fn reply_packet(reply: &Reply) -> Vec<u8> {
    let mut packet = b"j".to_vec();
    let written = serde_json::to_writer(&mut packet, reply);
    written.expect("a reply is plain data and a vector takes everything");
    packet
}

/// Output of the program as a packet.
pub(super) fn output_packet(stream: Stream, bytes: &[u8]) -> Vec<u8> {
    let kind = match stream {
        Stream::Stdout => b'o',
        Stream::Stderr => b'e',
    };
    let mut packet = Vec::with_capacity(bytes.len() + 1);
    packet.push(kind);
    packet.extend_from_slice(bytes);
    packet
}

/// A client's end of a conversation with a monitor.
pub struct Connection {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn open(path: &Path) -> io::Result<Connection> {
        Ok(Connection::over(socket::connect(path)?))
    }

    /// Over a socket that was made with the monitor itself.
    pub fn over(socket: OwnedFd) -> Connection {
        Connection {
            socket,
            buffer: vec![0; MESSAGE_MAX],
        }
    }

    pub fn request(&self, request: &Request) -> io::Result<()> {
        self.request_with(request, &[])
    }

    /// With descriptors.
    pub fn request_with(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let envelope = Envelope {
            version: request.since(),
            request: request.clone(),
        };
        let text = serde_json::to_vec(&envelope).map_err(io::Error::other)?;
        let sent = if text.len() < CHUNK {
            socket::send(self.socket.as_fd(), &[b"j", &text], fds)
        } else {
            let file = long_file(&text)?;
            let all = [&[file.as_fd()], fds].concat();
            socket::send(self.socket.as_fd(), &[b"J"], &all)
        };
        sent.map(drop)
    }

    /// Bytes for the program's standard input, at most `CHUNK`; `false` if the monitor has no room for them now. Never waits:
    /// the monitor may itself be waiting for this client to read.
    pub fn try_input(&self, bytes: &[u8]) -> io::Result<bool> {
        socket::send_now(self.socket.as_fd(), &[b"i", bytes])
    }

    pub fn end_input(&self) -> io::Result<()> {
        socket::send(self.socket.as_fd(), &[b"c"], &[]).map(drop)
    }

    /// The next packet; waits for it.
    pub fn receive(&mut self) -> io::Result<FromMonitor<'_>> {
        let length = match socket::receive(self.socket.as_fd(), &mut self.buffer)? {
            Received::Message(length, _) => length,
            Received::Closed => return Ok(FromMonitor::Closed),
            Received::Empty => return Ok(FromMonitor::Nothing),
        };
        match self.buffer[..length].split_first() {
            Some((b'o', bytes)) => Ok(FromMonitor::Output(Stream::Stdout, bytes)),
            Some((b'e', bytes)) => Ok(FromMonitor::Output(Stream::Stderr, bytes)),
            Some((b'j', text)) => {
                let reply = serde_json::from_slice(text);
                reply
                    .map(FromMonitor::Reply)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a packet of an unknown kind",
            )),
        }
    }

    /// Waits for the next reply, passing over output.
    pub fn reply(&mut self) -> io::Result<Option<Reply>> {
        loop {
            match self.receive()? {
                FromMonitor::Reply(reply) => return Ok(Some(reply)),
                FromMonitor::Closed => return Ok(None),
                FromMonitor::Output(..) | FromMonitor::Nothing => {}
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_a_later_version_is_not_carried_out() {
        let packet = |version| format!("j{{\"version\":{version},\"request\":\"Wait\"}}");
        for known in 1..=VERSION {
            assert_eq!(
                parse_request(packet(known).as_bytes(), &mut Vec::new()),
                FromClient::Request(Request::Wait)
            );
        }
        assert_eq!(
            parse_request(packet(VERSION + 1).as_bytes(), &mut Vec::new()),
            FromClient::Unknown
        );
        assert_eq!(
            parse_request(b"i\x00\xff", &mut Vec::new()),
            FromClient::Input(b"\x00\xff")
        );
        assert_eq!(parse_request(b"", &mut Vec::new()), FromClient::Unknown);
        assert_eq!(parse_request(b"J", &mut Vec::new()), FromClient::Unknown);
    }

    #[test]
    fn a_long_request_travels_in_a_file() {
        let (ours, theirs) = socket::pair().expect("sockets can be made");
        let orders = ExecOrders {
            id: "x".repeat(3 * CHUNK),
            program: ProgramChoice::default(),
            attach: Attach::default(),
            terminal_size: None,
            preserves: Vec::new(),
        };
        let request = Request::Exec(Box::new(orders));
        Connection::over(ours)
            .request(&request)
            .expect("it is sent");
        let mut buffer = vec![0; MESSAGE_MAX];
        let received = socket::receive(theirs.as_fd(), &mut buffer).expect("it arrives");
        let Received::Message(length, mut fds) = received else {
            panic!("no message");
        };
        let parsed = parse_request(&buffer[..length], &mut fds);
        assert_eq!(parsed, FromClient::Request(request));
    }
}
