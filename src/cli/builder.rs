//! `builder` and `buildx`: their verbs, a file each. There is one builder, and it is this program.

mod builders;
mod du;
mod imagetools;
mod prune;

use clap::Subcommand;

use super::error::CliError;
use super::{Invocation, bake, build, version};

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum BuilderGroup {
    /// Make an image of a Dockerfile
    Build(Box<build::Args>),
    /// Remove what builds keep for the next one
    Prune(prune::Args),
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum BuildxGroup {
    /// Make an image of a Dockerfile
    #[command(visible_alias = "b")]
    Build(Box<build::Args>),
    /// Make the images that files describe
    #[command(visible_alias = "f")]
    Bake(Box<bake::Args>),
    /// Show what builds keep for the next one
    Du(du::Args),
    /// Remove what builds keep for the next one
    Prune(prune::Args),
    /// List builders: there is one
    Ls(builders::LsArgs),
    /// Show the builder
    Inspect(builders::InspectArgs),
    /// Have a builder of that name: it is always the same
    Create(builders::CreateArgs),
    /// Use the builder of that name: it is always the same
    Use(builders::UseArgs),
    /// Forget a builder: it stays
    Rm(builders::RmArgs),
    /// Work with images in registries
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Imagetools {
        #[command(subcommand)]
        verb: imagetools::Verb,
    },
    /// Show versions
    Version(version::Args),
}

impl BuilderGroup {
    pub fn run(self, invocation: &Invocation) -> Result<u8, CliError> {
        match self {
            BuilderGroup::Build(args) => build::run(*args, invocation),
            BuilderGroup::Prune(args) => prune::run(args, invocation),
        }
    }
}

impl BuildxGroup {
    pub fn run(self, invocation: &Invocation) -> Result<u8, CliError> {
        match self {
            BuildxGroup::Build(args) => build::run_as_buildx(*args, invocation),
            BuildxGroup::Bake(args) => bake::run(&args, invocation),
            BuildxGroup::Du(args) => du::run(args, invocation),
            BuildxGroup::Prune(args) => prune::run(args, invocation),
            BuildxGroup::Ls(args) => builders::ls(args, invocation),
            BuildxGroup::Inspect(args) => builders::inspect(&args, invocation),
            BuildxGroup::Create(args) => builders::create(&args, invocation),
            BuildxGroup::Use(args) => builders::switch(&args, invocation),
            BuildxGroup::Rm(args) => builders::rm(&args, invocation),
            BuildxGroup::Imagetools { verb } => imagetools::run(verb, invocation),
            BuildxGroup::Version(args) => version::run(args, invocation),
        }
    }
}
