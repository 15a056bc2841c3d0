//! Images out of the store: `save` as docker's archive, as an OCI layout in a tar or a directory, as containers' `dir`. Layers
//! are given back as they came, uncompressed unless asked for. Runs in the home namespace.

mod blobs;
mod documents;
mod target;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::attestation::Predicate;
use super::blocks::{Method, Workers};
use super::digest::Digest;
use super::document::{self, Document, DocumentError, media_type};
use super::indexes::{self, Index, Listed};
use super::reference::Reference;
use super::replay::ReplayError;
use super::store::{Store, StoreError};
use blobs::Blobs;
use documents::Described;
use target::{Archive, Directory, Target};

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveFormat {
    /// What `docker save` writes: `manifest.json`, and an OCI layout beside it.
    DockerArchive,
    OciArchive,
    OciDir,
    /// The `dir:` of skopeo and podman.
    DockerDir,
}

impl SaveFormat {
    pub fn is_directory(self) -> bool {
        matches!(self, SaveFormat::OciDir | SaveFormat::DockerDir)
    }
}

/// An image with the names under which it is saved.
#[derive(Clone, Debug, PartialEq)]
pub struct ToSave {
    pub id: Digest,
    /// One image may have come with several: layers of other forms.
    pub manifest: Digest,
    pub tags: Vec<Reference>,
}

/// Images under one name; each is also among those that are saved. Only OCI's formats have a place for what is said of them.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexToSave {
    pub index: Index,
    pub tags: Vec<Reference>,
}

/// Everything that one archive or directory is to hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SaveSet {
    pub images: Vec<ToSave>,
    pub indexes: Vec<IndexToSave>,
    /// What an OCI layout says of each of its names.
    pub noted: BTreeMap<String, String>,
}

/// Statements about an image, and the package URLs that they call it by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    pub predicates: Vec<Predicate>,
    pub names: Vec<String>,
}

/// Who still has the blobs that layers came as.
pub trait Originals {
    /// Puts it into `file`, which is empty; whether somebody has seen that it is this layer. `None` where it cannot be had.
    fn fetch(&self, diff_id: &Digest, digest: &Digest, size: u64, file: &File) -> Option<bool>;
}

/// Nobody has any.
#[derive(Clone, Copy, Debug)]
pub struct NoOriginals;

impl Originals for NoOriginals {
    fn fetch(&self, _: &Digest, _: &Digest, _: u64, _: &File) -> Option<bool> {
        None
    }
}

#[derive(Clone, Copy, Debug)]
pub struct SaveOptions {
    pub format: SaveFormat,
    /// Layers as gzip; for directories.
    pub compress: bool,
    /// An error where a manifest would get another digest.
    pub require_digest: bool,
    /// How layers are written; None: as they came, or uncompressed.
    pub form: Option<LayerForm>,
}

/// What layers are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerForm {
    /// None: uncompressed.
    pub method: Option<Method>,
    /// Also those that came compressed in any way.
    pub force: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error("write {subject}: {source}")]
    Write { subject: String, source: io::Error },
    #[error(
        "layer {diff_id}: its record says {recorded} bytes, its archive has {found}; the record was damaged"
    )]
    Size {
        diff_id: Digest,
        recorded: u64,
        found: u64,
    },
    #[error("a directory of this format holds one image, not {count}")]
    OneImage { count: usize },
    #[error("no such image any more: {id}")]
    Gone { id: Digest },
    #[error(
        "image {id} would be saved with another manifest digest than {manifest}: {} of its layers came compressed and their bytes cannot be had ({})", .layers.len(), list(.layers)
    )]
    Digest {
        id: Digest,
        manifest: Digest,
        layers: Vec<Digest>,
    },
}

fn list(digests: &[Digest]) -> String {
    let all: Vec<&str> = digests.iter().map(Digest::short).collect();
    all.join(", ")
}

/// Writes an archive.
pub fn save_archive(
    store: &Store,
    set: &SaveSet,
    options: &SaveOptions,
    originals: &dyn Originals,
    out: &mut dyn Write,
) -> Result<Vec<String>, SaveError> {
    save(store, set, options, originals, &mut Archive::new(out))
}

/// Fills an empty directory.
pub fn save_directory(
    store: &Store,
    set: &SaveSet,
    options: &SaveOptions,
    originals: &dyn Originals,
    path: &Path,
) -> Result<Vec<String>, SaveError> {
    if options.format == SaveFormat::DockerDir && set.images.len() != 1 {
        return Err(SaveError::OneImage {
            count: set.images.len(),
        });
    }
    let mut target = Directory::new(path, options.format, options.compress);
    save(store, set, options, originals, &mut target)
}

/// An image as it is in the target.
struct Saved<'a> {
    image: &'a ToSave,
    config: Described,
    layers: Vec<Described>,
    manifest: Described,
}

