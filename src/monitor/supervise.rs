//! The monitor's life: become PID 1 of its own pid namespace, start the container, watch it (`watch`), end (`finish`).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::signal::Signal;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::begin::{self, Briefed, Running};
use super::bridged::{self, Bridged};
use super::client::Client;
use super::exec::Exec;
use super::fault;
use super::finish::abandon;
use super::guard;
use super::health::Checks;
use super::life::Wish;
use super::log::{LogOrders, LogWriter};
use super::network::NetworkOrders;
use super::null_file::NullFile;
use super::passthrough::PassedStreams;
use super::protocol::{Attach, Reply, StartFailure, VERSION};
use super::stdio::Stdio;
use crate::container::{
    ContainerId, Event, Folder, LockedRecord, LogDriver, RestartPolicy, RunState, Settings,
    VolumePlace,
};
use crate::paths::Paths;
use crate::runtime::cgroup::Wanted;
use crate::runtime::execute::{Init, Launch};
use crate::runtime::home;
use crate::runtime::preserved::Preserved;
use crate::sys::gate::Gate;
use crate::sys::process::{self, ProcessName};
use crate::sys::signal::Signals;
use crate::sys::timer::{Alarm, Moment};
use crate::sys::{role, socket};

/// What the monitor is told when it is born, or later if it was called before its container was made.
#[derive(Serialize, Deserialize)]
pub struct Orders {
    pub paths: Paths,
    pub id: ContainerId,
    pub name: String,
    pub directory: PathBuf,
    /// Sent by itself, since init is told it too.
    #[serde(skip)]
    pub launch: Launch,
    pub cgroup: Wanted,
    /// What connects the container's network; None: nothing does, or it is the host's.
    pub network: Option<NetworkOrders>,
    pub log: LogOrders,
    /// The client's streams, where the program gets them itself; the monitor takes them when it is born.
    #[serde(skip)]
    pub passed: Option<PassedStreams>,
    /// Keep the program's standard input open.
    /// The numbers that the program has for descriptors of whoever starts it; they are sent before these orders.
    pub preserves: Vec<i32>,
    #[serde(skip)]
    pub preserved: Preserved,
    pub open_stdin: bool,
    /// It ends with the first client that ends it: whoever made the container meant to attach to it.
    pub stdin_once: bool,
    pub auto_remove: bool,
    /// What may change later.
    pub settings: Settings,
    /// How bad health ends the program, and how long it has for that; None: for ever.
    pub stop_signal: i32,
    pub stop_grace: Option<Duration>,
    /// How long each of its lives may be; None: for ever.
    pub timeout: Option<Duration>,
    /// What its events have in common.
    pub identity: Event,
    /// They go with a container that is removed when it ends.
    pub anonymous_volumes: Vec<String>,
    pub volumes: Vec<VolumePlace>,
    /// The size of the client's terminal.
    pub terminal_size: Option<(u16, u16)>,
    /// What the client that starts it wants.
    pub attach: Attach,
    /// That client also waits for the exit.
    pub wait: bool,
    /// A step of a build: it ends with its client, and no event tells of it.
    pub is_step: bool,
    /// It was made by the command that starts it: nobody has changed it since.
    pub is_new: bool,
}

impl Orders {
    /// Where the user's systemd does not help, the container runs without a cgroup of its own, unless it has limits or a place for it.
    fn make_cgroup(&mut self) -> Result<(), StartFailure> {
        let made = self
            .cgroup
            .make(self.id.as_str(), &self.paths.cgroup_lock());
        self.launch.cgroup = match made {
            Err(error) if self.cgroup.is_optional() => {
                tracing::warn!(%error, "the container has no cgroup of its own");
                self.cgroup.failure = Some(error.to_string());
                None
            }
            made => made.map_err(|error| StartFailure::Monitor {
                operation: "give the container its cgroup".to_owned(),
                message: error.to_string(),
            })?,
        };
        Ok(())
    }
}

