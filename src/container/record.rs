//! One container as its files and the kernel show it now.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::config::ContainerConfig;
use super::exit::ExitRecord;
use super::folder::Folder;
use super::id::ContainerId;
use super::log::LogSettings;
use super::settings::Settings;
use super::state::RunState;
use crate::sys::disk;
use crate::sys::lock;
use crate::sys::text;

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
    /// Its files by their path; `Containers::folder` is cheaper where many are looked at.
    pub fn folder(&self) -> Folder<'_> {
        Folder::At(&self.directory)
    }

    pub fn config(&self) -> io::Result<ContainerConfig> {
        self.folder().parsed("config.json")
    }

    /// What may change about it, as it is now.
    pub fn settings(&self) -> io::Result<Settings> {
        Settings::read(self.folder())
    }

    /// Asks the kernel whether the monitor lives; takes no lock and waits for none.
    pub fn status(&self) -> io::Result<Status> {
        self.folder().status()
    }

    /// Whether a monitor holds the record.
    pub fn is_held(&self) -> io::Result<bool> {
        let file = File::open(self.directory.join("state"))?;
        lock::is_held(file.as_fd())
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
        // `inspect` shows it.
        let error = text::without_numbers(&exit.error).into_owned();
        let exit = ExitRecord {
            error,
            ..exit.clone()
        };
        let text = serde_json::to_vec(&exit).map_err(io::Error::other)?;
        let path = directory.join("exit.json");
        if durable {
            return crate::sys::fs::replace_file(&path, &text);
        }
        let temporary = directory.join(".exit");
        disk::write(&temporary, text)?;
        disk::rename(temporary, path)
    }
}
