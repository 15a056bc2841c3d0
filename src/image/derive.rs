//! A new image on top of another: `commit`. One more layer from a container's own, the config with what was changed. Runs in
//! the home namespace, with threads.

use std::collections::HashSet;
use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::pipe::{PipeFlags, pipe_with};
use serde_json::{Map, Value};

use super::digest::Digest;
use super::document;
use super::import::Imported;
use super::layer::{LayerPath, LayerReport, TempLayer};
use super::manifest::{self, remove_makers};
use super::outside::{self, Ids};
use super::pack::{PackError, Packer, Tree};
use super::reference::Reference;
use super::store::{Store, StoreError};
use super::unpack::{UnpackError, UnpackOptions, unpack};
use super::whiteouts;
use crate::sys::fs;

#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("read the container's layer: {source}")]
    Open { source: std::io::Error },
    #[error("read the container's layer: {0}")]
    Pack(#[from] PackError),
    #[error("store the container's layer: {0}")]
    Unpack(#[from] UnpackError),
    #[error("the container's layer is too large to be packed outside of the home namespace")]
    Large,
}

impl DeriveError {
    /// Whether the home namespace has what was missing.
    pub fn is_refusal(&self) -> bool {
        let unkept = matches!(self, DeriveError::Unpack(UnpackError::NoWhiteouts { .. }));
        unkept || matches!(self, DeriveError::Large) || is_denied(self)
    }
}

/// Whether somebody's rights did not suffice.
fn is_denied(error: &(dyn Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(cause) = error {
        let io = cause.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::PermissionDenied) {
            return true;
        }
        error = cause.source();
    }
    false
}

/// What the image adds to the one it is made from.
#[derive(Debug)]
pub struct Derivation<'a> {
    pub parent: &'a Digest,
    /// An overlay's upper directory.
    pub upper: &'a Path,
    /// What of it is no part of the layer.
    pub hidden: &'a HashSet<LayerPath>,
    pub marker_files: bool,
    pub author: Option<String>,
    pub comment: Option<String>,
    /// The command of the container, as the history shows it.
    pub created_by: String,
    /// Replaces the parent's, `Config` of the image specification with docker's additions.
    pub config: Map<String, Value>,
    pub unpack: UnpackOptions,
    /// How many threads write files beside the one that unpacks: asked where the layer is not small.
    pub writers: fn() -> usize,
}

/// Makes the image.
pub fn derive(
    store: &Store,
    derivation: &Derivation<'_>,
    name: Option<&Reference>,
) -> Result<Imported, DeriveError> {
    store.sweep()?;
    let _lease = store.lease()?;
    let mut warnings = Vec::new();
    let made = make_layer(store, derivation, &mut warnings)?;
    let report = made.as_ref().map(|(_, report)| report);
    let subject = format!("config of image {}", derivation.parent);
    let bytes = store.read_blob(derivation.parent)?;
    let parent = document::parse_config(&subject, &bytes).map_err(StoreError::from)?;
    let mut diff_ids = document::diff_ids(&subject, &parent).map_err(StoreError::from)?;
    diff_ids.extend(report.map(|report| report.diff_id.clone()));
    let document: Map<String, Value> =
        document::json(&subject, &bytes).map_err(StoreError::from)?;
    let config = configuration(document, derivation, &diff_ids, report.is_none());
    if let Some(report) = report {
        warnings.extend_from_slice(&report.warnings);
    }
    let names: Vec<Reference> = name.cloned().into_iter().collect();
    let layer = made.into_iter().collect();
    let id = store.commit_config(&config, &diff_ids, &names, Some(derivation.parent), layer)?;
    Ok(Imported { id, warnings })
}

