//! zstd:chunked, as containers/storage reads it: a layer in zstd frames that begin and end with the content of files, followed by what
//! every zstd reader skips: a table of contents, what of the tar is no content, and where both are. Whoever has the table fetches only
//! those parts of files that it lacks. What readers would read differently gets no table, and is zstd like any other.

mod crc64;
mod cut;
mod parts;
mod toc;

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::sync::mpsc::Receiver;

use sha2::{Digest as _, Sha256};

use self::crc64::Crc64;
use self::cut::Cutter;
use self::parts::Parts;
pub use self::toc::Toc;
use self::toc::{Content, Contents, cleaned};
use super::blocks::{Buffers, Method, Packers, Workers};
use super::tar::{Entry, EntryKind, Limits, Plain, TarError, TarReader};

/// What is read at once.
const BUFFER: usize = 128 * 1024;
/// What is no content of a file is compressed so much at a time.
const BLOCK: usize = 2 << 20;
/// The packers have so many bytes and frames at a time, not more.
const IN_FLIGHT: usize = 2 * BLOCK;
const MOST_FRAMES: usize = 256;

/// Something of the stream whose place shows when all before it is compressed.
enum Next {
    /// With the length of what is in it and, if that is a part of a file, its digest.
    Frame(Receiver<io::Result<Buffers>>, usize, Option<[u8; 32]>),
    Entry(Box<(Entry, Plain)>, Option<[u8; 32]>),
}

/// Takes a tar, writes the layer.
pub struct ChunkedWriter<W> {
    to: W,
    packers: Packers,
    method: Method,
    written: u64,
    next: VecDeque<Next>,
    in_flight: usize,
    /// Bytes of the tar that are in no frame yet.
    frame: Vec<u8>,
    /// For the content of files.
    buffer: Vec<u8>,
    /// `None`: there is none of this archive.
    contents: Option<Contents>,
    /// Of the file at work.
    parts: Vec<Content>,
    /// Hashes of the names so far. Two that are the same by chance cost the table, nothing else.
    names: HashSet<u64>,
    hasher: RandomState,
}

impl<W: Write> ChunkedWriter<W> {
    pub fn new(workers: &Workers, level: i32, to: W) -> io::Result<ChunkedWriter<W>> {
        Ok(ChunkedWriter {
            to,
            packers: workers.packers()?,
            method: Method::Zstd(level),
            written: 0,
            next: VecDeque::new(),
            in_flight: 0,
            frame: Vec::new(),
            buffer: vec![0; BUFFER],
            contents: Some(Contents::new()?),
            parts: Vec::new(),
            names: HashSet::new(),
            hasher: RandomState::new(),
        })
    }

