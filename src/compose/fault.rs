//! Something wrong at a place of a file that is being read.

use super::yaml::{At, Wrong};

/// What is wrong, where, and what was perhaps meant.
#[derive(Clone, Debug)]
pub struct Fault {
    pub at: At,
    pub text: String,
    /// The key that was likely meant.
    pub near: Option<String>,
}

impl Fault {
    pub fn new(at: At, text: impl Into<String>) -> Fault {
        Fault {
            at,
            text: text.into(),
            near: None,
        }
    }
}

impl From<Wrong> for Fault {
    fn from(wrong: Wrong) -> Fault {
        Fault::new(wrong.at, wrong.text)
    }
}
