//! Artifacts: manifests of any content, by name, in `images/artifacts.json`; their blobs lie among the store's documents and may be
//! of any size. Never one of the images: nothing here unpacks or runs.

mod blobs;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use oci_spec::image::ImageManifest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::digest::Digest;
use super::document::{descriptor_digest, media_type};
use super::reference::Reference;
use super::store::{Store, StoreError};
use crate::sys::{disk, fs};

pub use blobs::{ComparedBlob, NewBlob, sniff};

/// What podman calls an artifact whose type nobody has said.
pub const UNKNOWN_TYPE: &str = "application/vnd.unknown.artifact.v1";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const EMPTY: &[u8] = b"{}";
const TITLE: &str = "org.opencontainers.image.title";
const CREATED: &str = "org.opencontainers.image.created";

/// Of the record: some hundred thousand names.
const MAX_RECORD: u64 = 64 << 20;

/// One name of one artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    pub name: Reference,
    pub manifest: Digest,
    /// Bytes of its blobs.
    pub size: u64,
    /// RFC 3339, as its manifest has it.
    pub created: Option<String>,
}

/// What an artifact consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactBlob {
    pub digest: Digest,
    pub size: u64,
    /// The name of the file that it was.
    pub title: Option<String>,
}

/// A file to be put into an artifact.
#[derive(Clone, Debug)]
pub struct ArtifactFile {
    pub digest: Digest,
    pub size: u64,
    pub media_type: String,
    pub title: String,
    pub annotations: BTreeMap<String, String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{name}: artifact already exists")]
    Exists { name: String },
    #[error("{name}: artifact does not exist")]
    Unknown { name: String },
    #[error("{name}: more than one artifact has a digest that begins so")]
    Ambiguous { name: String },
    #[error("{name}: the artifact has a file {title} already")]
    Title { name: String, title: String },
    #[error("artifact {name}: blob {digest} was removed meanwhile")]
    Gone { name: String, digest: Digest },
    #[error("manifest {digest} of artifact {name}: {reason}")]
    Manifest {
        name: String,
        digest: Digest,
        reason: String,
    },
}

/// What a name that there is already means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    Refuse,
    Replace,
    /// Its files stay.
    Append,
}

/// The manifest of an artifact without files, in podman's order.
pub fn empty_artifact(artifact_type: &str, created: &str) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": {
            "mediaType": EMPTY_TYPE,
            "digest": Digest::of(EMPTY).as_str(),
            "size": EMPTY.len(),
            "data": "e30=",
        },
        "layers": [],
        "annotations": { CREATED: created },
    })
}

/// Everything that a manifest names, its configuration first.
pub fn artifact_blobs(manifest: &[u8]) -> Result<Vec<ArtifactBlob>, String> {
    let parsed: ImageManifest =
        serde_json::from_slice(manifest).map_err(|error| error.to_string())?;
    let named = std::iter::once(parsed.config()).chain(parsed.layers());
    let blobs = named.map(|descriptor| {
        let annotations = descriptor.annotations().as_ref();
        Ok(ArtifactBlob {
            digest: descriptor_digest("the manifest", descriptor)
                .map_err(|error| error.to_string())?,
            size: descriptor.size(),
            title: annotations.and_then(|all| all.get(TITLE)).cloned(),
        })
    });
    blobs.collect()
}

impl Artifact {
    fn of(name: &Reference, manifest: &[u8]) -> Result<Artifact, ArtifactError> {
        let digest = Digest::of(manifest);
        let blobs = artifact_blobs(manifest).map_err(|reason| ArtifactError::Manifest {
            name: name.to_string(),
            digest: digest.clone(),
            reason,
        })?;
        let value: Value = serde_json::from_slice(manifest).unwrap_or_default();
        Ok(Artifact {
            name: name.clone(),
            manifest: digest,
            size: blobs.iter().map(|blob| blob.size).sum(),
            created: value["annotations"][CREATED].as_str().map(str::to_owned),
        })
    }
}

impl Store {
    fn artifacts_path(&self) -> PathBuf {
        self.images.join("artifacts.json")
    }

