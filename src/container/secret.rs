//! Secrets on disk: one file of mode 0600 each below `secrets/`, a line of JSON about it and then its bytes. Never prints a
//! value, never hands one to a container.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::id::ContainerId;
use crate::paths::{Paths, PathsError};
use crate::sys::disk;
use crate::sys::fs::{
    create_file, names_in, open_directory, read_bounded, replace_file, sweep_temporary_files,
    sync_directory,
};

/// Podman's limit for a value, in bytes.
const VALUE_MAX: usize = 512_000;

/// What is said of a secret, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// 25 lower-case hex digits, as podman's.
    pub id: String,
    pub name: String,
    /// RFC 3339, UTC.
    pub created: String,
    pub updated: String,
    pub labels: BTreeMap<String, String>,
}

/// Bytes that reach no log, message or `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Vec<u8>);

/// `[a-zA-Z0-9]` at both ends, `[a-zA-Z0-9-_.]` between: safe as a path component. At most 253 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretName(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "invalid secret name {text:?}: only 253 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]"
)]
pub struct SecretNameError {
    text: String,
}

/// All secrets of a user.
#[derive(Clone, Debug)]
pub struct Secrets {
    directory: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error(transparent)]
    Paths(#[from] PathsError),
    #[error("no such secret: {name}")]
    NotFound { name: String },
    #[error("{name:?} begins the ids of several secrets")]
    Ambiguous { name: String },
    #[error("secret {name}: name in use by secret {owner}")]
    NameTaken { name: String, owner: String },
    #[error("secret data must be larger than 0 and less than {VALUE_MAX} bytes")]
    Size,
    #[error("read secret {name}: {source}")]
    Read { name: String, source: io::Error },
    #[error("write secret {name}: {source}")]
    Write { name: String, source: io::Error },
    #[error("remove secret {name}: {source}")]
    Remove { name: String, source: io::Error },
    #[error("read directory {path}: {source}")]
    List { path: PathBuf, source: io::Error },
}

impl SecretValue {
    /// Refuses what is empty or longer than podman takes.
    pub fn new(bytes: Vec<u8>) -> Result<SecretValue, SecretError> {
        match bytes.len() {
            1..VALUE_MAX => Ok(SecretValue(bytes)),
            _ => Err(SecretError::Size),
        }
    }

    /// The bytes themselves, for who hands them on.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(…)")
    }
}

impl FromStr for SecretName {
    type Err = SecretNameError;

