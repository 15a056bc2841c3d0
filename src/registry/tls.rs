//! Whom bryo trusts: the system's roots, and per host the ones in `certs.d`. Verification is switched off only by a command
//! that says so (`--tls-verify=false`), for what that command does.

mod pairs;

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use url::Url;

use self::pairs::Pairs;
use super::error::RegistryError;

/// For a server on this host to say its first word.
const PATIENCE: Duration = Duration::from_secs(2);

/// The TLS configuration for one host; `directories` are its own below each `certs.d`.
pub(super) fn client_config(
    host: &str,
    directories: &[PathBuf],
) -> Result<ClientConfig, RegistryError> {
    let mut roots = system_roots().clone();
    for directory in directories {
        add_directory(&mut roots, directory)?;
    }
    let mut config = trusting(roots, host)?;
    identify(&mut config, directories)?;
    Ok(config)
}

/// No roots at all, for clients that will only ever speak plain HTTP: reading the system's costs milliseconds.
pub(super) fn no_roots(host: &str) -> Result<ClientConfig, RegistryError> {
    trusting(RootCertStore::empty(), host)
}

fn identify(config: &mut ClientConfig, directories: &[PathBuf]) -> Result<(), RegistryError> {
    let pairs = Pairs::of(directories, config.crypto_provider())?;
    config.client_auth_cert_resolver = Arc::new(pairs);
    Ok(())
}

fn trusting(roots: RootCertStore, host: &str) -> Result<ClientConfig, RegistryError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| RegistryError::Tls {
            host: host.to_owned(),
            reason: source.to_string(),
        })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Whoever answers is believed to be the host.
pub(super) fn unverified(
    host: &str,
    directories: &[PathBuf],
) -> Result<ClientConfig, RegistryError> {
    let mut config = no_roots(host)?;
    identify(&mut config, directories)?;
    let verifier = AnyCertificate(Arc::clone(config.crypto_provider()));
    config
        .dangerous()
        .set_certificate_verifier(Arc::new(verifier));
    Ok(config)
}

/// Whether a loopback server answers the first words of a handshake in kind, asked without what it takes to trust it; `None` if that
/// does not show.
pub(super) fn is_spoken_by(url: &Url) -> Option<bool> {
    let host = url.host_str()?;
    let mut addresses = url.socket_addrs(|| None).ok()?.into_iter();
    let address = addresses.find(|address| address.ip().is_loopback())?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).ok()?;
    let mut hello = ClientConnection::new(Arc::new(no_roots(host).ok()?), name).ok()?;
    hello.write_tls(&mut stream).ok()?;
    let mut kind = [0];
    stream.read_exact(&mut kind).ok()?;
    // RFC 8446, section 5.1: an alert or a handshake.
    Some(matches!(kind, [21 | 22]))
}

/// The handshake's signatures still have to be right: only the certificate is nobody's.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Read once; a host without any root shows itself as `UnknownIssuer` at the first connection.
fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "some of the system's root certificates could not be read");
        }
        // The system's bundle may hold certificates that webpki rejects; the others still count.
        let (added, ignored) = roots.add_parsable_certificates(found.certs);
        tracing::debug!(added, ignored, "system root certificates");
        roots
    })
}

/// Every `*.crt` of docker's `certs.d/<host>` layout; a missing directory adds nothing.
fn add_directory(roots: &mut RootCertStore, directory: &Path) -> Result<(), RegistryError> {
    for path in files_of(directory, "crt") {
        add_file(roots, &path).map_err(|reason| RegistryError::ReadCertificates {
            path: path.clone(),
            reason,
        })?;
    }
    Ok(())
}

/// By name; none where the directory is missing or the user may not look into it.
fn files_of(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let mut added = 0;
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| format!("{error:?}"))?;
        roots.add(certificate).map_err(|error| error.to_string())?;
        added += 1;
    }
    if added == 0 {
        return Err("no PEM certificate in it".to_owned());
    }
    Ok(())
}
