//! Looking for damage in the image store: every name, document, stack and layer against its digest. Runs in the home
//! namespace and changes nothing; what is done about it is in `repair.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::artifacts::artifact_blobs;
use super::digest::Digest;
use super::document::{self, Document};
use super::layer::{LayerDir, LayerPath};
use super::names::{NameEntry, Names};
use super::reference::Reference;
use super::replay::ReplayError;
use super::settle::open;
use super::store::{Store, StoreError};
use crate::sys::fs;

/// How much is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckDepth {
    /// The contents of layers are not read.
    pub quick: bool,
    /// Layers of no image and no container that are older than this count as damage.
    pub oldest: Option<Duration>,
    /// Layers that are read at the same time.
    pub parallel: usize,
}

/// What a fault is found in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// `index.json`.
    Names,
    Image(Digest),
    /// A manifest or config, by the name of its file.
    Blob(String),
    /// By the name of its file, the hex digits of the image's id.
    Stack(String),
    Layer(LayerDir),
    /// A compressed layer that is kept, by the name of its file.
    Kept(String),
    /// Of a manifest, by the name of their file.
    Signatures(String),
    /// By its name.
    Artifact(Reference),
    /// The record of all of them.
    Artifacts,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Names => write!(f, "the names of images"),
            Subject::Image(id) => write!(f, "image {id}"),
            Subject::Blob(name) => write!(f, "blob {name}"),
            Subject::Stack(name) => write!(f, "stack of image {name}"),
            Subject::Layer(layer) => write!(f, "layer {layer}"),
            Subject::Kept(name) => write!(f, "kept blob {name}"),
            Subject::Signatures(name) => write!(f, "signatures of manifest {name}"),
            Subject::Artifact(name) => write!(f, "artifact {name}"),
            Subject::Artifacts => write!(f, "the names of artifacts"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFault {
    pub subject: Subject,
    pub found: String,
}

impl fmt::Display for ImageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.found)
    }
}

/// An image that something is wrong with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedImage {
    pub id: Digest,
    pub names: Vec<Reference>,
    /// Where the very same image came from, if from a registry.
    pub origin: Option<Reference>,
    /// What has to go before it can be fetched again.
    pub broken: Vec<Subject>,
}

/// What a check found out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ImageCheck {
    pub faults: Vec<ImageFault>,
    pub damaged: Vec<DamagedImage>,
    /// Layers of an older bryo, whose archive is not to be had.
    pub unverified: Vec<Digest>,
}

impl Store {
    /// Compares everything with its digest. Documents are read under the shared lock, layers under a lease alone, so that
    /// nobody waits for the reading. `used` are the layers of containers.
    /// `signatures` says what is wrong with a record of signatures, whose meaning is nothing of this module's.
    pub fn check(
        &self,
        depth: CheckDepth,
        used: &[LayerDir],
        signatures: &dyn Fn(&[u8]) -> Result<(), String>,
    ) -> Result<ImageCheck, StoreError> {
        let _lease = self.lease()?;
        let mut check = Check {
            store: self,
            faults: Vec::new(),
            layers: BTreeSet::new(),
            unverified: Vec::new(),
        };
        let mut needed: BTreeSet<LayerDir> = used.iter().cloned().collect();
        let mut parts = BTreeMap::new();
        let contents;
        let names = {
            let _lock = self.lock_shared()?;
            // In the reverse of `store/order`: what a pull adds meanwhile is never missed.
            let names = check.names();
            check.stacks()?;
            let mut of_artifacts = check.artifacts();
            of_artifacts.extend(check.indexes(&names));
            check.blobs(&of_artifacts)?;
            contents = of_artifacts;
            check.signatures(signatures)?;
            check.list_layers()?;
            for entry in &names.entries {
                let of_image = parts.entry(entry.id.clone());
                let of_image = of_image.or_insert_with(|| check.image(entry, &mut needed));
                of_image.extend(check.of_index(entry));
            }
            names
        };
        check.contents(depth.quick, depth.parallel);
        check.kept(depth.quick)?;
        check.contents_of_artifacts(&contents, depth.quick);
        if let Some(oldest) = depth.oldest {
            check.orphans(&needed, oldest);
        }
        check.faults.sort_by(|a, b| a.subject.cmp(&b.subject));
        let damaged = check.damaged(&names, &parts);
        Ok(ImageCheck {
            faults: check.faults,
            damaged,
            unverified: check.unverified,
        })
    }
}

