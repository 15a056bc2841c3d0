//! Several containers started at once: a monitor for each, and none waits for another's answer.

use std::os::fd::{AsFd, BorrowedFd};

use super::create::Known;
use super::keeper::Keeper;
use super::session::Session;
use super::start::StartOptions;
use super::{Engine, EngineError};
use crate::container::{ContainerConfig, Record, Status};
use crate::monitor::{Connection, StartFailure};
use crate::runtime::home::Entered;

/// A monitor that has its orders and has not answered yet.
pub(super) struct Starting {
    pub connection: Connection,
    pub entered: Entered,
    pub name: String,
    pub tty: bool,
}

/// A container on its way, readable when it is known what has become of it.
pub struct BeingStarted {
    starting: Starting,
    record: Record,
    config: ContainerConfig,
    options: StartOptions,
}

impl AsFd for BeingStarted {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.starting.connection.as_fd()
    }
}

impl Engine {
    /// The first half of a start. While the `Keeper` is held there is a home, and none has to be made by one for the others.
    pub fn begin_start(
        &self,
        record: &Record,
        _home: &Keeper,
        options: StartOptions,
    ) -> Result<BeingStarted, EngineError> {
        let config = self.config_of(record)?;
        let name = self.containers.name_after(record, &config.name);
        if matches!(record.status(), Ok(Status::Paused(_))) {
            return Err(EngineError::StartPaused { name });
        }
        self.wait_for_last_monitor(record, &name)?;
        let path = record.path("settings.json");
        let settings = record.settings();
        let settings = settings.map_err(EngineError::file("read", &path))?;
        self.start_required(&config)?;
        let known = Known {
            config,
            settings,
            is_new: false,
        };
        let options = StartOptions {
            beside: true,
            ..options
        };
        let ordered = self.order(record, &known, name.clone(), None, &options);
        let starting = ordered
            .map_err(|error| error.or_removed(record))
            .inspect_err(|_| self.forget(record, &known.config, &name))?;
        Ok(BeingStarted {
            starting,
            record: record.clone(),
            config: known.config,
            options,
        })
    }

    /// The second half: waits for the monitor's answer. Where another command was faster, the container runs as well.
    pub fn finish_start(&self, started: BeingStarted) -> Result<Session, EngineError> {
        let BeingStarted {
            starting,
            record,
            config,
            options,
        } = started;
        let name = starting.name.clone();
        match self.answer(starting) {
            Err(EngineError::Start(StartFailure::Running { .. })) => self.start(&record, options),
            answered => answered
                .map_err(|error| error.or_removed(&record))
                .inspect_err(|_| self.forget(&record, &config, &name)),
        }
    }
}
