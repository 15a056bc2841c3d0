//! What the verbs have in common: the project that a command is about, who works on it, and how failures are said.

use std::collections::{BTreeMap, BTreeSet};

use super::Globals;
use super::progress::Progress;
use crate::cli::Invocation;
use crate::cli::container_flags::value;
use crate::cli::error::{CliError, Kind, chain};
use crate::compose::execute::{ExecuteError, Executor};
use crate::compose::{Project, order};
use crate::engine::request::StopTimeout;
use crate::engine::{Engine, EngineError};

/// Whose fault it is, and the engine's hints.
pub fn failed(error: ExecuteError) -> CliError {
    match &error {
        ExecuteError::Engine(source) | ExecuteError::Of { source, .. } => CliError {
            message: chain(&error),
            ..CliError::engine(Kind::Failed, source)
        },
        _ => CliError::failed(&error),
    }
}

pub fn engine_failed(error: EngineError) -> CliError {
    CliError::engine(Kind::Failed, &error)
}

/// `-t SECONDS`
pub fn timeout(text: Option<&str>) -> Result<Option<u32>, CliError> {
    let seconds = text
        .map(|text| value::<i32>("-t, --timeout", text))
        .transpose()?;
    Ok(seconds.and_then(|seconds| u32::try_from(seconds).ok()))
}

pub fn stop_timeout(seconds: Option<u32>) -> StopTimeout {
    seconds.map_or(StopTimeout::Default, StopTimeout::Seconds)
}

/// Whether a variable of the host's says so, as docker reads it.
pub fn is_set(name: &str) -> bool {
    let value = std::env::var(name).unwrap_or_default();
    crate::config::parse_bool(&value.to_ascii_lowercase()).unwrap_or(false)
}

impl Globals {
    pub fn executor<'a>(
        &self,
        engine: &'a Engine,
        project: &'a Project,
        report: &'a Progress<'a>,
    ) -> Executor<'a> {
        let underscores = self.compatibility || is_set("COMPOSE_COMPATIBILITY");
        let parallel = self.parallel.and_then(|count| usize::try_from(count).ok());
        Executor {
            engine,
            project,
            report,
            separator: if underscores { '_' } else { '-' },
            dry_run: self.dry_run,
            parallel: parallel.filter(|count| *count > 0),
        }
    }

    /// The project of a command that also works without its file, by name alone.
    pub fn load_or_named(
        &self,
        services: &[String],
        invocation: &Invocation,
    ) -> Result<Project, CliError> {
        let name = self.project_name.clone();
        match self.load(services, invocation) {
            Ok(project) => Ok(project),
            Err(error) => match name {
                Some(name) if self.file.is_empty() => Ok(Project {
                    name,
                    ..Project::default()
                }),
                _ => Err(error),
            },
        }
    }
}

/// Those that are named, or all, with those that they need.
pub fn choose(
    project: &Project,
    named: &[String],
    with_needed: bool,
) -> Result<BTreeSet<String>, CliError> {
    let chosen = order::choose(&project.services, named, with_needed);
    chosen.map_err(|name| failed(ExecuteError::NoService { name }))
}

/// `--scale SERVICE=COUNT`, of services of the project.
pub fn scales(project: &Project, texts: &[String]) -> Result<BTreeMap<String, u32>, CliError> {
    let mut scales = BTreeMap::new();
    for text in texts {
        let wrong = || {
            CliError::usage(format!(
                "invalid --scale option {text:?}: should be SERVICE=NUM"
            ))
        };
        let (service, count) = text.split_once('=').ok_or_else(wrong)?;
        let count = count.parse().map_err(|_| wrong())?;
        if !project.services.contains_key(service) {
            let name = service.to_owned();
            return Err(failed(ExecuteError::NoService { name }));
        }
        scales.insert(service.to_owned(), count);
    }
    Ok(scales)
}

/// That services which are named exist, where there is a file that would have them.
pub fn known(project: &Project, named: &[String]) -> Result<(), CliError> {
    match project.services.is_empty() {
        true => Ok(()),
        false => choose(project, named, false).map(drop),
    }
}
