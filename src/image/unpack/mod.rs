//! Unpacking a layer's tar into a directory that becomes an overlay lower. Every path is opened from the layer's own
//! root descriptor (`fs/in-root`); runs in the home namespace, where `chown` to mapped ids is allowed.

mod aside;
mod attributes;
mod place;
mod tree;
mod whiteout;
mod writers;

use std::io::{self, Read};
use std::os::fd::BorrowedFd;

use super::ahead::Pace;
use super::layer::{LayerPath, LayerReport, TempLayer};
use super::outside::Ids;
use super::sums::Sums;
use super::tar::{Limits, SplitWriter, TarError, TarReader};

/// How a layer is unpacked.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnpackOptions {
    /// Only one id is mapped: owners that don't exist here are ignored instead of failing.
    pub single_id: bool,
    pub limits: Limits,
    /// Threads that write small files beside the one that reads the archive; 0 where threads are not allowed or other
    /// layers use the processors already.
    pub writers: usize,
    /// No layer but files that are nobody's: names that stand for whiteouts are names like others.
    pub plain: bool,
    pub ids: Ids,
}

#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error(transparent)]
    Tar(#[from] TarError),
    #[error("{path:?}: leads out of the root directory")]
    Escapes { path: String },
    #[error("{path:?}: the root directory is replaced by something else")]
    Root { path: String },
    #[error("{path}: deeper than {limit} directories")]
    Depth { path: LayerPath, limit: usize },
    #[error("{path}: lies below something that is no directory inside the root")]
    Parent { path: LayerPath },
    #[error("{path}: hard link to {target:?}, which is not in the same layer (or is a directory)")]
    HardLink { path: LayerPath, target: String },
    #[error(
        "{path}: owner {uid}:{gid} is outside the user's subordinate ids; /etc/subuid and /etc/subgid need a larger range"
    )]
    Owner { path: LayerPath, uid: u64, gid: u64 },
    #[error(
        "{path}: its deletion can't be kept: the store is on a file system that takes no whiteouts, as an overlay is; put the store on a volume"
    )]
    NoWhiteouts { path: LayerPath },
    #[error("{path}: not a valid whiteout")]
    Whiteout { path: LayerPath },
    #[error(
        "the archive has too many names to be remembered, of directories, deletions and what is replaced: more than {limit} bytes"
    )]
    Remembered { limit: u64 },
    #[error("{operation} {path}: {source}")]
    Io {
        operation: &'static str,
        path: LayerPath,
        source: io::Error,
    },
    #[error("start a writer thread: {source}")]
    Thread { source: io::Error },
}

impl UnpackError {
    fn io<'p, E: Into<io::Error>>(
        operation: &'static str,
        path: &'p LayerPath,
    ) -> impl FnOnce(E) -> UnpackError + use<'p, E> {
        move |source| UnpackError::Io {
            operation,
            path: path.clone(),
            source: source.into(),
        }
    }
}

/// Unpacks an uncompressed tar to its very end (the DiffID covers what follows the end marker too) and says what it was.
/// What is needed to give that tar back is kept beside the files. The directory is worth nothing after an error and goes
/// with its [`TempLayer`].
pub fn unpack(
    reader: impl Read,
    layer: &TempLayer,
    options: &UnpackOptions,
) -> Result<LayerReport, UnpackError> {
    let split = layer.create_split().and_then(SplitWriter::new);
    let kept = Kept {
        split: split.map_err(|source| TarError::Split { source })?,
        aside: aside::Aside::new(layer.fd()),
        pace: Pace::new(layer.ahead(), layer.root()),
    };
    run(reader, layer.root(), options, Some(kept))
}

/// The same into any directory, over what is there; the tar can't be given back. What was unpacked before an error stays.
pub fn unpack_into(
    reader: impl Read,
    root: BorrowedFd<'_>,
    options: &UnpackOptions,
) -> Result<LayerReport, UnpackError> {
    run(reader, root, options, None)
}

/// What unpacking does beside the files where they become a layer.
struct Kept<'a> {
    split: SplitWriter,
    aside: aside::Aside<'a>,
    pace: Pace<'a>,
}

fn run(
    reader: impl Read,
    root: BorrowedFd<'_>,
    options: &UnpackOptions,
    kept: Option<Kept<'_>>,
) -> Result<LayerReport, UnpackError> {
    let (split, aside, mut pace) = match kept {
        Some(Kept { split, aside, pace }) => (Some(split), Some(aside), Some(pace)),
        None => (None, None, None),
    };
    let mut archive = TarReader::splitting(HashingReader::new(reader), options.limits, split);
    let mut report = std::thread::scope(|scope| {
        let writers = writers::Writers::start(scope, options)?;
        let mut tree = tree::Tree::new(root, options, writers, aside)?;
        while let Some(entry) = archive.next_entry()? {
            tree.add(entry, &mut archive)?;
            if let Some(pace) = &mut pace {
                pace.reached(archive.offset());
            }
        }
        archive.drain()?;
        tree.finish()
    })?;
    report.tar_size = archive.offset();
    let (diff_id, crc) = archive.finish()?.sums.finish();
    report.diff_id = diff_id;
    report.tar_crc = Some(crc);
    Ok(report)
}

/// Hashes what is read through it: the DiffID.
struct HashingReader<R> {
    inner: R,
    sums: Sums,
}

impl<R: Read> HashingReader<R> {
    fn new(inner: R) -> HashingReader<R> {
        HashingReader {
            inner,
            sums: Sums::default(),
        }
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.sums.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
pub(crate) mod tests;
