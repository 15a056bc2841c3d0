//! What builds keep for the next one: what steps came to, cache mounts, digests of files. Lists and removes it, never what is in use.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;

use super::disk::blocks_below;
use super::remove::users_of;
use super::request::{CacheFilters, CachePrune};
use super::worker::RoleFailure;
use super::{Engine, EngineError};
use crate::container::{Event, EventKind};
use crate::image::{Digest, LayerDir, Store};
use crate::sys::fs;
use crate::sys::lock::{self, Guard, Mode};

/// Of a cache mount that was renamed away to be deleted.
const DEAD: &str = "dead-";

/// What a cache mount is made under.
const UNFINISHED: &str = ".tmp-";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheKind {
    Step,
    Mount,
    Files,
    Download,
}

impl CacheKind {
    /// BuildKit's words.
    pub fn name(self) -> &'static str {
        match self {
            CacheKind::Step | CacheKind::Download => "regular",
            CacheKind::Mount => "exec.cachemount",
            CacheKind::Files => "source.local",
        }
    }
}

/// One thing that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheEntry {
    pub id: String,
    pub kind: CacheKind,
    pub description: String,
    /// Bytes on the disk; of a layer that several steps came to, the first has them.
    pub size: u64,
    pub created: Option<Timestamp>,
    pub last_used: SystemTime,
    /// An image has the layer too: forgetting the step frees nothing.
    pub shared: bool,
    pub in_use: bool,
    place: Place,
}

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Step {
        key: Digest,
        layer: LayerDir,
    },
    /// A directory of cache mounts, by its name.
    Mount(String),
    File(PathBuf),
}

/// Ids are as long as BuildKit's.
fn short(name: &str) -> String {
    name.chars().take(25).collect()
}

fn system(operation: &'static str) -> impl FnOnce(io::Error) -> EngineError {
    EngineError::system(operation)
}

impl Engine {
    /// Everything that is kept, least recently used first.
    pub fn build_cache(&self) -> Result<Vec<CacheEntry>, EngineError> {
        let store = self.images()?;
        let mut entries = self.known_steps(&store)?;
        entries.extend(mounts(&self.paths.build_mounts()).map_err(system("list cache mounts"))?);
        entries.extend(files(&self.paths.build_files()).map_err(system("list digests of files"))?);
        let downloads = downloads(&self.paths.build_downloads());
        entries.extend(downloads.map_err(system("list downloads"))?);
        let mut measured = HashSet::new();
        let paths: Vec<Option<PathBuf>> = entries
            .iter()
            .map(|entry| match &entry.place {
                Place::Step { layer, .. } => {
                    let is_first = measured.insert(layer.clone());
                    is_first.then(|| store.layer_home(layer))
                }
                Place::Mount(name) => Some(self.paths.build_mounts().join(name)),
                Place::File(path) => Some(path.clone()),
            })
            .collect();
        if !entries.is_empty() {
            let sizes: Vec<u64> = self.in_home("worker", || {
                let sizes = paths
                    .iter()
                    .map(|path| path.as_deref().map_or(0, blocks_below));
                Ok(sizes.collect())
            })?;
            for (entry, size) in entries.iter_mut().zip(sizes) {
                entry.size = size;
            }
        }
        entries.sort_by_key(|entry| entry.last_used);
        Ok(entries)
    }

    fn known_steps(&self, store: &Store) -> Result<Vec<CacheEntry>, EngineError> {
        let mut of_images = BTreeSet::new();
        for name in store.names()?.entries {
            // One that is removed meanwhile is not there.
            if let Ok(image) = store.image_by_id(&name.id) {
                of_images.extend(image.layers.iter().map(LayerDir::diff_id));
            }
        }
        // While somebody adds layers none is removed.
        let in_use = store.is_leased()?;
        let steps = store.steps()?.into_iter();
        let steps = steps.filter(|step| store.has_layer(&step.record.layer));
        Ok(steps
            .map(|step| CacheEntry {
                id: short(step.key.hex()),
                kind: CacheKind::Step,
                description: step.record.description,
                size: 0,
                created: step.record.created.parse().ok(),
                last_used: step.last_used,
                shared: of_images.contains(&step.record.layer),
                in_use,
                place: Place::Step {
                    layer: LayerDir::base(&step.record.layer),
                    key: step.key,
                },
            })
            .collect())
    }

