//! `volume`: its verbs, a file each.

mod create;
mod exists;
mod export;
mod import;
mod inspect;
pub(super) mod ls;
mod prune;
mod rm;

use clap::Subcommand;

use super::Invocation;
use super::error::CliError;

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum VolumeGroup {
    /// Make a volume
    Create(create::Args),
    /// Say by the exit code whether there is a volume
    Exists(exists::Args),
    /// Write what is in a volume as a tar archive
    Export(export::Args),
    /// Unpack a tar archive into a volume
    Import(import::Args),
    /// Show everything about volumes
    Inspect(inspect::Args),
    /// List volumes
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    /// Remove anonymous volumes that no container uses
    Prune(prune::Args),
    /// Remove volumes that no container uses
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
}

impl VolumeGroup {
    pub fn run(self, invocation: &Invocation) -> Result<u8, CliError> {
        match self {
            VolumeGroup::Create(args) => create::run(args, invocation),
            VolumeGroup::Exists(args) => exists::run(args, invocation),
            VolumeGroup::Export(args) => export::run(args, invocation),
            VolumeGroup::Import(args) => import::run(args, invocation),
            VolumeGroup::Inspect(args) => super::inspect::run(args.into(), invocation),
            VolumeGroup::Ls(args) => ls::run(args, invocation),
            VolumeGroup::Prune(args) => prune::run(args, invocation),
            VolumeGroup::Rm(args) => rm::run(args, invocation),
        }
    }
}
