//! Who the user is at a registry: docker's `config.json`, the helpers it names, then containers' `auth.json`. Sends nothing
//! anywhere and never prints a secret.

mod file;
mod keeper;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::config::{DOCKER_HUB, RegistryConfig};
use super::error::RegistryError;
use super::place;
use super::secret::Secret;
use crate::image::Reference;
pub use keeper::KeeperError;

/// How one registry knows its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    Password {
        user: String,
        password: Secret,
    },
    /// An OAuth2 refresh token, `identitytoken` in the file.
    Identity {
        user: String,
        token: Secret,
    },
}

impl Credentials {
    /// The value of an `Authorization: Basic` header, for those that have a password.
    pub(super) fn basic(&self) -> Option<Secret> {
        match self {
            Credentials::Password { user, password } => {
                let pair = STANDARD.encode(format!("{user}:{}", password.expose()));
                Some(Secret::new(format!("Basic {pair}")))
            }
            Credentials::Identity { .. } => None,
        }
    }

    pub fn user(&self) -> &str {
        match self {
            Credentials::Password { user, .. } | Credentials::Identity { user, .. } => user,
        }
    }
}

/// What is known about the user of one registry.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub credentials: Option<Credentials>,
    /// Why a helper that should have them gave none: named in hints.
    pub helper_fault: Option<String>,
}

/// What was looked up before a role was forked: helpers belong into the user's own session, not into the home namespace.
#[derive(Clone, Debug, Default)]
pub struct Known(BTreeMap<String, Found>);

/// Docker Hub has one account under three names; every other host is itself.
fn names_of(host: &str) -> Vec<&str> {
    const HUB: [&str; 3] = [DOCKER_HUB, "index.docker.io", "registry-1.docker.io"];
    match HUB.contains(&host) {
        true => HUB.to_vec(),
        false => vec![host],
    }
}

/// Under which key docker keeps a registry's record and asks helpers for it.
fn key_of(host: &str) -> &str {
    match names_of(host).len() {
        1 => host,
        _ => "https://index.docker.io/v1/",
    }
}

/// Looks up `host`, the registry the bytes come from: what was looked up before, docker's file and its helper, then the
/// containers' files. A helper that fails is a fault to name when the registry refuses, as it is with docker.
pub(super) fn find(
    config: &RegistryConfig,
    host: &str,
    repository: Option<&str>,
) -> Result<Found, RegistryError> {
    if let Some(found) = config.known.0.get(host) {
        return Ok(found.clone());
    }
    let mut found = Found::default();
    for path in config.docker_config.iter().chain(&config.auth_files) {
        let entry = file::find(path, host, repository)?;
        let helped = entry.helper.map(|name| {
            let helper = keeper::Keeper::named(&name, config.limits.helper_timeout);
            helper.and_then(|helper| helper.get(key_of(host)))
        });
        match helped {
            Some(Ok(Some(credentials))) => found.credentials = Some(credentials),
            Some(Err(error)) => found.helper_fault = Some(error.to_string()),
            Some(Ok(None)) | None => {}
        }
        if found.credentials.is_none() {
            found.credentials = entry.credentials;
        }
        if found.credentials.is_some() {
            break;
        }
    }
    Ok(found)
}

impl RegistryConfig {
    /// Asks files and helpers now about the hosts that serve `reference`, on behalf of a role that can't.
    pub fn look_up(&mut self, reference: &Reference) -> Result<(), RegistryError> {
        let hosts = place::hosts(self, reference)?;
        let own = hosts.len().saturating_sub(1);
        for (number, (host, repository)) in hosts.into_iter().enumerate() {
            // What was given for a registry is none of its mirrors' business.
            let found = match self.given().filter(|_| number == own) {
                Some(given) => given,
                None => find(self, &host, Some(&repository))?,
            };
            self.known.0.insert(host, found);
        }
        Ok(())
    }

    /// The same for a registry itself.
    pub fn look_up_registry(&mut self, registry: &str) -> Result<(), RegistryError> {
        let host = place::host(self, registry)?;
        let found = match self.given() {
            Some(given) => given,
            None => find(self, &host, None)?,
        };
        self.known.0.insert(host, found);
        Ok(())
    }

    /// The credentials of the command line.
    fn given(&self) -> Option<Found> {
        let given = self.access.credentials.clone()?;
        Some(Found {
            credentials: Some(given),
            helper_fault: None,
        })
    }
}

/// Remembers who the user is at a host, unless that is known.
pub(super) fn know(
    config: &mut RegistryConfig,
    host: &str,
    repository: &str,
) -> Result<(), RegistryError> {
    if !config.known.0.contains_key(host) {
        let found = find(config, host, Some(repository))?;
        config.known.0.insert(host.to_owned(), found);
    }
    Ok(())
}

/// Where credentials have been put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In this file, as plain text to whoever can read it.
    File(std::path::PathBuf),
    Keeper,
}

/// Keeps what a registry has accepted, where docker would: with the helper for this host, else in the file.
pub(super) fn keep(
    config: &RegistryConfig,
    host: &str,
    credentials: &Credentials,
) -> Result<Kept, RegistryError> {
    let path = config.docker_config.as_deref();
    let path = path.ok_or(RegistryError::NoHome)?;
    let key = key_of(host);
    let helper = file::find(path, host, None)?.helper;
    if let Some(name) = &helper {
        let helper = keeper::Keeper::named(name, config.limits.helper_timeout)?;
        helper.store(key, credentials)?;
    }
    let beside = helper.is_none().then_some(credentials);
    let path = file::change(path, |records| {
        file::remove(records, host);
        records.insert(key.to_owned(), file::record(beside));
    })?;
    Ok(match helper {
        Some(_) => Kept::Keeper,
        None => Kept::File(path),
    })
}

/// Forgets a registry's credentials in docker's file and its helper, in the one although the other fails.
pub(super) fn forget(config: &RegistryConfig, host: &str) -> Result<(), RegistryError> {
    let Some(path) = config.docker_config.as_deref() else {
        return Ok(());
    };
    let helper = file::find(path, host, None)?.helper;
    let erased = helper.map(|name| {
        let helper = keeper::Keeper::named(&name, config.limits.helper_timeout)?;
        helper.erase(key_of(host))
    });
    if path.exists() {
        file::change(path, |records| file::remove(records, host))?;
    }
    Ok(erased.unwrap_or(Ok(()))?)
}

/// Every registry with a record in docker's file.
pub(super) fn hosts(config: &RegistryConfig) -> Result<Vec<String>, RegistryError> {
    match config.docker_config.as_deref() {
        Some(path) => file::hosts(path),
        None => Ok(Vec::new()),
    }
}

/// A file other than docker's that still has credentials for the host.
pub(super) fn elsewhere(config: &RegistryConfig, host: &str) -> Option<std::path::PathBuf> {
    let files = config.auth_files.iter();
    let mut has = files
        .filter(|path| file::find(path, host, None).is_ok_and(|entry| entry.credentials.is_some()));
    has.next().cloned()
}
