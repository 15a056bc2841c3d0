//! Looking for damage in the records of containers, names, volumes and secrets, and repairing it so that no data of the
//! user's is lost where it can be helped. Takes no lock but the records' own.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::exit::ExitRecord;
use super::id::ContainerId;
use super::name::ContainerName;
use super::record::Record;
use super::secret::SecretName;
use super::settings::Settings;
use super::state::{LockedRecord, RunState};
use super::store::Containers;
use super::volume::{VolumeConfig, VolumeName};
use crate::paths::Paths;
use crate::sys::fs::{open_directory, remove_path, replace_file, sync_directory};
use crate::sys::lock;

/// One record that is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFault {
    pub subject: BrokenRecord,
    pub found: String,
}

/// What a fault is found in, which says how it is repaired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokenRecord {
    /// What makes it a container: without it there is none.
    Container(ContainerId),
    /// Something beside that, which can go.
    OfContainer(ContainerId, &'static str),
    Name(String),
    /// The record of a volume; its data is not looked at.
    Volume(VolumeName),
    Secret(String),
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = &self.found;
        match &self.subject {
            BrokenRecord::Container(id) => write!(f, "container {id}: {found}"),
            BrokenRecord::OfContainer(id, file) => write!(f, "container {id}: {file}: {found}"),
            BrokenRecord::Name(name) => write!(f, "container name {name}: {found}"),
            BrokenRecord::Volume(name) => write!(f, "volume {name}: {found}"),
            BrokenRecord::Secret(name) => write!(f, "secret {name}: {found}"),
        }
    }
}

/// What a repair did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordRepair {
    Removed,
    /// Written anew with what is known.
    Rewritten,
    /// A container that runs is left as it is.
    Running,
}

/// The records of a user.
pub struct Records<'a> {
    containers: &'a Containers,
    names: PathBuf,
    volumes: PathBuf,
    secrets: PathBuf,
    trash: PathBuf,
}

