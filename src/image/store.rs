//! The image store on disk: `images/` as an OCI image layout, `layers/` with one directory per DiffID. Readers take no
//! lock. Invariants: `store/visible-after-rename` (nothing is seen under its name before it is whole and on disk),
//! `store/order` (layers, config, manifest, stack, then name).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ahead::Ahead;
use super::digest::Digest;
use super::document::{DocumentError, MAX_DOCUMENT};
use super::layer::{KnownBlob, LayerDir, LayerReport, TempLayer};
use super::names::{MAX_INDEX, Names, NamesError};
use super::outside::Ids;
use crate::paths::{Paths, PathsError};
use crate::sys::disk;
use crate::sys::fs;
use crate::sys::lock::{self, Guard, Mode};

/// The store's format; a store of a higher number is refused.
const FORMAT: u32 = 1;

/// The largest `layer.json` that is read: its paths are bounded when it is written.
const MAX_LAYER_RECORD: u64 = 256 << 20;

/// Known forms of one layer: compressions and levels are few.
const MAX_BLOBS: usize = 16;

/// Room for an `index.json` of some five hundred names.
const RESERVE: u64 = 256 << 10;

/// The store of one user.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) images: PathBuf,
    pub(super) layers: PathBuf,
    pub(super) steps: PathBuf,
    lock: PathBuf,
    pub(super) ids: Ids,
    /// Of all layers that are made here.
    ahead: Arc<Ahead>,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Paths(#[from] PathsError),
    #[error("{operation} {path}: {source}")]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(
        "the store at {path} has format {found}, this bryo knows {FORMAT}: it was used by a newer bryo"
    )]
    Newer { path: PathBuf, found: String },
    #[error("{path}: {source}")]
    Names { path: PathBuf, source: NamesError },
    #[error("{path}: {source}")]
    Record {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("layer {diff_id} is no longer in the store")]
    MissingLayer { diff_id: Digest },
    #[error("image config {id} lists {listed} layers, {given} were stored")]
    LayerCount {
        id: Digest,
        listed: usize,
        given: usize,
    },
    #[error("image config {id} lists layer {listed}, but {given} was stored in its place")]
    LayerOrder {
        id: Digest,
        listed: Digest,
        given: Digest,
    },
    #[error("manifest {manifest} names config {named}, not {given}")]
    ConfigDigest {
        manifest: Digest,
        named: Digest,
        given: Digest,
    },
    #[error("no such image any more: {id}")]
    MissingImage { id: Digest },
    #[error("{subject} is an index where a manifest was expected")]
    NotAManifest { subject: String },
}

impl From<fs::ReplaceError> for StoreError {
    fn from(error: fs::ReplaceError) -> StoreError {
        StoreError::io("write", &error.path)(error.source)
    }
}

impl StoreError {
    pub(super) fn io(
        operation: &'static str,
        path: &Path,
    ) -> impl FnOnce(io::Error) -> StoreError + use<> {
        let path = path.to_owned();
        move |source| StoreError::Io {
            operation,
            path,
            source,
        }
    }
}

/// The layer directories of an image, bottom first, a DiffID that occurs twice only at its topmost place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stack {
    pub layers: Vec<LayerDir>,
}

impl Store {
    /// Opens the user's store and makes it where there is none.
    pub fn open(paths: &Paths) -> Result<Store, StoreError> {
        let store = Store {
            images: paths.images(),
            layers: paths.layers(),
            steps: paths.build_steps(),
            lock: paths.store_lock(),
            ids: Ids::Home,
            ahead: Arc::default(),
        };
        Paths::make(&paths.data)?;
        check_format(&paths.data.join("version"))?;
        Paths::make(&store.images.join("blobs/sha256"))?;
        Paths::make(&store.images.join("stacks"))?;
        Paths::make(&store.images.join("signatures"))?;
        Paths::make(&store.kept_directory())?;
        Paths::make(&store.layers)?;
        let layout = store.images.join("oci-layout");
        if !layout.exists() {
            let text = b"{\"imageLayoutVersion\":\"1.0.0\"}";
            fs::replace_file(&layout, text).map_err(StoreError::io("write", &layout))?;
        }
        store.keep_reserve();
        Ok(store)
    }

    /// The same store for a process outside of the home namespace: what needs more than the user's own rights is refused.
    pub fn outside(self, ids: Ids) -> Store {
        Store { ids, ..self }
    }

    /// Held by whoever adds or uses: many at once, never together with garbage collection. Short.
    pub fn lock_shared(&self) -> Result<Guard, StoreError> {
        lock::lock(&self.lock, Mode::Shared).map_err(StoreError::io("lock", &self.lock))
    }

    /// Held by garbage collection while it renames away what nobody needs.
    pub(super) fn lock_exclusive(&self) -> Result<Guard, StoreError> {
        lock::lock(&self.lock, Mode::Exclusive).map_err(StoreError::io("lock", &self.lock))
    }

    /// Held (shared) from the first question "is this layer here?" until the image that needs it is committed, across
    /// downloads too. Nobody waits for it: while it is held, garbage collection leaves layers for a later time.
    pub fn lease(&self) -> Result<Guard, StoreError> {
        let path = self.lease_path();
        lock::lock(&path, Mode::Shared).map_err(StoreError::io("lock", &path))
    }

