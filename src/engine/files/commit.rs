//! `commit`: an image of what a container has become.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::containers::tree_size;
use super::super::images::{processors, unpack_alone};
use super::super::request::{CommitRequest, ConfigChange, PauseChoice};
use super::super::worker::RoleFailure;
use super::super::{Engine, EngineError};
use super::diff::{engine_made, has_marker_files, unread};
use super::door::{Door, Entrance, failure};
use super::own_layer::OwnLayer;
use crate::container::{ContainerConfig, ContainerError, Record};
use crate::image::{
    Derivation, DeriveError, Digest, Ids, ImageError, Imported, Layers, Store, StoreError,
    UnpackOptions, derive, is_for_user, json as parse,
};
use crate::runtime::freeze::Frozen;
use crate::sys::{process, signal};

/// An image that was made of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    pub id: Digest,
    pub warnings: Vec<String>,
    /// Why it was not paused meanwhile, where it runs and should have been.
    pub unpaused: Option<String>,
}

/// What is made of what.
struct Commit<'a> {
    request: &'a CommitRequest,
    record: Record,
    config: ContainerConfig,
    entrance: Entrance,
    parent: Digest,
    /// The settings of the new image.
    image: Map<String, Value>,
}

/// Why there is no image.
enum Unmade {
    Changes(io::Error),
    Derive(DeriveError),
    Room(RoleFailure),
}

impl Engine {
    /// Makes the image. What is read is the container's own layer, and nothing of the image below it.
    pub fn commit(&self, request: &CommitRequest) -> Result<Committed, EngineError> {
        let store = self.images()?;
        let commit = self.prepare_commit(request, &store)?;
        tracing::debug!(name = request.container, "commit");
        if let Some(committed) = self.commit_outside(&store, &commit) {
            self.collect_owed();
            return committed.map_err(EngineError::Role);
        }
        self.in_home("worker", || {
            process::allow_descriptors();
            let ignored = signal::ignore_broken_pipes();
            ignored.map_err(|source| {
                failure(&EngineError::System {
                    operation: "ignore a signal",
                    source,
                })
            })?;
            // Held to the end: nobody starts it meanwhile.
            let door = commit.entrance.open().map_err(|error| failure(&error))?;
            let mut unpaused = None;
            let frozen = match &door {
                Door::Running { pid, .. } if request.pause != PauseChoice::No => {
                    match Frozen::freeze(*pid, commit.record.id.as_str()) {
                        Ok(frozen) => Some(frozen),
                        Err(error) => {
                            unpaused = Some(error.to_string());
                            None
                        }
                    }
                }
                _ => None,
            };
            let own = OwnLayer::of(&store, &commit.entrance.rest.rootfs)?;
            let made = self.make_image(&store, &commit, own.path(), unpack_alone());
            drop(frozen);
            self.committed(&store, &commit, made, unpaused)
        })
    }

