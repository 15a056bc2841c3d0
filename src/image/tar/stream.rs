//! A tar writer for any tree: ustar headers, PAX records for what they have no room for (POSIX.1-2001), content streamed.
//! Never touches the file system.

use std::io::{self, Write};

use super::header::BLOCK;
use super::{Entry, EntryKind};

/// Where an archive is written to. Anything that takes bytes does; who wants to know what they are says so.
pub trait TarSink {
    /// Headers, padding and the end.
    fn raw(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Content of the entry that was announced last.
    fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.raw(bytes)
    }

    /// An entry whose header comes next, and then its content.
    fn announce(&mut self, _entry: &Entry) -> io::Result<()> {
        Ok(())
    }

    /// The header of a file with content was written.
    fn begin_content(&mut self, _entry: &Entry) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> TarSink for W {
    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }
}

/// The largest number that eleven octal digits hold: beyond it a PAX record says the size.
const MAX_SIZE: u64 = 0o777_7777_7777;
/// The same of seven digits, for owners.
const MAX_ID: u64 = 0o777_7777;

/// Writes entries one after the other; what follows [`TarStream::entry`] of a file is its content, in exactly the size that
/// the entry says.
#[derive(Debug)]
pub struct TarStream<W> {
    inner: W,
    /// Bytes written so far.
    written: u64,
}

impl<W: TarSink> TarStream<W> {
    pub fn new(inner: W) -> TarStream<W> {
        TarStream { inner, written: 0 }
    }

