//! The monitor's poll loop: output to log and clients, input to the programs, the children's ends. What clients ask for is
//! `requests`.

use std::os::fd::AsFd;
use std::time::Duration;

use super::client::{Client, Target};
use super::exec::Change;
use super::output::{Output, Read};
use super::protocol::{CHUNK, Reply, Stream};
use super::stdio::Stdio;
use super::supervise::{Fault, Monitor};
use crate::runtime::sweep;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::{pidfd, socket};

/// The code of a program that could not load a page of its own file (SIGBUS).
const FAULT: i32 = 128 + libc::SIGBUS;

/// How long the end of whoever serves the root is waited for once a program may have died of it.
const ROOT_ENDING: Duration = Duration::from_millis(200);

/// What the loop waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Child,
    Listener,
    Alarm,
    Network,
    NullFile,
    Output(Target, usize),
    Input(Target),
    Entering(u64),
    Client(usize),
    Backlog(usize),
}

impl Monitor {
    /// Until init has ended and its output is drained; gives the exit code.
    pub(super) fn watch(&mut self) -> i32 {
        self.code = None;
        self.start_failed = false;
        while self.code.is_none() {
            self.turn();
        }
        if self.orders.launch.is_confined() {
            sweep::end_descendants();
        } else if self.state.shares_pids {
            sweep::end_all(self.orders.id.as_str());
            sweep::end(&self.state.helpers);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        // Everything in the container is dead now, so what the pipes hold is all there will be.
        for index in 0..self.stdio.outputs.len() {
            while self.copy_output(Target::Program, index, &mut buffer) {}
        }
        self.buffer = buffer;
        self.code.unwrap_or(255)
    }

    /// Waits for what is next and does it.
    pub(super) fn turn(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.is_empty() {
            // Not `resize`, which would touch every page of it.
            buffer = vec![0; socket::MESSAGE_MAX];
        }
        if self.checks.is_some() || self.kill_at.is_some() {
            self.tend();
        }
        for token in self.wait() {
            self.act(token, &mut buffer);
        }
        self.end_execs(&mut buffer);
        self.learn_of_way();
        self.tell_limited();
        self.drop_gone();
        self.buffer = buffer;
    }

    fn act(&mut self, token: Token, buffer: &mut [u8]) {
        match token {
            Token::Child => self.reap(),
            Token::Listener => self.accept(),
            // Whoever set the alarm looks at the clock.
            Token::Alarm => {
                if let Some(alarm) = &mut self.alarm {
                    alarm.silence();
                }
            }
            Token::Network => {
                if let Some(network) = &mut self.network {
                    network.hear();
                }
            }
            Token::NullFile => {
                if let Some(file) = &self.null_file {
                    file.cut();
                }
            }
            Token::Output(target, index) => {
                let _ = self.copy_output(target, index, buffer);
            }
            Token::Input(target) => {
                if let Some(stdio) = self.stdio_of(target) {
                    stdio.input.flush();
                }
            }
            Token::Entering(number) => self.advance(number),
            Token::Client(index) => self.serve(index, buffer),
            Token::Backlog(index) => self.clients[index].flush(),
        }
    }

    fn wait(&self) -> Vec<Token> {
        let mut set = PollSet::new();
        set.add(self.signals.as_fd(), Interest::Read, Token::Child);
        set.add(self.listener.as_fd(), Interest::Read, Token::Listener);
        if let Some(alarm) = &self.alarm {
            set.add(alarm.as_fd(), Interest::Read, Token::Alarm);
        }
        if let Some(source) = self.network.as_ref().and_then(|network| network.source()) {
            set.add(source, Interest::Read, Token::Network);
        }
        if let Some(file) = &self.null_file {
            set.add(file.source(), Interest::Read, Token::NullFile);
        }
        self.add_streams(&mut set, Target::Program, &self.stdio);
        for exec in &self.execs {
            // Its client hears of the start before it hears of output.
            match exec.entering() {
                Some(entering) => {
                    let token = Token::Entering(exec.number);
                    set.add(entering.source(), Interest::Read, token);
                }
                None => self.add_streams(&mut set, Target::Exec(exec.number), &exec.stdio),
            }
        }
        for (index, client) in self.clients.iter().enumerate() {
            let full = self
                .streams_of(client.target)
                .is_some_and(|stdio| stdio.input.is_full());
            let reading = if full {
                Interest::Hangup
            } else {
                Interest::Read
            };
            set.add(client.as_fd(), reading, Token::Client(index));
            if client.is_behind() {
                set.add(client.as_fd(), Interest::Write, Token::Backlog(index));
            }
        }
        set.wait(None).unwrap_or_default()
    }

    fn add_streams<'a>(&'a self, set: &mut PollSet<'a, Token>, target: Target, stdio: &'a Stdio) {
        let behind = |client: &Client| client.target == target && client.is_behind();
        // A client that does not keep up holds the program back: its output is never cut.
        if !self.clients.iter().any(behind) {
            for (index, output) in stdio.outputs.iter().enumerate() {
                if let Some(source) = output.source() {
                    set.add(source, Interest::Read, Token::Output(target, index));
                }
            }
        }
        if let Some(pending) = stdio.input.pending() {
            set.add(pending, Interest::Write, Token::Input(target));
        }
    }

