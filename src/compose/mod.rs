//! Compose files → a resolved project → (with what exists) a plan of engine calls. Never runtime or store by itself.

mod asked;
mod canonical;
mod check;
pub mod creation;
mod decode;
mod discover;
mod environment;
mod error;
pub mod execute;
mod extends;
mod fault;
pub mod fingerprint;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod include;
mod interpolate;
pub mod labels;
mod load;
mod merge;
pub mod model;
mod normalize;
pub mod order;
mod path;
mod places;
pub mod plan;
mod refuse;
mod render;
pub mod report;
pub mod resources;
mod schema;
mod select;
mod short;
mod sources;
pub mod state;
mod unique;
mod words;
mod yaml;

use std::fmt;
use std::path::PathBuf;

pub use error::ComposeError;
pub use load::{Loaded, load};
pub use model::{Project, Service};
pub(crate) use render::EXTENSION;
pub use render::{hash, json as project_json, tree as tree_text, yaml as project_yaml};

/// What a command line says of the project that it is about.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `-f`; empty: those of `COMPOSE_FILE`, or what this directory and those above have. `-` is standard input.
    pub files: Vec<PathBuf>,
    /// `--env-file`; empty: those of `COMPOSE_ENV_FILES`, or `.env`.
    pub env_files: Vec<PathBuf>,
    /// `--profile`; empty: those of `COMPOSE_PROFILES`.
    pub profiles: Vec<String>,
    pub project_name: Option<String>,
    pub project_directory: Option<PathBuf>,
    /// Services that are named: active, whatever their profiles say.
    pub services: Vec<String>,
    /// Where the command was given.
    pub directory: PathBuf,
    /// The host's variables.
    pub environment: model::Texts,
    pub options: Options,
}

/// What of the usual steps is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub no_interpolate: bool,
    pub no_normalize: bool,
    pub no_path_resolution: bool,
    pub no_consistency: bool,
    pub no_env_resolution: bool,
}

/// What a user should know of a project's files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ComposeWarning(pub String);

impl ComposeWarning {
    fn unset(name: &str) -> ComposeWarning {
        ComposeWarning(format!(
            "The {name:?} variable is not set. Defaulting to a blank string."
        ))
    }
}

impl fmt::Display for ComposeWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
