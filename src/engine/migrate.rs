//! `system migrate`: the home namespace ends with the last container in it, so that the next one is made of the ids the user has then.

use super::request::StopTimeout;
use super::{Engine, EngineError};
use crate::container::{Record, Status};

/// What a migration came to.
#[derive(Clone, Debug, Default)]
pub struct Migrated {
    /// The names of the containers that it stopped.
    pub stopped: Vec<String>,
    /// A build keeps the home namespace: what begins before the build's end still has the ids of before.
    pub is_kept: bool,
}

impl Engine {
    /// Stops every container that runs or waits for its restart, those too that are started meanwhile, and waits until nothing of them
    /// is left; a build's steps go on. A store of a newer version is refused first; what older versions wrote is read as it is.
    pub fn migrate(&self) -> Result<Migrated, EngineError> {
        self.images()?;
        let mut stopped = Vec::new();
        loop {
            let running = self.all_live()?;
            if running.is_empty() {
                break;
            }
            let name = |record: &Record| self.containers.name_of(record);
            let names: Vec<String> = running.iter().map(name).collect();
            let mut failed = None;
            self.stop_all(running.clone(), None, StopTimeout::Default, |_, how| {
                failed = failed.take().or(how.err());
            })?;
            if let Some(error) = failed {
                return Err(error);
            }
            for (record, name) in running.iter().zip(&names) {
                self.wait_for_last_monitor(record, name)?;
            }
            stopped.extend(names);
        }
        let is_kept = self.with_home(|home| home.is_alive());
        Ok(Migrated { stopped, is_kept })
    }

    fn all_live(&self) -> Result<Vec<Record>, EngineError> {
        let is_live = |record: &Record| {
            let status = record.status();
            let is_running = status.as_ref().is_ok_and(Status::is_running);
            // One that was removed meanwhile has none.
            let config = record.config().ok().filter(|_| is_running);
            config.is_some_and(|config| config.host.step.is_none())
        };
        Ok(self.containers.all()?.into_iter().filter(is_live).collect())
    }
}
