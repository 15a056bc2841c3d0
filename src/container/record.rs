//! One container as its files and the kernel show it now.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::config::ContainerConfig;
use super::exit::ExitRecord;
use super::id::ContainerId;
use super::log::LogSettings;
use super::settings::Settings;
use super::state::RunState;
use crate::sys::disk;
use crate::sys::lock;

/// A container's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub id: ContainerId,
    pub directory: PathBuf,
}

/// Derived from the lock, never from a file that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Created,
    Running(RunState),
    /// Running, but frozen.
    Paused(RunState),
    /// Ended like this, and about to be started again by its own monitor.
    Restarting(RunState, ExitRecord),
    Exited(ExitRecord),
    /// The monitor was killed, and with it everything in the container.
    Killed(RunState),
}

impl Status {
    /// Whether a monitor is at work: docker's `State.Running`.
    pub fn is_running(&self) -> bool {
        self.live().is_some()
    }

    /// What the living monitor has written.
    pub fn live(&self) -> Option<&RunState> {
        match self {
            Status::Running(state) | Status::Paused(state) | Status::Restarting(state, _) => {
                Some(state)
            }
            Status::Created | Status::Exited(_) | Status::Killed(_) => None,
        }
    }
}

impl Record {
    pub fn config(&self) -> io::Result<ContainerConfig> {
        let text = fs::read(self.directory.join("config.json"))?;
        serde_json::from_slice(&text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// What may change about it, as it is now.
    pub fn settings(&self) -> io::Result<Settings> {
        Settings::read(&self.directory)
    }

    /// Asks the kernel whether the monitor lives; takes no lock and waits for none.
    pub fn status(&self) -> io::Result<Status> {
        let file = File::open(self.directory.join("state"))?;
        let held = lock::is_held(file.as_fd())?;
        self.status_by(&file, held)
    }

    /// The same; `None` at the least cost if no monitor holds the record, for `ps` without `-a`.
    pub fn status_if_held(&self) -> io::Result<Option<Status>> {
        let file = File::open(self.directory.join("state"))?;
        match lock::is_held(file.as_fd())? {
            true => self.status_by(&file, true).map(Some),
            false => Ok(None),
        }
    }

    fn status_by(&self, file: &File, held: bool) -> io::Result<Status> {
        let Some(state) = RunState::read(file) else {
            return Ok(Status::Created);
        };
        Ok(match (self.exit_of(&state), held) {
            (Some(exit), true) if state.restarting => Status::Restarting(state, exit),
            // Between the exit record and its own end a monitor still holds the lock.
            (Some(exit), _) => Status::Exited(exit),
            (None, true) if state.paused => Status::Paused(state),
            (None, true) => Status::Running(state),
            (None, false) => Status::Killed(state),
        })
    }

    /// Whether a monitor holds the record.
    pub fn is_held(&self) -> io::Result<bool> {
        let file = File::open(self.directory.join("state"))?;
        lock::is_held(file.as_fd())
    }

    fn exit_of(&self, state: &RunState) -> Option<ExitRecord> {
        let in_place = || {
            Some(ExitRecord {
                run: state.run,
                code: state.code?,
                finished: self.last_write(),
                error: "the disk had no room for the exit record".to_owned(),
                oom_killed: false,
            })
        };
        self.read_exit(state).or_else(in_place)
    }

    /// When `state` was written.
    fn last_write(&self) -> String {
        let written = fs::metadata(self.directory.join("state")).and_then(|meta| meta.modified());
        let written = written
            .ok()
            .and_then(|time| jiff::Timestamp::try_from(time).ok());
        written.map_or_else(String::new, |time| time.to_string())
    }

    fn read_exit(&self, state: &RunState) -> Option<ExitRecord> {
        let text = fs::read(self.directory.join("exit.json")).ok()?;
        let exit: ExitRecord = serde_json::from_slice(&text).ok()?;
        (exit.run == state.run).then_some(exit)
    }

    /// The state of the run that is going on or was the last.
    pub fn last_run(&self) -> Option<RunState> {
        RunState::read(&File::open(self.directory.join("state")).ok()?)
    }

    pub fn upper(&self) -> PathBuf {
        self.directory.join("upper")
    }

    /// The file that its output is written to, for drivers that have one.
    pub fn log(&self, settings: &LogSettings) -> PathBuf {
        settings.file(&self.directory)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes the exit visible: temporary name, then rename. Durable unless the container goes away with its exit.
    pub fn write_exit(directory: &Path, exit: &ExitRecord, durable: bool) -> io::Result<()> {
        let text = serde_json::to_vec(exit).map_err(io::Error::other)?;
        let path = directory.join("exit.json");
        if durable {
            return crate::sys::fs::replace_file(&path, &text);
        }
        let temporary = directory.join(".exit");
        disk::write(&temporary, text)?;
        disk::rename(temporary, path)
    }
}
