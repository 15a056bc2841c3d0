//! Content digests as the OCI image spec writes them (`descriptor.md`, "Digests").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A sha256 digest: `sha256:` and 64 lower-case hex digits, checked when parsed, so it is safe as a path component.
/// sha512, the only other registered algorithm, is used by no known registry and refused by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DigestError {
    #[error("digest {text:?} is not sha256: followed by 64 lower-case hex digits")]
    Malformed { text: String },
    #[error("digest algorithm {algorithm:?} is not supported, only sha256 is")]
    Algorithm { algorithm: String },
}

impl Digest {
    const PREFIX: &str = "sha256:";

    /// The digest of bytes held in memory.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::from_hash(Sha256::digest(bytes).as_slice())
    }

    /// The digest whose 32 raw bytes a finished hasher gave.
    pub fn from_hash(raw: &[u8]) -> Digest {
        let mut text = String::with_capacity(71);
        text.push_str(Self::PREFIX);
        for byte in raw {
            text.push(char::from_digit(u32::from(byte >> 4), 16).expect("a nibble is below 16"));
            text.push(char::from_digit(u32::from(byte & 15), 16).expect("a nibble is below 16"));
        }
        Digest(text)
    }

    /// The 64 hex digits: the name of a blob, layer or image in the store.
    pub fn hex(&self) -> &str {
        &self.0[Self::PREFIX.len()..]
    }

    /// The first 12 hex digits, as docker prints ids.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Digest, DigestError> {
        let malformed = || DigestError::Malformed {
            text: text.to_owned(),
        };
        let (algorithm, hex) = text.split_once(':').ok_or_else(malformed)?;
        if algorithm != "sha256" {
            return match algorithm {
                "sha512" | "sha384" => Err(DigestError::Algorithm {
                    algorithm: algorithm.to_owned(),
                }),
                _ => Err(malformed()),
            };
        }
        let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if hex.len() != 64 || !hex.bytes().all(lower_hex) {
            return Err(malformed());
        }
        Ok(Digest(text.to_owned()))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Digest, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strict_sha256_is_accepted() {
        let good = Digest::of(b"").to_string();
        assert_eq!(
            good,
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert!(good.parse::<Digest>().is_ok());
        for bad in [
            "../../x",
            "sha256:",
            &good[..70],
            &good.to_uppercase(),
            &format!("{good}0"),
            "md5:00",
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad} was accepted");
        }
    }
}
