//! `compose`: its verbs, a file each, and the flags that all of them have. What files mean is `crate::compose`'s to say.

mod attach;
mod build;
mod commit;
mod config;
mod cp;
mod create;
mod down;
mod events;
mod exec;
mod export;
mod found;
mod image_list;
mod images;
mod kill;
mod lines;
mod logs;
mod ls;
mod pause;
mod port;
mod prefixes;
mod progress;
mod project;
mod ps;
mod pull;
mod push;
mod restart;
mod rm;
mod run;
mod scale;
mod start;
mod stats;
mod stop;
mod top;
mod up;
mod version;
mod volumes;
mod wait;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, Command, FromArgMatches, Subcommand};

use super::Invocation;
use super::commands::GlobalFlags;
use super::error::{CliError, Kind};
use crate::compose::{self, ComposeError, Loaded, Options, Project, Request, Service};

// `compose FLAGS VERB`
#[derive(clap::Args, Debug)]
pub struct ComposeGroup {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: Verb,
}

// What may be said before each of the verbs.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Globals {
    /// Compose file to read, `-` for standard input (default: compose.yaml of this directory or one above)
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Name of the project (default: the one in the file, or the directory's)
    #[arg(short, long, value_name = "NAME")]
    project_name: Option<String>,
    /// Directory that relative paths begin at (default: that of the first file)
    #[arg(long, value_name = "DIR")]
    project_directory: Option<PathBuf>,
    /// Profile to activate
    #[arg(long, value_name = "PROFILE")]
    profile: Vec<String>,
    /// File of variables to read in place of .env
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Keep also networks, volumes, secrets and configs that no service uses
    #[arg(long)]
    pub all_resources: bool,
    /// Name containers with underscores, and set limits from `deploy`
    #[arg(long)]
    pub compatibility: bool,
    /// When to write control characters: never, always, auto
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub ansi: String,
    /// How progress is shown: auto, tty, plain, json, quiet
    #[arg(long, value_name = "KIND")]
    pub progress: Option<String>,
    /// How many things are done at the same time; -1 is without limit
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub parallel: Option<i32>,
    /// Say what would be done, and do nothing
    #[arg(long, global = true)]
    pub dry_run: bool,
}

