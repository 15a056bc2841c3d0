//! Who the user is to a registry that asks for a certificate: `NAME.cert` and `NAME.key` of docker's `certs.d/<host>`. Says nothing of
//! whom to trust.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{DistinguishedName, InconsistentKeys, SignatureScheme};
use webpki::EndEntityCert;

use super::files_of;
use crate::registry::error::RegistryError;

/// Certificates with their keys, in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Pairs(Vec<Arc<CertifiedKey>>);

impl Pairs {
    /// All of these directories; a missing one has none. Half a pair is an error, as it is docker's.
    pub fn of(directories: &[PathBuf], provider: &CryptoProvider) -> Result<Pairs, RegistryError> {
        let mut pairs = Vec::new();
        for directory in directories {
            for key in files_of(directory, "key") {
                let certificate = key.with_extension("cert");
                if !certificate.exists() {
                    return Err(half(
                        &key,
                        &certificate,
                        "the certificate of a client's key",
                    ));
                }
            }
            for path in files_of(directory, "cert") {
                let key = path.with_extension("key");
                if !key.exists() {
                    let what = "the key of a client's certificate (an authority's is called *.crt)";
                    return Err(half(&path, &key, what));
                }
                pairs.push(Arc::new(read(&path, &key, provider)?));
            }
        }
        Ok(Pairs(pairs))
    }
}

fn half(path: &Path, missing: &Path, what: &str) -> RegistryError {
    RegistryError::ReadCertificates {
        path: path.to_owned(),
        reason: format!("{what} is missing: {}", missing.display()),
    }
}

fn read(
    path: &Path,
    key_path: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, RegistryError> {
    let failed = |path: &Path, reason: String| RegistryError::ReadCertificates {
        path: path.to_owned(),
        reason,
    };
    let bytes = fs::read(path).map_err(|error| failed(path, error.to_string()))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|error| failed(path, format!("{error:?}")))?;
    if chain.is_empty() {
        return Err(failed(path, "no PEM certificate in it".to_owned()));
    }
    let bytes = fs::read(key_path).map_err(|error| failed(key_path, error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(&bytes);
    let key =
        key.map_err(|_| failed(key_path, "no PEM key without a passphrase in it".to_owned()))?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|error| failed(key_path, error.to_string()))?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            let reason = format!("it is not the key of {}", path.display());
            Err(failed(key_path, reason))
        }
        // What can't be looked into (a certificate of version 1) is the server's to judge.
        _ => Ok(pair),
    }
}

impl ResolvesClientCert for Pairs {
    /// The first that the server can read and that comes from one of the authorities it names, if it names some.
    fn resolve(
        &self,
        authorities: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let is_of = |pair: &CertifiedKey| {
            let mut issuers = pair.cert.iter().filter_map(issuer);
            authorities.is_empty() || issuers.any(|issuer| authorities.contains(&issuer.as_slice()))
        };
        let mut readable = self.0.iter();
        let found = readable.find(|pair| pair.key.choose_scheme(schemes).is_some() && is_of(pair));
        found.cloned()
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

/// As servers name it: with the tag and length of its `SEQUENCE` (RFC 8446, section 4.2.4). `None` where that can't be read.
fn issuer(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let parsed = EndEntityCert::try_from(certificate).ok()?;
    let name = DistinguishedName::in_sequence(parsed.issuer());
    Some(name.as_ref().to_vec())
}
