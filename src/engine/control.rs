//! `restart`, `pause`, `unpause` and `update`: what a living monitor does to its container, and what is done without one.

use std::os::fd::AsFd;

use super::bridged::EndpointRequestError;
use super::exec::{ask, unexpected};
use super::request::{Signal, StopTimeout};
use super::start::StartOptions;
use super::stop::{StopPlan, Stopped};
use super::{Engine, EngineError};
use crate::container::{LockedRecord, Record, Settings, SettingsChange, Status};
use crate::monitor::{Connection, Reply, Request};
use crate::sys::poll::{Interest, PollSet};
use crate::sys::timer::{End, Moment};

impl Engine {
    /// Ends the program as `stop` does and starts it again; starts one that does not run.
    pub fn restart(
        &self,
        record: &Record,
        signal: Option<Signal>,
        timeout: StopTimeout,
    ) -> Result<Stopped, EngineError> {
        let config = self.config_of(record)?;
        let name = self.containers.name_of(record);
        let status = record.status();
        let how = match status.as_ref().ok().and_then(Status::live) {
            Some(state) => {
                let plan = StopPlan::of(&config, state, signal, timeout);
                if !self.restart_running(record, &name, &plan)? {
                    self.stop(record, signal, timeout)?;
                    self.start(record, StartOptions::default())?;
                }
                plan.how()
            }
            None => {
                self.start(record, StartOptions::default())?;
                Stopped::Ended
            }
        };
        self.emit_container(&config, &name, "restart");
        Ok(how)
    }

    /// `false`: its monitor is of an earlier version and can't.
    fn restart_running(
        &self,
        record: &Record,
        name: &str,
        plan: &StopPlan,
    ) -> Result<bool, EngineError> {
        let mut connection = self.connect(record, name)?;
        let number = plan.signal().number();
        match ask(&mut connection, &Request::Restart(number))? {
            Some(Reply::Done) => {}
            Some(Reply::Version(_)) => return Ok(false),
            // Somebody else has stopped it.
            None => {
                return Err(EngineError::NotRunning {
                    name: name.to_owned(),
                });
            }
            other => return Err(unexpected(name.to_owned(), other)),
        }
        let mut deadline = plan.grace().map(|grace| Moment::now().after(grace));
        loop {
            match heard_before(&mut connection, deadline)? {
                // One that rested between two lives has none to end, and begins the next one at once.
                Heard::Reply(Reply::Started) => return Ok(true),
                Heard::Reply(Reply::Failed(failure)) => return Err(self.explain_start(failure)),
                Heard::Reply(Reply::Exited(_)) => deadline = None,
                Heard::Reply(_) => {}
                Heard::Nothing => {
                    self.send(record, name, &Request::Signal(Signal::KILL.number()))?;
                    deadline = None;
                }
                // Somebody else has stopped or removed it.
                Heard::End => {
                    return Err(EngineError::NotRunning {
                        name: name.to_owned(),
                    });
                }
            }
        }
    }

    /// Freezes a running container.
    pub fn pause(&self, record: &Record) -> Result<(), EngineError> {
        self.run_of(record)?;
        let name = self.containers.name_of(record);
        self.send(record, &name, &Request::Pause)
    }

    pub fn unpause(&self, record: &Record) -> Result<(), EngineError> {
        let name = self.containers.name_of(record);
        match record.status() {
            Ok(Status::Paused(_)) => self.send(record, &name, &Request::Unpause),
            _ => Err(EngineError::NotPaused { name }),
        }
    }

    /// Changes what may change of a container: through its monitor if it has one, else in its record.
    pub fn update(&self, record: &Record, change: &SettingsChange) -> Result<(), EngineError> {
        let config = self.config_of(record)?;
        let name = self.containers.name_of(record);
        let path = record.path("settings.json");
        let read = || record.settings().map_err(EngineError::file("read", &path));
        let mut change = change.clone();
        let mut settings = read()?;
        if let Some(limits) = &change.limits {
            let before = settings.limits.as_ref().unwrap_or(&config.host.limits);
            change.limits = Some(before.with(limits));
        }
        settings.change(&change);
        check_log(&settings, &change)?;
        let limits = match &change.limits {
            Some(limits) => self.changed_limits(limits)?,
            None => Vec::new(),
        };
        if change.egress.is_some() && !config.host.is_bridged() {
            let (flag, mode) = ("--egress", config.host.network);
            return Err(EndpointRequestError::NotShared { flag, mode }.into());
        }
        if config.host.auto_remove && change.restart.is_some_and(|policy| policy.name() != "no") {
            return Err(EngineError::RestartOfRemoved { name });
        }
        loop {
            let running = record.status().is_ok_and(|status| status.is_running());
            if running {
                let request = Request::Update {
                    change: Box::new(change.clone()),
                    limits: limits.clone(),
                };
                match self.send(record, &name, &request) {
                    // It has ended since.
                    Err(EngineError::NotRunning { .. }) => {}
                    other => return other,
                }
            }
            self.wait_for_last_monitor(record, &name)?;
            let locked = LockedRecord::acquire(&record.directory);
            let locked = locked.map_err(EngineError::system("lock the container's record"))?;
            // Started meanwhile: its monitor is to be asked.
            let Some(_locked) = locked else { continue };
            let mut settings = read()?;
            settings.change(&change);
            let written = settings.write(&record.directory);
            written.map_err(EngineError::file("write", &path))?;
            self.emit_container(&config, &name, "update");
            return Ok(());
        }
    }
}

/// The bounds of the log's files may change; what its lines carry and where they go may not, or half a log would differ from the rest.
fn check_log(settings: &Settings, change: &SettingsChange) -> Result<(), EngineError> {
    let fixed = |name: &&String| !matches!(name.as_str(), "max-size" | "max-file");
    if let Some(name) = change.log.keys().find(fixed) {
        return Err(EngineError::FixedLogOption { name: name.clone() });
    }
    settings.log.options()?;
    Ok(())
}

/// What a monitor has to say.
enum Heard {
    Reply(Reply),
    /// Not before the deadline.
    Nothing,
    /// It says nothing any more.
    End,
}

fn heard_before(
    connection: &mut Connection,
    deadline: Option<Moment>,
) -> Result<Heard, EngineError> {
    loop {
        let mut set = PollSet::new();
        set.add(connection.as_fd(), Interest::Read, ());
        let ready = set.wait_until(deadline.map(End::Moment));
        if !ready
            .map_err(EngineError::system("wait for the monitor"))?
            .is_empty()
        {
            return Ok(match connection.reply() {
                Ok(Some(reply)) => Heard::Reply(reply),
                Ok(None) | Err(_) => Heard::End,
            });
        } else if deadline.is_some_and(Moment::has_come) {
            return Ok(Heard::Nothing);
        }
    }
}
