//! Volumes on disk: `volumes/<name>/volume.json` and `data/`. Finds out who uses one from the containers' records, never
//! from a counter; never mounts or fills one.

mod name;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use name::{VolumeName, VolumeNameError};

use super::event::Event;
use super::event_log::EventLog;
use super::id::ContainerId;
use super::store::{ContainerError, Containers, make_locked};
use crate::paths::{Paths, PathsError};
use crate::sys::disk;
use crate::sys::fs::{names_in, open_directory, random_name, sync_directory};
use crate::sys::lock::{self, Guard, Mode};

/// Docker's mark of a volume that nobody named.
pub const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

/// `volume.json`: written once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeConfig {
    /// RFC 3339, UTC.
    pub created: String,
    pub labels: BTreeMap<String, String>,
    /// Of the `local` driver: `type`, `device`, `o`.
    pub options: BTreeMap<String, String>,
}

/// One volume that is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    pub name: VolumeName,
    pub config: VolumeConfig,
    pub directory: PathBuf,
}

/// Which containers mount which volume.
pub type VolumeUsers = HashMap<String, Vec<ContainerId>>;

/// All volumes of a user.
#[derive(Clone, Debug)]
pub struct Volumes {
    volumes: PathBuf,
    trash: PathBuf,
    events: EventLog,
}

#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    #[error(transparent)]
    Paths(#[from] PathsError),
    #[error(transparent)]
    Containers(#[from] ContainerError),
    #[error("get {name}: no such volume")]
    NotFound { name: String },
    #[error("write volume {name}: {source}")]
    Write { name: VolumeName, source: io::Error },
    #[error("read volume {name}: {source}")]
    Read { name: VolumeName, source: io::Error },
    #[error("read directory {path}: {source}")]
    List { path: PathBuf, source: io::Error },
    #[error("lock {path}: {source}")]
    Lock { path: PathBuf, source: io::Error },
    #[error("read the record of container {id}: {source}")]
    Container { id: ContainerId, source: io::Error },
    #[error("remove volume {name}: {source}")]
    Remove { name: VolumeName, source: io::Error },
}

impl Volume {
    /// What a container sees of it.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub fn is_anonymous(&self) -> bool {
        self.config.labels.contains_key(ANONYMOUS_LABEL)
    }
}

impl Volumes {
    pub fn new(paths: &Paths) -> Volumes {
        Volumes {
            volumes: paths.volumes(),
            trash: paths.data.join("trash"),
            events: EventLog::new(paths),
        }
    }

    /// Held from before a container's record names a volume until that volume is there: nobody removes one meanwhile.
    pub fn lock_shared(&self) -> Result<Guard, VolumeError> {
        self.lock(Mode::Shared)
    }

    /// Held while it is found out that nobody uses a volume, and until it is gone.
    pub fn lock_alone(&self) -> Result<Guard, VolumeError> {
        self.lock(Mode::Exclusive)
    }

    fn lock(&self, mode: Mode) -> Result<Guard, VolumeError> {
        Paths::make(&self.volumes)?;
        // No volume's name begins with a dot.
        let path = self.volumes.join(".lock");
        lock::lock(&path, mode).map_err(|source| VolumeError::Lock { path, source })
    }

    /// Makes a volume; `false` if there is one of this name already, which stays as it is. Without `durable` nothing is
    /// synced.
    pub fn create(
        &self,
        name: &VolumeName,
        config: &VolumeConfig,
        durable: bool,
    ) -> Result<bool, VolumeError> {
        Paths::make(&self.volumes)?;
        Paths::make(&self.trash)?;
        let directory = self.volumes.join(name.as_str());
        if directory.is_dir() {
            return Ok(false);
        }
        let temporary = self.trash.join(format!("new-volume-{}", random_name()));
        // A directory that is not empty is never replaced by a rename.
        let made = write(&temporary, config, durable)
            .and_then(|_locked| disk::rename(&temporary, &directory));
        let made = made.and_then(|()| match durable {
            true => open_directory(&self.volumes).and_then(sync_directory),
            false => Ok(()),
        });
        match made {
            Ok(()) => {
                self.events.append(&Event::volume(name.as_str(), "create"));
                Ok(true)
            }
            Err(error) => {
                let _ = disk::remove_dir_all(&temporary);
                match error.raw_os_error() {
                    Some(libc::ENOTEMPTY | libc::EEXIST) => Ok(false),
                    _ => Err(VolumeError::Write {
                        name: name.clone(),
                        source: error,
                    }),
                }
            }
        }
    }

