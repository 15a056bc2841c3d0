//! What a caller decides about registries: hosts, certificates, credentials files, limits. Reads the environment only in
//! `docker_config_from_environment` and `auth_files_from_environment`, never a file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::credentials::{Credentials, Known};
use super::error::RegistryError;
use super::registries_conf::Rules;
use crate::config::{Config, Policy};
use crate::paths::Paths;

/// The registry of references that name none.
pub(super) const DOCKER_HUB: &str = "docker.io";

/// Everything a transfer needs to know that is not in the reference.
#[derive(Clone, Debug, Default)]
pub struct RegistryConfig {
    /// Keyed by the registry as references write it, `docker.io` or `host[:port]`.
    pub hosts: BTreeMap<String, HostConfig>,
    /// What containers' `registries.conf` says; an entry of `hosts` goes before it.
    pub rules: Rules,
    /// Directories laid out as docker's `certs.d`: `<host[:port]>/*.crt` are further roots for that host, `*.cert` and `*.key`
    /// what the user shows it.
    /// The first is named in the hint of a certificate error.
    pub certs_dirs: Vec<PathBuf>,
    /// Docker's `config.json`, whose `auths` hold credentials; a missing file means none.
    pub docker_config: Option<PathBuf>,
    /// Containers' `auth.json`, which are asked after it.
    pub auth_files: Vec<PathBuf>,
    /// Credentials that were looked up already.
    pub known: Known,
    /// Where hints and unfinished downloads are kept; without it none are.
    pub cache: Option<PathBuf>,
    pub limits: Limits,
    pub access: Access,
    /// Which images are let in.
    pub policy: Policy,
}

/// What one command says about the registries it speaks to, over files and settings.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// `false` takes any certificate, and plain HTTP from who does not speak TLS; `true` neither, whatever is configured.
    pub tls_verify: Option<bool>,
    /// For the registry that the command names.
    pub credentials: Option<Credentials>,
    /// The one file of credentials that counts, in docker's and containers' common format.
    pub auth_file: Option<PathBuf>,
    /// The key of cosign's that an image has to be signed with, whatever the policy says.
    pub signed_by: Option<PathBuf>,
    /// Whose `*.crt`, `*.cert` and `*.key` count for whatever host the command asks, instead of those in the `certs.d`.
    pub cert_dir: Option<PathBuf>,
    /// Tries after the first, of a request and of one blob.
    pub retries: Option<u32>,
    /// Between two tries, each time as long.
    pub retry_delay: Option<Duration>,
}

/// One registry's entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostConfig {
    /// Where the registry's content is fetched instead: `host[:port][/prefix]`, optionally with `http://` or `https://`.
    pub location: Option<String>,
    /// Plain HTTP is allowed (and used) for this registry although it is not on the loopback interface.
    pub insecure: bool,
    /// Asked first, in this order, as `host[:port][/prefix]`.
    pub mirrors: Vec<String>,
    /// Nothing is fetched from it and nothing sent to it.
    pub blocked: bool,
}

/// Bounds on time, tries and bytes. Tests shorten them; nobody else needs to.
#[derive(Clone, Debug)]
pub struct Limits {
    pub connect_timeout: Duration,
    /// The longest silence of a server, before its answer and within a body.
    pub idle_timeout: Duration,
    /// Tries of one request, the first included.
    pub attempts: u32,
    /// The first wait between tries; it doubles each time.
    pub backoff: Duration,
    /// Every wait between tries instead.
    pub retry_delay: Option<Duration>,
    /// The longest `Retry-After` that is waited for; a longer one is an error that says so.
    pub retry_after_cap: Duration,
    /// Times that a broken download of one blob is taken up again without a mebibyte of progress; docker begins five times.
    pub resumes: u32,
    /// Layers downloaded and unpacked at once.
    pub parallel_layers: usize,
    /// Blobs of at least so many bytes are kept while they come, so that a later pull can go on with them.
    pub partial_from: u64,
    /// How long a credential helper may take; some ask the user for a passphrase.
    pub helper_timeout: Duration,
    /// Uncompressed bytes of a layer that are accepted whatever the ratio.
    pub ratio_free_bytes: u64,
    /// Beyond those, the largest accepted uncompressed:compressed ratio (real layers stay below 30).
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connect_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(60),
            attempts: 5,
            backoff: Duration::from_millis(500),
            retry_delay: None,
            retry_after_cap: Duration::from_secs(60),
            resumes: 5,
            parallel_layers: 3,
            partial_from: 32 << 20,
            helper_timeout: Duration::from_secs(120),
            ratio_free_bytes: 1 << 30,
            ratio: 200,
        }
    }
}

