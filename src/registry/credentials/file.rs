//! Files with credentials: docker's `config.json` and containers' `auth.json`, which have one format. Reads and changes one
//! file at a time, calls no credential helper, never prints a secret.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::error::RegistryError;
use super::super::secret::Secret;
use super::{Credentials, names_of};
use crate::sys::{fs, lock};

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(default)]
    auths: BTreeMap<String, Record>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Record {
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

/// What one file says about one registry.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub credentials: Option<Credentials>,
    /// The helper that holds the user's credentials instead.
    pub helper: Option<String>,
}

/// Looks up `host`; a missing file says nothing. Containers' files may tell repositories apart: `host/path` goes before `host`.
pub(super) fn find(
    path: &Path,
    host: &str,
    repository: Option<&str>,
) -> Result<Entry, RegistryError> {
    let Some(bytes) = read(path)? else {
        return Ok(Entry::default());
    };
    // The position is enough to find the fault; serde's message could quote a value.
    let config: ConfigFile =
        serde_json::from_slice(&bytes).map_err(|error| fault(path, shape(&error)))?;
    lookup(&config, host, repository).map_err(|reason| fault(path, reason))
}

/// The file's bytes; `None` where there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, RegistryError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(path, error.to_string())),
    };
    let mut bytes = Vec::new();
    file.take(LIMIT)
        .read_to_end(&mut bytes)
        .map_err(|error| fault(path, error.to_string()))?;
    Ok(Some(bytes))
}

fn fault(path: &Path, reason: String) -> RegistryError {
    RegistryError::ReadCredentials {
        path: path.to_owned(),
        reason,
    }
}

fn shape(error: &serde_json::Error) -> String {
    format!(
        "not valid JSON of the expected shape at line {}, column {}",
        error.line(),
        error.column()
    )
}

fn lookup(config: &ConfigFile, host: &str, repository: Option<&str>) -> Result<Entry, String> {
    let names = names_of(host);
    let named = |key: &str| names.contains(&bare_host(key));
    let helper = config
        .helpers
        .iter()
        .find(|(key, _)| named(key))
        .map(|(_, helper)| helper.clone())
        .or_else(|| config.store.clone());
    let mut paths = Vec::new();
    if let Some(repository) = repository {
        let ends = repository.match_indices('/').map(|(at, _)| at);
        let ends: Vec<usize> = ends.chain([repository.len()]).collect();
        for end in ends.into_iter().rev() {
            paths.extend(
                names
                    .iter()
                    .map(|name| format!("{name}/{}", &repository[..end])),
            );
        }
    }
    // docker prefers the exact key; several spellings of one host are otherwise equal.
    let record = paths
        .iter()
        .filter_map(|path| config.auths.get(path))
        .chain(names.iter().filter_map(|name| config.auths.get(*name)))
        .next()
        .or_else(|| {
            let mut records = config.auths.iter();
            records
                .find(|(key, _)| named(key))
                .map(|(_, record)| record)
        });
    let credentials = match record {
        Some(record) => credentials(record)
            .ok_or_else(|| format!("the `auth` of {host} is not base64 of user:password"))?,
        None => None,
    };
    Ok(Entry {
        credentials,
        helper,
    })
}

/// `https://index.docker.io/v1/` and `index.docker.io` are one host; `host/path` of a containers' file is none.
fn bare_host(key: &str) -> &str {
    let rest = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    match rest.trim_end_matches('/').split_once('/') {
        None => rest.trim_end_matches('/'),
        Some((host, "v1" | "v2")) => host,
        Some(_) => rest,
    }
}

/// Changes the records of a file and leaves everything else in it as it is. Two logins at once do not undo each other: the
/// directory is locked.
pub(super) fn change(
    path: &Path,
    change: impl FnOnce(&mut Map<String, Value>),
) -> Result<PathBuf, RegistryError> {
    let failed = |reason: String| RegistryError::WriteCredentials {
        path: path.to_owned(),
        reason,
    };
    let io = |error: io::Error| failed(error.to_string());
    let parent = path.parent().unwrap_or(Path::new("."));
    std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o700)
        .create(parent)
        .map_err(io)?;
    let directory = fs::open_directory(parent).map_err(io)?;
    lock::hold_alone(&directory).map_err(io)?;
    // Who keeps the file elsewhere and a link to it here goes on doing so.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let text = read(&target)?.filter(|bytes| !bytes.is_empty());
    let mut document: Map<String, Value> = match text {
        Some(bytes) => {
            serde_json::from_slice(&bytes).map_err(|error| fault(path, shape(&error)))?
        }
        None => Map::new(),
    };
    let records = document.entry("auths").or_insert_with(|| json!({}));
    let Some(records) = records.as_object_mut() else {
        return Err(fault(path, "its `auths` is no object".to_owned()));
    };
    change(records);
    let mut bytes = Vec::new();
    let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut writer = serde_json::Serializer::with_formatter(&mut bytes, tabs);
    document
        .serialize(&mut writer)
        .map_err(|error| failed(error.to_string()))?;
    fs::replace_file(&target, &bytes).map_err(io)?;
    Ok(target)
}

