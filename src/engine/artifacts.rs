//! `artifact`: files under an image's kind of name, here and at registries.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::output::Unfinished;
use super::worker::RoleFailure;
use super::{Engine, EngineError};
use crate::image::{
    Artifact, ArtifactBlob, ArtifactError, ArtifactFile, ComparedBlob, Digest, Existing, NewBlob,
    Reference, Store, UNKNOWN_TYPE, artifact_blobs, empty_artifact, sniff,
};
use crate::registry::{self, BlobSink, Progress, RegistryError, SinkError};

/// What to put into an artifact.
#[derive(Clone, Debug)]
pub struct AddArtifactRequest {
    pub name: Reference,
    pub files: Vec<PathBuf>,
    pub existing: Existing,
    pub artifact_type: Option<String>,
    /// Of the files; without, what their first bytes say.
    pub media_type: Option<String>,
    pub annotations: BTreeMap<String, String>,
}

/// Which blobs of an artifact.
#[derive(Clone, Debug)]
pub enum WhichBlobs {
    All,
    Title(String),
    Digest(String),
}

impl From<ArtifactError> for EngineError {
    fn from(source: ArtifactError) -> EngineError {
        EngineError::Artifact(Box::new(source))
    }
}

impl Engine {
    pub fn list_artifacts(&self) -> Result<Vec<Artifact>, EngineError> {
        Ok(self.images()?.artifacts()?)
    }

