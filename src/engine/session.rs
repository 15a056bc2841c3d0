//! A conversation with a running container in the foreground: output, input, the terminal, signals, and its end.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::Signal;

use super::EngineError;
use crate::monitor::{CHUNK, Connection, FromMonitor, Reply, Request, Stream};
use crate::sys::poll::{Interest, PollSet};
use crate::sys::signal::Signals;
use crate::sys::terminal::{self, RawMode};

/// A connection to a monitor that has been asked for streams, an exit, or both.
pub struct Session {
    pub connection: Connection,
    pub name: String,
    /// The container has a terminal.
    pub tty: bool,
}

/// How the client takes part.
#[derive(Clone, Debug)]
pub struct Foreground {
    pub stdin: bool,
    /// Forward the client's signals to the program.
    pub signal_proxy: bool,
    /// Typed in this order they detach; empty: nothing does.
    pub detach_keys: Vec<u8>,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Exited(i32),
    /// The container goes on without this client.
    Detached,
    /// Nobody reads the client's output any more; the container goes on.
    OutputClosed,
}

#[derive(Clone, Copy)]
enum Token {
    Monitor,
    Stdin,
    Signal,
    Room,
}

/// Forwarded to the program; SIGWINCH changes its terminal instead.
const PROXIED: [Signal; 9] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGALRM,
];

impl Session {
    /// Copies streams until the container ends or the client leaves.
    pub fn follow(self, foreground: Foreground) -> Result<Outcome, EngineError> {
        let stdin = io::stdin();
        let raw = match self.tty && foreground.stdin {
            true => RawMode::enter(stdin.as_fd())
                .map_err(EngineError::system("set the terminal to raw mode"))?,
            false => None,
        };
        let mut signals = vec![Signal::SIGWINCH];
        if foreground.signal_proxy {
            signals.extend(PROXIED);
        }
        let signals = Signals::watch(&signals).map_err(EngineError::system("watch for signals"))?;
        let reads_stdin = foreground.stdin;
        let mut follower = Follower {
            detach: DetachMatch::new(if raw.is_some() {
                foreground.detach_keys
            } else {
                Vec::new()
            }),
            session: self,
            signals,
            reads_stdin,
            pending: Vec::new(),
            input_ended: false,
        };
        follower.resize();
        let outcome = follower.run(stdin.as_fd());
        drop(raw);
        outcome
    }

    /// Waits for the exit without streams.
    pub fn wait(mut self) -> Result<i32, EngineError> {
        loop {
            match self.connection.reply() {
                Ok(Some(Reply::Exited(code))) => return Ok(code),
                Ok(Some(_)) => {}
                _ => return Err(EngineError::MonitorDied { name: self.name }),
            }
        }
    }
}

struct Follower {
    session: Session,
    signals: Signals,
    detach: DetachMatch,
    /// Standard input is open and wanted.
    reads_stdin: bool,
    /// Input that the monitor had no room for.
    pending: Vec<u8>,
    input_ended: bool,
}

