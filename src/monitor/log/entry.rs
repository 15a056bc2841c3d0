//! One line of a log, or part of one, in whichever format it was written. Reads values only.

use jiff::Timestamp;

use super::super::protocol::Stream;
use super::{json, k8s};

/// One line, or part of one, as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry<'a> {
    pub stream: Stream,
    /// RFC 3339, UTC, nine digits.
    pub time: &'a str,
    /// Without the newline.
    pub text: &'a [u8],
    /// A newline followed; else the next entry of the stream goes on in the same line.
    pub ends_line: bool,
    /// A JSON object of strings, or nothing.
    pub attributes: &'a [u8],
}

/// Where the parts of an entry are put that do not stand in the log as they are.
#[derive(Default)]
pub(super) struct Scratch {
    pub text: Vec<u8>,
    pub time: String,
    pub attributes: Vec<u8>,
}

/// Reads one line of a log file, without its newline: docker's JSON, or Kubernetes' text. `None`: it is neither.
pub(super) fn parse<'a>(line: &'a [u8], scratch: &'a mut Scratch) -> Option<LogEntry<'a>> {
    match line.first()? {
        b'{' => json::parse(line, scratch),
        _ => k8s::parse(line, scratch),
    }
}

/// Whether this is a time as bryo writes it, which needs no conversion.
pub(super) fn is_own_time(time: &[u8]) -> bool {
    time.len() == 30 && time[10] == b'T' && time[19] == b'.' && time[29] == b'Z' && time.is_ascii()
}

/// Another's time as bryo writes it.
pub(super) fn own_time(time: &str) -> Option<String> {
    let time: Timestamp = time.parse().ok()?;
    Some(format!("{time:.9}"))
}
