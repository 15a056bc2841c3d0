//! A container's lines out of the host's journal, through `journalctl`, the only reader that every journal has.

use std::io::Read;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use memchr::memchr;
use serde_json::{Map, Value};

use crate::container::ContainerId;
use crate::engine::EngineError;
use crate::engine::request::LogsRequest;
use crate::monitor::{LogEntry, Stream};
use crate::sys::poll::{Interest, PollSet};

/// What the journal has received it may not have written yet: so long nothing must come before that is all of an ended
/// container.
const QUIET: Duration = Duration::from_millis(300);

/// Fields that are no attributes of the line.
const OWN_FIELDS: [&str; 4] = ["MESSAGE", "PRIORITY", "IMAGE_NAME", "SYSLOG_"];

pub(super) struct JournalReader {
    name: String,
    child: Child,
    output: ChildStdout,
    follow: bool,
    /// What came and has no end yet.
    line: Vec<u8>,
    chunk: Vec<u8>,
}

impl JournalReader {
    pub fn begin(
        id: &ContainerId,
        name: &str,
        request: &LogsRequest,
    ) -> Result<JournalReader, EngineError> {
        let failed = |reason: String| EngineError::Journalctl {
            name: name.to_owned(),
            reason,
        };
        let lines = request
            .tail
            .map_or("all".to_owned(), |tail| tail.to_string());
        let mut command = Command::new("journalctl");
        command.args(["--no-pager", "--quiet", "--all", "--output=json"]);
        command.arg(format!("--lines={lines}"));
        if request.follow {
            command.arg("--follow");
        }
        command.arg(format!("CONTAINER_ID_FULL={id}"));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => failed("is not installed".to_owned()),
            _ => failed(format!("cannot be run: {error}")),
        })?;
        let output = child.stdout.take().expect("it was asked for");
        Ok(JournalReader {
            name: name.to_owned(),
            child,
            output,
            follow: request.follow,
            line: Vec::new(),
            chunk: vec![0; 64 * 1024],
        })
    }

    /// Gives what there is; of a container that does not run (any more), all.
    pub fn read(
        &mut self,
        running: bool,
        mut show: impl FnMut(&LogEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        while self.is_ready(running)? {
            let read = self.output.read(&mut self.chunk);
            let length = read.map_err(EngineError::system("read from journalctl"))?;
            if length == 0 {
                return self.end();
            }
            self.line.extend_from_slice(&self.chunk[..length]);
            while let Some(end) = memchr(b'\n', &self.line) {
                let line: Vec<u8> = self.line.drain(..=end).collect();
                if show_line(&line, &mut show).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn is_ready(&self, running: bool) -> Result<bool, EngineError> {
        let limit = match (self.follow, running) {
            (false, _) => None,
            (true, true) => Some(Duration::ZERO),
            (true, false) => Some(QUIET),
        };
        let mut set = PollSet::new();
        set.add(self.output.as_fd(), Interest::Read, ());
        let ready = set.wait(limit);
        let ready = ready.map_err(EngineError::system("wait for journalctl"))?;
        Ok(!ready.is_empty() || limit.is_none())
    }

    fn end(&mut self) -> Result<(), EngineError> {
        let ended = self.child.wait();
        let status = ended.map_err(EngineError::system("wait for journalctl"))?;
        match status.success() {
            true => Ok(()),
            false => Err(EngineError::Journalctl {
                name: self.name.clone(),
                reason: format!("ended with {status}"),
            }),
        }
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.output.as_fd()
    }
}

impl Drop for JournalReader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One entry of the journal as JSON; what is none is passed over.
fn show_line(
    line: &[u8],
    show: &mut impl FnMut(&LogEntry<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let Ok(fields) = serde_json::from_slice::<Map<String, Value>>(line) else {
        return ControlFlow::Continue(());
    };
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let (Some(message), Some(time)) = (fields.get("MESSAGE").and_then(bytes), time(&fields)) else {
        return ControlFlow::Continue(());
    };
    show(&LogEntry {
        stream: match text("PRIORITY") {
            Some("3") => Stream::Stderr,
            _ => Stream::Stdout,
        },
        time: &time,
        text: &message,
        ends_line: text("CONTAINER_PARTIAL_MESSAGE") != Some("true"),
        attributes: &attributes(&fields),
    })
}

/// Text, or where that would not do, the numbers of its bytes.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Array(numbers) => numbers
            .iter()
            .map(|number| u8::try_from(number.as_u64()?).ok())
            .collect(),
        _ => None,
    }
}

/// When the monitor took the line, else when the journal did.
fn time(fields: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let taken = text("SYSLOG_TIMESTAMP").and_then(|time| time.parse::<Timestamp>().ok());
    let received = || {
        let microseconds = text("__REALTIME_TIMESTAMP")?.parse().ok()?;
        Timestamp::from_microsecond(microseconds).ok()
    };
    Some(format!("{:.9}", taken.or_else(received)?))
}

/// What the container's options added.
fn attributes(fields: &Map<String, Value>) -> Vec<u8> {
    let is_own = |name: &str| {
        let prefixes = ["_", "CONTAINER_"];
        let mut own = OWN_FIELDS.iter().chain(&prefixes);
        own.any(|prefix| name.starts_with(prefix))
    };
    let extra = fields.iter().filter(|(name, _)| !is_own(name));
    let mut object: Map<String, Value> = extra
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some(tag) = fields.get("CONTAINER_TAG") {
        object.insert("tag".to_owned(), tag.clone());
    }
    Value::Object(object).to_string().into_bytes()
}
