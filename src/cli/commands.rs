//! The tree of commands: every verb once, under both of docker's spellings. Which words exist, never what they do.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand};

use super::Invocation;
use super::artifact::ArtifactGroup;
use super::builder::{BuilderGroup, BuildxGroup};
use super::compose::ComposeGroup;
use super::error::CliError;
use super::manifest::ManifestGroup;
use super::network::NetworkGroup;
use super::secret::SecretGroup;
use super::volume::VolumeGroup;
use super::{
    attach, bake, boot, build, commit, complete, container_cleanup, container_clone,
    container_exists, container_prune, cp, create, diff, doctor, events, exec, export, generate,
    history, image_exists, image_mount, image_prune, image_scp, image_tree, images, import, info,
    inspect, kill, load, login, logout, logs, mount, pause, port, ps, pull, push, rename, restart,
    rm, rmi, run, save, search, start, stats, stop, system_check, system_df, system_migrate,
    system_prune, system_reset, tag, top, unpause, unshare, update, version, wait,
};

/// A daemonless, rootless container engine
#[derive(Debug, Parser)]
#[command(
    name = "bryo",
    bin_name = "bryo",
    version,
    args_override_self = true,
    disable_help_flag = true,
    disable_version_flag = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 120
)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalFlags,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Args, Clone, Debug, Default)]
pub struct GlobalFlags {
    /// Directory of the client's files (config.json with registry credentials)
    #[arg(long, value_name = "DIR")]
    pub config: Option<PathBuf>,
    /// Write a line per step to standard error
    #[arg(short = 'D', long)]
    pub debug: bool,
    /// Logging level: debug, info, warn, error, fatal
    #[arg(short = 'l', long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Print the version and quit
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,
    /// Print help
    #[arg(long, global = true, action = ArgAction::Help, display_order = 1000)]
    help: Option<bool>,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Command {
    #[command(flatten)]
    Container(ContainerVerb),
    /// List containers
    Ps(ps::Args),
    /// List images
    Images(images::Args),
    /// Remove one or more images
    Rmi(rmi::Args),
    #[command(flatten)]
    Image(ImageVerb),
    /// Make the images that files describe
    Bake(Box<bake::Args>),
    /// Run what compose files describe
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Compose(Box<ComposeGroup>),
    /// Log in to a registry
    Login(login::Args),
    /// Log out of a registry
    Logout(logout::Args),
    /// Search a registry for images
    Search(search::Args),
    /// Show what happens to containers, images, volumes and networks
    Events(events::Args),
    /// Show everything about containers, images, networks, volumes or secrets
    Inspect(inspect::Args),
    /// Show what this host gives and which settings are in force
    Info(info::Args),
    /// Show versions
    Version(version::Args),
    /// Run a command in the user namespace of all containers
    Unshare(unshare::Args),
    /// Check the host and say what is missing and how to cure it
    Doctor(doctor::Args),
    /// Have containers started when the host has booted
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Boot {
        #[command(subcommand)]
        verb: boot::Verb,
    },
    /// Manage containers
    #[command(
        name = "container",
        subcommand_required = true,
        arg_required_else_help = true
    )]
    ContainerGroup {
        #[command(subcommand)]
        verb: ContainerGroup,
    },
    /// Manage images
    #[command(
        name = "image",
        subcommand_required = true,
        arg_required_else_help = true
    )]
    ImageGroup {
        #[command(subcommand)]
        verb: ImageGroup,
    },
    /// Manage what builds keep
    #[command(
        name = "builder",
        subcommand_required = true,
        arg_required_else_help = true
    )]
    BuilderGroup {
        #[command(subcommand)]
        verb: BuilderGroup,
    },
    /// Build, by the words of docker's plugin
    #[command(
        name = "buildx",
        subcommand_required = true,
        arg_required_else_help = true
    )]
    BuildxGroup {
        #[command(subcommand)]
        verb: BuildxGroup,
    },
    /// Manage volumes
    #[command(
        name = "volume",
        subcommand_required = true,
        arg_required_else_help = true
    )]
    VolumeGroup {
        #[command(subcommand)]
        verb: VolumeGroup,
    },
    /// Manage networks
    #[command(
        name = "network",
        subcommand_required = true,
        arg_required_else_help = true
    )]
    NetworkGroup {
        #[command(subcommand)]
        verb: NetworkGroup,
    },
    /// Manage secrets
    #[command(
        name = "secret",
        subcommand_required = true,
        arg_required_else_help = true
    )]
    SecretGroup {
        #[command(subcommand)]
        verb: SecretGroup,
    },
    /// Keep files at registries, without an image around them
    #[command(
        name = "artifact",
        subcommand_required = true,
        arg_required_else_help = true
    )]
    ArtifactGroup {
        #[command(subcommand)]
        verb: ArtifactGroup,
    },
    /// Put together lists of manifests, one for each platform
    #[command(
        name = "manifest",
        subcommand_required = true,
        arg_required_else_help = true
    )]
    ManifestGroup {
        #[command(subcommand)]
        verb: ManifestGroup,
    },
    /// Manage bryo
    #[command(
        name = "system",
        subcommand_required = true,
        arg_required_else_help = true
    )]
    SystemGroup {
        #[command(subcommand)]
        verb: SystemGroup,
    },
    /// Write completions and man pages
    #[command(hide = true)]
    Generate(generate::Args),
    /// Say what a word of a command line can be
    #[command(hide = true)]
    Complete(complete::Args),
}

