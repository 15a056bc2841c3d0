//! The streams that `-a` names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One of the program's three streams (`-a stdout`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    Stdin,
    Stdout,
    Stderr,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AttachError {
    #[error("valid streams are STDIN, STDOUT and STDERR, not {text:?}")]
    Stream { text: String },
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stream::Stdin => "stdin",
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_in_any_case() {
        assert_eq!("STDIN".parse(), Ok(Stream::Stdin));
        assert!("stdlog".parse::<Stream>().is_err());
    }
}
