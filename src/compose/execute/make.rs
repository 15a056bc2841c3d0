//! Makes a project's containers as its files say: creates what is missing, replaces what is another, takes away what is too much.

use std::collections::{BTreeMap, BTreeSet};

use super::{ExecuteError, Executor, both};
use crate::compose::creation::Container;
use crate::compose::labels;
use crate::compose::plan::{Existing, Plan, Recreate, Step, Wanted, plan, temporary_name};
use crate::compose::report::Phase;
use crate::compose::state;
use crate::container::{ContainerConfig, ContainerError, CreatorLock, Record};
use crate::engine::EngineError;
use crate::engine::request::{CreateRequest, Mount, MountKind, StopTimeout, VolumeOptions};
use crate::image::Image;

/// What a command asks for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The services that are meant: those that are named, and those that they need.
    pub chosen: BTreeSet<String>,
    /// The ones that are named; what is said of replacing is said of them.
    pub named: BTreeSet<String>,
    /// How many containers, where it is not what the file says.
    pub scale: BTreeMap<String, u32>,
    /// By service; without one nothing can be made of it.
    pub images: BTreeMap<String, Image>,
    pub recreate: Recreate,
    /// Of those that others need.
    pub recreate_needed: Recreate,
    /// A replacement gets new anonymous volumes.
    pub renew_volumes: bool,
    pub remove_orphans: bool,
    /// And says nothing of them.
    pub ignore_orphans: bool,
    pub timeout: StopTimeout,
    /// Nobody is asked.
    pub assume_yes: bool,
}

/// What became of a step.
enum Done {
    Yes,
    /// Somebody else was faster: what there is has to be looked at again.
    Again,
}

/// It has gone since it was looked for, or has its name already.
fn is_gone(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::Container(
            ContainerError::NotFound { .. }
                | ContainerError::Renamed { .. }
                | ContainerError::SameName
        )
    )
}