    pub(super) fn lease_path(&self) -> PathBuf {
        self.lock.with_extension("adding")
    }

    /// Is there while layers wait for the end of the last lease.
    pub(super) fn debt_path(&self) -> PathBuf {
        self.lock.with_extension("owed")
    }

    /// Serialises changes of `index.json`; always the last lock taken and the shortest held.
    pub(super) fn lock_names(&self) -> Result<Guard, StoreError> {
        let path = self.lock.with_extension("index");
        lock::lock(&path, Mode::Exclusive).map_err(StoreError::io("lock", &path))
    }

    /// All names and nameless images: one file, no lock.
    pub fn names(&self) -> Result<Names, StoreError> {
        self.parse_names(self.read_names()?.as_deref())
    }

    /// The file of names, if there is one already.
    pub(super) fn read_names(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.index_path();
        match fs::read_bounded(&path, MAX_INDEX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).map_err(StoreError::io("read", &path)),
        }
    }

    pub(super) fn parse_names(&self, file: Option<&[u8]>) -> Result<Names, StoreError> {
        let parsed = file.map_or_else(|| Ok(Names::default()), Names::parse);
        parsed.map_err(|source| StoreError::Names {
            path: self.index_path(),
            source,
        })
    }

    /// Reads, changes and replaces the names under their lock.
    pub(super) fn change_names<T>(
        &self,
        change: impl FnOnce(&mut Names) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _lock = self.lock_names()?;
        self.change_locked(change)
    }

    /// The same with names that were drafted from those of the file `before`, without the lock: where that is the file still, they are
    /// what `change` makes of it.
    pub(super) fn place_names(
        &self,
        before: Option<&[u8]>,
        draft: fs::Drafts<'_>,
        change: impl FnOnce(&mut Names) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let _lock = self.lock_names()?;
        if self.read_names()?.as_deref() == before {
            return Ok(draft.name()?);
        }
        drop(draft);
        self.change_locked(change)
    }

    fn change_locked<T>(
        &self,
        change: impl FnOnce(&mut Names) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut names = self.names()?;
        let before = names.clone();
        let result = change(&mut names)?;
        if names != before {
            let path = self.index_path();
            fs::replace_file(&path, &names.to_json()).map_err(StoreError::io("write", &path))?;
        }
        Ok(result)
    }

    /// The same for who takes names away: a full disk does not stop them, because there is a reserve for the new file.
    pub(super) fn remove_names<T>(
        &self,
        change: impl Fn(&mut Names) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.change_names(&change) {
            Err(StoreError::Io { source, .. }) if is_full(&source) => {
                fs::remove_path(&self.reserve_path()).map_err(|failed| {
                    StoreError::io("remove", &self.reserve_path())(failed.source)
                })?;
                self.change_names(change)
            }
            other => other,
        }
    }

    fn reserve_path(&self) -> PathBuf {
        self.images.join("reserve")
    }

    /// Sets room aside; a disk that has none now may have it the next time.
    fn keep_reserve(&self) {
        let path = self.reserve_path();
        if path.exists() {
            return;
        }
        let kept = disk::create(&path).and_then(|file| {
            let flags = rustix::fs::FallocateFlags::empty();
            Ok(rustix::fs::fallocate(&file, flags, 0, RESERVE)?)
        });
        if let Err(error) = kept {
            tracing::debug!(%error, "no reserve for removals on a full disk");
            let _ = disk::remove_file(&path);
        }
    }

    pub(super) fn index_path(&self) -> PathBuf {
        self.images.join("index.json")
    }

    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.images.join("blobs/sha256").join(digest.hex())
    }

    pub(super) fn stack_path(&self, id: &Digest) -> PathBuf {
        self.images.join("stacks").join(id.hex())
    }

    /// A manifest or config of the store.
    pub fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.blob_path(digest);
        fs::read_bounded(&path, MAX_DOCUMENT).map_err(StoreError::io("read", &path))
    }

    /// Whether there is a small blob: a config, a manifest.
    pub fn has_document(&self, digest: &Digest) -> bool {
        self.blob_path(digest).exists()
    }

    /// Those that are not there yet, with their paths.
    pub(super) fn missing_blobs<'a>(
        &self,
        blobs: &[(&Digest, &'a [u8])],
    ) -> Vec<(PathBuf, &'a [u8])> {
        let blobs = blobs
            .iter()
            .map(|(digest, bytes)| (self.blob_path(digest), *bytes));
        blobs.filter(|(path, _)| !path.exists()).collect()
    }

    /// Writes a small blob unless it is there.
    pub(super) fn write_blob(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        let path = self.blob_path(&digest);
        if !path.exists() {
            fs::replace_file(&path, bytes).map_err(StoreError::io("write", &path))?;
        }
        Ok(digest)
    }

    /// What is kept of the signatures of a manifest, if anything is.
    pub fn signatures(&self, manifest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.images.join("signatures").join(manifest.hex());
        match fs::read_bounded(&path, MAX_DOCUMENT) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::io("read", &path)(source)),
        }
    }

    /// Keeps them beside an image that is there, and goes with it.
    pub fn keep_signatures(&self, manifest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let _lock = self.lock_shared()?;
        let path = self.images.join("signatures").join(manifest.hex());
        fs::replace_file(&path, bytes).map_err(StoreError::io("write", &path))
    }

    pub(super) fn read_stack(&self, id: &Digest) -> Result<Stack, StoreError> {
        self.read_record(&self.stack_path(id), MAX_DOCUMENT)
    }

    pub(super) fn read_record<T: serde::de::DeserializeOwned>(
        &self,
        path: &Path,
        limit: u64,
    ) -> Result<T, StoreError> {
        let bytes = fs::read_bounded(path, limit).map_err(StoreError::io("read", path))?;
        serde_json::from_slice(&bytes).map_err(|source| StoreError::Record {
            path: path.to_owned(),
            source,
        })
    }

    /// The overlay lower directory of a layer.
    pub fn layer_path(&self, layer: &LayerDir) -> PathBuf {
        self.layers.join(layer.as_str()).join("fs")
    }

    /// Where a layer is, with its records.
    pub fn layer_home(&self, layer: &LayerDir) -> PathBuf {
        self.layers.join(layer.as_str())
    }

    /// Whether a layer is in the store; true can become false unless a [`Store::lease`] is held.
    pub fn has_layer(&self, diff_id: &Digest) -> bool {
        self.layers.join(diff_id.hex()).join("layer.json").exists()
    }

    /// What unpacking a layer found out.
    pub fn layer_report(&self, diff_id: &Digest) -> Result<LayerReport, StoreError> {
        if !self.has_layer(diff_id) {
            return Err(StoreError::MissingLayer {
                diff_id: diff_id.clone(),
            });
        }
        let path = self.layers.join(diff_id.hex()).join("layer.json");
        self.read_record(&path, MAX_LAYER_RECORD)
    }

    /// Adds a form that somebody has the layer in, once its bytes were made or read and both its digests were right. Of two
    /// writers at once the later wins: what is forgotten costs a question to a registry, no more.
    pub fn remember_blob(&self, diff_id: &Digest, blob: KnownBlob) -> Result<(), StoreError> {
        let mut report = self.layer_report(diff_id)?;
        if report.blobs.contains(&blob) {
            return Ok(());
        }
        if report.blobs.len() >= MAX_BLOBS {
            report.blobs.remove(0);
        }
        report.blobs.push(blob);
        self.replace_report(&report)
    }

    pub(super) fn replace_report(&self, report: &LayerReport) -> Result<(), StoreError> {
        let path = self.layers.join(report.diff_id.hex()).join("layer.json");
        let json = serde_json::to_vec(report).expect("plain data always serialises");
        fs::replace_file(&path, &json).map_err(StoreError::io("write", &path))
    }

    /// An empty, locked directory to unpack a layer into.
    pub fn begin_layer(&self) -> Result<TempLayer, StoreError> {
        TempLayer::make(&self.layers, &self.ahead)
            .map_err(StoreError::io("make a directory in", &self.layers))
    }

    /// A layer that is being made by another process, which holds it.
    pub fn borrow_layer(&self, name: &str) -> Result<TempLayer, StoreError> {
        let path = self.layers.join(name);
        TempLayer::borrowed(path.clone(), &self.ahead).map_err(StoreError::io("open", &path))
    }

    /// Waits for what was begun to be written while layers were unpacked; `subject` is one of them.
    pub(super) fn finish_writing(&self, subject: &Path) -> Result<(), StoreError> {
        let written = self.ahead.finish();
        written.map_err(StoreError::io("write ahead", subject))
    }

    /// Gives a settled variant its name; called under the shared store lock. One that is there already is kept.
    pub(super) fn name_variant(
        &self,
        copy: &mut TempLayer,
        layer: &LayerDir,
    ) -> Result<(), StoreError> {
        fs::sync_filesystem(copy.fd()).map_err(StoreError::io("sync", &copy.directory))?;
        let directory = fs::open_directory(&self.layers);
        let directory = directory.map_err(StoreError::io("open", &self.layers))?;
        let name = copy.directory.file_name().expect("it lies below layers/");
        let renamed = fs::rename_new(
            &directory,
            name.as_encoded_bytes(),
            layer.as_str().as_bytes(),
        );
        copy.committed = renamed.map_err(StoreError::io("name", &copy.directory))?;
        fs::sync_directory(&directory).map_err(StoreError::io("sync", &self.layers))
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn check_format(path: &Path) -> Result<(), StoreError> {
    match fs::read_bounded(path, 64) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes).trim().to_owned();
            match text.parse::<u32>() {
                Ok(number) if number <= FORMAT => Ok(()),
                _ => Err(StoreError::Newer {
                    path: path.parent().unwrap_or(path).to_owned(),
                    found: text,
                }),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::replace_file(path, format!("{FORMAT}\n").as_bytes())
                .map_err(StoreError::io("write", path))
        }
        Err(source) => Err(StoreError::io("read", path)(source)),
    }
}
