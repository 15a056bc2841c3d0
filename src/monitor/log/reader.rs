//! Reads the files of a log as one, from the oldest line or from near its end, while they are written and rotated. Holds
//! nobody up: takes no lock.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use memchr::memchr;

use super::compress::{self, Origin, compressed};
use super::entry::{LogEntry, Scratch, parse};
use super::file::rotated;
use super::tail;

/// Read at once; more than the longest line that bryo writes.
const BUFFER: usize = 256 * 1024;
/// A longer line is none of anybody's, and passed over.
pub(super) const LONGEST: usize = 4 << 20;
/// Numbers that may be missing between two rotated files: one is, while they are renamed.
const GAP: u32 = 2;

/// How far a reader reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// What was there when it was opened, however fast more is written.
    Now,
    /// Also what comes later.
    Later,
}

/// One file of the log.
pub(super) struct Part {
    pub file: File,
    /// Its length when it was opened, once it is `unpack`ed.
    pub length: u64,
    identity: (u64, u64),
    /// Of a compressed one: what it was made of, which may be open here, too.
    made_of: Option<Origin>,
    /// Compressed, and not unpacked yet: what it is called.
    packed: Option<PathBuf>,
    position: u64,
}

impl Part {
    /// Has to be called before anything is read: most of the old files are in nobody's way.
    pub fn unpack(&mut self) -> io::Result<()> {
        let Some(path) = self.packed.take() else {
            return Ok(());
        };
        self.file = compress::unpacked(&self.file, &path)?;
        self.length = self.file.metadata()?.len();
        Ok(())
    }

    /// Both are the same lines, whatever happened to them between.
    fn is(&self, other: &Part) -> bool {
        let made = |one: &Part, of: &Part| {
            one.made_of.is_some() && one.made_of == compress::origin(&of.file).ok()
        };
        self.identity == other.identity || made(self, other) || made(other, self)
    }
}

/// Reads entries one after the other.
pub struct LogReader {
    path: PathBuf,
    reach: Reach,
    /// The one being read, then the newer ones.
    parts: VecDeque<Part>,
    buffer: Vec<u8>,
    /// What was read and not given yet.
    filled: Range<usize>,
    /// Up to here `filled` has no newline.
    searched: usize,
    scratch: Scratch,
}

impl LogReader {
    /// Begins with the last `tail` lines, or with the oldest there is; `None`: there is no log.
    pub fn open(path: &Path, reach: Reach, tail: Option<u64>) -> io::Result<Option<LogReader>> {
        let mut newest_first = open_all(path)?;
        if newest_first.is_empty() {
            return Ok(None);
        }
        if let Some(lines) = tail
            && let Some((index, offset)) = tail::find(&mut newest_first, lines)?
        {
            newest_first.truncate(index + 1);
            newest_first[index].position = offset;
        }
        Ok(Some(LogReader {
            path: path.to_owned(),
            reach,
            parts: newest_first.into_iter().rev().collect(),
            buffer: vec![0; BUFFER],
            filled: 0..0,
            searched: 0,
            scratch: Scratch::default(),
        }))
    }

    /// Gives what there is now, until `show` has seen enough. A line that is still being written waits for the next call;
    /// one that is no entry (cut by a crash) is passed over.
    pub fn read(
        &mut self,
        mut show: impl FnMut(&LogEntry<'_>) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        while let Some(line) = self.next_line()? {
            let entry = parse(&self.buffer[line], &mut self.scratch);
            if entry.is_some_and(|entry| show(&entry).is_break()) {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn next_line(&mut self) -> io::Result<Option<Range<usize>>> {
        loop {
            if let Some(at) = memchr(b'\n', &self.buffer[self.searched..self.filled.end]) {
                let line = self.filled.start..self.searched + at;
                self.filled.start = line.end + 1;
                self.searched = self.filled.start;
                return Ok(Some(line));
            }
            self.searched = self.filled.end;
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads on; `false` at the end, for now.
    fn fill(&mut self) -> io::Result<bool> {
        self.make_room();
        loop {
            let Some(part) = self.parts.front_mut() else {
                return Ok(false);
            };
            part.unpack()?;
            let left = match self.reach {
                Reach::Now => part.length.saturating_sub(part.position),
                Reach::Later => u64::MAX,
            };
            let room = &mut self.buffer[self.filled.end..];
            let wanted = room.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = part.file.read_at(&mut room[..wanted], part.position)?;
            if read > 0 {
                part.position += read as u64;
                self.filled.end += read;
                return Ok(true);
            }
            if self.parts.len() > 1 {
                self.parts.pop_front();
                // A line that had no end by now never gets one.
                self.filled = 0..0;
                self.searched = 0;
            } else if self.reach == Reach::Now || !self.find_newer()? {
                return Ok(false);
            }
            // What was written to this file before the next one began is read before that.
        }
    }

    fn make_room(&mut self) {
        if self.filled.start > 0 {
            self.buffer.copy_within(self.filled.clone(), 0);
            self.searched -= self.filled.start;
            self.filled = 0..self.filled.len();
        }
        if self.filled.end == self.buffer.len() {
            if self.buffer.len() >= LONGEST {
                self.filled = 0..0;
                self.searched = 0;
            } else {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
    }

    /// Whether the file being read is `log` no more; those that came after it are queued.
    fn find_newer(&mut self) -> io::Result<bool> {
        let Some(current) = self.parts.back() else {
            return Ok(false);
        };
        match std::fs::metadata(&self.path) {
            Ok(meta) if (meta.dev(), meta.ino()) == current.identity => return Ok(false),
            Ok(_) => {}
            // The container is gone, and its log with it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        // While it is open, no other file can get its identity. Where it is not found, it has been dropped from the log.
        let newer = open_all(&self.path)?.into_iter();
        let newer: Vec<Part> = newer.take_while(|part| !part.is(current)).collect();
        let found = !newer.is_empty();
        self.parts.extend(newer.into_iter().rev());
        Ok(found)
    }
}

/// The files of a log, the newest first. They only move away from the beginning of this order (`log/whole-lines`), so one may
/// be seen twice and none is missed.
fn open_all(path: &Path) -> io::Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    let mut missing = 0;
    for number in 0.. {
        let opened = match number {
            0 => open(path),
            // In this order: the one appears before the other goes.
            _ => match open(&rotated(path, number)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    open_compressed(&compressed(path, number))
                }
                opened => opened,
            },
        };
        match opened {
            Ok(part) => {
                missing = 0;
                if parts.iter().all(|known| !known.is(&part)) {
                    parts.push(part);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                missing += 1;
                if missing > GAP {
                    break;
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(parts)
}

fn open(path: &Path) -> io::Result<Part> {
    let mut options = File::options();
    let file = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("the log's path is no regular file"));
    }
    Ok(Part {
        file,
        length: meta.len(),
        identity: (meta.dev(), meta.ino()),
        made_of: None,
        packed: None,
        position: 0,
    })
}

fn open_compressed(path: &Path) -> io::Result<Part> {
    let part = open(path)?;
    Ok(Part {
        made_of: compress::made_of(&part.file)?,
        packed: Some(path.to_owned()),
        ..part
    })
}