// Spelt alike with and without `container`. (A doc comment here would become the group's help.)
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum ContainerVerb {
    /// Make and start a container from an image
    Run(run::Args),
    /// Make a container from an image without starting it
    Create(create::Args),
    /// Take part in the streams of a running container
    Attach(attach::Args),
    /// Execute a program in a running container
    Exec(exec::Args),
    /// Start stopped containers
    Start(start::Args),
    /// Stop running containers
    Stop(stop::Args),
    /// Stop containers and start them again
    Restart(restart::Args),
    /// Freeze all processes of running containers
    Pause(pause::Args),
    /// Let the processes of paused containers go on
    Unpause(unpause::Args),
    /// Change the settings of containers, also of running ones
    Update(update::Args),
    /// Send a signal to running containers
    Kill(kill::Args),
    /// Remove containers
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
    /// Show what a container wrote
    Logs(logs::Args),
    /// Copy files between a container and the host
    Cp(cp::Args),
    /// Show what a container changed in its files
    Diff(diff::Args),
    /// Write a container's root filesystem as a tar archive
    Export(export::Args),
    /// Make an image of what a container has become
    Commit(commit::Args),
    /// Run a command where a container's root is mounted
    Mount(mount::Args),
    /// Wait until containers stop, then print their exit codes
    Wait(wait::Args),
    /// Show the processes of a container
    Top(top::Args),
    /// Show what running containers use
    Stats(stats::Args),
    /// Give a container another name
    Rename(rename::Args),
    /// Show which ports of the host lead into a container
    Port(port::Args),
}

