//! Ends what a project runs: what depends on something before that, and what does not at the same time.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::{ExecuteError, Executor, Orders};
use crate::compose::labels::{self, OneOff};
use crate::compose::order::{in_steps, needs};
use crate::compose::report::Phase;
use crate::compose::state;
use crate::engine::request::{Signal, StopTimeout};
use crate::engine::{EngineError, ListedContainer};

/// What `down` takes away.
#[derive(Clone, Debug, Default)]
pub struct Down {
    /// Only these services; none: all, and what they share.
    pub services: Vec<String>,
    pub volumes: bool,
    pub orphans: bool,
    pub timeout: Option<StopTimeout>,
}

impl Executor<'_> {
    /// A project's containers of these services, or all of its services' that it knows; with `orphans` those of none as well.
    pub fn containers_of(
        &self,
        services: &[String],
        orphans: bool,
        oneoff: OneOff,
    ) -> Result<Vec<ListedContainer>, ExecuteError> {
        let known = self.known();
        let all = state::containers(self.engine, &self.project.name, oneoff)?;
        let is_meant = |one: &ListedContainer| {
            let service = one.config.labels.get(labels::SERVICE);
            let service = service.map_or("", String::as_str);
            match services {
                [] => orphans || known.is_empty() || known.contains(service),
                named => named.iter().any(|name| name == service),
            }
        };
        Ok(all.into_iter().filter(is_meant).collect())
    }

    /// Containers in groups: each has to end before those after it, which they depend on.
    pub fn in_order_of_end(&self, all: Vec<ListedContainer>) -> Vec<Vec<ListedContainer>> {
        let mut needed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for one in &all {
            let service = one.config.labels.get(labels::SERVICE).cloned();
            let service = service.unwrap_or_default();
            let names = match self.project.services.get(&service) {
                Some(known) => needs(known).into_iter().map(|need| need.service).collect(),
                None => labelled_needs(one),
            };
            needed.entry(service).or_default().extend(names);
        }
        let graph = needed.iter().map(|(name, of)| (name.as_str(), of.clone()));
        // A circle that somebody has written into labels is ended all at once.
        let steps = in_steps(graph.collect()).unwrap_or_else(|names| vec![names]);
        let mut groups = Vec::new();
        for step in steps.into_iter().rev() {
            let is_of_step = |one: &ListedContainer| {
                let service = one.config.labels.get(labels::SERVICE);
                step.iter()
                    .any(|name| Some(name) == service.or(Some(&String::new())))
            };
            groups.push(all.iter().filter(|one| is_of_step(one)).cloned().collect());
        }
        groups
    }

    /// Ends these, whatever they are; those that do not run are passed over.
    pub(super) fn stop_these(
        &self,
        ids: &[String],
        timeout: StopTimeout,
    ) -> Result<(), ExecuteError> {
        let mut found = Vec::new();
        for id in ids {
            match self.engine.listed(id) {
                Ok(one) => found.push(one),
                // Somebody was faster.
                Err(EngineError::Container(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.stop_group(&found, timeout)
    }

    /// All of them at the same time.
    pub fn stop_group(
        &self,
        all: &[ListedContainer],
        timeout: StopTimeout,
    ) -> Result<(), ExecuteError> {
        let alive = |one: &&ListedContainer| state::state(one).is_alive();
        let alive: Vec<&ListedContainer> = all.iter().filter(alive).collect();
        for one in &alive {
            self.report.container(&one.name, Phase::Working, "Stopping");
            if !self.dry_run {
                super::hooks::before_stop(self, one)?;
            }
        }
        if self.dry_run {
            for one in &alive {
                self.report.container(&one.name, Phase::Done, "Stopped");
            }
            return Ok(());
        }
        let failed = RefCell::new(None);
        let records = alive.iter().map(|one| one.record.clone()).collect();
        self.engine.stop_all(records, None, timeout, |index, how| {
            let name = &alive[index].name;
            match how {
                Ok(_) => self.report.container(name, Phase::Done, "Stopped"),
                Err(error) => {
                    self.report
                        .container(name, Phase::Failed, "Error while Stopping");
                    let error = ExecuteError::of(format!("container {name}"))(error);
                    failed.borrow_mut().get_or_insert(error);
                }
            }
        })?;
        failed.into_inner().map_or(Ok(()), Err)
    }

    /// Sends a signal to each that runs.
    pub fn kill_group(&self, all: &[ListedContainer], signal: Signal) -> Result<(), ExecuteError> {
        for one in all.iter().filter(|one| state::state(one).is_alive()) {
            self.report.container(&one.name, Phase::Working, "Killing");
            if !self.dry_run {
                match self.engine.kill(&one.record, signal) {
                    Ok(()) | Err(EngineError::NotRunning { .. }) => {}
                    Err(error) => {
                        return Err(ExecuteError::of(format!("container {}", one.name))(error));
                    }
                }
            }
            self.report.container(&one.name, Phase::Done, "Killed");
        }
        Ok(())
    }

    /// Ends all of these, what depends on others first, and starts them again the other way round.
    pub fn restart(
        &self,
        all: Vec<ListedContainer>,
        members: BTreeMap<String, Vec<String>>,
        chosen: &BTreeSet<String>,
        timeout: StopTimeout,
    ) -> Result<(), ExecuteError> {
        for one in &all {
            self.report
                .container(&one.name, Phase::Working, "Restarting");
        }
        for group in self.in_order_of_end(all) {
            self.stop_group(&group, timeout)?;
        }
        let orders = Orders {
            members,
            chosen: chosen.clone(),
            ..Orders::default()
        };
        self.start(&orders).map(drop)
    }

    /// Takes one away, whether it runs or not; it is out of sight at once, and deleted with the others.
    pub fn remove(&self, id: &str, volumes: bool) -> Result<(), ExecuteError> {
        let one = match self.engine.listed(id) {
            Ok(one) => one,
            Err(EngineError::Container(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.report.container(&one.name, Phase::Working, "Removing");
        if !self.dry_run {
            let removed = self.engine.remove(&one.record, true, volumes);
            removed.map_err(ExecuteError::of(format!("container {}", one.name)))?;
        }
        self.report.container(&one.name, Phase::Done, "Removed");
        Ok(())
    }

    /// Ends and removes what the project has. `false`: there was nothing of it.
    pub fn down(&self, down: &Down) -> Result<bool, ExecuteError> {
        let timeout = down.timeout.unwrap_or(StopTimeout::Default);
        let oneoff = match down.services.is_empty() {
            true => OneOff::Include,
            false => OneOff::Exclude,
        };
        let all = self.containers_of(&down.services, down.orphans, oneoff)?;
        let mut any = !all.is_empty();
        for group in self.in_order_of_end(all) {
            self.stop_group(&group, timeout)?;
            for one in &group {
                self.remove(one.record.id.as_str(), down.volumes)?;
            }
        }
        if down.services.is_empty() {
            any |= self.remove_networks()?;
            if down.volumes {
                any |= self.remove_volumes()?;
            }
        }
        if !self.dry_run {
            self.engine.empty_trash()?;
        }
        Ok(any)
    }
}

/// `db:service_started:true,…` of a container whose service the file does not have.
fn labelled_needs(one: &ListedContainer) -> BTreeSet<String> {
    let label = one.config.labels.get(labels::DEPENDS_ON);
    let needs = label.map_or("", String::as_str).split(',');
    let names = needs.filter_map(|need| need.split(':').next());
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}
