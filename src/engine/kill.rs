//! `kill` and `wait`: signals through the monitor, ends seen through its pidfd.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::exec::{is_gone, unexpected};
use super::request::Signal;
use super::session::Session;
use super::stop::own_signal;
use super::{Engine, EngineError};
use crate::container::{ContainerConfig, Event, Record, Status};
use crate::monitor::{Connection, Reply, Request};
use crate::sys::pidfd;
use crate::sys::poll::{Interest, PollSet};

/// How long SIGKILL may take before the monitor is killed too.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a monitor may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

impl Engine {
    /// Sends a signal to a running container's init. One that is meant to end it ends its restart policy's work, as in docker.
    pub fn kill(&self, record: &Record, signal: Signal) -> Result<(), EngineError> {
        self.strike(record, signal)?;
        // Docker waits for the end that this one is: what comes next finds an ended container.
        if signal == Signal::KILL {
            self.ends_within(record, Some(KILL_TIMEOUT))?;
        }
        Ok(())
    }

    fn strike(&self, record: &Record, signal: Signal) -> Result<(), EngineError> {
        let name = self.containers.name_of(record);
        if !record.status().is_ok_and(|status| status.is_running()) {
            return Err(EngineError::NotRunning { name });
        }
        // Read first: a container that removes itself with its end takes it along.
        let config = self.config_of(record)?;
        if signal == Signal::KILL || signal == own_signal(&config) {
            return self.end(record, &config, &name, signal);
        }
        self.send(record, &name, &Request::Signal(signal.number()))?;
        self.emit_kill(&config, &name, signal);
        Ok(())
    }

    /// Sends a signal that is meant to be the container's end.
    pub(super) fn end(
        &self,
        record: &Record,
        config: &ContainerConfig,
        name: &str,
        signal: Signal,
    ) -> Result<(), EngineError> {
        let number = signal.number();
        match self.send(record, name, &Request::Stop(number)) {
            // One of an earlier version starts nothing again.
            Err(EngineError::MonitorVersion { .. }) => {
                self.send(record, name, &Request::Signal(number))?
            }
            other => other?,
        }
        self.emit_kill(config, name, signal);
        Ok(())
    }

    fn emit_kill(&self, config: &ContainerConfig, name: &str, signal: Signal) {
        let event = Event::container(config, name, "kill");
        self.emit(&event.with("signal", signal.number().to_string()));
    }

    /// Asks the monitor for something that is answered by `Done`.
    pub(super) fn send(
        &self,
        record: &Record,
        name: &str,
        request: &Request,
    ) -> Result<(), EngineError> {
        tracing::debug!(name, ?request, "ask the monitor");
        let mut connection = self.connect(record, name)?;
        let not_running = || EngineError::NotRunning {
            name: name.to_owned(),
        };
        match connection.request(request) {
            Err(error) if is_gone(&error) => return Err(not_running()),
            asked => asked.map_err(EngineError::system("ask the monitor"))?,
        }
        // A monitor answers at once; one that was stopped (SIGSTOP) does not.
        if !answers_within(&connection, ANSWER_TIMEOUT)? {
            return Err(EngineError::Silent {
                name: name.to_owned(),
            });
        }
        match connection.reply() {
            Ok(Some(Reply::Done)) => Ok(()),
            Ok(Some(reply @ (Reply::Refused(_) | Reply::Version(_)))) => {
                Err(unexpected(name.to_owned(), Some(reply)))
            }
            // It ended while we asked.
            _ => Err(not_running()),
        }
    }

