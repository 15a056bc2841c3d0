//! Builds images from Dockerfiles. Never runs a process except through `engine`.

pub mod attest;
pub mod bake;
mod builder;
mod check;
mod content;
mod copy;
pub mod dockerfile;
pub mod dotenv;
mod draft;
mod error;
mod filter;
mod finish;
mod foreign;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod history;
mod images;
pub mod interpolate;
mod key;
mod layers;
mod mode;
mod mounts;
mod outline;
mod plan;
mod progress;
mod request;
mod run;
mod scope;
mod select;
mod settings;
mod sources;
pub mod verb;
mod work;

pub use builder::build;
pub use check::{Checked, check};
pub use error::{BuildError, Place, StepError};
pub use finish::Built;
pub use outline::{Argument, Need, Outline, Target, outline, targets};
pub use progress::{Vertex, Watcher};
pub use request::{Allows, BuildRequest, Context, NamedContext, SecretSource};
pub use sources::authorizations;
