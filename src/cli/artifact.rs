//! `artifact`: its verbs, a file each.

mod add;
mod extract;
mod inspect;
mod ls;
mod pull;
mod push;
mod rm;

use clap::Subcommand;

use super::Invocation;
use super::error::{CliError, Kind};
use crate::engine::EngineError;
use crate::image::{Reference, ReferenceError};

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum ArtifactGroup {
    /// Keep files as an artifact
    Add(add::Args),
    /// Write an artifact's files into a directory, or its only file to a path
    Extract(extract::Args),
    /// Show an artifact's manifest
    Inspect(inspect::Args),
    /// List artifacts
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    /// Fetch an artifact from its registry
    Pull(pull::Args),
    /// Send an artifact to its registry
    Push(push::Args),
    /// Remove artifacts
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
}

impl ArtifactGroup {
    pub fn run(self, invocation: &Invocation) -> Result<u8, CliError> {
        match self {
            ArtifactGroup::Add(args) => add::run(args, invocation),
            ArtifactGroup::Extract(args) => extract::run(&args, invocation),
            ArtifactGroup::Inspect(args) => inspect::run(&args, invocation),
            ArtifactGroup::Ls(args) => ls::run(&args, invocation),
            ArtifactGroup::Pull(args) => pull::run(&args, invocation),
            ArtifactGroup::Push(args) => push::run(&args, invocation),
            ArtifactGroup::Rm(args) => rm::run(&args, invocation),
        }
    }
}

fn named(text: &str) -> Result<Reference, CliError> {
    text.parse()
        .map_err(|error: ReferenceError| CliError::failed(&error))
}

fn failed(error: EngineError) -> CliError {
    CliError::engine(Kind::Failed, &error)
}
