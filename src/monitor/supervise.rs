//! The monitor's life: become PID 1 of its own pid namespace, start the container, watch it (`watch`), end (`finish`).

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use jiff::Timestamp;
use nix::sched::CloneFlags;
use nix::sys::signal::Signal;
use rustix::process::Pid;

use super::begin::{self, Running};
use super::client::Client;
use super::finish::abandon;
use super::input::Input;
use super::log::{LogOrders, LogWriter};
use super::network::NetworkOrders;
use super::output::Output;
use super::passthrough::PassedStreams;
use super::protocol::{Attach, Reply, StartFailure};
use crate::container::{ContainerId, LockedRecord, LogDriver, RunState};
use crate::paths::Paths;
use crate::runtime::cgroup;
use crate::runtime::execute::{Init, Launch};
use crate::runtime::home::{self, Gate};
use crate::sys::process::{self, Forked, ProcessName};
use crate::sys::signal::Signals;
use crate::sys::{namespace, role, socket};

/// What the monitor is told when it is born.
pub struct Orders {
    pub paths: Paths,
    pub id: ContainerId,
    pub name: String,
    pub directory: PathBuf,
    pub launch: Launch,
    /// What connects the container's network; None: nothing does, or it is the host's.
    pub network: Option<NetworkOrders>,
    pub log: LogOrders,
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
    // Its streams are still the client's.
    let passed = match orders.log.driver {
        LogDriver::Passthrough => PassedStreams::own().map(Some),
        _ => Ok(None),
    };
    let passed = match passed {
        Ok(passed) => passed,
        Err(error) => return refuse(birth.client, "pass the streams on", &error),
    };
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
        Ok(Forked::Child) => supervise(orders, birth, passed),
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

fn supervise(orders: Orders, birth: Birth, passed: Option<PassedStreams>) -> i32 {
    role::set(&format!("monitor {}", orders.name));
    let _ = rustix::process::chdir("/");
    tracing::debug!(id = %orders.id, "begin");
    let mut client = Client::new(birth.client);
    let begun = Monitor::begin(orders, birth.gate, passed);
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
pub(super) struct Started {
    pub outputs: Vec<Output>,
}

pub(super) struct Monitor {
    pub orders: Orders,
    pub locked: Option<LockedRecord>,
    pub state: RunState,
    pub init: Init,
    /// Serves the root filesystem, if the kernel does not.
    pub daemon: Option<Pid>,
    /// What ended the container before its program did.
    pub failure: Option<&'static str>,
    pub input: Input,
    /// The terminal's master, for its size.
    pub terminal: Option<OwnedFd>,
    pub clients: Vec<Client>,
    pub listener: OwnedFd,
    pub signals: Signals,
    pub log: LogWriter,
}

pub(super) fn failure(operation: &str) -> impl Fn(io::Error) -> StartFailure {
    let operation = operation.to_owned();
    move |error| StartFailure::Monitor {
        operation: operation.clone(),
        message: error.to_string(),
    }
}

impl Monitor {
    fn begin(
        orders: Orders,
        gate: Gate,
        passed: Option<PassedStreams>,
    ) -> Result<(Monitor, Started), StartFailure> {
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
        let (listener, log, running) = Monitor::set_out(&orders, monitor, gate, passed)
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
        passed: Option<PassedStreams>,
    ) -> Result<(OwnedFd, LogWriter, Running), StartFailure> {
        let listener = socket::listen(&orders.paths.monitor_socket(orders.id.as_str()));
        let listener = listener.map_err(failure("listen on the monitor's socket"))?;
        let log = LogWriter::open(&orders.log).map_err(failure("open the log"))?;
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
        Ok((listener, log, begin::start(orders, passed)?))
    }
}
