//! Volume names: docker's grammar, and the 64 hex digits of a volume that nobody named.

use std::fmt;
use std::str::FromStr;

use crate::container::id::ContainerId;

/// `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, checked when parsed, so it is safe as a path component.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VolumeName(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VolumeNameError {
    #[error(
        "create {text}: volume name is too short, names should be at least two alphanumeric characters"
    )]
    Short { text: String },
    #[error("create {text}: volume name is too long, names have at most 255 bytes")]
    Long { text: String },
    #[error(
        "create {text}: {text:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )]
    Characters { text: String },
}

impl VolumeName {
    /// A name that no other volume has, from the kernel's random numbers.
    pub fn random() -> std::io::Result<VolumeName> {
        Ok(VolumeName(ContainerId::random()?.as_str().to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VolumeName {
    type Err = VolumeNameError;

    fn from_str(text: &str) -> Result<VolumeName, VolumeNameError> {
        let word = |byte: u8| byte.is_ascii_alphanumeric();
        let rest = |byte: u8| word(byte) || matches!(byte, b'_' | b'.' | b'-');
        let text = text.to_owned();
        match text.len() {
            0 | 1 => Err(VolumeNameError::Short { text }),
            256.. => Err(VolumeNameError::Long { text }),
            _ if text.bytes().next().is_some_and(word) && text.bytes().all(rest) => {
                Ok(VolumeName(text))
            }
            _ => Err(VolumeNameError::Characters { text }),
        }
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_dockers_grammar() {
        for good in ["db", "a1", "A_b.c-d", &"a".repeat(255)] {
            assert!(good.parse::<VolumeName>().is_ok(), "{good} was refused");
        }
        let long = "a".repeat(256);
        for bad in [
            "", "a", ".", "..", "../x", "a/b", "-a", ".a", "a b", "a\0b", "ä1", &long,
        ] {
            assert!(bad.parse::<VolumeName>().is_err(), "{bad} was accepted");
        }
    }
}
