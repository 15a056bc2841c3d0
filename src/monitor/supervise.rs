//! The monitor's life: become PID 1 of its own pid namespace, start the container, one poll loop, the exit record, cleanup.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use nix::sched::CloneFlags;
use nix::sys::signal::Signal;
use rustix::process::Pid;

use super::begin::{self, Running};
use super::client::Client;
use super::input::Input;
use super::log::LogWriter;
use super::network::NetworkOrders;
use super::output::{Output, Read};
use super::protocol::{Attach, CHUNK, FromClient, Reply, Request, StartFailure, parse_request};
use crate::container::{ContainerId, Containers, ExitRecord, LockedRecord, Record, RunState};
use crate::paths::Paths;
use crate::runtime::cgroup;
use crate::runtime::execute::{Init, Launch};
use crate::runtime::home::{self, Gate};
use crate::sys::fs::remove_path;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::process::{self, Forked, ProcessName};
use crate::sys::signal::Signals;
use crate::sys::{namespace, pidfd, role, socket, terminal};

/// How long clients that do not read may keep an ended monitor.
const LINGER: Duration = Duration::from_secs(30);

/// The code of a program that could not load a page of its own file (SIGBUS).
const FAULT: i32 = 128 + libc::SIGBUS;

/// What the monitor is told when it is born.
pub struct Orders {
    pub paths: Paths,
    pub id: ContainerId,
    pub name: String,
    pub directory: PathBuf,
    pub launch: Launch,
    /// What connects the container's network; None: nothing does, or it is the host's.
    pub network: Option<NetworkOrders>,
    /// Keep the program's standard input open.
    pub open_stdin: bool,
    pub auto_remove: bool,
    /// The size of the client's terminal.
    pub terminal_size: Option<(u16, u16)>,
    /// What the client that starts it wants.
    pub attach: Attach,
    /// That client also waits for the exit.
    pub wait: bool,
}

/// How the monitor comes into the world: the socket of the client that starts it, and the gate of its user namespace.
pub struct Birth {
    pub client: OwnedFd,
    pub gate: Gate,
}

/// Runs in the role that entered the home namespace: leaves the session, forks the monitor into a pid namespace of its own
/// (when it is killed, the kernel ends everything below it), and ends.
pub fn run(orders: Orders, birth: Birth) -> i32 {
    let _ = rustix::process::setsid();
    let detached = process::detach_standard_streams()
        .and_then(|()| namespace::leave(CloneFlags::CLONE_NEWPID));
    if let Err(error) = detached {
        return refuse(birth.client, "leave the session", &error);
    }
    match process::fork() {
        Ok(Forked::Parent(_)) => {
            // The id map is written through this process, and once it has ended its files below /proc belong to root.
            birth.gate.wait();
            0
        }
        Ok(Forked::Child) => supervise(orders, birth),
        Err(error) => refuse(birth.client, "fork the monitor", &error),
    }
}

fn refuse(client: OwnedFd, operation: &str, error: &io::Error) -> i32 {
    let failure = StartFailure::Monitor {
        operation: operation.to_owned(),
        message: error.to_string(),
    };
    Client::new(client).reply(&Reply::Failed(failure));
    125
}

fn supervise(orders: Orders, birth: Birth) -> i32 {
    role::set(&format!("monitor {}", orders.name));
    let _ = rustix::process::chdir("/");
    tracing::debug!(id = %orders.id, "begin");
    let mut client = Client::new(birth.client);
    let begun = Monitor::begin(orders, birth.gate);
    let (mut monitor, started) = match begun {
        Ok(begun) => begun,
        Err(failure) => {
            client.reply(&Reply::Failed(failure));
            return 125;
        }
    };
    client.attach = monitor.orders.attach;
    client.waits = monitor.orders.wait;
    tracing::debug!(pid = monitor.init.host_pid, "the program runs");
    client.reply(&Reply::Started);
    monitor.clients.push(client);
    process::trim_memory();
    let code = monitor.watch(started);
    tracing::debug!(code, "the program ended");
    monitor.end(code);
    0
}

/// What begin hands to the loop: the sources of output.
struct Started {
    outputs: Vec<Output>,
}

struct Monitor {
    orders: Orders,
    locked: Option<LockedRecord>,
    state: RunState,
    init: Init,
    /// Serves the root filesystem, if the kernel does not.
    daemon: Option<Pid>,
    /// What ended the container before its program did.
    failure: Option<&'static str>,
    input: Input,
    /// The terminal's master, for its size.
    terminal: Option<OwnedFd>,
    clients: Vec<Client>,
    listener: OwnedFd,
    signals: Signals,
    log: LogWriter,
}

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

pub(super) fn failure(operation: &str) -> impl Fn(io::Error) -> StartFailure {
    let operation = operation.to_owned();
    move |error| StartFailure::Monitor {
        operation: operation.clone(),
        message: error.to_string(),
    }
}

