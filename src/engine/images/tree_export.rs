//! The files of an image as a build's output: one tree, as a tar archive or in a directory of the user's.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::super::output::Unfinished;
use super::super::worker::RoleFailure;
use super::super::{Engine, EngineError};
use crate::image::{
    self, Appearance, Choice, Destination, Digest, ExtractOptions, Graft, Merged, Packer,
    TempLayer, There, extract,
};
use crate::runtime::home;
use crate::sys::fs::{self, Links};

/// Where the files of an image go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeOutput {
    /// Into it, over what is there; everything is the user's.
    Directory(PathBuf),
    /// An archive; None: on standard output.
    Tar(Option<PathBuf>),
}

fn failure(error: &(dyn std::error::Error + 'static)) -> RoleFailure {
    RoleFailure::of(error, Vec::new())
}

fn said(operation: &'static str) -> impl FnOnce(io::Error) -> RoleFailure {
    move |source| failure(&EngineError::System { operation, source })
}

/// The files of one image, in a directory of the output; empty: in all of it.
#[derive(Clone, Debug)]
pub struct Tree {
    pub image: Digest,
    pub below: String,
}

impl Engine {
    /// Writes what the images' roots look like. What could not be written as it is is returned.
    pub fn export_trees(
        &self,
        trees: &[Tree],
        to: &TreeOutput,
    ) -> Result<Vec<String>, EngineError> {
        let store = self.images()?;
        let _lease = store.lease()?;
        let mut sources: Vec<Source> = Vec::new();
        for tree in trees {
            let image = store.image_by_id(&tree.image)?;
            let layers = image.layers.iter().map(|layer| store.layer_path(layer));
            let layers = layers.collect();
            match sources.iter_mut().find(|source| source.below == tree.below) {
                Some(source) => source.stacks.push(layers),
                None => sources.push(Source {
                    below: tree.below.clone(),
                    stacks: vec![layers],
                    copy: store.begin_layer()?,
                }),
            }
        }
        let unfinished = match to {
            TreeOutput::Tar(Some(path)) => Some(Unfinished::file(path)?),
            TreeOutput::Tar(None) => None,
            TreeOutput::Directory(path) => {
                std::fs::create_dir_all(path).map_err(EngineError::file("make", path))?;
                None
            }
        };
        let warnings: Vec<String> = self.in_home("worker", || {
            crate::sys::process::allow_descriptors();
            let mut warnings = Vec::new();
            let mut copies = Vec::new();
            for source in &sources {
                // The role has descriptors of its own.
                let copy = store
                    .borrow_layer(source.copy.name())
                    .map_err(|error| failure(&error))?;
                warnings.extend(merge(&source.stacks, &copy)?);
                copies.push((source.below.as_str(), copy));
            }
            let packed = match (to, &unfinished) {
                (TreeOutput::Directory(path), _) => into_directories(&copies, path)?,
                (TreeOutput::Tar(_), Some(unfinished)) => {
                    let out = unfinished.open().map_err(said("open the output"))?;
                    pack(&copies, out, true)?
                }
                (TreeOutput::Tar(_), None) => {
                    let out = io::stdout().as_fd().try_clone_to_owned().map(File::from);
                    pack(&copies, out.map_err(said("open the output"))?, true)?
                }
            };
            warnings.extend(packed);
            Ok(warnings)
        })?;
        if let Some(unfinished) = unfinished {
            unfinished.keep()?;
        }
        Ok(warnings)
    }
}

/// What goes into one directory.
struct Source {
    below: String,
    /// The directories of each image's layers.
    stacks: Vec<Vec<PathBuf>>,
    copy: TempLayer,
}

/// What each stack of layers shows, as one tree. A file that two of them have is an error.
fn merge(stacks: &[Vec<PathBuf>], copy: &TempLayer) -> Result<Vec<String>, RoleFailure> {
    let appearance = Appearance {
        owner: None,
        mode: None,
        latest: None,
        through_links: false,
    };
    let mut graft = Graft::new(copy, Merged::default(), home::is_single_id());
    let there: RefCell<HashSet<Vec<u8>>> = RefCell::default();
    let twice: RefCell<Option<Vec<u8>>> = RefCell::default();
    let several = stacks.len() > 1;
    let choose = |path: &[u8], is_directory: bool| {
        if several && !is_directory && !there.borrow_mut().insert(path.to_vec()) {
            twice.borrow_mut().get_or_insert(path.to_vec());
            return Choice::Leave;
        }
        Choice::Take
    };
    for layers in stacks {
        let merged = Merged::of_layers(layers).map_err(said("open the layers"))?;
        let copied = graft
            .directory(&[], None, 0o755)
            .and_then(|top| graft.copy_content(merged, top, &appearance, &choose));
        copied.map_err(|error| failure(&error))?;
        if let Some(path) = twice.borrow().as_ref() {
            return Err(RoleFailure {
                message: format!(
                    "cannot overwrite {}: images for several platforms have it, and platform-split is false",
                    String::from_utf8_lossy(path)
                ),
                hints: Vec::new(),
            });
        }
    }
    graft.finish(0).map_err(|error| failure(&error))
}

fn pack(
    copies: &[(&str, TempLayer)],
    out: File,
    keep_owners: bool,
) -> Result<Vec<String>, RoleFailure> {
    let out = io::BufWriter::with_capacity(256 * 1024, out);
    let mut packer = Packer::new(out, image::Tree::Plain { keep_owners });
    for (below, copy) in copies {
        let root = fs::open_directory_readable(copy.root()).map_err(said("open the tree"))?;
        let packed = packer.add_directory(root, below.as_bytes());
        packed.map_err(|error| failure(&error))?;
    }
    let (_, warnings) = packer.finish().map_err(|error| failure(&error))?;
    Ok(warnings)
}

/// Through the same door as `cp`: no link that is there already leads anywhere.
fn into_directories(copies: &[(&str, TempLayer)], path: &Path) -> Result<Vec<String>, RoleFailure> {
    let root = fs::open_directory(path).map_err(said("open the destination"))?;
    let destination = Destination {
        directory: Vec::new(),
        name: Vec::new(),
        there: There::Directory,
        shown: path.as_os_str().as_bytes().to_vec(),
    };
    let options = ExtractOptions {
        keep_owners: false,
        single_id: home::is_single_id(),
        keep_set_id: false,
        links: Links::Refuse,
        rename: false,
    };
    let (reader, writer) = io::pipe().map_err(said("make a pipe"))?;
    std::thread::scope(|scope| {
        let packing = scope.spawn(|| {
            pack(
                copies,
                File::from(std::os::fd::OwnedFd::from(writer)),
                false,
            )
        });
        let extracted = extract(reader, root.as_fd(), &destination, options);
        let packed = packing.join().expect("packing does not panic");
        // Why the reader stopped counts, unless it only saw the writer stop.
        match extracted {
            Err(error) if !error.is_cut() => Err(failure(&error)),
            Err(error) => packed.and(Err(failure(&error))),
            Ok(left_out) => packed.map(|warnings| [warnings, left_out].concat()),
        }
    })
}
