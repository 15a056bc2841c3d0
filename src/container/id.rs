//! Container ids: 64 hex digits that no other container has.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// 256 random bits in lower-case hex; safe as a path component.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is no container id (64 lower-case hex digits)")]
pub struct ContainerIdError {
    text: String,
}

impl ContainerId {
    /// An id from the kernel's random numbers.
    pub fn random() -> std::io::Result<ContainerId> {
        let mut bytes = [0u8; 32];
        let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        if got != bytes.len() {
            return Err(std::io::Error::other(
                "the kernel gave too few random bytes",
            ));
        }
        Ok(ContainerId(
            bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        ))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, as docker prints ids; also the container's hostname.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl FromStr for ContainerId {
    type Err = ContainerIdError;

    fn from_str(text: &str) -> Result<ContainerId, ContainerIdError> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 64 && text.bytes().all(hex) {
            Ok(ContainerId(text.to_owned()))
        } else {
            Err(ContainerIdError {
                text: text.to_owned(),
            })
        }
    }
}

impl TryFrom<String> for ContainerId {
    type Error = ContainerIdError;

    fn try_from(text: String) -> Result<ContainerId, ContainerIdError> {
        text.parse()
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> String {
        id.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
