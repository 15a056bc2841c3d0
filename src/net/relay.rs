//! Connections that come to a published port, passed on to the container from a socket that has the client's own address.
//! Copies in the kernel; knows no container, only two sockets.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{SpliceFlags, splice};

use super::inner::Token;
use crate::sys::network;
use crate::sys::pipe::{Pipe, Share};
use crate::sys::poll::{Interest, PollSet};

/// What a pipe holds that a whole new one, of 64 KiB, was not enough for.
const LARGE_PIPE: usize = 512 * 1024;

/// So many large ones are given out: half of what one user may have (pipe(7)), so that 256 connections have whole pipes beside them.
const LARGE_PIPES: usize = 64;

/// So many empty ones are kept for the next connections: to make and close two takes longer than to pass a small request on.
const SPARE_PIPES: usize = 16;

/// So many times one connection is moved on before others have their turn.
const TURN: usize = 16;

/// One direction.
struct Half {
    pipe: Pipe,
    /// It was full at times.
    wants_room: bool,
    /// What is in the pipe.
    waiting: usize,
    /// The source has ended.
    ended: bool,
    /// And the target was told.
    closed: bool,
}

/// A client and a server.
struct Relay {
    client: OwnedFd,
    server: OwnedFd,
    /// The connection with the server is there.
    connected: bool,
    up: Half,
    down: Half,
}

/// Which of the two sockets, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// All that go on.
pub struct Relays {
    relays: BTreeMap<u64, Relay>,
    last: u64,
    /// Whose pipes they use: of the user's own a single pasta takes half, and two take all.
    share: Share,
    spare: Vec<Pipe>,
}

impl Half {
    fn new(pipe: Pipe) -> Half {
        Half {
            pipe,
            wants_room: false,
            waiting: 0,
            ended: false,
            closed: false,
        }
    }

