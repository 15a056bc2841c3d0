//! Single documents of a repository: a manifest or index as it lies there, with the configuration it names, and manifest
//! lists put there. Follows no index, fetches no layer and judges no image.

use bytes::Bytes;

use super::auth::{Session, Subject};
use super::blob::{BlobStream, Source};
use super::config::RegistryConfig;
use super::endpoint::Endpoint;
use super::error::RegistryError;
use super::exchange::{Body, Exchange, Method, Request, read_bounded, read_reason};
use super::manifest::{self, Blob, CONFIG_LIMIT, Document, MANIFEST_LIMIT};
use super::place;
use super::progress::Progress;
use super::retry;
use super::upload::{Begun, Target};
use crate::image::{Digest, Reference};

/// Bytes of a blob that are on their way from one repository to another at a time.
const CHUNK: usize = 6 << 20;

/// A manifest or an index, as its repository has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteDocument {
    pub bytes: Vec<u8>,
    pub media_type: String,
    pub digest: Digest,
    /// Of an image; what else there is has none.
    pub config: Option<Vec<u8>>,
}

/// An answer whose digest was compared with what was asked for and announced.
pub(super) struct Fetched {
    pub bytes: Vec<u8>,
    pub content_type: Option<String>,
    pub digest: Digest,
}

/// A manifest's bytes under a tag or digest.
pub(super) fn fetch(
    session: &Session<'_>,
    endpoint: &Endpoint,
    reference: &Reference,
    expected: Option<&Digest>,
) -> Result<Fetched, RegistryError> {
    let name = match expected {
        Some(digest) => digest.as_str(),
        None => reference.tag().unwrap_or("latest"),
    };
    let familiar = || reference.familiar();
    let url = endpoint.url(reference.repository(), "manifests", name);
    let request = Request {
        accept: manifest::ACCEPT,
        ..Request::get(url)
    };
    let mut response = session.send(request)?;
    match response.status().as_u16() {
        200 => {}
        404 => {
            return Err(RegistryError::UnknownManifest {
                reference: familiar(),
            });
        }
        status => {
            return Err(RegistryError::Status {
                operation: format!("fetch the manifest of {}", familiar()),
                host: session.host().to_owned(),
                status,
                message: retry::server_message(&mut response),
            });
        }
    }
    let header = |name: &str| {
        let value = response.headers().get(name)?;
        Some(value.to_str().unwrap_or_default().to_owned())
    };
    let content_type = header("content-type");
    let announced = header("docker-content-digest")
        .map(|text| text.parse::<Digest>())
        .transpose()
        .map_err(|source| RegistryError::ContentDigest {
            reference: familiar(),
            source,
        })?;
    let bytes = read_bounded(&mut response, MANIFEST_LIMIT)
        .map_err(|error| RegistryError::Broken {
            host: session.host().to_owned(),
            reason: read_reason(&error),
        })?
        .ok_or_else(|| RegistryError::ManifestTooLarge {
            reference: familiar(),
            limit: MANIFEST_LIMIT,
        })?;
    let actual = Digest::of(&bytes);
    if let Some(expected) = expected.or(announced.as_ref())
        && *expected != actual
    {
        return Err(RegistryError::ManifestDigest {
            reference: familiar(),
            expected: expected.clone(),
            actual,
        });
    }
    Ok(Fetched {
        bytes,
        content_type,
        digest: actual,
    })
}

/// What the reference names at its registry, not at a mirror of it.
pub fn document(
    reference: &Reference,
    config: &RegistryConfig,
    progress: &dyn Progress,
) -> Result<RemoteDocument, RegistryError> {
    let exchange = Exchange::new(config);
    let endpoint = Endpoint::at(&exchange, &place::own_place(config, reference)?)?;
    let subject = Subject::pull(&endpoint, reference);
    let session = Session::new(exchange, &endpoint, reference, subject, progress)?;
    let name = reference.familiar();
    let fetched = fetch(&session, &endpoint, reference, reference.digest())?;
    let shaped = manifest::shape(&fetched.bytes, fetched.content_type.as_deref());
    let fault = |fault| RegistryError::Manifest {
        reference: name.clone(),
        digest: fetched.digest.clone(),
        fault,
    };
    let (_, media_type) = shaped.map_err(fault)?;
    // What is no image (an artifact, a signature) is shown as well, but has nothing that says a platform.
    let parsed = manifest::parse(&fetched.bytes, Some(&media_type));
    let image = match parsed {
        Ok((Document::Manifest(manifest), _)) if manifest.config.size <= CONFIG_LIMIT => {
            Some(manifest.config)
        }
        _ => None,
    };
    let config = match image {
        Some(blob) => {
            let source = Source {
                session: &session,
                reference: &name,
                url: endpoint.url(reference.repository(), "blobs", blob.digest.as_str()),
            };
            Some(BlobStream::open(source, &blob)?.read_all()?)
        }
        None => None,
    };
    Ok(RemoteDocument {
        bytes: fetched.bytes,
        media_type,
        digest: fetched.digest,
        config,
    })
}

