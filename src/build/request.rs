//! What may be asked of a build, as plain typed data. Reads nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::attest::{Material, without_secrets};
use super::dockerfile::Ignore;
use crate::engine::request::{NetworkMode, PullPolicy, Ulimit};
use crate::image::{Digest, Platform, Reference};

/// The files that `COPY` and `ADD` take theirs from.
#[derive(Clone, Debug)]
pub struct Context {
    pub directory: PathBuf,
    pub ignore: Option<Ignore>,
}

/// `--build-context NAME=…`
#[derive(Clone, Debug)]
pub enum NamedContext {
    Directory(Context),
    Image(String),
    /// One that is in the store, whatever registries have.
    Stored(Digest),
}

impl NamedContext {
    /// As provenance tells it: what it is, and no place on this host.
    pub fn shown(&self) -> String {
        match self {
            NamedContext::Directory(_) => "local".to_owned(),
            NamedContext::Image(name) => format!("docker-image://{}", without_secrets(name)),
            NamedContext::Stored(id) => format!("docker-image://{id}"),
        }
    }
}

/// `--secret`: where its bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    File(PathBuf),
    Variable(String),
}

/// What the image is to be.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// The Dockerfile, and what messages call it.
    pub dockerfile: Vec<u8>,
    pub dockerfile_name: String,
    /// None: an empty one.
    pub context: Option<Context>,
    /// Where the context was brought from.
    pub source: Option<Material>,
    pub named_contexts: BTreeMap<String, NamedContext>,
    pub names: Vec<Reference>,
    /// `--build-arg`, with the values of those that take the host's.
    pub args: BTreeMap<String, String>,
    /// None: the last stage.
    pub target: Option<String>,
    pub labels: Vec<(String, String)>,
    /// Of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// Docker's media types, not OCI's.
    pub docker_types: bool,
    /// What all steps come to is one layer.
    pub squash: bool,
    pub ignore_cache: bool,
    /// Stages that are built anew.
    pub ignore_cache_of: Vec<String>,
    pub pull: PullPolicy,
    pub platform: Option<Platform>,
    /// Of every `RUN` that says no other.
    pub network: NetworkMode,
    pub extra_hosts: Vec<String>,
    /// Bytes.
    pub shm_size: Option<u64>,
    pub ulimits: Vec<Ulimit>,
    /// The cgroup that those of `RUN` are made in.
    pub cgroup_parent: Option<String>,
    pub secrets: BTreeMap<String, SecretSource>,
    /// Agents' sockets by their id.
    pub agents: BTreeMap<String, PathBuf>,
    /// What the build may do beyond what every build may.
    pub allows: Allows,
    /// The image's configuration says what its steps came to.
    pub inline_cache: bool,
    /// Seconds since 1970: nothing in the image is newer.
    pub epoch: Option<i64>,
}

/// `--allow`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allows {
    pub host_network: bool,
    pub insecure: bool,
    /// Every device that has a name, or these.
    pub devices: bool,
    pub device_names: Vec<String>,
}
