//! Old files of a log made smaller, `log.2` to `log.2.gz`, by a process beside the monitor, one after the other; and read again.
//! Never touches the file that is written.
//!
//! What is made appears whole under its name before the file that it is made of goes, so a reader who looks for `log.2` first and
//! for `log.2.gz` then finds one of them, and which file it was made of stands in it: nothing is read twice.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use flate2::{Compression, GzBuilder};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Signal};

use super::file::{absent, rotated, suffixed};
use crate::sys::process::{self, Forked};
use crate::sys::{disk, pidfd, role, signal};

/// The subfield of the header (RFC 1952, 2.3.1.1) that says what it was made of.
const SUBFIELD: &[u8; 2] = b"by";
const WORDS: usize = 4;

/// A file that is not written any more: device, inode, length, nanoseconds of its last change. The first two alone may become
/// those of another file once it is gone.
pub(super) type Origin = [u64; WORDS];

pub(super) fn origin(file: &File) -> io::Result<Origin> {
    let meta = file.metadata()?;
    let nanoseconds = meta.mtime() * 1_000_000_000 + meta.mtime_nsec();
    Ok([
        meta.dev(),
        meta.ino(),
        meta.len(),
        nanoseconds.unsigned_abs(),
    ])
}

/// `log.2.gz`.
pub(super) fn compressed(path: &Path, number: u32) -> PathBuf {
    suffixed(&rotated(path, number), ".gz")
}

/// The process that compresses, and what comes next.
pub(super) struct Compressor {
    path: PathBuf,
    at_work: Option<Work>,
}

struct Work {
    pid: Pid,
    /// Of the file, as it is called by now.
    number: u32,
}

impl Compressor {
    /// What a killed one has begun is begun again.
    pub fn new(path: &Path) -> Compressor {
        let new = Compressor {
            path: path.to_owned(),
            at_work: None,
        };
        let _ = absent(disk::remove_file(new.unfinished()));
        new
    }

    fn unfinished(&self) -> PathBuf {
        suffixed(&self.path, ".gz.new")
    }

    /// Every old file has got the next number.
    pub fn moved(&mut self) {
        if let Some(work) = &mut self.at_work {
            work.number += 1;
        }
    }

    /// Begins with the oldest that is not compressed, unless one is at work. There are fewer than `max_file` old ones.
    pub fn advance(&mut self, max_file: u32) -> io::Result<()> {
        if self.at_work.is_some() {
            return Ok(());
        }
        let is_plain = |number: &u32| rotated(&self.path, *number).exists();
        let is_there = |number: &u32| is_plain(number) || compressed(&self.path, *number).exists();
        let old = (1..max_file).take_while(is_there);
        let Some(number) = old.filter(is_plain).last() else {
            return Ok(());
        };
        absent(disk::remove_file(self.unfinished()))?;
        // Opened here, where no name changes meanwhile.
        let from = File::open(rotated(&self.path, number))?;
        let to = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.unfinished())?;
        match process::fork()? {
            Forked::Parent(pid) => self.at_work = Some(Work { pid, number }),
            Forked::Child => process::exit_now(work(&from, &to)),
        }
        Ok(())
    }

    /// Ends the process, if there is one: whoever starts a container counts on having no other child.
    pub fn stop(&mut self) {
        if let Some(work) = self.at_work.take() {
            let _ = rustix::process::kill_process(work.pid, Signal::KILL);
            let _ = pidfd::wait_child(work.pid);
            let _ = absent(disk::remove_file(self.unfinished()));
        }
    }

    /// Whether the process that has ended was its own; if so, what it has made takes its place.
    pub fn reaped(&mut self, pid: Pid, code: i32, max_file: u32) -> io::Result<bool> {
        let Some(Work { number, .. }) = self.at_work.take_if(|work| work.pid == pid) else {
            return Ok(false);
        };
        if code != 0 || number >= max_file {
            absent(disk::remove_file(self.unfinished()))?;
            return match code {
                0 => Ok(true),
                _ => Err(io::Error::other("an old file could not be compressed")),
            };
        }
        disk::rename(self.unfinished(), compressed(&self.path, number))?;
        absent(disk::remove_file(rotated(&self.path, number)))?;
        Ok(true)
    }
}

/// In a process of its own, which ends with the monitor.
fn work(from: &File, to: &File) -> i32 {
    role::set("monitor, log");
    let _ = process::close_all_except(&[from.as_fd(), to.as_fd()]);
    let _ = signal::reset_all();
    i32::from(compress(from, to).is_err())
}

pub(super) fn compress(mut from: &File, to: &File) -> io::Result<()> {
    let words = origin(from)?;
    let mut extra = SUBFIELD.to_vec();
    extra.extend_from_slice(&(8 * WORDS as u16).to_le_bytes());
    extra.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    let mut writer = GzBuilder::new().extra(extra).write(to, Compression::fast());
    io::copy(&mut from, &mut writer)?;
    let mut to = writer.finish()?;
    to.flush()?;
    to.sync_data()
}

/// What a compressed file was made of; `None` where another program made it.
pub(super) fn made_of(file: &File) -> io::Result<Option<Origin>> {
    let decoder = GzDecoder::new(io::BufReader::new(file));
    let extra = decoder.header().and_then(|header| header.extra());
    let found = extra.and_then(|extra| {
        let (name, rest) = extra.split_first_chunk::<2>()?;
        let (_, rest) = rest.split_first_chunk::<2>()?;
        let words = rest.chunks_exact(8).map(u64_of).collect::<Vec<u64>>();
        (name == SUBFIELD).then_some(words)?.try_into().ok()
    });
    rewind(file)?;
    Ok(found)
}

fn u64_of(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn rewind(mut file: &File) -> io::Result<()> {
    file.rewind()
}

/// Its content, in a file without a name beside it; in memory where that cannot be.
pub(super) fn unpacked(file: &File, path: &Path) -> io::Result<File> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let named = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .mode(0o600)
        .open(directory);
    let mut to = match named {
        Ok(to) => to,
        Err(_) => rustix::fs::memfd_create("log", MemfdFlags::CLOEXEC)?.into(),
    };
    rewind(file)?;
    let mut decoder = GzDecoder::new(io::BufReader::new(file));
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match decoder.read(&mut buffer)? {
            0 => return Ok(to),
            length => to.write_all(&buffer[..length])?,
        }
    }
}