/// Layers, configs, manifests, and last what names them. The notes about digests that change are returned.
fn save(
    store: &Store,
    set: &SaveSet,
    options: &SaveOptions,
    originals: &dyn Originals,
    target: &mut dyn Target,
) -> Result<Vec<String>, SaveError> {
    let _lease = store.lease()?;
    let plans = set.images.iter().map(|image| Plan::of(store, image));
    let plans: Vec<Plan<'_>> = plans.collect::<Result<_, _>>()?;
    let mut blobs = Blobs {
        store,
        options,
        originals,
        here: HashMap::new(),
        workers: Workers::default(),
    };
    if options.require_digest && !options.compress {
        // Known before a byte is written.
        for plan in &plans {
            plan.check_digest(&blobs.expected(plan)?)?;
        }
    }
    target.begin()?;
    let mut writing = Writing {
        blobs,
        target,
        layers: HashMap::new(),
        made: HashMap::new(),
        notes: Vec::new(),
    };
    let saved = plans.iter().map(|plan| writing.image(plan));
    let saved: Vec<Saved<'_>> = saved.collect::<Result<_, _>>()?;
    let has_indexes = options.format != SaveFormat::DockerDir;
    let wanted = set.indexes.iter().filter(|_| has_indexes);
    let indexes = wanted.map(|index| indexed(index, &plans, &saved, writing.target));
    let indexes: Vec<SavedIndex<'_>> = indexes.collect::<Result<_, _>>()?;
    for (name, bytes) in documents::naming(options.format, &saved, &indexes, &set.noted) {
        writing.target.file(name, &bytes)?;
    }
    writing.target.end()?;
    Ok(writing.notes)
}

/// What is in the target by now.
struct Writing<'a> {
    blobs: Blobs<'a>,
    target: &'a mut dyn Target,
    /// By their DiffIDs and the blobs as which they came.
    layers: HashMap<(Digest, Digest), Described>,
    /// Those that are in the target's own form, or were compressed for it.
    made: HashMap<Digest, Described>,
    notes: Vec<String>,
}

impl Writing<'_> {
    /// An image with its layers, config and manifest.
    fn image<'p>(&mut self, plan: &Plan<'p>) -> Result<Saved<'p>, SaveError> {
        let layers = plan.diff_ids.iter().zip(&plan.blobs);
        let layers = layers.map(|(diff_id, original)| self.layer(diff_id, original));
        let layers: Vec<Described> = layers.collect::<Result<_, _>>()?;
        let config = Described::of(media_type::OCI_CONFIG, &plan.config);
        self.target.blob(&config.digest, &plan.config)?;
        let options = self.blobs.options;
        let (manifest, bytes) = plan.manifest(options, &config, &layers);
        let digests: Vec<Digest> = layers.iter().map(|layer| layer.digest.clone()).collect();
        if let Err(changed) = plan.check_digest(&digests) {
            if options.require_digest {
                return Err(changed);
            }
            self.notes.push(plan.note(&manifest.digest, &digests));
        }
        match options.format {
            SaveFormat::DockerDir => self.target.file("manifest.json", &bytes)?,
            _ => self.target.blob(&manifest.digest, &bytes)?,
        }
        Ok(Saved {
            image: plan.image,
            config,
            layers,
            manifest,
        })
    }

    /// A layer, once for each form in which images have it: as it came, compressed as is wanted, or in the target's own form.
    fn layer(&mut self, diff_id: &Digest, original: &Described) -> Result<Described, SaveError> {
        let key = (diff_id.clone(), original.digest.clone());
        if let Some(described) = self.layers.get(&key) {
            return Ok(described.clone());
        }
        let form = self.blobs.options.form;
        let described = match self.blobs.take(diff_id, original)? {
            Some(file) if form.is_none_or(|form| !form.force) => {
                if self.made.values().all(|known| known != original) {
                    self.target.kept(original, file)?;
                }
                original.clone()
            }
            _ => self.made(diff_id)?,
        };
        self.layers.insert(key, described.clone());
        Ok(described)
    }

    fn made(&mut self, diff_id: &Digest) -> Result<Described, SaveError> {
        if let Some(described) = self.made.get(diff_id) {
            return Ok(described.clone());
        }
        let described = match self.blobs.options.form.and_then(|form| form.method) {
            Some(method) => {
                let (described, file) = self.blobs.compressed(diff_id, method)?;
                // Another image may have come with what was made.
                if self.layers.values().all(|known| *known != described) {
                    self.target.kept(&described, file)?;
                }
                described
            }
            None => self.target.layer(self.blobs.store, diff_id)?,
        };
        self.made.insert(diff_id.clone(), described.clone());
        Ok(described)
    }
}

/// An index as it is in the target.
struct SavedIndex<'a> {
    tags: &'a [Reference],
    described: Described,
    /// The digests of its images' manifests; that of the one which stands for it comes first.
    manifests: Vec<Digest>,
}