    /// Waits for the exit; `false` if the time is over first. Docker's `--rm` containers may vanish meanwhile: that is an end.
    fn ends_within(&self, record: &Record, grace: Option<Duration>) -> Result<bool, EngineError> {
        let name = self.containers.name_of(record);
        let mut connection = match self.connect(record, &name) {
            Err(EngineError::NotRunning { .. }) => return Ok(true),
            other => other?,
        };
        if connection.request(&Request::Wait).is_err() {
            return Ok(true);
        }
        let deadline = grace.map(|grace| Instant::now() + grace);
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if !answers(&connection, left)? {
                if left.is_some_and(|left| left.is_zero()) {
                    return Ok(false);
                }
                continue;
            }
            match connection.reply() {
                Ok(Some(Reply::Exited(_)) | None) | Err(_) => return Ok(true),
                Ok(Some(_)) => {}
            }
        }
    }

    /// Waits until the container does not run any more: its exit code.
    pub fn wait(&self, record: &Record) -> Result<i32, EngineError> {
        let name = self.containers.name_of(record);
        loop {
            match record.status() {
                Ok(Status::Exited(exit)) => return Ok(exit.code),
                Ok(Status::Killed(_)) => return Ok(137),
                Ok(Status::Created) => return Ok(0),
                Ok(
                    Status::Running(state) | Status::Paused(state) | Status::Restarting(state, _),
                ) => {
                    if let Some(code) = self.wait_running(record, &name, state.monitor)? {
                        return Ok(code);
                    }
                }
                // Removed with its end, by a monitor that has told nobody: there is no code any more.
                Err(_) => return Err(EngineError::NotRunning { name }),
            }
        }
    }

    fn wait_running(
        &self,
        record: &Record,
        name: &str,
        monitor: crate::sys::process::ProcessName,
    ) -> Result<Option<i32>, EngineError> {
        if let Ok(connection) = self.connect(record, name)
            && connection.request(&Request::Wait).is_ok()
        {
            let session = Session {
                connection,
                name: name.to_owned(),
                tty: false,
            };
            return Ok(session.wait().ok());
        }
        // A monitor that does not answer: its end is seen through the kernel.
        let failed = |source| EngineError::System {
            operation: "wait for the monitor",
            source,
        };
        if let Some(pidfd) = monitor.open().map_err(failed)? {
            pidfd::wait_end(pidfd.as_fd()).map_err(failed)?;
        }
        Ok(None)
    }

    /// Ends a container for good, whatever state its monitor is in.
    pub(super) fn end_now(&self, record: &Record) -> Result<(), EngineError> {
        let state = record.last_run();
        match self.strike(record, Signal::KILL) {
            Ok(()) => {
                if !self.ends_within(record, Some(KILL_TIMEOUT))? {
                    self.kill_monitor(state.as_ref())?;
                }
            }
            Err(EngineError::NotRunning { .. }) if !record.is_held().unwrap_or(false) => {}
            Err(_) => self.kill_monitor(state.as_ref())?,
        }
        let name = self.containers.name_of(record);
        self.wait_for_last_monitor(record, &name)
    }

    /// The kernel ends everything below a monitor with it: its pid namespace.
    fn kill_monitor(&self, state: Option<&crate::container::RunState>) -> Result<(), EngineError> {
        let failed = |source| EngineError::System {
            operation: "kill the monitor",
            source,
        };
        let Some(state) = state else { return Ok(()) };
        if let Some(monitor) = state.monitor.open().map_err(failed)? {
            pidfd::kill_hard(monitor.as_fd()).map_err(failed)?;
            pidfd::wait_end(monitor.as_fd()).map_err(failed)?;
        }
        Ok(())
    }
}

/// Whether the monitor says something before the time is over, or before a signal comes.
fn answers(connection: &Connection, time: Option<Duration>) -> Result<bool, EngineError> {
    let mut set = PollSet::new();
    set.add(connection.as_fd(), Interest::Read, ());
    let ready = set.wait(time);
    Ok(!ready
        .map_err(EngineError::system("wait for the monitor"))?
        .is_empty())
}

fn answers_within(connection: &Connection, time: Duration) -> Result<bool, EngineError> {
    let deadline = Instant::now() + time;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if answers(connection, Some(left))? {
            return Ok(true);
        }
        if left.is_zero() {
            return Ok(false);
        }
    }
}