    fn streams_of(&self, target: Target) -> Option<&Stdio> {
        match target {
            Target::Program => Some(&self.stdio),
            Target::Exec(number) => self
                .execs
                .iter()
                .find(|exec| exec.number == number)
                .map(|exec| &exec.stdio),
        }
    }

    pub(super) fn stdio_of(&mut self, target: Target) -> Option<&mut Stdio> {
        match target {
            Target::Program => Some(&mut self.stdio),
            Target::Exec(number) => self
                .execs
                .iter_mut()
                .find(|exec| exec.number == number)
                .map(|exec| &mut exec.stdio),
        }
    }

    /// Reaps all that has ended: init, executed programs, and orphans of the roles around them.
    fn reap(&mut self) {
        while let Ok(Some(number)) = self.signals.next() {
            if number == libc::SIGTERM {
                self.end_with_host();
            }
        }
        let ends: Vec<_> = std::iter::from_fn(pidfd::reap_any).collect();
        // What was said before an end counts, and the pid of a clone is among it: read once nothing more can be said.
        let numbers: Vec<u64> = self.execs.iter().map(|exec| exec.number).collect();
        numbers.into_iter().for_each(|number| self.advance(number));
        for (pid, ended) in ends {
            if pid == self.init.pid {
                self.code = Some(ended);
            } else if self.daemon == Some(pid) && self.code.is_none_or(|code| code == FAULT) {
                // Nothing in the container can be opened any more; it may have died of that already.
                self.failure = Some(Fault::Root);
                let _ = pidfd::kill_hard(self.init.pidfd.as_fd());
            }
            for exec in &mut self.execs {
                exec.reaped(pid, ended);
            }
            self.log.reaped(pid, ended);
            self.rejoin_networks(pid);
        }
        if self.code == Some(FAULT) && self.failure.is_none() && self.is_root_ending() {
            self.failure = Some(Fault::Root);
        }
    }

    /// Whoever serves the root lets go of it before its own end is known: what died of that may be reaped first.
    fn is_root_ending(&self) -> bool {
        let Some(daemon) = self.daemon else {
            return false;
        };
        let flags = rustix::process::PidfdFlags::empty();
        let Ok(pidfd) = rustix::process::pidfd_open(daemon, flags) else {
            return false;
        };
        let mut set = PollSet::new();
        set.add(pidfd.as_fd(), Interest::Read, ());
        let ended = set.wait(Some(ROOT_ENDING));
        ended.is_ok_and(|ended| !ended.is_empty())
    }

    fn accept(&mut self) {
        while let Ok(Some(socket)) = socket::accept(self.listener.as_fd()) {
            self.clients.push(Client::new(socket));
        }
    }

