//! The file that a log is written to, and its rotation: `log`, then `log.1` (the newest of the old) and so on. Knows no format.
//!
//! `log/whole-lines`: a file begins and ends with a whole line, whatever was killed or full in between. Files only ever move
//! to higher numbers, and `log` is never absent, so that a reader who opens them in that order misses none.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use memchr::memrchr;
use rustix::process::Pid;

use super::compress::{Compressor, compressed};
use crate::sys::disk;

/// What is gathered before it is written, unless the output pauses first.
const BATCH: usize = 256 * 1024;

/// What a file of a number is called.
type Form = fn(&Path, u32) -> PathBuf;

pub(super) struct RotatingFile {
    path: PathBuf,
    file: File,
    size: u64,
    max_size: Option<u64>,
    /// The size at which the next file begins.
    full: u64,
    max_file: u32,
    /// Finished lines that are not written yet.
    batch: Vec<u8>,
    /// The first failure since the last `flush`.
    failed: io::Result<()>,
    /// Where old files are compressed.
    compressor: Option<Compressor>,
}

/// `log` and a number.
pub(super) fn rotated(path: &Path, number: u32) -> PathBuf {
    suffixed(path, &format!(".{number}"))
}

pub(super) fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

impl RotatingFile {
    /// Bytes of one file, and files.
    pub fn open(
        path: &Path,
        (max_size, max_file): (Option<u64>, u32),
        compress: bool,
    ) -> io::Result<RotatingFile> {
        let file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            // A pipe without a reader would stop the monitor.
            .custom_flags(libc::O_NONBLOCK)
            .open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("the log's path is no regular file"));
        }
        let mut opened = RotatingFile {
            path: path.to_owned(),
            file,
            size: meta.len(),
            max_size,
            full: max_size.unwrap_or(u64::MAX),
            max_file,
            batch: Vec::new(),
            failed: Ok(()),
            compressor: compress.then(|| Compressor::new(path)),
        };
        opened.end_last_line()?;
        opened.remove_surplus();
        Ok(opened)
    }

    /// Other bounds than before; a file that is full by now ends with its next line.
    pub fn keep(&mut self, max_size: Option<u64>, max_file: u32) {
        self.max_size = max_size;
        self.full = max_size.unwrap_or(u64::MAX);
        self.max_file = max_file;
        self.remove_surplus();
    }

    /// Old files of when more were allowed.
    fn remove_surplus(&self) {
        for number in self.max_file.max(1).. {
            let is_gone = |form: &Form| disk::remove_file(form(&self.path, number)).is_err();
            // Each has one of them; all have to be tried.
            if self.forms().iter().filter(|form| !is_gone(form)).count() == 0 {
                break;
            }
        }
    }

    /// What an old file may be called.
    fn forms(&self) -> &'static [Form] {
        match self.compressor {
            Some(_) => &[rotated, compressed],
            None => &[rotated],
        }
    }

    /// Has the oldest file that still is as it was written compressed, beside the monitor.
    fn compress(&mut self) {
        if let Some(compressor) = &mut self.compressor
            && let Err(error) = compressor.advance(self.max_file)
        {
            tracing::warn!(%error, "an old file of the log is not compressed");
        }
    }

    /// Nothing is written for now: no child is left, and what one had begun is begun again with the next file.
    pub fn rest(&mut self) {
        if let Some(compressor) = &mut self.compressor {
            compressor.stop();
        }
    }

    /// A child of the monitor has ended.
    pub fn reaped(&mut self, pid: Pid, code: i32) {
        let Some(compressor) = &mut self.compressor else {
            return;
        };
        match compressor.reaped(pid, code, self.max_file) {
            Ok(true) => self.compress(),
            Ok(false) => {}
            // Tried again with the next file.
            Err(error) => tracing::warn!(%error, "an old file of the log is not compressed"),
        }
    }

    /// A monitor that was killed may have left half a line.
    fn end_last_line(&mut self) -> io::Result<()> {
        let mut last = [b'\n'];
        if self.size > 0 {
            self.file.read_exact_at(&mut last, self.size - 1)?;
        }
        if last != [b'\n'] {
            self.batch.push(b'\n');
            self.write_batch();
        }
        Ok(())
    }

    /// Where the next line is to be appended; `line_ended` follows.
    pub fn batch(&mut self) -> &mut Vec<u8> {
        &mut self.batch
    }

    pub fn line_ended(&mut self) {
        let waiting = self.batch.len();
        if self.size + waiting as u64 >= self.full {
            self.write_batch();
            self.rotate();
        } else if waiting >= BATCH {
            self.write_batch();
        }
    }

    /// Writes what is gathered; the first failure since the last time.
    pub fn flush(&mut self) -> io::Result<()> {
        self.write_batch();
        std::mem::replace(&mut self.failed, Ok(()))
    }

    fn write_batch(&mut self) {
        let mut written = 0;
        while written < self.batch.len() {
            match self.file.write(&self.batch[written..]) {
                Ok(length) => written += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed = Err(error);
                    written = self.keep_whole_lines(written);
                    break;
                }
            }
        }
        self.size += written as u64;
        self.batch.clear();
    }

    /// The disk was full in the middle of a line: gives how much of the batch stays.
    fn keep_whole_lines(&self, written: usize) -> usize {
        let whole = memrchr(b'\n', &self.batch[..written]).map_or(0, |at| at + 1);
        match self.file.set_len(self.size + whole as u64) {
            Ok(()) => whole,
            Err(_) => written,
        }
    }

    /// Begins a new file. Where that fails the old one goes on, and grows by its size again before the next attempt.
    fn rotate(&mut self) {
        match self.begin_next() {
            Ok(next) => {
                self.file = next;
                self.size = 0;
                self.compress();
            }
            Err(error) => self.failed = Err(error),
        }
        let more = self.max_size.unwrap_or(u64::MAX);
        self.full = self.size.saturating_add(more);
    }

    fn begin_next(&mut self) -> io::Result<File> {
        let fresh = suffixed(&self.path, ".new");
        absent(disk::remove_file(&fresh))?;
        let next = File::options()
            .read(true)
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)?;
        self.move_old()?;
        if self.max_file > 1 {
            self.keep_as_first()?;
        }
        disk::rename(&fresh, &self.path)?;
        Ok(next)
    }

    /// The oldest goes, whichever form it has; the others get the next number.
    fn move_old(&mut self) -> io::Result<()> {
        let last = self.max_file.saturating_sub(1);
        if last == 0 {
            return Ok(());
        }
        // What is renamed to it takes its place; what is compressed has another.
        if self.compressor.is_some() {
            absent(disk::remove_file(compressed(&self.path, last)))?;
            absent(disk::remove_file(rotated(&self.path, last)))?;
        }
        for number in (1..last).rev() {
            for form in self.forms() {
                absent(disk::rename(
                    form(&self.path, number),
                    form(&self.path, number + 1),
                ))?;
            }
        }
        if let Some(compressor) = &mut self.compressor {
            compressor.moved();
        }
        Ok(())
    }

    /// The file gets the name `log.1` too; that it is `log` as well ends with the rename of the next one.
    fn keep_as_first(&self) -> io::Result<()> {
        let first = rotated(&self.path, 1);
        let link = suffixed(&self.path, ".old");
        absent(disk::remove_file(&link))?;
        match fs::hard_link(&self.path, &link) {
            Ok(()) => disk::rename(&link, &first)?,
            // File systems without hard links: for a moment there is no `log`.
            Err(_) => return absent(disk::rename(&self.path, &first)),
        }
        // A rename onto another name of the same file does nothing.
        absent(disk::remove_file(&link))
    }
}

pub(super) fn absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
