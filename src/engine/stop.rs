//! `stop`: many containers are asked to end at the same time, and each is killed when its own time is over.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::request::{Signal, StopTimeout};
use super::{Engine, EngineError};
use crate::container::{ContainerConfig, Record, RunState, Status};
use crate::monitor::{Connection, FromMonitor, Reply, Request};
use crate::sys::poll::{Interest, PollSet};
use crate::sys::procfs;
use crate::sys::timer::{End, Moment};

/// Docker's grace before SIGKILL.
const STOP_TIMEOUT: u64 = 10;

/// How a container came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It did not run, or ended in its time, or was killed after it.
    Ended,
    /// Its program could not receive this signal, so it was killed at once.
    Deaf(Signal),
}

/// One container that has been asked to end.
struct Stopping {
    index: usize,
    record: Record,
    config: ContainerConfig,
    name: String,
    /// Has asked to be told of the end.
    connection: Connection,
    /// When it is killed; None: never, or it has been.
    deadline: Option<Moment>,
    how: Stopped,
}

/// Containers that have been asked to end.
pub struct Stops {
    waiting: Vec<Stopping>,
}

impl Engine {
    /// Asks a container's program to end, and ends it when it does not. One that does not run is none of its business.
    pub fn stop(
        &self,
        record: &Record,
        signal: Option<Signal>,
        timeout: StopTimeout,
    ) -> Result<Stopped, EngineError> {
        let mut ended = Ok(Stopped::Ended);
        self.stop_all(vec![record.clone()], signal, timeout, |_, how| ended = how)?;
        ended
    }

    /// The same for many at once: `done` is told of each, by its place in the list, as it ends.
    pub fn stop_all(
        &self,
        records: Vec<Record>,
        signal: Option<Signal>,
        timeout: StopTimeout,
        mut done: impl FnMut(usize, Result<Stopped, EngineError>),
    ) -> Result<(), EngineError> {
        let mut stops = self.begin_stops(records, signal, timeout, &mut done);
        while !stops.is_empty() {
            stops.wait()?;
            self.advance_stops(&mut stops, &mut done)?;
        }
        Ok(())
    }

    /// The same without waiting: whoever polls the `Stops` goes on with them.
    pub fn begin_stops(
        &self,
        records: Vec<Record>,
        signal: Option<Signal>,
        timeout: StopTimeout,
        done: &mut dyn FnMut(usize, Result<Stopped, EngineError>),
    ) -> Stops {
        let mut waiting = Vec::new();
        for (index, record) in records.into_iter().enumerate() {
            match self.ask_to_end(index, record, signal, timeout) {
                Ok(Some(stopping)) => waiting.push(stopping),
                Ok(None) => done(index, Ok(Stopped::Ended)),
                Err(error) => done(index, Err(error)),
            }
        }
        Stops { waiting }
    }

    /// Tells of those that have ended, and kills those whose time is over.
    pub fn advance_stops(
        &self,
        stops: &mut Stops,
        done: &mut dyn FnMut(usize, Result<Stopped, EngineError>),
    ) -> Result<(), EngineError> {
        let waiting = &mut stops.waiting;
        for place in ends(waiting)?.into_iter().rev() {
            let ended = waiting.remove(place);
            self.emit_container(&ended.config, &ended.name, "stop");
            done(ended.index, Ok(ended.how));
        }
        let mut place = 0;
        while let Some(stopping) = waiting.get_mut(place) {
            if stopping.deadline.take_if(|end| end.has_come()).is_none() {
                place += 1;
                continue;
            }
            let Stopping {
                record,
                config,
                name,
                ..
            } = stopping;
            match self.end(record, config, name, Signal::KILL) {
                // Its end is still to be heard of.
                Ok(()) | Err(EngineError::NotRunning { .. }) => place += 1,
                Err(error) => done(waiting.remove(place).index, Err(error)),
            }
        }
        Ok(())
    }

