//! From where a container's files are opened: its path, or, where many are looked at, one descriptor of the directory that they are
//! all in, which spares the kernel the walk to it for every file. Reads; never writes.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{read, retry_on_intr};
use serde::de::DeserializeOwned;

use super::exit::ExitRecord;
use super::id::ContainerId;
use super::record::Status;
use super::state::RunState;
use crate::sys::lock;

/// One container's.
#[derive(Clone, Copy, Debug)]
pub enum Folder<'a> {
    At(&'a Path),
    In {
        all: &'a OwnedFd,
        id: &'a ContainerId,
    },
}

/// More than most of the files have.
const USUAL: usize = 8 * 1024;

impl Folder<'_> {
    pub fn open(&self, name: &str) -> io::Result<File> {
        match self {
            Folder::At(path) => File::open(path.join(name)),
            Folder::In { all, id } => {
                let path = [id.as_str(), "/", name].concat();
                let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                Ok(openat(all, path, flags, Mode::empty())?.into())
            }
        }
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = self.open(name)?;
        let mut text = Vec::with_capacity(USUAL);
        // Its size is not asked for: the end is found by reading all the same.
        while retry_on_intr(|| read(&file, spare_capacity(&mut text)))? > 0 {
            if text.len() == text.capacity() {
                text.reserve(text.len());
            }
        }
        Ok(text)
    }

    /// A JSON file.
    pub fn parsed<T: DeserializeOwned>(&self, name: &str) -> io::Result<T> {
        let text = self.read(name)?;
        serde_json::from_slice(&text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Asks the kernel whether the monitor lives; takes no lock and waits for none.
    pub fn status(&self) -> io::Result<Status> {
        let file = self.open("state")?;
        let held = lock::is_held(file.as_fd())?;
        self.status_by(&file, held)
    }

    /// The same; `None` at the least cost if no monitor holds the record, for `ps` without `-a`.
    pub fn status_if_held(&self) -> io::Result<Option<Status>> {
        let file = self.open("state")?;
        match lock::is_held(file.as_fd())? {
            true => self.status_by(&file, true).map(Some),
            false => Ok(None),
        }
    }

    /// The answers are of one moment: a run may begin, or follow another, between the questions.
    fn status_by(&self, file: &File, mut held: bool) -> io::Result<Status> {
        let (state, exit) = loop {
            let Some(state) = RunState::read(file) else {
                return Ok(Status::Created);
            };
            let exit = self.exit_of(&state, file);
            match (&exit, held) {
                (None, false) if lock::is_held(file.as_fd())? => held = true,
                // A monitor that goes on says so before its last run's end is there to be read.
                (Some(_), true)
                    if !state.restarting && RunState::read(file).as_ref() != Some(&state) => {}
                _ => break (state, exit),
            }
        };
        Ok(match (exit, held) {
            (Some(exit), true) if state.restarting => Status::Restarting(state, exit),
            // Between the exit record and its own end a monitor still holds the lock.
            (Some(exit), _) => Status::Exited(exit),
            (None, true) if state.paused => Status::Paused(state),
            (None, true) => Status::Running(state),
            (None, false) => Status::Killed(state),
        })
    }

    /// How the run of `state`, which is in this file, has ended.
    fn exit_of(&self, state: &RunState, file: &File) -> Option<ExitRecord> {
        let in_place = || {
            Some(ExitRecord {
                run: state.run,
                code: state.code?,
                finished: last_write(file),
                error: "the disk had no room for the exit record".to_owned(),
                oom_killed: false,
            })
        };
        let recorded = self.parsed("exit.json").ok();
        let recorded = recorded.filter(|exit: &ExitRecord| exit.run == state.run);
        recorded.or_else(in_place)
    }
}

fn last_write(file: &File) -> String {
    let written = file.metadata().and_then(|meta| meta.modified());
    let written = written
        .ok()
        .and_then(|time| jiff::Timestamp::try_from(time).ok());
    written.map_or_else(String::new, |time| time.to_string())
}
