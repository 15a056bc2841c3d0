//! A tar writer for what others made: any path, owner, size, time and attribute (ustar, with PAX records where its fields
//! are too small). Streams; never touches the file system.

use std::io::{self, Read, Write};

use super::header::BLOCK;
use super::{Entry, EntryKind};

/// Writes entry by entry.
pub struct TarStream<W> {
    out: W,
}

/// What fits seven octal digits.
const SMALL_ID: u64 = 0o7_777_777;
/// What fits eleven.
const SMALL_SIZE: u64 = 0o77_777_777_777;

impl<W: Write> TarStream<W> {
    pub fn new(out: W) -> TarStream<W> {
        TarStream { out }
    }

    /// The header of an entry; the content of a file follows.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        let records = records(entry);
        if !records.is_empty() {
            let extended = Entry {
                path: b"PaxHeaders/entry".to_vec(),
                link: Vec::new(),
                kind: EntryKind::File,
                mode: 0o644,
                uid: 0,
                gid: 0,
                mtime: (0, 0),
                size: records.len() as u64,
                device: (0, 0),
                xattrs: Vec::new(),
            };
            self.out.write_all(&header(&extended, b'x'))?;
            self.out.write_all(&records)?;
            self.pad(records.len() as u64)?;
        }
        let kind = match entry.kind {
            EntryKind::File => b'0',
            EntryKind::HardLink => b'1',
            EntryKind::Symlink => b'2',
            EntryKind::CharDevice => b'3',
            EntryKind::BlockDevice => b'4',
            EntryKind::Directory => b'5',
            EntryKind::Fifo => b'6',
        };
        self.out.write_all(&header(entry, kind))
    }

    /// Exactly `size` bytes, as the header has promised: a file that grows meanwhile is cut, one that shrinks is filled up.
    pub fn content(&mut self, content: impl Read, size: u64) -> io::Result<()> {
        let mut left = size - io::copy(&mut content.take(size), &mut self.out)?;
        while left > 0 {
            let zeros = [0; BLOCK];
            let part = zeros.len().min(left as usize);
            self.out.write_all(&zeros[..part])?;
            left -= part as u64;
        }
        self.pad(size)
    }

    /// The end marker; everything is handed on.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let rest = (BLOCK - (size % BLOCK as u64) as usize) % BLOCK;
        self.out.write_all(&[0; BLOCK][..rest])
    }
}

fn records(entry: &Entry) -> Vec<u8> {
    let mut records = Vec::new();
    let mut add = |key: &[u8], value: &[u8]| {
        // The length counts its own digits.
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        records.extend_from_slice(length.to_string().as_bytes());
        for part in [b" ", key, b"=", value, b"\n"] {
            records.extend_from_slice(part);
        }
    };
    if entry.path.len() > 100 {
        add(b"path", &entry.path);
    }
    if entry.link.len() > 100 {
        add(b"linkpath", &entry.link);
    }
    for (key, value, most) in [
        (&b"size"[..], entry.size, SMALL_SIZE),
        (b"uid", entry.uid, SMALL_ID),
        (b"gid", entry.gid, SMALL_ID),
    ] {
        if value > most {
            add(key, value.to_string().as_bytes());
        }
    }
    let (seconds, nanoseconds) = entry.mtime;
    if nanoseconds > 0 || u64::try_from(seconds).map_or(true, |time| time > SMALL_SIZE) {
        add(b"mtime", time(seconds, nanoseconds).as_bytes());
    }
    for (key, value) in &entry.xattrs {
        add(&[b"SCHILY.xattr.", &key[..]].concat(), value);
    }
    records
}

/// `-0.5` is half a second before 1970: -1 and 500,000,000 nanoseconds.
fn time(seconds: i64, nanoseconds: u32) -> String {
    let (sign, seconds, nanoseconds) = match (seconds, nanoseconds) {
        (..0, 1..) => (
            "-",
            (seconds + 1).unsigned_abs(),
            1_000_000_000 - nanoseconds,
        ),
        (..0, 0) => ("-", seconds.unsigned_abs(), 0),
        _ => ("", seconds.unsigned_abs(), nanoseconds),
    };
    match nanoseconds {
        0 => format!("{sign}{seconds}"),
        _ => format!("{sign}{seconds}.{nanoseconds:09}"),
    }
}

fn header(entry: &Entry, kind: u8) -> [u8; BLOCK] {
    let mut block = [0u8; BLOCK];
    let mut put = |at: usize, bytes: &[u8], most: usize| {
        let bytes = &bytes[..bytes.len().min(most)];
        block[at..at + bytes.len()].copy_from_slice(bytes);
    };
    let octal = |value: u64, digits: usize| format!("{value:0digits$o}").into_bytes();
    let seconds = u64::try_from(entry.mtime.0).unwrap_or(0).min(SMALL_SIZE);
    put(0, &entry.path, 100);
    put(100, &octal(u64::from(entry.mode & 0o7777), 7), 7);
    put(108, &octal(entry.uid.min(SMALL_ID), 7), 7);
    put(116, &octal(entry.gid.min(SMALL_ID), 7), 7);
    put(124, &octal(entry.size.min(SMALL_SIZE), 11), 11);
    put(136, &octal(seconds, 11), 11);
    put(148, b"        ", 8);
    put(156, &[kind], 1);
    put(157, &entry.link, 100);
    put(257, b"ustar\x0000", 8);
    put(329, &octal(u64::from(entry.device.0), 7), 7);
    put(337, &octal(u64::from(entry.device.1), 7), 7);
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::tar::{Limits, TarReader};

    #[test]
    fn what_is_written_is_read_back() {
        let plain = Entry {
            path: b"a/file".to_vec(),
            link: Vec::new(),
            kind: EntryKind::File,
            mode: 0o4755,
            uid: 1000,
            gid: 5,
            mtime: (1_700_000_000, 0),
            size: 7,
            device: (0, 0),
            xattrs: Vec::new(),
        };
        let entries = [
            plain.clone(),
            Entry {
                path: [&b"d/".repeat(90)[..], b"file"].concat(),
                uid: 4_000_000_000,
                mtime: (1_700_000_000, 123_456_789),
                xattrs: vec![(b"user.x".to_vec(), b"a=b\n\0".to_vec())],
                ..plain.clone()
            },
            Entry {
                path: b"link".to_vec(),
                link: b"../".repeat(50),
                kind: EntryKind::Symlink,
                size: 0,
                ..plain.clone()
            },
            Entry {
                path: b"dir".to_vec(),
                kind: EntryKind::Directory,
                size: 0,
                mtime: (-1, 500_000_000),
                ..plain
            },
        ];
        let mut tar = TarStream::new(Vec::new());
        for entry in &entries {
            tar.entry(entry).unwrap();
            if entry.kind == EntryKind::File {
                tar.content(&b"content and more"[..], entry.size).unwrap();
            }
        }
        let bytes = tar.finish().unwrap();
        assert_eq!(bytes.len() % BLOCK, 0);
        let mut reader = TarReader::new(&bytes[..], Limits::default());
        for entry in &entries {
            assert_eq!(reader.next_entry().unwrap().as_ref(), Some(entry));
        }
        assert_eq!(reader.next_entry().unwrap(), None);
    }

    #[test]
    fn a_file_that_shrank_is_filled_up() {
        let mut tar = TarStream::new(Vec::new());
        tar.content(&b"abc"[..], 600).unwrap();
        let bytes = tar.finish().unwrap();
        assert_eq!(&bytes[..4], b"abc\0");
        assert_eq!(bytes.len(), 4 * BLOCK);
    }
}
