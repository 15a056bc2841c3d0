//! `container prune`, `container cleanup`: what is left of containers that do not run.

use super::files::size_of;
use super::request::PruneFilters;
use super::{Engine, EngineError};
use crate::container::{ContainerId, ContainerName, Event, EventKind, Record};
use crate::monitor::{Request, VERSION};

/// What a prune removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub ids: Vec<ContainerId>,
    /// Bytes of their own layers.
    pub reclaimed: u64,
}

impl Engine {
    /// Removes the containers that do not run and fit. One that is started or removed meanwhile is passed over.
    pub fn prune_containers(&self, filters: &PruneFilters) -> Result<Pruned, EngineError> {
        let mut chosen: Vec<Record> = self.containers.all()?;
        chosen.retain(|record| self.may_go(record, filters));
        if chosen.is_empty() {
            return Ok(Pruned::default());
        }
        // Subordinate ids may have closed their directories to the user.
        let sizes: Vec<u64> =
            self.in_home("worker", || Ok(chosen.iter().map(size_of).collect()))?;
        let mut pruned = Pruned::default();
        for (record, size) in chosen.into_iter().zip(sizes) {
            match self.remove(&record, false, false) {
                Ok(()) => {
                    pruned.ids.push(record.id);
                    pruned.reclaimed += size;
                }
                Err(EngineError::RemoveRunning { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.empty_trash()?;
        let event = Event::new(EventKind::Container, "", "prune");
        self.emit(&event.with("reclaimed", pruned.reclaimed.to_string()));
        Ok(pruned)
    }

    fn may_go(&self, record: &Record, filters: &PruneFilters) -> bool {
        let stopped = record.status().is_ok_and(|status| !status.is_running());
        // One that `run` has made and not started yet is on its way.
        stopped
            && !self.containers.is_being_made(record)
            && record
                .config()
                .is_ok_and(|config| filters.matches(config.created.parse().ok(), &config.labels))
    }

    /// Waits until nothing of the last run is left, and takes away what a killed monitor could not.
    pub fn clean_up(&self, record: &Record) -> Result<(), EngineError> {
        let name = self.containers.name_of(record);
        if record.status().is_ok_and(|status| status.is_running()) {
            return Err(EngineError::CleanUpRunning { name });
        }
        self.wait_for_last_monitor(record, &name)?;
        self.forget_socket(&record.id);
        Ok(())
    }

    /// Gives the container that is called `old`, by a name or an id, another name. Where its networks can't be told of it, it keeps
    /// the one it has.
    pub fn rename(&self, old: &str, new: &str) -> Result<(), EngineError> {
        let record = self.find(old)?;
        let new: ContainerName = new.parse()?;
        let before = self.containers.name_of(&record);
        let request = Request::Renamed(new.to_string());
        let is_bridged = self.config_of(&record)?.host.is_bridged();
        let live = record.status().ok();
        let protocol = live.and_then(|status| Some(status.live()?.protocol));
        let protocol = protocol.filter(|_| is_bridged);
        if let Some(theirs) = protocol.filter(|theirs| *theirs < request.since()) {
            return Err(EngineError::MonitorVersion {
                name: before,
                theirs,
                ours: VERSION,
            });
        }
        self.containers.rename(&record, old, &new)?;
        if protocol.is_none() {
            return Ok(());
        }
        match self.send(&record, new.as_str(), &request) {
            // One that has ended meanwhile begins its next life by the new name.
            Ok(()) | Err(EngineError::NotRunning { .. }) => Ok(()),
            Err(error) => {
                if let Ok(before) = before.parse()
                    && let Err(error) = self.containers.rename(&record, new.as_str(), &before)
                {
                    tracing::debug!(%error, "it keeps the new name");
                }
                Err(error)
            }
        }
    }
}
