//! `events`: what has happened, from the log that every process of the user appends to, and what happens next.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use jiff::Timestamp;

use super::request::EventsRequest;
use super::{Engine, EngineError};
use crate::container::{ContainerConfig, Event, EventLog, EventReader, EventWatch};
use crate::sys::poll::{Interest, PollSet};
use crate::sys::timer::End;

impl Engine {
    /// Writes down what happened. Costs microseconds and fails nothing.
    pub(super) fn emit(&self, event: &Event) {
        EventLog::new(&self.paths).append(event);
    }

    /// The same, of a container.
    pub(super) fn emit_container(&self, config: &ContainerConfig, name: &str, action: &str) {
        self.emit(&Event::container(config, name, action));
    }

    /// Gives every wanted event to `show`, which ends it by `false`.
    pub fn events(
        &self,
        request: &EventsRequest,
        mut show: impl FnMut(&Event) -> bool,
    ) -> Result<(), EngineError> {
        let log = EventLog::new(&self.paths);
        let failed = || EngineError::system("read the event log");
        // Watched from before the first read: what comes between is then seen.
        let watch = match request.follow {
            true => Some(
                log.watch()
                    .map_err(EngineError::system("watch the event log"))?,
            ),
            false => None,
        };
        let now = Timestamp::now();
        let from = match (request.since, request.until) {
            (Some(since), _) => Some(since.0),
            (None, Some(_)) => None,
            (None, None) => Some(now),
        };
        let from = from.map(nanoseconds);
        let until = request.until.map(|until| nanoseconds(until.0));
        let mut reader = log.read().map_err(failed())?;
        loop {
            if let Some(watch) = &watch {
                watch.clear();
            }
            while let Some(event) = reader.next_event().map_err(failed())? {
                let within = from.is_none_or(|from| event.time >= from)
                    && until.is_none_or(|until| event.time <= until);
                if within && request.filters.matches(&event) && !show(&event) {
                    return Ok(());
                }
            }
            let left = until.map(|until| until.saturating_sub(nanoseconds(Timestamp::now())));
            let Some(watch) = watch.as_ref().filter(|_| left.is_none_or(|left| left > 0)) else {
                return Ok(());
            };
            let mut set = PollSet::new();
            set.add(watch.as_fd(), Interest::Read, ());
            let end = until.map(|until| End::Wall(Duration::from_nanos(until.unsigned_abs())));
            set.wait_until(end)
                .map_err(EngineError::system("watch the event log"))?;
        }
    }
}

/// What happens from now on.
pub struct EventFollower {
    watch: EventWatch,
    reader: EventReader,
}

impl AsFd for EventFollower {
    /// Readable when something may have happened.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

impl EventFollower {
    /// All that has happened since the last look.
    pub fn news(&mut self) -> Result<Vec<Event>, EngineError> {
        self.watch.clear();
        let mut news = Vec::new();
        let failed = || EngineError::system("read the event log");
        while let Some(event) = self.reader.next_event().map_err(failed())? {
            news.push(event);
        }
        Ok(news)
    }
}

impl Engine {
    pub fn follow_events(&self) -> Result<EventFollower, EngineError> {
        let log = EventLog::new(&self.paths);
        let watch = log.watch();
        Ok(EventFollower {
            watch: watch.map_err(EngineError::system("watch the event log"))?,
            reader: log
                .read_on()
                .map_err(EngineError::system("read the event log"))?,
        })
    }
}

fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}