    fn prepare_commit<'a>(
        &self,
        request: &'a CommitRequest,
        store: &Store,
    ) -> Result<Commit<'a>, EngineError> {
        let record = self.find(&request.container)?;
        let config = self.config_of(&record)?;
        let unknown = || ImageError::Unknown {
            text: config.image_id.clone(),
        };
        let parent: Digest = config.image_id.parse().map_err(|_| unknown())?;
        if !store.has_document(&parent) {
            return Err(unknown().into());
        }
        let subject = format!("config of image {parent}");
        let bytes = store.read_blob(&parent)?;
        let document: Value = parse(&subject, &bytes).map_err(StoreError::from)?;
        let base = document.get("config").and_then(Value::as_object);
        let mut image = container_settings(base.cloned().unwrap_or_default(), &config);
        ConfigChange::apply_all(&request.changes, &mut image);
        Ok(Commit {
            request,
            entrance: self.entrance(&record, &config, false)?,
            record,
            config,
            parent,
            image,
        })
    }

    /// Without the home namespace, which is dearer than all the rest where it has to be made: if the container does not run and its
    /// layer is little and the user's own. `None`, and nothing is left of it, where it takes that namespace.
    fn commit_outside(
        &self,
        store: &Store,
        commit: &Commit<'_>,
    ) -> Option<Result<Committed, RoleFailure>> {
        let ids = Ids::outside()?;
        let upper = &commit.entrance.rest.rootfs.upper;
        // To make room is to remove what may be anybody's.
        let is_usual = self.config.storage_max.bytes.is_none()
            && !has_marker_files(&commit.record)
            && OwnLayer::lies_in_upper(&commit.entrance.rest.rootfs);
        if !is_usual {
            return None;
        }
        let _hold = match commit.entrance.open() {
            Ok(Door::AtRest { hold }) => hold,
            Ok(Door::Running { .. }) => return None,
            Err(error) => return Some(Err(failure(&error))),
        };
        if !is_for_user(upper, ids) {
            return None;
        }
        process::allow_descriptors();
        let outside = store.clone().outside(ids);
        let made = self.make_image(&outside, commit, upper, UnpackOptions::default());
        if let Err(refused) = &made
            && refused.is_refusal()
        {
            tracing::debug!("the commit takes the home namespace");
            return None;
        }
        Some(self.committed(store, commit, made, None))
    }

    fn make_image(
        &self,
        store: &Store,
        commit: &Commit<'_>,
        upper: &Path,
        unpack: UnpackOptions,
    ) -> Result<Imported, Unmade> {
        let layers = Layers {
            upper,
            below: &commit.entrance.rest.rootfs.lower,
            mount_points: engine_made(),
            marker_files: has_marker_files(&commit.record),
        };
        let changes = layers.changes().map_err(Unmade::Changes)?;
        if self.config.storage_max.bytes.is_some() {
            let room = self.make_room(store, tree_size(upper));
            room.map_err(Unmade::Room)?;
        }
        let request = commit.request;
        let derivation = Derivation {
            parent: &commit.parent,
            upper,
            hidden: &changes.hidden,
            marker_files: layers.marker_files,
            author: request.author.clone(),
            comment: request.message.clone(),
            created_by: commit.config.process.command.join(" "),
            config: commit.image.clone(),
            unpack,
            writers: processors,
        };
        derive(store, &derivation, request.reference.as_ref()).map_err(Unmade::Derive)
    }

    fn committed(
        &self,
        store: &Store,
        commit: &Commit<'_>,
        made: Result<Imported, Unmade>,
        unpaused: Option<String>,
    ) -> Result<Committed, RoleFailure> {
        // One that was removed meanwhile has lost files while they were read.
        if !commit.record.directory.exists() {
            let name = commit.request.container.clone();
            return Err(failure(&ContainerError::NotFound { name }.into()));
        }
        let made = made.map_err(|unmade| unmade.said(&commit.config))?;
        self.make_room_beside(store, [made.id.clone()]);
        Ok(Committed {
            id: made.id,
            warnings: made.warnings,
            unpaused,
        })
    }
}

impl Unmade {
    /// Whether there would be one in the home namespace.
    fn is_refusal(&self) -> bool {
        match self {
            Unmade::Changes(error) => error.kind() == io::ErrorKind::PermissionDenied,
            Unmade::Derive(error) => error.is_refusal(),
            Unmade::Room(_) => false,
        }
    }

    fn said(self, config: &ContainerConfig) -> RoleFailure {
        match self {
            Unmade::Changes(source) => unread(config, source),
            Unmade::Derive(error) => RoleFailure::of(&error, Vec::new()),
            Unmade::Room(failure) => failure,
        }
    }
}

/// The image's settings with the container's over them: what flags of `run` have changed is part of the new image.
fn container_settings(
    mut image: Map<String, Value>,
    config: &ContainerConfig,
) -> Map<String, Value> {
    let process = &config.process;
    let empty = |list: &[String]| -> Map<String, Value> {
        list.iter().map(|key| (key.clone(), json!({}))).collect()
    };
    let labels: &BTreeMap<String, String> = &config.labels;
    let settings = [
        ("User", json!(process.user)),
        ("ExposedPorts", json!(empty(&process.exposed_ports))),
        ("Env", json!(process.env)),
        ("Entrypoint", json!(process.entrypoint)),
        ("Cmd", json!(process.command)),
        ("Volumes", json!(empty(&process.volumes))),
        ("WorkingDir", json!(process.working_dir)),
        ("Labels", json!(labels)),
        ("StopSignal", json!(process.stop_signal)),
    ];
    for (key, value) in settings {
        let nothing = match &value {
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            other => other.is_null(),
        };
        match nothing {
            true => drop(image.remove(key)),
            false => drop(image.insert(key.to_owned(), value)),
        }
    }
    if let Some(timeout) = process.stop_timeout {
        image.insert("StopTimeout".to_owned(), timeout.into());
    }
    image
}
