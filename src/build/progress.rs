//! What whoever builds is told of while it goes on. Never prints.

use std::time::Duration;

use crate::engine::PullNews;

/// One line of work, numbered in the order of their beginnings.
pub type Vertex = usize;

/// Told of what happens, from one thread.
pub trait Watcher {
    /// `[app 2/5] RUN make`
    fn begin(&self, vertex: Vertex, name: &str);
    /// It was done before.
    fn cached(&self, vertex: Vertex);
    /// What a program of it wrote.
    fn output(&self, vertex: Vertex, bytes: &[u8]);
    /// What is known of an image that comes from a registry.
    fn pulls(&self, vertex: Vertex, news: &PullNews);
    /// `None`: all went well.
    fn end(&self, vertex: Vertex, error: Option<&str>);
    /// The build has ended before this, unless it has ended itself.
    fn cancel(&self, vertex: Vertex);
    /// What the user should know although the build goes on.
    fn warn(&self, line: &str);

    /// How often [`Watcher::tick`] is wanted while nothing else happens.
    fn pulse(&self) -> Option<Duration> {
        None
    }

    fn tick(&self) {}
}
