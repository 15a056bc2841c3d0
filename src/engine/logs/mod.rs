//! `logs`: what containers wrote, from their files or the journal, once or as it comes. Also tells a monitor where its
//! container's log goes.

mod journal;
mod watch;

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use self::journal::JournalReader;
use self::watch::Watch;
use super::request::LogsRequest;
use super::{Engine, EngineError};
use crate::container::{ContainerConfig, LogDriver, LogSettings, LogSource, Record};
use crate::monitor::{JOURNAL_SOCKET, LogEntry, LogOrders, LogReader, Reach};
use crate::sys::timer::End;

/// Whose line it is.
#[derive(Clone, Copy, Debug)]
pub struct LogLabel<'a> {
    /// Counts the containers in the order of the request.
    pub number: usize,
    pub id: &'a str,
    pub name: &'a str,
}

/// What `logs` gives, one after the other.
#[derive(Clone, Copy, Debug)]
pub enum LogEvent<'a> {
    Entry(LogLabel<'a>, &'a LogEntry<'a>),
    /// Nothing more for now: what came so far should be seen.
    Pause,
}

type Show<'a> = dyn FnMut(LogEvent<'_>) -> ControlFlow<()> + 'a;

impl Engine {
    /// Gives every wanted entry to `show`, until that has seen enough. Several containers come one after the other; followed,
    /// as they write.
    pub fn logs(&self, request: &LogsRequest, show: &mut Show<'_>) -> Result<(), EngineError> {
        let names = request.names.iter().enumerate();
        let sources = names.map(|(number, name)| self.log_source(number, name, request));
        let mut sources = sources.collect::<Result<Vec<_>, _>>()?;
        let window = Window::of(request);
        let mut watch = request.follow.then(Watch::new).transpose()?;
        loop {
            if let Some(watch) = &mut watch {
                // Before the last look: what changes after it wakes.
                watch.renew(&sources)?;
            }
            for source in &mut sources {
                if !source.ended && source.advance(request.follow, &window, show)?.is_break() {
                    return Ok(());
                }
            }
            let Some(watch) = &mut watch else {
                return Ok(());
            };
            if sources.iter().all(|source| source.ended) || window.is_over() {
                return Ok(());
            }
            if show(LogEvent::Pause).is_break() {
                return Ok(());
            }
            watch.wait(&sources, window.end())?;
        }
    }

    fn log_source(
        &self,
        number: usize,
        text: &str,
        request: &LogsRequest,
    ) -> Result<Source, EngineError> {
        let record = self.find(text)?;
        let name = self.containers.name_of(&record);
        let settings = record.settings().map_err(EngineError::file(
            "read the settings of the container in",
            &record.directory,
        ))?;
        let log = settings.log;
        let reading = match log.driver {
            LogDriver::JsonFile | LogDriver::K8sFile => {
                let reach = match request.follow {
                    true => Reach::Later,
                    false => Reach::Now,
                };
                let path = record.log(&log);
                let opened = LogReader::open(&path, reach, request.tail);
                // None: never started; nothing will come unless it is, and docker's logs does not wait for that either.
                match opened.map_err(EngineError::file("read", &path))? {
                    Some(reader) => Reading::Files(Box::new(reader), path),
                    None => Reading::Nothing,
                }
            }
            LogDriver::Journald => {
                Reading::Journal(JournalReader::begin(&record.id, &name, request)?)
            }
            LogDriver::None | LogDriver::Passthrough => return Err(EngineError::UnreadableLog),
        };
        Ok(Source {
            number,
            name,
            record,
            ended: matches!(reading, Reading::Nothing),
            reading,
        })
    }

    /// Where a container that is about to start writes its log.
    pub(super) fn log_orders(
        &self,
        record: &Record,
        config: &ContainerConfig,
        log: &LogSettings,
        name: &str,
    ) -> Result<LogOrders, EngineError> {
        let options = log.options()?;
        let streams_on_terminal = || {
            let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
            stdin.is_terminal() || stdout.is_terminal() || std::io::stderr().is_terminal()
        };
        match log.driver {
            LogDriver::Journald if !Path::new(JOURNAL_SOCKET).exists() => {
                return Err(EngineError::NoJournal);
            }
            // The program could type into it.
            LogDriver::Passthrough if streams_on_terminal() => {
                return Err(EngineError::PassthroughTerminal);
            }
            _ => {}
        }
        Ok(LogOrders {
            driver: log.driver,
            path: record.log(log),
            max_size: options.max_size,
            max_file: options.max_file,
            compress: options.compress,
            attributes: options.attributes(LogSource { config, name }),
            id: record.id.to_string(),
            name: name.to_owned(),
            image: config.image.clone(),
        })
    }
}

/// One container's log being read.
struct Source {
    number: usize,
    name: String,
    record: Record,
    reading: Reading,
    /// Nothing more will come.
    ended: bool,
}

enum Reading {
    Nothing,
    Files(Box<LogReader>, PathBuf),
    Journal(JournalReader),
}

impl Source {
    /// Gives what there is now.
    fn advance(
        &mut self,
        follow: bool,
        window: &Window,
        show: &mut Show<'_>,
    ) -> Result<ControlFlow<()>, EngineError> {
        // Asked before the last read: what was written before the end is then read for sure.
        let running = follow && self.record.status().is_ok_and(|status| status.is_running());
        let label = LogLabel {
            number: self.number,
            id: self.record.id.as_str(),
            name: &self.name,
        };
        let mut past = false;
        let mut enough = false;
        let each = |entry: &LogEntry<'_>| {
            if window.is_before(entry) {
                return ControlFlow::Continue(());
            }
            past = window.is_past(entry);
            enough = !past && show(LogEvent::Entry(label, entry)).is_break();
            match past || enough {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        match &mut self.reading {
            Reading::Nothing => {}
            Reading::Files(reader, path) => {
                let read = reader.read(each);
                read.map_err(EngineError::file("read", path)).map(drop)?;
            }
            Reading::Journal(reader) => reader.read(running, each)?,
        }
        self.ended |= past || !running;
        Ok(match enough {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    }
}

/// The times that are wanted, as the log writes them, which sorts.
struct Window {
    since: Option<String>,
    until: Option<(String, Timestamp)>,
}

impl Window {
    fn of(request: &LogsRequest) -> Window {
        let text = |time: Timestamp| format!("{time:.9}");
        Window {
            since: request.since.map(|moment| text(moment.0)),
            until: request.until.map(|moment| (text(moment.0), moment.0)),
        }
    }

    fn is_before(&self, entry: &LogEntry<'_>) -> bool {
        self.since
            .as_deref()
            .is_some_and(|since| entry.time < since)
    }

    fn is_past(&self, entry: &LogEntry<'_>) -> bool {
        let until = self.until.as_ref();
        until.is_some_and(|(until, _)| entry.time > until.as_str())
    }

    fn is_over(&self) -> bool {
        let until = self.until.as_ref();
        until.is_some_and(|(_, until)| Timestamp::now() > *until)
    }

    /// Until when something may still come.
    fn end(&self) -> Option<End> {
        let (_, until) = self.until.as_ref()?;
        let until = Duration::try_from(until.duration_since(Timestamp::UNIX_EPOCH));
        // One more millisecond, or the last look is too early.
        Some(End::Wall(
            until.unwrap_or_default() + Duration::from_millis(1),
        ))
    }
}
