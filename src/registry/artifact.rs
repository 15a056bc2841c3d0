//! Artifacts: a manifest and all the blobs that it names, whatever they are, from a repository or to one. Judges no content and
//! unpacks nothing; a policy of signatures is asked as for an image.

use std::fs::File;
use std::io::Read;

use bytes::Bytes;

use super::auth::{Session, Subject};
use super::blob::{BlobStream, Source};
use super::config::RegistryConfig;
use super::documents;
use super::endpoint::Endpoint;
use super::error::RegistryError;
use super::exchange::Exchange;
use super::manifest::{self, Blob, ManifestFault};
use super::place;
use super::progress::Progress;
use super::sink::SinkError;
use super::trust;
use super::upload::{Begun, Target};
use crate::image::{Digest, Reference};

/// Bytes of a blob that are on their way at a time.
const CHUNK: usize = 6 << 20;

/// Where the blobs of an artifact go.
pub trait BlobSink {
    /// Whether it is here already; such a blob is never asked for.
    fn has(&self, digest: &Digest, size: u64) -> bool;

    /// Takes the next bytes of the blob that came last.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError>;

    /// All bytes of the blob were taken, and were right.
    fn ended(&mut self) -> Result<(), SinkError>;
}

/// Fetches what is not here of an artifact; gives its manifest.
pub fn pull_artifact(
    reference: &Reference,
    config: &RegistryConfig,
    sink: &mut dyn BlobSink,
    progress: &dyn Progress,
) -> Result<Vec<u8>, RegistryError> {
    let exchange = Exchange::new(config);
    let endpoint = Endpoint::at(&exchange, &place::own_place(config, reference)?)?;
    let subject = Subject::pull(&endpoint, reference);
    let session = Session::new(exchange, &endpoint, reference, subject, progress)?;
    let name = reference.familiar();
    let fetched = documents::fetch(&session, &endpoint, reference, reference.digest())?;
    let fault = |fault| RegistryError::Manifest {
        reference: name.clone(),
        digest: fetched.digest.clone(),
        fault,
    };
    let (is_index, _) =
        manifest::shape(&fetched.bytes, fetched.content_type.as_deref()).map_err(fault)?;
    if is_index {
        return Err(fault(ManifestFault::AnIndex));
    }
    let blobs = manifest::blobs(&fetched.bytes).map_err(fault)?;
    let digest = fetched.digest.clone();
    trust::admit(
        &session,
        &endpoint,
        reference,
        std::slice::from_ref(&digest),
    )?;
    let sizes: Vec<(Digest, u64)> = blobs.iter().map(|b| (b.digest.clone(), b.size)).collect();
    progress.layers(&sizes);
    for blob in &blobs {
        if sink.has(&blob.digest, blob.size) {
            progress.present(&blob.digest);
            continue;
        }
        let source = Source {
            session: &session,
            reference: &name,
            url: endpoint.url(reference.repository(), "blobs", blob.digest.as_str()),
        };
        progress.started(&blob.digest);
        take(BlobStream::open(source, blob)?, blob, sink, progress)?;
        progress.finished(&blob.digest);
    }
    Ok(fetched.bytes)
}

fn take(
    mut stream: BlobStream<'_>,
    blob: &Blob,
    sink: &mut dyn BlobSink,
    progress: &dyn Progress,
) -> Result<(), RegistryError> {
    let failed = |source| RegistryError::StoreLayer {
        digest: blob.digest.clone(),
        source,
    };
    let mut chunk = vec![0; 128 * 1024];
    loop {
        let length = stream.read(&mut chunk)?;
        if length == 0 {
            return sink.ended().map_err(failed);
        }
        sink.write(&chunk[..length]).map_err(failed)?;
        progress.advanced(&blob.digest, length as u64);
    }
}

/// Sends what the repository lacks of an artifact, then its manifest under the reference's tag.
pub fn push_artifact(
    bytes: &[u8],
    reference: &Reference,
    config: &RegistryConfig,
    open: &dyn Fn(&Digest) -> Result<File, SinkError>,
    progress: &dyn Progress,
) -> Result<Digest, RegistryError> {
    let exchange = Exchange::new(config);
    let endpoint = Endpoint::at(&exchange, &place::own_place(config, reference)?)?;
    let own = endpoint.repository(reference.repository());
    let subject = Subject {
        scopes: vec![format!("repository:{own}:pull,push")],
        name: reference.familiar_name(),
        verb: "push",
        is_login: false,
    };
    let session = Session::new(exchange, &endpoint, reference, subject, progress)?;
    let name = reference.familiar();
    let digest = Digest::of(bytes);
    let fault = |fault| RegistryError::Manifest {
        reference: name.clone(),
        digest: digest.clone(),
        fault,
    };
    let blobs = manifest::blobs(bytes).map_err(fault)?;
    let target = Target {
        session: &session,
        endpoint: &endpoint,
        repository: reference.repository(),
        reference: &name,
    };
    let sizes: Vec<(Digest, u64)> = blobs.iter().map(|b| (b.digest.clone(), b.size)).collect();
    progress.layers(&sizes);
    for blob in &blobs {
        if target.has(blob)? {
            progress.settled(&blob.digest, "Layer already exists");
            continue;
        }
        send(&target, blob, open, progress)?;
        progress.settled(&blob.digest, "Pushed");
    }
    let tag = match reference.digest() {
        Some(digest) => digest.as_str(),
        None => reference.tag().unwrap_or("latest"),
    };
    target.put_manifest(tag, bytes.to_vec(), manifest::OCI_MANIFEST)?;
    Ok(digest)
}

/// The registry compares the digest, so a blob that was damaged here does not arrive.
fn send(
    target: &Target<'_>,
    blob: &Blob,
    open: &dyn Fn(&Digest) -> Result<File, SinkError>,
    progress: &dyn Progress,
) -> Result<(), RegistryError> {
    let unread = |source| RegistryError::ReadLayer {
        diff_id: blob.digest.clone(),
        source,
    };
    let mut file = open(&blob.digest).map_err(unread)?;
    let Begun::Upload(mut upload) = target.begin(None)? else {
        return Ok(());
    };
    progress.uploading(&blob.digest);
    let most = usize::try_from(blob.size).unwrap_or(CHUNK).clamp(1, CHUNK);
    loop {
        let mut chunk = Vec::new();
        let read = (&mut file).take(most as u64).read_to_end(&mut chunk);
        let length = read.map_err(|error| unread(SinkError::new(error)))? as u64;
        if length == 0 {
            return upload.finish(&blob.digest, blob.size);
        }
        upload.chunk(Bytes::from(chunk))?;
        progress.advanced(&blob.digest, length);
    }
}