    fn from_str(text: &str) -> Result<SecretName, SecretNameError> {
        let word = |byte: u8| byte.is_ascii_alphanumeric();
        let rest = |byte: u8| word(byte) || matches!(byte, b'_' | b'.' | b'-');
        let ends = [text.bytes().next(), text.bytes().last()];
        let good = text.len() <= 253
            && ends.into_iter().all(|end| end.is_some_and(word))
            && text.bytes().all(rest);
        match good {
            true => Ok(SecretName(text.to_owned())),
            false => Err(SecretNameError {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Secrets {
    pub fn new(paths: &Paths) -> Secrets {
        Secrets {
            directory: paths.secrets(),
        }
    }

    /// Keeps a value under a name; one that is taken only with `replace`, which gives it a new id.
    pub fn create(
        &self,
        name: &SecretName,
        value: &SecretValue,
        labels: BTreeMap<String, String>,
        replace: bool,
    ) -> Result<Secret, SecretError> {
        let failed = |source| SecretError::Write {
            name: name.to_string(),
            source,
        };
        Paths::make(&self.directory)?;
        let id = ContainerId::random().map_err(failed)?;
        let now = jiff::Timestamp::now().to_string();
        let secret = Secret {
            id: id.as_str()[..25].to_owned(),
            name: name.to_string(),
            created: now.clone(),
            updated: now,
            labels,
        };
        let mut bytes = serde_json::to_vec(&secret).map_err(|error| failed(error.into()))?;
        bytes.push(b'\n');
        bytes.extend_from_slice(value.expose());
        // What killed commands left holds values too.
        sweep_temporary_files(&self.directory).map_err(failed)?;
        let path = self.path(name);
        if replace {
            replace_file(&path, &bytes).map_err(failed)?;
        } else if !create_file(&path, &bytes).map_err(failed)? {
            let owner = self.find_name(name).map(|secret| secret.id);
            return Err(SecretError::NameTaken {
                name: name.to_string(),
                owner: owner.unwrap_or_default(),
            });
        }
        Ok(secret)
    }

    fn path(&self, name: &SecretName) -> PathBuf {
        self.directory.join(&name.0)
    }

    fn read(&self, name: &SecretName) -> Result<(Secret, SecretValue), SecretError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => SecretError::NotFound {
                name: name.to_string(),
            },
            _ => SecretError::Read {
                name: name.to_string(),
                source,
            },
        };
        let damaged = || failed(io::Error::from(io::ErrorKind::InvalidData));
        let limit = 2 * VALUE_MAX as u64;
        let mut bytes = read_bounded(&self.path(name), limit).map_err(failed)?;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or_else(damaged)?;
        let secret = serde_json::from_slice(&bytes[..end]).map_err(|_| damaged())?;
        bytes.drain(..=end);
        Ok((secret, SecretValue(bytes)))
    }

    fn find_name(&self, name: &SecretName) -> Result<Secret, SecretError> {
        self.read(name).map(|(secret, _)| secret)
    }

    /// By name, id, or unique beginning of an id.
    pub fn find(&self, text: &str) -> Result<(Secret, SecretValue), SecretError> {
        let not_found = || SecretError::NotFound {
            name: text.to_owned(),
        };
        if let Ok(name) = text.parse() {
            match self.read(&name) {
                Err(SecretError::NotFound { .. }) => {}
                other => return other,
            }
        }
        let all = self.all()?;
        let mut matching = all.iter().filter(|secret| secret.id.starts_with(text));
        let first = matching.next().filter(|_| !text.is_empty());
        let first = first.ok_or_else(not_found)?;
        match matching.next() {
            None => self.read(&first.name.parse().map_err(|_| not_found())?),
            Some(_) => Err(SecretError::Ambiguous {
                name: text.to_owned(),
            }),
        }
    }

    /// The names of all secrets, in no order.
    pub fn names(&self) -> Result<Vec<SecretName>, SecretError> {
        let names = names_in(&self.directory).map_err(|source| SecretError::List {
            path: self.directory.clone(),
            source,
        })?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// All secrets by name. One that is removed meanwhile is left out.
    pub fn all(&self) -> Result<Vec<Secret>, SecretError> {
        let mut found = Vec::new();
        for name in self.names()? {
            match self.find_name(&name) {
                Ok(secret) => found.push(secret),
                Err(SecretError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    pub fn remove(&self, secret: &Secret) -> Result<(), SecretError> {
        let failed = |source| SecretError::Remove {
            name: secret.name.clone(),
            source,
        };
        let removed = disk::remove_file(self.directory.join(&secret.name));
        removed
            .and_then(|()| open_directory(&self.directory))
            .and_then(sync_directory)
            .map_err(failed)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_secret_is_kept_once_and_found_by_name_and_id() {
        let directory = std::env::temp_dir().join(format!("bryo-secrets-{}", std::process::id()));
        let secrets = Secrets {
            directory: directory.clone(),
        };
        let name: SecretName = "token".parse().unwrap();
        let value = SecretValue::new(b"a\nb\0".to_vec()).unwrap();
        let made = secrets
            .create(&name, &value, BTreeMap::new(), false)
            .unwrap();
        let again = secrets.create(&name, &value, BTreeMap::new(), false);
        assert!(matches!(again, Err(SecretError::NameTaken { .. })));
        for text in ["token", &made.id, &made.id[..6]] {
            assert_eq!(secrets.find(text).unwrap(), (made.clone(), value.clone()));
        }
        let other = SecretValue::new(b"c".to_vec()).unwrap();
        let replaced = secrets
            .create(&name, &other, BTreeMap::new(), true)
            .unwrap();
        assert_eq!(secrets.find("token").unwrap(), (replaced.clone(), other));
        assert_eq!(secrets.all().unwrap(), std::slice::from_ref(&replaced));
        secrets.remove(&replaced).unwrap();
        assert!(secrets.find("token").is_err());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        fs::remove_dir(directory).unwrap();
        assert_eq!(format!("{value:?}"), "SecretValue(…)");
    }

    #[test]
    fn names_and_sizes_have_limits() {
        for good in ["a", "db_password", "x.y-z"] {
            assert!(good.parse::<SecretName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a,b", "-a", "a.", "a b", "ä"] {
            assert!(bad.parse::<SecretName>().is_err(), "{bad}");
        }
        assert!(SecretValue::new(Vec::new()).is_err());
        assert!(SecretValue::new(vec![0; VALUE_MAX]).is_err());
        assert!(SecretValue::new(vec![0; VALUE_MAX - 1]).is_ok());
    }
}
