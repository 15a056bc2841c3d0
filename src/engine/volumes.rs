//! The verbs on volumes, and what a start needs of them. What is in a volume is only touched in the home namespace.

mod archive;

use std::fs;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::containers::tree_size;
use super::mounts::{check_driver, new_volume, random_name};
use super::request::{Backing, CreateVolumeRequest, VolumeFilters};
use super::worker::RoleFailure;
use super::{Engine, EngineError};
use crate::container::{
    ContainerConfig, ContainerId, Event, EventKind, MountConfig, Record, Volume, VolumeError,
    VolumeName, VolumeUse, Volumes,
};
use crate::runtime::fill::Filling;
use crate::runtime::plan::BindExtras;
use crate::sys::fs::open_directory;

/// A volume and who uses it.
#[derive(Clone, Debug)]
pub struct VolumeSummary {
    pub volume: Volume,
    pub users: Vec<ContainerId>,
}

/// What `volume prune` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunedVolumes {
    pub names: Vec<String>,
    pub reclaimed: u64,
}

impl Engine {
    /// Makes a volume; one that exists stays as it is, as docker has it.
    pub fn create_volume(&self, request: &CreateVolumeRequest) -> Result<VolumeName, EngineError> {
        check_driver(Some(&request.driver))?;
        Backing::of(&request.options)?;
        let name = match &request.name {
            Some(name) => name.parse()?,
            None => random_name()?,
        };
        let anonymous = request.name.is_none();
        let config = new_volume(request.labels.clone(), request.options.clone(), anonymous);
        let made = self.volumes.create(&name, &config, true)?;
        if made && (request.uid.is_some() || request.gid.is_some()) {
            let data = self.volumes.find(&name)?.data();
            self.in_home("worker", || {
                let owned = std::os::unix::fs::chown(&data, request.uid, request.gid);
                owned.map_err(|error| RoleFailure::of(&error, Vec::new()))
            })?;
        }
        Ok(name)
    }

    pub fn volume(&self, name: &str) -> Result<VolumeSummary, EngineError> {
        let not_found = || VolumeError::NotFound {
            name: name.to_owned(),
        };
        // What is no name of a volume names none.
        let parsed: VolumeName = name.parse().map_err(|_| not_found())?;
        let volume = self.volumes.find(&parsed)?;
        let users = Volumes::users(&self.containers)?.remove(name);
        Ok(VolumeSummary {
            volume,
            users: users.unwrap_or_default(),
        })
    }

    /// By name.
    pub fn list_volumes(&self, filters: &VolumeFilters) -> Result<Vec<VolumeSummary>, EngineError> {
        let mut users = Volumes::users(&self.containers)?;
        let all = self.volumes.all()?.into_iter().map(|volume| VolumeSummary {
            users: users.remove(volume.name.as_str()).unwrap_or_default(),
            volume,
        });
        Ok(all.filter(|summary| filters.keep(summary)).collect())
    }

