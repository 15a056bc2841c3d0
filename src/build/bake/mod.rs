//! `bake`: files that say which images are to be built, and how. Reads their texts; builds nothing and opens no file.

mod compose;
mod error;
mod eval;
mod format;
mod functions;
mod merge;
mod overrides;
mod resolve;
mod source;
mod target;

#[cfg(test)]
mod tests;

pub use error::BakeError;
pub use overrides::Override;
pub use resolve::{Bake, DEPTH, Group, bake};
pub use target::{Entry, Target};

/// A file with what it is called.
#[derive(Clone, Debug)]
pub struct BakeFile {
    pub name: String,
    pub text: String,
}

/// The host's variables, of which those that are declared are looked at.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;
