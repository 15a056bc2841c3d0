//! A build's progress as BuildKit's JSON, a status on each line: `--progress rawjson`.

use std::cell::RefCell;
use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::{Value, json};

use super::logs::Logs;
use super::pulled;
use crate::build::{Checked, Vertex, Watcher};
use crate::cli::ui::Ui;
use crate::engine::PullNews;
use crate::image::Digest;

pub struct RawJson<'a> {
    ui: &'a Ui,
    logs: &'a Logs,
    steps: RefCell<BTreeMap<Vertex, Step>>,
}

struct Step {
    digest: Digest,
    name: String,
    started: String,
}

/// What BuildKit says of a step that the build did not wait for.
const CANCELED: &str = "context canceled";

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

fn encoded(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

impl<'a> RawJson<'a> {
    pub fn new(ui: &'a Ui, logs: &'a Logs) -> RawJson<'a> {
        RawJson {
            ui,
            logs,
            steps: RefCell::default(),
        }
    }

    fn status(&self, status: &Value) {
        self.ui.note(&status.to_string());
    }

    fn vertex(&self, vertex: Vertex, more: &[(&str, Value)]) {
        if let Some(step) = self.steps.borrow().get(&vertex) {
            let mut object = json!({
                "digest": step.digest.as_str(), "name": step.name, "started": step.started,
            });
            for (key, value) in more {
                object[*key] = value.clone();
            }
            self.status(&json!({ "vertexes": [object] }));
        }
    }

    /// What the rules have found.
    pub fn findings(&self, checked: &Checked) {
        for finding in &checked.findings {
            let rule = finding.rule;
            let (line, last) = (finding.location.line, finding.location.last_line);
            let short = format!("{}: {} (line {line})", rule.name(), finding.message);
            self.status(&json!({ "warnings": [{
                "level": 1,
                "short": encoded(short.as_bytes()),
                "detail": [encoded(rule.description().as_bytes())],
                "url": rule.url(),
                "range": [{ "start": { "line": line }, "end": { "line": last } }],
            }] }));
        }
    }
}

impl Watcher for RawJson<'_> {
    fn begin(&self, vertex: Vertex, name: &str) {
        self.logs.begin(vertex, name);
        let step = Step {
            digest: Digest::of(format!("{vertex} {name}").as_bytes()),
            name: name.to_owned(),
            started: now(),
        };
        self.steps.borrow_mut().insert(vertex, step);
        self.vertex(vertex, &[]);
    }

    fn cached(&self, vertex: Vertex) {
        let more = [("completed", now().into()), ("cached", true.into())];
        self.vertex(vertex, &more);
    }

    fn output(&self, vertex: Vertex, bytes: &[u8]) {
        self.logs.output(vertex, bytes);
        if let Some(step) = self.steps.borrow().get(&vertex) {
            self.status(&json!({ "logs": [{
                "vertex": step.digest.as_str(), "stream": 1, "data": encoded(bytes), "timestamp": now(),
            }] }));
        }
    }

    fn pulls(&self, vertex: Vertex, news: &PullNews) {
        if let Some(step) = self.steps.borrow().get(&vertex) {
            let (id, words) = pulled::line(news);
            let mut status = json!({
                "id": if id.is_empty() { &words } else { &id }, "vertex": step.digest.as_str(), "timestamp": now(),
            });
            if let PullNews::Layer { bytes, size, .. } = news {
                status["current"] = (*bytes).into();
                status["total"] = (*size).into();
            }
            if let PullNews::Done(_) = news {
                status["completed"] = now().into();
            }
            self.status(&json!({ "statuses": [status] }));
        }
    }

    fn end(&self, vertex: Vertex, error: Option<&str>) {
        self.logs.end(vertex, error.is_some());
        let mut more = vec![("completed", now().into())];
        more.extend(error.map(|error| ("error", error.into())));
        self.vertex(vertex, &more);
    }

    fn cancel(&self, vertex: Vertex) {
        if !self.logs.is_over(vertex) {
            self.logs.end(vertex, false);
            let more = [("completed", now().into()), ("error", CANCELED.into())];
            self.vertex(vertex, &more);
        }
    }

    fn warn(&self, line: &str) {
        self.status(&json!({ "warnings": [{ "level": 1, "short": encoded(line.as_bytes()) }] }));
    }
}
