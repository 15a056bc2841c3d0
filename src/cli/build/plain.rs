//! A build's progress as lines, in BuildKit's words: what is written to anything but a terminal.

use std::cell::Cell;

use super::logs::Logs;
use super::pulled;
use crate::build::{Vertex, Watcher};
use crate::cli::ui::Ui;
use crate::engine::PullNews;

pub struct Plain<'a> {
    ui: &'a Ui,
    logs: &'a Logs,
    /// Whose line was written last.
    last: Cell<Vertex>,
    quiet: bool,
}

impl<'a> Plain<'a> {
    pub fn new(ui: &'a Ui, logs: &'a Logs, quiet: bool) -> Plain<'a> {
        Plain {
            ui,
            logs,
            last: Cell::new(0),
            quiet,
        }
    }

    /// Whose lines come next.
    fn head(&self, vertex: Vertex) {
        if self.quiet {
            return;
        }
        let before = self.last.replace(vertex);
        if before != vertex {
            if before > 0 {
                self.ui.note("");
            }
            if let Some(name) = self.logs.name(vertex) {
                self.ui.note(&format!("#{vertex} {name}"));
            }
        }
    }

    fn line(&self, vertex: Vertex, text: &str) {
        self.head(vertex);
        if !self.quiet {
            self.ui.note(&format!("#{vertex} {text}"));
        }
    }
}

impl Watcher for Plain<'_> {
    fn begin(&self, vertex: Vertex, name: &str) {
        self.logs.begin(vertex, name);
        self.head(vertex);
    }

    fn cached(&self, vertex: Vertex) {
        self.line(vertex, "CACHED");
    }

    fn output(&self, vertex: Vertex, bytes: &[u8]) {
        for line in self.logs.output(vertex, bytes) {
            self.line(vertex, &line);
        }
    }

    fn pulls(&self, vertex: Vertex, news: &PullNews) {
        if pulled::stays(news) {
            self.line(vertex, &pulled::line(news).1);
        }
    }

    fn end(&self, vertex: Vertex, error: Option<&str>) {
        if let Some(line) = self.logs.end(vertex, error.is_some()) {
            self.line(vertex, &line);
        }
        let time = self.logs.elapsed(vertex).as_secs_f64();
        match error {
            None => self.line(vertex, &format!("DONE {time:.1}s")),
            Some(error) => self.line(vertex, &format!("ERROR: {error}")),
        }
    }

    fn cancel(&self, vertex: Vertex) {
        if self.logs.is_over(vertex) {
            return;
        }
        if let Some(line) = self.logs.end(vertex, false) {
            self.line(vertex, &line);
        }
        self.line(vertex, "CANCELED");
    }

    fn warn(&self, line: &str) {
        self.ui.warning(line);
    }
}