/// How the monitor comes into the world: the socket of the client that starts it, and the gate of its user namespace.
pub struct Birth {
    pub client: OwnedFd,
    pub gate: Gate,
}

/// Runs in the role that entered the home namespace: leaves the session, forks the monitor into a pid namespace of its own
/// (when it is killed, the kernel ends everything below it), and ends.
pub fn run(mut orders: Orders, mut birth: Birth) -> i32 {
    let _ = rustix::process::setsid();
    if orders.log.driver == LogDriver::Passthrough {
        // These are the client's still.
        match PassedStreams::own() {
            Ok(passed) => orders.passed = Some(passed),
            Err(error) => return refuse(birth.client, "pass the streams on", &error),
        }
    }
    match Preserved::receive(birth.client.as_fd(), &orders.preserves) {
        Ok(preserved) => orders.preserved = preserved,
        Err(error) => return refuse(birth.client, "preserve descriptors", &error),
    }
    if let Err(error) = process::detach_standard_streams() {
        return refuse(birth.client, "leave the session", &error);
    }
    // Outside the monitor's pid namespace, which ends with this container: others may come to use it.
    if let Some(NetworkOrders::Bridged(bridged)) = &orders.network
        && let Err(error) = bridged.holder.ensure_beside(&birth.gate)
    {
        let failure = bridged::explain(error);
        Client::new(birth.client).reply(&Reply::Failed(failure));
        return 125;
    }
    if orders.launch.is_confined() {
        match guard::stand() {
            Ok(true) => return 0,
            Ok(false) => {}
            Err(error) => return refuse(birth.client, "set a guard over the monitor", &error),
        }
    }
    match become_monitor(&orders.cgroup, orders.launch.shares_pids(), &mut birth.gate) {
        Ok(()) => supervise(orders, birth, None),
        Err(error) => refuse(birth.client, "clone the monitor", &error),
    }
}

/// Goes on in a clone. Where the home is there already nobody needs the caller any more, and its memory is the clone's.
pub(super) fn become_monitor(
    cgroup: &Wanted,
    shares_pids: bool,
    gate: &mut Gate,
) -> io::Result<()> {
    if !gate.is_new() {
        let directory = cgroup.birthplace();
        let flags = namespaces(shares_pids);
        match process::continue_in_clone(flags, directory.as_ref().map(AsFd::as_fd)) {
            Ok(()) => return Ok(()),
            Err(error) => tracing::debug!(%error, "the monitor is cloned with a copy"),
        }
    }
    if clone_monitor(cgroup, shares_pids)?.is_some() {
        // The id map is written through this process, and once it has ended its files below /proc belong to root.
        gate.wait();
        process::exit_now(0);
    }
    Ok(())
}

/// As PID 1 of a pid namespace, and straight into the cgroup of the monitors where that is possible. Both in one call: a namespace
/// made before would be spent with the first attempt.
fn clone_monitor(cgroup: &Wanted, shares_pids: bool) -> io::Result<Option<process::Cloned>> {
    let flags = namespaces(shares_pids);
    if let Some(directory) = cgroup.birthplace() {
        match process::clone3(flags, Some(directory.as_fd())) {
            Err(error) => tracing::debug!(%error, "the monitor has to be moved"),
            cloned => return cloned,
        }
    }
    process::clone3(flags, None)
}

/// Whoever lives in a pid namespace can't put a child into one beside or above it: the monitor of a container that shares another's
/// gets none.
fn namespaces(shares_pids: bool) -> u64 {
    if shares_pids {
        0
    } else {
        libc::CLONE_NEWPID as u64
    }
}

pub(super) fn refuse(client: OwnedFd, operation: &str, error: &io::Error) -> i32 {
    let failure = StartFailure::Monitor {
        operation: operation.to_owned(),
        message: error.to_string(),
    };
    Client::new(client).reply(&Reply::Failed(failure));
    125
}

