//! What is told while a project is worked on. How it looks is the terminal's.

use crate::monitor::Stream;

/// How far something has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Working,
    Done,
    Warning,
    Failed,
}

/// One word about one thing: `Container p-web-1`, `Created`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News<'a> {
    pub subject: &'a str,
    /// What is done with it, where the words do not tell.
    pub detail: &'a str,
    pub phase: Phase,
    pub words: &'a str,
}

/// Who is told.
pub trait Report {
    fn news(&self, news: News<'_>);

    fn warn(&self, text: &str);

    /// The containers whose output is shown.
    fn attached(&self, _names: &[String]) {}

    /// A line of a container's, without its end.
    fn output(&self, _container: &str, _stream: Stream, _line: &[u8]) {}

    /// What has become of a container whose output is shown.
    fn status(&self, _container: &str, _words: &str) {}

    /// Something else that the user should know.
    fn note(&self, _text: &str) {}

    fn container(&self, name: &str, phase: Phase, words: &str) {
        self.news(News {
            subject: &format!("Container {name}"),
            detail: "",
            phase,
            words,
        });
    }
}
