//! `commit`: what may be said of the new image. Pure.

use super::change::ConfigChange;
use crate::image::Reference;

/// Whether the container stands still meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseChoice {
    /// Where it can; docker's default.
    Default,
    /// It was asked for: if it can't be, the user wants to know.
    Asked,
    No,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CommitRequest {
    pub container: String,
    /// None: the image gets no name.
    pub reference: Option<Reference>,
    pub author: Option<String>,
    pub message: Option<String>,
    pub changes: Vec<ConfigChange>,
    pub pause: PauseChoice,
}
