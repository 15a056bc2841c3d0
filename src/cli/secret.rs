//! `secret`: its verbs, a file each.

mod create;
mod exists;
mod inspect;
mod ls;
mod rm;

use clap::Subcommand;

use super::Invocation;
use super::error::CliError;

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum SecretGroup {
    /// Keep a secret
    Create(create::Args),
    /// Say by the exit code whether there is a secret
    Exists(exists::Args),
    /// Show everything about secrets but their values
    Inspect(inspect::Args),
    /// List secrets
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    /// Remove secrets that no container uses
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
}

impl SecretGroup {
    pub fn run(self, invocation: &Invocation) -> Result<u8, CliError> {
        match self {
            SecretGroup::Create(args) => create::run(args, invocation),
            SecretGroup::Exists(args) => exists::run(args, invocation),
            SecretGroup::Inspect(args) => inspect::run(args, invocation),
            SecretGroup::Ls(args) => ls::run(args, invocation),
            SecretGroup::Rm(args) => rm::run(args, invocation),
        }
    }
}
