//! `manifest`: its verbs, a file each.

mod add;
mod annotate;
mod create;
mod exists;
mod inspect;
mod push;
mod remove;
mod rm;
mod words;

use clap::Subcommand;

use super::Invocation;
use super::error::{CliError, Kind};
use crate::engine::EngineError;
use crate::image::{Reference, ReferenceError};

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum ManifestGroup {
    /// Add a manifest to a list
    Add(add::Args),
    /// Change what a list says of one of its manifests
    Annotate(annotate::Args),
    /// Make a list of the manifests that registries have
    Create(create::Args),
    /// Say by the exit code whether there is a list of this name
    Exists(exists::Args),
    /// Show a manifest or a list
    Inspect(inspect::Args),
    /// Push a list and what it names
    Push(push::Args),
    /// Take a manifest out of a list
    Remove(remove::Args),
    /// Forget lists
    Rm(rm::Args),
}

impl ManifestGroup {
    pub fn run(self, invocation: &Invocation) -> Result<u8, CliError> {
        match self {
            ManifestGroup::Add(args) => add::run(args, invocation),
            ManifestGroup::Annotate(args) => annotate::run(args, invocation),
            ManifestGroup::Create(args) => create::run(args, invocation),
            ManifestGroup::Exists(args) => exists::run(args, invocation),
            ManifestGroup::Inspect(args) => inspect::run(args, invocation),
            ManifestGroup::Push(args) => push::run(args, invocation),
            ManifestGroup::Remove(args) => remove::run(args, invocation),
            ManifestGroup::Rm(args) => rm::run(args, invocation),
        }
    }
}

fn named(text: &str) -> Result<Reference, CliError> {
    let text = text.strip_prefix("docker://").unwrap_or(text);
    text.parse()
        .map_err(|error: ReferenceError| CliError::failed(&error))
}

fn failed(error: EngineError) -> CliError {
    CliError::engine(Kind::Failed, &error)
}
