//! What a build's steps have written, line by line, and which of them failed. Shows nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::build::Vertex;

/// What the last lines of a failed step are for.
const REMEMBERED: usize = 20;

#[derive(Default)]
pub struct Logs {
    steps: RefCell<BTreeMap<Vertex, Step>>,
    failed: RefCell<Option<Vertex>>,
}

struct Step {
    name: String,
    began: Instant,
    /// What came after the last line feed.
    rest: Vec<u8>,
    /// Each with its time.
    last: Vec<String>,
    is_over: bool,
}

impl Logs {
    pub fn begin(&self, vertex: Vertex, name: &str) {
        let step = Step {
            name: name.replace('\n', " "),
            began: Instant::now(),
            rest: Vec::new(),
            last: Vec::new(),
            is_over: false,
        };
        self.steps.borrow_mut().insert(vertex, step);
    }

    pub fn name(&self, vertex: Vertex) -> Option<String> {
        let steps = self.steps.borrow();
        steps.get(&vertex).map(|step| step.name.clone())
    }

    pub fn elapsed(&self, vertex: Vertex) -> Duration {
        let steps = self.steps.borrow();
        let step = steps.get(&vertex);
        step.map_or(Duration::ZERO, |step| step.began.elapsed())
    }

    /// The lines that these bytes end, each with its time.
    pub fn output(&self, vertex: Vertex, bytes: &[u8]) -> Vec<String> {
        let mut steps = self.steps.borrow_mut();
        let Some(step) = steps.get_mut(&vertex) else {
            return Vec::new();
        };
        step.rest.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = step.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = step.rest.drain(..=end).collect();
            lines.push(step.line(&line[..end]));
        }
        lines
    }

    /// The step has ended; what it wrote last without a line feed is a line too.
    pub fn end(&self, vertex: Vertex, has_failed: bool) -> Option<String> {
        if has_failed {
            *self.failed.borrow_mut() = Some(vertex);
        }
        let mut steps = self.steps.borrow_mut();
        let step = steps.get_mut(&vertex)?;
        step.is_over = true;
        let rest = std::mem::take(&mut step.rest);
        (!rest.is_empty()).then(|| step.line(&rest))
    }

    pub fn is_over(&self, vertex: Vertex) -> bool {
        let steps = self.steps.borrow();
        steps.get(&vertex).is_none_or(|step| step.is_over)
    }

    /// The step that failed, and the last lines that it wrote.
    pub fn failure(&self) -> Option<(String, Vec<String>)> {
        let vertex = (*self.failed.borrow())?;
        let steps = self.steps.borrow();
        let step = steps.get(&vertex)?;
        Some((step.name.clone(), step.last.clone()))
    }
}

impl Step {
    fn line(&mut self, line: &[u8]) -> String {
        let text = String::from_utf8_lossy(line);
        let time = self.began.elapsed().as_secs_f64();
        let line = format!("{time:.3} {}", text.trim_end_matches('\r'));
        if self.last.len() >= REMEMBERED {
            self.last.remove(0);
        }
        self.last.push(line.clone());
        line
    }
}
