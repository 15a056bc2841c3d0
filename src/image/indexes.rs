//! Indexes of the store: images for several platforms under one name, and what is said of them. The index and its statements lie among
//! the documents; each image is one of the store's own, kept by an entry beside the one that has the name ([`OfIndex`]).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::attestation::{Attestation, Predicate};
use super::digest::Digest;
use super::document::{self, media_type};
use super::lists::MemberPlatform;
use super::names::{NameEntry, Names, OfIndex};
use super::platform::Platform;
use super::reference::Reference;
use super::resolve::{Image, ImageError, NamedBy, find};
use super::save::Said;
use super::store::{Store, StoreError};
use crate::sys::fs;

/// The largest statement that is read: a bill of materials of many thousand packages.
pub(super) const MAX_STATEMENT: u64 = 256 << 20;

/// What says of a manifest that it is about another one.
pub(super) const KIND: &str = "vnd.docker.reference.type";
pub(super) const ABOUT: &str = "vnd.docker.reference.digest";

/// An index, whatever form its images' layers have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Index {
    pub images: Vec<IndexedImage>,
    pub annotations: BTreeMap<String, String>,
}

impl Index {
    /// One image alone.
    pub fn of(id: Digest, manifest: Digest) -> Index {
        Index {
            images: vec![IndexedImage {
                id,
                manifest,
                said: Said::default(),
                annotations: BTreeMap::new(),
            }],
            annotations: BTreeMap::new(),
        }
    }

    /// Whether it is needed as such: one image of which nothing is said is what it is without.
    pub fn is_needed(&self) -> bool {
        let says = |image: &IndexedImage| {
            !image.said.predicates.is_empty() || !image.annotations.is_empty()
        };
        self.images.len() != 1 || !self.annotations.is_empty() || self.images.iter().any(says)
    }
}

/// An image of an index.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexedImage {
    pub id: Digest,
    /// As the store has it.
    pub manifest: Digest,
    pub said: Said,
    /// Of its descriptor.
    pub annotations: BTreeMap<String, String>,
}

/// A manifest as an index names it.
pub(super) struct Listed<'a> {
    pub media_type: &'a str,
    pub digest: Digest,
    pub size: u64,
    pub config: &'a [u8],
    pub image: &'a IndexedImage,
}

/// The documents of an image of an index.
struct Part<'i> {
    manifest: Vec<u8>,
    config: Vec<u8>,
    image: &'i IndexedImage,
}

impl Part<'_> {
    fn listed(&self) -> Listed<'_> {
        Listed {
            media_type: type_of(&self.manifest),
            digest: self.image.manifest.clone(),
            size: self.manifest.len() as u64,
            config: &self.config,
            image: self.image,
        }
    }
}

/// An index's own bytes, and the documents that say something of its images.
pub(super) struct Written {
    pub media_type: &'static str,
    pub index: Vec<u8>,
    pub documents: Vec<Vec<u8>>,
}

/// In BuildKit's order: first what can be run, then what is said of it.
pub(super) fn write(listed: &[Listed<'_>], annotations: &BTreeMap<String, String>) -> Written {
    let mut manifests = Vec::new();
    let mut about = Vec::new();
    let mut documents = Vec::new();
    for one in listed {
        let mut entry = json!({
            "mediaType": one.media_type,
            "digest": one.digest.as_str(),
            "size": one.size,
            "platform": MemberPlatform::of_config(one.config),
        });
        if !one.image.annotations.is_empty() {
            entry["annotations"] = json!(one.image.annotations);
        }
        manifests.push(entry);
        let said = &one.image.said;
        if !said.predicates.is_empty() {
            let attestation = Attestation::new(&said.predicates, &said.names, &one.digest);
            about.push(attestation.descriptor());
            documents.push(attestation.manifest);
            documents.extend(attestation.blobs);
        }
    }
    manifests.append(&mut about);
    let is_dockers = |one: &Listed<'_>| one.media_type == media_type::DOCKER_MANIFEST;
    let of_docker = documents.is_empty() && annotations.is_empty() && listed.iter().all(is_dockers);
    let media_type = match of_docker {
        true => media_type::DOCKER_LIST,
        false => media_type::OCI_INDEX,
    };
    let mut index = json!({
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": manifests,
    });
    if !annotations.is_empty() {
        index["annotations"] = json!(annotations);
    }
    Written {
        media_type,
        index: serde_json::to_vec(&index).expect("plain data always serialises"),
        documents,
    }
}

/// The one that stands for all: for this host, or else the first.
pub(super) fn head<'l, 'a>(listed: &'l [Listed<'a>]) -> Option<&'l Listed<'a>> {
    let host = Platform::host();
    let rank = |one: &&Listed<'_>| host.rank(&platform_of(one.config)).unwrap_or(u32::MAX);
    listed.iter().min_by_key(rank)
}

