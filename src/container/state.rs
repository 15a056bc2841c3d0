//! The locked record: which monitor runs the container now. `record/one-writer`: only the monitor that holds the lock writes.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::sys::fault;
use crate::sys::lock;
use crate::sys::process::ProcessName;

/// The contents of `state`, overwritten in place in one write, so that it needs neither truncation nor a rename (which
/// would lose the lock).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// Counts the starts of this container, from 1.
    pub run: u64,
    pub monitor: ProcessName,
    /// The init's pid on the host; 0 until it exists.
    pub init: i32,
    /// When that process began, in the kernel's clock ticks.
    #[serde(default)]
    pub init_start: u64,
    /// The container has no pid namespace of its own, so what is in it may outlive init and monitor.
    #[serde(default)]
    pub shares_pids: bool,
    /// Nor any other, nor mounts: it is confined to a copy of its layers by chroot(2).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confined: bool,
    /// What else the monitor started then, which would outlive it too.
    #[serde(default)]
    pub helpers: Vec<ProcessName>,
    /// RFC 3339, UTC, nanoseconds; empty until the program runs.
    pub started: String,
    /// What stacks the layers: `overlay`, `fuse-overlayfs` or `copy`.
    #[serde(default)]
    pub driver: String,
    /// Its processes are frozen.
    #[serde(default)]
    pub paused: bool,
    /// The run has ended, and the monitor will start the program again.
    #[serde(default)]
    pub restarting: bool,
    /// How often a policy has started the program again since a user did.
    #[serde(default)]
    pub restarts: u32,
    /// The protocol that the monitor speaks; 0: one from before this was written.
    #[serde(default)]
    pub protocol: u32,
    /// The exit code, where the disk had no room for an exit record: this file is overwritten in place.
    #[serde(default)]
    pub code: Option<i32>,
}

const STATE_SIZE: usize = 512;

impl RunState {
    /// Reads what the file holds; `None` if nothing was written yet.
    pub fn read(file: &File) -> Option<RunState> {
        let mut buffer = [0u8; STATE_SIZE];
        let length = file.read_at(&mut buffer, 0).ok()?;
        // Before the first run. A parser that fails counts lines, and for that asks the processor what it can: slow in a virtual machine.
        let text = Some(buffer[..length].trim_ascii()).filter(|text| !text.is_empty())?;
        serde_json::from_slice(text).ok()
    }
}

/// While somebody has this a monitor that rests between two runs goes on resting. Whether it does is to be asked once this is had.
pub struct HeldRest {
    _file: File,
}

impl HeldRest {
    /// `None`: others are at it, or the next run begins.
    pub fn acquire(directory: &Path) -> io::Result<Option<HeldRest>> {
        let file = File::open(directory.join("state"))?;
        Ok(lock::try_hold_alone(&file)?.then_some(HeldRest { _file: file }))
    }
}

/// Held from before the container is started until its monitor ends: lock held = monitor alive.
pub struct LockedRecord {
    file: File,
}

impl LockedRecord {
    /// Takes the lock; `None` if the container is running.
    pub fn acquire(directory: &Path) -> io::Result<Option<LockedRecord>> {
        let file = File::options()
            .read(true)
            .write(true)
            .open(directory.join("state"))?;
        Ok(lock::try_hold(file.as_fd())?.then_some(LockedRecord { file }))
    }

    /// After a rest between two runs: keeps out who would look into the root then, until `open`; `false`: somebody does.
    pub fn try_close(&self) -> io::Result<bool> {
        lock::try_hold_alone(&self.file)
    }

    pub fn open(&self) -> io::Result<()> {
        lock::release(&self.file)
    }

    /// What the last run left behind.
    pub fn last(&self) -> Option<RunState> {
        RunState::read(&self.file)
    }

    pub fn write(&self, state: &RunState) -> io::Result<()> {
        let mut text = serde_json::to_vec(state).map_err(io::Error::other)?;
        if text.len() > STATE_SIZE {
            return Err(io::Error::other("the run state is too long"));
        }
        text.resize(STATE_SIZE, b' ');
        fault::at("write state")?;
        self.file.write_all_at(&text, 0)
    }
}
