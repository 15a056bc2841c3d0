//! Which containers a command is about: those that the labels say are a project's, whoever made them. Compose files are read
//! only where no name was given.

use super::{Globals, Invocation};
use crate::cli::error::{CliError, Kind};
use crate::cli::events;
use crate::compose::labels::{self, OneOff};
use crate::compose::{Options, Project};
use crate::engine::request::PsRequest;
use crate::engine::{Engine, ListedContainer};

/// A project by its name, and what its files say where they were read.
pub(super) struct Scope {
    pub name: String,
    pub project: Option<Project>,
}

impl Globals {
    /// A project that was named needs no file; one that was not is that of the files.
    pub(super) fn scope(
        &self,
        services: &[String],
        invocation: &Invocation,
    ) -> Result<Scope, CliError> {
        if let (Some(name), true) = (&self.project_name, self.file.is_empty()) {
            return Ok(Scope::named(name));
        }
        match (self.look(services, invocation), named_by_environment()) {
            (Ok(project), _) => Ok(Scope {
                name: project.name.clone(),
                project: Some(project),
            }),
            (Err(_), Some(name)) => Ok(Scope::named(&name)),
            (Err(error), None) => Err(error),
        }
    }

    /// The same of a command that asks nothing of the files.
    pub fn name(&self, invocation: &Invocation) -> Result<String, CliError> {
        match self.project_name.clone().or_else(named_by_environment) {
            Some(name) => Ok(name.to_lowercase()),
            None => Ok(self.look(&[], invocation)?.name),
        }
    }

    /// The project of the files for who makes nothing of it: files of variables that services name may be missing.
    pub(super) fn look(
        &self,
        services: &[String],
        invocation: &Invocation,
    ) -> Result<Project, CliError> {
        let options = Options {
            no_env_resolution: true,
            ..Options::default()
        };
        Ok(self.read(services, options, invocation)?.project)
    }
}

fn named_by_environment() -> Option<String> {
    let name = std::env::var("COMPOSE_PROJECT_NAME").ok();
    name.filter(|name| !name.is_empty())
}

impl Scope {
    fn named(name: &str) -> Scope {
        Scope {
            name: name.to_lowercase(),
            project: None,
        }
    }

    /// The services of the files, by name; `None` where no file was read.
    pub fn services(&self) -> Option<Vec<String>> {
        let project = self.project.as_ref()?;
        Some(project.services.keys().cloned().collect())
    }

    /// Docker's words for a service that the files do not have.
    pub fn check(&self, services: &[String]) -> Result<(), CliError> {
        let known = |service: &&String| {
            let project = self.project.as_ref();
            project.is_none_or(|project| project.services.contains_key(*service))
        };
        match services.iter().find(|service| !known(service)) {
            None => Ok(()),
            Some(unknown) => Err(failed(format!("no such service: {unknown}"))),
        }
    }
}

/// Which of a project's containers are looked for.
#[derive(Clone, Copy, Default)]
pub(super) struct Which<'a> {
    pub oneoff: OneOff,
    /// Also those that do not run.
    pub all: bool,
    /// None: of any.
    pub services: &'a [String],
}

/// By service and number, those of `run` behind the others.
pub(super) fn containers(
    engine: &Engine,
    project: &str,
    which: Which<'_>,
) -> Result<Vec<ListedContainer>, CliError> {
    let request = PsRequest {
        all: which.all,
        filters: labels::containers(project, which.oneoff),
        ..PsRequest::default()
    };
    let listed = engine.list(&request);
    let mut found = listed.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    found.retain(|container| {
        which.services.is_empty() || which.services.iter().any(|name| name == service(container))
    });
    found.sort_by(|a, b| place(a).cmp(&place(b)));
    Ok(found)
}

/// The container with this number, or the first, of a service; docker's words where there is none.
pub(super) fn one(
    engine: &Engine,
    project: &str,
    which: Which<'_>,
    index: u32,
) -> Result<ListedContainer, CliError> {
    let service = which.services.first().map_or("", String::as_str);
    let found = containers(engine, project, which)?;
    let mut fitting = found
        .into_iter()
        .filter(|container| index == 0 || labels::number(&container.config.labels) == index);
    fitting.next().ok_or_else(|| {
        failed(match index {
            0 => format!("service {service:?} is not running"),
            _ => format!("service {service:?} is not running container #{index}"),
        })
    })
}

/// The same of what runs, also of `run`.
pub(super) fn running_one(
    engine: &Engine,
    project: &str,
    service: &String,
    index: u32,
) -> Result<ListedContainer, CliError> {
    let which = Which {
        oneoff: OneOff::Include,
        all: false,
        services: std::slice::from_ref(service),
    };
    one(engine, project, which, index)
}

fn place(container: &ListedContainer) -> (&str, bool, u32, &str) {
    let labels = &container.config.labels;
    let oneoff = labels::is_oneoff(labels);
    (
        service(container),
        oneoff,
        labels::number(labels),
        &container.name,
    )
}

fn label<'a>(container: &'a ListedContainer, key: &str) -> &'a str {
    let label = container.config.labels.get(key);
    label.map_or("", String::as_str)
}

/// The service that a container is of.
pub(super) fn service(container: &ListedContainer) -> &str {
    label(container, labels::SERVICE)
}

pub(super) fn project(container: &ListedContainer) -> &str {
    label(container, labels::PROJECT)
}

pub(super) fn number(container: &ListedContainer) -> &str {
    label(container, labels::NUMBER)
}

/// Labels may be an image's own words: none of them moves the cursor or begins a line.
pub(super) fn shown(text: &str) -> String {
    events::harmless(text)
}

/// A failure in docker's words.
pub(super) fn failed(message: impl Into<String>) -> CliError {
    CliError::new(Kind::Failed, message)
}
