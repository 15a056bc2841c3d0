//! What can go wrong between a reference and verified bytes, each with its subject, and the hints that cure it.

use std::path::PathBuf;
use std::time::Duration;

use crate::image::{Digest, DigestError};

/// Hosts are written `host[:port]`. Messages from servers have been made printable and short.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("registry {registry}: location {location:?} is not host[:port][/prefix]")]
    Location { registry: String, location: String },
    #[error("make an HTTP client for {host}: {source}")]
    Client {
        host: String,
        source: reqwest::Error,
    },
    #[error("read certificates in {path}: {reason}")]
    ReadCertificates { path: PathBuf, reason: String },
    #[error("read registry credentials in {path}: {reason}")]
    ReadCredentials { path: PathBuf, reason: String },

    #[error("registry {host}: its name is not resolved: {reason}")]
    UnknownHost { host: String, reason: String },
    #[error("connect to registry {host}: {reason}")]
    Connect { host: String, reason: String },
    #[error("registry {host}: its TLS certificate is not trusted: {reason}")]
    Certificate {
        host: String,
        reason: String,
        /// Where a root certificate for this host belongs.
        directory: Option<PathBuf>,
    },
    #[error("registry {host}: TLS: {reason}")]
    Tls { host: String, reason: String },
    #[error("registry {host} said nothing for {} s", .after.as_secs_f32())]
    Timeout { host: String, after: Duration },
    #[error("registry {host}: the connection broke: {reason}")]
    Broken { host: String, reason: String },

    #[error("registry {host}: redirect loop at {url}")]
    RedirectLoop { host: String, url: String },
    #[error("registry {host}: more than {limit} redirects")]
    TooManyRedirects { host: String, limit: usize },
    #[error("registry {host}: redirect from https to plain http ({target}) refused")]
    RedirectDowngrade { host: String, target: String },
    #[error("registry {host}: redirect to {target:?}, which is no address bryo fetches from")]
    RedirectTarget { host: String, target: String },

    #[error("registry {host}: rate limit reached{}{message}", after_text(.retry_after))]
    RateLimited {
        host: String,
        retry_after: Option<Duration>,
        message: String,
    },
    #[error("registry {host} is unavailable: it answered {status} {attempts} times{message}")]
    Unavailable {
        host: String,
        status: u16,
        attempts: u32,
        message: String,
    },
    #[error("{operation} at registry {host}: unexpected answer {status}{message}")]
    Status {
        operation: String,
        host: String,
        status: u16,
        message: String,
    },
    #[error(
        "registry {host}: token realm {realm:?} is not https, no credentials or tokens go there"
    )]
    Realm { host: String, realm: String },
    #[error("registry {host}: no token from {realm_host}: {reason}")]
    Token {
        host: String,
        realm_host: String,
        reason: String,
    },
    #[error(
        "pull access denied for {repository}, repository does not exist or may require 'docker login'{message}"
    )]
    Denied {
        repository: String,
        host: String,
        had_credentials: bool,
        credential_store: Option<String>,
        message: String,
    },
    #[error("manifest for {reference} not found: manifest unknown")]
    UnknownManifest { reference: String },
    #[error("{reference}: registry {host} does not have blob {digest}")]
    UnknownBlob {
        reference: String,
        host: String,
        digest: Digest,
    },

    #[error("{reference}: manifest is larger than {limit} bytes, refused")]
    ManifestTooLarge { reference: String, limit: u64 },
    #[error("{reference}: manifest {digest}: {fault}")]
    Manifest {
        reference: String,
        digest: Digest,
        fault: super::manifest::ManifestFault,
    },
    #[error("{reference}: the registry sent a manifest with digest {actual} instead of {expected}")]
    ManifestDigest {
        reference: String,
        expected: Digest,
        actual: Digest,
    },
    #[error("{reference}: the registry's Docker-Content-Digest header is no digest: {source}")]
    ContentDigest {
        reference: String,
        source: DigestError,
    },
    #[error("{reference}: no manifest for platform {wanted}; it has {available}")]
    NoPlatform {
        reference: String,
        wanted: String,
        available: String,
    },
    #[error("{reference} is for {actual}, not for the platform {wanted}")]
    WrongPlatform {
        reference: String,
        wanted: String,
        actual: String,
    },
    #[error("{reference}: indexes nested deeper than {limit}, refused")]
    NestedIndexes { reference: String, limit: usize },
    #[error("{reference}: image configuration {digest}: {reason}")]
    Config {
        reference: String,
        digest: Digest,
        reason: String,
    },

    #[error("blob {digest}: {actual} bytes instead of {expected}")]
    BlobSize {
        digest: Digest,
        expected: u64,
        actual: u64,
    },
    #[error("blob {digest}: more than its {expected} bytes arrived")]
    BlobTooLong { digest: Digest, expected: u64 },
    #[error("blob {digest}: its content has digest {actual}")]
    BlobDigest { digest: Digest, actual: Digest },
    #[error(
        "blob {digest}: the download broke off {tries} times, last after {received} of {expected} bytes: {reason}"
    )]
    BlobBroken {
        digest: Digest,
        tries: u32,
        received: u64,
        expected: u64,
        reason: String,
    },
    #[error("layer {digest}: corrupt {compression} data: {reason}")]
    Corrupt {
        digest: Digest,
        compression: &'static str,
        reason: String,
    },
    #[error(
        "layer {digest}: media type {media_type} announces compression, its content is not compressed"
    )]
    NotCompressed { digest: Digest, media_type: String },
    #[error(
        "layer {digest}: {compressed} compressed bytes unpack to more than {limit} bytes, refused as a decompression bomb"
    )]
    Bomb {
        digest: Digest,
        compressed: u64,
        limit: u64,
    },
    #[error("store layer {digest}: {source}")]
    StoreLayer {
        digest: Digest,
        source: super::SinkError,
    },
    /// Another layer failed; its error is the one that is reported.
    #[error("stopped because another layer failed")]
    Stopped,
    #[error("start a thread for layer {digest}: {source}")]
    Thread {
        digest: Digest,
        source: std::io::Error,
    },
}

