//! What is wrong with a bake file.

use super::compose::NESTED;
use super::eval::EvalError;
use super::resolve::{BASES, DEPTH, PARTS};

#[derive(Debug, thiserror::Error)]
pub enum BakeError {
    #[error("failed to parse {file}: {text}")]
    Parse { file: String, text: String },
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
    #[error("{file}: invalid interpolation {text:?}")]
    Interpolation { file: String, text: String },
    #[error("{file}: {text:?} is no NAME=VALUE")]
    Line { file: String, text: String },
    #[error("{file}: interpolations are nested more than {NESTED} deep")]
    Nested { file: String },
    #[error("{file}: {text}")]
    Required { file: String, text: String },
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
