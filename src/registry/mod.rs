//! Registries: transport (TLS, redirects, retries, authentication), endpoints, credentials, pull, push. Downloads, verifies,
//! decompresses, and the reverse; never unpacks and never touches the store.
//!
//! A request passes these layers, each of which sees only the one below: `auth` (tokens) → `retry` → `redirect` →
//! `exchange` (one HTTP request). `blob` adds resuming and verification for large bodies.

mod artifact;
mod auth;
mod blob;
mod challenge;
mod compress;
mod config;
mod credentials;
mod decompress;
mod documents;
mod download;
mod endpoint;
mod error;
mod exchange;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod lanes;
mod layers;
mod listing;
mod locations;
mod login;
mod manifest;
mod origin;
mod partial;
mod pipe;
mod place;
mod progress;
mod pull;
mod push;
mod redirect;
mod registries_conf;
mod retry;
mod secret;
mod short_names;
mod sink;
mod tls;
mod trust;
mod upload;

pub use artifact::{BlobSink, pull_artifact, push_artifact};
pub use compress::Packing;
pub use config::{Access, HostConfig, Limits, RegistryConfig};
pub use credentials::{Credentials, KeeperError, Kept, Known};
pub use documents::{ListMember, ListToPush, RemoteDocument, document, push_list, small_blobs};
pub use download::{Download, Validator, download, download_unless};
pub use error::RegistryError;
pub use listing::{FoundRepository, search, tags};
pub use login::{Server, check, forget, keep, logged_in, servers};
pub use manifest::ManifestFault;
pub use origin::original;
pub use progress::{Progress, Silent};
pub use pull::{Pulled, pull};
pub use push::{LayerSource, PushOptions, Pushed, ToPush, push};
pub use registries_conf::Rules;
pub use secret::Secret;
pub use short_names::candidates;
pub use sink::{BlobKeeper, LayerSink, PlannedLayer, SinkError};
pub use trust::{KeptSignatures, TrustError, admit_unsigned, is_accepted, judge_kept};

#[cfg(test)]
#[path = "../../tests/registry/mod.rs"]
pub(crate) mod misbehaving;
#[cfg(test)]
mod tests;
