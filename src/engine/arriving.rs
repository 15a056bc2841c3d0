//! A pull or a download that goes on beside other work: what its role tells while it does, and what it comes to.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::EngineError;
use super::pull::PullOutcome;
use super::worker::{Job, Saying};
use crate::image::{Digest, Reference};
use crate::registry::Progress;

/// How often at most it is told that more of a layer has come.
const PAUSE: Duration = Duration::from_millis(200);

/// What is told of it while it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullNews {
    /// A retry and its reason.
    Note(String),
    /// So many of a layer's compressed bytes are here.
    Layer {
        digest: Digest,
        bytes: u64,
        size: u64,
    },
    Extracting(Digest),
    /// It is in the store.
    Done(Digest),
}

/// A role at work. Dropped before its end, it is ended.
pub struct Arriving<T = PulledImage> {
    job: Job<T>,
}

/// What was pulled, under the name that it was found by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PulledImage {
    pub reference: Reference,
    pub outcome: PullOutcome,
}

impl PulledImage {
    pub(super) fn new(reference: &Reference, outcome: PullOutcome) -> PulledImage {
        PulledImage {
            reference: reference.clone(),
            outcome,
        }
    }
}

impl<T> AsFd for Arriving<T> {
    /// Readable when there is something to read.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.job.as_fd()
    }
}

impl<T: DeserializeOwned> Arriving<T> {
    pub(super) fn new(job: Job<T>) -> Arriving<T> {
        Arriving { job }
    }

    /// One read of what it tells; what it came to at its end.
    pub fn read(&mut self, told: &mut dyn FnMut(PullNews)) -> Result<Option<T>, EngineError> {
        let answer = self.job.read()?;
        for line in self.job.lines() {
            if let Ok(news) = serde_json::from_str(&line) {
                told(news);
            }
        }
        Ok(answer)
    }
}

/// The role's half: what happens becomes lines.
pub(super) struct Said<'a> {
    saying: &'a Saying<'a>,
    layers: Mutex<HashMap<Digest, Layer>>,
}

struct Layer {
    size: u64,
    bytes: u64,
    told: Option<Instant>,
}

impl<'a> Said<'a> {
    pub fn new(saying: &'a Saying<'a>) -> Said<'a> {
        Said {
            saying,
            layers: Mutex::default(),
        }
    }

    fn say(&self, news: &PullNews) {
        let line = serde_json::to_string(news).expect("plain data always serialises");
        self.saying.line(&line);
    }

    /// Changes what is known of a layer, and tells it where it is time.
    fn of_layer(&self, digest: &Digest, change: impl FnOnce(&mut Layer) -> bool) {
        let mut layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(layer) = layers.get_mut(digest) else {
            return;
        };
        let is_due = change(layer) || layer.told.is_none_or(|told| told.elapsed() >= PAUSE);
        if is_due {
            layer.told = Some(Instant::now());
            self.say(&PullNews::Layer {
                digest: digest.clone(),
                bytes: layer.bytes,
                size: layer.size,
            });
        }
    }
}

impl Progress for Said<'_> {
    fn note(&self, line: &str) {
        self.say(&PullNews::Note(line.to_owned()));
    }

    fn layers(&self, layers: &[(Digest, u64)]) {
        let mut known = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        for (digest, size) in layers {
            let layer = Layer {
                size: *size,
                bytes: 0,
                told: None,
            };
            known.insert(digest.clone(), layer);
        }
    }

    fn present(&self, _layer: &Digest) {}

    fn started(&self, layer: &Digest) {
        self.of_layer(layer, |layer| {
            layer.bytes = 0;
            true
        });
    }

    fn advanced(&self, layer: &Digest, bytes: u64) {
        self.of_layer(layer, |layer| {
            layer.bytes += bytes;
            false
        });
    }

    fn downloaded(&self, layer: &Digest) {
        self.of_layer(layer, |layer| {
            layer.bytes = layer.size;
            true
        });
        self.say(&PullNews::Extracting(layer.clone()));
    }

    fn finished(&self, layer: &Digest) {
        self.say(&PullNews::Done(layer.clone()));
    }

    fn uploading(&self, _layer: &Digest) {}

    fn settled(&self, _layer: &Digest, _words: &str) {}
}
