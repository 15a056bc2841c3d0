//! Lines of output as entries of the host's journal, in its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL), with docker's
//! fields. Never waits long for a journal that does not read.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use super::super::protocol::Stream;
use super::LogOrders;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::socket;

/// Where a journal listens, if the host has one.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// How long the program is held back while the journal has no room; after that lines are lost, until there is room again.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Journal {
    socket: OwnedFd,
    /// The fields that every entry has.
    fields: Vec<u8>,
    entry: Vec<u8>,
    stdout: Parts,
    stderr: Parts,
    /// Lines so far.
    ordinal: u64,
    /// A line was lost because there was no room.
    stalled: bool,
}

/// The parts of a long line so far.
#[derive(Default)]
struct Parts {
    count: u64,
    id: String,
}

impl Journal {
    pub fn open(orders: &LogOrders) -> io::Result<Journal> {
        let short = orders.id.get(..12).unwrap_or(&orders.id);
        let tag = orders.attributes.tag.as_deref().unwrap_or(short);
        let mut fields = Vec::new();
        for (name, value) in [
            ("CONTAINER_ID", short),
            ("CONTAINER_ID_FULL", &orders.id),
            ("CONTAINER_NAME", &orders.name),
            ("CONTAINER_TAG", tag),
            ("IMAGE_NAME", &orders.image),
            ("SYSLOG_IDENTIFIER", tag),
        ] {
            push_field(&mut fields, name, value.as_bytes());
        }
        for (name, value) in &orders.attributes.extra {
            let name = field_name(name);
            if !name.is_empty() {
                push_field(&mut fields, &name, value.as_bytes());
            }
        }
        Ok(Journal {
            socket: connect()?,
            fields,
            entry: Vec::new(),
            stdout: Parts::default(),
            stderr: Parts::default(),
            ordinal: 0,
            stalled: false,
        })
    }

    pub fn send(&mut self, stream: Stream, time: &str, text: &[u8], ends: bool) {
        self.ordinal += 1;
        let (parts, priority) = match stream {
            Stream::Stdout => (&mut self.stdout, "6"),
            Stream::Stderr => (&mut self.stderr, "3"),
        };
        let entry = &mut self.entry;
        entry.clear();
        push_field(entry, "MESSAGE", text);
        push_field(entry, "PRIORITY", priority.as_bytes());
        push_field(entry, "SYSLOG_TIMESTAMP", time.as_bytes());
        let ordinal = self.ordinal.to_string();
        push_field(entry, "CONTAINER_LOG_ORDINAL", ordinal.as_bytes());
        parts.describe(entry, &ordinal, ends);
        entry.extend_from_slice(&self.fields);
        self.transmit();
    }

    /// What cannot be sent is lost from the journal alone.
    fn transmit(&mut self) {
        for attempt in 0..2 {
            match socket::send(self.socket.as_fd(), &[&self.entry], &[]) {
                Ok(true) => return self.stalled = false,
                Ok(false) if self.stalled || attempt > 0 => return self.stalled = true,
                Ok(false) => {
                    let mut set = PollSet::new();
                    set.add(self.socket.as_fd(), Interest::Write, ());
                    let _ = set.wait(Some(PATIENCE));
                }
                // The journal was started again.
                Err(_) => match connect() {
                    Ok(socket) => self.socket = socket,
                    Err(_) => return,
                },
            }
        }
    }
}

fn connect() -> io::Result<OwnedFd> {
    let socket = socket::connect_datagrams(Path::new(SOCKET))?;
    socket::set_nonblocking(socket.as_fd())?;
    Ok(socket)
}

impl Parts {
    /// Docker's fields for the parts of a line that is too long for one entry.
    fn describe(&mut self, entry: &mut Vec<u8>, ordinal: &str, ends: bool) {
        if ends && self.count == 0 {
            return;
        }
        if self.count == 0 {
            self.id = format!("{:x}-{ordinal}", std::process::id());
        }
        self.count += 1;
        if !ends {
            push_field(entry, "CONTAINER_PARTIAL_MESSAGE", b"true");
        }
        push_field(entry, "CONTAINER_PARTIAL_ID", self.id.as_bytes());
        let count = self.count.to_string();
        push_field(entry, "CONTAINER_PARTIAL_ORDINAL", count.as_bytes());
        let last: &[u8] = if ends { b"true" } else { b"false" };
        push_field(entry, "CONTAINER_PARTIAL_LAST", last);
        if ends {
            self.count = 0;
        }
    }
}

/// Text without a newline as `NAME=value`, anything else with its length before it.
fn push_field(entry: &mut Vec<u8>, name: &str, value: &[u8]) {
    entry.extend_from_slice(name.as_bytes());
    if value.iter().any(|byte| *byte < b' ') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

/// A label's name as the journal takes it: capitals, digits and `_`, which is not the first.
fn field_name(name: &str) -> String {
    let upper = name.chars().map(|c| match c.to_ascii_uppercase() {
        c @ ('A'..='Z' | '0'..='9') => c,
        _ => '_',
    });
    upper.collect::<String>().trim_start_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_newlines_carry_their_length() {
        let mut entry = Vec::new();
        push_field(&mut entry, "A", b"plain \xff");
        push_field(&mut entry, "B", b"two\nlines");
        let expected = [b"A=plain \xff\nB\n\x09\0\0\0\0\0\0\0two\nlines\n" as &[u8]].concat();
        assert_eq!(entry, expected);
        assert_eq!(field_name("_com.example-x9"), "COM_EXAMPLE_X9");
    }
}
