//! What can be wrong with compose files, and with what a command line says of them.

use std::io;
use std::path::PathBuf;

use crate::build::dockerfile::excerpt;
use crate::build::dotenv::DotenvError;

#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    #[error("no configuration file provided: not found")]
    NoFile,
    #[error("open {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is no regular file", path.display())]
    NoFileAt { path: PathBuf },
    #[error("{} has more than {mebibytes} MiB", path.display())]
    Large { path: PathBuf, mebibytes: u64 },
    #[error("{} is no UTF-8", path.display())]
    NoText { path: PathBuf },
    #[error("more than {count} files belong to the project")]
    TooMany { count: usize },
    #[error("{file}:{line}:{column}: {message}")]
    At {
        file: String,
        line: usize,
        column: usize,
        message: String,
        /// The key that was likely meant.
        near: Option<String>,
        /// What stands there.
        text: String,
    },
    #[error("{text}")]
    Invalid { text: String },
    #[error("empty compose file")]
    Empty,
    #[error("failed to read {}", path.display())]
    Dotenv {
        path: PathBuf,
        #[source]
        source: DotenvError,
    },
    #[error("couldn't find env file: {}", path.display())]
    NoEnvFile { path: PathBuf },
    #[error("env file {} not found", path.display())]
    NoServiceEnvFile { path: PathBuf },
    #[error("{name}: compose files of other hosts are not read")]
    Remote { name: String },
    #[error(
        "invalid project name {name:?}: must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number"
    )]
    Name { name: String },
    #[error("project name must not be empty")]
    NoName,
    #[error("no such service: {name}")]
    NoService { name: String },
    #[error("{text}: invalid compose project")]
    Inconsistent { text: String },
}

impl ComposeError {
    /// The line and a caret below the place, for a terminal.
    pub fn excerpt(&self) -> Option<String> {
        match self {
            ComposeError::At {
                line, column, text, ..
            } => Some(excerpt(*line, *column, text)),
            _ => None,
        }
    }

    /// What was likely meant, or what to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            ComposeError::At {
                near: Some(near), ..
            } => Some(format!("{near}:")),
            _ => None,
        }
    }
}
