//! What an overlay's upper directory is as a layer: its DiffID, its record, and what gives its tar back, all beside the
//! directory itself, which stays where it is. Nothing is copied. Runs in the home namespace.

use std::collections::HashSet;
use std::io;

use sha2::{Digest as _, Sha256};

use super::digest::Digest;
use super::layer::{LayerPath, LayerReport, TempLayer};
use super::pack::{PackError, Packer, Tree};
use super::tar::{Entry, EntryKind, SplitWriter, TarSink};
use crate::sys::fs;

/// The DiffID of a layer that changes nothing: an archive of its end alone.
pub const NOTHING: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("open the layer: {source}")]
    Open { source: io::Error },
    #[error("keep what the layer's archive is beside its files: {source}")]
    Split { source: io::Error },
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// Reads the whole layer once. Whoever wrote it has ended. The directory of overlay marks (`work`) is gone before.
pub fn seal(layer: &TempLayer) -> Result<LayerReport, SealError> {
    let split = layer.create_split().and_then(SplitWriter::new);
    let mut sink = Sealing {
        hasher: Sha256::new(),
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
        marker_files: false,
    };
    let mut packer = Packer::new(&mut sink, tree);
    packer.add_directory(root, b"")?;
    let (tar_size, warnings) = packer.finish()?;
    let finished = sink.split.finish();
    finished.map_err(|source| SealError::Split { source })?;
    Ok(LayerReport {
        diff_id: Digest::from_hash(sink.hasher.finalize().as_slice()),
        size: sink.size,
        tar_size,
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
struct Sealing {
    hasher: Sha256,
    split: SplitWriter,
    whiteouts: Vec<LayerPath>,
    size: u64,
    entries: u64,
}

impl TarSink for &mut Sealing {
    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.split.raw(bytes)
    }

    fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        Ok(())
    }

    fn announce(&mut self, entry: &Entry) -> io::Result<()> {
        self.entries += 1;
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
