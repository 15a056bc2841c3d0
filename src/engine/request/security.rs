//! `--security-opt`: what it may say here. Files are read by the caller.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::config::parse_bool;

/// Which seccomp filter the program gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeccompChoice {
    /// docker's default profile.
    Default,
    Unconfined,
    /// A profile in docker's JSON, whole.
    Profile(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecurityOption {
    NoNewPrivileges(bool),
    Seccomp(SeccompChoice),
    /// A profile still to be read from this file; the cli replaces it by `Seccomp(Profile(…))`.
    SeccompFile(String),
    /// Nothing of /proc and /sys is masked or read-only.
    OpenSystemPaths,
    /// No label of SELinux and no profile of AppArmor, in docker's words: no container of bryo has one.
    Unconfined(String),
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SecurityError {
    #[error("invalid --security-opt: {text:?}")]
    Unknown { text: String },
    #[error("--security-opt {text}: {value:?} is neither true nor false")]
    Bool { text: String, value: String },
    #[error("--security-opt {key} is not yet supported by bryo")]
    Later { key: String },
}

impl FromStr for SecurityOption {
    type Err = SecurityError;

    fn from_str(text: &str) -> Result<SecurityOption, SecurityError> {
        let unknown = || SecurityError::Unknown {
            text: text.to_owned(),
        };
        // docker still reads the old spelling with a colon
        let (key, value) = match text.split_once(['=', ':']) {
            Some((key, value)) => (key, Some(value)),
            None => (text, None),
        };
        match (key, value) {
            ("no-new-privileges", None) => Ok(SecurityOption::NoNewPrivileges(true)),
            ("no-new-privileges", Some(value)) => {
                let on = parse_bool(value).ok_or_else(|| SecurityError::Bool {
                    text: text.to_owned(),
                    value: value.to_owned(),
                })?;
                Ok(SecurityOption::NoNewPrivileges(on))
            }
            ("seccomp", Some("unconfined")) => {
                Ok(SecurityOption::Seccomp(SeccompChoice::Unconfined))
            }
            ("seccomp", Some("builtin")) => Ok(SecurityOption::Seccomp(SeccompChoice::Default)),
            ("seccomp", Some(file)) if !file.is_empty() => {
                Ok(SecurityOption::SeccompFile(file.to_owned()))
            }
            ("systempaths", Some("unconfined")) => Ok(SecurityOption::OpenSystemPaths),
            ("apparmor", Some("unconfined")) | ("label", Some("disable")) => Ok(
                SecurityOption::Unconfined(format!("{key}={}", value.unwrap_or_default())),
            ),
            ("apparmor" | "label" | "writable-cgroups" | "credentialspec", Some(_)) => {
                Err(SecurityError::Later {
                    key: key.to_owned(),
                })
            }
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_in_both_spellings() {
        assert_eq!(
            "no-new-privileges".parse(),
            Ok(SecurityOption::NoNewPrivileges(true))
        );
        assert_eq!(
            "no-new-privileges:false".parse(),
            Ok(SecurityOption::NoNewPrivileges(false))
        );
        assert_eq!(
            "seccomp=unconfined".parse(),
            Ok(SecurityOption::Seccomp(SeccompChoice::Unconfined))
        );
        assert_eq!(
            "systempaths=unconfined".parse(),
            Ok(SecurityOption::OpenSystemPaths)
        );
        assert_eq!(
            "seccomp=a:b.json".parse(),
            Ok(SecurityOption::SeccompFile("a:b.json".to_owned()))
        );
        assert_eq!(
            "label:disable".parse(),
            Ok(SecurityOption::Unconfined("label=disable".to_owned()))
        );
        assert!("label=type:x".parse::<SecurityOption>().is_err());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let error = |text: &str| text.parse::<SecurityOption>().map_err(|e| e.to_string());
        assert_eq!(
            error("foo=bar"),
            Err("invalid --security-opt: \"foo=bar\"".to_owned())
        );
        assert!(error("seccomp").is_err());
        assert!(error("no-new-privileges=maybe").is_err());
        assert_eq!(
            error("apparmor=x"),
            Err("--security-opt apparmor is not yet supported by bryo".to_owned())
        );
    }
}
