//! `network`: its verbs, a file each.

mod connect;
mod create;
mod disconnect;
mod exists;
mod inspect;
mod ls;
mod prune;
mod reload;
mod rm;
mod update;

use clap::Subcommand;

use super::Invocation;
use super::error::CliError;

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum NetworkGroup {
    /// Connect a container with a network
    Connect(connect::Args),
    /// Make a network
    Create(create::Args),
    /// Take a container out of a network
    Disconnect(disconnect::Args),
    /// Say by the exit code whether there is a network
    Exists(exists::Args),
    /// Show everything about networks
    Inspect(inspect::Args),
    /// List networks
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    /// Remove networks that no container uses
    Prune(prune::Args),
    /// Make containers' places in their networks anew
    Reload(reload::Args),
    /// Remove networks that no running container is in
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
    /// Give a network other name servers
    Update(update::Args),
}

impl NetworkGroup {
    pub fn run(self, invocation: &Invocation) -> Result<u8, CliError> {
        match self {
            NetworkGroup::Connect(args) => connect::run(args, invocation),
            NetworkGroup::Create(args) => create::run(args, invocation),
            NetworkGroup::Disconnect(args) => disconnect::run(args, invocation),
            NetworkGroup::Exists(args) => exists::run(args, invocation),
            NetworkGroup::Inspect(args) => super::inspect::run(args.into(), invocation),
            NetworkGroup::Ls(args) => ls::run(args, invocation),
            NetworkGroup::Prune(args) => prune::run(args, invocation),
            NetworkGroup::Reload(args) => reload::run(args, invocation),
            NetworkGroup::Rm(args) => rm::run(args, invocation),
            NetworkGroup::Update(args) => update::run(args, invocation),
        }
    }
}
