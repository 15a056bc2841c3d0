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

/// The lines of a text as places count them (YAML 1.2, 5.4): they end with CR, LF or both.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split_inclusive('\n');
    parts.flat_map(|part| {
        let line = part.strip_suffix('\n').unwrap_or(part);
        line.strip_suffix('\r').unwrap_or(line).split('\r')
    })
}