/// As the monitor, with the init that was cloned beforehand if there is one.
pub(super) fn supervise(orders: Orders, birth: Birth, newborn: Option<Briefed>) -> i32 {
    role::set(&format!("monitor {}", orders.name));
    let _ = rustix::process::chdir("/");
    tracing::debug!(id = %orders.id, "begin");
    fault::step("begin");
    let mut client = Client::new(birth.client);
    let begun = Monitor::begin(orders, birth.gate, newborn);
    let mut monitor = match begun {
        Ok(begun) => begun,
        Err(failure) => {
            client.reply(&Reply::Failed(failure));
            return 125;
        }
    };
    client.attach = monitor.orders.attach;
    client.waits = monitor.orders.wait;
    tracing::debug!(pid = monitor.init.host_pid, "the program runs");
    fault::step("running");
    client.started(!monitor.is_ahead());
    fault::step("told");
    monitor.clients.push(client);
    process::trim_memory();
    let code = monitor.live();
    tracing::debug!(code, "the program ended");
    monitor.end(code);
    0
}

/// What ends a container before its program does.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("fuse-overlayfs ended, and the root filesystem with it")]
    Root,
    /// It turned out only then.
    #[error(transparent)]
    Start(StartFailure),
}

impl Fault {
    pub fn exit_code(&self) -> i32 {
        match self {
            Fault::Root => 137,
            Fault::Start(failure) => failure.exit_code(),
        }
    }

    pub fn of_start(&self) -> Option<&StartFailure> {
        match self {
            Fault::Root => None,
            Fault::Start(failure) => Some(failure),
        }
    }
}