    pub fn find(&self, name: &VolumeName) -> Result<Volume, VolumeError> {
        let directory = self.volumes.join(name.as_str());
        let text = fs::read(directory.join("volume.json")).and_then(|text| {
            serde_json::from_slice(&text)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        });
        match text {
            Ok(config) => Ok(Volume {
                name: name.clone(),
                config,
                directory,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(VolumeError::NotFound {
                name: name.to_string(),
            }),
            Err(source) => Err(VolumeError::Read {
                name: name.clone(),
                source,
            }),
        }
    }

    /// The names of all volumes, in no order.
    pub fn names(&self) -> Result<Vec<VolumeName>, VolumeError> {
        let names = names_in(&self.volumes).map_err(|source| VolumeError::List {
            path: self.volumes.clone(),
            source,
        })?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// All volumes by name. One that is removed meanwhile is left out.
    pub fn all(&self) -> Result<Vec<Volume>, VolumeError> {
        let mut found = Vec::new();
        for name in self.names()? {
            match self.find(&name) {
                Ok(volume) => found.push(volume),
                Err(VolumeError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Who mounts what, by the containers' own records. One that can't be read may use anything: an error.
    pub fn users(containers: &Containers) -> Result<VolumeUsers, VolumeError> {
        let mut users = VolumeUsers::new();
        for record in containers.all()? {
            let config = match record.config() {
                Ok(config) => config,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => {
                    let id = record.id;
                    return Err(VolumeError::Container { id, source });
                }
            };
            for used in config.host.mounts.iter().filter_map(|m| m.volume.as_ref()) {
                let known = users.entry(used.name.clone()).or_default();
                if !known.contains(&record.id) {
                    known.push(record.id.clone());
                }
            }
        }
        Ok(users)
    }

    /// Takes a volume out of sight; what remains in the trash, in the directory given, is deleted by whoever has the
    /// rights over its files. For those who hold the lock alone.
    pub fn discard(&self, volume: &Volume) -> Result<PathBuf, VolumeError> {
        let failed = |source| VolumeError::Remove {
            name: volume.name.clone(),
            source,
        };
        let rubbish = self.trash.join(format!("volume-{}", random_name()));
        disk::rename(&volume.directory, &rubbish).map_err(failed)?;
        let event = Event::volume(volume.name.as_str(), "destroy");
        self.events.append(&event);
        Ok(rubbish)
    }

    /// The anonymous volumes of a container that is gone, unless another one uses them: `rm -v`, `run --rm`. What could
    /// not be discarded stays for `volume prune`.
    pub fn release(&self, names: &[String], containers: &Containers) -> Vec<PathBuf> {
        if names.is_empty() {
            return Vec::new();
        }
        let Ok(_alone) = self.lock_alone() else {
            return Vec::new();
        };
        let Ok(users) = Volumes::users(containers) else {
            return Vec::new();
        };
        let unused = names.iter().filter(|name| !users.contains_key(*name));
        let discarded = unused.filter_map(|name| {
            let volume = self.find(&name.parse().ok()?).ok()?;
            self.discard(&volume).ok()
        });
        discarded.collect()
    }
}

/// Makes the volume's directory; what is given keeps it from being taken for rubbish.
fn write(directory: &Path, config: &VolumeConfig, durable: bool) -> io::Result<fs::File> {
    let locked = make_locked(directory)?;
    let data = directory.join("data");
    disk::create_dir(&data)?;
    // As other users in a container see it, whatever the umask.
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755))?;
    let text = serde_json::to_vec_pretty(config).map_err(io::Error::other)?;
    let record = directory.join("volume.json");
    disk::write(&record, text)?;
    if durable {
        disk::sync(&fs::File::open(&record)?)?;
        sync_directory(&locked)?;
    }
    Ok(locked)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_appears_whole_and_is_never_replaced() {
        let top = std::env::temp_dir().join(format!("bryo-volumes-{}", std::process::id()));
        let volumes = Volumes {
            volumes: top.join("volumes"),
            trash: top.join("trash"),
            events: EventLog::at(top.join("events")),
        };
        let name: VolumeName = "cache".parse().unwrap();
        let config = VolumeConfig {
            labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            ..VolumeConfig::default()
        };
        assert!(volumes.create(&name, &config, true).unwrap());
        let made = volumes.find(&name).unwrap();
        fs::write(made.data().join("kept"), "x").unwrap();
        assert!(
            !volumes
                .create(&name, &VolumeConfig::default(), false)
                .unwrap()
        );
        assert_eq!(volumes.all().unwrap(), std::slice::from_ref(&made));
        assert!(made.data().join("kept").is_file());
        let rubbish = volumes.discard(&made).unwrap();
        assert!(rubbish.join("data/kept").is_file());
        assert!(matches!(
            volumes.find(&name),
            Err(VolumeError::NotFound { .. })
        ));
        fs::remove_dir_all(top).unwrap();
    }
}