impl Executor<'_> {
    /// Gives the names of each service's containers.
    pub fn make(&self, wish: &Wish) -> Result<BTreeMap<String, Vec<String>>, ExecuteError> {
        let wanted = self.wanted(wish)?;
        let mut is_first = true;
        let mut known: BTreeSet<String> = BTreeSet::new();
        loop {
            let mut existing = state::existing(self.engine, &self.project.name)?;
            match is_first {
                true => known = existing.iter().map(|one| one.id.clone()).collect(),
                false => existing
                    .iter_mut()
                    .for_each(|one| one.is_new = !known.contains(&one.id)),
            }
            let plan = plan(&self.names(), &wanted, &existing, &self.known());
            if std::mem::take(&mut is_first) {
                self.orphans(wish, &plan.orphans)?;
            }
            if let Done::Yes = self.carry_out(wish, &wanted, &plan)? {
                return Ok(plan.members);
            }
        }
    }

    fn carry_out(&self, wish: &Wish, wanted: &[Wanted], plan: &Plan) -> Result<Done, ExecuteError> {
        for step in &plan.steps {
            let done = match self.step(wish, wanted, plan, step) {
                Err(ExecuteError::Of { source, .. } | ExecuteError::Engine(source))
                    if is_gone(&source) || self.is_taken_by_sibling(&source, step) =>
                {
                    Done::Again
                }
                done => done?,
            };
            if let Done::Again = done {
                return Ok(Done::Again);
            }
        }
        Ok(Done::Yes)
    }

    fn step(
        &self,
        wish: &Wish,
        wanted: &[Wanted],
        plan: &Plan,
        step: &Step,
    ) -> Result<Done, ExecuteError> {
        match step {
            Step::Keep { name, is_running } => {
                if *is_running {
                    self.report.container(name, Phase::Done, "Running");
                }
            }
            Step::Wait { id } => {
                let record = self.engine.find(id)?;
                self.engine.wait_until_made(&record)?;
                return Ok(Done::Again);
            }
            Step::Rename { id, from, to } => {
                if !self.dry_run {
                    let renamed = match self.engine.rename(id, to) {
                        // Its maker was faster, or somebody else.
                        Err(EngineError::Container(ContainerError::NameTaken { .. })) => {
                            return Ok(Done::Again);
                        }
                        renamed => renamed,
                    };
                    renamed.map_err(ExecuteError::of(format!("container {from}")))?;
                }
            }
            Step::Stop { id, .. } => self.stop_these(std::slice::from_ref(id), wish.timeout)?,
            Step::Remove {
                id, keeps_volumes, ..
            } => {
                self.stop_these(std::slice::from_ref(id), wish.timeout)?;
                self.remove(id, !keeps_volumes)?;
            }
            Step::Create {
                service,
                number,
                name,
            } => {
                let made = Making {
                    wish,
                    plan,
                    wanted: of_service(wanted, service),
                    number: *number,
                };
                self.report.container(name, Phase::Working, "Creating");
                self.create(&made, name, None)?;
                self.report.container(name, Phase::Done, "Created");
            }
            Step::Replace {
                service,
                number,
                name,
                old,
                old_name,
            } => {
                let made = Making {
                    wish,
                    plan,
                    wanted: of_service(wanted, service),
                    number: *number,
                };
                self.replace(&made, name, (old, old_name))?;
            }
        }
        Ok(Done::Yes)
    }

    /// The new one is made first, under another name: if it can't be, the old one goes on. Whoever looks meanwhile sees by its lock that
    /// somebody is at it, and after a crash by its label what it was to be.
    fn replace(
        &self,
        making: &Making<'_>,
        name: &str,
        (old, old_name): (&str, &str),
    ) -> Result<(), ExecuteError> {
        let report = self.report;
        if self.dry_run {
            both(report, old_name, ("Recreate", "Recreated"));
            return Ok(());
        }
        report.container(old_name, Phase::Working, "Recreate");
        let of = |name: &str| ExecuteError::of(format!("container {name}"));
        let temporary = temporary_name(old, name);
        let made = self.create(making, &temporary, Some((old, name)))?;
        let record = self.engine.find(old).map_err(of(old_name))?;
        let stopped = self.engine.stop(&record, None, making.wish.timeout);
        stopped.map_err(of(old_name))?;
        self.engine
            .remove(&record, true, false)
            .map_err(of(old_name))?;
        if let Some((_, _lock)) = made {
            self.engine.rename(&temporary, name).map_err(of(name))?;
        }
        self.engine.empty_trash()?;
        report.container(name, Phase::Done, "Recreated");
        Ok(())
    }

    fn create(
        &self,
        making: &Making<'_>,
        name: &str,
        replaced: Option<(&str, &str)>,
    ) -> Result<Option<(Record, CreatorLock)>, ExecuteError> {
        let service = &self.project.services[&making.wanted.service];
        let image = making.wish.images.get(&service.name);
        if self.dry_run {
            return Ok(None);
        }
        let image = image.ok_or_else(|| ExecuteError::NoImage {
            service: service.name.clone(),
        })?;
        let container = Container {
            project: self.project,
            service,
            name,
            number: making.number,
            slug: None,
            hash: &making.wanted.hash,
            image: &self.image_name(&service.name),
            image_id: &image.id.to_string(),
            with_aliases: true,
            replaces: replaced.map(|(_, name)| name),
            members: &|other| self.members(making.plan, other),
        };
        let mut request = container.request(&mut |text| self.report.warn(&text))?;
        if let Some((old, _)) = replaced
            && !making.wish.renew_volumes
        {
            let old = self.engine.container(old, false)?;
            inherit(&mut request, &old.config);
        }
        let made = self.engine.create(&request, image);
        let of = ExecuteError::of(format!("service {:?}: container {name}", service.name));
        made.map(Some).map_err(of)
    }

    /// What a service's image is called: by the file, or by the project.
    pub fn image_name(&self, service: &str) -> String {
        let named = self.project.services.get(service);
        match named.map(|service| service.image.as_str()) {
            None | Some("") => format!("{}{}{service}", self.project.name, self.separator),
            Some(name) => name.to_owned(),
        }
    }

    /// A service's containers: those of the plan, or those that are there.
    fn members(&self, plan: &Plan, service: &str) -> Vec<String> {
        if let Some(members) = plan.members.get(service) {
            return members.clone();
        }
        self.there(service).unwrap_or_default()
    }

    /// The names of a service's containers that are there, by number.
    pub fn there(&self, service: &str) -> Result<Vec<String>, EngineError> {
        let all = state::existing(self.engine, &self.project.name)?;
        let mut found: Vec<Existing> = all
            .into_iter()
            .filter(|one| one.service == service && !one.is_oneoff)
            .collect();
        found.sort_by_key(|one| one.number);
        Ok(found.into_iter().map(|one| one.name).collect())
    }

    /// The name is the arbiter between two commands: one that is taken by a container of the same service is somebody's who does
    /// the same; else it is in the way for good.
    fn is_taken_by_sibling(&self, error: &EngineError, step: &Step) -> bool {
        let (Step::Create { service, .. } | Step::Replace { service, .. }) = step else {
            return false;
        };
        let EngineError::Container(ContainerError::NameTaken { name, .. }) = error else {
            return false;
        };
        match self.engine.listed(name) {
            Ok(owner) => {
                let labels = &owner.config.labels;
                labels.get(labels::PROJECT) == Some(&self.project.name)
                    && labels.get(labels::SERVICE) == Some(service)
                    && !labels::is_oneoff(labels)
            }
            // Gone again.
            Err(error) => is_gone(&error),
        }
    }

    fn orphans(&self, wish: &Wish, orphans: &[Existing]) -> Result<(), ExecuteError> {
        if wish.remove_orphans {
            let ids: Vec<String> = orphans.iter().map(|one| one.id.clone()).collect();
            self.stop_these(&ids, wish.timeout)?;
            return ids.iter().try_for_each(|id| self.remove(id, false));
        }
        if !orphans.is_empty() && !wish.ignore_orphans {
            let names: Vec<&str> = orphans.iter().map(|one| one.name.as_str()).collect();
            self.report.warn(&format!(
                "Found orphan containers ([{}]) for this project. If you removed or renamed this service in your compose file, you can run this command with the --remove-orphans flag to clean it up.",
                names.join(" ")
            ));
        }
        Ok(())
    }
}

