//! Registries: transport (TLS, redirects, retries, authentication), endpoints, pull. Downloads, verifies, decompresses;
//! never unpacks and never touches the store.
//!
//! A request passes these layers, each of which sees only the one below: `auth` (tokens) → `retry` → `redirect` →
//! `exchange` (one HTTP request). `blob` adds resuming and verification for large bodies.

mod auth;
mod blob;
mod challenge;
mod config;
mod credentials;
mod decompress;
mod endpoint;
mod error;
mod exchange;
mod layers;
mod manifest;
mod pipe;
mod progress;
mod pull;
mod redirect;
mod retry;
mod secret;
mod sink;
mod tls;

pub use config::{HostConfig, Limits, RegistryConfig};
pub use error::RegistryError;
pub use manifest::ManifestFault;
pub use progress::{Progress, Silent};
pub use pull::{Pulled, pull};
pub use secret::Secret;
pub use sink::{LayerSink, SinkError};

#[cfg(test)]
#[path = "../../tests/registry/mod.rs"]
pub(crate) mod misbehaving;
#[cfg(test)]
mod tests;