    /// Copies one read's worth to the log and the clients; `false` when there is no more for now.
    fn copy_output(&mut self, target: Target, index: usize, buffer: &mut [u8]) -> bool {
        let Some(stdio) = self.stdio_of(target) else {
            return false;
        };
        let Some((stream, length)) = read(&mut stdio.outputs[index], buffer) else {
            return false;
        };
        let bytes = &buffer[..length];
        match (target, &mut self.checks) {
            // A full disk must not stop the program; what could not be logged is lost from the log alone.
            (Target::Program, _) => drop(self.log.take(stream, bytes)),
            (Target::Exec(number), Some(checks)) => checks.take_output(number, bytes),
            (Target::Exec(_), None) => {}
        }
        for client in &mut self.clients {
            if client.target == target {
                client.output(stream, bytes);
            }
        }
        true
    }

    /// Goes on with the setup of an executed program.
    fn advance(&mut self, number: u64) {
        let Some(exec) = self.execs.iter_mut().find(|exec| exec.number == number) else {
            return;
        };
        let reply = match exec.advance() {
            Change::Nothing => return,
            Change::Started => Reply::Started,
            Change::Failed(failure) => {
                self.execs.retain(|exec| exec.number != number);
                self.end_check(number, -1, &failure.to_string());
                Reply::Failed(failure)
            }
        };
        self.tell(Target::Exec(number), &reply);
    }

    fn tell(&mut self, target: Target, reply: &Reply) {
        for client in &mut self.clients {
            if client.target == target {
                client.reply(reply);
            }
        }
    }

    /// The executed programs that have ended: what their pipes hold, then their codes.
    fn end_execs(&mut self, buffer: &mut [u8]) {
        let mut at = 0;
        while at < self.execs.len() {
            let exec = &self.execs[at];
            let number = exec.number;
            if let Some(failure) = exec.died() {
                tracing::debug!(id = exec.id, "an executed program died in its setup");
                self.end_check(number, -1, &failure.to_string());
                self.tell(Target::Exec(number), &Reply::Failed(failure));
            } else if let Some(code) = exec.code() {
                self.end_exec(at, code, buffer);
            } else {
                at += 1;
                continue;
            }
            self.execs.remove(at);
        }
    }

    fn end_exec(&mut self, at: usize, code: i32, buffer: &mut [u8]) {
        let exec = &self.execs[at];
        let (id, target) = (exec.id.clone(), Target::Exec(exec.number));
        tracing::debug!(id, code, "an executed program ended");
        for index in 0..exec.stdio.outputs.len() {
            while self.copy_output(target, index, buffer) {}
        }
        self.end_check(self.execs[at].number, code, "");
        // A check of the health has none: it is told of by what follows from it.
        if !id.is_empty() {
            self.emit(
                "exec_die",
                &[("execID", id), ("exitCode", code.to_string())],
            );
        }
        let clients = self.clients.iter_mut();
        clients
            .filter(|client| client.target == target)
            .for_each(|client| client.end(code, None));
    }

    /// Clients that have left: the input that only they could give ends with them.
    fn drop_gone(&mut self) {
        let mut at = 0;
        while at < self.clients.len() {
            if !self.clients[at].is_gone() {
                at += 1;
                continue;
            }
            let client = self.clients.remove(at);
            if client.attach.stdin {
                self.end_input(client.target);
            }
            if self.orders.is_step && self.clients.is_empty() {
                // It is over if it has ended already.
                let _ = self.signal(libc::SIGKILL);
            }
        }
    }

    /// Docker's rule: the program's own input ends with a client only where its maker meant to attach to it.
    pub(super) fn end_input(&mut self, target: Target) {
        let keeps = target == Target::Program && !self.orders.stdin_once;
        if let Some(stdio) = self.stdio_of(target)
            && stdio.terminal.is_none()
            && !keeps
        {
            stdio.input.end();
        }
    }
}

/// The stream and how much of it is in the buffer now.
fn read(output: &mut Output, buffer: &mut [u8]) -> Option<(Stream, usize)> {
    match output.read(&mut buffer[..CHUNK]) {
        Read::Bytes(length) => Some((output.stream, length)),
        Read::Nothing | Read::End => None,
    }
}
