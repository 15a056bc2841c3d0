//! A build's progress on a terminal, as BuildKit draws it: a line for each step, times that go on, the last lines of what is at work.
//! Drawn by whoever waits for the build; there is no thread.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::logs::Logs;
use super::pulled;
use crate::build::{Vertex, Watcher};
use crate::cli::ui::Ui;
use crate::engine::PullNews;

/// How often times go on.
const PULSE: Duration = Duration::from_millis(150);

/// So many lines of a step at work are shown.
const SHOWN: usize = 6;

/// Drawn at most so often.
const HERTZ: u8 = 15;

pub struct Tree<'a> {
    ui: &'a Ui,
    logs: &'a Logs,
    drawing: MultiProgress,
    heading: ProgressBar,
    began: Instant,
    at_work: RefCell<BTreeMap<Vertex, Step>>,
    done: RefCell<usize>,
}

struct Step {
    bar: ProgressBar,
    name: String,
    began: Instant,
    lines: VecDeque<String>,
    /// Layers that come, each with its last news.
    layers: BTreeMap<String, String>,
}

fn seconds(since: Instant) -> String {
    format!("{:.1}s", since.elapsed().as_secs_f64())
}

/// Control characters of a program would draw over the tree.
fn harmless(line: &str) -> String {
    let visible = line.chars().filter(|c| !c.is_control() || *c == '\t');
    visible.collect::<String>().replace('\t', "    ")
}

impl Step {
    fn message(&self) -> String {
        let mut text = format!(" => {} {}", self.name, seconds(self.began));
        for line in &self.lines {
            text.push_str("\n => => # ");
            text.push_str(line);
        }
        for line in self.layers.values() {
            text.push_str("\n => => ");
            text.push_str(line);
        }
        text
    }
}

impl<'a> Tree<'a> {
    pub fn new(ui: &'a Ui, logs: &'a Logs) -> Tree<'a> {
        let target = ProgressDrawTarget::stderr_with_hz(HERTZ);
        let drawing = MultiProgress::with_draw_target(target);
        let heading = drawing.add(ProgressBar::new_spinner());
        heading.set_style(style());
        let tree = Tree {
            ui,
            logs,
            drawing,
            heading,
            began: Instant::now(),
            at_work: RefCell::default(),
            done: RefCell::new(0),
        };
        tree.head("");
        tree
    }

    fn head(&self, end: &str) {
        let (done, all) = (*self.done.borrow(), self.at_work.borrow().len());
        let time = seconds(self.began);
        let total = done + all;
        self.heading
            .set_message(format!("[+] Building {time} ({done}/{total}){end}"));
    }

    /// A line that stays, above what is at work.
    fn settle(&self, vertex: Vertex, line: &str) {
        if let Some(step) = self.at_work.borrow_mut().remove(&vertex) {
            step.bar.finish_and_clear();
            self.drawing.remove(&step.bar);
        }
        *self.done.borrow_mut() += 1;
        self.drawing.suspend(|| self.ui.note(line));
        self.head("");
    }

    /// The heading is the last line.
    pub fn finish(&self) {
        self.head(" FINISHED");
        self.heading.abandon();
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").expect("the template is valid")
}

impl Watcher for Tree<'_> {
    fn begin(&self, vertex: Vertex, name: &str) {
        self.logs.begin(vertex, name);
        let bar = self.drawing.add(ProgressBar::new_spinner());
        bar.set_style(style());
        let step = Step {
            bar,
            name: harmless(&name.replace('\n', " ")),
            began: Instant::now(),
            lines: VecDeque::new(),
            layers: BTreeMap::new(),
        };
        step.bar.set_message(step.message());
        self.at_work.borrow_mut().insert(vertex, step);
        self.head("");
    }

    fn cached(&self, vertex: Vertex) {
        let name = self.logs.name(vertex).unwrap_or_default();
        self.settle(vertex, &format!(" => CACHED {}", harmless(&name)));
    }

    fn output(&self, vertex: Vertex, bytes: &[u8]) {
        let lines = self.logs.output(vertex, bytes);
        if let Some(step) = self.at_work.borrow_mut().get_mut(&vertex) {
            for line in lines {
                if step.lines.len() >= SHOWN {
                    step.lines.pop_front();
                }
                step.lines.push_back(harmless(&line));
            }
            step.bar.set_message(step.message());
        }
    }

    fn pulls(&self, vertex: Vertex, news: &PullNews) {
        if let Some(step) = self.at_work.borrow_mut().get_mut(&vertex) {
            let (about, words) = pulled::line(news);
            match news {
                PullNews::Done(_) => drop(step.layers.remove(&about)),
                _ => drop(step.layers.insert(about, harmless(&words))),
            }
            step.bar.set_message(step.message());
        }
    }

    fn end(&self, vertex: Vertex, error: Option<&str>) {
        self.logs.end(vertex, error.is_some());
        let name = harmless(&self.logs.name(vertex).unwrap_or_default());
        let time = self.logs.elapsed(vertex).as_secs_f64();
        let word = if error.is_some() { "ERROR " } else { "" };
        self.settle(vertex, &format!(" => {word}{name} {time:.1}s"));
    }

    fn cancel(&self, vertex: Vertex) {
        if !self.logs.is_over(vertex) {
            self.logs.end(vertex, false);
            let name = harmless(&self.logs.name(vertex).unwrap_or_default());
            self.settle(vertex, &format!(" => CANCELED {name}"));
        }
    }

    fn warn(&self, line: &str) {
        self.drawing.suspend(|| self.ui.warning(line));
    }

    fn pulse(&self) -> Option<Duration> {
        Some(PULSE)
    }

    fn tick(&self) {
        for step in self.at_work.borrow().values() {
            step.bar.set_message(step.message());
        }
        self.head("");
    }
}
