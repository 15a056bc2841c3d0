//! `commit`: an image of what a container has become.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::containers::tree_size;
use super::super::images::{processors, unpack_alone};
use super::super::request::{CommitRequest, ConfigChange, PauseChoice};
use super::super::worker::RoleFailure;
use super::super::{Engine, EngineError};
use super::diff::{engine_made, has_marker_files, unread};
use super::door::{Door, failure};
use super::own_layer::OwnLayer;
use crate::container::{ContainerConfig, ContainerError};
use crate::image::{Derivation, Digest, Layers, StoreError, derive, json as parse};
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

impl Engine {
    /// Makes the image. What is read is the container's own layer, and nothing of the image below it.
    pub fn commit(&self, request: &CommitRequest) -> Result<Committed, EngineError> {
        let record = self.find(&request.container)?;
        let config = self.config_of(&record)?;
        let store = self.images()?;
        let parent = store.image_by_id(&config.image_id.parse().map_err(|_| {
            crate::image::ImageError::Unknown {
                text: config.image_id.clone(),
            }
        })?)?;
        let subject = format!("config of image {}", parent.id);
        let bytes = store.read_blob(&parent.id)?;
        let document: Value = parse(&subject, &bytes).map_err(StoreError::from)?;
        let base = document.get("config").and_then(Value::as_object);
        let mut image = container_settings(base.cloned().unwrap_or_default(), &config);
        ConfigChange::apply_all(&request.changes, &mut image);
        let entrance = self.entrance(&record, &config, false)?;
        tracing::debug!(name = request.container, "commit");
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
            let door = entrance.open().map_err(|error| failure(&error))?;
            let mut unpaused = None;
            let frozen = match &door {
                Door::Running { pid, .. } if request.pause != PauseChoice::No => {
                    match Frozen::freeze(*pid, record.id.as_str()) {
                        Ok(frozen) => Some(frozen),
                        Err(error) => {
                            unpaused = Some(error.to_string());
                            None
                        }
                    }
                }
                _ => None,
            };
            let rootfs = self.rootfs(&record, &config);
            let own = OwnLayer::of(&store, &rootfs)?;
            let layers = Layers {
                upper: own.path(),
                below: &rootfs.lower,
                mount_points: engine_made(),
                marker_files: has_marker_files(&record),
            };
            let changes = layers.changes().map_err(|source| unread(&config, source))?;
            self.make_room(&store, tree_size(layers.upper))?;
            let derivation = Derivation {
                parent: &parent.id,
                upper: layers.upper,
                hidden: &changes.hidden,
                marker_files: layers.marker_files,
                author: request.author.clone(),
                comment: request.message.clone(),
                created_by: config.process.command.join(" "),
                config: image,
                unpack: unpack_alone(),
                writers: processors,
            };
            let made = derive(&store, &derivation, request.reference.as_ref());
            drop(frozen);
            // One that was removed meanwhile has lost files while they were read.
            if !record.directory.exists() {
                let name = request.container.clone();
                return Err(failure(&ContainerError::NotFound { name }.into()));
            }
            let made = made.map_err(|error| RoleFailure::of(&error, Vec::new()))?;
            self.make_room_beside(&store, [made.id.clone()]);
            Ok(Committed {
                id: made.id,
                warnings: made.warnings,
                unpaused,
            })
        })
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
