//! A container's own layer, as an overlay's upper directory: the one place that knows whether there is such a directory or whether it has
//! to be made of a copied root. Runs in the home namespace.

use std::path::{Path, PathBuf};

use super::super::containers::tree_size;
use super::super::images::{processors, unpack_alone};
use super::super::worker::RoleFailure;
use super::super::{Engine, EngineError, Job};
use crate::container::Record;
use crate::image::{CopiedError, CopiedRoot, Store, TempLayer, copy_layer};
use crate::runtime::rootfs::{Driver, Rootfs};
use crate::sys::{fs, process};

/// An upper directory to be read. Where it was made for the purpose it goes with this.
pub struct OwnLayer {
    path: PathBuf,
    _made: Option<TempLayer>,
}

impl OwnLayer {
    pub fn of(store: &Store, rootfs: &Rootfs) -> Result<OwnLayer, RoleFailure> {
        let (place, lent) = (rootfs.copy(), lent_to(rootfs)?);
        let copied = copied(&place, rootfs, &lent);
        if !copied.is_whole() {
            return Ok(OwnLayer {
                path: rootfs.upper.clone(),
                _made: None,
            });
        }
        process::allow_descriptors();
        let made = store.begin_layer();
        let made = made.map_err(|error| RoleFailure::of(&error, Vec::new()))?;
        copied.write_changes(made.root()).map_err(said)?;
        Ok(OwnLayer {
            path: made.path(),
            _made: Some(made),
        })
    }

    /// Whether it is the upper directory that the record names, and nothing has to be made for it.
    pub fn lies_in_upper(rootfs: &Rootfs) -> bool {
        !rootfs.copy().is_dir()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn copied<'a>(place: &'a Path, rootfs: &'a Rootfs, lent: &'a [PathBuf]) -> CopiedRoot<'a> {
    CopiedRoot {
        place,
        below: &rootfs.lower,
        upper: &rootfs.upper,
        lent,
    }
}

/// What of its copied root is none of the container's.
pub fn lent_to(rootfs: &Rootfs) -> Result<Vec<PathBuf>, RoleFailure> {
    rootfs.lent().map_err(|source| {
        let operation = "read what was lent to the container";
        let error = EngineError::System { operation, source };
        RoleFailure::of(&error, Vec::new())
    })
}

fn said(error: CopiedError) -> RoleFailure {
    RoleFailure::of(&error, Vec::new())
}

/// Makes sure that the copy is there, where that is how the container gets its root: it can be mounted then.
pub fn prepare(rootfs: &Rootfs) -> Result<(), RoleFailure> {
    if rootfs.driver != Driver::Copy {
        return Ok(());
    }
    process::allow_descriptors();
    let (place, lent) = (rootfs.copy(), lent_to(rootfs)?);
    let made = copied(&place, rootfs, &lent).make(!rootfs.volatile);
    made.map_err(said)
}

/// Bytes of all that is the container's own on the disk.
pub fn size_of(record: &Record) -> u64 {
    let rootfs = Rootfs {
        work: record.path("work"),
        ..Rootfs::default()
    };
    tree_size(&record.upper()) + tree_size(&rootfs.copy())
}

impl Engine {
    /// Whether what a step of a build has changed is not in its layer yet, or not in words that the next step understands.
    pub fn owes_changes(&self, layer: &TempLayer) -> bool {
        let is_copied = step_rootfs(layer, Vec::new()).copy().exists();
        is_copied || self.storage_choice().driver == Driver::FuseOverlayfs
    }

    /// Makes the layer of such a step what an overlay would have made it; gives what could not be kept. Nothing of the step runs any more.
    pub fn take_changes(
        &self,
        layer: &TempLayer,
        below: Vec<PathBuf>,
    ) -> Result<Job<Vec<String>>, EngineError> {
        let store = self.images()?;
        let name = layer.name().to_owned();
        let rootfs = step_rootfs(layer, self.stacked(below));
        self.start_in_home("worker", move || {
            process::allow_descriptors();
            let taken =
                |error: &(dyn std::error::Error + 'static)| RoleFailure::of(error, Vec::new());
            let layer = store.borrow_layer(&name).map_err(|error| taken(&error))?;
            let (place, lent) = (rootfs.copy(), lent_to(&rootfs)?);
            let copied = copied(&place, &rootfs, &lent);
            if !copied.is_whole() {
                return copy_layer(&store, &layer, &unpack_alone(), processors)
                    .map_err(|error| taken(&error));
            }
            copied.write_changes(layer.root()).map_err(said)?;
            fs::remove_path(&rootfs.work).map_err(|error| taken(&error))?;
            Ok(Vec::new())
        })
    }
}

/// Where a step without a stack of layers has its copy of them.
pub fn copy_of_step(layer: &TempLayer) -> PathBuf {
    step_rootfs(layer, Vec::new()).copy()
}

fn step_rootfs(layer: &TempLayer, lower: Vec<PathBuf>) -> Rootfs {
    Rootfs {
        lower,
        upper: layer.path(),
        work: layer.work(),
        driver: Driver::Copy,
        ..Rootfs::default()
    }
}