/// The container's layer; None where it has changed nothing.
fn make_layer(
    store: &Store,
    derivation: &Derivation<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<(TempLayer, LayerReport)>, DeriveError> {
    let layer = store.begin_layer()?;
    let upper = fs::open_directory(derivation.upper);
    let upper = upper.map_err(|source| DeriveError::Open { source })?;
    let tree = Tree::Layer {
        hidden: derivation.hidden,
        marker_files: derivation.marker_files || whiteouts::are_files(&upper),
        ids: store.ids,
    };
    let options = UnpackOptions {
        ids: store.ids,
        ..derivation.unpack
    };
    let packed = repack(upper, tree, &layer, &options, derivation.writers)?;
    warnings.extend(packed.warnings);
    let is_empty = packed.report.entries == 0;
    Ok((!is_empty).then_some((layer, packed.report)))
}

/// A layer as it was unpacked, and what could not be packed before.
struct PackedLayer {
    report: LayerReport,
    warnings: Vec<String>,
}

/// A layer with fuse-overlayfs' marks, which the kernel does not know, becomes one without: in its own directory. Gives what could not
/// be kept.
pub fn copy_layer(
    store: &Store,
    layer: &TempLayer,
    options: &UnpackOptions,
    writers: fn() -> usize,
) -> Result<Vec<String>, DeriveError> {
    let scratch = store.begin_layer()?;
    let hidden = HashSet::new();
    let tree = Tree::Layer {
        hidden: &hidden,
        marker_files: true,
        ids: Ids::Home,
    };
    let source = fs::open_directory(&layer.path());
    let source = source.map_err(|source| DeriveError::Open { source })?;
    let packed = repack(source, tree, &scratch, options, writers)?;
    store.finish_writing(&layer.path())?;
    layer.take_over(&scratch)?;
    Ok([packed.warnings, packed.report.warnings].concat())
}

/// A tar that fits into this is made before it is unpacked: threads that wait for each other cost more than a small layer.
const SMALL: usize = 256 * 1024;

/// Whether an image can be derived from this upper directory without the home namespace, as far as a look at its files tells.
pub fn is_for_user(upper: &Path, ids: Ids) -> bool {
    outside::is_little(upper, ids, SMALL as u64).unwrap_or(false)
}

/// Takes so much; what writes more sees that nobody reads any more.
struct Small(Vec<u8>);

impl Write for Small {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > SMALL {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The whole tar and what could not be packed; `None` where it is not small.
fn pack_small(source: &OwnedFd, tree: Tree<'_>) -> Result<Option<Packed>, DeriveError> {
    let source = source.try_clone();
    let source = source.map_err(|source| DeriveError::Open { source })?;
    let mut small = Small(Vec::new());
    let mut packer = Packer::new(&mut small, tree);
    let packed = packer.add_directory(source, b"");
    match packed.and_then(|()| packer.finish()) {
        Ok((_, warnings)) => Ok(Some((small.0, warnings))),
        Err(error) if error.is_closed() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

type Packed = (Vec<u8>, Vec<String>);

/// On its way from one directory into another: written as a tar, by a thread where it is not small, and unpacked like every other one.
fn repack(
    source: OwnedFd,
    tree: Tree<'_>,
    layer: &TempLayer,
    options: &UnpackOptions,
    writers: fn() -> usize,
) -> Result<PackedLayer, DeriveError> {
    if let Some((tar, warnings)) = pack_small(&source, tree)? {
        let report = unpack(&tar[..], layer, options)?;
        return Ok(PackedLayer { report, warnings });
    }
    if options.ids.is_outside() {
        return Err(DeriveError::Large);
    }
    let options = &UnpackOptions {
        writers: writers(),
        ..*options
    };
    let failed = |source| DeriveError::Open { source };
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
    let (packed, unpacked) = std::thread::scope(|scope| {
        let packing = scope.spawn(move || {
            let writer = std::io::BufWriter::with_capacity(64 * 1024, File::from(writer));
            let mut packer = Packer::new(writer, tree);
            packer.add_directory(source, b"")?;
            packer.finish()
        });
        let unpacked = unpack(File::from(reader), layer, options);
        let packed = packing.join().expect("a panic ends the process");
        (packed, unpacked)
    });
    let warnings = match packed {
        // What stopped the reader is the reason.
        Err(error) if error.is_closed() => Vec::new(),
        packed => packed?.1,
    };
    Ok(PackedLayer {
        report: unpacked?,
        warnings,
    })
}

fn configuration(
    mut document: Map<String, Value>,
    derivation: &Derivation<'_>,
    diff_ids: &[Digest],
    empty_layer: bool,
) -> Vec<u8> {
    let created = jiff::Timestamp::now().to_string();
    let mut entry = Map::new();
    let mut say = |key: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            entry.insert(key.to_owned(), value.into());
        }
    };
    say("created", Some(&created));
    say("created_by", Some(&derivation.created_by));
    say("author", derivation.author.as_deref());
    say("comment", derivation.comment.as_deref());
    if empty_layer {
        entry.insert("empty_layer".to_owned(), true.into());
    }
    remove_makers(&mut document);
    if let Some(author) = &derivation.author {
        document.insert("author".to_owned(), author.as_str().into());
    }
    let mut history = match document.remove("history") {
        Some(Value::Array(history)) => history,
        _ => Vec::new(),
    };
    history.push(Value::Object(entry));
    let config = derivation.config.clone();
    manifest::configuration(document, &created, config, history, diff_ids)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::unpack::tests::{Scratch, options};

    #[test]
    fn a_layer_is_the_same_whether_it_is_small_or_not() {
        let hidden = HashSet::new();
        let tree = Tree::Layer {
            hidden: &hidden,
            marker_files: false,
            ids: Ids::Home,
        };
        for size in [1, SMALL - 4096, SMALL, 3 * SMALL] {
            let scratch = Scratch::new();
            let upper = scratch.path.join("upper");
            std::fs::create_dir_all(upper.join("dir")).unwrap();
            std::fs::write(upper.join("dir/file"), vec![b'x'; size]).unwrap();
            let open = || fs::open_directory(&upper).unwrap();
            let mut tar = Vec::new();
            let mut packer = Packer::new(&mut tar, tree);
            packer.add_directory(open(), b"").unwrap();
            packer.finish().unwrap();
            assert_eq!(
                pack_small(&open(), tree).unwrap().is_some(),
                tar.len() <= SMALL
            );
            let layer = scratch.store.begin_layer().unwrap();
            let made = repack(open(), tree, &layer, &options(), || 2).unwrap();
            assert_eq!(made.report.diff_id, Digest::of(&tar), "{size}");
            let copy = std::fs::read(layer.path().join("dir/file")).unwrap();
            assert_eq!(copy.len(), size);
        }
    }
}
