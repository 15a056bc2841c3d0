//! The files of containers: `cp`, `diff`, `export`, `commit`, and looking into a root that is mounted nowhere else.

mod commit;
mod copy;
mod diff;
mod door;
mod export;
mod lent;
mod own_layer;
mod place;
mod shell;
mod side;

pub use commit::Committed;
pub use copy::Copied;
pub(super) use diff::engine_made;
pub(super) use own_layer::{OwnLayer, size_of};