/// The services of the project that a command line means, as far as it has been typed; none where that can't be read.
pub fn services_of(words: &[OsString]) -> Vec<String> {
    let behind = words.iter().skip_while(|word| *word != "compose").skip(1);
    let command = Command::new("compose")
        .no_binary_name(true)
        .ignore_errors(true);
    let parsed = Globals::augment_args(command).try_get_matches_from(behind);
    let globals = parsed.and_then(|mut parsed| Globals::from_arg_matches_mut(&mut parsed));
    // Nobody is there to write a file to standard input.
    let readable = |globals: &Globals| globals.file.iter().all(|file| file != Path::new("-"));
    let Some(globals) = globals.ok().filter(readable) else {
        return Vec::new();
    };
    let invocation = Invocation::new(GlobalFlags::default(), None);
    let project = globals.load(&[], &invocation);
    project.map_or(Vec::new(), |project| {
        project.services.keys().cloned().collect()
    })
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Verb {
    /// Take part in the streams of a service's container
    Attach(attach::Args),
    /// Build the images of services
    Build(Box<build::Args>),
    /// Make an image of what a service's container has become
    Commit(commit::Args),
    /// Show the project as its files, merged and resolved, describe it
    #[command(visible_alias = "convert")]
    Config(config::Args),
    /// Copy files between the containers of a service and the host
    Cp(cp::Args),
    /// Make the containers of services
    Create(create::Args),
    /// Stop and remove containers and networks
    Down(down::Args),
    /// Show what happens to containers
    Events(events::Args),
    /// Execute a program in a running container
    Exec(exec::Args),
    /// Write the root filesystem of a service's container as a tar archive
    Export(export::Args),
    /// List the images of containers
    Images(image_list::Args),
    /// End containers at once, or send them a signal
    Kill(kill::Args),
    /// Show what containers wrote
    Logs(logs::Args),
    /// List projects
    Ls(ls::Args),
    /// Freeze the processes of services
    Pause(pause::Args),
    /// Show where a port of a service is found
    Port(port::Args),
    /// List containers
    Ps(ps::Args),
    /// Pull the images of services
    Pull(pull::Args),
    /// Push the images of services that are built
    Push(push::Args),
    /// Stop containers and start them again
    Restart(restart::Args),
    /// Remove containers that are stopped
    Rm(rm::Args),
    /// Run a program in one more container of a service
    Run(Box<run::Args>),
    /// Say how many containers services have
    Scale(scale::Args),
    /// Start containers that are there
    Start(start::Args),
    /// Show what containers use
    Stats(stats::Args),
    /// Stop containers
    Stop(stop::Args),
    /// Show the processes of containers
    Top(top::Args),
    /// Let the processes of paused services go on
    Unpause(pause::Args),
    /// Make and start the containers of services
    Up(Box<up::Args>),
    /// Show versions
    Version(version::Args),
    /// List volumes
    Volumes(volumes::Args),
    /// Wait until the containers of services end
    Wait(wait::Args),
}

impl ComposeGroup {
    pub fn run(self, invocation: &Invocation) -> Result<u8, CliError> {
        let globals = &self.globals;
        globals.check()?;
        match globals.ansi.as_str() {
            "never" => invocation.ui.set_colour(false),
            "always" => invocation.ui.set_colour(true),
            _ => {}
        }
        match self.verb {
            Verb::Attach(args) => attach::run(&args, globals, invocation),
            Verb::Build(args) => build::run(&args, globals, invocation),
            Verb::Commit(args) => commit::run(&args, globals, invocation),
            Verb::Config(args) => config::run(&args, globals, invocation),
            Verb::Cp(args) => cp::run(&args, globals, invocation),
            Verb::Create(args) => create::run(&args, globals, invocation),
            Verb::Down(args) => down::run(&args, globals, invocation),
            Verb::Events(args) => events::run(&args, globals, invocation),
            Verb::Exec(args) => exec::run(&args, globals, invocation),
            Verb::Export(args) => export::run(&args, globals, invocation),
            Verb::Images(args) => image_list::run(&args, globals, invocation),
            Verb::Kill(args) => kill::run(&args, globals, invocation),
            Verb::Logs(args) => logs::run(&args, globals, invocation),
            Verb::Ls(args) => ls::run(&args, invocation),
            Verb::Pause(args) => pause::run(&args, globals, invocation),
            Verb::Port(args) => port::run(&args, globals, invocation),
            Verb::Ps(args) => ps::run(&args, globals, invocation),
            Verb::Pull(args) => pull::run(&args, globals, invocation),
            Verb::Push(args) => push::run(&args, globals, invocation),
            Verb::Restart(args) => restart::run(&args, globals, invocation),
            Verb::Rm(args) => rm::run(&args, globals, invocation),
            Verb::Run(args) => run::run(&args, globals, invocation),
            Verb::Scale(args) => scale::run(&args, globals, invocation),
            Verb::Start(args) => start::run(&args, globals, invocation),
            Verb::Stats(args) => stats::run(&args, globals, invocation),
            Verb::Stop(args) => stop::run(&args, globals, invocation),
            Verb::Top(args) => top::run(&args, globals, invocation),
            Verb::Unpause(args) => pause::run_unpause(&args, globals, invocation),
            Verb::Up(args) => up::run(&args, globals, invocation),
            Verb::Version(args) => version::run(&args, invocation),
            Verb::Volumes(args) => volumes::run(&args, globals, invocation),
            Verb::Wait(args) => wait::run(&args, globals, invocation),
        }
    }
}

impl Globals {
    /// The project that a command is about; the services that it names are active whatever their profiles say.
    pub fn load(&self, services: &[String], invocation: &Invocation) -> Result<Project, CliError> {
        let mut loaded = self.read(services, Options::default(), invocation)?;
        if let Some(error) = loaded.refused {
            return Err(told(&error, Kind::Unsupported, invocation));
        }
        for warning in &loaded.without_effect {
            invocation.ui.warning(&warning.to_string());
        }
        if !self.all_resources {
            loaded.project.forget_unused();
        }
        Ok(loaded.project)
    }

    /// The same with everything that only a look at the files wants to know.
    fn read(
        &self,
        services: &[String],
        options: Options,
        invocation: &Invocation,
    ) -> Result<Loaded, CliError> {
        let loaded = compose::load(&self.request(services, options)?);
        let loaded = loaded.map_err(|error| told(&error, Kind::Failed, invocation))?;
        for warning in &loaded.warnings {
            invocation.ui.warning(&warning.to_string());
        }
        Ok(loaded)
    }

    fn check(&self) -> Result<(), CliError> {
        if !["auto", "never", "always"].contains(&self.ansi.as_str()) {
            let message = format!("unknown ansi mode {:?}", self.ansi);
            return Err(CliError::usage(message).hint("--ansi auto"));
        }
        let kinds = ["auto", "tty", "plain", "json", "quiet"];
        if let Some(kind) = self.progress.as_deref()
            && !kinds.contains(&kind)
        {
            let message = format!("unsupported --progress value {kind:?}");
            return Err(CliError::usage(message).hint("--progress plain"));
        }
        Ok(())
    }

    /// What stands between the parts of names that are made.
    pub fn separator(&self) -> &'static str {
        match self.compatibility {
            true => "_",
            false => "-",
        }
    }

    /// The image that a service runs; one that is only built is called after project and service.
    pub fn image_of(&self, service: &Service, project: &Project) -> String {
        match service.image.as_str() {
            "" => format!("{}{}{}", project.name, self.separator(), service.name),
            image => image.to_owned(),
        }
    }

    fn request(&self, services: &[String], options: Options) -> Result<Request, CliError> {
        let text = |text: std::ffi::OsString| crate::sys::text::from_os(&text);
        let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        let directory = std::env::current_dir().map_err(|error| CliError::failed(&error))?;
        Ok(Request {
            files: self.file.clone(),
            env_files: self.env_file.clone(),
            profiles: self.profile.clone(),
            project_name: self.project_name.clone(),
            project_directory: self.project_directory.clone(),
            services: services.to_vec(),
            directory,
            environment: variables.collect(),
            options,
        })
    }
}

/// An error of a file, with the line and what was likely meant.
fn told(error: &ComposeError, kind: Kind, invocation: &Invocation) -> CliError {
    if let Some(excerpt) = error.excerpt() {
        invocation.ui.note(&excerpt);
    }
    let told = CliError::of(kind, error);
    match error.hint() {
        Some(hint) => told.hint(hint),
        None => told,
    }
}
