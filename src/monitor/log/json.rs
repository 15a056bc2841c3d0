//! Docker's `json-file` format: one JSON object a line.
//!
//! `{"log":"text\n","stream":"stdout","attrs":{"tag":"x"},"time":"2026-01-01T00:00:00.000000000Z"}`; a part of a line lacks
//! the `\n`. JSON has no place for bytes that are no UTF-8: such a text is written with U+FFFD for them, as docker does, and
//! once more as base64 in `raw`, a member that docker's readers pass over.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr2;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::protocol::Stream;
use super::entry::{LogEntry, Scratch, is_own_time, own_time};
use crate::container::LogAttributes;

const BEGIN: &[u8] = b"{\"log\":\"";
const NEWLINE: &[u8] = b"\\n";
const RAW: &[u8] = b",\"raw\":\"";
const ATTRS: &[u8] = b",\"attrs\":";
const TIME: &[u8] = b",\"time\":\"";

fn stream_member(stream: Stream) -> &'static [u8] {
    match stream {
        Stream::Stdout => b"\",\"stream\":\"stdout\"",
        Stream::Stderr => b"\",\"stream\":\"stderr\"",
    }
}

/// Writes entries; what does not differ between them is made once.
pub(super) struct JsonLines {
    /// `,"attrs":{…}`, or nothing.
    attributes: Vec<u8>,
    /// What follows the text of a whole line, for each stream.
    whole: [Vec<u8>; 2],
    /// From the attributes on.
    tail: Vec<u8>,
}

impl JsonLines {
    pub fn new(attributes: &LogAttributes) -> JsonLines {
        let mut members = attributes.extra.clone();
        members.extend(attributes.tag.clone().map(|tag| ("tag".to_owned(), tag)));
        let mut text = Vec::new();
        if !members.is_empty() {
            let members = members
                .into_iter()
                .map(|(name, value)| (name, value.into()));
            let object = Value::Object(members.collect::<Map<String, Value>>());
            text.extend_from_slice(ATTRS);
            text.extend_from_slice(object.to_string().as_bytes());
        }
        JsonLines {
            attributes: text,
            whole: Default::default(),
            tail: Vec::new(),
        }
    }

    /// The time of the entries that follow.
    pub fn set_time(&mut self, time: &str) {
        self.tail.clear();
        self.tail.extend_from_slice(&self.attributes);
        self.tail.extend_from_slice(TIME);
        self.tail.extend_from_slice(time.as_bytes());
        self.tail.extend_from_slice(b"\"}\n");
        for stream in [Stream::Stdout, Stream::Stderr] {
            let whole = &mut self.whole[stream as usize];
            whole.clear();
            for part in [NEWLINE, stream_member(stream), &self.tail] {
                whole.extend_from_slice(part);
            }
        }
    }

    pub fn write(&self, batch: &mut Vec<u8>, stream: Stream, text: &[u8], ends: bool) {
        batch.reserve(text.len() + self.tail.len() + 64);
        batch.extend_from_slice(BEGIN);
        // Nearly every line, and so what a flood of output costs.
        if is_plain(text) {
            let whole = &self.whole[stream as usize];
            batch.extend_from_slice(text);
            batch.extend_from_slice(if ends { whole } else { &whole[NEWLINE.len()..] });
            return;
        }
        let binary = std::str::from_utf8(text).is_err();
        if binary {
            for chunk in text.utf8_chunks() {
                escape(batch, chunk.valid().as_bytes());
                if !chunk.invalid().is_empty() {
                    batch.extend_from_slice(b"\\ufffd");
                }
            }
        } else {
            escape(batch, text);
        }
        if ends {
            batch.extend_from_slice(NEWLINE);
        }
        batch.extend_from_slice(stream_member(stream));
        if binary {
            batch.extend_from_slice(RAW);
            batch.extend_from_slice(STANDARD.encode(text).as_bytes());
            batch.push(b'"');
        }
        batch.extend_from_slice(&self.tail);
    }
}