impl<'a> Records<'a> {
    pub fn new(paths: &Paths, containers: &'a Containers) -> Records<'a> {
        Records {
            containers,
            names: paths.names(),
            volumes: paths.volumes(),
            secrets: paths.secrets(),
            trash: paths.data.join("trash"),
        }
    }

    /// Reads every record. What is removed meanwhile is passed over.
    pub fn check(&self) -> io::Result<Vec<RecordFault>> {
        let mut faults = Vec::new();
        let records = self.containers.all().map_err(io::Error::other)?;
        for record in records {
            let found = faults_of(&record);
            if record.directory.is_dir() {
                faults.extend(found);
            }
        }
        for name in listed(&self.names)? {
            if let Err(error) = self.name(&name) {
                push(&mut faults, BrokenRecord::Name(name), error);
            }
        }
        for name in listed(&self.volumes)? {
            let directory = self.volumes.join(&name);
            let Ok(name) = name.parse::<VolumeName>() else {
                continue;
            };
            let record = read::<VolumeConfig>(&directory.join("volume.json"));
            let data = || directory.join("data").is_dir();
            let found = record.and_then(|_| match data() {
                true => Ok(()),
                false => Err(io::Error::other("its directory data is gone")),
            });
            if let Err(error) = found
                && directory.is_dir()
            {
                push(&mut faults, BrokenRecord::Volume(name), error);
            }
        }
        for name in listed(&self.secrets)? {
            if let Err(error) = self.secret(&name) {
                push(&mut faults, BrokenRecord::Secret(name), error);
            }
        }
        Ok(faults)
    }

    /// A link to an id. Whether that container still exists is no matter: the next who wants the name replaces the link.
    fn name(&self, name: &str) -> io::Result<()> {
        let target = match fs::read_link(self.names.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        let id = target
            .to_str()
            .and_then(|text| text.parse::<ContainerId>().ok());
        if id.is_none() || name.parse::<ContainerName>().is_err() {
            let target = target.display();
            return Err(io::Error::other(format!(
                "it stands for {target}, which is no container's id"
            )));
        }
        Ok(())
    }

    fn secret(&self, name: &str) -> io::Result<()> {
        if name.parse::<SecretName>().is_err() {
            return Err(io::Error::other("its name is none that a secret can have"));
        }
        let text = match fs::read(self.secrets.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let secret: super::Secret = serde_json::from_slice(line).map_err(io::Error::other)?;
        match secret.name == name && text.len() > line.len() + 1 {
            true => Ok(()),
            false => Err(io::Error::other("it has another's name, or no value")),
        }
    }

    /// Removes what is broken, or writes it anew where the user's data depends on it.
    pub fn repair(&self, broken: &BrokenRecord) -> io::Result<RecordRepair> {
        match broken {
            BrokenRecord::Container(id) => self.remove_container(id),
            BrokenRecord::OfContainer(id, file) => {
                let Some(record) = self.record(id)? else {
                    return Ok(RecordRepair::Removed);
                };
                let Some(_locked) = hold(&record)? else {
                    return Ok(RecordRepair::Running);
                };
                remove_path(&record.path(file)).map_err(io::Error::other)?;
                open_directory(&record.directory).and_then(sync_directory)?;
                Ok(RecordRepair::Removed)
            }
            BrokenRecord::Name(name) => remove_file(&self.names.join(name)),
            BrokenRecord::Secret(name) => remove_file(&self.secrets.join(name)),
            BrokenRecord::Volume(name) => {
                let directory = self.volumes.join(name.as_str());
                let data = directory.join("data");
                if !data.is_dir() {
                    fs::create_dir(&data)?;
                }
                let path = directory.join("volume.json");
                if read::<VolumeConfig>(&path).is_err() {
                    let config = VolumeConfig {
                        created: jiff::Timestamp::now().to_string(),
                        ..VolumeConfig::default()
                    };
                    let text = serde_json::to_vec(&config).map_err(io::Error::other)?;
                    replace_file(&path, &text)?;
                }
                Ok(RecordRepair::Rewritten)
            }
        }
    }

    fn record(&self, id: &ContainerId) -> io::Result<Option<Record>> {
        let all = self.containers.all().map_err(io::Error::other)?;
        Ok(all.into_iter().find(|record| record.id == *id))
    }

    /// Out of sight; its files go with the trash.
    fn remove_container(&self, id: &ContainerId) -> io::Result<RecordRepair> {
        let Some(record) = self.record(id)? else {
            return Ok(RecordRepair::Removed);
        };
        if record.path("state").is_file() && hold(&record)?.is_none() {
            return Ok(RecordRepair::Running);
        }
        Paths::make(&self.trash).map_err(io::Error::other)?;
        let name = self.containers.names().remove(id).unwrap_or_default();
        self.containers
            .discard(&record, &name)
            .map_err(io::Error::other)?;
        Ok(RecordRepair::Removed)
    }
}

fn push(faults: &mut Vec<RecordFault>, subject: BrokenRecord, error: io::Error) {
    faults.push(RecordFault {
        subject,
        found: error.to_string(),
    });
}

/// The names in a directory that do not begin with a dot; none where there is no directory.
fn listed(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<T> {
    let text = fs::read(path).map_err(|error| named(path, &error))?;
    serde_json::from_slice(&text).map_err(|error| named(path, &error))
}

fn named(path: &Path, error: &dyn fmt::Display) -> io::Error {
    let name = path.file_name().unwrap_or_default();
    io::Error::other(format!("{}: {error}", name.display()))
}

/// Health checks' results are left out: they are not synced, and unreadable ones are read as none.
fn faults_of(record: &Record) -> Vec<RecordFault> {
    let mut faults = Vec::new();
    let id = &record.id;
    match record.config() {
        Ok(config) if config.id == *id => {}
        Ok(config) => push(
            &mut faults,
            BrokenRecord::Container(id.clone()),
            io::Error::other(format!("config.json is of container {}", config.id)),
        ),
        Err(error) => push(
            &mut faults,
            BrokenRecord::Container(id.clone()),
            named(Path::new("config.json"), &error),
        ),
    }
    if let Err(error) = state(record) {
        let error = named(Path::new("state"), &error);
        push(&mut faults, BrokenRecord::Container(id.clone()), error);
    }
    let mut beside = |file: &'static str, read: io::Result<()>| {
        if let Err(error) = read {
            push(
                &mut faults,
                BrokenRecord::OfContainer(id.clone(), file),
                error,
            );
        }
    };
    beside("settings.json", Settings::read(record.folder()).map(drop));
    beside(
        "exit.json",
        optional::<ExitRecord>(&record.path("exit.json")),
    );
    faults
}

/// Empty before the first start, else what a monitor has written whole.
fn state(record: &Record) -> io::Result<()> {
    let file = fs::File::open(record.path("state"))?;
    if file.metadata()?.len() > 0 && RunState::read(&file).is_none() {
        return Err(io::Error::other("it does not say which run was the last"));
    }
    lock::is_held(file.as_fd()).map(drop)
}

fn optional<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<()> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(text) => serde_json::from_slice::<T>(&text)
            .map(drop)
            .map_err(io::Error::other),
    }
}

/// The record's lock; `None` while the container runs.
fn hold(record: &Record) -> io::Result<Option<LockedRecord>> {
    LockedRecord::acquire(&record.directory)
}

fn remove_file(path: &Path) -> io::Result<RecordRepair> {
    remove_path(path).map_err(io::Error::other)?;
    if let Some(directory) = path.parent() {
        open_directory(directory).and_then(sync_directory)?;
    }
    Ok(RecordRepair::Removed)
}
