//! The very tar that a layer was unpacked from, out of its files and what was kept beside them. Bounded memory, whatever the
//! sizes. Runs in the home namespace; the caller holds a [`Store::lease`], so that the layer stays.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use libdeflater::Crc;
use rustix::fs::{FileType, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use super::digest::Digest;
use super::layer::{LayerPath, REPLACED, Replaced, SPLIT};
use super::store::{Store, StoreError};
use super::sums::Expected;
use super::tar::{Extent, Piece, SplitReader};
use crate::sys::fs::{self, Links};

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "layer {diff_id} was stored by an older bryo, which did not keep what its archive needs beside its files"
    )]
    NoSplit { diff_id: Digest },
    #[error("layer {diff_id}: read {}: {source}", path.display())]
    Split {
        diff_id: Digest,
        path: PathBuf,
        source: io::Error,
    },
    #[error("layer {diff_id}: read {path}: {source}")]
    File {
        diff_id: Digest,
        path: LayerPath,
        source: io::Error,
    },
    #[error("layer {diff_id}: {path} is no longer the file of {size} bytes that was unpacked")]
    Changed {
        diff_id: Digest,
        path: LayerPath,
        size: u64,
    },
    #[error("layer {diff_id} was changed in the store: its archive has digest {found} now")]
    DiffId { diff_id: Digest, found: Digest },
    #[error("layer {diff_id} was changed in the store: its archive has another sum now")]
    Sum { diff_id: Digest },
    #[error("write the archive of layer {diff_id}: {source}")]
    Write { diff_id: Digest, source: io::Error },
}

impl ReplayError {
    /// What cures it. `image` is what the user called the image that the layer belongs to.
    pub fn hints(&self, image: &str) -> Vec<String> {
        match self {
            ReplayError::NoSplit { .. }
            | ReplayError::Split { .. }
            | ReplayError::File { .. }
            | ReplayError::Changed { .. }
            | ReplayError::DiffId { .. }
            | ReplayError::Sum { .. } => {
                vec![format!("bryo rmi -f {image}"), format!("bryo pull {image}")]
            }
            ReplayError::Store(_) | ReplayError::Write { .. } => Vec::new(),
        }
    }

    /// Whoever reads the archive has stopped: what it says about that counts.
    pub fn is_closed(&self) -> bool {
        matches!(self, ReplayError::Write { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// What shows that a layer is still the one that was unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The DiffID: proof to anybody.
    Digest,
    /// The length and the CRC-32 that were noted then, if they were: enough to find damage, where whoever gets the archive compares the DiffID.
    Sum,
}

impl Store {
    /// Writes the tar with this DiffID and says how many bytes it has. What was written before an error is worth nothing:
    /// only the end shows whether it is the right tar.
    pub fn write_tar(&self, diff_id: &Digest, out: &mut dyn Write) -> Result<u64, ReplayError> {
        self.write_compared(diff_id, Compare::Digest, out)
    }

    /// The same with a choice of what is compared at the end. What an older bryo has not noted is noted now.
    pub fn write_compared(
        &self,
        diff_id: &Digest,
        compare: Compare,
        out: &mut dyn Write,
    ) -> Result<u64, ReplayError> {
        let report = self.layer_report(diff_id)?;
        let expected = match (compare, report.tar_crc) {
            (Compare::Sum, Some(crc)) => Expected::Crc {
                found: Crc::new(),
                crc,
                length: report.tar_size,
            },
            _ => Expected::digest(),
        };
        let directory = self.layers.join(diff_id.hex());
        let path = directory.join(SPLIT);
        let failed = |source| ReplayError::Split {
            diff_id: diff_id.clone(),
            path: path.clone(),
            source,
        };
        let split = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let diff_id = diff_id.clone();
                return Err(ReplayError::NoSplit { diff_id });
            }
            opened => opened.map_err(failed)?,
        };
        let mut split = SplitReader::new(split).map_err(failed)?;
        let directory =
            fs::open_directory(&directory).map_err(StoreError::io("open", &directory))?;
        let places = Places::of(&report.replaced);
        let mut output = Output::new(diff_id, expected, out);
        let mut files = 0;
        while let Some(piece) = split.next_piece().map_err(failed)? {
            match piece {
                Piece::Raw(bytes) => output.bytes(bytes)?,
                Piece::Content { path, size } => {
                    let place = places.of_file(files, path);
                    files += 1;
                    output.file(&directory, &place, path, Part::All(size))?;
                }
                Piece::Extents { path, extents } => {
                    let place = places.of_file(files, path);
                    files += 1;
                    output.file(&directory, &place, path, Part::Of(&extents))?;
                }
            }
        }
        let (length, crc) = output.finish()?;
        if compare == Compare::Sum && report.tar_crc.is_none() {
            let noted = self.note_sum(diff_id, length, crc);
            tracing::debug!(?noted, %diff_id, "the sum of a layer");
        }
        Ok(length)
    }

    /// Of two writers at once the later wins: what is lost is found out again.
    fn note_sum(&self, diff_id: &Digest, length: u64, crc: u32) -> Result<(), StoreError> {
        let mut report = self.layer_report(diff_id)?;
        report.tar_size = length;
        report.tar_crc = Some(crc);
        self.replace_report(&report)
    }
}

/// Where the files of an archive are now.
struct Places<'a> {
    /// By path: how many files came before each replacement, and its number; in the archive's order.
    replaced: HashMap<&'a [u8], Vec<(u64, usize)>>,
}

