//! `system reset`: everything of this user's engine goes, but for what the user has written: the configuration.

use super::worker::RoleFailure;
use super::{Engine, EngineError};
use crate::sys::fs::remove_path;

impl Engine {
    /// Ends and removes every container, then all that is in the store, the cache and the runtime directory. Containers
    /// first, each as `rm -f` does it: what could not be ended keeps everything else.
    pub fn reset(&self) -> Result<(), EngineError> {
        for record in self.containers.all()? {
            self.remove(&record, true, true)?;
        }
        self.empty_trash()?;
        let places = [&self.paths.data, &self.paths.cache];
        self.in_home("worker", || {
            for place in places {
                let names = match std::fs::read_dir(place) {
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    other => other.map_err(|error| RoleFailure::of(&error, Vec::new()))?,
                };
                for entry in names.flatten() {
                    let removed = remove_path(&entry.path());
                    removed.map_err(|error| RoleFailure::of(&error, Vec::new()))?;
                }
            }
            Ok(())
        })?;
        for place in [&self.paths.data, &self.paths.cache, &self.paths.runtime] {
            let removed = remove_path(place);
            removed.map_err(|error| EngineError::File {
                operation: "remove",
                path: place.join(error.path),
                source: error.source,
            })?;
        }
        Ok(())
    }
}
