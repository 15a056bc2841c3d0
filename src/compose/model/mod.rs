//! A project as compose files describe it, merged and resolved: plain typed values. Reads no file and decides nothing.
//! The fields stand in the order in which docker writes them, as `config` and the hash of a service go by it.

mod build;
mod deploy;
mod mount;
mod parts;
mod service;
mod values;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use build::{Build, BuildSecret, Develop, Watch, WatchExec};
pub use deploy::{
    Deploy, DeviceRequest, DiscreteResource, GenericResource, Placement, PlacementPreference,
    Resource, Resources, RestartPolicy, UpdateConfig,
};
pub use mount::{BindOptions, ImageOptions, Mount, MountKind, TmpfsOptions, VolumeOptions};
pub use parts::{
    BlkioConfig, CredentialSpec, Dependency, Device, EnvFile, Extends, FileRef, Hook, Logging,
    NetworkPlace, Port, Provider, Rate, ServiceModel, Weight,
};
pub use service::{Condition, HealthCheck, Service, Ulimit};
pub use values::{Bytes, Extensions, Period, is_empty, is_false, is_zero, marked, short};

/// Values by name, in the order of the names.
pub type Named<T> = BTreeMap<String, T>;
/// `NAME=VALUE`; no value where the file names a variable that nobody has set.
pub type Variables = BTreeMap<String, Option<String>>;
pub type Texts = BTreeMap<String, String>;

/// Everything that `up` and the others need to know.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Project {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub services: Named<Service>,
    #[serde(skip_serializing_if = "is_empty")]
    pub networks: Named<Network>,
    #[serde(skip_serializing_if = "is_empty")]
    pub volumes: Named<Volume>,
    #[serde(skip_serializing_if = "is_empty")]
    pub secrets: Named<FileObject>,
    #[serde(skip_serializing_if = "is_empty")]
    pub configs: Named<FileObject>,
    #[serde(skip_serializing_if = "is_empty")]
    pub models: Named<Model>,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
    /// What relative paths of the files mean.
    #[serde(skip)]
    pub working_dir: PathBuf,
    /// As they were given or found, without those that they include. `-` is standard input.
    #[serde(skip)]
    pub files: Vec<PathBuf>,
    /// The host's variables and those of the `.env` files.
    #[serde(skip)]
    pub environment: Texts,
    /// Services whose profiles are not active, and whom nobody named.
    #[serde(skip)]
    pub disabled: Named<Service>,
    /// The profiles that are active.
    #[serde(skip)]
    pub profiles: Vec<String>,
}

/// One of `networks:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Network {
    /// As the engine knows it: `PROJECT_KEY`, unless the file says otherwise.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub driver_opts: Texts,
    pub ipam: Ipam,
    /// Made by somebody else: never made and never removed.
    #[serde(skip_serializing_if = "is_false")]
    pub external: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub internal: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub attachable: bool,
    #[serde(skip_serializing_if = "is_empty")]
    pub labels: Texts,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_ipv4: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_ipv6: Option<bool>,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
    /// `x-bryo-egress`: rules as `network create --egress` takes them.
    #[serde(skip)]
    pub egress: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Ipam {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<Pool>,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Pool {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subnet: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ip_range: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub aux_addresses: Texts,
}

/// One of `volumes:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Volume {
    /// As the engine knows it: `PROJECT_KEY`, unless the file says otherwise.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub driver_opts: Texts,
    #[serde(skip_serializing_if = "is_false")]
    pub external: bool,
    #[serde(skip_serializing_if = "is_empty")]
    pub labels: Texts,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}

/// One of `secrets:` or `configs:`: bytes of a file, of a variable or of the compose file itself.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct FileObject {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// A variable's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub environment: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub content: String,
    #[serde(skip_serializing_if = "is_false")]
    pub external: bool,
    #[serde(skip_serializing_if = "is_empty")]
    pub labels: Texts,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub driver_opts: Texts,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub template_driver: String,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}

/// One of `models:`, which nothing here can run.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Model {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub context_size: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runtime_flags: Vec<String>,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}