    /// Writes an entry's header. Directories get the slash at their end here.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.inner.announce(entry)?;
        let mut path = entry.path.clone();
        if entry.kind == EntryKind::Directory && !path.ends_with(b"/") {
            path.push(b'/');
        }
        let records = records(&path, entry);
        if !records.is_empty() {
            let mut block = Header::new(b"PaxHeaders/entry", b'x');
            block.number(100, 8, 0o644);
            block.number(124, 12, records.len() as u64);
            self.put(&block.finish())?;
            self.put(&records)?;
            self.pad()?;
        }
        self.put(&header(&path, entry))?;
        match entry.size {
            0 => Ok(()),
            _ => self.inner.begin_content(entry),
        }
    }

    /// Content of the entry whose header was written last.
    pub fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.content(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Fills the last block of an entry's content.
    pub fn pad(&mut self) -> io::Result<()> {
        let missing = self.written.next_multiple_of(BLOCK as u64) - self.written;
        self.put(&[0; BLOCK][..missing as usize])
    }

    /// Writes the end marker; how many bytes the archive has.
    pub fn finish(mut self) -> io::Result<u64> {
        self.put(&[0; 2 * BLOCK])?;
        self.inner.finish()?;
        Ok(self.written)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.inner.raw(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

/// What the header has no room for.
fn records(path: &[u8], entry: &Entry) -> Vec<u8> {
    let mut all = Vec::new();
    let mut add = |key: &[u8], value: &[u8]| record(&mut all, key, value);
    if path.len() > 100 {
        add(b"path", path);
    }
    if entry.link.len() > 100 {
        add(b"linkpath", &entry.link);
    }
    for (key, value, limit) in [
        ("size", entry.size, MAX_SIZE),
        ("uid", entry.uid, MAX_ID),
        ("gid", entry.gid, MAX_ID),
    ] {
        if value > limit {
            add(key.as_bytes(), value.to_string().as_bytes());
        }
    }
    if entry.mtime.0 < 0 || entry.mtime.0.unsigned_abs() > MAX_SIZE {
        add(b"mtime", entry.mtime.0.to_string().as_bytes());
    }
    for (name, value) in &entry.xattrs {
        add(&[b"SCHILY.xattr.", &name[..]].concat(), value);
    }
    all
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn record(all: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length += 1;
    }
    all.extend_from_slice(length.to_string().as_bytes());
    all.push(b' ');
    all.extend_from_slice(key);
    all.push(b'=');
    all.extend_from_slice(value);
    all.push(b'\n');
}

fn header(path: &[u8], entry: &Entry) -> [u8; BLOCK] {
    let kind = match entry.kind {
        EntryKind::File => b'0',
        EntryKind::HardLink => b'1',
        EntryKind::Symlink => b'2',
        EntryKind::CharDevice => b'3',
        EntryKind::BlockDevice => b'4',
        EntryKind::Directory => b'5',
        EntryKind::Fifo => b'6',
    };
    let mut block = Header::new(path, kind);
    block.number(100, 8, u64::from(entry.mode & 0o7777));
    block.number(108, 8, entry.uid.min(MAX_ID));
    block.number(116, 8, entry.gid.min(MAX_ID));
    block.number(124, 12, entry.size.min(MAX_SIZE));
    let mtime = u64::try_from(entry.mtime.0).unwrap_or(0);
    block.number(136, 12, mtime.min(MAX_SIZE));
    block.text(157, 100, &entry.link);
    if matches!(entry.kind, EntryKind::CharDevice | EntryKind::BlockDevice) {
        block.number(329, 8, u64::from(entry.device.0));
        block.number(337, 8, u64::from(entry.device.1));
    }
    block.finish()
}

struct Header([u8; BLOCK]);

impl Header {
    fn new(path: &[u8], kind: u8) -> Header {
        let mut header = Header([0; BLOCK]);
        header.text(0, 100, path);
        for (at, width) in [(100, 8), (108, 8), (116, 8), (124, 12), (136, 12)] {
            header.number(at, width, 0);
        }
        header.0[156] = kind;
        header.text(257, 8, b"ustar\x0000");
        header
    }

    /// Cut to the field; a record before the header says all of it then.
    fn text(&mut self, at: usize, width: usize, text: &[u8]) {
        let length = text.len().min(width);
        self.0[at..at + length].copy_from_slice(&text[..length]);
    }

    /// Octal digits; the last byte of the field stays as it is.
    fn number(&mut self, at: usize, width: usize, value: u64) {
        let mut left = value;
        for digit in self.0[at..at + width - 1].iter_mut().rev() {
            *digit = b'0' + (left & 7) as u8;
            left >>= 3;
        }
    }

    fn finish(mut self) -> [u8; BLOCK] {
        self.0[148..156].fill(b' ');
        let sum: u32 = self.0.iter().map(|byte| u32::from(*byte)).sum();
        self.number(148, 7, u64::from(sum));
        self.0[154] = 0;
        self.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Limits, TarReader};
    use super::*;

    fn entry(path: &[u8], kind: EntryKind) -> Entry {
        Entry {
            path: path.to_vec(),
            link: Vec::new(),
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: (1_700_000_000, 0),
            size: 0,
            device: (0, 0),
            xattrs: Vec::new(),
        }
    }

    #[test]
    fn whatever_is_written_is_read_again() {
        let mut long = entry(&b"d/".repeat(200), EntryKind::Directory);
        long.uid = 1 << 30;
        long.mtime = (-5, 0);
        let mut file = entry(b"a\xff", EntryKind::File);
        file.mode = 0o4755;
        file.size = 3;
        file.xattrs = vec![(b"user.x".to_vec(), b"\x00=\n".to_vec())];
        let mut link = entry(b"l", EntryKind::Symlink);
        link.link = b"t".repeat(300);
        let mut bytes = Vec::new();
        let mut stream = TarStream::new(&mut bytes);
        stream.entry(&long).unwrap();
        stream.entry(&file).unwrap();
        stream.content(b"abc").unwrap();
        stream.pad().unwrap();
        stream.entry(&link).unwrap();
        assert_eq!(stream.finish().unwrap(), bytes.len() as u64);
        assert_eq!(bytes.len() % BLOCK, 0);
        let mut reader = TarReader::new(&bytes[..], Limits::default());
        assert_eq!(reader.next_entry().unwrap(), Some(long));
        assert_eq!(reader.next_entry().unwrap(), Some(file));
        let mut content = [0; 3];
        assert_eq!(reader.read_content(&mut content).unwrap(), 3);
        assert_eq!(&content, b"abc");
        assert_eq!(reader.next_entry().unwrap(), Some(link));
        assert_eq!(reader.next_entry().unwrap(), None);
    }
}
