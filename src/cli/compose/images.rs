//! The images of services, before containers are made of them: there already, built, or pulled side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;

use super::build::{BuildWords, build_services};
use super::progress::Progress;
use super::project::{engine_failed, failed};
use crate::cli::Invocation;
use crate::cli::error::CliError;
use crate::compose::execute::{ExecuteError, Executor};
use crate::compose::model::Service;
use crate::compose::report::{News, Phase, Report};
use crate::engine::request::{CreateRequest, PullPolicy};
use crate::engine::{Arriving, PullNews, Sought};
use crate::image::Image;
use crate::sys::poll::{Interest, PollSet};

/// What is said of images on the command line.
#[derive(Clone, Debug, Default)]
pub struct ImageWords {
    /// Build whatever can be built.
    pub build: bool,
    pub no_build: bool,
    /// `always`, `missing`, `never`, `build`, `if_not_present`; None: what each service says.
    pub pull: Option<String>,
    pub quiet_pull: bool,
    pub quiet_build: bool,
}

/// How a service comes to its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Build,
    Pull(PullPolicy),
}

impl ImageWords {
    /// Of the command line, else of the service. What can be built is built where it is missing.
    fn way(&self, service: &Service, is_there: bool) -> Result<Way, CliError> {
        let can_build = service.build.is_some();
        if self.build && can_build {
            return Ok(Way::Build);
        }
        let said = self.pull.as_deref().filter(|text| !text.is_empty());
        let policy = said.unwrap_or(&service.pull_policy);
        Ok(match policy {
            "always" => Way::Pull(PullPolicy::Always),
            "never" => Way::Pull(PullPolicy::Never),
            "build" if can_build => Way::Build,
            "" | "missing" | "if_not_present" | "build" => match can_build && !is_there {
                true if self.no_build => Way::Pull(PullPolicy::Never),
                true => Way::Build,
                false => Way::Pull(PullPolicy::Missing),
            },
            // A registry is asked, as nobody knows how long ago that was.
            "daily" | "weekly" => Way::Pull(PullPolicy::Always),
            every if every.starts_with("every_") => Way::Pull(PullPolicy::Always),
            other => {
                return Err(CliError::usage(format!(
                    "invalid --pull option {other:?}: must be one of \"always\", \"missing\", \"never\" or \"build\""
                )));
            }
        })
    }
}

fn request(executor: &Executor<'_>, service: &Service, pull: PullPolicy) -> CreateRequest {
    CreateRequest {
        image: executor.image_name(&service.name),
        platform: Some(service.platform.clone()).filter(|text| !text.is_empty()),
        pull,
        ..CreateRequest::default()
    }
}

/// The image of each service that is to have containers.
pub fn images(
    executor: &Executor<'_>,
    chosen: &BTreeSet<String>,
    words: &ImageWords,
    (progress, invocation): (&Progress<'_>, &Invocation),
) -> Result<BTreeMap<String, Image>, CliError> {
    let services = &executor.project.services;
    let mut built = Vec::new();
    let mut sought = Vec::new();
    for name in chosen {
        let service = &services[name];
        if service.image.is_empty() && service.build.is_none() {
            let service = name.clone();
            return Err(failed(ExecuteError::NoImage { service }));
        }
        let here = executor
            .engine
            .at_hand(&request(executor, service, PullPolicy::Missing));
        let is_there = here.map_err(engine_failed)?.is_some();
        match words.way(service, is_there)? {
            Way::Build => built.push(name.clone()),
            Way::Pull(policy) => sought.push((name.clone(), policy)),
        }
    }
    let quiet = words.quiet_build || progress.is_quiet();
    if !built.is_empty() {
        let of_build = BuildWords {
            quiet,
            ..BuildWords::default()
        };
        build_services(executor, &built, &of_build, invocation)?;
    }
    let mut found = BTreeMap::new();
    for name in built {
        let asked = request(executor, &services[&name], PullPolicy::Never);
        match executor.engine.at_hand(&asked).map_err(engine_failed)? {
            Some(image) => drop(found.insert(name, image)),
            None if executor.dry_run => {}
            None => return Err(failed(ExecuteError::NoImage { service: name })),
        }
    }
    let pulled = pull(executor, &sought, words.quiet_pull, progress)?;
    for (name, image) in pulled.found {
        found.insert(name, image);
    }
    match pulled.failures.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(found),
    }
}

/// What came of pulling.
#[derive(Default)]
pub struct Pulled {
    pub found: Vec<(String, Image)>,
    pub failures: Vec<(String, CliError)>,
}

/// All at once; the same name once.
pub fn pull(
    executor: &Executor<'_>,
    sought: &[(String, PullPolicy)],
    quiet: bool,
    progress: &Progress<'_>,
) -> Result<Pulled, CliError> {
    let mut pulled = Pulled::default();
    let mut waiting: Vec<(Vec<String>, CreateRequest, Arriving)> = Vec::new();
    let tell = |service: &str, phase, words: &str| {
        if !quiet {
            progress.news(News {
                subject: service,
                detail: "",
                phase,
                words,
            });
        }
    };
    for (name, policy) in sought {
        let service = &executor.project.services[name];
        let asked = request(executor, service, *policy);
        let same = waiting
            .iter_mut()
            .find(|(_, known, _)| known.image == asked.image && known.platform == asked.platform);
        if let Some((names, ..)) = same {
            names.push(name.clone());
            continue;
        }
        match executor.engine.look_for(&asked) {
            Ok(Sought::Here(image)) => pulled.found.push((name.clone(), *image)),
            Ok(Sought::Elsewhere(elsewhere)) => {
                tell(name, Phase::Working, "Pulling");
                if executor.dry_run {
                    tell(name, Phase::Done, "Pulled");
                    continue;
                }
                match executor.engine.begin_pull(&elsewhere) {
                    Ok(arriving) => waiting.push((vec![name.clone()], asked, arriving)),
                    Err(error) => pulled.failures.push((name.clone(), engine_failed(error))),
                }
            }
            Err(error) => pulled.failures.push((name.clone(), engine_failed(error))),
        }
    }
    while !waiting.is_empty() {
        let mut set = PollSet::new();
        for (place, (.., arriving)) in waiting.iter().enumerate() {
            set.add(arriving.as_fd(), Interest::Read, place);
        }
        let ready = set.wait(None).map_err(|error| CliError::failed(&error))?;
        for place in ready.into_iter().rev() {
            let (names, _, arriving) = &mut waiting[place];
            let read = arriving.read(&mut |news| {
                if let PullNews::Note(text) = news {
                    tell(&names[0], Phase::Working, &text);
                }
            });
            let outcome = match read {
                Ok(None) => continue,
                Ok(Some(outcome)) => executor.engine.take_pulled(&outcome),
                Err(error) => Err(error),
            };
            let (names, ..) = waiting.remove(place);
            match outcome {
                Ok(image) => {
                    tell(&names[0], Phase::Done, "Pulled");
                    let each = names.into_iter().map(|name| (name, image.clone()));
                    pulled.found.extend(each);
                }
                Err(error) => {
                    tell(&names[0], Phase::Failed, "Error");
                    let error = engine_failed(error);
                    let each = names.into_iter().map(|name| (name, error.clone()));
                    pulled.failures.extend(each);
                }
            }
        }
    }
    Ok(pulled)
}