pub(super) struct Monitor {
    pub orders: Orders,
    pub locked: Option<LockedRecord>,
    pub state: RunState,
    pub init: Init,
    /// Of the container's own program.
    pub stdio: Stdio,
    /// Serves the root filesystem, if the kernel does not.
    pub daemon: Option<Pid>,
    /// Its places in networks that it shares.
    pub network: Option<Box<Bridged>>,
    pub null_file: Option<NullFile>,
    /// What ended the container before its program did.
    pub failure: Option<Fault>,
    /// The program's exit code, once it has ended.
    pub code: Option<i32>,
    pub settings: Settings,
    /// Processes in it that were ended for want of memory, in the runs before this one.
    pub oom_kills: u64,
    /// What is to follow the program's end.
    pub wish: Wish,
    /// When the program began.
    pub begun: Moment,
    /// Before the last start again.
    pub pause: Duration,
    /// Of the container's health, if that is checked.
    pub checks: Option<Checks>,
    /// When the program is killed that was asked to end.
    pub kill_at: Option<Moment>,
    /// Between two runs.
    pub resting: bool,
    /// It has been started once only: should that turn out to have failed, it is not started again.
    pub is_first: bool,
    /// The last start failed: its end is recorded.
    pub start_failed: bool,
    /// Made when it is first set.
    pub alarm: Option<Alarm>,
    /// Programs executed beside it.
    pub execs: Vec<Exec>,
    /// How many there have been.
    pub exec_number: u64,
    pub clients: Vec<Client>,
    pub listener: OwnedFd,
    pub signals: Signals,
    pub log: LogWriter,
    /// What the loop reads into.
    pub buffer: Vec<u8>,
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
        mut orders: Orders,
        gate: Gate,
        newborn: Option<Briefed>,
    ) -> Result<Monitor, StartFailure> {
        let locked = match LockedRecord::acquire(&orders.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StartFailure::Removed {
                    name: orders.name.clone(),
                });
            }
            other => other.map_err(failure("lock the container's record"))?,
        };
        let locked = locked.ok_or_else(|| StartFailure::Running {
            name: orders.name.clone(),
        })?;
        fault::step("locked");
        // Whoever changed them had the lock before.
        if !orders.is_new
            && Settings::read(Folder::At(&orders.directory)).is_ok_and(|now| now != orders.settings)
        {
            let name = orders.name.clone();
            return Err(StartFailure::Changed { name });
        }
        let signals = Signals::watch(&[Signal::SIGCHLD, Signal::SIGTERM]);
        let signals = signals.map_err(failure("watch for signals"))?;
        let run = locked.last().map_or(1, |last| last.run + 1);
        let monitor = ProcessName::own().map_err(failure("read the monitor's own pid"))?;
        let state = RunState {
            run,
            monitor,
            protocol: VERSION,
            shares_pids: orders.launch.shares_pids(),
            confined: orders.launch.is_confined(),
            ..RunState::default()
        };
        locked
            .write(&state)
            .map_err(failure("write the run state"))?;
        fault::step("recorded");
        let (listener, log, running) = Monitor::set_out(&mut orders, monitor, gate, newborn)
            .inspect_err(|error| abandon(&orders, &locked, &state, error))?;
        let Running {
            init,
            stdio,
            driver,
            daemon,
            network,
            null_file,
        } = running;
        let mut monitor = Monitor {
            stdio,
            daemon,
            network,
            null_file,
            failure: None,
            code: None,
            settings: orders.settings.clone(),
            oom_kills: 0,
            wish: Wish::default(),
            begun: Moment::now(),
            pause: Duration::ZERO,
            checks: None,
            kill_at: None,
            resting: false,
            is_first: true,
            start_failed: false,
            alarm: None,
            execs: Vec::new(),
            exec_number: 0,
            locked: Some(locked),
            clients: Vec::new(),
            orders,
            state,
            init,
            listener,
            signals,
            log,
            buffer: Vec::new(),
        };
        if monitor.settings.restart == RestartPolicy::No {
            // Whoever reads from them waits for the program's end of them alone.
            monitor.orders.preserved = Preserved::default();
        }
        monitor.name_processes();
        monitor.state.driver = driver.name().to_owned();
        monitor.state.started = Timestamp::now().to_string();
        monitor.write_state();
        monitor.unmark_stopped();
        monitor.begin_checks();
        if monitor.orders.attach != Attach::default() {
            monitor.emit("attach", &[]);
        }
        monitor.emit_start();
        Ok(monitor)
    }

    /// Who runs now, for those who join or look for what is left.
    pub(super) fn name_processes(&mut self) {
        let init = self.init.host_pid;
        self.state.init = init;
        self.state.init_start = ProcessName::of(init).map_or(0, |init| init.start);
        self.state.helpers = match self.state.shares_pids {
            // There is room for few in the record, and there are no more than two.
            true => process::children(init).into_iter().take(3).collect(),
            false => Vec::new(),
        };
    }

    /// Everything that can fail once the record says that there is a monitor.
    fn set_out(
        orders: &mut Orders,
        monitor: ProcessName,
        mut gate: Gate,
        newborn: Option<Briefed>,
    ) -> Result<(OwnedFd, LogWriter, Running), StartFailure> {
        let listener = socket::listen(&orders.paths.monitor_socket(orders.id.as_str()));
        let listener = listener.map_err(failure("listen on the monitor's socket"))?;
        match &newborn {
            Some(newborn) => orders.launch.cgroup.clone_from(&newborn.cgroup),
            None => orders.make_cgroup()?,
        }
        fault::step("listening");
        if orders.launch.shares_pids() {
            process::adopt_orphans().map_err(failure("adopt what its helpers leave behind"))?;
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
        let mut log = None;
        let mut open_log = || {
            if log.is_none() {
                log = Some(LogWriter::open(&orders.log).map_err(failure("open the log"))?);
            }
            Ok(())
        };
        let running = begin::start(orders, newborn, &mut open_log)?;
        let log = log.expect("no start succeeds without it");
        Ok((listener, log, running))
    }
}
