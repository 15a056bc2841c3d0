//! Which containers start and end while logs are followed, out of the event log. Reads no container's log.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};

use super::Joining;
use crate::container::{Event, EventKind, EventLog, EventReader, EventWatch};
use crate::engine::EngineError;
use crate::paths::Paths;

pub(super) struct News<'a> {
    joining: &'a Joining<'a>,
    watch: EventWatch,
    reader: EventReader,
    /// Made, and not started yet: when one takes another's place, it is there before that one ends.
    expected: BTreeSet<String>,
}

pub(super) enum Happened {
    Started,
    /// With this exit code.
    Ended(i32),
}

impl News<'_> {
    pub fn open<'a>(paths: &Paths, joining: &'a Joining<'a>) -> Result<News<'a>, EngineError> {
        let log = EventLog::new(paths);
        // Watched from before the first read: what comes between is then seen.
        let watch = log
            .watch()
            .map_err(EngineError::system("watch the event log"))?;
        let reader = log.read().map_err(failed())?;
        Ok(News {
            joining,
            watch,
            reader,
            expected: BTreeSet::new(),
        })
    }

    /// To be called before everything is read: what comes later wakes again.
    pub fn clear(&self) {
        self.watch.clear();
    }

    /// Somebody has been made who has not started yet.
    pub fn expects(&self) -> bool {
        !self.expected.is_empty()
    }

    /// The next container that has started or ended, by its id; `None`: that is all for now.
    pub fn next(&mut self) -> Result<Option<(String, Happened)>, EngineError> {
        while let Some(event) = self.reader.next_event().map_err(failed())? {
            let is_new = i128::from(event.time) >= self.joining.since.as_nanosecond();
            if is_new
                && event.kind == EventKind::Container
                && (self.joining.wanted)(&event)
                && let Some(happened) = self.happened(&event)
            {
                return Ok(Some((event.id, happened)));
            }
        }
        Ok(None)
    }

    fn happened(&mut self, event: &Event) -> Option<Happened> {
        match event.action.as_str() {
            "create" => {
                self.expected.insert(event.id.clone());
                None
            }
            "start" => {
                self.expected.remove(&event.id);
                Some(Happened::Started)
            }
            "destroy" => {
                self.expected.remove(&event.id);
                None
            }
            "die" => {
                let code = event.attributes.get("exitCode")?;
                Some(Happened::Ended(code.parse().ok()?))
            }
            _ => None,
        }
    }
}

impl AsFd for News<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

fn failed() -> impl FnOnce(std::io::Error) -> EngineError {
    EngineError::system("read the event log")
}
