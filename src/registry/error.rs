//! What can go wrong between a reference and verified bytes, each with its subject, and the hints that cure it.

use std::path::PathBuf;
use std::time::Duration;

use super::credentials::KeeperError;
use crate::image::{Digest, DigestError};

/// Hosts are written `host[:port]`. Messages from servers have been made printable and short.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("registry {registry}: location {location:?} is not host[:port][/prefix]")]
    Location { registry: String, location: String },
    #[error("registry {registry} is blocked by {by}")]
    Blocked { registry: String, by: String },
    #[error("read {path}: {reason}")]
    RegistriesConf { path: PathBuf, reason: String },
    #[error(transparent)]
    Untrusted(Box<super::trust::TrustError>),
    #[error("credentials file {path} is not there")]
    NoAuthFile { path: PathBuf },
    #[error("certificates' directory {path} is not there")]
    NoCertDir { path: PathBuf },
    #[error("URL {text:?}: {source}")]
    Url {
        text: String,
        source: url::ParseError,
    },
    #[error("download {url}: the server answered {status}")]
    Download { url: String, status: u16 },
    #[error("make an HTTP client for {host}: {source}")]
    Client {
        host: String,
        source: reqwest::Error,
    },
    #[error("read certificates in {path}: {reason}")]
    ReadCertificates { path: PathBuf, reason: String },
    #[error(
        "{host} asks for a client's certificate, and none here is of an authority that it trusts"
    )]
    NoClientCertificate {
        host: String,
        /// Where one is looked for.
        directory: Option<PathBuf>,
    },
    #[error("read registry credentials in {path}: {reason}")]
    ReadCredentials { path: PathBuf, reason: String },

    #[error("keep registry credentials in {path}: {reason}")]
    WriteCredentials { path: PathBuf, reason: String },
    #[error("no home directory to keep registry credentials in")]
    NoHome,
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    #[error("login attempt to {url} failed with status: {status}{message}")]
    Login {
        url: String,
        status: String,
        message: String,
    },
    #[error("not logged into {registry}")]
    NotLoggedIn { registry: String },

    #[error("{host}: its name is not resolved: {reason}")]
    UnknownHost { host: String, reason: String },
    #[error("connect to {host}: {reason}")]
    Connect { host: String, reason: String },
    #[error("{host}: its TLS certificate is not trusted: {reason}")]
    Certificate {
        host: String,
        reason: String,
        /// Where a root certificate for this host belongs.
        directory: Option<PathBuf>,
    },
    #[error("{host}: TLS: {reason}")]
    Tls { host: String, reason: String },
    #[error("{host} said nothing for {} s", .after.as_secs_f32())]
    Timeout { host: String, after: Duration },
    #[error("{host}: the connection broke: {reason}")]
    Broken { host: String, reason: String },

    #[error("{host}: redirect loop at {url}")]
    RedirectLoop { host: String, url: String },
    #[error("{host}: more than {limit} redirects")]
    TooManyRedirects { host: String, limit: usize },
    #[error("{host}: redirect from https to plain http ({target}) refused")]
    RedirectDowngrade { host: String, target: String },
    #[error("{host}: redirect to {target:?}, which is no address bryo fetches from")]
    RedirectTarget { host: String, target: String },

    #[error("{host}: rate limit reached{limit}{}{message}", after_text(.retry_after))]
    RateLimited {
        host: String,
        /// ` (100 requests in 6 hours)`, where the registry says so.
        limit: String,
        retry_after: Option<Duration>,
        message: String,
    },
    #[error("{host} is unavailable: it answered {status} {attempts} times{message}")]
    Unavailable {
        host: String,
        status: u16,
        attempts: u32,
        message: String,
    },
    #[error("{operation} at {host}: unexpected answer {status}{message}")]
    Status {
        operation: String,
        host: String,
        status: u16,
        message: String,
    },
    #[error("{host}: token realm {realm:?} is not https, no credentials or tokens go there")]
    Realm { host: String, realm: String },
    #[error("{host}: no token from {realm_host}: {reason}")]
    Token {
        host: String,
        realm_host: String,
        reason: String,
    },
    #[error(
        "{verb} access denied for {repository}, repository does not exist or may require 'bryo login'{message}"
    )]
    Denied {
        /// `pull` or `push`.
        verb: &'static str,
        repository: String,
        host: String,
        had_credentials: bool,
        /// Why the credential helper gave none.
        helper_fault: Option<String>,
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

    #[error(
        "cannot use source images from a different registry than the target image: {source_image} != {target}"
    )]
    OtherRegistry {
        source_image: String,
        target: String,
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
    /// What an earlier pull left was at fault, and is gone now.
    #[error("blob {digest}: what an earlier download left of it is not its beginning")]
    StalePartial { digest: Digest },
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
    #[error("{reference}: {source}")]
    Room {
        reference: String,
        source: super::SinkError,
    },
    #[error("store layer {digest}: {source}")]
    StoreLayer {
        digest: Digest,
        source: super::SinkError,
    },
    #[error("read layer {diff_id}: {source}")]
    ReadLayer {
        diff_id: Digest,
        source: super::SinkError,
    },
    #[error("{reference}: the upload of a layer to registry {host} was lost: {reason}")]
    UploadLost {
        reference: String,
        host: String,
        reason: String,
    },
    #[error(
        "{reference} is not pushed: its manifest would have digest {digest}, since the compressed bytes of {} differ", .changed.join(", ")
    )]
    OtherDigest {
        reference: String,
        digest: Digest,
        changed: Vec<String>,
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
    /// What a mirror lacks or refuses, another place may have and grant. What is wrong with the content, or here, is not
    /// better elsewhere.
    pub(super) fn is_of_mirror(&self) -> bool {
        !matches!(
            self,
            Self::StoreLayer { .. }
                | Self::Room { .. }
                | Self::Stopped
                | Self::Thread { .. }
                | Self::NoPlatform { .. }
                | Self::WrongPlatform { .. }
        )
    }

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
            Self::NoClientCertificate {
                directory: Some(directory),
                ..
            } => vec![format!(
                "put the certificate and its key (PEM) at {} and {}",
                directory.join("client.cert").display(),
                directory.join("client.key").display()
            )],
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
                "wait, or log in: authenticated users have a higher limit (`{}`)",
                login(host)
            )],
            Self::Denied {
                host,
                had_credentials,
                helper_fault,
                ..
            } => denied_hints(host, *had_credentials, helper_fault.as_deref()),
            Self::NotLoggedIn { registry } => vec![login(registry)],
            Self::Keeper(KeeperError::Missing { program }) => vec![format!(
                "install {program}, or take it out of ~/.docker/config.json (`credsStore`, `credHelpers`)"
            )],
            Self::UnknownManifest { reference } => vec![format!(
                "check the name and tag; `skopeo list-tags docker://{}` lists what there is",
                repository(reference)
            )],
            Self::NoPlatform { .. } | Self::WrongPlatform { .. } => {
                vec!["choose one with --platform OS/ARCH[/VARIANT]".to_owned()]
            }
            Self::OtherDigest { reference, .. } => vec![format!(
                "push by tag and without --require-digest, or pull {reference} from where it came from first"
            )],
            Self::StoreLayer { source, .. } | Self::ReadLayer { source, .. } => {
                source.hints().to_vec()
            }
            _ => Vec::new(),
        }
    }
}

