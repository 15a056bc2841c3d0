//! `start`: a monitor for a container, and the first words with it.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::call::Called;
use super::containers::ListedContainer;
use super::create::{Known, Purpose};
use super::exec::{ask, unexpected};
use super::request::{CreateRequest, PsFilters, PsRequest, StopTimeout};
use super::session::Session;
use super::starting::Starting;
use super::stop::{grace, own_signal};
use super::{Engine, EngineError};
use crate::container::{ContainerConfig, Event, Record, Status};
use crate::image::{Image, TempLayer};
use crate::monitor::{
    self, Attach, Birth, Connection, Orders, Reply, Request, StartFailure, VERSION,
};
use crate::runtime::home::Entered;
use crate::runtime::preserved::Preserved;
use crate::runtime::sweep;
use crate::sys::{fault, pidfd, socket};

/// How long another command may hold a container that does not run, as those do that copy.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Before it is tried again.
pub(super) const SOON: Duration = Duration::from_millis(5);

/// What whoever starts a container wants to see of it.
#[derive(Debug, Default)]
pub struct StartOptions {
    pub attach: Attach,
    /// Be told of the exit.
    pub wait: bool,
    /// Rows and columns of the client's terminal.
    pub terminal_size: Option<(u16, u16)>,
    /// What the program gets of the client's descriptors; this start alone.
    pub preserved: Preserved,
    /// One of several: what they share is started for all of them, and outlives each.
    pub beside: bool,
}

impl Engine {
    /// Makes a container of an image that is in the store and starts it, with the monitor that was called for it if there is one.
    pub fn run(
        &self,
        request: &CreateRequest,
        image: &Image,
        called: Option<Called>,
        options: StartOptions,
    ) -> Result<(Record, Session), EngineError> {
        let id = called.as_ref().map(|called| called.id.clone());
        // Its lock is held until the container runs.
        let made = self.make(request, image, id, Purpose::Now)?;
        let session = self.launch(&made.record, &made.known, called, &options)?;
        Ok((made.record, session))
    }

    /// Runs a step of a build: a container of nobody's, on these directories below `layers/`, whose own layer is `layer`. Its
    /// end is the session's; a session that ends before ends it.
    pub fn run_step(
        &self,
        request: &CreateRequest,
        base: &Image,
        below: &[String],
        layer: &TempLayer,
    ) -> Result<Session, EngineError> {
        let made = layer.make_work();
        made.map_err(EngineError::system("make a directory for overlayfs"))?;
        let purpose = Purpose::Step {
            below,
            layer: layer.name(),
        };
        let made = self.make(request, base, None, purpose)?;
        let options = StartOptions {
            attach: Attach {
                stdout: true,
                stderr: true,
                ..Attach::default()
            },
            wait: true,
            ..StartOptions::default()
        };
        self.launch(&made.record, &made.known, None, &options)
    }

    /// Starts a created or ended container. Returns when its program runs. Docker: starting what runs is no error.
    pub fn start(&self, record: &Record, options: StartOptions) -> Result<Session, EngineError> {
        let began = Instant::now();
        loop {
            let config = self.config_of(record)?;
            let name = self.containers.name_after(record, &config.name);
            if matches!(record.status(), Ok(Status::Paused(_))) {
                return Err(EngineError::StartPaused { name });
            }
            self.wait_for_last_monitor(record, &name)?;
            let settings = record.settings();
            let settings =
                settings.map_err(EngineError::file("read", &record.path("settings.json")))?;
            fault::linger("settings read");
            let known = Known {
                config,
                settings,
                is_new: false,
            };
            match self.launch(record, &known, None, &options) {
                Err(EngineError::Start(StartFailure::Changed { .. }))
                    if began.elapsed() <= PATIENCE => {}
                Err(EngineError::Start(StartFailure::Running { .. })) => {
                    let tty = known.config.process.tty;
                    if let Some(session) = self.join(record, &name, tty, options.attach)? {
                        return Ok(session);
                    }
                    if began.elapsed() > PATIENCE {
                        return Err(EngineError::Silent { name });
                    }
                    std::thread::sleep(SOON);
                }
                launched => return launched,
            }
        }
    }

    fn launch(
        &self,
        record: &Record,
        known: &Known,
        called: Option<Called>,
        options: &StartOptions,
    ) -> Result<Session, EngineError> {
        let config = &known.config;
        let name = self.containers.name_after(record, &config.name);
        // Nobody waits in the home namespace while others are started.
        let mut called = called;
        if !config.host.requires.is_empty() {
            self.dismiss(&mut called);
        }
        self.start_required(config)?;
        let started = self.begin(record, known, name.clone(), called, options);
        started
            .map_err(|error| error.or_removed(record))
            .inspect_err(|_| self.forget(record, config, &name))
    }

