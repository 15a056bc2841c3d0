//! What is wrong with a bake file.

use super::BakeFile;
use super::eval::EvalError;
use super::resolve::{BASES, DEPTH, PARTS};
use crate::build::dockerfile::excerpt;
use crate::build::dotenv::DotenvError;
use crate::build::interpolate::InterpolateError;

#[derive(Debug, thiserror::Error)]
pub enum BakeError {
    #[error("failed to parse {file}: {text}")]
    Parse { file: String, text: String },
    #[error("failed to parse {file}:{line}:{column}: {message}")]
    Syntax {
        file: String,
        line: usize,
        column: usize,
        message: String,
        /// What stands there.
        text: String,
    },
    #[error("{file}: {place}: {source}")]
    Value {
        file: String,
        place: String,
        source: EvalError,
    },
    #[error("{file}: target {target:?}: {source}")]
    Target {
        file: String,
        target: String,
        source: serde_json::Error,
    },
    #[error("{file}: group {group:?}: {source}")]
    Group {
        file: String,
        group: String,
        source: serde_json::Error,
    },
    #[error("{file}: service {service:?}: {source}")]
    Service {
        file: String,
        service: String,
        source: serde_json::Error,
    },
    #[error("{file}: {what} is not known: variable, function, group and target are")]
    Block { file: String, what: String },
    #[error("{file}: {place}: {text}")]
    Form {
        file: String,
        place: String,
        text: &'static str,
    },
    #[error("{file}: {source}")]
    Interpolation {
        file: String,
        source: InterpolateError,
    },
    #[error("{file}: {source}")]
    Dotenv { file: String, source: DotenvError },
    #[error("variable {name:?}: {text:?} is no {kind}")]
    Environment {
        name: String,
        text: String,
        kind: &'static str,
    },
    #[error("variable {name:?}: {text}")]
    Invalid { name: String, text: String },
    #[error("failed to find target {name}")]
    Unknown { name: String },
    #[error("infinite loop from {name}")]
    Circle { name: String },
    #[error("{name} is reached over more than {DEPTH} groups or targets")]
    Deep { name: String },
    #[error("target {name} inherits more than {BASES} targets")]
    Bases { name: String },
    #[error("target {target:?}: its matrix has more than {PARTS} parts")]
    Parts { target: String },
    #[error("invalid override {text:?}: TARGET.KEY=VALUE is expected")]
    Override { text: String },
    #[error("invalid override {text:?}: {key} is no key of a target")]
    OverrideKey { text: String, key: String },
    #[error("could not find any target matching {pattern:?}")]
    Pattern { pattern: String },
    #[error("invalid name {name:?} of a target: letters, digits, - and _ are allowed")]
    Name { name: String },
    #[error(
        "target {target:?}: its matrix needs a name that tells its parts apart, and lists as values"
    )]
    Matrix { target: String },
}

impl BakeError {
    pub(super) fn syntax(file: &BakeFile, error: &hcl::Error) -> BakeError {
        let name = file.name.clone();
        match error {
            hcl::Error::Parse(error) => BakeError::Syntax {
                file: name,
                line: error.location().line(),
                column: error.location().column(),
                message: error.message().to_owned(),
                text: error.line().trim_end().to_owned(),
            },
            other => BakeError::Parse {
                file: name,
                text: other.to_string(),
            },
        }
    }

    /// The line and a caret below the place, for a terminal.
    pub fn excerpt(&self) -> Option<String> {
        match self {
            BakeError::Syntax {
                line, column, text, ..
            } => Some(excerpt(*line, *column, text)),
            _ => None,
        }
    }
}