impl Monitor {
    fn begin(orders: Orders, gate: Gate) -> Result<(Monitor, Started), StartFailure> {
        let locked = LockedRecord::acquire(&orders.directory)
            .map_err(failure("lock the container's record"))?;
        let locked = locked.ok_or_else(|| StartFailure::Running {
            name: orders.name.clone(),
        })?;
        let signals = Signals::watch(&[Signal::SIGCHLD]).map_err(failure("watch for children"))?;
        let run = locked.last().map_or(1, |last| last.run + 1);
        let monitor = ProcessName::own().map_err(failure("read the monitor's own pid"))?;
        let state = RunState {
            run,
            monitor,
            init: 0,
            started: String::new(),
            driver: String::new(),
            code: None,
        };
        locked
            .write(&state)
            .map_err(failure("write the run state"))?;
        let (listener, log, running) = Monitor::set_out(&orders, monitor, gate)
            .inspect_err(|error| abandon(&orders, &locked, &state, error))?;
        let Running {
            init,
            terminal,
            input,
            outputs,
            driver,
            daemon,
        } = running;
        let mut monitor = Monitor {
            input: Input::new(input),
            daemon,
            failure: None,
            locked: Some(locked),
            clients: Vec::new(),
            orders,
            state,
            init,
            terminal,
            listener,
            signals,
            log,
        };
        monitor.state.init = monitor.init.host_pid;
        monitor.state.driver = driver.name().to_owned();
        monitor.state.started = Timestamp::now().to_string();
        let locked = monitor.locked.as_ref().expect("set above");
        locked
            .write(&monitor.state)
            .map_err(failure("write the run state"))?;
        Ok((monitor, Started { outputs }))
    }

    /// Everything that can fail once the record says that there is a monitor.
    fn set_out(
        orders: &Orders,
        monitor: ProcessName,
        gate: Gate,
    ) -> Result<(OwnedFd, LogWriter, Running), StartFailure> {
        let listener = socket::listen(&orders.paths.monitor_socket(orders.id.as_str()));
        let listener = listener.map_err(failure("listen on the monitor's socket"))?;
        let log =
            LogWriter::open(&orders.directory.join("log")).map_err(failure("open the log"))?;
        if let Some(cgroup) = &orders.launch.cgroup {
            cgroup::create(cgroup).map_err(failure("make the container's cgroup"))?;
        }
        let founder = gate.is_new();
        if !gate.wait() {
            let gone = io::Error::from(io::ErrorKind::BrokenPipe);
            return Err(failure("wait for the id map")(gone));
        }
        // Whoever joined leaves the record at the member that was found, which has lived longer and may go on: a record that
        // names an ended container makes the next command search all of them.
        if founder {
            home::record(&orders.paths, monitor).map_err(failure("record the home namespace"))?;
        }
        Ok((listener, log, begin::start(orders)?))
    }

    /// Until init has ended and its output is drained; gives the exit code.
    fn watch(&mut self, mut started: Started) -> i32 {
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
            FromClient::Unknown => client.reply(&Reply::Version(super::protocol::VERSION)),
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

    /// The exit becomes visible, then known to the clients; only then the kernel's teardown of the namespaces begins.
    fn end(mut self, code: i32) {
        // Without its root the program may have died of a page it could not load any more: the reason is what counts.
        let code = if self.failure.is_some() { 137 } else { code };
        let _ = self.log.finish();
        let exit = ExitRecord {
            run: self.state.run,
            code,
            finished: Timestamp::now().to_string(),
            error: self.failure.unwrap_or_default().to_owned(),
        };
        let discarded = self
            .orders
            .auto_remove
            .then(|| discard(&self.orders))
            .flatten();
        if discarded.is_none() {
            self.record_exit(&exit);
        }
        for client in self.clients.iter_mut().filter(|client| client.waits) {
            client.reply(&Reply::Exited(code));
        }
        let _ = std::fs::remove_file(self.orders.paths.monitor_socket(self.orders.id.as_str()));
        self.linger();
        // Closing the namespaces unmounts the root, which may take a while: nobody waits for it.
        self.init.mount_namespace = None;
        self.init.network_namespace = None;
        if let Some(cgroup) = &self.orders.launch.cgroup {
            let _ = cgroup::remove(cgroup);
        }
        if let Some(rubbish) = discarded {
            let _ = remove_path(&rubbish);
        }
        // The lock goes last: whoever sees it free may use the directory.
        drop(self.locked.take());
    }

    /// Where the disk is full, the code at least fits into the state, which has its place already.
    fn record_exit(&mut self, exit: &ExitRecord) {
        let durable = !self.orders.auto_remove;
        let written = Record::write_exit(&self.orders.directory, exit, durable);
        if let (Err(_), Some(locked)) = (written, &self.locked) {
            self.state.code = Some(exit.code);
            let _ = locked.write(&self.state);
        }
    }

    /// Sends what clients have not read yet.
    fn linger(&mut self) {
        let deadline = std::time::Instant::now() + LINGER;
        loop {
            self.clients
                .retain(|client| client.is_behind() && !client.is_gone());
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            if self.clients.is_empty() || left.is_zero() {
                return;
            }
            let mut set = PollSet::new();
            for (index, client) in self.clients.iter().enumerate() {
                set.add(client.as_fd(), Interest::Write, index);
            }
            for index in set.wait(Some(left)).unwrap_or_default() {
                self.clients[index].flush();
            }
        }
    }
}

/// A start that failed: the record says so, and a container that is removed when it ends is removed.
fn abandon(orders: &Orders, locked: &LockedRecord, state: &RunState, error: &StartFailure) {
    let exit = ExitRecord {
        run: state.run,
        code: error.exit_code(),
        finished: Timestamp::now().to_string(),
        error: error.to_string(),
    };
    let _ = locked.write(state);
    let _ = Record::write_exit(&orders.directory, &exit, !orders.auto_remove);
    let _ = std::fs::remove_file(orders.paths.monitor_socket(orders.id.as_str()));
    if let Some(cgroup) = &orders.launch.cgroup {
        let _ = cgroup::remove(cgroup);
    }
    if orders.auto_remove
        && let Some(rubbish) = discard(orders)
    {
        let _ = remove_path(&rubbish);
    }
}

fn discard(orders: &Orders) -> Option<PathBuf> {
    let record = Record {
        id: orders.id.clone(),
        directory: orders.directory.clone(),
    };
    Containers::new(&orders.paths)
        .discard(&record, &orders.name)
        .ok()
}
