//! `rm`: out of sight at once, deleted in the home namespace where files of subordinate ids can be.

use std::error::Error;

use super::error::NotRemovable;
use super::worker::RoleFailure;
use super::{Engine, EngineError};
use crate::container::{ContainerId, Containers, LockedRecord, Record, Rubbish, Status};
use crate::image::{LayerDir, Use};
use crate::sys::fs::remove_path;

impl Engine {
    /// Removes a container; a running one only with `force`; with its anonymous `volumes`, if it is not one that takes
    /// them along anyway. Its files go with `empty_trash`.
    pub fn remove(&self, record: &Record, force: bool, volumes: bool) -> Result<(), EngineError> {
        let config = record.config().ok();
        let config = config.filter(|config| volumes || config.host.auto_remove);
        let name = self.containers.name_of(record);
        let state = match record.status() {
            Ok(Status::Running(_)) => Some(NotRemovable::Running),
            Ok(Status::Paused(_)) => Some(NotRemovable::Paused),
            Ok(Status::Restarting(..)) => Some(NotRemovable::Restarting),
            _ => None,
        };
        if let Some(state) = state {
            if !force {
                return Err(EngineError::RemoveRunning { name, state });
            }
            self.end_now(record)?;
        }
        self.wait_for_last_monitor(record, &name)?;
        // Nobody can start it between the question above and the rename: starting takes this lock.
        let locked = match LockedRecord::acquire(&record.directory) {
            // One that removes itself with its end is gone by now.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(EngineError::system("lock the container's record"))?,
        };
        if locked.is_none() {
            let state = NotRemovable::Running;
            return Err(EngineError::RemoveRunning { name, state });
        }
        tracing::debug!(name, "discard the container");
        self.containers.discard(record, &name)?;
        self.forget_socket(&record.id);
        if let Some(config) = config {
            self.release_volumes(&config);
        }
        Ok(())
    }

    /// A monitor that was killed has left its socket.
    pub(super) fn forget_socket(&self, id: &ContainerId) {
        let _ = crate::sys::disk::remove_file(self.paths.monitor_socket(id.as_str()));
    }

    /// Deletes what removed containers have left, this command's and those that were interrupted.
    pub fn empty_trash(&self) -> Result<(), EngineError> {
        let rubbish = self.containers.rubbish();
        for found in &rubbish {
            let name = found.path.file_name().and_then(|name| name.to_str());
            if let Some(id) = name.and_then(|name| name.parse().ok()) {
                self.forget_socket(&id);
            }
        }
        let stubborn: Vec<Rubbish> = rubbish
            .into_iter()
            .filter(|found| remove_path(&found.path).is_err())
            .collect();
        if stubborn.is_empty() {
            return Ok(());
        }
        self.in_home("worker", || {
            for Rubbish { path, .. } in &stubborn {
                remove_path(path).map_err(|error| RoleFailure::of(&error, Vec::new()))?;
            }
            Ok(())
        })
    }

    /// Which images containers use, for `rmi`.
    pub fn image_uses(&self) -> Result<Vec<Use>, EngineError> {
        uses_of(&self.containers)
    }
}

/// The same as the store asks for it, also in a role with threads, which has no engine.
pub(super) fn users_of(containers: &Containers) -> Result<Vec<Use>, Box<dyn Error + Send + Sync>> {
    uses_of(containers).map_err(|error| error.to_string().into())
}

fn uses_of(containers: &Containers) -> Result<Vec<Use>, EngineError> {
    let mut uses = Vec::new();
    for record in containers.all()? {
        let Ok(config) = record.config() else {
            continue;
        };
        let layers: Vec<LayerDir> = config
            .layers
            .iter()
            .filter_map(|layer| layer.parse().ok())
            .collect();
        let Ok(image) = config.image_id.parse() else {
            continue;
        };
        let running = record.status().is_ok_and(|status| status.is_running());
        uses.push(Use {
            image,
            layers,
            container: record.id.short().to_owned(),
            running,
        });
    }
    Ok(uses)
}