/// What a list of the store's says of a manifest.
struct Descriptor {
    digest: Digest,
    annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// The manifest that it is about, if it is no image.
    fn about(&self) -> Option<&str> {
        self.annotations.get(KIND)?;
        self.annotations.get(ABOUT).map(String::as_str)
    }
}

fn descriptors(document: &Value, list: &str) -> Vec<Descriptor> {
    let listed = document[list].as_array().into_iter().flatten();
    let parsed = listed.filter_map(|one| {
        let annotations = one["annotations"].as_object().into_iter().flatten();
        Some(Descriptor {
            digest: one["digest"].as_str()?.parse().ok()?,
            annotations: annotations
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
        })
    });
    parsed.collect()
}

impl Said {
    /// What an in-toto statement says, and of whom.
    pub(super) fn add(&mut self, mut statement: Value) {
        let subjects = statement["subject"].as_array().into_iter().flatten();
        let names = subjects.filter_map(|subject| subject["name"].as_str());
        for name in names.filter(|name| *name != "_") {
            if !self.names.iter().any(|known| known == name) {
                self.names.push(name.to_owned());
            }
        }
        self.predicates.push(Predicate {
            kind: statement["predicateType"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            content: statement["predicate"].take(),
        });
    }
}

impl Store {
    /// What an index of images of the store is.
    fn parts<'i>(&self, index: &'i Index) -> Result<Vec<Part<'i>>, StoreError> {
        let part = |image: &'i IndexedImage| {
            Ok(Part {
                manifest: self.read_blob(&image.manifest)?,
                config: self.read_blob(&image.id)?,
                image,
            })
        };
        index.images.iter().map(part).collect()
    }

    /// The digest that the index of these images has, whether it is in the store or not.
    pub fn index_digest(&self, index: &Index) -> Result<Digest, StoreError> {
        let parts = self.parts(index)?;
        let listed: Vec<Listed<'_>> = parts.iter().map(Part::listed).collect();
        Ok(Digest::of(&write(&listed, &index.annotations).index))
    }

    /// Makes an index of images of the store and gives it these names; without any it is there by its images' ids. An image that had no
    /// name is one of the index then. Gives the index's digest.
    pub fn commit_index(&self, index: &Index, names: &[Reference]) -> Result<Digest, StoreError> {
        let _lock = self.lock_shared()?;
        let known = self.names()?;
        let parts = self.parts(index)?;
        let listed: Vec<Listed<'_>> = parts.iter().map(Part::listed).collect();
        let written = write(&listed, &index.annotations);
        for document in &written.documents {
            self.write_blob(document)?;
        }
        let digest = self.write_blob(&written.index)?;
        let head = head(&listed).map(|one| one.image.id.clone());
        let mut entries = Vec::new();
        for one in &listed {
            let of_image = known.of_image(&one.image.id).next();
            let of_image = of_image.ok_or_else(|| StoreError::MissingImage {
                id: one.image.id.clone(),
            })?;
            entries.push(NameEntry {
                reference: None,
                manifest: one.digest.clone(),
                manifest_size: one.size,
                media_type: one.media_type.to_owned(),
                ..of_image.clone()
            });
        }
        self.change_names(|all| {
            let is_head = |entry: &&NameEntry| Some(&entry.id) == head.as_ref();
            let as_head = |entry: &NameEntry, reference: Option<&Reference>| NameEntry {
                reference: reference.cloned(),
                index: Some(OfIndex::Head(digest.clone())),
                ..entry.clone()
            };
            for entry in entries.iter().filter(is_head).take(1) {
                for name in names {
                    all.set(as_head(entry, Some(name)));
                }
                if names.is_empty() {
                    all.set(as_head(entry, None));
                }
            }
            for entry in entries.iter().filter(|entry| !is_head(entry)) {
                all.set(NameEntry {
                    index: Some(OfIndex::Member(digest.clone())),
                    ..entry.clone()
                });
            }
            Ok(())
        })?;
        Ok(digest)
    }

    /// An index of the store.
    pub fn index(&self, digest: &Digest) -> Result<Index, StoreError> {
        let document = self.parsed(digest)?;
        let mut index = Index::default();
        let all = descriptors(&document, "manifests");
        for one in all.iter().filter(|one| one.about().is_none()) {
            let mut said = Said::default();
            let about = |other: &&Descriptor| other.about() == Some(one.digest.as_str());
            for other in all.iter().filter(about) {
                for statement in descriptors(&self.parsed(&other.digest)?, "layers") {
                    said.add(self.statement(&statement.digest)?);
                }
            }
            let manifest = self.parsed(&one.digest)?;
            let id = manifest["config"]["digest"].as_str();
            let id = id.and_then(|id| id.parse().ok());
            index.images.push(IndexedImage {
                id: id.ok_or_else(|| StoreError::NotAManifest {
                    subject: format!("{} of index {digest}", one.digest),
                })?,
                manifest: one.digest.clone(),
                said,
                annotations: one.annotations.clone(),
            });
        }
        let annotations = document["annotations"].as_object().into_iter().flatten();
        index.annotations = annotations
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect();
        Ok(index)
    }

    fn statement(&self, digest: &Digest) -> Result<Value, StoreError> {
        let path = self.blob_path(digest);
        let bytes = fs::read_bounded(&path, MAX_STATEMENT);
        let bytes = bytes.map_err(StoreError::io("read", &path))?;
        serde_json::from_slice(&bytes).map_err(|source| StoreError::Record { path, source })
    }

    /// The image that stands for all of an index.
    pub(super) fn head_of(&self, index: &Index) -> Result<Option<Digest>, StoreError> {
        let parts = self.parts(index)?;
        let listed: Vec<Listed<'_>> = parts.iter().map(Part::listed).collect();
        Ok(head(&listed).map(|one| one.image.id.clone()))
    }

    fn parsed(&self, digest: &Digest) -> Result<Value, StoreError> {
        let bytes = self.read_blob(digest)?;
        Ok(document::json(&format!("document {digest}"), &bytes)?)
    }

    /// All documents that indexes have beside their images' own. `None` if one of them cannot be read.
    pub(super) fn blobs_of_indexes(&self, names: &Names) -> Option<Vec<Digest>> {
        let mut needed: Vec<Digest> = Vec::new();
        for index in names.entries.iter().filter_map(NameEntry::head) {
            if needed.contains(index) {
                continue;
            }
            let document = self.parsed(index).ok()?;
            needed.push(index.clone());
            for one in descriptors(&document, "manifests") {
                if one.about().is_none() {
                    continue;
                }
                let manifest = self.parsed(&one.digest).ok()?;
                let config = manifest["config"]["digest"].as_str()?.parse().ok()?;
                let statements = descriptors(&manifest, "layers").into_iter();
                needed.extend(statements.map(|statement| statement.digest));
                needed.extend([config, one.digest]);
            }
        }
        Some(needed)
    }

    /// The image that `text` names, for a platform: of an index the one that fits best, else the one for this host.
    pub fn resolve_for(
        &self,
        text: &str,
        platform: Option<&Platform>,
    ) -> Result<Image, ImageError> {
        let names = self.names()?;
        let (entry, named_by) = find(&names, text)?;
        let head = self.image_by_id(&entry.id)?;
        let (Some(wanted), Some(index)) = (platform, entry.head()) else {
            return Ok(head);
        };
        if named_by == NamedBy::Id || wanted.rank(&Platform::of_config(&head.config)) == Some(0) {
            return Ok(head);
        }
        let rank = |image: &Image| wanted.rank(&Platform::of_config(&image.config));
        let mut best = (rank(&head).unwrap_or(u32::MAX), head);
        for member in names.members(index) {
            let image = self.image_by_id(&member.id)?;
            if let Some(rank) = rank(&image).filter(|rank| *rank < best.0) {
                best = (rank, image);
            }
        }
        let mut image = best.1;
        // Its names are those of the index.
        let heads = names
            .entries
            .iter()
            .filter(|entry| entry.head() == Some(index));
        image.names = heads.filter_map(|entry| entry.reference.clone()).collect();
        Ok(image)
    }
}

/// A manifest of the store says what it is, or else is OCI's.
pub(super) fn type_of(manifest: &[u8]) -> &'static str {
    let parsed: Value = serde_json::from_slice(manifest).unwrap_or_default();
    match parsed["mediaType"] == media_type::DOCKER_MANIFEST {
        true => media_type::DOCKER_MANIFEST,
        false => media_type::OCI_MANIFEST,
    }
}

/// What a configuration says; an odd one fits nobody.
fn platform_of(config: &[u8]) -> Platform {
    let said = MemberPlatform::of_config(config);
    let variant = Some(said.variant).filter(|variant| !variant.is_empty());
    let words = [Some(said.os), Some(said.architecture), variant];
    let text: Vec<String> = words.into_iter().flatten().collect();
    text.join("/").parse().unwrap_or(Platform {
        os: String::new(),
        architecture: String::new(),
        variant: None,
    })
}