/// One container being made.
struct Making<'a> {
    wish: &'a Wish,
    plan: &'a Plan,
    wanted: &'a Wanted,
    number: u32,
}

fn of_service<'a>(wanted: &'a [Wanted], service: &str) -> &'a Wanted {
    let found = wanted.iter().find(|one| one.service == service);
    found.expect("a plan has steps of services that are wanted alone")
}

/// The anonymous volumes of the container that is replaced, where nothing else is mounted.
fn inherit(request: &mut CreateRequest, old: &ContainerConfig) {
    for mount in &old.host.mounts {
        let Some(used) = mount.volume.as_ref().filter(|used| used.anonymous) else {
            continue;
        };
        let at = |mounts: &[Mount]| mounts.iter().position(|one| one.target == mount.target);
        let inherited = MountKind::Volume(VolumeOptions {
            name: Some(used.name.clone()),
            inherited: true,
            ..VolumeOptions::default()
        });
        match at(&request.mounts) {
            Some(place) => {
                let is_anonymous = matches!(&request.mounts[place].kind, MountKind::Volume(volume) if volume.name.is_none());
                if is_anonymous {
                    request.mounts[place].kind = inherited;
                }
            }
            None => request.mounts.push(Mount {
                kind: inherited,
                target: mount.target.clone(),
                read_only: mount.is_read_only(),
                chown: mount.chown,
            }),
        }
    }
}
