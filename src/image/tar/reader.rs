//! The reader: entries one after the other from a stream, content on demand. Bounded in entries, bytes, names.

mod content;

use std::io::Read;

use super::header::{BLOCK, Header, more_parts};
use super::limits::Limits;
use super::pax::Pax;
use super::sparse::{Extent, MOST, Words, extents, line};
use super::split::SplitWriter;
use super::{Entry, EntryKind, TarError};

/// The longest extended header or long name that is read.
const MAX_EXTENDED: u64 = 1 << 20;

/// Reads entries; between two calls of [`TarReader::next_entry`] its `Read` gives the content of the current entry.
#[derive(Debug)]
pub struct TarReader<R> {
    inner: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes consumed so far.
    offset: u64,
    /// Content of the current entry that has not been read.
    remaining: u64,
    /// What fills its last block.
    padding: u64,
    global: Pax,
    entries: u64,
    limits: Limits,
    /// Gets every byte that is no content kept as a file.
    split: Option<SplitWriter>,
    /// The current content is kept as a file.
    kept: bool,
    /// Whoever reads asks for the extents of sparse files.
    sparse: bool,
    /// Of the current entry, if it is a sparse file: what its content is.
    extents: Option<Vec<Extent>>,
}

/// Long-name and PAX records seen before the entry they belong to.
#[derive(Default)]
struct Pending {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Option<Pax>,
}

impl<R: Read> TarReader<R> {
    pub fn new(inner: R, limits: Limits) -> TarReader<R> {
        TarReader {
            inner,
            buffer: vec![0; 256 * 1024],
            start: 0,
            end: 0,
            offset: 0,
            remaining: 0,
            padding: 0,
            global: Pax::default(),
            entries: 0,
            limits,
            split: None,
            kept: false,
            sparse: false,
            extents: None,
        }
    }

    /// The same, with everything written down that the archive is beside the content of the files kept. Sparse files are given
    /// too: their entries have their whole size, and [`TarReader::take_extents`] says what of it their content is.
    pub fn splitting(inner: R, limits: Limits, split: Option<SplitWriter>) -> TarReader<R> {
        TarReader {
            split,
            sparse: true,
            ..TarReader::new(inner, limits)
        }
    }

    /// The content of the current entry, of which nothing was read yet and all will be, is kept in the file at `path`.
    pub fn keep_content(&mut self, path: &[u8]) -> Result<(), TarError> {
        if let Some(split) = &mut self.split {
            let written = split.content(path, self.remaining);
            written.map_err(|source| TarError::Split { source })?;
            self.kept = true;
        }
        Ok(())
    }

    /// What the content of the current entry is, if it is a sparse file.
    pub fn take_extents(&mut self) -> Option<Vec<Extent>> {
        self.extents.take()
    }

    /// The content of the current entry, of which nothing was read yet and all will be, is kept as these parts of the file at
    /// `path`.
    pub fn keep_extents(&mut self, path: &[u8], extents: &[Extent]) -> Result<(), TarError> {
        if let Some(split) = &mut self.split {
            let written = split.extents(path, extents);
            written.map_err(|source| TarError::Split { source })?;
            self.kept = true;
        }
        Ok(())
    }

