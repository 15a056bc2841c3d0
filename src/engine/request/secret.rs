//! `--secret`, and what may be asked of secrets. Values only: no secret is read here.

use std::collections::BTreeMap;

use super::filter::{FilterError, split};
use crate::container::{SecretConfig, SecretPlace};

/// Where podman puts what has no path of its own.
const DIRECTORY: &str = "/run/secrets";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateSecretRequest {
    pub name: String,
    pub value: Vec<u8>,
    pub labels: BTreeMap<String, String>,
    pub replace: bool,
}

/// `secret ls`; a filter that does not count is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretFilters {
    /// Beginnings of ids.
    pub ids: Vec<String>,
    /// Beginnings of names.
    pub names: Vec<String>,
    pub labels: super::LabelFilters,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SecretFlagError {
    #[error("secret {text:?}: no secret is named")]
    NoName { text: String },
    #[error("secret option {field:?}: not a key=value pair")]
    Field { field: String },
    #[error("secret option {key}: not known")]
    Key { key: String },
    #[error("secret option {key}={value}: {expected}")]
    Value {
        key: String,
        value: String,
        expected: &'static str,
    },
    #[error("secret option {key}: a variable has none")]
    Mixed { key: &'static str },
}

impl SecretFilters {
    pub fn add(&mut self, text: &str) -> Result<(), FilterError> {
        let (key, value) = split(text)?;
        match key.as_str() {
            "id" => self.ids.push(value.to_owned()),
            "name" => self.names.push(value.to_owned()),
            "label" => self.labels.want(value),
            _ => return Err(FilterError::Key { key }),
        }
        Ok(())
    }
}

/// `name[,type=mount|env][,target=…][,uid=…][,gid=…][,mode=…]`, or `source=name,…`.
pub fn parse_secret(text: &str) -> Result<SecretConfig, SecretFlagError> {
    let mut fields = Fields::default();
    for (number, field) in text.split(',').enumerate() {
        match field.split_once('=') {
            Some((key, value)) => fields.set(key, value)?,
            None if number == 0 => fields.name = Some(field.to_owned()),
            None => {
                return Err(SecretFlagError::Field {
                    field: field.to_owned(),
                });
            }
        }
    }
    fields.finish(text)
}

#[derive(Default)]
struct Fields {
    name: Option<String>,
    variable: bool,
    target: Option<String>,
    uid: Option<u32>,
    gid: Option<u32>,
    mode: Option<u32>,
}

impl Fields {
    fn set(&mut self, key: &str, value: &str) -> Result<(), SecretFlagError> {
        let wrong = |expected| SecretFlagError::Value {
            key: key.to_owned(),
            value: value.to_owned(),
            expected,
        };
        match key {
            "source" => self.name = Some(value.to_owned()),
            "type" => {
                self.variable = match value {
                    "mount" => false,
                    "env" => true,
                    _ => return Err(wrong("mount or env")),
                }
            }
            "target" => self.target = Some(value.to_owned()).filter(|target| !target.is_empty()),
            "uid" => self.uid = Some(value.parse().map_err(|_| wrong("not a number"))?),
            "gid" => self.gid = Some(value.parse().map_err(|_| wrong("not a number"))?),
            "mode" => {
                let mode = u32::from_str_radix(value, 8).ok();
                let mode = mode.filter(|mode| *mode <= 0o7777);
                self.mode = Some(mode.ok_or_else(|| wrong("no octal mode"))?);
            }
            _ => {
                return Err(SecretFlagError::Key {
                    key: key.to_owned(),
                });
            }
        }
        Ok(())
    }

    fn finish(self, text: &str) -> Result<SecretConfig, SecretFlagError> {
        let name = self.name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| SecretFlagError::NoName {
            text: text.to_owned(),
        })?;
        let target = self.target.unwrap_or_else(|| name.clone());
        let wrong = |expected| SecretFlagError::Value {
            key: "target".to_owned(),
            value: target.replace('\0', "?"),
            expected,
        };
        if target.contains('\0') {
            return Err(wrong("has a NUL byte in it"));
        }
        let place = if self.variable {
            for (key, given) in [
                ("uid", self.uid.is_some()),
                ("gid", self.gid.is_some()),
                ("mode", self.mode.is_some()),
            ] {
                if given {
                    return Err(SecretFlagError::Mixed { key });
                }
            }
            if target.contains('=') {
                return Err(wrong("no name of a variable"));
            }
            SecretPlace::Variable { name: target }
        } else {
            let path = match target.starts_with('/') {
                true => target.clone(),
                false => format!("{DIRECTORY}/{target}"),
            };
            if path.ends_with('/') || path.split('/').any(|part| matches!(part, "." | "..")) {
                return Err(wrong("no plain path of a file"));
            }
            SecretPlace::File {
                target: path,
                uid: self.uid.unwrap_or(0),
                gid: self.gid.unwrap_or(0),
                mode: self.mode.unwrap_or(0o444),
            }
        };
        Ok(SecretConfig { name, place })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn place(text: &str) -> Result<SecretPlace, String> {
        parse_secret(text)
            .map(|secret| secret.place)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn secrets_are_files_or_variables() {
        let file = |target: &str, uid, gid, mode| {
            Ok(SecretPlace::File {
                target: target.to_owned(),
                uid,
                gid,
                mode,
            })
        };
        assert_eq!(place("token"), file("/run/secrets/token", 0, 0, 0o444));
        assert_eq!(
            place("source=token,target=/etc/key,uid=5,gid=6,mode=0400"),
            file("/etc/key", 5, 6, 0o400)
        );
        assert_eq!(
            place("token,target=db/pass"),
            file("/run/secrets/db/pass", 0, 0, 0o444)
        );
        let variable = |name: &str| {
            Ok(SecretPlace::Variable {
                name: name.to_owned(),
            })
        };
        assert_eq!(place("token,type=env"), variable("token"));
        assert_eq!(place("token,type=env,target=KEY"), variable("KEY"));
        for bad in [
            "",
            "type=env",
            "token,x=1",
            "token,type=socket",
            "token,mode=9",
            "token,uid=me",
            "token,type=env,mode=400",
            "token,target=../etc/passwd",
            "token,target=/etc/",
            "token,type=env,target=A=B",
            "token,loose",
        ] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }
}
