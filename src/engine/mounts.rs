//! What a new container mounts: the flags, other containers' mounts, and what its image wants, in docker's order.

use std::collections::BTreeMap;
use std::fs;

use jiff::Timestamp;

use super::request::{
    Backing, BindOptions, CreateRequest, Mount, MountKind, TmpfsOptions, VolumeOptions, clean,
};
use super::{Engine, EngineError};
use crate::container::{ANONYMOUS_LABEL, MountConfig, VolumeConfig, VolumeName, VolumeUse};
use crate::sys::lock::Guard;

/// The mounts of a container's record, and the volumes they name.
pub(super) struct Mounts {
    pub configs: Vec<MountConfig>,
    pub volumes: Vec<(VolumeName, VolumeConfig)>,
    /// Nobody removes a volume until the record that names it is there.
    _using: Option<Guard>,
}

impl Engine {
    /// Makes nothing yet but directories that `-v` names; `wanted` are the paths at which the image declares volumes.
    pub(super) fn mounts(
        &self,
        request: &CreateRequest,
        wanted: &[String],
    ) -> Result<Mounts, EngineError> {
        let named = |mount: &Mount| matches!(mount.kind, MountKind::Volume(_));
        let using = !request.volumes_from.is_empty()
            || !wanted.is_empty()
            || request.mounts.iter().any(named);
        let using = using.then(|| self.volumes.lock_shared()).transpose()?;
        let mut mounts = Mounts {
            configs: self.mounts_from(request)?,
            volumes: Vec::new(),
            _using: using,
        };
        check_driver(request.volume_driver.as_deref())?;
        for mount in &request.mounts {
            mounts.add(mount)?;
        }
        for path in wanted {
            let target = clean(path);
            if target == "/" {
                return Err(EngineError::ImageVolume { path: path.clone() });
            }
            if mounts.configs.iter().any(|mount| mount.target == target) {
                continue;
            }
            let anonymous = Mount {
                kind: MountKind::Volume(VolumeOptions::default()),
                target,
                read_only: false,
                chown: false,
            };
            mounts.add(&anonymous)?;
        }
        Ok(mounts)
    }

    /// `--volumes-from`: binds and volumes of other containers, which are not filled again.
    fn mounts_from(&self, request: &CreateRequest) -> Result<Vec<MountConfig>, EngineError> {
        let mut found: Vec<MountConfig> = Vec::new();
        for from in &request.volumes_from {
            let record = self.find(&from.container)?;
            let config = self.config_of(&record)?;
            for mut mount in config.host.mounts {
                if mount.kind == "tmpfs" {
                    continue;
                }
                if let Some(volume) = &mut mount.volume {
                    volume.copy = false;
                }
                if from.read_only && !mount.is_read_only() {
                    mount.options.push("ro".to_owned());
                }
                found.retain(|known| known.target != mount.target);
                found.push(mount);
            }
        }
        Ok(found)
    }
}

impl Mounts {
    /// What is said of a target later replaces what another container has there.
    fn add(&mut self, mount: &Mount) -> Result<(), EngineError> {
        let mut config = match &mount.kind {
            MountKind::Bind(bind) => bind_config(bind)?,
            MountKind::Tmpfs(tmpfs) => tmpfs_config(tmpfs),
            MountKind::Volume(volume) => self.volume_config(volume)?,
        };
        config.target.clone_from(&mount.target);
        config.chown = mount.chown;
        if mount.read_only {
            config.options.push("ro".to_owned());
        }
        self.configs.retain(|known| known.target != mount.target);
        self.configs.push(config);
        Ok(())
    }

    fn volume_config(&mut self, volume: &VolumeOptions) -> Result<MountConfig, EngineError> {
        check_driver(volume.driver.as_deref())?;
        Backing::of(&volume.options)?;
        let (name, anonymous) = match &volume.name {
            Some(name) => (name.parse::<VolumeName>()?, volume.inherited),
            None => (random_name()?, true),
        };
        let used = VolumeUse {
            name: name.to_string(),
            anonymous,
            // What is in a subpath was put there for it.
            copy: !volume.no_copy && volume.subpath.is_empty(),
            subpath: volume.subpath.clone(),
        };
        let labels = volume.labels.clone();
        self.volumes
            .push((name, new_volume(labels, volume.options.clone(), anonymous)));
        Ok(MountConfig {
            kind: "volume".to_owned(),
            volume: Some(used),
            ..MountConfig::default()
        })
    }
}

/// The name of a volume that nobody named.
pub(super) fn random_name() -> Result<VolumeName, EngineError> {
    VolumeName::random().map_err(EngineError::system("make a volume's name"))
}

/// The record of a volume made now.
pub(super) fn new_volume(
    mut labels: BTreeMap<String, String>,
    options: BTreeMap<String, String>,
    anonymous: bool,
) -> VolumeConfig {
    if anonymous {
        labels.insert(ANONYMOUS_LABEL.to_owned(), String::new());
    }
    VolumeConfig {
        created: Timestamp::now().to_string(),
        labels,
        options,
    }
}

/// There are no plugins.
pub(super) fn check_driver(driver: Option<&str>) -> Result<(), EngineError> {
    match driver {
        None | Some("" | "local") => Ok(()),
        Some(driver) => Err(EngineError::VolumeDriver {
            driver: driver.to_owned(),
        }),
    }
}

fn bind_config(bind: &BindOptions) -> Result<MountConfig, EngineError> {
    let exists = fs::symlink_metadata(&bind.source).is_ok();
    if !exists && bind.create_source {
        fs::create_dir_all(&bind.source)
            .map_err(EngineError::file("make the directory", &bind.source))?;
    } else if !exists {
        return Err(EngineError::NoBindSource {
            path: bind.source.clone(),
        });
    }
    Ok(MountConfig {
        kind: "bind".to_owned(),
        source: bind.source.to_string_lossy().into_owned(),
        options: vec!["rbind".to_owned(), bind.propagation.name().to_owned()],
        ..MountConfig::default()
    })
}

fn tmpfs_config(tmpfs: &TmpfsOptions) -> MountConfig {
    MountConfig {
        kind: "tmpfs".to_owned(),
        options: tmpfs.mount_options(),
        ..MountConfig::default()
    }
}
