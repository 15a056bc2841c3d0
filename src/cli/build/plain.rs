//! A build's progress as lines, in BuildKit's words: what is written to anything but a terminal.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Instant;

use crate::build::{Vertex, Watcher};
use crate::cli::ui::Ui;

/// What the last lines of a failed step are for.
const REMEMBERED: usize = 20;

pub struct Plain<'a> {
    ui: &'a Ui,
    steps: RefCell<BTreeMap<Vertex, Step>>,
    /// Whose line was written last.
    last: RefCell<Vertex>,
    failed: RefCell<Option<Vertex>>,
    quiet: bool,
}

struct Step {
    name: String,
    began: Instant,
    /// What came after the last line feed.
    rest: Vec<u8>,
    log: Vec<String>,
}

impl Plain<'_> {
    pub fn new(ui: &Ui, quiet: bool) -> Plain<'_> {
        Plain {
            ui,
            steps: RefCell::default(),
            last: RefCell::new(0),
            failed: RefCell::default(),
            quiet,
        }
    }

    fn line(&self, vertex: Vertex, text: &str) {
        if self.quiet {
            return;
        }
        if self.last.replace(vertex) != vertex {
            if vertex > 1 {
                self.ui.note("");
            }
            if let Some(step) = self.steps.borrow().get(&vertex) {
                self.ui.note(&format!("#{vertex} {}", step.name));
            }
        }
        self.ui.note(&format!("#{vertex} {text}"));
    }

    /// The step that failed, and the last lines that it wrote.
    pub fn failure(&self) -> Option<(String, Vec<String>)> {
        let vertex = (*self.failed.borrow())?;
        let steps = self.steps.borrow();
        let step = steps.get(&vertex)?;
        Some((step.name.clone(), step.log.clone()))
    }

    fn log(&self, vertex: Vertex, line: &[u8]) {
        let text = String::from_utf8_lossy(line)
            .trim_end_matches('\r')
            .to_owned();
        let mut time = 0.0;
        if let Some(step) = self.steps.borrow_mut().get_mut(&vertex) {
            time = step.began.elapsed().as_secs_f64();
            if step.log.len() >= REMEMBERED {
                step.log.remove(0);
            }
            step.log.push(format!("{time:.3} {text}"));
        }
        self.line(vertex, &format!("{time:.3} {text}"));
    }

    /// What a step wrote last without a line feed.
    fn flush(&self, vertex: Vertex) {
        let rest = self
            .steps
            .borrow_mut()
            .get_mut(&vertex)
            .map(|step| std::mem::take(&mut step.rest))
            .unwrap_or_default();
        if !rest.is_empty() {
            self.log(vertex, &rest);
        }
    }
}

impl Watcher for Plain<'_> {
    fn begin(&self, vertex: Vertex, name: &str) {
        let step = Step {
            name: name.replace('\n', " "),
            began: Instant::now(),
            rest: Vec::new(),
            log: Vec::new(),
        };
        self.steps.borrow_mut().insert(vertex, step);
    }

    fn cached(&self, vertex: Vertex) {
        self.line(vertex, "CACHED");
    }

    fn output(&self, vertex: Vertex, bytes: &[u8]) {
        let mut lines = Vec::new();
        if let Some(step) = self.steps.borrow_mut().get_mut(&vertex) {
            step.rest.extend_from_slice(bytes);
            while let Some(end) = step.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = step.rest.drain(..=end).collect();
                lines.push(line[..end].to_vec());
            }
        }
        for line in lines {
            self.log(vertex, &line);
        }
    }

    fn end(&self, vertex: Vertex, error: Option<&str>) {
        self.flush(vertex);
        let began = self.steps.borrow().get(&vertex).map(|step| step.began);
        let time = began.map_or(0.0, |began| began.elapsed().as_secs_f64());
        match error {
            None => self.line(vertex, &format!("DONE {time:.1}s")),
            Some(error) => {
                *self.failed.borrow_mut() = Some(vertex);
                self.line(vertex, &format!("ERROR: {error}"));
            }
        }
    }

    fn warn(&self, line: &str) {
        self.ui.warning(line);
    }
}