    /// Those that it cannot do without; each of them the same for its own.
    pub(super) fn start_required(&self, config: &ContainerConfig) -> Result<(), EngineError> {
        for id in &config.host.requires {
            let record = self.find(id)?;
            if !record.status().is_ok_and(|status| status.is_running()) {
                self.start(&record, StartOptions::default())?;
            }
        }
        Ok(())
    }

    fn begin(
        &self,
        record: &Record,
        known: &Known,
        name: String,
        called: Option<Called>,
        options: &StartOptions,
    ) -> Result<Session, EngineError> {
        let starting = self.order(record, known, name, called, options)?;
        self.answer(starting)
    }

    /// A monitor with its orders.
    pub(super) fn order(
        &self,
        record: &Record,
        known: &Known,
        name: String,
        called: Option<Called>,
        options: &StartOptions,
    ) -> Result<Starting, EngineError> {
        let Known {
            config, settings, ..
        } = known;
        tracing::debug!(name, network = config.host.network, "prepare the launch");
        let log = self.log_orders(record, config, &settings.log, &name)?;
        let prepared = self.prepare(record, known, called.as_ref())?;
        let network = self.network_orders(record, config, settings, &name, prepared.dns_forward)?;
        let orders = Orders {
            paths: self.paths.clone(),
            id: record.id.clone(),
            name: name.clone(),
            directory: record.directory.clone(),
            launch: prepared.launch,
            cgroup: prepared.cgroup,
            network,
            log,
            passed: None,
            preserves: options.preserved.numbers().to_vec(),
            preserved: Preserved::default(),
            open_stdin: config.process.open_stdin,
            stdin_once: config.process.stdin_once(),
            auto_remove: config.host.auto_remove,
            anonymous_volumes: config.anonymous_volumes(),
            volumes: config.volume_places(),
            settings: settings.clone(),
            stop_signal: own_signal(config).number(),
            stop_grace: grace(config, StopTimeout::Default),
            timeout: Some(config.host.timeout)
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
            identity: Event::container(config, &name, ""),
            terminal_size: options.terminal_size,
            attach: options.attach,
            wait: options.wait,
            is_step: config.host.step.is_some(),
            is_new: known.is_new,
        };
        let called = called.as_ref();
        match called {
            Some(called) => self.start_holder_beside(called, orders.network.as_ref()),
            None if options.beside => self.start_holder(orders.network.as_ref()),
            None => {}
        }
        let told = called.and_then(|called| self.tell(called, &orders));
        let (ours, entered) =
            told.map_or_else(|| self.call_with(orders, &options.preserved), Ok)?;
        Ok(Starting {
            connection: Connection::over(ours),
            entered,
            name,
            tty: config.process.tty,
        })
    }

    /// Waits until its program runs.
    pub(super) fn answer(&self, starting: Starting) -> Result<Session, EngineError> {
        let Starting {
            mut connection,
            entered,
            name,
            tty,
        } = starting;
        tracing::debug!(name, "wait for the monitor");
        let reply = connection.reply();
        tracing::debug!(name, ?reply, "the monitor answered");
        let _ = pidfd::wait_child(entered.pid);
        drop(entered.lock);
        match reply {
            Ok(Some(Reply::Started)) => Ok(Session {
                connection,
                name,
                tty,
            }),
            Ok(Some(Reply::Failed(failure))) => Err(self.explain_start(failure)),
            _ => Err(EngineError::MonitorDied { name }),
        }
    }

    /// A new monitor that has its orders from its birth.
    fn call_with(
        &self,
        orders: Orders,
        preserved: &Preserved,
    ) -> Result<(OwnedFd, Entered), EngineError> {
        let (ours, theirs) = socket::pair().map_err(EngineError::system("make a socket pair"))?;
        socket::set_nonblocking(theirs.as_fd()).map_err(EngineError::system("prepare a socket"))?;
        let sent = preserved.send(ours.as_fd());
        sent.map_err(EngineError::system("send the preserved descriptors"))?;
        let entered = self.with_home(|home| {
            home.enter(true, theirs, |gate, client| {
                monitor::run(orders, Birth { client, gate })
            })
        });
        let entered = entered.map_err(|error| self.explain_home(error))?;
        Ok((ours, entered))
    }

    /// A container that did not start and that nobody wants to keep. Its monitor, if there was one, has done it already.
    pub(super) fn forget(&self, record: &Record, config: &ContainerConfig, name: &str) {
        if config.host.auto_remove
            && !record.is_held().unwrap_or(true)
            && let Ok(rubbish) = self.containers.discard(record, name)
        {
            // It never ran, so every file in it is the user's own.
            let _ = crate::sys::fs::remove_path(&rubbish);
            self.forget_socket(&record.id);
            for volume in self.release_volumes(config) {
                let _ = crate::sys::fs::remove_path(&volume);
            }
        }
    }

