//! `logs`: reads the container's log file; following waits for the file to grow or the monitor to end.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::os::fd::AsFd;

use jiff::Timestamp;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::request::LogsRequest;
use super::{Engine, EngineError};
use crate::container::{Record, Status};
use crate::monitor::{LogEntry, LogReader, Stream};
use crate::sys::poll::{Interest, PollSet};

/// One entry as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub stream: Stream,
    /// RFC 3339, UTC, nanoseconds.
    pub time: String,
    /// With its newline, if it ends a line.
    pub text: Vec<u8>,
}

impl Engine {
    /// Gives every wanted entry to `show`, which ends it by `false`.
    pub fn logs(
        &self,
        request: &LogsRequest,
        mut show: impl FnMut(LogLine) -> bool,
    ) -> Result<(), EngineError> {
        let record = self.find(&request.name)?;
        let path = record.log();
        let file = match File::open(&path) {
            Ok(file) => file,
            // Never started; nothing will come unless it is, and docker's logs does not wait for that either.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(EngineError::file("read", &path)(error)),
        };
        let watch = request.follow.then(|| Watch::new(&record)).transpose()?;
        let mut reader = LogReader::new(BufReader::with_capacity(64 * 1024, file));
        let failed = |source| EngineError::File {
            operation: "read",
            path: path.clone(),
            source,
        };
        for entry in tail(&mut reader, request).map_err(failed)? {
            if !show(entry) {
                return Ok(());
            }
        }
        let Some(watch) = watch else { return Ok(()) };
        loop {
            // Asked before the last read: what was written before the end is then read for sure.
            let running = matches!(record.status(), Ok(Status::Running(_)));
            while let Some(entry) = reader.next_entry().map_err(failed)? {
                if past(&entry, request) || (wanted(&entry, request) && !show(line(entry))) {
                    return Ok(());
                }
            }
            if !running {
                return Ok(());
            }
            watch.wait()?;
        }
    }
}

/// The entries there are now, the last `tail` lines of them.
fn tail<R: std::io::BufRead>(
    reader: &mut LogReader<R>,
    request: &LogsRequest,
) -> std::io::Result<VecDeque<LogLine>> {
    let mut kept: VecDeque<LogLine> = VecDeque::new();
    let mut lines = 0u64;
    while let Some(entry) = reader.next_entry()? {
        if past(&entry, request) {
            break;
        }
        if !wanted(&entry, request) {
            continue;
        }
        lines += u64::from(entry.text.ends_with(b"\n"));
        kept.push_back(line(entry));
        while request.tail.is_some_and(|tail| lines > tail) {
            let first = kept.pop_front().expect("a line was counted, so it is kept");
            lines -= u64::from(first.text.ends_with(b"\n"));
        }
    }
    if request.tail == Some(0) {
        kept.clear();
    }
    Ok(kept)
}

fn line(entry: LogEntry) -> LogLine {
    LogLine {
        stream: entry.stream,
        time: entry.time,
        text: entry.text,
    }
}

fn wanted(entry: &LogEntry, request: &LogsRequest) -> bool {
    request
        .since
        .is_none_or(|since| time_of(entry).is_none_or(|time| time >= since.0))
}

fn past(entry: &LogEntry, request: &LogsRequest) -> bool {
    request
        .until
        .is_some_and(|until| time_of(entry).is_some_and(|time| time > until.0))
}

fn time_of(entry: &LogEntry) -> Option<Timestamp> {
    entry.time.parse().ok()
}

/// Wakes when the log grows or the container's records change.
struct Watch(Inotify);

impl Watch {
    fn new(record: &Record) -> Result<Watch, EngineError> {
        let failed = |error: nix::errno::Errno| EngineError::System {
            operation: "watch the log",
            source: error.into(),
        };
        let inotify =
            Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).map_err(failed)?;
        inotify
            .add_watch(&record.log(), AddWatchFlags::IN_MODIFY)
            .map_err(failed)?;
        // The exit record appears by a rename in the directory, or the directory itself is renamed away.
        let changes = AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_DELETE_SELF;
        inotify
            .add_watch(&record.directory, changes)
            .map_err(failed)?;
        Ok(Watch(inotify))
    }

    /// Also returns every second: a monitor that is killed changes no file.
    fn wait(&self) -> Result<(), EngineError> {
        let mut set = PollSet::new();
        set.add(self.0.as_fd(), Interest::Read, ());
        let second = std::time::Duration::from_secs(1);
        if !set
            .wait(Some(second))
            .map_err(EngineError::system("watch the log"))?
            .is_empty()
        {
            let _ = self.0.read_events();
        }
        Ok(())
    }
}
