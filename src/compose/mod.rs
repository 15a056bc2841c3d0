//! Compose files → a resolved project → (with what exists) a plan of engine calls. Never runtime or store by itself.

mod error;
mod load;
pub mod model;
pub mod yaml;

use std::path::PathBuf;

pub use error::ComposeError;
pub use load::{Loaded, load};
pub use model::{Project, Service};

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
}