    /// Writes all of an archive; gives back what it was written to, and what has to be said of it in a manifest.
    pub fn write(mut self, tar: impl Read) -> io::Result<(W, Option<Toc>)> {
        let parts = Parts::new(tar);
        let seen = parts.seen();
        let mut reader = TarReader::splitting(parts, Limits::default(), None);
        let mut padding = 0;
        let mut given = 0;
        while self.contents.is_some() {
            let entry = match reader.next_entry() {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                Err(TarError::Read { source }) => return Err(source),
                Err(_) => {
                    self.contents = None;
                    break;
                }
            };
            let raw = seen.borrow_mut().take(reader.offset() - given);
            given = reader.offset();
            let plain = Plain::of(&raw[padding..], &entry);
            let is_sparse = reader.take_extents().is_some();
            let name = self.hasher.hash_one(cleaned(&entry.path));
            let is_new = self.names.insert(name);
            match plain.filter(|_| !is_sparse && is_new) {
                Some(plain) => {
                    self.entry(&raw, entry, plain, &mut reader, &seen)?;
                    padding = (reader.offset().next_multiple_of(512) - reader.offset()) as usize;
                    given = reader.offset();
                }
                None => {
                    self.contents = None;
                    self.raw(&raw)?;
                }
            }
        }
        let ahead = seen.borrow_mut().take_all();
        self.end(&ahead)?;
        let mut tar = reader.finish().map_err(io::Error::other)?.into_inner();
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            match tar.read(&mut buffer)? {
                0 => return self.finish(),
                length => self.end(&buffer[..length])?,
            }
        }
    }

    /// One entry whose header is the end of `raw`, and its content.
    fn entry<R: Read>(
        &mut self,
        raw: &[u8],
        entry: Entry,
        plain: Plain,
        reader: &mut TarReader<Parts<R>>,
        seen: &Rc<RefCell<parts::Seen>>,
    ) -> io::Result<()> {
        self.raw(raw)?;
        let Some(contents) = &mut self.contents else {
            return Ok(());
        };
        contents.segment(raw)?;
        let has_content = entry.kind == EntryKind::File && entry.size > 0;
        if !has_content {
            contents.file(&entry.path, 0, None)?;
            self.next
                .push_back(Next::Entry(Box::new((entry, plain)), None));
            return self.settle();
        }
        self.flush()?;
        let (mut digest, mut crc) = (Sha256::new(), Crc64::new());
        let mut cutter = Cutter::default();
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut left = entry.size;
        while left > 0 {
            let length = match reader.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => length,
            };
            seen.borrow_mut().skip(length);
            left -= length as u64;
            let mut bytes = &buffer[..length];
            digest.update(bytes);
            crc.update(bytes);
            while !bytes.is_empty() {
                let (length, is_cut) = cutter.cut(bytes);
                self.frame.extend_from_slice(&bytes[..length]);
                bytes = &bytes[length..];
                if is_cut {
                    self.part()?;
                }
            }
        }
        self.buffer = buffer;
        self.part()?;
        if let Some(contents) = &mut self.contents {
            contents.file(&entry.path, entry.size, Some(crc.sum()))?;
        }
        let digest = Some(digest.finalize().into());
        self.next
            .push_back(Next::Entry(Box::new((entry, plain)), digest));
        self.settle()
    }

    /// What follows the last entry: nothing but zeros, or it would be read as something.
    fn end(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.iter().any(|byte| *byte != 0) {
            self.contents = None;
        }
        if let Some(contents) = self.contents.as_mut().filter(|_| !bytes.is_empty()) {
            contents.segment(bytes)?;
        }
        self.raw(bytes)
    }

    fn raw(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let length = bytes.len().min(BLOCK - self.frame.len());
            self.frame.extend_from_slice(&bytes[..length]);
            bytes = &bytes[length..];
            if self.frame.len() == BLOCK {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pack(|_| None)
    }

    /// The same of what is a part of a file.
    fn part(&mut self) -> io::Result<()> {
        self.pack(|part| Some(Sha256::digest(part).into()))
    }

    fn pack(&mut self, digest: impl FnOnce(&[u8]) -> Option<[u8; 32]>) -> io::Result<()> {
        let frame = std::mem::take(&mut self.frame);
        if frame.is_empty() {
            return Ok(());
        }
        let (length, digest) = (frame.len(), digest(&frame));
        let buffers = Buffers {
            block: frame,
            packed: Vec::new(),
        };
        let packed = self.packers.begin(self.method, buffers)?;
        self.next.push_back(Next::Frame(packed, length, digest));
        self.in_flight += length;
        self.settle()
    }

    fn settle(&mut self) -> io::Result<()> {
        while self.in_flight > IN_FLIGHT || self.next.len() > MOST_FRAMES {
            self.take_one()?;
        }
        Ok(())
    }

    fn take_one(&mut self) -> io::Result<()> {
        let (packed, length, digest) = match self.next.pop_front() {
            None => return Ok(()),
            Some(Next::Frame(packed, length, digest)) => (packed, length, digest),
            Some(Next::Entry(entry, digest)) => {
                let parts = std::mem::take(&mut self.parts);
                let Some(contents) = &mut self.contents else {
                    return Ok(());
                };
                let (entry, plain) = *entry;
                if !contents.entry(&entry, &plain, digest, &parts, self.written)? {
                    self.contents = None;
                }
                return Ok(());
            }
        };
        let packed = packed.recv().map_err(|_| super::blocks::ended())??;
        let frame = packed.packed;
        if let Some(digest) = digest {
            self.parts.push(Content {
                at: self.written,
                length: length as u64,
                digest,
            });
        }
        self.written += frame.len() as u64;
        self.in_flight -= length;
        self.to.write_all(&frame)
    }

    fn finish(mut self) -> io::Result<(W, Option<Toc>)> {
        self.flush()?;
        while !self.next.is_empty() {
            self.take_one()?;
        }
        let Some(contents) = self.contents else {
            return Ok((self.to, None));
        };
        let (frames, toc) = contents.finish(self.written)?;
        self.to.write_all(&frames)?;
        Ok((self.to, Some(toc)))
    }
}

#[cfg(test)]
mod tests;
