//! One client of the monitor: what it asked for and what still has to be sent to it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::protocol::{Attach, Reply, StartFailure, Stream, output_packet, reply_packet};
use crate::sys::socket;

/// Whose streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The container's own program.
    Program,
    /// One that was executed in it, by the monitor's number.
    Exec(u64),
}

/// What a client that waits for a start knows of one that may still turn out to have failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Start {
    #[default]
    Certain,
    /// It is told when it is certain.
    Untold,
    /// It was told that the program runs: it shows what that writes.
    Told,
}

pub struct Client {
    socket: OwnedFd,
    pub target: Target,
    pub attach: Attach,
    /// Wants to be told of the target's exit.
    pub waits: bool,
    /// Wants to be told of the next start.
    pub restarts: bool,
    /// Wants to be told when the container's new limits are in force.
    pub awaits_limits: bool,
    start: Start,
    /// Packets that found no room.
    backlog: VecDeque<Vec<u8>>,
    /// The peer has gone or will not read any more.
    gone: bool,
}

impl Client {
    /// `socket` must not block.
    pub fn new(socket: OwnedFd) -> Client {
        Client {
            socket,
            target: Target::Program,
            attach: Attach::default(),
            waits: false,
            restarts: false,
            awaits_limits: false,
            start: Start::Certain,
            backlog: VecDeque::new(),
            gone: false,
        }
    }

    pub fn reply(&mut self, reply: &Reply) {
        self.send(reply_packet(reply));
    }

    pub fn output(&mut self, stream: Stream, bytes: &[u8]) {
        let wanted = match stream {
            Stream::Stdout => self.attach.stdout,
            Stream::Stderr => self.attach.stderr,
        };
        if wanted {
            self.send(output_packet(stream, bytes));
        }
    }

    /// The program runs. `certain`: its start can't fail any more; else `settle` or `end` follows.
    pub fn started(&mut self, certain: bool) {
        let shows = self.attach != Attach::default();
        if certain || shows {
            self.reply(&Reply::Started);
        }
        self.start = match (certain, shows) {
            (true, _) => Start::Certain,
            (false, true) => Start::Told,
            (false, false) => Start::Untold,
        };
    }

    /// The start has not failed.
    pub fn settle(&mut self) {
        if std::mem::take(&mut self.start) == Start::Untold {
            self.reply(&Reply::Started);
        }
    }

    /// They are.
    pub fn limited(&mut self) {
        if std::mem::take(&mut self.awaits_limits) {
            self.reply(&Reply::Done);
        }
    }

    /// The target has ended: its code, and no more of its streams. `failed`: since its start has failed after all.
    pub fn end(&mut self, code: i32, failed: Option<&StartFailure>) {
        self.attach = Attach::default();
        if let Some(failure) = failed
            && std::mem::take(&mut self.start) != Start::Certain
        {
            self.waits = false;
            return self.reply(&Reply::Failed(failure.clone()));
        }
        self.settle();
        if std::mem::take(&mut self.waits) {
            self.reply(&Reply::Exited(code));
        }
    }

    fn send(&mut self, packet: Vec<u8>) {
        if self.gone {
            return;
        }
        self.backlog.push_back(packet);
        self.flush();
    }

    /// Sends what there is room for.
    pub fn flush(&mut self) {
        while let Some(packet) = self.backlog.front() {
            match socket::send(self.socket.as_fd(), &[packet], &[]) {
                Ok(true) => drop(self.backlog.pop_front()),
                Ok(false) => return,
                Err(_) => return self.give_up(),
            }
        }
    }

    /// The peer is gone: whatever is left for it has no reader.
    pub fn give_up(&mut self) {
        self.gone = true;
        self.backlog.clear();
    }

    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Whether the program must wait until this client has read.
    pub fn is_behind(&self) -> bool {
        !self.backlog.is_empty()
    }

    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<socket::Received> {
        socket::receive(self.socket.as_fd(), buffer)
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