    /// The artifact that is called so, if there is one.
    pub fn artifact_of(&self, text: &str) -> Result<Option<Artifact>, EngineError> {
        match self.images()?.artifact(text) {
            Err(ArtifactError::Unknown { .. }) => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    /// An artifact with its manifest.
    pub fn artifact(&self, text: &str) -> Result<(Artifact, Value), EngineError> {
        let store = self.images()?;
        let artifact = store.artifact(text)?;
        let bytes = store.read_blob(&artifact.manifest)?;
        let manifest = serde_json::from_slice(&bytes)
            .map_err(|source| unreadable(&artifact, source.to_string()))?;
        Ok((artifact, manifest))
    }

    /// Files under a name; gives the digest of the manifest.
    pub fn add_artifact(&self, request: &AddArtifactRequest) -> Result<Digest, EngineError> {
        let store = self.images()?;
        let _lease = store.lease()?;
        let mut files = Vec::new();
        for path in &request.files {
            files.push(taken(&store, path, request)?);
        }
        let created = jiff::Timestamp::now().to_string();
        let artifact_type = request.artifact_type.as_deref().unwrap_or(UNKNOWN_TYPE);
        let empty = empty_artifact(artifact_type, &created);
        Ok(store.add_artifact(&request.name, request.existing, empty, files)?)
    }

    pub fn remove_artifact(&self, artifact: &Artifact) -> Result<(), EngineError> {
        let names = [artifact.name.clone()];
        Ok(self.images()?.remove_artifacts(&names)?)
    }

    /// Gives the digest of the manifest.
    pub fn pull_artifact(
        &self,
        reference: &Reference,
        progress: &dyn Progress,
    ) -> Result<Digest, EngineError> {
        let store = self.images()?;
        let _lease = store.lease()?;
        let config = self.registry_config_for(reference)?;
        self.beside("transfer", || {
            let mut sink = Arriving {
                store: &store,
                blob: None,
                ended: Vec::new(),
            };
            let manifest = registry::pull_artifact(reference, &config, &mut sink, progress);
            let manifest = manifest.map_err(|error| failure(&error))?;
            let kept = store.keep_artifact(reference, &manifest, sink.ended);
            kept.map_err(|error| RoleFailure::of(&error, Vec::new()))
        })
    }

    /// Gives the digest of the manifest.
    pub fn push_artifact(
        &self,
        text: &str,
        progress: &dyn Progress,
    ) -> Result<Digest, EngineError> {
        let store = self.images()?;
        let artifact = store.artifact(text)?;
        let manifest = store.read_blob(&artifact.manifest)?;
        let config = self.registry_config_for(&artifact.name)?;
        let open = |digest: &Digest| store.open_blob(digest).map_err(SinkError::new);
        self.beside("transfer", || {
            let pushed =
                registry::push_artifact(&manifest, &artifact.name, &config, &open, progress);
            pushed.map_err(|error| failure(&error))
        })
    }

    /// Writes an artifact's files into a directory, or the only one of them to a path.
    pub fn extract_artifact(
        &self,
        text: &str,
        target: &Path,
        which: &WhichBlobs,
    ) -> Result<(), EngineError> {
        let store = self.images()?;
        let artifact = store.artifact(text)?;
        let manifest = store.read_blob(&artifact.manifest)?;
        let all = artifact_blobs(&manifest).map_err(|reason| unreadable(&artifact, reason))?;
        // The first is the configuration.
        let mut blobs: Vec<ArtifactBlob> = all.into_iter().skip(1).collect();
        match which {
            WhichBlobs::All => {}
            WhichBlobs::Title(title) => blobs.retain(|blob| blob.title.as_ref() == Some(title)),
            WhichBlobs::Digest(start) => {
                let start = start.strip_prefix("sha256:").unwrap_or(start);
                blobs.retain(|blob| blob.digest.hex().starts_with(start));
            }
        }
        let refused = |reason: &str| EngineError::Output {
            path: target.to_owned(),
            reason: reason.to_owned(),
        };
        if blobs.is_empty() {
            return Err(refused("the artifact has no such blob"));
        }
        if !target.is_dir() {
            let [blob] = blobs.as_slice() else {
                return Err(refused(
                    "the artifact consists of several blobs and the target is not a directory",
                ));
            };
            return written(&store, blob, target);
        }
        let mut paths = Vec::new();
        for blob in &blobs {
            let path = target.join(file_name(blob).map_err(|reason| refused(&reason))?);
            if paths.contains(&path) {
                return Err(refused("two blobs of the artifact have one title"));
            }
            paths.push(path);
        }
        for (blob, path) in blobs.iter().zip(&paths) {
            written(&store, blob, path)?;
        }
        Ok(())
    }
}

fn unreadable(artifact: &Artifact, reason: String) -> EngineError {
    ArtifactError::Manifest {
        name: artifact.name.to_string(),
        digest: artifact.manifest.clone(),
        reason,
    }
    .into()
}

fn failure(error: &RegistryError) -> RoleFailure {
    RoleFailure::of(error, error.hints())
}

/// A title comes from whoever made the artifact: it may name a file of the target and nothing else.
fn file_name(blob: &ArtifactBlob) -> Result<String, String> {
    let Some(title) = &blob.title else {
        return Ok(format!("sha256-{}", blob.digest.hex()));
    };
    let is_path = title.contains(['/', '\0']) || matches!(title.as_str(), "" | "." | "..");
    match is_path {
        true => Err(format!("invalid name {title:?}: it is no name of a file")),
        false => Ok(title.clone()),
    }
}

fn written(store: &Store, blob: &ArtifactBlob, path: &Path) -> Result<(), EngineError> {
    let unfinished = Unfinished::file(path)?;
    let from = store.open_blob(&blob.digest)?;
    let mut from = ComparedBlob::new(from, blob.digest.clone());
    let copied = unfinished
        .open()
        .and_then(|mut to| io::copy(&mut from, &mut to));
    copied.map_err(EngineError::file("write", path))?;
    unfinished.keep()
}

/// A file's content as a blob that has no name yet.
fn taken(
    store: &Store,
    path: &Path,
    request: &AddArtifactRequest,
) -> Result<(ArtifactFile, NewBlob), EngineError> {
    let failed = || EngineError::file("read", path);
    // No waiting for a FIFO.
    let is_file = std::fs::metadata(path).map_err(failed())?.is_file();
    let title = path.file_name().and_then(|name| name.to_str());
    let (true, Some(title)) = (is_file, title) else {
        let source = io::Error::other("it is no regular file with a name in UTF-8");
        return Err(failed()(source));
    };
    let mut file = File::open(path).map_err(failed())?;
    let mut blob = store.begin_blob()?;
    let mut start = Vec::new();
    let read = (&mut file).take(512).read_to_end(&mut start);
    read.and_then(|_| blob.write_all(&start))
        .and_then(|()| io::copy(&mut file, &mut blob))
        .map_err(failed())?;
    let (digest, size) = blob.described();
    let media_type = request.media_type.clone();
    let described = ArtifactFile {
        digest,
        size,
        media_type: media_type.unwrap_or_else(|| sniff(&start).to_owned()),
        title: title.to_owned(),
        annotations: request.annotations.clone(),
    };
    Ok((described, blob))
}

/// Blobs that come from a registry.
struct Arriving<'a> {
    store: &'a Store,
    blob: Option<NewBlob>,
    ended: Vec<NewBlob>,
}

impl BlobSink for Arriving<'_> {
    fn has(&self, digest: &Digest, size: u64) -> bool {
        self.store.has_blob(digest, size)
            || self
                .ended
                .iter()
                .any(|blob| blob.described() == (digest.clone(), size))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        let mut blob = match self.blob.take() {
            Some(blob) => blob,
            None => self.store.begin_blob().map_err(SinkError::new)?,
        };
        blob.write_all(bytes).map_err(SinkError::new)?;
        self.blob = Some(blob);
        Ok(())
    }

    fn ended(&mut self) -> Result<(), SinkError> {
        let blob = match self.blob.take() {
            Some(blob) => blob,
            // One of no bytes.
            None => self.store.begin_blob().map_err(SinkError::new)?,
        };
        self.ended.push(blob);
        Ok(())
    }
}
