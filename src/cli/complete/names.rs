//! What the definition of the commands calls a container, an image, a network, a volume, a secret or a service has a name here.

use std::ffi::{OsStr, OsString};

use clap::builder::StyledStr;
use clap::{Arg, Command, ValueHint};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use crate::cli::Invocation;
use crate::cli::commands::GlobalFlags;
use crate::cli::compose::services_of;
use crate::engine::request::{
    ListImagesRequest, NetworkFilters, PsRequest, SecretFilters, VolumeFilters,
};
use crate::engine::{Engine, EngineError};

/// Which containers a command is of use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Any,
    Running,
    Stopped,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Container(State),
    Image,
    Network,
    Volume,
    Secret,
    /// Of the project that these words mean.
    Service(Vec<OsString>),
}

/// Verbs for containers that run, or do not.
const OF_RUNNING: [&str; 10] = [
    "attach", "exec", "kill", "pause", "port", "stats", "stop", "top", "unpause", "wait",
];
const OF_STOPPED: [&str; 1] = ["start"];

/// The same commands, whose arguments know the names of what there is, and what was typed before.
pub fn known_to(command: Command, typed: &[OsString]) -> Command {
    let verb = command.get_name().to_owned();
    command
        .mut_args(|arg| named(arg, &verb, typed))
        .mut_subcommands(|command| known_to(command, typed))
}

fn named(arg: Arg, verb: &str, typed: &[OsString]) -> Arg {
    let first = arg.get_value_names().and_then(|names| names.first());
    let kind = match first.map_or("", |name| name.as_str()) {
        "CONTAINER" if OF_RUNNING.contains(&verb) => Kind::Container(State::Running),
        "CONTAINER" if OF_STOPPED.contains(&verb) => Kind::Container(State::Stopped),
        "CONTAINER" => Kind::Container(State::Any),
        "IMAGE" => Kind::Image,
        "NETWORK" => Kind::Network,
        "VOLUME" => Kind::Volume,
        "SECRET" => Kind::Secret,
        "SERVICE" => Kind::Service(typed.to_vec()),
        "DIR" => return arg.value_hint(ValueHint::DirPath),
        "FILE" | "PATH" => return arg.value_hint(ValueHint::AnyPath),
        _ => return arg,
    };
    arg.add(ArgValueCompleter::new(move |typed: &OsStr| {
        kind.beginning_with(typed)
    }))
}

impl Kind {
    /// Nothing where it can't be read.
    fn beginning_with(&self, typed: &OsStr) -> Vec<CompletionCandidate> {
        let Some(typed) = typed.to_str() else {
            return Vec::new();
        };
        let engine = Invocation::new(GlobalFlags::default(), None).engine();
        let found = engine.ok().and_then(|engine| self.all(&engine).ok());
        let fitting = found.unwrap_or_default().into_iter();
        let fitting = fitting.filter(|(name, _)| name.starts_with(typed));
        fitting
            .map(|(name, what)| CompletionCandidate::new(name).help(what.map(StyledStr::from)))
            .collect()
    }

    /// Each name, and what is worth knowing of it.
    fn all(&self, engine: &Engine) -> Result<Vec<(String, Option<String>)>, EngineError> {
        Ok(match self {
            Kind::Container(state) => {
                let request = PsRequest {
                    all: *state != State::Running,
                    ..PsRequest::default()
                };
                let all = engine.list(&request)?.into_iter();
                all.filter(|found| *state != State::Stopped || !found.status.is_running())
                    .map(|found| (found.name, Some(found.config.image)))
                    .collect()
            }
            Kind::Image => {
                let all = engine.list_images(&ListImagesRequest::default())?;
                let names = all
                    .into_iter()
                    .filter_map(|row| Some((row.repository?, row.tag?)));
                names
                    .map(|(name, tag)| (format!("{name}:{tag}"), None))
                    .collect()
            }
            Kind::Network => {
                let all = engine.list_networks(&NetworkFilters::default())?;
                let driver = |found: &str| Some(found.to_owned());
                all.into_iter()
                    .map(|found| (found.network.name, driver(found.network.driver.name())))
                    .collect()
            }
            Kind::Volume => {
                let all = engine.list_volumes(&VolumeFilters::default())?;
                all.into_iter()
                    .map(|found| (found.volume.name.to_string(), None))
                    .collect()
            }
            Kind::Service(typed) => {
                let all = services_of(typed).into_iter();
                all.map(|name| (name, None)).collect()
            }
            Kind::Secret => {
                let all = engine.list_secrets(&SecretFilters::default())?;
                all.into_iter().map(|found| (found.name, None)).collect()
            }
        })
    }
}
