//! Signatures that cosign makes with a key: beside the image in its repository, under the tag `sha256-<digest>.sig`. No
//! certificates, no transparency log.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_spec::image::ImageManifest;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer};
use webpki::RawPublicKeyEntity;

use super::super::auth::Session;
use super::super::blob::{BlobStream, Source};
use super::super::documents;
use super::super::endpoint::Endpoint;
use super::super::error::RegistryError;
use super::super::manifest;
use super::Evidence;
use super::payload::{self, SignatureFault};
use crate::image::{Digest, Reference};
use crate::sys::fs;

const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const KIND: &str = "cosign container image signature";
/// More signatures of one image are not looked at, nor larger ones.
const MOST: usize = 64;
const PAYLOAD_LIMIT: u64 = 64 * 1024;
const KEY_LIMIT: u64 = 64 * 1024;

/// What a key of each kind signs with, as cosign does it.
const ALGORITHMS: [&dyn SignatureVerificationAlgorithm; 4] = [
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P384_SHA256,
    webpki::ring::ED25519,
    webpki::ring::RSA_PKCS1_2048_8192_SHA256,
];

/// Every signature of any of these digests; none where there is no such tag.
pub fn fetch(
    session: &Session<'_>,
    endpoint: &Endpoint,
    reference: &Reference,
    digests: &[Digest],
) -> Result<Vec<Evidence>, RegistryError> {
    let mut found = Vec::new();
    for digest in digests {
        let tag = format!("sha256-{}.sig", digest.hex());
        let tagged = reference.with_tag(&tag);
        let tagged = tagged.expect("letters, digits and a dot are a tag");
        match documents::fetch(session, endpoint, &tagged, None) {
            Ok(fetched) => found.extend(of_manifest(session, endpoint, &tagged, fetched)?),
            Err(RegistryError::UnknownManifest { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn of_manifest(
    session: &Session<'_>,
    endpoint: &Endpoint,
    tagged: &Reference,
    fetched: documents::Fetched,
) -> Result<Vec<Evidence>, RegistryError> {
    let fault = |fault| RegistryError::Manifest {
        reference: tagged.familiar(),
        digest: fetched.digest.clone(),
        fault,
    };
    manifest::shape(&fetched.bytes, fetched.content_type.as_deref()).map_err(fault)?;
    let parsed: ImageManifest = serde_json::from_slice(&fetched.bytes).map_err(|error| {
        fault(manifest::ManifestFault::Json {
            reason: super::super::exchange::printable(&error.to_string(), 200),
        })
    })?;
    let mut found = Vec::new();
    for layer in parsed.layers().iter().take(MOST) {
        let annotations = layer.annotations().as_ref();
        let signature = annotations.and_then(|all| all.get(SIGNATURE));
        let Some(signature) = signature else { continue };
        if layer.media_type().to_string() != SIMPLE_SIGNING || layer.size() > PAYLOAD_LIMIT {
            continue;
        }
        let blob = manifest::blob(layer).map_err(fault)?;
        let name = tagged.familiar();
        let source = Source {
            session,
            reference: &name,
            url: endpoint.url(tagged.repository(), "blobs", blob.digest.as_str()),
        };
        let payload = BlobStream::open(source, &blob)?.read_all()?;
        // One that is no text is no JSON either.
        if let Ok(payload) = String::from_utf8(payload) {
            found.push(Evidence::Cosign {
                payload,
                signature: signature.clone(),
            });
        }
    }
    Ok(found)
}

/// Public keys, any of which may have signed.
pub struct Keys(Vec<SubjectPublicKeyInfoDer<'static>>);

impl Keys {
    /// Every file has to be a key: one that is not may be the one that was meant.
    pub fn read(paths: &[PathBuf]) -> Result<Keys, (PathBuf, String)> {
        let read = |path: &PathBuf| {
            let failed = |reason: String| (path.clone(), reason);
            let bytes = fs::read_bounded(path, KEY_LIMIT);
            let bytes = bytes.map_err(|error| failed(error.to_string()))?;
            let key = SubjectPublicKeyInfoDer::from_pem_slice(&bytes);
            let key = key.map_err(|_| failed("is no public key in PEM".to_owned()))?;
            match RawPublicKeyEntity::try_from(&key) {
                Ok(_) => Ok(key),
                Err(error) => Err(failed(format!("is no public key: {error}"))),
            }
        };
        paths.iter().map(read).collect::<Result<_, _>>().map(Keys)
    }

    pub fn verify(
        &self,
        evidence: &Evidence,
        reference: &Reference,
        digests: &[Digest],
    ) -> Result<(), SignatureFault> {
        let Evidence::Cosign { payload, signature } = evidence else {
            return Err(SignatureFault::Key);
        };
        let signature = STANDARD.decode(signature.trim());
        let signature = signature.map_err(SignatureFault::malformed)?;
        let fits = |key: &SubjectPublicKeyInfoDer<'_>| {
            let Ok(entity) = RawPublicKeyEntity::try_from(key) else {
                return false;
            };
            let bytes = payload.as_bytes();
            let mut algorithms = ALGORITHMS.into_iter();
            algorithms.any(|algorithm| {
                entity
                    .verify_signature(algorithm, bytes, &signature)
                    .is_ok()
            })
        };
        match self.0.iter().any(fits) {
            true => payload::check(payload.as_bytes(), KIND, reference, digests),
            false => Err(SignatureFault::Key),
        }
    }
}
