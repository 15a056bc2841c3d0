//! What this engine is made of on this host, for `info`.

use std::path::PathBuf;

use super::{Engine, EngineError, StorageChoice};
use crate::config::Entry;
use crate::container::Status;
use crate::runtime::cgroup::{NoCgroup, Place};
use crate::runtime::home;
use crate::runtime::isolation::Isolation;
use crate::runtime::subids::Subids;

/// Facts, with the reason where something is missing.
#[derive(Clone, Debug)]
pub struct EngineFacts {
    pub containers: usize,
    pub running: usize,
    pub paused: usize,
    /// Images, named or not.
    pub images: usize,
    pub data: PathBuf,
    pub cache: PathBuf,
    pub runtime: PathBuf,
    /// Why `runtime` is not below `$XDG_RUNTIME_DIR`.
    pub runtime_fallback: Option<String>,
    /// Where containers get cgroups of their own, or why they get none.
    pub cgroup: Result<Place, NoCgroup>,
    /// What can be limited in those cgroups.
    pub controllers: Vec<String>,
    /// How many ids containers have; 1 without subordinate ids.
    pub ids: u32,
    pub pasta: Option<PathBuf>,
    /// What stacks the layers, and why.
    pub storage: StorageChoice,
    /// How containers are kept apart, and why no better.
    pub isolation: Isolation,
    pub isolation_reason: String,
    /// Every setting in force and where it comes from.
    pub settings: Vec<Entry>,
}

impl EngineFacts {
    /// Containers that neither run nor stand still.
    pub fn stopped(&self) -> usize {
        self.containers - self.running - self.paused
    }

    pub fn has_controller(&self, name: &str) -> bool {
        self.controllers.iter().any(|have| have == name)
    }
}

impl Engine {
    pub fn facts(&self) -> Result<EngineFacts, EngineError> {
        let records = self.containers.all()?;
        let (mut running, mut paused) = (0, 0);
        for record in &records {
            match record.status() {
                Ok(Status::Running(_)) => running += 1,
                Ok(Status::Paused(_)) => paused += 1,
                _ => {}
            }
        }
        let rows = self.images()?.names()?;
        let images = rows.entries.iter();
        let images = images.filter(|entry| entry.member_of().is_none());
        let mut images: Vec<_> = images.map(|entry| &entry.id).collect();
        images.sort();
        images.dedup();
        let cgroup = Place::find();
        let controllers = cgroup.as_ref().map(Place::controllers);
        let controllers = controllers.unwrap_or_default();
        Ok(EngineFacts {
            running,
            paused,
            containers: records.len(),
            images: images.len(),
            data: self.paths.data.clone(),
            cache: self.paths.cache.clone(),
            runtime: self.paths.runtime.clone(),
            runtime_fallback: self
                .paths
                .runtime_fallback
                .as_ref()
                .map(ToString::to_string),
            cgroup,
            controllers: controllers.split_whitespace().map(str::to_owned).collect(),
            ids: match self.isolation() {
                Isolation::Namespaces => Subids::find().map_or(1, |ids| ids.users.len()),
                Isolation::Chroot => home::maps().map_or(1, |maps| maps.users.len()),
            },
            pasta: crate::net::pasta::find(),
            storage: self.storage_driver(),
            isolation: self.isolation(),
            isolation_reason: self
                .confinement()
                .map_or_else(String::new, |finding| finding.found),
            settings: self.config.entries(),
        })
    }
}
