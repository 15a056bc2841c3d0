//! Streams to attach and the keys that detach from a terminal.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of the program's three streams (`-a stdout`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    Stdin,
    Stdout,
    Stderr,
}

/// The bytes that, typed one after the other, leave the program running and give the terminal back.
/// Empty: nothing detaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetachKeys(pub Vec<u8>);

/// `ctrl-p,ctrl-q`.
pub const DEFAULT_DETACH_KEYS: &[u8] = &[16, 17];

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AttachError {
    #[error("valid streams are STDIN, STDOUT and STDERR, not {text:?}")]
    Stream { text: String },
    #[error("unknown character {key:?} in detach keys {text:?}")]
    DetachKeys { key: String, text: String },
}

impl FromStr for Stream {
    type Err = AttachError;

    fn from_str(text: &str) -> Result<Stream, AttachError> {
        match text.to_ascii_lowercase().as_str() {
            "stdin" => Ok(Stream::Stdin),
            "stdout" => Ok(Stream::Stdout),
            "stderr" => Ok(Stream::Stderr),
            _ => Err(AttachError::Stream {
                text: text.to_owned(),
            }),
        }
    }
}

impl FromStr for DetachKeys {
    type Err = AttachError;

    fn from_str(text: &str) -> Result<DetachKeys, AttachError> {
        let key = |key: &str| {
            key_byte(key).ok_or_else(|| AttachError::DetachKeys {
                key: key.to_owned(),
                text: text.to_owned(),
            })
        };
        if text.is_empty() {
            return Ok(DetachKeys(Vec::new()));
        }
        Ok(DetachKeys(
            text.split(',').map(key).collect::<Result<_, _>>()?,
        ))
    }
}

/// `a` is itself, `ctrl-a` is 1, up to `ctrl-_`, which is 31.
fn key_byte(key: &str) -> Option<u8> {
    if let [byte] = key.as_bytes() {
        return Some(*byte);
    }
    match key.strip_prefix("ctrl-")?.as_bytes() {
        [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
        [sign @ (b'@' | b'[' | b'\\' | b']' | b'^' | b'_')] => Some(sign - b'@'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Option<Vec<u8>> {
        text.parse::<DetachKeys>().ok().map(|keys| keys.0)
    }

    #[test]
    fn detach_keys_are_docker_s() {
        assert_eq!(keys("ctrl-p,ctrl-q").as_deref(), Some(DEFAULT_DETACH_KEYS));
        assert_eq!(keys("a,ctrl-@,ctrl-_,ctrl-["), Some(vec![b'a', 0, 31, 27]));
        assert_eq!(keys(""), Some(vec![]));
        assert_eq!(keys("ctrl-1"), None);
        assert_eq!(keys("shift-a"), None);
    }

    #[test]
    fn streams_in_any_case() {
        assert_eq!("STDIN".parse(), Ok(Stream::Stdin));
        assert!("stdlog".parse::<Stream>().is_err());
    }
}
