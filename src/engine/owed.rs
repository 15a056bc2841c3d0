//! Layers that a removal had to leave because somebody held a lease: deleted, once the last lease is given up, by a role that the
//! command does not wait for. Never decides what goes: that is the store's collection.

use std::fs::File;
use std::os::fd::OwnedFd;

use super::remove::users_of;
use super::{Engine, EngineError};
use crate::image::Store;
use crate::sys::gate::Gate;
use crate::sys::{process, role, signal};

impl Engine {
    /// Called where a lease was given up. If it fails, whoever collects next deletes them.
    pub(super) fn collect_owed(&self) {
        let Ok(store) = self.images() else { return };
        if !store.owes_layers() {
            return;
        }
        if let Err(error) = self.begin_collection(&store) {
            tracing::debug!(%error, "collect what is owed");
        }
    }

    fn begin_collection(&self, store: &Store) -> Result<(), EngineError> {
        let nothing = File::open("/dev/null").map_err(EngineError::system("open /dev/null"))?;
        let entered = self.with_home(|home| {
            home.enter(false, OwnedFd::from(nothing), |gate, _| {
                self.collect_alone(store, gate)
            })
        });
        entered.map_err(|error| self.explain_home(error))?;
        Ok(())
    }

    /// It outlives its parent, whose terminal and streams it must not keep.
    fn collect_alone(&self, store: &Store, mut gate: Gate) -> i32 {
        role::set("worker");
        let _ = rustix::process::setsid();
        let _ = rustix::process::chdir("/");
        let ready = signal::reset_all().and_then(|()| process::detach_standard_streams());
        if ready.is_err() || !gate.wait() {
            return 125;
        }
        let collected = store.collect_garbage(&|| users_of(&self.containers));
        tracing::debug!(?collected, "collect what is owed");
        i32::from(collected.is_err())
    }
}
