//! What an overlay's upper directory is as a layer: its DiffID, its record, and what gives its tar back, all beside the
//! directory itself, which stays where it is. Nothing is copied. Runs in the home namespace.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Mode, OFlags};

use super::ahead::Reread;
use super::graft::new_files;
use super::layer::{LayerPath, LayerReport, TempLayer};
use super::outside::Ids;
use super::pack::{PackError, Packer, Tree};
use super::sums::Sums;
use super::tar::{Entry, EntryKind, SplitWriter, TarSink};
use super::whiteouts;
use crate::sys::copy::times_at;
use crate::sys::fs::{self, Links};

/// The DiffID of a layer that changes nothing: an archive of its end alone.
pub const NOTHING: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("open the layer: {source}")]
    Open { source: io::Error },
    #[error("keep what the layer's archive is beside its files: {source}")]
    Split { source: io::Error },
    #[error("write the layer's files ahead: {source}")]
    Write { source: io::Error },
    #[error("set the times of the layer's files: {source}")]
    Age { source: io::Error },
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// Takes out of a layer what is there for the engine only, and directories that hold nothing else. `hidden` has all of them.
pub fn strip(layer: &TempLayer, hidden: &HashSet<LayerPath>) -> io::Result<()> {
    let mut paths: Vec<&LayerPath> = hidden.iter().collect();
    paths.sort_by_key(|path| std::cmp::Reverse(path.0.len()));
    for path in paths {
        let parent = path.parent().unwrap_or(LayerPath(Vec::new()));
        let directory = fs::open_directory_in_root(layer.root(), &parent.0, Links::Refuse)?;
        let removed = fs::remove_tree(&directory, path.name());
        removed.map_err(|failed| failed.source)?;
    }
    Ok(())
}

/// Gives everything that is newer this time.
fn age(directory: BorrowedFd<'_>, epoch: i64) -> io::Result<()> {
    for (name, is_directory) in fs::list_directory(directory)? {
        if is_directory {
            let below = fs::open_in_root(
                directory,
                &name,
                OFlags::RDONLY | OFlags::DIRECTORY,
                Mode::empty(),
                Links::Refuse,
            )?;
            age(below.as_fd(), epoch)?;
        }
        let Some(stat) = fs::stat_at(directory, &name)? else {
            continue;
        };
        if stat.st_mtime >= epoch {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::utimensat(directory, &name, &times_at(epoch), flags)?;
        }
    }
    Ok(())
}

/// Reads the whole layer once. Whoever wrote it has ended. Nothing in it is newer than `epoch`, in seconds, afterwards.
pub fn seal(layer: &TempLayer, epoch: Option<i64>) -> Result<LayerReport, SealError> {
    if let Some(epoch) = epoch {
        age(layer.root(), epoch).map_err(|source| SealError::Age { source })?;
    }
    let split = layer.create_split().and_then(SplitWriter::new);
    let mut sink = Sealing {
        ahead: Reread::new(layer, new_files(layer).is_some()),
        sums: Sums::default(),
        split: split.map_err(|source| SealError::Split { source })?,
        whiteouts: Vec::new(),
        size: 0,
        entries: 0,
    };
    let root = fs::open_directory_readable(layer.root());
    let root = root.map_err(|source| SealError::Open { source })?;
    let hidden = HashSet::new();
    let tree = Tree::Layer {
        hidden: &hidden,
        marker_files: whiteouts::are_files(&root),
        ids: Ids::Home,
    };
    let mut packer = Packer::new(&mut sink, tree).reading_ahead();
    packer.add_directory(root, b"")?;
    let (tar_size, warnings) = packer.finish()?;
    let finished = sink.split.finish();
    finished.map_err(|source| SealError::Split { source })?;
    let written = layer.ahead().finish();
    written.map_err(|source| SealError::Write { source })?;
    let (diff_id, crc) = sink.sums.finish();
    Ok(LayerReport {
        diff_id,
        size: sink.size,
        tar_size,
        tar_crc: Some(crc),
        entries: sink.entries,
        // The root is in no archive: its attributes are those of the layers below.
        implicit_dirs: vec![LayerPath(Vec::new())],
        whiteouts: sink.whiteouts,
        opaque_root: false,
        replaced: Vec::new(),
        blobs: Vec::new(),
        warnings,
    })
}

/// Hashes an archive and writes down what it is without its files.
struct Sealing<'a> {
    ahead: Reread<'a>,
    sums: Sums,
    split: SplitWriter,
    whiteouts: Vec<LayerPath>,
    size: u64,
    entries: u64,
}

impl TarSink for &mut Sealing<'_> {
    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.ahead.bytes(bytes.len());
        self.sums.update(bytes);
        self.split.raw(bytes)
    }

    fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.ahead.bytes(bytes.len());
        self.sums.update(bytes);
        Ok(())
    }

    fn announce(&mut self, entry: &Entry) -> io::Result<()> {
        self.entries += 1;
        self.ahead.entry(entry);
        if entry.kind != EntryKind::File {
            return Ok(());
        }
        self.size += entry.size;
        let path = LayerPath(entry.path.clone());
        if let Some(name) = path.name().strip_prefix(b".wh.")
            && !name.starts_with(b".wh.")
        {
            let parent = path.parent().unwrap_or(LayerPath(Vec::new()));
            self.whiteouts.push(parent.join(name));
        }
        Ok(())
    }

    fn begin_content(&mut self, entry: &Entry) -> io::Result<()> {
        self.split.content(&entry.path, entry.size)
    }
}
