//! The name server of the shared networks: one address that every container asks, whatever networks it is in. What is not
//! known here goes to the host's servers, over sockets that the outer half makes, a new one for each query.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::names::{self, Book, Verdict};
use super::record::Networks;
use super::resolver;
use super::servers::Servers;
use super::wire::{HostSocket, host_socket};
use crate::sys::network::{self, Transport};
use crate::sys::poll::{Interest, PollSet};
use crate::sys::timer::Moment;

const PORT: u16 = 53;

/// A server that has not answered by then is passed over.
const PATIENCE: Duration = Duration::from_millis(2500);

/// How long a client may hold a connection without a question.
const IDLE: Duration = Duration::from_secs(10);

/// Questions on their way, of one container and of all.
const OF_ONE: usize = 128;
const OF_ALL: usize = 2048;
const STREAMS: usize = 256;

/// So many datagrams are taken in one turn.
const TURN: usize = 64;

/// What the loop waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Datagrams,
    Streams,
    Stream(u64),
    Upstream(u64),
}

/// Who has asked, and what it may know.
pub trait Askers {
    /// `None`: no container has this address.
    fn asker(&self, ip: IpAddr) -> Option<impl Book>;
    /// `--dns` of the one that has it.
    fn servers(&self, ip: IpAddr) -> Vec<IpAddr>;
    /// The names of its networks, the one that leads out first.
    fn networks(&self, ip: IpAddr) -> Vec<&str>;
    /// Whether the one that has it may ask others for this.
    fn permits(&self, ip: IpAddr, query: &[u8]) -> bool;
    /// Whether it may know the answer; its addresses are open to it from then on.
    fn admits(&self, ip: IpAddr, answer: &[u8]) -> bool;
}

pub struct Dns {
    datagrams: OwnedFd,
    listener: OwnedFd,
    queries: BTreeMap<u64, Pending>,
    streams: BTreeMap<u64, Stream>,
    last: u64,
    known: Servers,
}

/// A client's connection: a length, a query, a length, an answer, and so on.
struct Stream {
    socket: OwnedFd,
    from: SocketAddr,
    input: Vec<u8>,
    since: Moment,
}

#[derive(Clone, Copy)]
enum Client {
    Datagram(SocketAddr),
    Stream(u64, SocketAddr),
}

/// A question on its way to a server.
struct Pending {
    socket: OwnedFd,
    client: Client,
    /// As the client sent it.
    query: Vec<u8>,
    /// Those that have not been asked yet.
    servers: Vec<IpAddr>,
    /// Of a stream: what the server has said so far, and what it has not been told yet.
    input: Vec<u8>,
    output: Vec<u8>,
    deadline: Moment,
}

impl Client {
    fn ip(self) -> IpAddr {
        match self {
            Client::Datagram(from) | Client::Stream(_, from) => from.ip(),
        }
    }

    fn is_stream(self) -> bool {
        matches!(self, Client::Stream(..))
    }
}

impl Dns {
    pub fn new(networks: Networks) -> io::Result<Dns> {
        let address = SocketAddr::new(IpAddr::V4(resolver::EMBEDDED), PORT);
        Ok(Dns {
            datagrams: network::bound(Transport::Udp, address)?,
            listener: network::bound(Transport::Tcp, address)?,
            queries: BTreeMap::new(),
            streams: BTreeMap::new(),
            last: 0,
            known: Servers::new(networks),
        })
    }