/// An index of images that are there, and what is said of them.
fn indexed<'a>(
    wanted: &'a IndexToSave,
    plans: &[Plan<'_>],
    saved: &[Saved<'_>],
    target: &mut dyn Target,
) -> Result<SavedIndex<'a>, SaveError> {
    let mut listed = Vec::new();
    for image in &wanted.index.images {
        let both = plans.iter().zip(saved);
        let mut both = both
            .filter(|(plan, _)| plan.image.id == image.id && plan.image.manifest == image.manifest);
        let (plan, saved) = both.next().ok_or_else(|| SaveError::Gone {
            id: image.id.clone(),
        })?;
        listed.push(Listed {
            media_type: &saved.manifest.media_type,
            digest: saved.manifest.digest.clone(),
            size: saved.manifest.size,
            config: &plan.config,
            image,
        });
    }
    let written = indexes::write(&listed, &wanted.index.annotations);
    for document in written.documents.iter().chain([&written.index]) {
        target.blob(&Digest::of(document), document)?;
    }
    let head = indexes::head(&listed).map(|one| one.digest.clone());
    let mut manifests: Vec<Digest> = listed.into_iter().map(|one| one.digest).collect();
    manifests.sort_by_key(|digest| Some(digest) != head.as_ref());
    Ok(SavedIndex {
        tags: &wanted.tags,
        described: Described::of(written.media_type, &written.index),
        manifests,
    })
}

/// What the store knows of an image.
struct Plan<'a> {
    image: &'a ToSave,
    config: Vec<u8>,
    diff_ids: Vec<Digest>,
    /// The manifest it came with, its digest and media type, and its layers.
    manifest: Vec<u8>,
    digest: Digest,
    media_type: String,
    blobs: Vec<Described>,
}

impl<'a> Plan<'a> {
    fn of(store: &Store, image: &'a ToSave) -> Result<Plan<'a>, SaveError> {
        let names = store.names()?;
        if names.of_image(&image.id).next().is_none() {
            return Err(SaveError::Gone {
                id: image.id.clone(),
            });
        }
        // One that a build has just made is in no entry where the image has a name with another one.
        let mut entries = names.of_image(&image.id);
        let entry = entries.find(|entry| entry.manifest == image.manifest);
        let media_type = entry.map(|entry| entry.media_type.as_str());
        let config = store.read_blob(&image.id)?;
        let subject = format!("config of image {}", image.id);
        let parsed = document::parse_config(&subject, &config)?;
        let diff_ids = document::diff_ids(&subject, &parsed)?;
        let manifest = store.read_blob(&image.manifest)?;
        let subject = format!("manifest {}", image.manifest);
        let Document::Manifest(parsed) = Document::parse(&subject, &manifest, media_type)? else {
            return Err(StoreError::NotAManifest { subject }.into());
        };
        let blobs = parsed.layers().iter();
        let blobs = blobs.map(|layer| {
            Ok::<_, DocumentError>(Described {
                media_type: documents::oci_layer(layer.media_type().as_ref()),
                digest: document::descriptor_digest(&subject, layer)?,
                size: layer.size(),
            })
        });
        Ok(Plan {
            image,
            config,
            diff_ids,
            blobs: blobs.collect::<Result<_, _>>()?,
            digest: image.manifest.clone(),
            media_type: indexes::type_of(&manifest).to_owned(),
            manifest,
        })
    }

    /// The manifest the image came with where it fits the layers that were written, else a new one.
    fn manifest(
        &self,
        options: &SaveOptions,
        config: &Described,
        layers: &[Described],
    ) -> (Described, Vec<u8>) {
        let originals = self.blobs.iter().map(|blob| &blob.digest);
        if layers.iter().map(|layer| &layer.digest).eq(originals) {
            let described = Described::of(&self.media_type, &self.manifest);
            return (described, self.manifest.clone());
        }
        documents::manifest(
            (options.format, options.form.is_some()),
            &self.manifest,
            config,
            layers,
        )
    }

    fn changed(&self, digests: &[Digest]) -> Vec<Digest> {
        let pairs = self.blobs.iter().map(|blob| &blob.digest).zip(digests);
        let changed = pairs.filter(|(before, now)| before != now);
        changed.map(|(before, _)| before.clone()).collect()
    }

    fn check_digest(&self, digests: &[Digest]) -> Result<(), SaveError> {
        let layers = self.changed(digests);
        if layers.is_empty() {
            return Ok(());
        }
        Err(SaveError::Digest {
            id: self.image.id.clone(),
            manifest: self.digest.clone(),
            layers,
        })
    }

    fn note(&self, now: &Digest, digests: &[Digest]) -> String {
        let name = match self.image.tags.first() {
            Some(tag) => tag.familiar(),
            None => self.image.id.short().to_owned(),
        };
        let layers = self.changed(digests);
        format!(
            "{name}: manifest {} is saved as {}: {} layers came in another form ({})",
            self.digest.short(),
            now.short(),
            layers.len(),
            list(&layers)
        )
    }
}

#[cfg(test)]
mod tests;