    /// Moves what can be moved now; an error ends the whole connection.
    fn copy(&mut self, from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        for _ in 0..TURN {
            let mut moved = false;
            let room = self.pipe.size - self.waiting;
            if !self.ended && room > 0 {
                match splice(from, None, &self.pipe.writer, None, room, flags) {
                    Ok(0) => self.ended = true,
                    Ok(length) => {
                        self.waiting += length;
                        self.wants_room |= self.waiting >= self.pipe.size / 2;
                        moved = true;
                    }
                    Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if self.waiting > 0 {
                match splice(&self.pipe.reader, None, to, None, self.waiting, flags) {
                    Ok(length) => {
                        self.waiting -= length;
                        moved = true;
                    }
                    Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if self.ended && self.waiting == 0 && !self.closed {
                self.closed = true;
                // One that is gone already needs no telling.
                let _ = rustix::net::shutdown(to, rustix::net::Shutdown::Write);
            }
            if !moved {
                break;
            }
        }
        Ok(())
    }

    fn is_large(&self) -> bool {
        self.pipe.size >= LARGE_PIPE
    }

    /// If the kernel gives it: it is slower without, and nothing else.
    fn grow(&mut self) {
        self.wants_room = false;
        self.pipe.grow(LARGE_PIPE);
    }

    fn reads(&self) -> bool {
        !self.ended && self.waiting == 0
    }
}

impl Relays {
    pub fn new() -> Relays {
        Relays {
            relays: BTreeMap::new(),
            last: 0,
            share: Share::apart(),
            spare: Vec::new(),
        }
    }

    /// Begins one; the server's socket is on its way to be connected.
    pub fn add(&mut self, client: OwnedFd, server: OwnedFd) -> io::Result<()> {
        // They are slower without, and nothing else.
        let _ = network::send_at_once(&client);
        let _ = network::send_at_once(&server);
        self.last += 1;
        let [up, down] = self.pipes()?.map(Half::new);
        let relay = Relay {
            client,
            server,
            connected: false,
            up,
            down,
        };
        self.relays.insert(self.last, relay);
        Ok(())
    }

    fn pipes(&mut self) -> io::Result<[Pipe; 2]> {
        match (self.spare.pop(), self.spare.pop()) {
            (Some(one), Some(other)) => Ok([one, other]),
            _ => self.share.pair(),
        }
    }

    fn keep(&mut self, relay: Option<Relay>) {
        let halves = relay.into_iter().flat_map(|relay| [relay.up, relay.down]);
        let empty = halves.filter(|half| half.waiting == 0 && !half.is_large());
        self.spare.extend(empty.map(|half| half.pipe));
        self.spare.truncate(SPARE_PIPES);
    }

    pub fn watch<'a>(&'a self, set: &mut PollSet<'a, Token>) {
        for (number, relay) in &self.relays {
            let client = Token::Relay(*number, Side::Client);
            let server = Token::Relay(*number, Side::Server);
            if !relay.connected {
                set.add(relay.server.as_fd(), Interest::Write, server);
                continue;
            }
            if relay.up.reads() {
                set.add(relay.client.as_fd(), Interest::Read, client);
            }
            if relay.down.waiting > 0 {
                set.add(relay.client.as_fd(), Interest::Write, client);
            }
            if relay.down.reads() {
                set.add(relay.server.as_fd(), Interest::Read, server);
            }
            if relay.up.waiting > 0 {
                set.add(relay.server.as_fd(), Interest::Write, server);
            }
        }
    }

    pub fn act(&mut self, number: u64) {
        let Some(relay) = self.relays.get_mut(&number) else {
            return;
        };
        match relay.advance() {
            Ok(true) => {}
            ended => {
                let relay = self.relays.remove(&number);
                // Only one that has come to its end has passed on all that came.
                self.keep(relay.filter(|_| ended.is_ok()));
                return;
            }
        }
        if !relay
            .halves()
            .any(|half| half.wants_room && !half.is_large())
        {
            return;
        }
        let all = self.relays.values_mut().flat_map(Relay::halves);
        let large = all.filter(|half| half.is_large()).count();
        if let Some(relay) = self.relays.get_mut(&number).filter(|_| large < LARGE_PIPES) {
            let small = relay.halves().filter(|half| half.wants_room);
            small.filter(|half| !half.is_large()).for_each(Half::grow);
        }
    }
}

impl Relay {
    fn halves(&mut self) -> impl Iterator<Item = &mut Half> {
        [&mut self.up, &mut self.down].into_iter()
    }

    /// `false`: it is over.
    fn advance(&mut self) -> io::Result<bool> {
        if !self.connected {
            network::outcome(self.server.as_fd())?;
            self.connected = true;
        }
        self.up.copy(&self.client, &self.server)?;
        self.down.copy(&self.server, &self.client)?;
        Ok(!(self.up.closed && self.down.closed))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Read, Write};
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair() -> (UnixStream, OwnedFd) {
        let (outside, inside) = UnixStream::pair().unwrap();
        inside.set_nonblocking(true).unwrap();
        (outside, inside.into())
    }

    /// What a client says to a server and the other way round; gives what each has heard.
    fn talk(relays: &mut Relays, said: [&str; 2]) -> [String; 2] {
        let (client, from) = pair();
        let (server, to) = pair();
        relays.add(from, to).unwrap();
        let number = relays.last;
        for (mut end, text) in [(&client, said[0]), (&server, said[1])] {
            end.write_all(text.as_bytes()).unwrap();
            relays.act(number);
            end.shutdown(Shutdown::Write).unwrap();
        }
        while relays.relays.contains_key(&number) {
            relays.act(number);
        }
        [server, client].map(|mut end| {
            let mut heard = String::new();
            end.read_to_string(&mut heard).unwrap();
            heard
        })
    }

    #[test]
    fn pipes_are_used_again_and_nothing_is_left_in_them() {
        let mut relays = Relays::new();
        for number in 0..40 {
            let said = [format!("question {number}"), format!("answer {number}")];
            let heard = talk(&mut relays, [&said[0], &said[1]]);
            assert_eq!(heard, said);
            assert_eq!(relays.spare.len(), 2);
        }
    }

    /// The client goes away before it has taken what came for it.
    #[test]
    fn the_pipes_of_a_connection_that_broke_are_not() {
        let mut relays = Relays::new();
        let (client, from) = pair();
        let (mut server, to) = pair();
        relays.add(from, to).unwrap();
        server.write_all(b"for nobody").unwrap();
        drop(client);
        while !relays.relays.is_empty() {
            relays.act(relays.last);
        }
        assert!(relays.spare.is_empty());
        assert_eq!(talk(&mut relays, ["one", "two"]), ["one", "two"]);
    }
}