    /// Removes what fits, least recently used first, until what is left is small enough; what went is returned.
    pub fn prune_build_cache(&self, prune: &CachePrune) -> Result<Vec<CacheEntry>, EngineError> {
        let entries = self.build_cache()?;
        let total: u64 = entries.iter().map(|entry| entry.size).sum();
        let free = match prune.limits.min_free {
            0 => u64::MAX,
            _ => free_bytes(&self.paths.layers()).map_err(system("measure the file system"))?,
        };
        let keep = prune.limits.keep(total, free);
        let now = SystemTime::now();
        let mut left = total;
        let mut chosen: Vec<CacheEntry> = Vec::new();
        for entry in entries {
            if keep.is_some_and(|keep| left <= keep) {
                break;
            }
            let fits = prune.all || !entry.shared;
            if fits && !entry.in_use && entry.fits(&prune.filters, now) {
                left = left.saturating_sub(entry.size);
                chosen.push(entry);
            }
        }
        if chosen.is_empty() {
            return Ok(chosen);
        }
        let removed = self.remove_cached(chosen)?;
        // What images have stays on the disk.
        let reclaimed: u64 = removed
            .iter()
            .filter(|entry| !entry.shared)
            .map(|entry| entry.size)
            .sum();
        let event = Event::new(EventKind::Builder, "", "prune");
        self.emit(&event.with("reclaimed", reclaimed.to_string()));
        Ok(removed)
    }

    fn remove_cached(&self, chosen: Vec<CacheEntry>) -> Result<Vec<CacheEntry>, EngineError> {
        let store = self.images()?;
        let mounts = self.paths.build_mounts();
        let users = || users_of(&self.containers);
        let removed: Vec<bool> = self.in_home("worker", || {
            let failed =
                |error: &(dyn std::error::Error + 'static)| RoleFailure::of(error, Vec::new());
            let keys: Vec<Digest> = chosen.iter().filter_map(CacheEntry::key).cloned().collect();
            let forgotten = store
                .forget_steps(&keys, &users)
                .map_err(|error| failed(&error))?;
            sweep(&mounts);
            let mut removed = Vec::new();
            for entry in &chosen {
                removed.push(match &entry.place {
                    Place::Step { .. } => forgotten,
                    Place::Mount(name) => remove_mount(&mounts, name)
                        .map_err(|error| failed(&system("remove a cache mount")(error)))?,
                    Place::File(path) => std::fs::remove_file(path).is_ok(),
                });
            }
            Ok(removed)
        })?;
        let pairs = chosen.into_iter().zip(removed);
        Ok(pairs
            .filter_map(|(entry, is_gone)| is_gone.then_some(entry))
            .collect())
    }
}

impl CacheEntry {
    fn key(&self) -> Option<&Digest> {
        match &self.place {
            Place::Step { key, .. } => Some(key),
            _ => None,
        }
    }

    /// Whether it is one of those that are asked for.
    pub fn fits(&self, filters: &CacheFilters, now: SystemTime) -> bool {
        let unused = now.duration_since(self.last_used).unwrap_or_default();
        let text = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|one| one == is);
        let flag = |wanted: Option<bool>, is: bool| wanted.is_none_or(|one| one == is);
        filters.unused_for.is_none_or(|least| unused >= least)
            && text(&filters.id, &self.id)
            && text(&filters.kind, self.kind.name())
            && text(&filters.description, &self.description)
            && flag(filters.in_use, self.in_use)
            && flag(filters.shared, self.shared)
    }

    /// Its layer's directory, where it has one.
    pub(super) fn layer(&self) -> Option<&LayerDir> {
        match &self.place {
            Place::Step { layer, .. } => Some(layer),
            _ => None,
        }
    }
}

/// Bytes that the user may still write there.
fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// A directory's entries, where there is one.
fn listed(directory: &Path) -> io::Result<Vec<std::fs::DirEntry>> {
    match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.collect(),
    }
}

