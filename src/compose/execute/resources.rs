//! A project's networks and volumes: made where they are missing, looked at where somebody else has made them, removed at its end.

use std::collections::{BTreeMap, BTreeSet};

use super::{ExecuteError, Executor};
use crate::compose::labels;
use crate::compose::model::{Network, Volume};
use crate::compose::report::{News, Phase};
use crate::compose::resources::{self, networks_of, own, volumes_of};
use crate::container::VolumeError;
use crate::engine::{EngineError, NetworkRequestError};
use crate::net::record::NetworkError;

impl Executor<'_> {
    /// Those that these services have. `replace` is asked before a volume that is another by now loses what is in it.
    pub fn make_resources(
        &self,
        services: &BTreeSet<String>,
        replace: &mut dyn FnMut(&str) -> bool,
    ) -> Result<(), ExecuteError> {
        let project = self.project;
        let networks = networks_of(project, services);
        for (key, network) in own(&project.networks, &networks) {
            self.make_network(key, network)?;
        }
        let volumes = volumes_of(project, services);
        for (key, volume) in own(&project.volumes, &volumes) {
            self.make_volume(key, volume, replace)?;
        }
        Ok(())
    }

    fn say(&self, subject: &str, phase: Phase, words: &str) {
        self.report.news(News {
            subject,
            detail: "",
            phase,
            words,
        });
    }

    fn make_network(&self, key: &str, network: &Network) -> Result<(), ExecuteError> {
        let name = &network.name;
        let found = match self.engine.networks().find(name) {
            Ok(found) => Some(found),
            Err(NetworkError::NotFound { .. }) => None,
            Err(error) => return Err(ExecuteError::Engine(error.into())),
        };
        if network.external {
            return match found {
                Some(_) => Ok(()),
                None => Err(ExecuteError::NoNetwork { name: name.clone() }),
            };
        }
        let request = resources::network(&self.project.name, key, network)?;
        if let Some(found) = found {
            self.check_network(key, name, &found.labels)?;
            let hash = found.labels.get(labels::CONFIG_HASH);
            if hash.is_none_or(|hash| request.labels.get(labels::CONFIG_HASH) == Some(hash)) {
                return Ok(());
            }
            self.take_network_away(name)?;
        }
        let subject = format!("Network {name}");
        self.say(&subject, Phase::Working, "Creating");
        if !self.dry_run {
            match self.engine.create_network(&request) {
                // Another command makes the same.
                Err(EngineError::Network(NetworkError::Exists { .. })) => {}
                made => drop(made.map_err(ExecuteError::of(format!("network {name}")))?),
            }
        }
        self.say(&subject, Phase::Done, "Created");
        Ok(())
    }

    /// One that compose has not made is used as it is, and not without a word.
    fn check_network(
        &self,
        key: &str,
        name: &str,
        found: &BTreeMap<String, String>,
    ) -> Result<(), ExecuteError> {
        let project = &self.project.name;
        match found.get(labels::PROJECT) {
            None => {
                self.report.warn(&format!(
                    "a network with name {name} exists but was not created by compose. Set `external: true` to use an existing network"
                ));
                Ok(())
            }
            Some(other) if other != project => {
                self.report.warn(&format!(
                    "a network with name {name} exists but was not created for project {project:?}. Set `external: true` to use an existing network"
                ));
                Ok(())
            }
            Some(_) => match found.get(labels::NETWORK) {
                Some(of) if of == key => Ok(()),
                of => Err(ExecuteError::ForeignNetwork {
                    name: name.to_owned(),
                    label: labels::NETWORK,
                    found: of.cloned().unwrap_or_default(),
                    expected: key.to_owned(),
                }),
            },
        }
    }

    /// It is another by now: nobody may be in it while it is made anew; who was is started again afterwards.
    fn take_network_away(&self, name: &str) -> Result<(), ExecuteError> {
        let subject = format!("Network {name}");
        self.say(&subject, Phase::Working, "Recreating");
        if self.dry_run {
            return Ok(());
        }
        let summary = self.engine.network(name)?;
        let ids: Vec<String> = summary.members.into_iter().map(|one| one.id).collect();
        self.stop_these(&ids, crate::engine::request::StopTimeout::Default)?;
        let removed = self.engine.remove_network(name);
        removed.map_err(ExecuteError::of(format!("network {name}")))
    }

    fn make_volume(
        &self,
        key: &str,
        volume: &Volume,
        replace: &mut dyn FnMut(&str) -> bool,
    ) -> Result<(), ExecuteError> {
        let name = &volume.name;
        let found = match self.engine.volume(name) {
            Ok(found) => Some(found.volume),
            Err(EngineError::Volume(VolumeError::NotFound { .. })) => None,
            Err(error) => return Err(error.into()),
        };
        if volume.external {
            return match found {
                Some(_) => Ok(()),
                None => Err(ExecuteError::NoVolume { name: name.clone() }),
            };
        }
        let request = resources::volume(&self.project.name, key, volume);
        if let Some(found) = found {
            let labels = &found.config.labels;
            self.check_volume(name, labels);
            let hash = labels.get(labels::CONFIG_HASH);
            let same =
                hash.is_none_or(|hash| request.labels.get(labels::CONFIG_HASH) == Some(hash));
            if same || !replace(name) {
                return Ok(());
            }
            self.take_volume_away(name)?;
        }
        let subject = format!("Volume {name}");
        self.say(&subject, Phase::Working, "Creating");
        if !self.dry_run {
            let made = self.engine.create_volume(&request);
            made.map_err(ExecuteError::of(format!("volume {name}")))?;
        }
        self.say(&subject, Phase::Done, "Created");
        Ok(())
    }

    fn check_volume(&self, name: &str, found: &BTreeMap<String, String>) {
        let project = &self.project.name;
        match found.get(labels::PROJECT) {
            None => self.report.warn(&format!(
                "volume {name:?} already exists but was not created by Docker Compose. Use `external: true` to use an existing volume"
            )),
            Some(other) if other != project => self.report.warn(&format!(
                "volume {name:?} already exists but was created for project {other:?} (expected {project:?}). Use `external: true` to use an existing volume"
            )),
            Some(_) => {}
        }
    }

    /// With the containers that have it.
    fn take_volume_away(&self, name: &str) -> Result<(), ExecuteError> {
        if self.dry_run {
            return Ok(());
        }
        let users = self.engine.volume(name)?.users;
        let ids: Vec<String> = users.iter().map(ToString::to_string).collect();
        self.stop_these(&ids, crate::engine::request::StopTimeout::Default)?;
        for id in &ids {
            self.remove(id, false)?;
        }
        let removed = self.engine.remove_volume(name);
        removed.map_err(ExecuteError::of(format!("volume {name}")))?;
        Ok(self.engine.empty_trash()?)
    }

    /// Of `down`: those that the file or their labels say are the project's.
    pub(super) fn remove_networks(&self) -> Result<bool, ExecuteError> {
        let own = self
            .engine
            .list_networks(&labels::networks(&self.project.name))?;
        let mut any = false;
        for summary in own {
            any = true;
            let name = &summary.network.name;
            let subject = format!("Network {name}");
            self.say(&subject, Phase::Working, "Removing");
            if self.dry_run {
                self.say(&subject, Phase::Done, "Removed");
                continue;
            }
            match self.engine.remove_network(name) {
                Ok(()) | Err(EngineError::Network(NetworkError::NotFound { .. })) => {
                    self.say(&subject, Phase::Done, "Removed");
                }
                // docker says so and goes on.
                Err(EngineError::NetworkRequest(NetworkRequestError::InUse { .. })) => {
                    self.say(&subject, Phase::Warning, "Resource is still in use");
                }
                Err(error) => return Err(ExecuteError::of(format!("network {name}"))(error)),
            }
        }
        Ok(any)
    }

    pub(super) fn remove_volumes(&self) -> Result<bool, ExecuteError> {
        let own = self
            .engine
            .list_volumes(&labels::volumes(&self.project.name))?;
        let mut any = false;
        for summary in own {
            any = true;
            let name = summary.volume.name.to_string();
            let subject = format!("Volume {name}");
            self.say(&subject, Phase::Working, "Removing");
            if self.dry_run {
                self.say(&subject, Phase::Done, "Removed");
                continue;
            }
            match self.engine.remove_volume(&name) {
                Ok(()) | Err(EngineError::Volume(VolumeError::NotFound { .. })) => {
                    self.say(&subject, Phase::Done, "Removed");
                }
                Err(EngineError::VolumeInUse { .. }) => {
                    self.say(&subject, Phase::Warning, "Resource is still in use");
                }
                Err(error) => return Err(ExecuteError::of(format!("volume {name}"))(error)),
            }
        }
        Ok(any)
    }
}
