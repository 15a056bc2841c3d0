//! Keys of steps: what a step's result depends on, as one digest. Pure.

use sha2::{Digest as _, Sha256};

use crate::image::Digest;

/// Steps of another version of the builder are not this one's.
const VERSION: &[u8] = b"bryo build 1";

/// Parts go in one after the other, each with its length, so that no two lists of parts are the same.
pub struct KeyBuilder(Sha256);

impl KeyBuilder {
    pub fn new(kind: &str) -> KeyBuilder {
        let mut key = KeyBuilder(Sha256::new());
        key.add(VERSION);
        key.add(kind.as_bytes());
        key
    }

    pub fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    pub fn with(mut self, part: impl AsRef<[u8]>) -> KeyBuilder {
        self.add(part.as_ref());
        self
    }

    /// A list, with how many there are.
    pub fn with_all<T: AsRef<[u8]>>(mut self, parts: impl IntoIterator<Item = T>) -> KeyBuilder {
        let parts: Vec<T> = parts.into_iter().collect();
        self.add(&(parts.len() as u64).to_le_bytes());
        for part in &parts {
            self.add(part.as_ref());
        }
        self
    }

    pub fn finish(self) -> Digest {
        Digest::from_hash(self.0.finalize().as_slice())
    }
}