// Spelt alike with and without `image`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum ImageVerb {
    /// Make an image of a Dockerfile
    Build(Box<build::Args>),
    /// Download an image from a registry
    Pull(pull::Args),
    /// Upload an image to a registry
    Push(push::Args),
    /// Load images from an archive that `save` made
    Load(load::Args),
    /// Write images to an archive that `load` reads
    Save(save::Args),
    /// Make an image from a root filesystem's archive
    Import(import::Args),
    /// Give an image another name
    Tag(tag::Args),
    /// Show the steps that made an image
    History(history::Args),
    /// Take names away from an image
    Untag(image_exists::UntagArgs),
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
#[expect(clippy::large_enum_variant, reason = "one of them exists, once")]
pub enum ContainerGroup {
    #[command(flatten)]
    Verb(ContainerVerb),
    /// List containers
    #[command(visible_aliases = ["ps", "list"])]
    Ls(ps::Args),
    /// Show everything about containers
    Inspect(inspect::ContainerArgs),
    /// Remove all containers that do not run
    Prune(container_prune::Args),
    /// Say by the exit code whether a container exists
    Exists(container_exists::Args),
    /// Make another container with the same settings
    Clone(container_clone::Args),
    /// Take away what a killed monitor left
    Cleanup(container_cleanup::Args),
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum ImageGroup {
    #[command(flatten)]
    Verb(ImageVerb),
    /// List images
    #[command(visible_alias = "list")]
    Ls(images::Args),
    /// Remove one or more images
    #[command(visible_alias = "remove")]
    Rm(rmi::Args),
    /// Show everything about images
    Inspect(inspect::ImageArgs),
    /// Remove images that nobody needs
    Prune(image_prune::Args),
    /// Say by the exit code whether an image exists
    Exists(image_exists::ExistsArgs),
    /// Run a command where an image's root is mounted
    Mount(image_mount::Args),
    /// Copy an image to another host's bryo, or from it
    Scp(image_scp::Args),
    /// Show the layers of an image
    Tree(image_tree::TreeArgs),
    /// Show what the topmost layer of an image changes
    Diff(image_tree::DiffArgs),
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum SystemGroup {
    /// Show what happens to containers, images, volumes and networks
    Events(events::Args),
    /// Show what this host gives and which settings are in force
    Info(info::Args),
    /// Show what images, containers, volumes and builds take of the disk
    Df(system_df::Args),
    /// Remove containers that do not run, images that nobody needs and what builds keep
    Prune(system_prune::Args),
    /// Look for damage in the store, and repair it
    Check(system_check::Args),
    /// Remove all containers, images, volumes and secrets
    Reset(system_reset::Args),
    /// Stop all containers, so that those that start next have the ids of /etc/subuid as it is now
    Migrate(system_migrate::Args),
}

fn parse_alone<A: Args>(words: &[OsString]) -> Option<A> {
    let command = clap::Command::new("bryo")
        .no_binary_name(true)
        .args_override_self(true)
        .disable_help_flag(true);
    let mut command = A::augment_args(command);
    let parsed = command.try_get_matches_from_mut(words);
    // There is one of it, and its end takes as long as its beginning.
    std::mem::forget(command);
    A::from_arg_matches_mut(&mut parsed.ok()?).ok()
}

/// The whole tree built, as completions, man pages and hints need it.
pub fn definition() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    command
}

impl Command {
    /// The command of words that begin with one of the verbs that are used most, parsed by itself: the tree of all commands costs
    /// more than the rest of the command line. `None` for all others, and for what is wrong, which the tree is needed to explain.
    pub fn alone(words: &[OsString]) -> Option<Command> {
        let [_, verb, rest @ ..] = words else {
            return None;
        };
        let verb = match verb.to_str()? {
            "run" => ContainerVerb::Run(parse_alone(rest)?),
            "exec" => ContainerVerb::Exec(parse_alone(rest)?),
            "commit" => ContainerVerb::Commit(parse_alone(rest)?),
            _ => return None,
        };
        Some(Command::Container(verb))
    }