    /// Bytes of the archive consumed so far: after an entry was given, where its content begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next entry; `None` at the end. Content of the current one that was not read is skipped.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let mut pending = Pending::default();
        loop {
            self.skip_content()?;
            let at = self.offset;
            let mut block = [0; BLOCK];
            if !self.read_block(&mut block)? {
                return self.ended(at, pending);
            }
            if block.iter().all(|byte| *byte == 0) {
                return self.ended_by_zero(at, pending);
            }
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(TarError::TooManyEntries {
                    limit: self.limits.entries,
                });
            }
            let header = Header::parse(&block).ok_or(TarError::Checksum { offset: at })?;
            let number = |field| TarError::Number { offset: at, field };
            match header.kind() {
                b'L' | b'K' | b'x' | b'X' | b'g' => {
                    let size = header.size().ok_or_else(|| number("size"))?;
                    self.extended(at, header.kind(), size, &mut pending)?;
                }
                // A volume label: GNU tar lists it and extracts nothing.
                b'V' => self.expect_content(header.size().ok_or_else(|| number("size"))?),
                _ => return self.entry(at, &header, pending).map(Some),
            }
        }
    }

    /// Reads everything to the end of the stream, what follows the end of the archive included.
    pub fn drain(&mut self) -> Result<(), TarError> {
        self.remaining = 0;
        self.padding = 0;
        self.kept = false;
        loop {
            self.consume(self.end - self.start)?;
            if !self.fill()? {
                return Ok(());
            }
        }
    }

    /// The stream, once the archive has been read.
    pub fn finish(self) -> Result<R, TarError> {
        if let Some(split) = self.split {
            let finished = split.finish();
            finished.map_err(|source| TarError::Split { source })?;
        }
        Ok(self.inner)
    }

    fn ended(&self, at: u64, pending: Pending) -> Result<Option<Entry>, TarError> {
        if pending.path.is_some() || pending.link.is_some() || pending.pax.is_some() {
            return Err(TarError::Truncated { offset: at });
        }
        Ok(None)
    }

    fn ended_by_zero(&mut self, at: u64, pending: Pending) -> Result<Option<Entry>, TarError> {
        let mut second = [0; BLOCK];
        if self.read_block(&mut second)? && second.iter().any(|byte| *byte != 0) {
            return Err(TarError::LoneZeroBlock { offset: at });
        }
        self.ended(at, pending)
    }

    fn extended(
        &mut self,
        at: u64,
        kind: u8,
        size: u64,
        pending: &mut Pending,
    ) -> Result<(), TarError> {
        if size > MAX_EXTENDED {
            return Err(TarError::PathLength {
                offset: at,
                length: size,
                limit: MAX_EXTENDED,
            });
        }
        self.expect_content(size);
        let mut content = vec![0; size as usize];
        self.read_exact_content(&mut content)?;
        let twice = |what| TarError::Twice { offset: at, what };
        let slot = match kind {
            b'L' => &mut pending.path,
            b'K' => &mut pending.link,
            b'g' => {
                let pax = parse_pax(at, &content)?;
                if !pax.is_fit_for_all() {
                    return Err(TarError::Pax {
                        offset: at,
                        reason: "a global header with a path or size",
                    });
                }
                self.global = pax.over(&self.global);
                return Ok(());
            }
            _ if pending.pax.is_some() => return Err(twice("extended header")),
            _ => {
                pending.pax = Some(parse_pax(at, &content)?);
                return Ok(());
            }
        };
        if slot.is_some() {
            return Err(twice("long name"));
        }
        let end = content.iter().position(|byte| *byte == 0);
        content.truncate(end.unwrap_or(content.len()));
        *slot = Some(content);
        Ok(())
    }

    fn entry(&mut self, at: u64, header: &Header<'_>, pending: Pending) -> Result<Entry, TarError> {
        let number = |field| TarError::Number { offset: at, field };
        let pax = pending.pax.unwrap_or_default().over(&self.global);
        let mut words = pax.sparse;
        let real = words.as_mut().and_then(|words| words.name.take());
        let path = real.or(pax.path).or(pending.path);
        let path = path.unwrap_or_else(|| header.path());
        let shown = String::from_utf8_lossy(&path).into_owned();
        let is_sparse = words.is_some() || header.kind() == b'S';
        if is_sparse && !self.sparse {
            return Err(TarError::Sparse { path: shown });
        }
        let kind = kind(header.kind(), &path, &shown)?;
        if is_sparse && kind != EntryKind::File {
            let reason = "it is no file";
            return Err(TarError::SparseMap {
                path: shown,
                reason,
            });
        }
        let mut size = content_size(kind, header.size().ok_or_else(|| number("size"))?, pax.size);
        if kind != EntryKind::File && size > 0 {
            return Err(TarError::Content { path: shown, size });
        }
        let link = match kind {
            EntryKind::HardLink | EntryKind::Symlink => {
                pax.link.or(pending.link).unwrap_or_else(|| header.link())
            }
            _ => Vec::new(),
        };
        for name in [&path, &link] {
            if name.len() as u64 > self.limits.path {
                return Err(TarError::PathLength {
                    offset: at,
                    length: name.len() as u64,
                    limit: self.limits.path,
                });
            }
        }
        let device = match kind {
            EntryKind::CharDevice | EntryKind::BlockDevice => {
                header.device().ok_or_else(|| number("device number"))?
            }
            _ => (0, 0),
        };
        self.extents = None;
        if is_sparse {
            size = self.sparse_file(header, words, size, &shown)?;
        } else {
            self.expect_content(size);
        }
        Ok(Entry {
            path,
            link,
            kind,
            mode: header.mode().ok_or_else(|| number("mode"))?,
            uid: match pax.uid {
                Some(uid) => uid,
                None => header.uid().ok_or_else(|| number("owner"))?,
            },
            gid: match pax.gid {
                Some(gid) => gid,
                None => header.gid().ok_or_else(|| number("group"))?,
            },
            mtime: match pax.mtime {
                Some(mtime) => mtime,
                None => (header.mtime().ok_or_else(|| number("time"))?, 0),
            },
            size,
            device,
            xattrs: pax.xattrs,
        })
    }

    /// Reads the map of a sparse file of which `stored` bytes follow; gives its whole size.
    fn sparse_file(
        &mut self,
        header: &Header<'_>,
        words: Option<Words>,
        stored: u64,
        shown: &str,
    ) -> Result<u64, TarError> {
        let refused = |reason| TarError::SparseMap {
            path: shown.to_owned(),
            reason,
        };
        let (size, pairs) = match (header.kind(), words) {
            (b'S', None) => {
                let (size, mut pairs, mut more) = header
                    .sparse()
                    .ok_or_else(|| refused("it has invalid numbers"))?;
                while more {
                    let at = self.offset;
                    let mut block = [0; BLOCK];
                    if !self.read_block(&mut block)? {
                        return Err(TarError::Truncated { offset: at });
                    }
                    more = more_parts(&block, &mut pairs)
                        .ok_or_else(|| refused("it has invalid numbers"))?;
                    if pairs.len() > 2 * MOST {
                        return Err(refused("it has too many parts"));
                    }
                }
                self.expect_content(stored);
                (size, pairs)
            }
            (b'S', Some(_)) | (_, None) => return Err(refused("it is one in two forms")),
            (_, Some(words)) => {
                let is_in_content = words.is_in_content().map_err(refused)?;
                let size = words.size.ok_or_else(|| refused("its size is not said"))?;
                self.expect_content(stored);
                let pairs = match is_in_content {
                    true if words.map.is_empty() => self.map_in_content(&refused)?,
                    true => return Err(refused("it has two maps")),
                    false => words.map,
                };
                (size, pairs)
            }
        };
        // Holes cost no disk, but whoever reads the file reads them.
        let limit = Limits::default().bytes;
        if size > limit {
            return Err(TarError::TooLarge { limit });
        }
        self.extents = Some(extents(&pairs, size, self.remaining).map_err(refused)?);
        Ok(size)
    }

    /// Whole blocks at the beginning of the content: how many pairs there are, and the pairs, a number a line.
    fn map_in_content(
        &mut self,
        refused: &dyn Fn(&'static str) -> TarError,
    ) -> Result<Vec<u64>, TarError> {
        let mut numbers = Vec::new();
        let mut expected = 1;
        let mut unread: Vec<u8> = Vec::new();
        while numbers.len() < expected {
            let (number, length) = match line(&unread) {
                Some(read) => read.map_err(refused)?,
                None => {
                    let mut block = [0; BLOCK];
                    self.read_exact_content(&mut block)?;
                    unread.extend_from_slice(&block);
                    continue;
                }
            };
            unread.drain(..length);
            if numbers.is_empty() {
                let count = usize::try_from(number).unwrap_or(usize::MAX);
                if count > MOST {
                    return Err(refused("it has too many parts"));
                }
                expected += 2 * count;
            }
            numbers.push(number);
        }
        Ok(numbers.split_off(1))
    }
}