/// Blobs of a repository, each whole in memory: who asks has bounded their sizes.
pub fn small_blobs(
    reference: &Reference,
    wanted: &[(Digest, u64)],
    config: &RegistryConfig,
    progress: &dyn Progress,
) -> Result<Vec<Vec<u8>>, RegistryError> {
    let exchange = Exchange::new(config);
    let endpoint = Endpoint::at(&exchange, &place::own_place(config, reference)?)?;
    let subject = Subject::pull(&endpoint, reference);
    let session = Session::new(exchange, &endpoint, reference, subject, progress)?;
    let name = reference.familiar();
    let one = |(digest, size): &(Digest, u64)| {
        let blob = Blob {
            digest: digest.clone(),
            size: *size,
            media_type: String::new(),
        };
        let source = Source {
            session: &session,
            reference: &name,
            url: endpoint.url(reference.repository(), "blobs", digest.as_str()),
        };
        BlobStream::open(source, &blob)?.read_all()
    };
    wanted.iter().map(one).collect()
}

/// One manifest of a list, and where it lies now.
#[derive(Clone, Debug)]
pub struct ListMember {
    pub reference: Reference,
    pub bytes: Vec<u8>,
    pub media_type: String,
}

/// A manifest list with all that it names.
#[derive(Clone, Debug)]
pub struct ListToPush {
    pub bytes: Vec<u8>,
    pub media_type: String,
    pub members: Vec<ListMember>,
    /// What manifests name that no repository has yet.
    pub blobs: Vec<Vec<u8>>,
}

/// Puts a list under the reference's tag, after its manifests and what they name, which are taken from the repositories of
/// the same registry that have them. Gives the list's digest.
pub fn push_list(
    list: &ListToPush,
    reference: &Reference,
    config: &RegistryConfig,
    progress: &dyn Progress,
) -> Result<Digest, RegistryError> {
    let exchange = Exchange::new(config);
    let endpoint = Endpoint::at(&exchange, &place::own_place(config, reference)?)?;
    let own = endpoint.repository(reference.repository());
    let mut scopes = vec![format!("repository:{own}:pull,push")];
    for member in &list.members {
        if member.reference.registry() != reference.registry() {
            return Err(RegistryError::OtherRegistry {
                source_image: member.reference.to_string(),
                target: reference.to_string(),
            });
        }
        let from = endpoint.repository(member.reference.repository());
        let scope = format!("repository:{from}:pull");
        if from != own && !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    let subject = Subject {
        scopes,
        name: reference.familiar_name(),
        verb: "push",
        is_login: false,
    };
    let session = Session::new(exchange, &endpoint, reference, subject, progress)?;
    let name = reference.familiar();
    let target = Target {
        session: &session,
        endpoint: &endpoint,
        repository: reference.repository(),
        reference: &name,
    };
    for member in &list.members {
        push_member(&target, member, &list.blobs, &name)?;
        let digest = Digest::of(&member.bytes);
        progress.note(&format!(
            "Pushed ref {} with digest: {digest}",
            reference.with_digest(digest.clone())
        ));
    }
    let digest = Digest::of(&list.bytes);
    let tag = match reference.digest() {
        Some(digest) => digest.as_str(),
        None => reference.tag().unwrap_or("latest"),
    };
    target.put_manifest(tag, list.bytes.clone(), &list.media_type)?;
    Ok(digest)
}

fn push_member(
    target: &Target<'_>,
    member: &ListMember,
    own: &[Vec<u8>],
    name: &str,
) -> Result<(), RegistryError> {
    let digest = Digest::of(&member.bytes);
    let blobs = manifest::blobs(&member.bytes).map_err(|fault| RegistryError::Manifest {
        reference: name.to_owned(),
        digest: digest.clone(),
        fault,
    })?;
    for blob in blobs {
        if target.has(&blob)? {
            continue;
        }
        match own.iter().find(|bytes| Digest::of(bytes) == blob.digest) {
            Some(bytes) => target.put(bytes, &blob.digest)?,
            None => copy(target, &member.reference, &blob, name)?,
        }
    }
    target.put_manifest(digest.as_str(), member.bytes.clone(), &member.media_type)
}

/// Mounts a blob from another repository; where the registry does not do that, its bytes take the way through here.
fn copy(
    target: &Target<'_>,
    from: &Reference,
    blob: &Blob,
    name: &str,
) -> Result<(), RegistryError> {
    let there = target.endpoint.repository(from.repository());
    let mut upload = match target.begin(Some((&blob.digest, &there)))? {
        Begun::Mounted => return Ok(()),
        Begun::Upload(upload) => upload,
    };
    let source = Source {
        session: target.session,
        reference: name,
        url: target
            .endpoint
            .url(from.repository(), "blobs", blob.digest.as_str()),
    };
    let mut stream = BlobStream::open(source, blob)?;
    let most = usize::try_from(blob.size).unwrap_or(CHUNK).clamp(1, CHUNK);
    loop {
        let mut chunk = vec![0; most];
        let length = stream.read(&mut chunk)?;
        if length == 0 {
            return upload.finish(&blob.digest, blob.size);
        }
        chunk.truncate(length);
        upload.chunk(Bytes::from(chunk))?;
    }
}

impl Target<'_> {
    /// Gives a manifest its name, a tag or its digest.
    pub fn put_manifest(
        &self,
        name: &str,
        bytes: Vec<u8>,
        media_type: &str,
    ) -> Result<(), RegistryError> {
        let url = self.endpoint.url(self.repository, "manifests", name);
        let request = Request {
            body: Body::Bytes {
                media_type: media_type.to_owned(),
                bytes: Bytes::from(bytes),
                at: None,
            },
            ..Request::new(Method::Put, url)
        };
        let response = self.session.send(request)?;
        match response.status().is_success() {
            true => Ok(()),
            false => Err(self.unexpected("put the manifest of", response)),
        }
    }
}