    /// `None`: it does not run.
    fn ask_to_end(
        &self,
        index: usize,
        record: Record,
        signal: Option<Signal>,
        timeout: StopTimeout,
    ) -> Result<Option<Stopping>, EngineError> {
        let config = self.config_of(&record)?;
        let name = self.containers.name_of(&record);
        let status = record.status();
        let Some(state) = status.as_ref().ok().and_then(Status::live) else {
            return Ok(None);
        };
        let mut plan = StopPlan::of(&config, state, signal, timeout);
        // Before the signal, so that its end cannot be missed.
        let connection = match self.connect(&record, &name) {
            Err(EngineError::NotRunning { .. }) => return Ok(None),
            other => other?,
        };
        if connection.request(&Request::Wait).is_err() {
            return Ok(None);
        }
        let mut asked = state.init;
        loop {
            match self.end(&record, &config, &name, plan.signal()) {
                Err(EngineError::NotRunning { .. }) => return Ok(None),
                other => other?,
            }
            // Started again meanwhile: the plan was for the one before.
            let now = record.status();
            match now.as_ref().ok().and_then(Status::live) {
                Some(state) if state.init != asked => {
                    plan = StopPlan::of(&config, state, signal, timeout);
                    asked = state.init;
                }
                _ => break,
            }
        }
        Ok(Some(Stopping {
            index,
            record,
            config,
            name,
            connection,
            deadline: plan.grace().map(|grace| Moment::now().after(grace)),
            how: plan.how(),
        }))
    }
}

/// How one container is asked to end.
pub(super) struct StopPlan {
    signal: Signal,
    /// Its program has no handler for it.
    deaf: bool,
    grace: Option<Duration>,
}

impl StopPlan {
    pub fn of(
        config: &ContainerConfig,
        state: &RunState,
        signal: Option<Signal>,
        timeout: StopTimeout,
    ) -> StopPlan {
        let signal = signal.unwrap_or_else(|| own_signal(config));
        let grace = grace(config, timeout);
        StopPlan {
            // Asked for ever, the program is given for ever to find a handler.
            deaf: grace.is_some() && !config.host.init && is_deaf(state.init, signal),
            signal,
            grace,
        }
    }

    /// What is sent first.
    pub fn signal(&self) -> Signal {
        if self.deaf { Signal::KILL } else { self.signal }
    }

    /// Until SIGKILL; None: it is not needed, or never comes.
    pub fn grace(&self) -> Option<Duration> {
        self.grace.filter(|_| !self.deaf)
    }

    pub fn how(&self) -> Stopped {
        match self.deaf {
            true => Stopped::Deaf(self.signal),
            false => Stopped::Ended,
        }
    }
}

/// The container's stop signal.
pub(super) fn own_signal(config: &ContainerConfig) -> Signal {
    let own = config.process.stop_signal.as_deref();
    let own = own.and_then(|text| text.parse().ok());
    own.unwrap_or(Signal::TERM)
}

/// None: for ever.
pub(super) fn grace(config: &ContainerConfig, timeout: StopTimeout) -> Option<Duration> {
    match timeout {
        StopTimeout::Seconds(seconds) => Some(Duration::from_secs(u64::from(seconds))),
        StopTimeout::Forever => None,
        StopTimeout::Default => {
            let seconds = config.process.stop_timeout.map(u64::try_from);
            // Negative is for ever.
            seconds
                .unwrap_or(Ok(STOP_TIMEOUT))
                .ok()
                .map(Duration::from_secs)
        }
    }
}

/// A reaper (`--init`) passes on what it gets, so it is not asked.
fn is_deaf(init: i32, signal: Signal) -> bool {
    procfs::status(init).is_ok_and(|status| status.is_deaf_to(signal.number()))
}

impl Stops {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Each is readable when its container has ended.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.waiting.iter().map(|one| one.connection.as_fd())
    }

    /// When the first of them is to be killed.
    pub fn deadline(&self) -> Option<End> {
        let deadlines = self.waiting.iter().filter_map(|one| one.deadline);
        deadlines.min().map(End::Moment)
    }

    /// Until something has ended, or its time is over.
    fn wait(&self) -> Result<(), EngineError> {
        let mut set = PollSet::new();
        for fd in self.fds() {
            set.add(fd, Interest::Read, ());
        }
        let ready = set.wait_until(self.deadline());
        ready
            .map(drop)
            .map_err(EngineError::system("wait for the monitors"))
    }
}

/// The places of those that have ended, in order.
fn ends(waiting: &mut [Stopping]) -> Result<Vec<usize>, EngineError> {
    let mut set = PollSet::new();
    for (place, stopping) in waiting.iter().enumerate() {
        set.add(stopping.connection.as_fd(), Interest::Read, place);
    }
    let ready = set.wait(Some(Duration::ZERO));
    let ready = ready.map_err(EngineError::system("wait for the monitors"))?;
    Ok(ready
        .into_iter()
        .filter(|place| has_ended(&mut waiting[*place].connection))
        .collect())
}

/// A container that removes itself with its end closes without a word.
fn has_ended(connection: &mut Connection) -> bool {
    matches!(
        connection.receive(),
        Ok(FromMonitor::Reply(Reply::Exited(_)) | FromMonitor::Closed) | Err(_)
    )
}