fn parse_pax(offset: u64, content: &[u8]) -> Result<Pax, TarError> {
    Pax::parse(content).map_err(|reason| TarError::Pax { offset, reason })
}

pub(super) fn kind(flag: u8, path: &[u8], shown: &str) -> Result<EntryKind, TarError> {
    Ok(match flag {
        // Before POSIX directories were files with a slash at the end; all programs still read them so.
        b'0' | 0 | b'7' if path.ends_with(b"/") => EntryKind::Directory,
        b'0' | 0 | b'7' => EntryKind::File,
        b'1' => EntryKind::HardLink,
        b'2' => EntryKind::Symlink,
        b'3' => EntryKind::CharDevice,
        b'4' => EntryKind::BlockDevice,
        b'5' => EntryKind::Directory,
        b'6' => EntryKind::Fifo,
        b'S' => EntryKind::File,
        other => {
            return Err(TarError::Kind {
                path: shown.to_owned(),
                kind: char::from(other),
            });
        }
    })
}

/// PAX goes before the header. A hard link's header may repeat the size of its target, without content (GNU, Go).
fn content_size(kind: EntryKind, header: u64, pax: Option<u64>) -> u64 {
    match (kind, pax) {
        (_, Some(size)) => size,
        (EntryKind::HardLink, None) => 0,
        (_, None) => header,
    }
}