    pub fn watch<'a, T: Copy>(&'a self, set: &mut PollSet<'a, T>, token: impl Fn(Source) -> T) {
        set.add(
            self.datagrams.as_fd(),
            Interest::Read,
            token(Source::Datagrams),
        );
        set.add(
            self.listener.as_fd(),
            Interest::Read,
            token(Source::Streams),
        );
        for (number, stream) in &self.streams {
            set.add(
                stream.socket.as_fd(),
                Interest::Read,
                token(Source::Stream(*number)),
            );
        }
        for (number, pending) in &self.queries {
            let interest = match pending.output.is_empty() {
                true => Interest::Read,
                false => Interest::Write,
            };
            set.add(
                pending.socket.as_fd(),
                interest,
                token(Source::Upstream(*number)),
            );
        }
    }

    /// How long until somebody has waited long enough.
    pub fn patience(&self) -> Option<Duration> {
        let idle = !self.queries.is_empty() || !self.streams.is_empty();
        idle.then_some(Duration::from_millis(250))
    }

    /// Asks the next server where one does not answer.
    pub fn tick(&mut self, outer: &OwnedFd) {
        self.streams
            .retain(|_, stream| stream.since.elapsed() < IDLE);
        let late = self.queries.iter().filter(|(_, q)| q.deadline.has_come());
        let late: Vec<u64> = late.map(|(number, _)| *number).collect();
        for number in late {
            self.ask_next(number, outer);
        }
    }

    pub fn act(
        &mut self,
        source: Source,
        askers: &impl Askers,
        outer: &OwnedFd,
        buffer: &mut [u8],
    ) {
        match source {
            Source::Datagrams => {
                for _ in 0..TURN {
                    match network::receive_from(self.datagrams.as_fd(), buffer) {
                        Ok(Some((length, from))) => {
                            let query = buffer[..length].to_vec();
                            self.take(query, Client::Datagram(from), askers, outer);
                        }
                        // An error is of one that has gone since.
                        Ok(None) => return,
                        Err(_) => {}
                    }
                }
            }
            Source::Streams => {
                while let Ok(Some((socket, from))) = network::accept(self.listener.as_fd()) {
                    if self.streams.len() < STREAMS {
                        self.last += 1;
                        let stream = Stream {
                            socket,
                            from,
                            input: Vec::new(),
                            since: Moment::now(),
                        };
                        self.streams.insert(self.last, stream);
                    }
                }
            }
            Source::Stream(number) => self.read_stream(number, askers, outer, buffer),
            Source::Upstream(number) => self.hear(number, askers, outer, buffer),
        }
    }

    fn take(&mut self, query: Vec<u8>, client: Client, askers: &impl Askers, outer: &OwnedFd) {
        // Its address is what a container is known by.
        let Some(book) = askers.asker(client.ip()) else {
            return;
        };
        match names::answer(&query, &book, !client.is_stream()) {
            Verdict::Answer(bytes) => self.reply(client, &bytes),
            Verdict::Ignore => {}
            Verdict::Forward => {
                drop(book);
                if !askers.permits(client.ip(), &query) {
                    return self.refuse(client, &query);
                }
                self.forward(query, client, askers, outer);
            }
        }
    }

    fn refuse(&mut self, client: Client, query: &[u8]) {
        if let Some(refusal) = names::refusal(query) {
            self.reply(client, &refusal);
        }
    }

    fn reply(&mut self, client: Client, answer: &[u8]) {
        match client {
            Client::Datagram(to) => network::send_to(self.datagrams.as_fd(), answer, to),
            Client::Stream(number, _) => {
                let Some(stream) = self.streams.get_mut(&number) else {
                    return;
                };
                stream.since = Moment::now();
                let message = framed(answer);
                // Whoever does not read its answers gets no more of them.
                let sent = rustix::io::write(&stream.socket, &message);
                if sent != Ok(message.len()) {
                    self.streams.remove(&number);
                }
            }
        }
    }

    fn read_stream(
        &mut self,
        number: u64,
        askers: &impl Askers,
        outer: &OwnedFd,
        buffer: &mut [u8],
    ) {
        let Some(stream) = self.streams.get_mut(&number) else {
            return;
        };
        match rustix::io::read(&stream.socket, &mut buffer[..4096]) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return,
            Ok(0) | Err(_) => {
                self.streams.remove(&number);
                return;
            }
            Ok(length) => stream.input.extend_from_slice(&buffer[..length]),
        }
        let from = stream.from;
        while let Some(query) = self
            .streams
            .get_mut(&number)
            .and_then(|s| unframe(&mut s.input))
        {
            self.take(query, Client::Stream(number, from), askers, outer);
        }
    }

    fn forward(&mut self, query: Vec<u8>, client: Client, askers: &impl Askers, outer: &OwnedFd) {
        let own = self
            .queries
            .values()
            .filter(|q| q.client.ip() == client.ip());
        if own.count() >= OF_ONE || self.queries.len() >= OF_ALL {
            // It asks again; others have their turn.
            return;
        }
        let mut servers = askers.servers(client.ip());
        if servers.is_empty() {
            servers = self.known.now(&askers.networks(client.ip()));
        }
        // The last comes first off a vector.
        servers.reverse();
        self.last += 1;
        let number = self.last;
        let Ok(nothing) = network::socket(Transport::Udp, Ipv4Addr::LOCALHOST.into()) else {
            return;
        };
        let pending = Pending {
            socket: nothing,
            client,
            query,
            servers,
            input: Vec::new(),
            output: Vec::new(),
            deadline: Moment::now(),
        };
        self.queries.insert(number, pending);
        self.ask_next(number, outer);
    }

    /// The next server, or the client hears that there is none.
    fn ask_next(&mut self, number: u64, outer: &OwnedFd) {
        let Some(mut pending) = self.queries.remove(&number) else {
            return;
        };
        while let Some(server) = pending.servers.pop() {
            if pending.ask(server, outer).is_ok() {
                self.queries.insert(number, pending);
                return;
            }
        }
        if let Some(answer) = names::failure(&pending.query) {
            self.reply(pending.client, &answer);
        }
    }

    fn hear(&mut self, number: u64, askers: &impl Askers, outer: &OwnedFd, buffer: &mut [u8]) {
        let Some(pending) = self.queries.get_mut(&number) else {
            return;
        };
        match pending.hear(buffer) {
            Ok(None) => {}
            Ok(Some(answer)) => {
                let client = pending.client;
                let query = std::mem::take(&mut pending.query);
                self.queries.remove(&number);
                match askers.admits(client.ip(), &answer) {
                    true => self.reply(client, &answer),
                    false => self.refuse(client, &query),
                }
            }
            // It does not listen, or has gone away.
            Err(_) => self.ask_next(number, outer),
        }
    }
}

