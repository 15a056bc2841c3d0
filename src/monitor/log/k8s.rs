//! Kubernetes' format (CRI): `2026-01-01T00:00:00.000000000Z stdout F text`, `P` instead of `F` for a part of a line. The text
//! is the program's bytes as they are.

use memchr::memchr;

use super::super::protocol::Stream;
use super::entry::{LogEntry, Scratch, is_own_time, own_time};

pub(super) fn write(batch: &mut Vec<u8>, stream: Stream, time: &str, text: &[u8], ends: bool) {
    batch.reserve(text.len() + time.len() + 16);
    batch.extend_from_slice(time.as_bytes());
    batch.extend_from_slice(match stream {
        Stream::Stdout => b" stdout ",
        Stream::Stderr => b" stderr ",
    });
    batch.extend_from_slice(if ends { b"F " } else { b"P " });
    batch.extend_from_slice(text);
    batch.push(b'\n');
}

pub(super) fn parse<'a>(line: &'a [u8], scratch: &'a mut Scratch) -> Option<LogEntry<'a>> {
    let (time, rest) = word(line)?;
    let (stream, rest) = word(rest)?;
    // More tags may follow the first, separated by colons.
    let (tags, text) = word(rest)?;
    let stream = match stream {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    let time = match is_own_time(time) {
        true => std::str::from_utf8(time).ok()?,
        false => {
            scratch.time = own_time(std::str::from_utf8(time).ok()?)?;
            &scratch.time
        }
    };
    Some(LogEntry {
        stream,
        time,
        text,
        ends_line: match tags.first()? {
            b'F' => true,
            b'P' => false,
            _ => return None,
        },
        attributes: b"",
    })
}

/// Up to the next blank, and what follows it.
fn word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (word, rest) = bytes.split_at(memchr(b' ', bytes)?);
    Some((word, &rest[1..]))
}
