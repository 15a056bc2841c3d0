//! The monitor's poll loop: output to log and clients, input to the program, requests, the children's ends.

use std::io;
use std::os::fd::AsFd;

use super::client::Client;
use super::output::{Output, Read};
use super::protocol::{CHUNK, FromClient, Reply, Request, VERSION, parse_request};
use super::supervise::{Monitor, Started};
use crate::runtime::cgroup;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::{pidfd, socket, terminal};

/// The code of a program that could not load a page of its own file (SIGBUS).
const FAULT: i32 = 128 + libc::SIGBUS;

/// What the loop waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Child,
    Listener,
    Output(usize),
    Input,
    Client(usize),
    Backlog(usize),
}

impl Monitor {
    /// Until init has ended and its output is drained; gives the exit code.
    pub(super) fn watch(&mut self, mut started: Started) -> i32 {
        let mut buffer = vec![0; socket::MESSAGE_MAX];
        let mut code = None;
        while code.is_none() {
            for token in self.wait(&started.outputs) {
                match token {
                    Token::Child => code = self.reap().or(code),
                    Token::Listener => self.accept(),
                    Token::Output(index) => {
                        let _ = self.copy_output(&mut started.outputs[index], &mut buffer);
                    }
                    Token::Input => self.input.flush(),
                    Token::Client(index) => self.serve(index, &mut buffer),
                    Token::Backlog(index) => self.clients[index].flush(),
                }
            }
            self.clients.retain(|client| !client.is_gone());
        }
        // Everything in the container is dead now, so what the pipes hold is all there will be.
        for output in &mut started.outputs {
            while self.copy_output(output, &mut buffer) {}
        }
        code.unwrap_or(255)
    }

    fn wait(&self, outputs: &[Output]) -> Vec<Token> {
        let mut set = PollSet::new();
        set.add(self.signals.as_fd(), Interest::Read, Token::Child);
        set.add(self.listener.as_fd(), Interest::Read, Token::Listener);
        // A client that does not keep up holds the program back: its output is never cut.
        if !self.clients.iter().any(Client::is_behind) {
            for (index, output) in outputs.iter().enumerate() {
                if let Some(source) = output.source() {
                    set.add(source, Interest::Read, Token::Output(index));
                }
            }
        }
        if let Some(target) = self.input.pending() {
            set.add(target, Interest::Write, Token::Input);
        }
        let reading = if self.input.is_full() {
            Interest::Hangup
        } else {
            Interest::Read
        };
        for (index, client) in self.clients.iter().enumerate() {
            set.add(client.as_fd(), reading, Token::Client(index));
            if client.is_behind() {
                set.add(client.as_fd(), Interest::Write, Token::Backlog(index));
            }
        }
        set.wait(None).unwrap_or_default()
    }

    /// Reaps all that has ended: init, whose code it gives, and orphans of the roles around it.
    fn reap(&mut self) -> Option<i32> {
        while let Ok(Some(_)) = self.signals.next() {}
        let mut code = None;
        while let Some((pid, ended)) = pidfd::reap_any() {
            if pid == self.init.pid {
                code = Some(ended);
            } else if self.daemon == Some(pid) && code.is_none_or(|code| code == FAULT) {
                // Nothing in the container can be opened any more; it may have died of that already.
                self.failure = Some("fuse-overlayfs ended, and the root filesystem with it");
                let _ = pidfd::kill_hard(self.init.pidfd.as_fd());
            }
        }
        code
    }

    fn accept(&mut self) {
        while let Ok(Some(socket)) = socket::accept(self.listener.as_fd()) {
            self.clients.push(Client::new(socket));
        }
    }

    /// Copies one read's worth to the log and the clients; `false` when there is no more for now.
    fn copy_output(&mut self, output: &mut Output, buffer: &mut [u8]) -> bool {
        let Read::Bytes(length) = output.read(&mut buffer[..CHUNK]) else {
            return false;
        };
        let bytes = &buffer[..length];
        // A full disk must not stop the program; what could not be logged is lost from the log alone.
        let _ = self.log.take(output.stream, bytes);
        for client in &mut self.clients {
            client.output(output.stream, bytes);
        }
        true
    }

    fn serve(&mut self, index: usize, buffer: &mut [u8]) {
        let client = &mut self.clients[index];
        let length = match client.receive(buffer) {
            Ok(socket::Received::Message(length, _)) => length,
            Ok(socket::Received::Empty) => return,
            Ok(socket::Received::Closed) | Err(_) => return client.give_up(),
        };
        match parse_request(&buffer[..length]) {
            FromClient::Input(bytes) if client.attach.stdin => self.input.push(bytes),
            FromClient::InputEnd if client.attach.stdin => {
                if self.terminal.is_none() {
                    self.input.end();
                }
            }
            FromClient::Request(request) => self.answer(index, &request),
            FromClient::Input(_) | FromClient::InputEnd => {
                client.reply(&Reply::Refused("stdin is not attached".into()))
            }
            FromClient::Unknown => client.reply(&Reply::Version(VERSION)),
        }
    }

    fn answer(&mut self, index: usize, request: &Request) {
        let done = match request {
            Request::Attach(attach) => {
                self.clients[index].attach = *attach;
                self.clients[index].waits = true;
                Ok(())
            }
            Request::Wait => {
                self.clients[index].waits = true;
                return;
            }
            Request::Signal(number) => self.signal(*number),
            Request::Resize { rows, columns } => match &self.terminal {
                Some(terminal) => terminal::set_size(terminal.as_fd(), (*rows, *columns)),
                None => Ok(()),
            },
        };
        let reply = match done {
            Ok(()) => Reply::Done,
            Err(error) => Reply::Refused(error.to_string()),
        };
        self.clients[index].reply(&reply);
    }

    fn signal(&self, number: i32) -> io::Result<()> {
        if number == libc::SIGKILL
            && let Some(cgroup) = &self.orders.launch.cgroup
        {
            cgroup::kill(cgroup);
        }
        pidfd::kill(self.init.pidfd.as_fd(), number)
    }
}
