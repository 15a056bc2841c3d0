//! Pulls from the misbehaving registry of `tests/registry`: what a user gets when something is wrong on the other side.
#![allow(clippy::unwrap_used)]

mod access;
mod content;
mod documents;
mod real;
mod tls;
mod transport;
mod upload;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Read;
use std::sync::Mutex;
use std::time::Duration;

use super::misbehaving::{Registry, TestImage, TestLayer, image};
use super::{
    Access, BlobKeeper, LayerSink, Limits, PlannedLayer, Pulled, RegistryConfig, RegistryError,
    Silent, SinkError,
};
use crate::image::{Digest, Platform};

/// Keeps layers in memory, and says which it was given.
#[derive(Default)]
struct MemorySink {
    present: Vec<Digest>,
    stored: Mutex<BTreeMap<Digest, Vec<u8>>>,
    fail: bool,
}

#[derive(Debug, thiserror::Error)]
enum MemoryError {
    #[error("read: {0}")]
    Read(std::io::Error),
    #[error("wrong DiffID")]
    DiffId,
    #[error("no space left on device")]
    Full,
}

impl LayerSink for MemorySink {
    fn keeper(&self, _blob: &Digest) -> Option<Box<dyn BlobKeeper>> {
        None
    }

    fn plan(&self, _layers: &[PlannedLayer]) -> Result<(), SinkError> {
        Ok(())
    }

    fn has(&self, diff_id: &Digest) -> bool {
        self.present.contains(diff_id)
    }

    fn begins(&self, _diff_id: &Digest, _start: &[u8]) {}

    fn store(&self, diff_id: &Digest, tar: &mut dyn Read) -> Result<(), SinkError> {
        if self.fail {
            return Err(SinkError::new(MemoryError::Full).with_hints(vec!["df".to_owned()]));
        }
        let mut bytes = Vec::new();
        tar.read_to_end(&mut bytes)
            .map_err(|error| SinkError::new(MemoryError::Read(error)))?;
        if Digest::of(&bytes) != *diff_id {
            return Err(SinkError::new(MemoryError::DiffId));
        }
        self.stored.lock().unwrap().insert(diff_id.clone(), bytes);
        Ok(())
    }
}

/// Limits that make failures fast.
fn quick() -> RegistryConfig {
    RegistryConfig {
        limits: Limits {
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_millis(400),
            attempts: 3,
            backoff: Duration::from_millis(1),
            retry_after_cap: Duration::from_secs(2),
            resumes: 3,
            ..Limits::default()
        },
        ..RegistryConfig::default()
    }
}

fn pull_with(
    config: &RegistryConfig,
    reference: &str,
    sink: &MemorySink,
) -> Result<Pulled, RegistryError> {
    super::pull(&reference.parse().unwrap(), None, config, sink, &Silent)
}

fn pull(reference: &str) -> Result<Pulled, RegistryError> {
    pull_with(&quick(), reference, &MemorySink::default())
}

fn pull_error(reference: &str) -> RegistryError {
    let sink = MemorySink::default();
    let error = pull_with(&quick(), reference, &sink).unwrap_err();
    assert!(sink.stored.lock().unwrap().is_empty(), "a layer was stored");
    error
}

/// The whole chain, as the terminal shows it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(&format!(": {error}"));
        next = error.source();
    }
    text
}

fn layer(name: &str) -> TestLayer {
    TestLayer::gzip(&image::tar(&[(name, noise(300_000).as_slice())]))
}

/// Bytes that do not compress, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state: u32 = 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// A registry with one image, `app:1`, of one gzip layer; and that layer's digest.
fn one_layer() -> (Registry, String, TestLayer) {
    let registry = Registry::start();
    let layer = layer("hello");
    registry.add("app", "1", &TestImage::new(vec![layer.clone()]));
    let reference = registry.reference("app:1");
    (registry, reference, layer)
}

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}