impl Pending {
    fn ask(&mut self, server: IpAddr, outer: &OwnedFd) -> io::Result<()> {
        let stream = self.client.is_stream();
        self.socket = host_socket(outer, HostSocket::towards(server, stream))?;
        network::connect(self.socket.as_fd(), SocketAddr::new(server, PORT))?;
        self.deadline = Moment::now().after(PATIENCE);
        self.input.clear();
        match stream {
            true => self.output = framed(&self.query),
            false => network::send(self.socket.as_fd(), &self.query),
        }
        Ok(())
    }

    fn hear(&mut self, buffer: &mut [u8]) -> io::Result<Option<Vec<u8>>> {
        if !self.output.is_empty() {
            network::outcome(self.socket.as_fd())?;
            let written = rustix::io::write(&self.socket, &self.output)?;
            self.output.drain(..written);
            return Ok(None);
        }
        let length = match rustix::io::read(&self.socket, &mut buffer[..65535]) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(None),
            other => other?,
        };
        if !self.client.is_stream() {
            let answer = &buffer[..length];
            return Ok(names::is_answer(answer, &self.query).then(|| answer.to_vec()));
        }
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.input.extend_from_slice(&buffer[..length]);
        let answer = unframe(&mut self.input);
        Ok(answer.filter(|answer| names::is_answer(answer, &self.query)))
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), &message[..usize::from(length)]].concat()
}

/// The first whole message of a stream.
fn unframe(input: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = input.get(..2)?;
    let end = 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
    let message = input.get(2..end)?.to_vec();
    input.drain(..end);
    Some(message)
}
