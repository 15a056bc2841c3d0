//! `wait --condition`: until a container is found in one of some states; and the ends of several, as they come.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::request::{Condition, WaitRequest};
use super::{Engine, EngineError};
use crate::container::{ContainerError, Health, HealthStatus, Record, Status};
use crate::monitor::{Connection, Reply, Request};
use crate::sys::poll::{Interest, PollSet};

/// What becomes readable when a container ends.
enum Line {
    /// To a monitor that was asked to say so.
    Monitor(Connection),
    /// A monitor that does not answer.
    Process(OwnedFd),
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Line::Monitor(connection) => connection.as_fd(),
            Line::Process(pidfd) => pidfd.as_fd(),
        }
    }
}

impl Engine {
    /// Gives the place and the exit code of each of these as it ends, until all have or `ended` says `false`.
    pub fn wait_each(
        &self,
        records: &[Record],
        mut ended: impl FnMut(usize, i32) -> bool,
    ) -> Result<(), EngineError> {
        let mut waiting = Vec::new();
        for (place, record) in records.iter().enumerate() {
            match self.line_to(record)? {
                Some(line) => waiting.push((place, line)),
                None if !ended(place, self.wait(record)?) => return Ok(()),
                None => {}
            }
        }
        while !waiting.is_empty() {
            let mut set = PollSet::new();
            for (at, (_, line)) in waiting.iter().enumerate() {
                set.add(line.as_fd(), Interest::Read, at);
            }
            let ready = set.wait(None);
            let ready = ready.map_err(EngineError::system("wait for the monitors"))?;
            // From the last one, so that the places of the others stay.
            for at in ready.into_iter().rev() {
                let (place, line) = &mut waiting[at];
                let (place, said) = (*place, said(line));
                if matches!(said, Said::Nothing) {
                    continue;
                }
                waiting.remove(at);
                let code = match said {
                    Said::Code(code) => code,
                    _ => self.wait(&records[place])?,
                };
                if !ended(place, code) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// None: it has ended already.
    fn line_to(&self, record: &Record) -> Result<Option<Line>, EngineError> {
        let status = record.status();
        let Some(state) = status.as_ref().ok().and_then(Status::live) else {
            return Ok(None);
        };
        let name = self.containers.name_of(record);
        if let Ok(connection) = self.connect(record, &name)
            && connection.request(&Request::Wait).is_ok()
        {
            return Ok(Some(Line::Monitor(connection)));
        }
        let opened = state.monitor.open();
        let opened = opened.map_err(EngineError::system("wait for the monitor"))?;
        Ok(opened.map(Line::Process))
    }

    /// The exit code, or -1 where the container has not ended, as podman prints it.
    pub fn wait_for(&self, record: &Record, request: &WaitRequest) -> Result<i32, EngineError> {
        let inotify = watch(record).map_err(EngineError::system("watch the container"))?;
        loop {
            let _ = inotify.read_events();
            let status = match record.status() {
                Ok(status) => status,
                Err(_) => {
                    let name = record.id.short().to_owned();
                    return Err(ContainerError::NotFound { name }.into());
                }
            };
            let mut conditions = request.conditions.iter();
            if conditions.any(|condition| holds(*condition, &status, record)) {
                return Ok(match status {
                    Status::Exited(exit) => exit.code,
                    Status::Killed(_) => 137,
                    _ => -1,
                });
            }
            // The end of a monitor that is killed changes no file.
            let mut set = PollSet::new();
            set.add(inotify.as_fd(), Interest::Read, ());
            set.wait(Some(request.interval))
                .map_err(EngineError::system("watch the container"))?;
        }
    }
}

enum Said {
    Nothing,
    Code(i32),
    /// That it is over, and no more.
    Over,
}

fn said(line: &mut Line) -> Said {
    match line {
        Line::Monitor(connection) => match connection.reply() {
            Ok(Some(Reply::Exited(code))) => Said::Code(code),
            Ok(Some(_)) => Said::Nothing,
            Ok(None) | Err(_) => Said::Over,
        },
        Line::Process(_) => Said::Over,
    }
}

fn holds(condition: Condition, status: &Status, record: &Record) -> bool {
    let health = match status {
        Status::Running(state) => Health::read(&record.directory, state.run),
        _ => None,
    };
    let is = |wanted| {
        health
            .as_ref()
            .is_some_and(|health| health.status == wanted)
    };
    match condition {
        Condition::Created => matches!(status, Status::Created),
        Condition::Running => matches!(status, Status::Running(_)),
        Condition::Paused => matches!(status, Status::Paused(_)),
        Condition::Stopped => matches!(status, Status::Exited(_) | Status::Killed(_)),
        Condition::Healthy => is(HealthStatus::Healthy),
        Condition::Unhealthy => is(HealthStatus::Unhealthy),
    }
}

/// Wakes when the state or the health of one of several containers has changed.
pub struct Watch(Inotify);

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Watch {
    /// Before the containers are looked at again.
    pub fn clear(&self) {
        let _ = self.0.read_events();
    }
}

impl Engine {
    /// Made before they are looked at, it misses nothing. One that is gone is none to watch.
    pub fn watch_containers<'r>(
        &self,
        records: impl IntoIterator<Item = &'r Record>,
    ) -> Result<Watch, EngineError> {
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        let failed = || EngineError::system("watch the containers");
        let inotify = Inotify::init(flags).map_err(|error| failed()(error.into()))?;
        for record in records {
            match inotify.add_watch(&record.directory, changes()) {
                Ok(_) | Err(nix::errno::Errno::ENOENT) => {}
                Err(error) => return Err(failed()(error.into())),
            }
        }
        Ok(Watch(inotify))
    }
}

fn changes() -> AddWatchFlags {
    AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_MOVE_SELF
}

/// Wakes when the state is written in place, and when the records of its end and its health appear.
fn watch(record: &Record) -> std::io::Result<Inotify> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    inotify.add_watch(&record.directory, changes())?;
    Ok(inotify)
}
