//! `logs`: what containers wrote, from their files or the journal, once or as it comes. Also tells a monitor where its
//! container's log goes.

mod journal;
mod news;
mod watch;

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use self::journal::JournalReader;
use self::news::{Happened, News};
use self::watch::Watch;
use super::request::LogsRequest;
use super::{Engine, EngineError};
use crate::container::{
    ContainerConfig, ContainerError, Event, LogDriver, LogSettings, LogSource, Record, Status,
};
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
    /// A run of it has ended, and all of its lines were given; only where others may join.
    Exited(LogLabel<'a>, RunEnd),
    /// Nothing more for now: what came so far should be seen.
    Pause,
}

/// How a run ended whose container is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunEnd {
    pub code: i32,
    /// The next run follows, or has begun.
    pub again: bool,
}

/// Whose logs are followed besides, from when they start.
pub struct Joining<'a> {
    /// When the request's containers were looked for: who started since is not among them.
    pub since: Timestamp,
    /// Asked of a container's events.
    pub wanted: &'a dyn Fn(&Event) -> bool,
}

type Show<'a> = dyn FnMut(LogEvent<'_>) -> ControlFlow<()> + 'a;

impl Engine {
    /// Gives every wanted entry to `show`, until that has seen enough. Several containers come one after the other; followed,
    /// as they write.
    pub fn logs(&self, request: &LogsRequest, show: &mut Show<'_>) -> Result<(), EngineError> {
        self.logs_and_news(request, None, show)
    }

    /// The same, of containers that start meanwhile too, and the ends of all; over when none of them runs or is about to.
    pub fn joined_logs(
        &self,
        request: &LogsRequest,
        joining: &Joining<'_>,
        show: &mut Show<'_>,
    ) -> Result<(), EngineError> {
        let news = News::open(&self.paths, joining)?;
        self.logs_and_news(request, Some(news), show)
    }

    fn logs_and_news(
        &self,
        request: &LogsRequest,
        mut news: Option<News<'_>>,
        show: &mut Show<'_>,
    ) -> Result<(), EngineError> {
        let names = request.names.iter().enumerate();
        let sources = names.map(|(number, name)| self.log_source(number, name, request));
        let mut sources = sources.collect::<Result<Vec<_>, _>>()?;
        let window = Window::of(request);
        let mut watch = request.follow.then(Watch::new).transpose()?;
        let mut is_last_look = false;
        loop {
            if let Some(news) = &mut news {
                self.take_news(news, &mut sources, request)?;
            }
            if let Some(watch) = &mut watch {
                // Before the last look: what changes after it wakes.
                watch.renew(&sources)?;
            }
            let news_of = |source: &Source| !source.ended || !source.ends.is_empty();
            for source in sources.iter_mut().filter(|source| news_of(source)) {
                if source.advance(request.follow, &window, show)?.is_break()
                    || (news.is_some() && source.tell_ends(show).is_break())
                {
                    return Ok(());
                }
            }
            let Some(watch) = &mut watch else {
                return Ok(());
            };
            let is_quiet = sources.iter().all(|source| source.ended);
            let expects = news.as_ref().is_some_and(News::expects);
            if (is_quiet && !expects) || window.is_over() {
                let untold = news.is_some() && sources.iter().any(|source| source.lives);
                if !untold || std::mem::replace(&mut is_last_look, true) {
                    return Ok(());
                }
                continue;
            }
            if show(LogEvent::Pause).is_break() {
                return Ok(());
            }
            watch.wait(&sources, news.as_ref(), window.end())?;
        }
    }

    /// Who has started is read (on), and who has ended is known to have.
    fn take_news(
        &self,
        news: &mut News<'_>,
        sources: &mut Vec<Source>,
        request: &LogsRequest,
    ) -> Result<(), EngineError> {
        news.clear();
        while let Some((id, happened)) = news.next()? {
            let mut known = sources.iter_mut();
            let known = known.find(|source| source.record.id.as_str() == id);
            match (known, happened) {
                (Some(source), Happened::Ended(code)) if source.lives => source.ends.push(code),
                (_, Happened::Ended(_)) => {}
                (Some(source), Happened::Started) => {
                    (source.ended, source.lives) = (false, true);
                    if matches!(source.reading, Reading::Nothing) {
                        source.reading = self.read_later(&source.record, &source.name, request)?;
                    }
                }
                (None, Happened::Started) => {
                    if let Some(source) = self.joined(sources.len(), &id, request)? {
                        sources.push(source);
                    }
                }
            }
        }
        Ok(())
    }