impl RegistryConfig {
    /// What the user's settings and places say.
    pub fn new(config: &Config, paths: &Paths) -> RegistryConfig {
        let hosts = config.registries.iter().map(|(host, entry)| {
            let entry = HostConfig {
                location: entry.location.clone(),
                insecure: entry.insecure.unwrap_or(false),
                mirrors: entry.mirrors.clone().unwrap_or_default(),
                blocked: entry.blocked.unwrap_or(false),
            };
            (host.clone(), entry)
        });
        RegistryConfig {
            hosts: hosts.collect(),
            rules: Rules::default(),
            // Roots that an administrator has given docker or podman are trusted too: a user who moves here has them already.
            certs_dirs: vec![
                paths.config.join("certs.d"),
                PathBuf::from("/etc/docker/certs.d"),
                PathBuf::from("/etc/containers/certs.d"),
            ],
            docker_config: RegistryConfig::docker_config_from_environment(),
            auth_files: RegistryConfig::auth_files_from_environment(),
            known: Known::default(),
            cache: Some(paths.cache.clone()),
            limits: Limits::default(),
            access: Access::default(),
            policy: config.policy.clone(),
        }
    }

    /// With what the command line says; a file that it names has to be there unless it is to be written.
    pub fn with_access(self, access: &Access, may_be_new: bool) -> Result<Self, RegistryError> {
        let mut config = RegistryConfig {
            access: access.clone(),
            ..self
        };
        if let Some(path) = &access.auth_file {
            if !may_be_new && !path.exists() {
                return Err(RegistryError::NoAuthFile { path: path.clone() });
            }
            config.docker_config = Some(path.clone());
            config.auth_files = Vec::new();
        }
        if let Some(path) = access.cert_dir.as_ref().filter(|path| !path.is_dir()) {
            return Err(RegistryError::NoCertDir { path: path.clone() });
        }
        if let Some(retries) = access.retries {
            config.limits.attempts = retries.saturating_add(1);
            config.limits.resumes = retries;
        }
        config.limits.retry_delay = access.retry_delay;
        Ok(config)
    }

    /// `$DOCKER_CONFIG/config.json`, or `~/.docker/config.json`.
    pub fn docker_config_from_environment() -> Option<PathBuf> {
        let directory = match std::env::var_os("DOCKER_CONFIG") {
            Some(directory) if !directory.is_empty() => PathBuf::from(directory),
            _ => directories::BaseDirs::new()?.home_dir().join(".docker"),
        };
        Some(directory.join("config.json"))
    }

    /// `$REGISTRY_AUTH_FILE`, else the two places of containers-auth.json(5).
    pub fn auth_files_from_environment() -> Vec<PathBuf> {
        let named = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(file) = named("REGISTRY_AUTH_FILE") {
            return vec![PathBuf::from(file)];
        }
        let runtime = named("XDG_RUNTIME_DIR").map(PathBuf::from);
        let config = directories::BaseDirs::new().map(|base| base.config_dir().to_owned());
        let directories = runtime.into_iter().chain(config);
        directories
            .map(|directory| directory.join("containers/auth.json"))
            .collect()
    }

    pub(super) fn is_insecure(&self, host: &str) -> bool {
        self.hosts.get(host).is_some_and(|entry| entry.insecure)
    }
}