/// The command that logs in; Docker Hub is the registry of a login without a name.
fn login(host: &str) -> String {
    match host {
        "registry-1.docker.io" | "docker.io" => "bryo login".to_owned(),
        host => format!("bryo login {host}"),
    }
}

/// A reference without its tag and digest.
fn repository(reference: &str) -> &str {
    let (name, _) = reference.split_once('@').unwrap_or((reference, ""));
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

fn denied_hints(host: &str, had_credentials: bool, helper_fault: Option<&str>) -> Vec<String> {
    let login = login(host);
    let first = match had_credentials {
        true => format!("the credentials for {host} were refused, renew them with `{login}`"),
        false => format!("check the name; if the repository is private, log in with `{login}`"),
    };
    let helper = helper_fault.map(|fault| format!("no credentials came from a helper: {fault}"));
    [first].into_iter().chain(helper).collect()
}

#[cfg(test)]
mod tests {
    use super::repository;

    #[test]
    fn a_repository_is_named_without_tag_and_digest() {
        let names = [
            "host:5/app",
            "host:5/app:1",
            "host:5/app@sha256:ab",
            "host:5/app:1@sha256:ab",
        ];
        assert!(names.iter().all(|name| repository(name) == "host:5/app"));
        assert_eq!(repository("app:1"), "app");
    }
}