/// Appends valid UTF-8 as the inside of a JSON string.
fn escape(batch: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    loop {
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
        let plain = rest.iter().position(special).unwrap_or(rest.len());
        batch.extend_from_slice(&rest[..plain]);
        let Some(byte) = rest.get(plain) else { return };
        match byte {
            b'"' => batch.extend_from_slice(b"\\\""),
            b'\\' => batch.extend_from_slice(b"\\\\"),
            b'\n' => batch.extend_from_slice(b"\\n"),
            b'\r' => batch.extend_from_slice(b"\\r"),
            b'\t' => batch.extend_from_slice(b"\\t"),
            control => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                batch.extend_from_slice(b"\\u00");
                batch.push(DIGITS[usize::from(control >> 4)]);
                batch.push(DIGITS[usize::from(control & 15)]);
            }
        }
        rest = &rest[plain + 1..];
    }
}

/// Whether the byte stands in a JSON string as it is, whatever stands around it: no control character, no part of a longer
/// character, no quote and no backslash.
fn stands_alone(byte: u8) -> bool {
    (byte.wrapping_sub(0x20) < 0x60) & (byte != b'"') & (byte != b'\\')
}

/// Whether the text needs neither escapes nor a look at its encoding. By blocks, which the compiler turns into vector
/// instructions; the last one overlaps the one before.
fn is_plain(text: &[u8]) -> bool {
    const BLOCK: usize = 16;
    let plain = |block: &[u8]| {
        block
            .iter()
            .fold(true, |all, byte| all & stands_alone(*byte))
    };
    match text.last_chunk::<BLOCK>() {
        Some(last) => text.chunks_exact(BLOCK).all(plain) && plain(last),
        None => plain(text),
    }
}

/// Reads an entry; a line of our own shape without a JSON parser.
pub(super) fn parse<'a>(line: &'a [u8], scratch: &'a mut Scratch) -> Option<LogEntry<'a>> {
    match own_shape(line) {
        Some(shape) => shape.entry(scratch),
        None => foreign(line, scratch),
    }
}

/// The parts of a line as they stand there.
struct Shape<'a> {
    log: &'a [u8],
    /// The only escape in `log` is a newline at its end, if there is one at all.
    plain: bool,
    stream: Stream,
    raw: &'a [u8],
    attributes: &'a [u8],
    time: &'a str,
}

fn own_shape(line: &[u8]) -> Option<Shape<'_>> {
    let rest = line.strip_prefix(BEGIN)?;
    let (end, plain) = log_end(rest)?;
    let (log, rest) = rest.split_at(end);
    let (stream, rest) = match rest.strip_prefix(stream_member(Stream::Stdout)) {
        Some(rest) => (Stream::Stdout, rest),
        None => (
            Stream::Stderr,
            rest.strip_prefix(stream_member(Stream::Stderr))?,
        ),
    };
    let (raw, rest) = match rest.strip_prefix(RAW) {
        Some(rest) => {
            let (raw, rest) = rest.split_at(memchr::memchr(b'"', rest)?);
            (raw, &rest[1..])
        }
        None => (&b""[..], rest),
    };
    let (attributes, rest) = match rest.strip_prefix(ATTRS) {
        Some(rest) => rest.split_at(object_end(rest)?),
        None => (&b""[..], rest),
    };
    let time = rest.strip_prefix(TIME)?.strip_suffix(b"\"}")?;
    if !is_own_time(time) {
        return None;
    }
    Some(Shape {
        log,
        plain,
        stream,
        raw,
        attributes,
        time: std::str::from_utf8(time).ok()?,
    })
}

