//! Carries plans out: engine calls, one after the other where one needs another, else side by side.

mod error;
mod follow;
mod hooks;
mod make;
mod oneoff;
mod resources;
mod start;
mod stop;

use std::collections::{BTreeMap, BTreeSet};

use super::model::Project;
use super::plan::{Names, Recreate, Wanted};
use super::report::{Phase, Report};
use super::{fingerprint, order};
use crate::engine::Engine;
use crate::engine::request::StopTimeout;
use crate::image::Image;

pub use error::ExecuteError;
pub use make::Wish;
pub use start::{Cascade, Ended, Follow, Orders};
pub use stop::Down;

/// One project being worked on.
pub struct Executor<'a> {
    pub engine: &'a Engine,
    pub project: &'a Project,
    pub report: &'a dyn Report,
    /// Between the parts of a container's name.
    pub separator: char,
    /// Everything is said and nothing done.
    pub dry_run: bool,
    /// So many containers start at a time; None: any number.
    pub parallel: Option<usize>,
}

impl Executor<'_> {
    fn names(&self) -> Names<'_> {
        Names {
            project: &self.project.name,
            separator: self.separator,
        }
    }

    /// How many containers a service is to have: what is said, what the file says, or one.
    pub fn count(&self, service: &str, scale: &BTreeMap<String, u32>) -> u32 {
        if let Some(count) = scale.get(service) {
            return *count;
        }
        let Some(service) = self.project.services.get(service) else {
            return 1;
        };
        let of_deploy = service.deploy.as_ref().and_then(|deploy| deploy.replicas);
        let count = service.scale.or(of_deploy).unwrap_or(1);
        u32::try_from(count).unwrap_or(0)
    }

    /// The services that are meant, as they are to be, each after those that it needs.
    fn wanted(&self, wish: &Wish) -> Result<Vec<Wanted>, ExecuteError> {
        let services = &self.project.services;
        let steps = order::steps(services, &wish.chosen);
        let steps = steps.map_err(|names| ExecuteError::Circle { names })?;
        let mut all = Vec::new();
        for name in steps.into_iter().flatten() {
            let service = &services[&name];
            let container_name =
                (!service.container_name.is_empty()).then(|| service.container_name.clone());
            let count = self.count(&name, &wish.scale);
            if let (Some(container), 2..) = (&container_name, count) {
                return Err(ExecuteError::NamedScale {
                    service: name,
                    name: container.clone(),
                });
            }
            let needs = order::needs(service).into_iter();
            let restarts_with = needs.filter(|need| need.restart).map(|need| need.service);
            all.push(Wanted {
                count,
                hash: fingerprint::service(self.project, service),
                image: wish.images.get(&name).map(|image| image.id.to_string()),
                container_name,
                recreate: match wish.named.contains(&name) {
                    true => wish.recreate,
                    false => wish.recreate_needed,
                },
                shares: order::shared(service).map(str::to_owned).collect(),
                restarts_with: restarts_with.collect(),
                service: name,
            });
        }
        Ok(all)
    }

    /// All services that the project has, active or not.
    fn known(&self) -> BTreeSet<String> {
        let active = self.project.services.keys();
        active
            .chain(self.project.disabled.keys())
            .cloned()
            .collect()
    }
}

impl Default for Wish {
    fn default() -> Wish {
        Wish {
            chosen: BTreeSet::new(),
            named: BTreeSet::new(),
            scale: BTreeMap::new(),
            images: BTreeMap::<String, Image>::new(),
            recreate: Recreate::default(),
            recreate_needed: Recreate::default(),
            renew_volumes: false,
            remove_orphans: false,
            ignore_orphans: false,
            timeout: StopTimeout::Default,
            assume_yes: false,
        }
    }
}

/// Two words about the same.
fn both(report: &dyn Report, name: &str, (first, last): (&str, &str)) {
    report.container(name, Phase::Working, first);
    report.container(name, Phase::Done, last);
}
