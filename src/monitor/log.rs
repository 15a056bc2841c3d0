//! The container's log in docker's `json-file` format: one JSON object a line, long lines in parts of 16 KiB.
//!
//! `{"log":"text\n","stream":"stdout","time":"2026-01-01T00:00:00.000000000Z"}`; a part of a line lacks the `\n`. Bytes that
//! are no UTF-8 stand in the string as they are, so that they come back unchanged.

use std::fs::File;
use std::io::{self, BufRead, Write};
use std::path::Path;

use jiff::Timestamp;

use super::protocol::Stream;

/// Docker's size of a part.
const PART: usize = 16 * 1024;

/// Appends what the program writes.
pub struct LogWriter {
    file: File,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Finished lines of this turn, written at once.
    batch: Vec<u8>,
}

impl LogWriter {
    pub fn open(path: &Path) -> io::Result<LogWriter> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        Ok(LogWriter {
            file,
            stdout: Vec::new(),
            stderr: Vec::new(),
            batch: Vec::new(),
        })
    }

    /// Takes output as it comes; what is no whole line yet waits for the rest.
    pub fn take(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let now = format!("{:.9}", Timestamp::now());
        let LogWriter {
            stdout,
            stderr,
            batch,
            file,
        } = self;
        let open = match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        };
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut rest = piece;
            while !rest.is_empty() {
                let room = PART - open.len();
                let (head, tail) = rest.split_at(rest.len().min(room));
                open.extend_from_slice(head);
                rest = tail;
                if open.len() == PART || open.ends_with(b"\n") {
                    write_line(batch, stream, open, &now);
                    open.clear();
                }
            }
        }
        flush(file, batch)
    }

    /// Writes the unfinished last lines: the program has ended.
    pub fn finish(&mut self) -> io::Result<()> {
        let now = format!("{:.9}", Timestamp::now());
        for (stream, open) in [
            (Stream::Stdout, &mut self.stdout),
            (Stream::Stderr, &mut self.stderr),
        ] {
            if !open.is_empty() {
                write_line(&mut self.batch, stream, open, &now);
                open.clear();
            }
        }
        flush(&mut self.file, &mut self.batch)
    }
}

fn flush(file: &mut File, batch: &mut Vec<u8>) -> io::Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let written = file.write_all(batch);
    batch.clear();
    written
}

fn write_line(batch: &mut Vec<u8>, stream: Stream, text: &[u8], time: &str) {
    batch.extend_from_slice(b"{\"log\":\"");
    let mut clean = 0;
    for (at, byte) in text.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x1f => b"",
            _ => continue,
        };
        batch.extend_from_slice(&text[clean..at]);
        if escape.is_empty() {
            batch.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
        } else {
            batch.extend_from_slice(escape);
        }
        clean = at + 1;
    }
    batch.extend_from_slice(&text[clean..]);
    let stream = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    batch.extend_from_slice(
        format!("\",\"stream\":\"{stream}\",\"time\":\"{time}\"}}\n").as_bytes(),
    );
}

/// One line, or part of one, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    pub stream: Stream,
    /// RFC 3339, UTC, nanoseconds.
    pub time: String,
    /// With its newline, if it ends a line.
    pub text: Vec<u8>,
}

/// Reads entries one after the other.
pub struct LogReader<R> {
    source: R,
    line: Vec<u8>,
}

impl<R: BufRead> LogReader<R> {
    pub fn new(source: R) -> LogReader<R> {
        LogReader {
            source,
            line: Vec::new(),
        }
    }

    /// The next entry; `None` at the end, for now: a line that is still being written stays for the next call. A line that
    /// is no entry (cut by a crash) is passed over.
    pub fn next_entry(&mut self) -> io::Result<Option<LogEntry>> {
        loop {
            self.source.read_until(b'\n', &mut self.line)?;
            if !self.line.ends_with(b"\n") {
                return Ok(None);
            }
            let entry = parse(&self.line);
            self.line.clear();
            if entry.is_some() {
                return Ok(entry);
            }
        }
    }
}

/// Reads a line by hand: JSON parsers refuse the bytes that are no UTF-8.
fn parse(line: &[u8]) -> Option<LogEntry> {
    let rest = line.strip_prefix(b"{\"log\":\"")?;
    let end = string_end(rest)?;
    let text = unescape(&rest[..end])?;
    let tail = std::str::from_utf8(&rest[end..]).ok()?;
    let (stream, tail) = tail.strip_prefix("\",\"stream\":\"")?.split_once('"')?;
    let stream = match stream {
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        _ => return None,
    };
    let (time, _) = tail.strip_prefix(",\"time\":\"")?.split_once('"')?;
    Some(LogEntry {
        stream,
        time: time.to_owned(),
        text,
    })
}

fn string_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn unescape(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        text.extend_from_slice(&rest[..at]);
        let (escape, tail) = rest[at + 1..].split_first()?;
        rest = tail;
        match escape {
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'u' => {
                let digits = std::str::from_utf8(rest.get(..4)?).ok()?;
                let code = u32::from_str_radix(digits, 16).ok()?;
                text.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[4..];
            }
            other => text.push(*other),
        }
    }
    text.extend_from_slice(rest);
    Some(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn round(pieces: &[(Stream, &[u8])]) -> Vec<LogEntry> {
        let path =
            std::env::temp_dir().join(format!("bryo-log-{}-{}", std::process::id(), pieces.len()));
        let mut writer = LogWriter::open(&path).unwrap();
        for (stream, bytes) in pieces {
            writer.take(*stream, bytes).unwrap();
        }
        writer.finish().unwrap();
        let text = std::fs::read(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        let mut reader = LogReader::new(text.as_slice());
        std::iter::from_fn(|| reader.next_entry().unwrap()).collect()
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        let entries = round(&[(Stream::Stdout, &all)]);
        let text: Vec<u8> = entries
            .iter()
            .flat_map(|entry| entry.text.clone())
            .collect();
        assert_eq!(text, all);
    }

    #[test]
    fn lines_are_put_together_per_stream_and_long_ones_split() {
        let long = vec![b'x'; PART + 5];
        let entries = round(&[
            (Stream::Stdout, b"a"),
            (Stream::Stderr, b"err\n"),
            (Stream::Stdout, b"b\nc"),
            (Stream::Stdout, &long),
        ]);
        let shape: Vec<_> = entries.iter().map(|e| (e.stream, e.text.len())).collect();
        let expected = [
            (Stream::Stderr, 4),
            (Stream::Stdout, 3),
            (Stream::Stdout, PART),
            (Stream::Stdout, 6),
        ];
        assert_eq!(shape, expected);
    }

    #[test]
    fn a_line_still_being_written_is_not_read() {
        let mut reader = LogReader::new(&b"{\"log\":\"a\\n\",\"stream\":\"stdo"[..]);
        assert_eq!(reader.next_entry().unwrap(), None);
    }
}