    pub fn run(self, invocation: &Invocation) -> Result<u8, CliError> {
        match self {
            Command::Container(verb) => verb.run(invocation),
            Command::Image(verb) => verb.run(invocation),
            Command::ContainerGroup { verb } => verb.run(invocation),
            Command::ImageGroup { verb } => verb.run(invocation),
            Command::SystemGroup { verb } => verb.run(invocation),
            Command::Ps(args) => ps::run(args, invocation),
            Command::Images(args) => images::run(args, invocation),
            Command::Rmi(args) => rmi::run(args, invocation),
            Command::Inspect(args) => inspect::run(args, invocation),
            Command::Info(args) => info::run(args, invocation),
            Command::Events(args) => events::run(args, invocation),
            Command::Login(args) => login::run(args, invocation),
            Command::Logout(args) => logout::run(args, invocation),
            Command::Search(args) => search::run(args, invocation),
            Command::NetworkGroup { verb } => verb.run(invocation),
            Command::Bake(args) => bake::run(&args, invocation),
            Command::Compose(group) => group.run(invocation),
            Command::BuilderGroup { verb } => verb.run(invocation),
            Command::BuildxGroup { verb } => verb.run(invocation),
            Command::VolumeGroup { verb } => verb.run(invocation),
            Command::SecretGroup { verb } => verb.run(invocation),
            Command::ArtifactGroup { verb } => verb.run(invocation),
            Command::ManifestGroup { verb } => verb.run(invocation),
            Command::Version(args) => version::run(args, invocation),
            Command::Unshare(args) => unshare::run(args, invocation),
            Command::Doctor(args) => doctor::run(args, invocation),
            Command::Boot { verb } => boot::run(verb, invocation),
            Command::Generate(args) => generate::run(args, invocation),
            Command::Complete(args) => complete::run(args, invocation),
        }
    }
}

impl ContainerGroup {
    fn run(self, invocation: &Invocation) -> Result<u8, CliError> {
        match self {
            ContainerGroup::Verb(verb) => verb.run(invocation),
            ContainerGroup::Ls(args) => ps::run(args, invocation),
            ContainerGroup::Inspect(args) => inspect::run(args.into(), invocation),
            ContainerGroup::Prune(args) => container_prune::run(args, invocation),
            ContainerGroup::Exists(args) => container_exists::run(args, invocation),
            ContainerGroup::Clone(args) => container_clone::run(args, invocation),
            ContainerGroup::Cleanup(args) => container_cleanup::run(args, invocation),
        }
    }
}

impl ImageGroup {
    fn run(self, invocation: &Invocation) -> Result<u8, CliError> {
        match self {
            ImageGroup::Verb(verb) => verb.run(invocation),
            ImageGroup::Ls(args) => images::run(args, invocation),
            ImageGroup::Rm(args) => rmi::run(args, invocation),
            ImageGroup::Inspect(args) => inspect::run(args.into(), invocation),
            ImageGroup::Prune(args) => image_prune::run(args, invocation),
            ImageGroup::Exists(args) => image_exists::exists(&args, invocation),
            ImageGroup::Mount(args) => image_mount::run(&args, invocation),
            ImageGroup::Scp(args) => image_scp::run(&args, invocation),
            ImageGroup::Tree(args) => image_tree::tree(&args, invocation),
            ImageGroup::Diff(args) => image_tree::changes(&args, invocation),
        }
    }
}

impl SystemGroup {
    fn run(self, invocation: &Invocation) -> Result<u8, CliError> {
        match self {
            SystemGroup::Df(args) => system_df::run(args, invocation),
            SystemGroup::Prune(args) => system_prune::run(args, invocation),
            SystemGroup::Check(args) => system_check::run(args, invocation),
            SystemGroup::Reset(args) => system_reset::run(args, invocation),
            SystemGroup::Migrate(args) => system_migrate::run(args, invocation),
            SystemGroup::Info(args) => info::run(args, invocation),
            SystemGroup::Events(args) => events::run(args, invocation),
        }
    }
}

impl ContainerVerb {
    fn run(self, invocation: &Invocation) -> Result<u8, CliError> {
        match self {
            ContainerVerb::Run(args) => run::run(args, invocation),
            ContainerVerb::Create(args) => create::run(args, invocation),
            ContainerVerb::Attach(args) => attach::run(args, invocation),
            ContainerVerb::Exec(args) => exec::run(args, invocation),
            ContainerVerb::Start(args) => start::run(args, invocation),
            ContainerVerb::Stop(args) => stop::run(args, invocation),
            ContainerVerb::Restart(args) => restart::run(args, invocation),
            ContainerVerb::Pause(args) => pause::run(args, invocation),
            ContainerVerb::Unpause(args) => unpause::run(args, invocation),
            ContainerVerb::Update(args) => update::run(args, invocation),
            ContainerVerb::Kill(args) => kill::run(args, invocation),
            ContainerVerb::Rm(args) => rm::run(args, invocation),
            ContainerVerb::Logs(args) => logs::run(args, invocation),
            ContainerVerb::Cp(args) => cp::run(args, invocation),
            ContainerVerb::Diff(args) => diff::run(args, invocation),
            ContainerVerb::Export(args) => export::run(args, invocation),
            ContainerVerb::Commit(args) => commit::run(args, invocation),
            ContainerVerb::Mount(args) => mount::run(args, invocation),
            ContainerVerb::Wait(args) => wait::run(args, invocation),
            ContainerVerb::Top(args) => top::run(args, invocation),
            ContainerVerb::Stats(args) => stats::run(args, invocation),
            ContainerVerb::Rename(args) => rename::run(args, invocation),
            ContainerVerb::Port(args) => port::run(args, invocation),
        }
    }
}

impl ImageVerb {
    fn run(self, invocation: &Invocation) -> Result<u8, CliError> {
        match self {
            ImageVerb::Pull(args) => pull::run(args, invocation),
            ImageVerb::Push(args) => push::run(args, invocation),
            ImageVerb::Load(args) => load::run(args, invocation),
            ImageVerb::Save(args) => save::run(args, invocation),
            ImageVerb::Build(args) => build::run(*args, invocation),
            ImageVerb::Import(args) => import::run(args, invocation),
            ImageVerb::Tag(args) => tag::run(args, invocation),
            ImageVerb::History(args) => history::run(args, invocation),
            ImageVerb::Untag(args) => image_exists::untag(&args, invocation),
        }
    }
}
