//! YAML as compose files use it: a tree that knows where each of its parts stands, read from texts and written as docker writes it.

mod node;
mod read;
mod scalar;
mod write;

#[cfg(test)]
mod tests;

pub use node::{At, Map, Mark, Node, Yaml};
pub use read::{Wrong, documents};
pub use write::{float, sorted, text};