/// A check in its course.
struct Check<'a> {
    store: &'a Store,
    faults: Vec<ImageFault>,
    /// Those in the store.
    layers: BTreeSet<LayerDir>,
    unverified: Vec<Digest>,
}

impl Check<'_> {
    fn fault(&mut self, subject: Subject, found: impl fmt::Display) {
        self.faults.push(ImageFault {
            subject,
            found: found.to_string(),
        });
    }

    /// The names of files that are no temporary ones.
    fn list(&self, path: &Path) -> Result<Vec<String>, StoreError> {
        let names = fs::open_directory(path).and_then(fs::list_directory);
        let names = names.map_err(StoreError::io("list", path))?;
        let names = names.into_iter().map(|(name, _)| name);
        let lasting = names.filter(|name| !name.starts_with(b"."));
        let texts = lasting.map(|name| String::from_utf8_lossy(&name).into_owned());
        Ok(texts.collect())
    }

    fn list_layers(&mut self) -> Result<(), StoreError> {
        let names = self.list(&self.store.layers)?;
        self.layers = names.iter().filter_map(|name| name.parse().ok()).collect();
        Ok(())
    }

    /// The documents of the index that an entry stands for.
    fn of_index(&self, entry: &NameEntry) -> Vec<Subject> {
        let one = Names {
            entries: vec![entry.clone()],
        };
        let blobs = self.store.blobs_of_indexes(&one).unwrap_or_default();
        let names = blobs.iter().map(|digest| digest.hex().to_owned());
        names.map(Subject::Blob).collect()
    }

    /// What indexes consist of beside their images; one that lacks something is a fault of the image that stands for it.
    fn indexes(&mut self, names: &Names) -> Vec<Digest> {
        let Some(needed) = self.store.blobs_of_indexes(names) else {
            for entry in names.entries.iter().filter(|entry| entry.head().is_some()) {
                let one = Names {
                    entries: vec![entry.clone()],
                };
                if self.store.blobs_of_indexes(&one).is_none() {
                    let subject = Subject::Image(entry.id.clone());
                    self.fault(subject, "its index, or what is said of it, cannot be read");
                }
            }
            return Vec::new();
        };
        for digest in &needed {
            if !self.store.blob_path(digest).exists() {
                let found = "it is part of an index and not in the store";
                self.fault(Subject::Blob(digest.hex().to_owned()), found);
            }
        }
        needed
    }

    /// What artifacts consist of; one that lacks something is a fault.
    fn artifacts(&mut self) -> BTreeSet<Digest> {
        let all = self.store.artifacts().unwrap_or_else(|error| {
            self.fault(Subject::Artifacts, error);
            Vec::new()
        });
        let mut contents = BTreeSet::new();
        for artifact in all {
            let read = self.store.read_blob(&artifact.manifest);
            let blobs = read
                .map_err(|error| error.to_string())
                .and_then(|bytes| artifact_blobs(&bytes));
            let blobs = match blobs {
                Ok(blobs) => blobs,
                Err(found) => {
                    self.fault(Subject::Artifact(artifact.name), found);
                    continue;
                }
            };
            for blob in &blobs {
                if !self.store.has_blob(&blob.digest, blob.size) {
                    let found = format!("blob {} is not in the store", blob.digest);
                    self.fault(Subject::Artifact(artifact.name.clone()), found);
                }
            }
            contents.extend(blobs.into_iter().map(|blob| blob.digest));
        }
        contents
    }

    /// Of any size, so read without a lock. One that is removed meanwhile is no fault.
    fn contents_of_artifacts(&mut self, contents: &BTreeSet<Digest>, quick: bool) {
        for digest in contents.iter().filter(|_| !quick) {
            let name = digest.hex().to_owned();
            match hash_of(&self.store.blob_path(digest)) {
                Ok(found) if found == *digest => {}
                Ok(found) => {
                    let found = format!("its content has digest {found}");
                    self.fault(Subject::Blob(name), found);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.fault(Subject::Blob(name), error),
            }
        }
    }

    fn blobs(&mut self, of_artifacts: &BTreeSet<Digest>) -> Result<(), StoreError> {
        for name in self.list(&self.store.images.join("blobs/sha256"))? {
            let Ok(digest) = format!("sha256:{name}").parse::<Digest>() else {
                self.fault(Subject::Blob(name), "its name is no digest");
                continue;
            };
            if of_artifacts.contains(&digest) {
                continue;
            }
            match self.store.read_blob(&digest) {
                Ok(bytes) if Digest::of(&bytes) == digest => {}
                Ok(bytes) => {
                    let found = Digest::of(&bytes);
                    self.fault(
                        Subject::Blob(name),
                        format!("its content has digest {found}"),
                    );
                }
                Err(error) => self.fault(Subject::Blob(name), error),
            }
        }
        Ok(())
    }

    fn signatures(
        &mut self,
        judge: &dyn Fn(&[u8]) -> Result<(), String>,
    ) -> Result<(), StoreError> {
        for name in self.list(&self.store.images.join("signatures"))? {
            let Ok(manifest) = format!("sha256:{name}").parse::<Digest>() else {
                self.fault(Subject::Signatures(name), "its name is no digest");
                continue;
            };
            match self.store.signatures(&manifest) {
                Ok(Some(bytes)) => {
                    if let Err(found) = judge(&bytes) {
                        self.fault(Subject::Signatures(name), found);
                    }
                }
                Ok(None) => {}
                Err(error) => self.fault(Subject::Signatures(name), error),
            }
        }
        Ok(())
    }

    /// Compressed layers that are kept. One that is collected meanwhile is no fault.
    fn kept(&mut self, quick: bool) -> Result<(), StoreError> {
        let directory = self.store.kept_directory();
        for name in self.list(&directory)? {
            let Ok(digest) = format!("sha256:{name}").parse::<Digest>() else {
                self.fault(Subject::Kept(name), "its name is no digest");
                continue;
            };
            let hashed = match quick {
                true => continue,
                false => hash_of(&directory.join(&name)),
            };
            match hashed {
                Ok(found) if found == digest => {}
                Ok(found) => {
                    let found = format!("its content has digest {found}");
                    self.fault(Subject::Kept(name), found);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.fault(Subject::Kept(name), error),
            }
        }
        Ok(())
    }

    fn stacks(&mut self) -> Result<(), StoreError> {
        for name in self.list(&self.store.images.join("stacks"))? {
            let Ok(id) = format!("sha256:{name}").parse::<Digest>() else {
                self.fault(Subject::Stack(name), "its name is no image id");
                continue;
            };
            if let Err(error) = self.store.read_stack(&id) {
                self.fault(Subject::Stack(name), error);
            }
        }
        Ok(())
    }

    fn names(&mut self) -> Names {
        self.store.names().unwrap_or_else(|error| {
            self.fault(Subject::Names, error);
            Names::default()
        })
    }

    /// One image's documents, compared with each other and with the layers there are; gives everything it consists of.
    fn image(&mut self, entry: &NameEntry, needed: &mut BTreeSet<LayerDir>) -> Vec<Subject> {
        let id = &entry.id;
        let mut parts = vec![
            Subject::Image(id.clone()),
            Subject::Blob(id.hex().to_owned()),
            Subject::Blob(entry.manifest.hex().to_owned()),
            Subject::Stack(id.hex().to_owned()),
        ];
        let mut layers: BTreeSet<LayerDir> = BTreeSet::new();
        match self.listed(entry) {
            Ok(diff_ids) => layers.extend(diff_ids.iter().map(LayerDir::base)),
            Err(found) => self.fault(Subject::Image(id.clone()), found),
        }
        match self.store.read_stack(id) {
            Ok(stack) => layers.extend(stack.layers),
            // One that is there has been said to be unreadable.
            Err(_) if self.store.stack_path(id).exists() => {}
            Err(error) => self.fault(Subject::Image(id.clone()), error),
        }
        for layer in &layers {
            if !self.layers.contains(layer) {
                let found = format!("layer {layer} is not in the store");
                self.fault(Subject::Image(id.clone()), found);
            }
        }
        needed.extend(layers.iter().cloned());
        parts.extend(layers.into_iter().map(Subject::Layer));
        parts
    }

    /// The DiffIDs of an image whose manifest and config belong together.
    fn listed(&self, entry: &NameEntry) -> Result<Vec<Digest>, String> {
        let said = |error: StoreError| error.to_string();
        let bytes = self.store.read_blob(&entry.manifest).map_err(said)?;
        let subject = format!("manifest {}", entry.manifest);
        let parsed = Document::parse(&subject, &bytes, Some(&entry.media_type));
        let Document::Manifest(manifest) = parsed.map_err(|error| error.to_string())? else {
            return Err(format!(
                "{subject} is an index where a manifest was expected"
            ));
        };
        let named = document::descriptor_digest(&subject, manifest.config());
        let named = named.map_err(|error| error.to_string())?;
        if named != entry.id {
            return Err(format!("{subject} names config {named}"));
        }
        let bytes = self.store.read_blob(&entry.id).map_err(said)?;
        let subject = format!("config {}", entry.id);
        let config = document::parse_config(&subject, &bytes);
        config
            .and_then(|config| document::diff_ids(&subject, &config))
            .map_err(|error| error.to_string())
    }

    /// Every layer against its DiffID, several at once; with `quick` only whether its record can be read.
    fn contents(&mut self, quick: bool, parallel: usize) {
        let layers: Vec<&LayerDir> = self.layers.iter().collect();
        let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = || {
            while let Some(layer) = layers.get(next.fetch_add(1, Ordering::Relaxed)) {
                let judged = judge(self.store, layer, quick);
                found
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .push((*layer, judged));
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..parallel.min(layers.len()) {
                scope.spawn(work);
            }
            work();
        });
        let found = found
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut broken = BTreeSet::new();
        for (layer, judged) in found {
            match judged {
                Ok(Verdict::Whole) => {}
                Ok(Verdict::Unverified) => self.unverified.push(layer.diff_id()),
                Err(found) => {
                    broken.insert(layer.clone());
                    self.faults.push(ImageFault {
                        subject: Subject::Layer(layer.clone()),
                        found,
                    });
                }
            }
        }
        self.unverified.sort();
        // The files of a variant are its base's.
        for layer in &self.layers {
            let base = LayerDir::base(&layer.diff_id());
            if broken.contains(&base) && !broken.contains(layer) {
                self.faults.push(ImageFault {
                    subject: Subject::Layer(layer.clone()),
                    found: format!("it shares its files with layer {base}"),
                });
            }
        }
    }

    /// Layers that nobody needs, and that no pull can still be making use of.
    fn orphans(&mut self, needed: &BTreeSet<LayerDir>, oldest: Duration) {
        let now = SystemTime::now();
        let bases: BTreeSet<LayerDir> = needed
            .iter()
            .map(|layer| LayerDir::base(&layer.diff_id()))
            .collect();
        let unneeded: Vec<LayerDir> = self
            .layers
            .iter()
            .filter(|layer| !needed.contains(layer) && !bases.contains(layer))
            .cloned()
            .collect();
        for layer in unneeded {
            let made = self.store.layer_home(&layer).metadata();
            let age = made
                .and_then(|meta| meta.modified())
                .map(|made| now.duration_since(made).unwrap_or_default());
            if age.is_ok_and(|age| age > oldest) {
                self.fault(Subject::Layer(layer), "no image and no container has it");
            }
        }
    }

    fn damaged(&self, names: &Names, parts: &BTreeMap<Digest, Vec<Subject>>) -> Vec<DamagedImage> {
        let faulty: BTreeSet<&Subject> = self.faults.iter().map(|fault| &fault.subject).collect();
        let mut damaged = Vec::new();
        for (id, parts) in parts {
            let broken: Vec<Subject> = parts
                .iter()
                .filter(|part| faulty.contains(part))
                .cloned()
                .collect();
            if broken.is_empty() {
                continue;
            }
            let entries: Vec<&NameEntry> = names.of_image(id).collect();
            // A pull gives a name by digest, and nothing else does.
            let pulled = entries.iter().find_map(|entry| {
                let reference = entry.reference.as_ref()?;
                reference.digest()?;
                Some(reference.with_digest(entry.manifest.clone()))
            });
            damaged.push(DamagedImage {
                id: id.clone(),
                names: entries.iter().filter_map(|e| e.reference.clone()).collect(),
                origin: pulled,
                broken,
            });
        }
        damaged
    }
}

/// The digest of a file, however large.
fn hash_of(path: &Path) -> io::Result<Digest> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 128 * 1024];
    loop {
        match io::Read::read(&mut file, &mut chunk)? {
            0 => return Ok(Digest::from_hash(&hasher.finalize())),
            length => hasher.update(&chunk[..length]),
        }
    }
}

