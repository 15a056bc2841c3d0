//! The disk budget of `load`, `import` and `commit`: room is made before, as far as the size is known, and after.

use std::collections::HashSet;

use super::super::Engine;
use super::super::remove::users_of;
use super::super::request::Input;
use super::super::worker::RoleFailure;
use crate::image::{Coming, Digest, Store};

impl Engine {
    /// Makes room for so many bytes where there is a budget; fails where they have none. Runs in the home namespace.
    pub(in crate::engine) fn make_room(
        &self,
        store: &Store,
        bytes: u64,
    ) -> Result<(), RoleFailure> {
        self.stay_below(
            store,
            &Coming {
                least: bytes,
                likely: bytes,
                ..Coming::default()
            },
        )
    }

    /// Removes what goes beyond the budget now that these images were added.
    pub(in crate::engine) fn make_room_beside(
        &self,
        store: &Store,
        added: impl IntoIterator<Item = Digest>,
    ) {
        let images: HashSet<Digest> = added.into_iter().collect();
        let added = self.stay_below(
            store,
            &Coming {
                images,
                ..Coming::default()
            },
        );
        // They are there: that they alone are too much is for the next that is added.
        if let Err(failure) = added {
            tracing::debug!(failure.message, "budget");
        }
    }

    fn stay_below(&self, store: &Store, coming: &Coming) -> Result<(), RoleFailure> {
        let Some(max) = self.config.storage_max.bytes else {
            return Ok(());
        };
        let users = || users_of(&self.containers);
        store
            .make_room(max, coming, &users)
            .map(drop)
            .map_err(|error| RoleFailure::of(&error, Vec::new()))
    }
}

/// Bytes of an archive, where it is a file.
pub(super) fn length(input: &Input) -> u64 {
    match input {
        Input::File(path) => std::fs::metadata(path)
            .ok()
            .filter(|meta| meta.is_file())
            .map_or(0, |meta| meta.len()),
        Input::Stdin => 0,
    }
}
