//! Credentials from docker's `config.json`. Reads that one file, calls no credential helper, never prints a secret.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::config::DOCKER_HUB;
use super::error::RegistryError;
use super::secret::Secret;

/// How one registry knows its user.
#[derive(Clone, Debug)]
pub(super) enum Credentials {
    Password {
        user: String,
        password: Secret,
    },
    /// An OAuth2 refresh token, `identitytoken` in the file.
    Identity(Secret),
}

impl Credentials {
    /// The value of an `Authorization: Basic` header, for those that have a password.
    pub fn basic(&self) -> Option<Secret> {
        match self {
            Credentials::Password { user, password } => {
                let pair = STANDARD.encode(format!("{user}:{}", password.expose()));
                Some(Secret::new(format!("Basic {pair}")))
            }
            Credentials::Identity(_) => None,
        }
    }
}

/// What the file says about one registry.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub credentials: Option<Credentials>,
    /// A helper that holds the user's credentials instead: named in hints.
    pub helper: Option<String>,
}

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default, rename = "identitytoken")]
    identity_token: String,
}

/// More than any real file; a larger one is refused before it is in memory.
const LIMIT: u64 = 4 << 20;

/// Looks up `host`, the registry the bytes come from (`registry-1.docker.io` also answers to Docker Hub's names).
pub(super) fn find(path: Option<&Path>, host: &str) -> Result<Found, RegistryError> {
    let Some(path) = path else {
        return Ok(Found::default());
    };
    let fault = |reason: String| RegistryError::ReadCredentials {
        path: path.to_owned(),
        reason,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::default()),
        Err(error) => return Err(fault(error.to_string())),
    };
    let mut bytes = Vec::new();
    file.take(LIMIT)
        .read_to_end(&mut bytes)
        .map_err(|error| fault(error.to_string()))?;
    // The position is enough to find the fault; serde's message could quote a value.
    let config: ConfigFile = serde_json::from_slice(&bytes).map_err(|error| {
        fault(format!(
            "not valid JSON of the expected shape at line {}, column {}",
            error.line(),
            error.column()
        ))
    })?;
    lookup(&config, host).map_err(fault)
}

fn lookup(config: &ConfigFile, host: &str) -> Result<Found, String> {
    let names: &[&str] = if host == "registry-1.docker.io" {
        &[DOCKER_HUB, "index.docker.io", "registry-1.docker.io"]
    } else {
        &[host]
    };
    let named = |key: &str| names.contains(&bare_host(key));
    let helper = config
        .helpers
        .iter()
        .find(|(key, _)| named(key))
        .map(|(_, helper)| helper.clone())
        .or_else(|| config.store.clone());
    // docker prefers the exact key; several spellings of one host are otherwise equal.
    let entry = names
        .iter()
        .find_map(|name| config.auths.get(*name))
        .or_else(|| {
            let mut entries = config.auths.iter();
            entries.find(|(key, _)| named(key)).map(|(_, entry)| entry)
        });
    let credentials = match entry {
        Some(entry) => credentials(entry)
            .ok_or_else(|| format!("the `auth` of {host} is not base64 of user:password"))?,
        None => None,
    };
    Ok(Found {
        credentials,
        helper,
    })
}

/// `https://index.docker.io/v1/` and `index.docker.io` are one host.
fn bare_host(key: &str) -> &str {
    let rest = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    rest.split('/').next().unwrap_or(rest)
}

/// `None` when the entry is malformed, `Some(None)` when it is empty, as docker leaves it beside a credential helper.
fn credentials(entry: &Entry) -> Option<Option<Credentials>> {
    if !entry.identity_token.is_empty() {
        let token = Secret::new(entry.identity_token.clone());
        return Some(Some(Credentials::Identity(token)));
    }
    if entry.auth.is_empty() {
        if entry.username.is_empty() {
            return Some(None);
        }
        return Some(Some(Credentials::Password {
            user: entry.username.clone(),
            password: Secret::new(entry.password.clone()),
        }));
    }
    let pair = String::from_utf8(STANDARD.decode(entry.auth.trim()).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some(Some(Credentials::Password {
        user: user.to_owned(),
        // docker's own reader drops trailing NULs that old versions wrote.
        password: Secret::new(password.trim_end_matches('\0').to_owned()),
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn found(json: &str, host: &str) -> Found {
        lookup(&serde_json::from_str(json).unwrap(), host).unwrap()
    }

    fn basic(json: &str, host: &str) -> Option<String> {
        let credentials = found(json, host).credentials?;
        Some(credentials.basic()?.expose().to_owned())
    }

    #[test]
    fn docker_hub_is_found_under_its_historic_key() {
        let json = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"}}}"#;
        assert_eq!(basic(json, "registry-1.docker.io").unwrap(), "Basic dTpw");
        assert!(basic(json, "example.org").is_none());
    }

    #[test]
    fn a_host_with_a_port_is_another_host() {
        let json = r#"{"auths":{"https://h:5000/v2/":{"username":"u","password":"p"},"h":{}}}"#;
        assert_eq!(basic(json, "h:5000").unwrap(), "Basic dTpw");
        assert!(basic(json, "h").is_none());
        assert!(basic(json, "h:5001").is_none());
    }

    #[test]
    fn helpers_are_named_and_identity_tokens_win() {
        let json = r#"{"auths":{"h":{"auth":"dTpw","identitytoken":"t"}},"credsStore":"desktop"}"#;
        let found = found(json, "h");
        assert_eq!(found.helper.unwrap(), "desktop");
        assert!(matches!(found.credentials, Some(Credentials::Identity(_))));
    }

    #[test]
    fn malformed_credentials_are_an_error_without_the_secret() {
        let config = serde_json::from_str(r#"{"auths":{"h":{"auth":"c2VjcmV0"}}}"#).unwrap();
        let message = lookup(&config, "h").unwrap_err();
        assert!(!message.contains("c2VjcmV0") && !message.contains("secret"));
    }
}