/// The record of a registry as docker writes it; without credentials the empty one that stands beside a helper's.
pub(super) fn record(credentials: Option<&Credentials>) -> Value {
    match credentials {
        None => json!({}),
        Some(Credentials::Password { user, password }) => {
            json!({ "auth": STANDARD.encode(format!("{user}:{}", password.expose())) })
        }
        Some(Credentials::Identity { user, token }) => json!({
            "auth": STANDARD.encode(format!("{user}:")),
            "identitytoken": token.expose(),
        }),
    }
}

/// The hosts of a file's records, docker.io for all of Docker Hub's.
pub(super) fn hosts(path: &Path) -> Result<Vec<String>, RegistryError> {
    let Some(bytes) = read(path)? else {
        return Ok(Vec::new());
    };
    let config: ConfigFile =
        serde_json::from_slice(&bytes).map_err(|error| fault(path, shape(&error)))?;
    let hosts = config.auths.keys().map(|key| names_of(bare_host(key))[0]);
    Ok(hosts.map(str::to_owned).collect())
}

/// Takes out every spelling of a host.
pub(super) fn remove(records: &mut Map<String, Value>, host: &str) {
    records.retain(|key, _| !names_of(host).contains(&bare_host(key)));
}

/// `None` when the record is malformed, `Some(None)` when it is empty, as docker leaves it beside a credential helper.
fn credentials(record: &Record) -> Option<Option<Credentials>> {
    let pair = match record.auth.trim() {
        "" => Some((record.username.clone(), record.password.clone())),
        auth => pair(auth),
    };
    if !record.identity_token.is_empty() {
        return Some(Some(Credentials::Identity {
            user: pair.map(|(user, _)| user).unwrap_or_default(),
            token: Secret::new(record.identity_token.clone()),
        }));
    }
    let (user, password) = pair?;
    let has_user = !user.is_empty();
    Some(has_user.then(|| Credentials::Password {
        user,
        password: Secret::new(password),
    }))
}

fn pair(auth: &str) -> Option<(String, String)> {
    let pair = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    // docker's own reader drops trailing NULs that old versions wrote.
    Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn found(json: &str, host: &str) -> Entry {
        lookup(&serde_json::from_str(json).unwrap(), host, Some("a/b")).unwrap()
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
    fn a_record_of_the_repository_goes_before_that_of_its_host() {
        // base64 of u:p, v:q and w:r
        let json = r#"{"auths":{"h":{"auth":"dTpw"},"h/a":{"auth":"djpx"},"h/c":{"auth":"dzpy"}}}"#;
        assert_eq!(basic(json, "h").unwrap(), "Basic djpx");
        assert!(basic(r#"{"auths":{"h/c":{"auth":"dzpy"}}}"#, "h").is_none());
    }

    #[test]
    fn helpers_are_named_and_identity_tokens_win() {
        let json = r#"{"auths":{"h":{"auth":"dTpw","identitytoken":"t"}},"credsStore":"desktop"}"#;
        let found = found(json, "h");
        assert_eq!(found.helper.unwrap(), "desktop");
        let credentials = found.credentials.unwrap();
        assert!(matches!(credentials, Credentials::Identity { .. }));
        assert_eq!(credentials.user(), "u");
    }

    #[test]
    fn malformed_credentials_are_an_error_without_the_secret() {
        let config = serde_json::from_str(r#"{"auths":{"h":{"auth":"c2VjcmV0"}}}"#).unwrap();
        let message = lookup(&config, "h", None).unwrap_err();
        assert!(!message.contains("c2VjcmV0") && !message.contains("secret"));
    }
}