    /// Takes part in what another command has started, once its program runs; `None`: its monitor does not listen yet, or no more.
    fn join(
        &self,
        record: &Record,
        name: &str,
        tty: bool,
        attach: Attach,
    ) -> Result<Option<Session>, EngineError> {
        let mut connection = match self.connect(record, name) {
            Err(EngineError::NotRunning { .. }) => return Ok(None),
            connected => connected?,
        };
        match ask(&mut connection, &Request::Attach(attach))? {
            Some(Reply::Done) => Ok(Some(Session {
                connection,
                name: name.to_owned(),
                tty,
            })),
            None => Ok(None),
            other => Err(unexpected(name.to_owned(), other)),
        }
    }

    pub(super) fn config_of(&self, record: &Record) -> Result<ContainerConfig, EngineError> {
        let read = record.config();
        let read = read.map_err(EngineError::file("read", &record.path("config.json")));
        read.map_err(|error| error.or_removed(record))
    }

    /// The last run's monitor may still be tidying up, or, if it was killed, what was in the container may still be dying:
    /// directories and ports are free when the monitor's pidfd says that it has ended.
    pub(super) fn wait_for_last_monitor(
        &self,
        record: &Record,
        name: &str,
    ) -> Result<(), EngineError> {
        // Before its status: the monitor of a run that begins meanwhile is nobody to wait for.
        let last = record.last_run().map(|state| state.monitor);
        let status = match record.status() {
            // It removed itself with its end.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(EngineError::system("ask for the container's lock"))?,
        };
        // No run has begun, so none has to end.
        if status == Status::Created {
            return Ok(());
        }
        let Some(monitor) = last.filter(|_| !status.is_running()) else {
            return Ok(());
        };
        let failed = |source| EngineError::System {
            operation: "wait for the last monitor",
            source,
        };
        match monitor.open().map_err(failed)? {
            Some(pidfd) => pidfd::wait_end(pidfd.as_fd()).map_err(failed)?,
            None => tracing::debug!(name, "the last monitor is gone already"),
        }
        match record.status() {
            Ok(status) => self.end_remains(record, &status),
            Err(_) => Ok(()),
        }
    }

    /// What a killed monitor has left of a container that shares a pid namespace: elsewhere the kernel ends everything with it.
    pub(super) fn end_remains(&self, record: &Record, status: &Status) -> Result<(), EngineError> {
        let Status::Killed(state) = status else {
            return Ok(());
        };
        let id = record.id.as_str();
        let helpers = state.helpers.iter();
        let mut helpers = helpers.filter_map(|helper| helper.open().ok().flatten());
        if !state.shares_pids || (helpers.next().is_none() && !sweep::is_anything_left(id)) {
            return Ok(());
        }
        self.in_home("worker", || {
            sweep::end_all(id);
            sweep::end(&state.helpers);
            Ok(())
        })
    }

    /// What is asked of it is understood, but it may do more than this program knows.
    fn warn_of_newer(&self, record: &Record, name: &str) {
        let theirs = record.last_run().map_or(0, |state| state.protocol);
        if theirs > VERSION && !self.has_warned.replace(true) {
            (self.warn)(&format!(
                "container {name} is run by a newer bryo (protocol {theirs}, this one speaks {VERSION})"
            ));
        }
    }

    /// The names of those containers that fit and do not run, the oldest first: what others need was usually made before them.
    pub fn stopped(&self, filters: PsFilters) -> Result<Vec<String>, EngineError> {
        let found = self.fitting(filters)?;
        let stopped = found.filter(|summary| !summary.status.is_running());
        Ok(stopped.map(|summary| summary.name).collect())
    }

    /// The names of all that fit, in the same order.
    pub(super) fn names(&self, filters: PsFilters) -> Result<Vec<String>, EngineError> {
        Ok(self.fitting(filters)?.map(|summary| summary.name).collect())
    }

    fn fitting(
        &self,
        filters: PsFilters,
    ) -> Result<impl Iterator<Item = ListedContainer>, EngineError> {
        let request = PsRequest {
            all: true,
            filters,
            ..PsRequest::default()
        };
        Ok(self.list(&request)?.into_iter().rev())
    }

    /// A conversation with the monitor of a running container.
    pub(super) fn connect(&self, record: &Record, name: &str) -> Result<Connection, EngineError> {
        self.warn_of_newer(record, name);
        let path = self.paths.monitor_socket(record.id.as_str());
        Connection::open(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
                EngineError::NotRunning {
                    name: name.to_owned(),
                }
            }
            _ => EngineError::File {
                operation: "connect to the monitor at",
                path,
                source,
            },
        })
    }
}
