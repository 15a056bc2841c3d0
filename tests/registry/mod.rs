//! An in-process registry that can misbehave, for tests. Speaks as much of HTTP/1.1 and of the distribution
//! specification as a pull needs, on a loopback port, one thread per connection.
#![allow(dead_code, unused_imports, clippy::unwrap_used)]

pub mod image;
pub mod real;
pub mod scratch;
pub mod server;
pub mod token;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

pub use image::{TestImage, TestLayer};
pub use server::{Answer, Request, Server};

/// What a rule does to an answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This answer instead.
    Answer(Answer),
    /// The right headers, the first bytes of the body, then the connection is closed.
    Truncate(usize),
    /// The right headers and the first bytes of the body, then nothing for so long.
    Stall(usize, Duration),
    /// The connection is closed before any answer.
    Hang,
    /// The right answer with another body of the same length.
    Garble,
    /// The right answer with one more byte than it should have, announced or not.
    Lengthen,
    /// The right answer with another header.
    Header(&'static str, String),
    /// The right answer once something whose path contains this was asked for; silence if it is not within a minute.
    After(String),
    /// Ranges are not understood: the whole body with status 200.
    NoRanges,
}

struct Rule {
    path: String,
    fault: Fault,
    left: usize,
}

#[derive(Default)]
struct State {
    /// By path: body and media type.
    content: BTreeMap<String, (Vec<u8>, String)>,
    rules: Vec<Rule>,
    requests: Vec<Request>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is another request.
    asked: Condvar,
}

/// The registry: content, rules, and what it was asked.
pub struct Registry {
    server: Server,
    shared: Arc<Shared>,
}

impl Registry {
    pub fn start() -> Registry {
        let shared: Arc<Shared> = Arc::default();
        let own = Arc::clone(&shared);
        let server = Server::start(move |request| answer(&own, request));
        Registry { server, shared }
    }

    /// `127.0.0.1:port`, as a reference begins.
    pub fn host(&self) -> String {
        self.server.host()
    }

    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.host())
    }

    /// Serves an image as `repository:tag`; gives back its manifest's digest.
    pub fn add(&self, repository: &str, tag: &str, image: &TestImage) -> String {
        for (digest, bytes) in image.blobs() {
            self.put(
                &format!("/v2/{repository}/blobs/{digest}"),
                bytes,
                "application/octet-stream",
            );
        }
        self.add_manifest(repository, tag, image.manifest(), image.media_type())
    }

    /// Serves any document as a manifest under its tag and its digest.
    pub fn add_manifest(
        &self,
        repository: &str,
        tag: &str,
        bytes: Vec<u8>,
        media_type: &str,
    ) -> String {
        let digest = image::digest(&bytes);
        for name in [tag, digest.as_str()] {
            self.put(
                &format!("/v2/{repository}/manifests/{name}"),
                bytes.clone(),
                media_type,
            );
        }
        digest
    }

    pub fn put(&self, path: &str, bytes: Vec<u8>, media_type: &str) {
        let entry = (bytes, media_type.to_owned());
        self.shared
            .state
            .lock()
            .unwrap()
            .content
            .insert(path.to_owned(), entry);
    }

    /// The next `times` requests whose path contains `path` meet this fault.
    pub fn misbehave(&self, path: &str, times: usize, fault: Fault) {
        self.shared.state.lock().unwrap().rules.push(Rule {
            path: path.to_owned(),
            fault,
            left: times,
        });
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.state.lock().unwrap().requests.clone()
    }

    /// How often something whose path contains `path` was asked for.
    pub fn count(&self, path: &str) -> usize {
        let requests = self.requests();
        requests
            .iter()
            .filter(|request| request.path.contains(path))
            .count()
    }
}

/// Whether it is asked for within a minute.
fn is_asked_for(shared: &Shared, path: &str) -> bool {
    let asked = |state: &State| {
        let mut requests = state.requests.iter();
        requests.any(|request| request.path.contains(path))
    };
    let minute = Duration::from_secs(60);
    let state = shared.state.lock().unwrap();
    let waited = shared
        .asked
        .wait_timeout_while(state, minute, |state| !asked(state));
    !waited.unwrap().1.timed_out()
}

fn answer(shared: &Shared, request: &Request) -> Answer {
    let mut state = shared.state.lock().unwrap();
    state.requests.push(request.clone());
    shared.asked.notify_all();
    let rule = state
        .rules
        .iter_mut()
        .find(|rule| rule.left > 0 && request.path.contains(&rule.path));
    let fault = rule.map(|rule| {
        rule.left -= 1;
        rule.fault.clone()
    });
    let right = right_answer(&state, request);
    match fault {
        None => right,
        Some(Fault::Answer(answer)) => answer,
        Some(Fault::Truncate(after)) => Answer {
            close_after: Some((after, Duration::ZERO)),
            ..right
        },
        Some(Fault::Stall(after, long)) => Answer {
            close_after: Some((after, long)),
            ..right
        },
        Some(Fault::Hang) => Answer {
            silent: true,
            ..right
        },
        Some(Fault::Garble) => Answer {
            body: right.body.iter().map(|byte| !byte).collect(),
            ..right
        },
        Some(Fault::Lengthen) => {
            let mut longer = Answer {
                chunked: true,
                ..right
            };
            longer.body.push(0);
            longer
        }
        Some(Fault::Header(name, value)) => right.with(name, &value),
        Some(Fault::After(path)) => {
            drop(state);
            Answer {
                silent: !is_asked_for(shared, &path),
                ..right
            }
        }
        Some(Fault::NoRanges) => right_answer(
            &state,
            &Request {
                headers: Vec::new(),
                ..request.clone()
            },
        ),
    }
}

fn right_answer(state: &State, request: &Request) -> Answer {
    if request.path == "/v2/" {
        return Answer::new(200);
    }
    let Some((body, media_type)) = state.content.get(&request.path) else {
        let body = br#"{"errors":[{"code":"NAME_UNKNOWN","message":"not here"}]}"#.to_vec();
        return Answer {
            body,
            ..Answer::new(404)
        };
    };
    let from = request.header("range").and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse::<usize>()
            .ok()
    });
    let mut answer = Answer {
        body: body.clone(),
        ..Answer::new(200)
    }
    .with("Content-Type", media_type);
    if let Some(from) = from {
        answer.status = 206;
        answer.body = body[from..].to_vec();
        let range = format!("bytes {from}-{}/{}", body.len() - 1, body.len());
        answer = answer.with("Content-Range", &range);
    }
    if request.path.contains("/manifests/") {
        answer = answer.with("Docker-Content-Digest", &image::digest(body));
    }
    answer
}
