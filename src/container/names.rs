//! The names of containers: each a symlink to an id, which appears whole or not at all and never over another. Claims, finds and moves
//! them; never touches a record.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::readlinkat;

use super::event::Event;
use super::id::ContainerId;
use super::name::{ContainerName, ContainerNameError};
use super::record::Record;
use super::store::{ContainerError, Containers};
use crate::sys::disk;
use crate::sys::fs::{open_directory, rename_new, sync_directory};

impl Containers {
    /// A symlink appears whole or not at all, and never over another. One whose container is gone is replaced.
    pub(super) fn claim(
        &self,
        name: &ContainerName,
        id: &ContainerId,
    ) -> Result<(), ContainerError> {
        let link = self.names.join(name.as_str());
        loop {
            match disk::symlink(id.as_str(), &link) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    match self.named(name) {
                        Some(owner) => {
                            return Err(ContainerError::NameTaken {
                                name: name.to_string(),
                                owner: owner.id.to_string(),
                            });
                        }
                        None => drop(disk::remove_file(&link)),
                    }
                }
                other => {
                    return other.map_err(|source| ContainerError::Write {
                        id: id.clone(),
                        source,
                    });
                }
            }
        }
    }

    /// Claims an invented name that is free.
    pub fn invent_name(&self, id: &ContainerId) -> ContainerName {
        let names = (0..).map(|attempt| ContainerName::invent(id, attempt));
        let mut free = names.filter(|name| self.named(name).is_none());
        free.next().expect("there are endless names")
    }

    /// `wanted`, or where that is taken with the first number behind it that is not.
    pub fn free_name(&self, wanted: &str) -> Result<ContainerName, ContainerNameError> {
        let mut name: ContainerName = wanted.parse()?;
        let mut number = 0;
        while self.named(&name).is_some() {
            number += 1;
            name = format!("{wanted}{number}").parse()?;
        }
        Ok(name)
    }

    /// The container that has exactly this name.
    pub fn named(&self, name: &ContainerName) -> Option<Record> {
        let target = fs::read_link(self.names.join(name.as_str())).ok()?;
        let id: ContainerId = target.to_str()?.parse().ok()?;
        self.by_id(id)
    }

    /// The names, by id.
    pub fn names(&self) -> HashMap<ContainerId, String> {
        let (Ok(entries), Ok(directory)) = (fs::read_dir(&self.names), open_directory(&self.names))
        else {
            return HashMap::new();
        };
        let mut target = Vec::new();
        let pairs = entries.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let read = readlinkat(&directory, &name, std::mem::take(&mut target));
            target = read.ok()?.into_bytes();
            let id = std::str::from_utf8(&target).ok()?.parse().ok()?;
            Some((id, name))
        });
        pairs.collect()
    }

    /// The name of one container, first looked for where it was created; the id's short form if it has lost it.
    pub fn name_of(&self, record: &Record) -> String {
        let created = record.config().map(|config| config.name);
        self.name_after(record, &created.unwrap_or_default())
    }

    /// The same, first looked for at the name it had when it was last seen.
    pub fn name_after(&self, record: &Record, seen: &str) -> String {
        let id = &record.id;
        let seen = Some(seen.to_owned());
        let owns = |name: &String| {
            let name = name.parse().ok();
            name.and_then(|name: ContainerName| self.named(&name))
                .is_some_and(|owner| owner.id == *id)
        };
        let found = seen.filter(owns);
        found
            .or_else(|| self.names().remove(id))
            .unwrap_or_else(|| id.short().to_owned())
    }

    /// Gives the container that was `called` so another name: it never has none, and never two. Of two that rename it at once one is
    /// refused.
    pub fn rename(
        &self,
        record: &Record,
        called: &str,
        new: &ContainerName,
    ) -> Result<(), ContainerError> {
        let id = &record.id;
        let failed = |source| ContainerError::Write {
            id: id.clone(),
            source,
        };
        let old = self.name_of(record);
        if called != old && !id.as_str().starts_with(called) {
            return Err(ContainerError::Renamed {
                name: called.to_owned(),
            });
        }
        if old == new.as_str() {
            return Err(ContainerError::SameName);
        }
        self.move_name(&old, new, id)?;
        if !self.owns(new.as_str(), id) {
            // The old name was given to another container since it was looked up: it gets it back.
            let directory = open_directory(&self.names).map_err(failed)?;
            let back = rename_new(directory, new.as_str().as_bytes(), old.as_bytes());
            back.map_err(failed)?;
            return Err(ContainerError::Renamed { name: old });
        }
        File::open(&self.names)
            .and_then(sync_directory)
            .map_err(failed)?;
        if let Ok(config) = record.config() {
            let event = Event::container(&config, new.as_str(), "rename");
            self.events
                .append(&event.with("oldName", format!("/{old}")));
        }
        Ok(())
    }

    /// One rename that replaces nothing, but a name whose container is gone.
    fn move_name(
        &self,
        old: &str,
        new: &ContainerName,
        id: &ContainerId,
    ) -> Result<(), ContainerError> {
        let failed = |source| ContainerError::Write {
            id: id.clone(),
            source,
        };
        let directory = open_directory(&self.names).map_err(failed)?;
        loop {
            match rename_new(&directory, old.as_bytes(), new.as_str().as_bytes()) {
                Ok(true) => return Ok(()),
                Ok(false) => match self.named(new) {
                    Some(owner) => {
                        return Err(ContainerError::NameTaken {
                            name: new.to_string(),
                            owner: owner.id.to_string(),
                        });
                    }
                    None => drop(disk::remove_file(self.names.join(new.as_str()))),
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(ContainerError::Renamed {
                        name: old.to_owned(),
                    });
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Whether the name stands for this container.
    pub(super) fn owns(&self, name: &str, id: &ContainerId) -> bool {
        let target = fs::read_link(self.names.join(name));
        target.is_ok_and(|target| target == Path::new(id.as_str()))
    }
}