impl<'a> Places<'a> {
    fn of(list: &'a [Replaced]) -> Places<'a> {
        let mut replaced: HashMap<&[u8], Vec<(u64, usize)>> = HashMap::new();
        for (number, what) in list.iter().enumerate() {
            let known = replaced.entry(&what.path.0).or_default();
            known.push((what.after, number));
        }
        Places { replaced }
    }

    /// The place, below the layer's directory, of the file that came after `before` others: under its own path, or under
    /// the first thing that was moved away after it with that file inside.
    fn of_file(&self, before: u64, path: &[u8]) -> Vec<u8> {
        let mut moved: Option<(usize, usize)> = None;
        if !self.replaced.is_empty() {
            let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
            for end in slashes.map(|(at, _)| at).chain([path.len()]) {
                let Some(known) = self.replaced.get(&path[..end]) else {
                    continue;
                };
                let next = known.partition_point(|(after, _)| *after <= before);
                if let Some((_, number)) = known.get(next)
                    && moved.is_none_or(|(first, _)| *number < first)
                {
                    moved = Some((*number, end));
                }
            }
        }
        match moved {
            None => [b"fs/", path].concat(),
            Some((number, end)) => {
                [format!("{REPLACED}/{number}").as_bytes(), &path[end..]].concat()
            }
        }
    }
}

/// What of a file an archive has.
#[derive(Clone, Copy)]
enum Part<'a> {
    All(u64),
    /// Of a sparse one.
    Of(&'a [Extent]),
}

/// Larger than a pipe, small beside everything else.
const BUFFER: usize = 256 * 1024;

/// Collects, hashes and writes.
struct Output<'a> {
    diff_id: &'a Digest,
    out: &'a mut dyn Write,
    expected: Expected,
    buffer: Box<[u8]>,
    filled: usize,
    written: u64,
}

impl<'a> Output<'a> {
    fn new(diff_id: &'a Digest, expected: Expected, out: &'a mut dyn Write) -> Output<'a> {
        Output {
            diff_id,
            out,
            expected,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            filled: 0,
            written: 0,
        }
    }

    fn bytes(&mut self, mut bytes: &[u8]) -> Result<(), ReplayError> {
        while !bytes.is_empty() {
            let room = self.room()?;
            let count = room.len().min(bytes.len());
            room[..count].copy_from_slice(&bytes[..count]);
            self.filled += count;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Exactly the bytes that were unpacked into `place`; `path` is what it is called in messages.
    fn file(
        &mut self,
        layer: &OwnedFd,
        place: &[u8],
        path: &[u8],
        part: Part<'_>,
    ) -> Result<(), ReplayError> {
        let size = match part {
            Part::All(size) => size,
            Part::Of(extents) => extents
                .last()
                .map_or(0, |last| last.offset.saturating_add(last.length)),
        };
        let diff_id = self.diff_id;
        let failed = |source| ReplayError::File {
            diff_id: diff_id.clone(),
            path: LayerPath(path.to_vec()),
            source,
        };
        let changed = || ReplayError::Changed {
            diff_id: diff_id.clone(),
            path: LayerPath(path.to_vec()),
            size,
        };
        // Whatever somebody put there: no waiting for a FIFO, no terminal of ours.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let open = |flags| fs::open_in_root(layer, place, flags, Mode::empty(), Links::Refuse);
        // That it was read is nothing to write down, in thousands of inodes; whoever may not say so reads it all the same.
        let fd = match open(flags | OFlags::NOATIME) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => open(flags),
            opened => opened,
        };
        let fd = fd.map_err(failed)?;
        let stat = rustix::fs::fstat(&fd).map_err(|errno| failed(errno.into()))?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let found = u64::try_from(stat.st_size).unwrap_or(0);
        let fits = match part {
            Part::All(size) => found == size,
            // It may end with a hole.
            Part::Of(_) => found >= size,
        };
        if !is_file || !fits {
            return Err(changed());
        }
        let extents = match part {
            Part::All(length) => &[Extent { offset: 0, length }],
            Part::Of(extents) => extents,
        };
        for extent in extents {
            if extent.offset > 0 {
                let start = SeekFrom::Start(extent.offset);
                rustix::fs::seek(&fd, start).map_err(|errno| failed(errno.into()))?;
            }
            let mut left = extent.length;
            while left > 0 {
                let room = self.room()?;
                let wanted = left.min(room.len() as u64) as usize;
                match rustix::io::read(&fd, &mut room[..wanted]) {
                    Ok(0) => return Err(changed()),
                    Ok(count) => {
                        self.filled += count;
                        left -= count as u64;
                    }
                    Err(Errno::INTR) => {}
                    Err(errno) => return Err(failed(errno.into())),
                }
            }
        }
        Ok(())
    }

    /// Some free bytes of the buffer.
    fn room(&mut self) -> Result<&mut [u8], ReplayError> {
        if self.filled == self.buffer.len() {
            self.write_out()?;
        }
        Ok(&mut self.buffer[self.filled..])
    }

    fn write_out(&mut self) -> Result<(), ReplayError> {
        let bytes = &self.buffer[..self.filled];
        self.expected.update(bytes);
        let written = self.out.write_all(bytes);
        written.map_err(|source| ReplayError::Write {
            diff_id: self.diff_id.clone(),
            source,
        })?;
        self.written += bytes.len() as u64;
        self.filled = 0;
        Ok(())
    }

    /// The length and the CRC-32 of the right tar.
    fn finish(mut self) -> Result<(u64, u32), ReplayError> {
        self.write_out()?;
        let diff_id = self.diff_id.clone();
        match self.expected {
            Expected::Digest(sums) => {
                let (found, crc) = sums.finish();
                match found == diff_id {
                    true => Ok((self.written, crc)),
                    false => Err(ReplayError::DiffId { diff_id, found }),
                }
            }
            Expected::Crc { found, crc, length } => {
                match found.sum() == crc && self.written == length {
                    true => Ok((length, crc)),
                    false => Err(ReplayError::Sum { diff_id }),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