    /// None: it is gone again, or its log is nowhere to be read.
    fn joined(
        &self,
        number: usize,
        id: &str,
        request: &LogsRequest,
    ) -> Result<Option<Source>, EngineError> {
        let record = match self.find(id) {
            Err(EngineError::Container(ContainerError::NotFound { .. })) => return Ok(None),
            found => found?,
        };
        let name = self.containers.name_of(&record);
        match self.read_later(&record, &name, request) {
            Ok(reading) => Ok(Some(Source {
                lives: true,
                ..Source::new(number, name, record, reading)
            })),
            Err(EngineError::UnreadableLog) => Ok(None),
            Err(error) => Err(error.or_removed(&record)),
        }
    }

    /// From the first line, whatever tail was asked of those that were there before.
    fn read_later(
        &self,
        record: &Record,
        name: &str,
        request: &LogsRequest,
    ) -> Result<Reading, EngineError> {
        let request = LogsRequest {
            tail: None,
            ..request.clone()
        };
        self.log_reading(record, name, &request)
    }

    fn log_source(
        &self,
        number: usize,
        text: &str,
        request: &LogsRequest,
    ) -> Result<Source, EngineError> {
        let record = self.find(text)?;
        let name = self.containers.name_of(&record);
        let reading = self.log_reading(&record, &name, request)?;
        Ok(Source {
            ended: matches!(reading, Reading::Nothing),
            ..Source::new(number, name, record, reading)
        })
    }

    fn log_reading(
        &self,
        record: &Record,
        name: &str,
        request: &LogsRequest,
    ) -> Result<Reading, EngineError> {
        let settings = record.settings().map_err(EngineError::file(
            "read the settings of the container in",
            &record.directory,
        ))?;
        let log = settings.log;
        match log.driver {
            LogDriver::JsonFile | LogDriver::K8sFile => {
                let reach = match request.follow {
                    true => Reach::Later,
                    false => Reach::Now,
                };
                let path = record.log(&log);
                let opened = LogReader::open(&path, reach, request.tail);
                // None: never started; nothing will come unless it is, and docker's logs does not wait for that either.
                Ok(match opened.map_err(EngineError::file("read", &path))? {
                    Some(reader) => Reading::Files(Box::new(reader), path),
                    None => Reading::Nothing,
                })
            }
            LogDriver::Journald => Ok(Reading::Journal(JournalReader::begin(
                &record.id, name, request,
            )?)),
            LogDriver::None | LogDriver::Passthrough => Err(EngineError::UnreadableLog),
        }
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
    /// It was seen to run, so its end is news.
    lives: bool,
    /// Exit codes of its runs that nobody was told of.
    ends: Vec<i32>,
}

enum Reading {
    Nothing,
    Files(Box<LogReader>, PathBuf),
    Journal(JournalReader),
}

impl Source {
    fn new(number: usize, name: String, record: Record, reading: Reading) -> Source {
        Source {
            number,
            name,
            record,
            reading,
            ended: false,
            lives: false,
            ends: Vec::new(),
        }
    }

    fn label(&self) -> LogLabel<'_> {
        LogLabel {
            number: self.number,
            id: self.record.id.as_str(),
            name: &self.name,
        }
    }

    /// Says which of its runs have ended; to be asked when their lines were given.
    fn tell_ends(&mut self, show: &mut Show<'_>) -> ControlFlow<()> {
        let over = self.ended && self.lives;
        let mut codes = std::mem::take(&mut self.ends);
        if over && codes.is_empty() {
            codes.extend(self.exit_code());
        }
        // Of one that was removed at once its event is still to come.
        if over && !codes.is_empty() {
            self.lives = false;
        }
        let last = codes.len().saturating_sub(1);
        for (at, code) in codes.into_iter().enumerate() {
            let again = !(over && at == last);
            show(LogEvent::Exited(self.label(), RunEnd { code, again }))?;
        }
        ControlFlow::Continue(())
    }

    fn exit_code(&self) -> Option<i32> {
        match self.record.status().ok()? {
            Status::Exited(exit) => Some(exit.code),
            Status::Killed(_) => Some(137),
            _ => None,
        }
    }

    /// Gives what there is now.
    fn advance(
        &mut self,
        follow: bool,
        window: &Window,
        show: &mut Show<'_>,
    ) -> Result<ControlFlow<()>, EngineError> {
        // Asked before the last read: what was written before the end is then read for sure.
        let running = follow && self.record.status().is_ok_and(|status| status.is_running());
        self.lives |= running;
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