fn after_text(after: &Option<Duration>) -> String {
    match after {
        Some(after) => format!(", it asks to wait {} s", after.as_secs()),
        None => String::new(),
    }
}

impl RegistryError {
    /// Commands or steps that cure the error, one per line of `Hint: `.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Certificate {
                host, directory, ..
            } => vec![match directory {
                Some(directory) => format!(
                    "if {host} uses a private CA, put its certificate (PEM) at {}",
                    directory.join("ca.crt").display()
                ),
                None => {
                    format!("if {host} uses a private CA, add it to the system's trusted roots")
                }
            }],
            Self::Tls { host, .. } => vec![format!(
                "if {host} speaks plain HTTP only, list it: [registries.\"{host}\"] insecure = true in config.toml"
            )],
            Self::UnknownHost { host, .. } => vec![format!(
                "check the spelling of {host} and that this machine has a network (`getent hosts {}`)",
                host.split(':').next().unwrap_or(host)
            )],
            Self::Connect { host, .. } => vec![format!(
                "check that {host} is up and reachable; behind a proxy set HTTPS_PROXY"
            )],
            Self::RateLimited { host, .. } => vec![format!(
                "wait, or log in: authenticated users have a higher limit (`{}` writes ~/.docker/config.json, which bryo reads)",
                login(host)
            )],
            Self::Denied {
                host,
                had_credentials,
                credential_store,
                ..
            } => denied_hints(host, *had_credentials, credential_store.as_deref()),
            Self::UnknownManifest { reference } => vec![format!(
                "check the name and tag; `skopeo list-tags docker://{}` lists what there is",
                reference
                    .rsplit_once(['@', ':'])
                    .map_or(reference.as_str(), |(name, _)| name)
            )],
            Self::NoPlatform { .. } | Self::WrongPlatform { .. } => {
                vec!["choose one with --platform OS/ARCH[/VARIANT]".to_owned()]
            }
            Self::StoreLayer { source, .. } => source.hints().to_vec(),
            _ => Vec::new(),
        }
    }
}

/// Docker Hub's credentials are kept under its historic key, which a login without a host writes.
fn login(host: &str) -> String {
    match host {
        "registry-1.docker.io" => "docker login".to_owned(),
        host => format!("docker login {host}"),
    }
}

fn denied_hints(host: &str, had_credentials: bool, store: Option<&str>) -> Vec<String> {
    let mut hints = Vec::new();
    if had_credentials {
        hints.push(format!(
            "the credentials for {host} in ~/.docker/config.json were refused, renew them with `{}`",
            login(host)
        ));
    } else {
        hints.push(format!(
            "check the name; if the repository is private, `{}` writes ~/.docker/config.json, which bryo reads",
            login(host)
        ));
    }
    if let Some(store) = store {
        hints.push(format!(
            "~/.docker/config.json keeps credentials in the helper {store:?}, which bryo does not call; it reads `auths` only"
        ));
    }
    hints
}
