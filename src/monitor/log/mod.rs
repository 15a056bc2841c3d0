//! The container's log: lines of the program's output, as its driver keeps them, and how they are read back. Never waits for
//! a reader; what cannot be written is lost from the log alone.

mod compress;
mod entry;
mod file;
mod journal;
mod json;
mod k8s;
mod lines;
mod reader;
mod tail;

pub use entry::LogEntry;
pub use journal::SOCKET as JOURNAL_SOCKET;
pub use reader::{LogReader, Reach};

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use rustix::process::Pid;

use self::file::RotatingFile;
use self::journal::Journal;
use self::json::JsonLines;
use self::lines::OpenLine;
use super::protocol::Stream;
use crate::container::{LogAttributes, LogDriver};

/// Where the log of one run goes and what its lines carry.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct LogOrders {
    pub driver: LogDriver,
    /// The file being written, for drivers that have one.
    pub path: PathBuf,
    /// Bytes of one file; None: no limit.
    pub max_size: Option<u64>,
    /// Files, the one being written included.
    pub max_file: u32,
    /// Old ones are compressed.
    pub compress: bool,
    pub attributes: LogAttributes,
    /// The container's full id, its name and its image's, for the journal.
    pub id: String,
    pub name: String,
    pub image: String,
}

/// Takes what the program writes.
pub struct LogWriter {
    stdout: OpenLine,
    stderr: OpenLine,
    target: Target,
}

enum Target {
    Json(RotatingFile, JsonLines),
    K8s(RotatingFile),
    Journal(Box<Journal>),
    Nothing,
}

impl LogWriter {
    pub fn open(orders: &LogOrders) -> io::Result<LogWriter> {
        let file = || {
            let bounds = (orders.max_size, orders.max_file);
            RotatingFile::open(&orders.path, bounds, orders.compress)
        };
        Ok(LogWriter {
            stdout: OpenLine::default(),
            stderr: OpenLine::default(),
            target: match orders.driver {
                LogDriver::JsonFile => Target::Json(file()?, JsonLines::new(&orders.attributes)),
                LogDriver::K8sFile => Target::K8s(file()?),
                LogDriver::Journald => Target::Journal(Box::new(Journal::open(orders)?)),
                LogDriver::None | LogDriver::Passthrough => Target::Nothing,
            },
        })
    }

    /// Takes output as it comes; what is no whole line yet waits for the rest.
    pub fn take(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        if matches!(self.target, Target::Nothing) {
            return Ok(());
        }
        let time = now();
        self.target.begin(&time);
        let open = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        let target = &mut self.target;
        open.split(bytes, |text, ends| target.line(stream, &time, text, ends));
        self.target.flush()
    }

    /// From now on a file has at most so many bytes, and there are at most so many.
    pub fn keep(&mut self, max_size: Option<u64>, max_file: u32) {
        match &mut self.target {
            Target::Json(file, _) | Target::K8s(file) => file.keep(max_size, max_file),
            Target::Journal(_) | Target::Nothing => {}
        }
    }

    /// A child of the monitor has ended: it may have compressed an old file.
    pub fn reaped(&mut self, pid: Pid, code: i32) {
        match &mut self.target {
            Target::Json(file, _) | Target::K8s(file) => file.reaped(pid, code),
            Target::Journal(_) | Target::Nothing => {}
        }
    }

    /// Writes the unfinished last lines: the program has ended. Another may begin; until it writes, there is no child.
    pub fn finish(&mut self) -> io::Result<()> {
        let time = now();
        self.target.begin(&time);
        for (stream, open) in [
            (Stream::Stdout, &mut self.stdout),
            (Stream::Stderr, &mut self.stderr),
        ] {
            if let Some(text) = open.end() {
                self.target.line(stream, &time, &text, false);
            }
        }
        if let Target::Json(file, _) | Target::K8s(file) = &mut self.target {
            file.rest();
        }
        self.target.flush()
    }
}

/// RFC 3339 in UTC with nine digits: 30 bytes that sort as time does.
fn now() -> String {
    format!("{:.9}", Timestamp::now())
}

impl Target {
    fn begin(&mut self, time: &str) {
        if let Target::Json(_, lines) = self {
            lines.set_time(time);
        }
    }

    fn line(&mut self, stream: Stream, time: &str, text: &[u8], ends: bool) {
        match self {
            Target::Json(file, lines) => {
                lines.write(file.batch(), stream, text, ends);
                file.line_ended();
            }
            Target::K8s(file) => {
                k8s::write(file.batch(), stream, time, text, ends);
                file.line_ended();
            }
            Target::Journal(journal) => journal.send(stream, time, text, ends),
            Target::Nothing => {}
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Target::Json(file, _) | Target::K8s(file) => file.flush(),
            Target::Journal(_) | Target::Nothing => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