enum Verdict {
    Whole,
    Unverified,
}

/// What is wrong with a layer's directory.
fn judge(store: &Store, layer: &LayerDir, quick: bool) -> Result<Verdict, String> {
    let diff_id = layer.diff_id();
    let base = LayerDir::base(&diff_id);
    let report = store.layer_report(&diff_id).map_err(|e| e.to_string())?;
    if report.diff_id != diff_id {
        return Err(format!("its record is of layer {}", report.diff_id));
    }
    let root = store.layer_path(layer);
    let root =
        fs::open_directory(&root).map_err(|error| format!("open {}: {error}", root.display()))?;
    if quick {
        return Ok(Verdict::Whole);
    }
    if *layer != base {
        let path = store.layer_path(&base);
        let shared = fs::open_directory(&path).and_then(|base| same_files(&root, &base));
        return match shared {
            Ok(None) => Ok(Verdict::Whole),
            Ok(Some(path)) => Err(format!("{path} is not the file of layer {base}")),
            Err(error) => Err(format!("compare it with layer {base}: {error}")),
        };
    }
    match store.write_tar(&diff_id, &mut io::sink()) {
        Ok(_) => Ok(Verdict::Whole),
        Err(ReplayError::NoSplit { .. }) => Ok(Verdict::Unverified),
        Err(error) => Err(error.to_string()),
    }
}

/// The first file of a variant that is no hard link of its base's.
fn same_files(variant: &OwnedFd, base: &OwnedFd) -> io::Result<Option<LayerPath>> {
    let mut waiting = vec![LayerPath(Vec::new())];
    while let Some(path) = waiting.pop() {
        let (ours, theirs) = (open(variant, &path)?, open(base, &path)?);
        for (name, is_directory) in fs::list_directory(&ours)? {
            if is_directory {
                waiting.push(path.join(&name));
                continue;
            }
            let of = |directory: &OwnedFd| -> io::Result<_> {
                let stat = fs::stat_at(directory, &name)?;
                Ok(stat.map(|stat| (stat.st_dev, stat.st_ino)))
            };
            if of(&ours)? != of(&theirs)? {
                return Ok(Some(path.join(&name)));
            }
        }
    }
    Ok(None)
}