impl Follower {
    fn run(&mut self, stdin: BorrowedFd<'_>) -> Result<Outcome, EngineError> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let mut set = PollSet::new();
            set.add(
                self.session.connection.as_fd(),
                Interest::Read,
                Token::Monitor,
            );
            set.add(self.signals.as_fd(), Interest::Read, Token::Signal);
            if !self.pending.is_empty() {
                set.add(
                    self.session.connection.as_fd(),
                    Interest::Write,
                    Token::Room,
                );
            } else if self.reads_stdin {
                set.add(stdin, Interest::Read, Token::Stdin);
            }
            let ready = set
                .wait(None)
                .map_err(EngineError::system("wait for the container"))?;
            for token in ready {
                let ended = match token {
                    Token::Monitor => self.receive()?,
                    Token::Signal => self.forward_signals(),
                    Token::Stdin => self.read_input(stdin, &mut buffer),
                    Token::Room => {
                        self.send_input();
                        None
                    }
                };
                if let Some(outcome) = ended {
                    return Ok(outcome);
                }
            }
        }
    }

    fn receive(&mut self) -> Result<Option<Outcome>, EngineError> {
        let name = self.session.name.clone();
        match self.session.connection.receive() {
            Ok(FromMonitor::Output(stream, bytes)) => Ok(write_output(stream, bytes)),
            Ok(FromMonitor::Reply(Reply::Exited(code))) => Ok(Some(Outcome::Exited(code))),
            Ok(FromMonitor::Reply(Reply::Failed(failure))) => Err(EngineError::Start(failure)),
            Ok(FromMonitor::Reply(Reply::Version(theirs))) => Err(EngineError::MonitorVersion {
                name,
                theirs,
                ours: crate::monitor::VERSION,
            }),
            Ok(FromMonitor::Reply(_) | FromMonitor::Nothing) => Ok(None),
            Ok(FromMonitor::Closed) | Err(_) => Err(EngineError::MonitorDied { name }),
        }
    }

    fn forward_signals(&mut self) -> Option<Outcome> {
        while let Ok(Some(number)) = self.signals.next() {
            if number == libc_sigwinch() {
                self.resize();
            } else if self.session.tty && number == Signal::SIGHUP as i32 {
                // The terminal was closed: the container stays, as in docker.
                return Some(Outcome::Detached);
            } else {
                let _ = self.session.connection.request(&Request::Signal(number));
            }
        }
        None
    }

    fn resize(&self) {
        if !self.session.tty {
            return;
        }
        if let Some((rows, columns)) = terminal::size(io::stdout().as_fd()) {
            let _ = self
                .session
                .connection
                .request(&Request::Resize { rows, columns });
        }
    }

    fn read_input(&mut self, stdin: BorrowedFd<'_>, buffer: &mut [u8]) -> Option<Outcome> {
        let length = match rustix::io::read(stdin, &mut *buffer) {
            Ok(length) => length,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => return None,
            Err(_) => 0,
        };
        if length == 0 {
            self.reads_stdin = false;
            self.input_ended = true;
            self.send_input();
            return None;
        }
        let detached = self.detach.filter(&buffer[..length], &mut self.pending);
        self.send_input();
        detached.then_some(Outcome::Detached)
    }

    fn send_input(&mut self) {
        while !self.pending.is_empty() {
            let length = self.pending.len().min(CHUNK);
            match self.session.connection.try_input(&self.pending[..length]) {
                Ok(true) => drop(self.pending.drain(..length)),
                Ok(false) => return,
                // The exit is on its way.
                Err(_) => self.pending.clear(),
            }
        }
        if std::mem::take(&mut self.input_ended) {
            let _ = self.session.connection.end_input();
        }
    }
}

fn libc_sigwinch() -> i32 {
    Signal::SIGWINCH as i32
}

/// Straight to the descriptor: the standard library's buffer would keep the last line.
fn write_output(stream: Stream, bytes: &[u8]) -> Option<Outcome> {
    let written = match stream {
        Stream::Stdout => {
            let mut out = io::stdout().lock();
            out.write_all(bytes).and_then(|()| out.flush())
        }
        Stream::Stderr => io::stderr().lock().write_all(bytes),
    };
    match written {
        Ok(()) => None,
        Err(_) => Some(Outcome::OutputClosed),
    }
}

/// Recognises the detach keys in what is typed; a prefix of them is held back until it is known to be none.
struct DetachMatch {
    keys: Vec<u8>,
    matched: usize,
}

impl DetachMatch {
    fn new(keys: Vec<u8>) -> DetachMatch {
        DetachMatch { keys, matched: 0 }
    }

    /// Passes on what is no detach sequence; `true` when the sequence is complete.
    fn filter(&mut self, typed: &[u8], onward: &mut Vec<u8>) -> bool {
        for byte in typed {
            if self.keys.get(self.matched) == Some(byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return true;
                }
                continue;
            }
            onward.extend_from_slice(&self.keys[..self.matched]);
            self.matched = 0;
            if self.keys.first() == Some(byte) {
                self.matched = 1;
            } else {
                onward.push(*byte);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detach_keys_are_recognised_across_reads_and_otherwise_passed_on() {
        let mut keys = DetachMatch::new(vec![16, 17]);
        let mut onward = Vec::new();
        assert!(!keys.filter(b"a\x10", &mut onward));
        assert_eq!(onward, b"a");
        assert!(!keys.filter(b"b\x10\x10", &mut onward));
        assert_eq!(onward, b"a\x10b\x10");
        assert!(keys.filter(b"\x11", &mut onward));
        assert!(!DetachMatch::new(Vec::new()).filter(b"\x10\x11", &mut onward));
    }
}