/// `DIGEST` is the first of a cache's directories, `DIGEST.N` another; its lock is `DIGEST.N.lock`.
fn lock_of(mounts: &Path, name: &str) -> PathBuf {
    match name.contains('.') {
        true => mounts.join(format!("{name}.lock")),
        false => mounts.join(format!("{name}.0.lock")),
    }
}

/// Whoever uses a cache mount shares its lock or has it alone.
fn unused(mounts: &Path, name: &str) -> io::Result<Option<Guard>> {
    lock::try_lock(&lock_of(mounts, name), Mode::Exclusive)
}

fn mounts(directory: &Path) -> io::Result<Vec<CacheEntry>> {
    let mut entries = Vec::new();
    for entry in listed(directory)? {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_one = entry.file_type()?.is_dir();
        if !is_one || name.starts_with(DEAD) || name.contains(UNFINISHED) {
            continue;
        }
        let lock = lock_of(directory, &name);
        let id = fs::read_bounded(&lock, 4 << 10).unwrap_or_default();
        let meta = std::fs::metadata(&lock).or_else(|_| entry.metadata())?;
        let (hash, rest) = name.split_at(name.find('.').unwrap_or(name.len()));
        entries.push(CacheEntry {
            id: short(hash) + rest,
            kind: CacheKind::Mount,
            description: format!("cached mount {}", String::from_utf8_lossy(&id)),
            size: 0,
            created: meta.created().ok().and_then(|time| time.try_into().ok()),
            last_used: meta.modified()?,
            shared: false,
            in_use: unused(directory, &name)?.is_none(),
            place: Place::Mount(name),
        });
    }
    Ok(entries)
}

fn files(directory: &Path) -> io::Result<Vec<CacheEntry>> {
    let mut entries = Vec::new();
    for entry in listed(directory)? {
        let meta = entry.metadata()?;
        let name = entry.file_name().to_string_lossy().into_owned();
        entries.push(CacheEntry {
            id: short(&name),
            kind: CacheKind::Files,
            description: "digests of a context's files".to_owned(),
            size: 0,
            created: None,
            last_used: meta.modified()?,
            shared: false,
            in_use: false,
            place: Place::File(entry.path()),
        });
    }
    Ok(entries)
}

fn downloads(directory: &Path) -> io::Result<Vec<CacheEntry>> {
    let mut entries = Vec::new();
    for entry in listed(directory)? {
        let name = entry.file_name().to_string_lossy().into_owned();
        let meta = entry.metadata()?;
        let url = super::download_cache::url_of(&entry.path());
        entries.push(CacheEntry {
            id: short(&name),
            kind: CacheKind::Download,
            description: format!("http url {}", url.unwrap_or_default()),
            size: 0,
            created: meta.created().ok().and_then(|time| time.try_into().ok()),
            last_used: meta.modified()?,
            shared: false,
            in_use: false,
            place: Place::File(entry.path()),
        });
    }
    Ok(entries)
}

/// `false`: somebody uses it. Its place is free at once, its files go after that.
fn remove_mount(mounts: &Path, name: &str) -> io::Result<bool> {
    let dead = format!("{DEAD}{}", fs::random_name());
    {
        let Some(_lock) = unused(mounts, name)? else {
            return Ok(false);
        };
        match std::fs::rename(mounts.join(name), mounts.join(&dead)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            renamed => renamed?,
        }
    }
    let directory = fs::open_directory(mounts)?;
    fs::remove_tree(&directory, dead.as_bytes()).map_err(|error| error.source)?;
    Ok(true)
}

/// What killed commands left. What cannot go now goes the next time.
fn sweep(mounts: &Path) {
    let (Ok(entries), Ok(directory)) = (listed(mounts), fs::open_directory(mounts)) else {
        return;
    };
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_rubbish = match name.split_once(UNFINISHED) {
            Some((of, _)) => matches!(unused(mounts, of), Ok(Some(_))),
            None => name.starts_with(DEAD),
        };
        if is_rubbish && let Err(error) = fs::remove_tree(&directory, name.as_bytes()) {
            tracing::debug!(%error, "sweep cache mounts");
        }
    }
}
