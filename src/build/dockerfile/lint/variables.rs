//! The variables a stage has at one of its lines. Never expands a text.

use std::collections::BTreeMap;

use crate::config::{distance, nearest};

/// A file with more is nobody's: then nothing more is said of its variables.
const MAX_NAMES: usize = 1_000;
/// Of longer values only the beginning matters here.
const MAX_VALUE: usize = 1_024;

/// Names, and values where they have one: `ARG x` declares a name without.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    values: BTreeMap<String, Option<String>>,
    /// An image's variables are not known, so any name may be set.
    pub is_open: bool,
}

impl Variables {
    pub fn new() -> Variables {
        Variables::default()
    }

    pub fn set(&mut self, name: &str, value: Option<String>) {
        if self.values.len() >= MAX_NAMES {
            self.is_open = true;
            return;
        }
        let value = value.map(|value| match value.len() > MAX_VALUE {
            true => value.chars().take(MAX_VALUE / 4).collect(),
            false => value,
        });
        self.values.insert(name.to_owned(), value);
    }

    pub fn value(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned().flatten()
    }

    pub fn is_declared(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A name that this one is probably meant to be: two corrections make it so, as BuildKit has it.
    pub fn nearest(&self, name: &str) -> Option<&str> {
        if name.len() > MAX_VALUE {
            return None;
        }
        let found = nearest(name, self.values.keys().map(String::as_str));
        (!found.is_empty() && distance(name, found) <= 2).then_some(found)
    }
}