/// Where the string's closing quote stands, and whether nothing but a last newline is escaped.
fn log_end(bytes: &[u8]) -> Option<(usize, bool)> {
    let mut at = 0;
    let mut plain = true;
    loop {
        at += memchr2(b'"', b'\\', &bytes[at..])?;
        if bytes[at] == b'"' {
            return Some((at, plain));
        }
        plain &= bytes[at..].starts_with(b"\\n\"");
        at += 2;
        if at > bytes.len() {
            return None;
        }
    }
}

/// The length of the JSON object at the beginning, which holds strings alone.
fn object_end(bytes: &[u8]) -> Option<usize> {
    let mut quoted = false;
    let mut at = 0;
    loop {
        match (bytes.get(at)?, quoted) {
            (b'\\', true) => at += 1,
            (b'"', _) => quoted = !quoted,
            (b'}', false) => return Some(at + 1),
            _ => {}
        }
        at += 1;
    }
}

impl<'a> Shape<'a> {
    fn entry(self, scratch: &'a mut Scratch) -> Option<LogEntry<'a>> {
        let (text, ends_line): (&[u8], bool) = if !self.raw.is_empty() {
            scratch.text.clear();
            unescape(self.log, &mut scratch.text)?;
            let ends_line = scratch.text.ends_with(b"\n");
            scratch.text = STANDARD.decode(self.raw).ok()?;
            (&scratch.text, ends_line)
        } else if self.plain {
            match self.log.strip_suffix(b"\\n") {
                Some(text) => (text, true),
                None => (self.log, false),
            }
        } else {
            scratch.text.clear();
            unescape(self.log, &mut scratch.text)?;
            match scratch.text.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (&scratch.text, false),
            }
        };
        Some(LogEntry {
            stream: self.stream,
            time: self.time,
            text,
            ends_line,
            attributes: self.attributes,
        })
    }
}

fn unescape(bytes: &[u8], text: &mut Vec<u8>) -> Option<()> {
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        text.extend_from_slice(&rest[..at]);
        let (escape, tail) = rest[at + 1..].split_first()?;
        rest = tail;
        match escape {
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'b' => text.push(8),
            b'f' => text.push(12),
            b'u' => {
                let (code, length) = code_point(rest)?;
                text.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[length..];
            }
            other => text.push(*other),
        }
    }
    text.extend_from_slice(rest);
    Some(())
}

/// The character after `\u`, and how many bytes spell it; two escapes of four digits may be one character.
fn code_point(rest: &[u8]) -> Option<(char, usize)> {
    let unit = |bytes: &[u8]| {
        let digits = std::str::from_utf8(bytes.get(..4)?).ok()?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(rest)?;
    let second = rest.get(4..6).filter(|two| *two == b"\\u");
    let second = second.and_then(|_| unit(&rest[6..]));
    let units = [first, second.unwrap_or(0)];
    match char::decode_utf16(units).next()? {
        Ok(character) => Some((character, if character.len_utf16() == 2 { 10 } else { 4 })),
        Err(_) => Some((char::REPLACEMENT_CHARACTER, 4)),
    }
}

/// A line as another program writes it.
#[derive(Deserialize)]
struct Foreign {
    #[serde(default)]
    log: String,
    stream: String,
    time: String,
    #[serde(default)]
    attrs: Map<String, Value>,
}

fn foreign<'a>(line: &[u8], scratch: &'a mut Scratch) -> Option<LogEntry<'a>> {
    let line: Foreign = serde_json::from_slice(line).ok()?;
    let stream = match line.stream.as_str() {
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        _ => return None,
    };
    scratch.time = own_time(&line.time)?;
    scratch.attributes = match line.attrs.is_empty() {
        true => Vec::new(),
        false => Value::Object(line.attrs).to_string().into_bytes(),
    };
    scratch.text = line.log.into_bytes();
    let ended = scratch.text.strip_suffix(b"\n");
    Some(LogEntry {
        stream,
        time: &scratch.time,
        ends_line: ended.is_some(),
        text: ended.unwrap_or(&scratch.text),
        attributes: &scratch.attributes,
    })
}