    /// Refused while a container, running or not, has it in its record. Its files go with `empty_trash`.
    pub fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let _alone = self.volumes.lock_alone()?;
        let found = self.volume(name)?;
        if !found.users.is_empty() {
            let users = found.users.iter().map(|id| id.as_str().to_owned());
            return Err(EngineError::VolumeInUse {
                name: name.to_owned(),
                users: users.collect(),
            });
        }
        self.volumes.discard(&found.volume)?;
        Ok(())
    }

    /// Removes what no container uses: the anonymous ones, or all.
    pub fn prune_volumes(&self, filters: &VolumeFilters) -> Result<PrunedVolumes, EngineError> {
        let mut pruned = PrunedVolumes::default();
        let mut rubbish: Vec<PathBuf> = Vec::new();
        {
            let _alone = self.volumes.lock_alone()?;
            for summary in self.list_volumes(filters)? {
                let wanted = filters.all || summary.volume.is_anonymous();
                if wanted && summary.users.is_empty() {
                    rubbish.push(self.volumes.discard(&summary.volume)?);
                    pruned.names.push(summary.volume.name.to_string());
                }
            }
        }
        if !rubbish.is_empty() {
            pruned.reclaimed = self.in_home("worker", || {
                Ok(rubbish
                    .iter()
                    .map(|path| tree_size(&path.join("data")))
                    .sum())
            })?;
        }
        self.empty_trash()?;
        let event = Event::new(EventKind::Volume, "", "prune");
        self.emit(&event.with("reclaimed", pruned.reclaimed.to_string()));
        Ok(pruned)
    }

    /// Takes the anonymous volumes of a container that is gone out of sight; gives what is left of them in the trash.
    pub(super) fn release_volumes(&self, config: &ContainerConfig) -> Vec<PathBuf> {
        let names = config.anonymous_volumes();
        self.volumes.release(&names, &self.containers)
    }

    /// A container's mounts in the runtime's words. A volume that is missing is made anew.
    pub(super) fn launch_mounts(
        &self,
        record: &Record,
        config: &ContainerConfig,
    ) -> Result<(Vec<MountConfig>, Vec<BindExtras>), EngineError> {
        let is_first = || record.last_run().is_none_or(|run| run.started.is_empty());
        let (mut mounts, mut extras) = (Vec::new(), Vec::new());
        for mount in &config.host.mounts {
            let mut extra = BindExtras {
                target: PathBuf::from(&mount.target),
                chown: mount.chown,
                ..BindExtras::default()
            };
            let mut mount = mount.clone();
            if let Some(used) = mount.volume.take() {
                let durable = !config.host.auto_remove;
                let volume = self.volume_for(&used, durable)?;
                if attach(&mut mount, &volume)? && used.copy && is_first() {
                    extra.fill = Some(Filling {
                        directory: volume.directory,
                        durable,
                    });
                }
                extra.subpath = PathBuf::from(used.subpath);
            }
            mounts.push(mount);
            extras.push(extra);
        }
        Ok((mounts, extras))
    }

    fn volume_for(&self, used: &VolumeUse, durable: bool) -> Result<Volume, EngineError> {
        let name: VolumeName = used.name.parse()?;
        match self.volumes.find(&name) {
            Err(VolumeError::NotFound { .. }) => {}
            other => return Ok(other?),
        }
        let _using = self.volumes.lock_shared()?;
        let new = new_volume(Default::default(), Default::default(), used.anonymous);
        self.volumes.create(&name, &new, durable)?;
        Ok(self.volumes.find(&name)?)
    }

    /// Where a volume's files are; `operation` is what cannot be done with a tmpfs, which is each container's own.
    fn place_of(&self, volume: &Volume, operation: &'static str) -> Result<PathBuf, EngineError> {
        match Backing::of(&volume.config.options)? {
            Backing::Directory => Ok(volume.data()),
            Backing::Bind(device, _) => Ok(device),
            Backing::Tmpfs(_) => Err(EngineError::VolumeElsewhere {
                name: volume.name.to_string(),
                operation,
            }),
        }
    }
}

/// Turns a volume's mount into one of what its options say; `true` if that is a directory in the store.
fn attach(mount: &mut MountConfig, volume: &Volume) -> Result<bool, EngineError> {
    let bind = |mount: &mut MountConfig, source: PathBuf| {
        mount.kind = "bind".to_owned();
        mount.source = source.to_string_lossy().into_owned();
        let words = ["rbind", "rprivate"].map(str::to_owned);
        mount.options.splice(0..0, words);
    };
    match Backing::of(&volume.config.options)? {
        Backing::Directory => {
            bind(mount, volume.data());
            return Ok(true);
        }
        Backing::Bind(device, flags) => {
            bind(mount, device);
            mount.options.extend(flags);
        }
        Backing::Tmpfs(tmpfs) => {
            mount.kind = "tmpfs".to_owned();
            mount.options.extend(tmpfs.mount_options());
        }
    }
    Ok(false)
}

impl VolumeFilters {
    fn keep(&self, summary: &VolumeSummary) -> bool {
        let volume = &summary.volume;
        let name = volume.name.as_str();
        self.dangling
            .is_none_or(|dangling| dangling == summary.users.is_empty())
            && (self.names.is_empty() || self.names.iter().any(|pattern| pattern.is_match(name)))
            && self.labels.fit(&volume.config.labels)
            && (self.drivers.is_empty() || self.drivers.iter().any(|driver| driver == "local"))
    }
}

/// The directory as the home namespace opens it.
fn open(path: &std::path::Path) -> Result<OwnedFd, RoleFailure> {
    let opened = fs::canonicalize(path).and_then(|path| open_directory(&path));
    opened.map_err(|error| RoleFailure {
        message: format!("open {}: {error}", path.display()),
        hints: Vec::new(),
    })
}
