//! All containers of a user: creating, finding by name or id, removing. One directory each; their names are in `names`.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::config::ContainerConfig;
use super::event::Event;
use super::event_log::EventLog;
use super::id::ContainerId;
use super::name::ContainerName;
use super::record::Record;
use super::settings::Settings;
use super::state::LockedRecord;
use crate::paths::{Paths, PathsError};
use crate::sys::disk;
use crate::sys::fault;
use crate::sys::fs::{names_in, open_directory, sync_directory};
use crate::sys::lock;

/// The container half of the store.
#[derive(Clone, Debug)]
pub struct Containers {
    pub(super) containers: PathBuf,
    pub(super) names: PathBuf,
    pub(super) trash: PathBuf,
    pub(super) events: EventLog,
}

/// A directory that nobody has locked, now locked by whoever is about to delete it.
#[derive(Debug)]
pub struct Rubbish {
    pub path: PathBuf,
    #[allow(dead_code, reason = "held for its lock, never read")]
    lock: File,
}

/// Held by whoever makes a container until its monitor lives; a lock is liveness.
#[derive(Debug)]
pub struct CreatorLock(#[allow(dead_code, reason = "held for its lock, never read")] File);

#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    #[error(transparent)]
    Paths(#[from] PathsError),
    #[error("No such container: {name}")]
    NotFound { name: String },
    #[error("{name} is ambiguous: it begins the ids of {first} and {second}")]
    Ambiguous {
        name: String,
        first: String,
        second: String,
    },
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameTaken { name: String, owner: String },
    #[error("Renaming a container with the same name as its current name")]
    SameName,
    #[error("container {name} was renamed or removed by another command meanwhile")]
    Renamed { name: String },
    #[error("write the record of container {id}: {source}")]
    Write { id: ContainerId, source: io::Error },
    #[error("read the record of container {id}: {source}")]
    Read { id: ContainerId, source: io::Error },
    #[error("read directory {path}: {source}")]
    List { path: PathBuf, source: io::Error },
    #[error("remove container {id}: {source}")]
    Remove { id: ContainerId, source: io::Error },
}

impl Containers {
    pub fn new(paths: &Paths) -> Containers {
        Containers {
            containers: paths.containers(),
            names: paths.names(),
            trash: paths.data.join("trash"),
            events: EventLog::new(paths),
        }
    }

    /// Makes the directories that hold the records.
    pub fn prepare(&self) -> Result<(), ContainerError> {
        for directory in [&self.containers, &self.names, &self.trash] {
            Paths::make(directory)?;
        }
        Ok(())
    }

    /// Writes a new container's record and claims its name; on failure nothing of it is left. Without `durable` (a
    /// container that is removed when it ends) nothing is synced.
    pub fn create(
        &self,
        config: &ContainerConfig,
        settings: &Settings,
        name: &ContainerName,
        durable: bool,
    ) -> Result<(Record, CreatorLock), ContainerError> {
        let id = &config.id;
        let failed = |source| ContainerError::Write {
            id: id.clone(),
            source,
        };
        let directory = self.containers.join(id.as_str());
        let temporary = self.trash.join(format!("new-{id}"));
        let written = write_record(&temporary, config, settings, durable);
        // Held until it has its own name: an unlocked directory in the trash is rubbish.
        let written = written.and_then(|lock| disk::rename(&temporary, &directory).map(|()| lock));
        let lock = match written {
            Ok(lock) => CreatorLock(lock),
            Err(source) => {
                let _ = disk::remove_dir_all(&temporary);
                return Err(failed(source));
            }
        };
        if let Err(error) = self.claim(name, id) {
            let _ = disk::remove_dir_all(&directory);
            return Err(error);
        }
        if durable {
            let sync = |path: &Path| File::open(path).and_then(sync_directory);
            sync(&self.containers)
                .and_then(|()| sync(&self.names))
                .map_err(failed)?;
        }
        self.tell(config, name.as_str(), "create");
        let record = Record {
            id: id.clone(),
            directory,
        };
        Ok((record, lock))
    }

    /// Whether whoever made the container and was about to start it has died before its monitor took over. If so, it is
    /// held by the lock that is returned, and nobody can start it any more.
    pub fn is_abandoned(&self, record: &Record) -> Option<LockedRecord> {
        let directory = File::open(&record.directory).ok()?;
        let free = lock::try_hold_alone(&directory).unwrap_or(false);
        if !free {
            return None;
        }
        let locked = LockedRecord::acquire(&record.directory).ok()??;
        locked.last().is_none().then_some(locked)
    }

    /// Whether whoever makes the container is about to start it.
    pub fn is_being_made(&self, record: &Record) -> bool {
        let directory = File::open(&record.directory);
        directory.is_ok_and(|directory| !lock::try_hold_alone(&directory).unwrap_or(true))
    }

    /// Waits until its maker has done what it made it for, or has died.
    pub fn wait_until_made(&self, record: &Record) -> io::Result<()> {
        match File::open(&record.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            opened => lock::share(&opened?),
        }
    }

    pub(super) fn by_id(&self, id: ContainerId) -> Option<Record> {
        let directory = self.containers.join(id.as_str());
        directory.is_dir().then_some(Record { id, directory })
    }

    /// Finds by full id, name, or unique beginning of an id, in docker's order.
    pub fn find(&self, text: &str) -> Result<Record, ContainerError> {
        let not_found = || ContainerError::NotFound {
            name: text.to_owned(),
        };
        if let Ok(id) = text.parse::<ContainerId>() {
            return self.by_id(id).ok_or_else(not_found);
        }
        if let Some(record) = text
            .parse()
            .ok()
            .and_then(|name: ContainerName| self.named(&name))
        {
            return Ok(record);
        }
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(not_found());
        }
        let mut matching = self
            .ids()?
            .into_iter()
            .filter(|id| id.as_str().starts_with(text));
        let first = matching.next().ok_or_else(not_found)?;
        match matching.next() {
            None => self.by_id(first).ok_or_else(not_found),
            Some(second) => Err(ContainerError::Ambiguous {
                name: text.to_owned(),
                first: first.short().to_owned(),
                second: second.short().to_owned(),
            }),
        }
    }

    /// The ids of all containers, in no order. What is no id is none of ours and passed over.
    fn ids(&self) -> Result<Vec<ContainerId>, ContainerError> {
        let names = names_in(&self.containers).map_err(|source| ContainerError::List {
            path: self.containers.clone(),
            source,
        })?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// All records, in no order.
    pub fn all(&self) -> Result<Vec<Record>, ContainerError> {
        let record = |id: ContainerId| Record {
            directory: self.containers.join(id.as_str()),
            id,
        };
        Ok(self.ids()?.into_iter().map(record).collect())
    }

    /// For a look at many records' folders: the directory that they are in; `None` where there is none yet.
    pub fn directory(&self) -> io::Result<Option<OwnedFd>> {
        match open_directory(&self.containers) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Takes a container out of sight: its directory and name are gone at once; what remains in the trash is deleted by
    /// whoever has the rights over its files. Gives that directory. `name` is where its name is looked for first.
    pub fn discard(&self, record: &Record, name: &str) -> Result<PathBuf, ContainerError> {
        let config = record.config();
        let (rubbish, name) = self.take_out_of_sight(record, name)?;
        if let Ok(config) = config {
            let name = name.as_deref().unwrap_or_else(|| record.id.short());
            self.tell(&config, name, "destroy");
        }
        Ok(rubbish)
    }

    /// The same without a word to the event log: also gives the name that it had at last.
    pub fn take_out_of_sight(
        &self,
        record: &Record,
        name: &str,
    ) -> Result<(PathBuf, Option<String>), ContainerError> {
        let failed = |source| ContainerError::Remove {
            id: record.id.clone(),
            source,
        };
        let rubbish = self.trash.join(record.id.as_str());
        disk::rename(&record.directory, &rubbish).map_err(failed)?;
        // A monitor knows the name of its start; the container may have been renamed since.
        let name = match self.owns(name, &record.id) {
            true => Some(name.to_owned()),
            false => self.names().remove(&record.id),
        };
        if let Some(name) = &name {
            disk::remove_file(self.names.join(name)).map_err(failed)?;
        }
        Ok((rubbish, name))
    }

    /// A step of a build is nobody's business.
    fn tell(&self, config: &ContainerConfig, name: &str, action: &str) {
        if config.host.step.is_none() {
            self.events.append(&Event::container(config, name, action));
        }
    }

    /// What removed containers left: to be deleted in the home namespace.
    pub fn rubbish(&self) -> Vec<Rubbish> {
        let Ok(entries) = fs::read_dir(&self.trash) else {
            return Vec::new();
        };
        let lock = |path: PathBuf| {
            let lock = File::open(&path).ok()?;
            let free = lock::try_hold_alone(&lock).unwrap_or(false);
            free.then_some(Rubbish { path, lock })
        };
        entries
            .flatten()
            .filter_map(|entry| lock(entry.path()))
            .collect()
    }
}

/// Makes a private directory in the trash and gives it, locked: until it has another name it is its maker's.
pub(super) fn make_locked(directory: &Path) -> io::Result<File> {
    let mut private = DirBuilder::new();
    private.mode(0o700);
    // Until it is locked it looks like rubbish: a sweep may hold it, or it may be gone again.
    loop {
        fault::at("make directory")?;
        match private.create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        match File::open(directory) {
            Ok(made) => {
                if lock::try_hold_alone(&made)? && rustix::fs::fstat(&made)?.st_nlink > 0 {
                    return Ok(made);
                }
                std::thread::yield_now();
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}

/// Gives the directory, locked.
fn write_record(
    directory: &Path,
    config: &ContainerConfig,
    settings: &Settings,
    durable: bool,
) -> io::Result<File> {
    let locked = make_locked(directory)?;
    let mut private = DirBuilder::new();
    private.mode(0o700);
    for name in ["work", "merged", "upper"] {
        fault::at("make directory")?;
        private.create(directory.join(name))?;
    }
    // The mode of the container's root directory, as other users in it see it, whatever the umask.
    fs::set_permissions(directory.join("upper"), fs::Permissions::from_mode(0o755))?;
    let text = serde_json::to_vec(config).map_err(io::Error::other)?;
    disk::write(directory.join("config.json"), &text)?;
    disk::create(directory.join("state"))?;
    if *settings != Settings::default() {
        settings.write(directory)?;
    }
    if durable {
        disk::sync(&File::open(directory.join("config.json"))?)?;
        sync_directory(&locked)?;
    }
    Ok(locked)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::container::{ExitRecord, LockedRecord, RunState, Status};
    use crate::sys::process::ProcessName;

    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn store(name: &str) -> (Scratch, Containers) {
        let root =
            std::env::temp_dir().join(format!("bryo-containers-{name}-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let at = |part: &str| root.join(part);
        let containers = Containers {
            containers: at("containers"),
            names: at("names"),
            trash: at("trash"),
            events: EventLog::at(at("events")),
        };
        containers.prepare().unwrap();
        (Scratch(root), containers)
    }

    fn config() -> ContainerConfig {
        ContainerConfig {
            id: ContainerId::random().unwrap(),
            name: String::new(),
            created: "2026-01-01T00:00:00Z".to_owned(),
            image: "x".to_owned(),
            image_id: "y".to_owned(),
            layers: Vec::new(),
            hostname: String::new(),
            domainname: String::new(),
            labels: Default::default(),
            process: Default::default(),
            host: Default::default(),
        }
    }

    #[test]
    fn a_name_is_claimed_once_and_free_after_removal() {
        let (_scratch, containers) = store("names");
        let name: ContainerName = "web".parse().unwrap();
        let (first, _) = containers
            .create(&config(), &Settings::default(), &name, true)
            .unwrap();
        let refused = containers.create(&config(), &Settings::default(), &name, true);
        assert!(matches!(refused, Err(ContainerError::NameTaken { .. })));
        assert_eq!(
            containers.all().unwrap(),
            vec![first.clone()],
            "the refused one left something behind"
        );
        assert_eq!(containers.find("web").unwrap(), first);
        assert_eq!(containers.find(first.id.short()).unwrap(), first);
        containers.discard(&first, "web").unwrap();
        assert!(containers.find("web").is_err());
        containers
            .create(&config(), &Settings::default(), &name, false)
            .unwrap();
    }

    #[test]
    fn a_name_is_moved_whole_and_never_over_another() {
        let (_scratch, containers) = store("rename");
        let name = |text: &str| text.parse::<ContainerName>().unwrap();
        let (web, _) = containers
            .create(&config(), &Settings::default(), &name("web"), false)
            .unwrap();
        let (shop, _) = containers
            .create(&config(), &Settings::default(), &name("shop"), false)
            .unwrap();
        let taken = containers.rename(&web, "web", &name("shop"));
        assert!(
            matches!(taken, Err(ContainerError::NameTaken { owner, .. }) if owner == shop.id.as_str())
        );
        assert!(matches!(
            containers.rename(&web, "web", &name("web")),
            Err(ContainerError::SameName)
        ));
        containers.rename(&web, "web", &name("front")).unwrap();
        assert_eq!(containers.name_of(&web), "front");
        assert!(containers.find("web").is_err());
        // A monitor only knows the name of its start.
        containers.discard(&web, "web").unwrap();
        assert!(containers.find("front").is_err());
        // A link that leads nowhere is no name.
        std::os::unix::fs::symlink(web.id.as_str(), containers.names.join("stale")).unwrap();
        containers.rename(&shop, "shop", &name("stale")).unwrap();
        assert_eq!(containers.find("stale").unwrap(), shop);
        let mut log = containers.events.read().unwrap();
        let actions: Vec<String> = std::iter::from_fn(|| log.next_event().unwrap())
            .map(|event| format!("{} {}", event.action, event.attributes["name"]))
            .collect();
        let expected = [
            "create web",
            "create shop",
            "rename front",
            "destroy front",
            "rename stale",
        ];
        assert_eq!(actions, expected);
    }

    #[test]
    fn of_two_that_rename_at_once_one_is_refused() {
        let (_scratch, containers) = store("renames");
        let name = |text: String| text.parse::<ContainerName>().unwrap();
        for round in 0..50 {
            let first = name(format!("round{round}"));
            let (record, _) = containers
                .create(&config(), &Settings::default(), &first, false)
                .unwrap();
            let called = first.as_str();
            let to =
                |side: &str| containers.rename(&record, called, &name(format!("{side}{round}")));
            let (left, right) = std::thread::scope(|scope| {
                let left = scope.spawn(|| to("left"));
                (to("right"), left.join().unwrap())
            });
            let names: Vec<String> = containers.names().into_values().collect();
            assert_eq!(names.len(), 1, "{names:?}");
            assert!(left.is_ok() != right.is_ok(), "{left:?} {right:?}");
            containers.discard(&record, &names[0]).unwrap();
        }
    }

    #[test]
    fn status_follows_the_lock() {
        let (_scratch, containers) = store("status");
        let (record, creator) = containers
            .create(
                &config(),
                &Settings::default(),
                &"a1".parse().unwrap(),
                false,
            )
            .unwrap();
        assert!(containers.is_abandoned(&record).is_none());
        drop(creator);
        assert!(containers.is_abandoned(&record).is_some());
        assert_eq!(record.status().unwrap(), Status::Created);
        let state = RunState {
            run: 1,
            monitor: ProcessName { pid: 1, start: 1 },
            init: 2,
            init_start: 0,
            shares_pids: false,
            helpers: Vec::new(),
            started: String::new(),
            ..RunState::default()
        };
        let locked = LockedRecord::acquire(&record.directory)
            .unwrap()
            .expect("nobody holds it");
        locked.write(&state).unwrap();
        assert_eq!(record.status().unwrap(), Status::Running(state.clone()));
        assert!(LockedRecord::acquire(&record.directory).unwrap().is_none());
        let full = RunState {
            code: Some(7),
            ..state.clone()
        };
        locked.write(&full).unwrap();
        assert!(matches!(record.status().unwrap(), Status::Exited(exit) if exit.code == 7));
        locked.write(&state).unwrap();
        drop(locked);
        assert_eq!(record.status().unwrap(), Status::Killed(state));
        let exit = ExitRecord {
            run: 1,
            code: 3,
            finished: String::new(),
            error: String::new(),
            oom_killed: false,
        };
        Record::write_exit(&record.directory, &exit, true).unwrap();
        assert_eq!(record.status().unwrap(), Status::Exited(exit));
    }
}