    /// All of them, by name.
    pub fn artifacts(&self) -> Result<Vec<Artifact>, StoreError> {
        let path = self.artifacts_path();
        match self.read_record(&path, MAX_RECORD) {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Vec::new())
            }
            read => read,
        }
    }

    /// The one of this name, or the only one whose digest begins so.
    pub fn artifact(&self, text: &str) -> Result<Artifact, ArtifactError> {
        let all = self.artifacts()?;
        let reference: Option<Reference> = text.parse().ok();
        if let Some(found) = all.iter().find(|one| Some(&one.name) == reference.as_ref()) {
            return Ok(found.clone());
        }
        let name = text.to_owned();
        let start = text.strip_prefix("sha256:").unwrap_or(text);
        let is_digest = start.len() >= 3 && start.bytes().all(|byte| byte.is_ascii_hexdigit());
        let fits = |one: &&Artifact| is_digest && one.manifest.hex().starts_with(start);
        let mut found = all.iter().filter(fits);
        match (found.next(), found.next()) {
            (None, _) => Err(ArtifactError::Unknown { name }),
            (Some(one), None) => Ok(one.clone()),
            (Some(one), Some(other)) if one.manifest == other.manifest => Ok(one.clone()),
            _ => Err(ArtifactError::Ambiguous { name }),
        }
    }

    /// Puts files into a new artifact, or into one that there is. The caller holds a [`Store::lease`].
    pub fn add_artifact(
        &self,
        name: &Reference,
        existing: Existing,
        empty: Value,
        files: Vec<(ArtifactFile, NewBlob)>,
    ) -> Result<Digest, ArtifactError> {
        let (files, blobs): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        self.change_artifact(name, existing, blobs, |before| {
            let mut manifest = match before {
                Some(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
                None => empty,
            };
            for file in &files {
                put(name, &mut manifest, file)?;
            }
            Ok(serde_json::to_vec(&manifest).expect("plain data always serialises"))
        })
    }

    /// Keeps an artifact as its registry has it. The caller holds a [`Store::lease`].
    pub fn keep_artifact(
        &self,
        name: &Reference,
        manifest: &[u8],
        blobs: Vec<NewBlob>,
    ) -> Result<Digest, ArtifactError> {
        self.change_artifact(name, Existing::Replace, blobs, |_| Ok(manifest.to_vec()))
    }

    /// `store/order`: blobs, manifest, name.
    fn change_artifact(
        &self,
        name: &Reference,
        existing: Existing,
        blobs: Vec<NewBlob>,
        make: impl FnOnce(Option<Vec<u8>>) -> Result<Vec<u8>, ArtifactError>,
    ) -> Result<Digest, ArtifactError> {
        for blob in &blobs {
            disk::sync(&blob.file).map_err(StoreError::io("sync", &blob.temporary))?;
        }
        let is_replaced;
        let digest = {
            let _lock = self.lock_shared()?;
            let _names = self.lock_names()?;
            let mut all = self.artifacts()?;
            let known = all.iter().find(|one| one.name == *name);
            is_replaced = known.is_some();
            let before = match (existing, known) {
                (Existing::Refuse, Some(_)) => {
                    let name = name.to_string();
                    return Err(ArtifactError::Exists { name });
                }
                (Existing::Append, None) => {
                    let name = name.to_string();
                    return Err(ArtifactError::Unknown { name });
                }
                (Existing::Append, Some(known)) => Some(self.read_blob(&known.manifest)?),
                (_, _) => None,
            };
            let manifest = make(before)?;
            self.place_blobs(name, &manifest, blobs)?;
            let digest = self.write_blob(&manifest)?;
            all.retain(|one| one.name != *name);
            all.push(Artifact::of(name, &manifest)?);
            all.sort_by_key(|one| one.name.to_string());
            self.write_artifacts(&all)?;
            digest
        };
        if is_replaced {
            self.collect_blobs()?;
        }
        Ok(digest)
    }

    /// Under the shared lock, so that none is collected before it is named.
    fn place_blobs(
        &self,
        name: &Reference,
        manifest: &[u8],
        blobs: Vec<NewBlob>,
    ) -> Result<(), ArtifactError> {
        for blob in blobs {
            let path = self.blob_path(&blob.described().0);
            let renamed = disk::rename(&blob.temporary, &path);
            renamed.map_err(StoreError::io("name", &path))?;
        }
        let artifact = Artifact::of(name, manifest)?;
        let named = artifact_blobs(manifest).map_err(|reason| ArtifactError::Manifest {
            name: name.to_string(),
            digest: artifact.manifest,
            reason,
        })?;
        for blob in named {
            if blob.digest == Digest::of(EMPTY) {
                self.write_blob(EMPTY)?;
            } else if !self.has_blob(&blob.digest, blob.size) {
                return Err(ArtifactError::Gone {
                    name: name.to_string(),
                    digest: blob.digest,
                });
            }
        }
        let directory = self.images.join("blobs/sha256");
        let synced = fs::open_directory(&directory).and_then(fs::sync_directory);
        Ok(synced.map_err(StoreError::io("sync", &directory))?)
    }

    fn write_artifacts(&self, all: &[Artifact]) -> Result<(), StoreError> {
        let path = self.artifacts_path();
        let json = serde_json::to_vec(all).expect("plain data always serialises");
        fs::replace_file(&path, &json).map_err(StoreError::io("write", &path))
    }

    /// Forgets these names, and removes what nothing needs any more.
    pub fn remove_artifacts(&self, names: &[Reference]) -> Result<(), StoreError> {
        {
            let _lock = self.lock_shared()?;
            let _names = self.lock_names()?;
            let mut all = self.artifacts()?;
            all.retain(|one| !names.contains(&one.name));
            self.write_artifacts(&all)?;
        }
        self.collect_blobs()
    }

    /// Those whose manifest or blobs are not all here.
    pub fn incomplete_artifacts(&self) -> Result<Vec<Reference>, StoreError> {
        let is_whole = |artifact: &Artifact| {
            let manifest = self.read_blob(&artifact.manifest).ok()?;
            let blobs = artifact_blobs(&manifest).ok()?;
            Some(blobs.iter().all(|one| self.has_blob(&one.digest, one.size)))
        };
        let all = self.artifacts()?.into_iter();
        let broken = all.filter(|artifact| is_whole(artifact) != Some(true));
        Ok(broken.map(|artifact| artifact.name).collect())
    }

    /// The documents and blobs of artifacts; `None` while a manifest cannot be read, and all of them have to stay.
    pub(super) fn blobs_of_artifacts(&self) -> Option<Vec<Digest>> {
        let mut needed = Vec::new();
        for artifact in self.artifacts().ok()? {
            let manifest = self.read_blob(&artifact.manifest).ok()?;
            let blobs = artifact_blobs(&manifest).ok()?;
            needed.push(artifact.manifest);
            needed.extend(blobs.into_iter().map(|blob| blob.digest));
        }
        Some(needed)
    }

    /// Unlinks what nothing needs any more.
    fn collect_blobs(&self) -> Result<(), StoreError> {
        let _lock = self.lock_exclusive()?;
        self.collect_documents(&self.names()?)
    }
}

/// One more file of an artifact.
fn put(name: &Reference, manifest: &mut Value, file: &ArtifactFile) -> Result<(), ArtifactError> {
    let Some(layers) = manifest["layers"].as_array_mut() else {
        return Err(ArtifactError::Manifest {
            name: name.to_string(),
            digest: file.digest.clone(),
            reason: "it has no list of layers".to_owned(),
        });
    };
    let title = Some(file.title.as_str());
    if layers
        .iter()
        .any(|layer| layer["annotations"][TITLE].as_str() == title)
    {
        return Err(ArtifactError::Title {
            name: name.to_string(),
            title: file.title.clone(),
        });
    }
    let mut annotations = file.annotations.clone();
    annotations.insert(TITLE.to_owned(), file.title.clone());
    layers.push(json!({
        "mediaType": file.media_type,
        "digest": file.digest.as_str(),
        "size": file.size,
        "annotations": annotations,
    }));
    Ok(())
}
