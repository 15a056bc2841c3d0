//! Everything `create` and `run` can say about a container. Values only: nothing is looked up here.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::attach::Stream;
use super::device::DeviceRequest;
use super::environment::Variable;
use super::mount::Mount;
use super::security::SecurityOption;
use super::ulimit::Ulimit;
use super::volume::VolumesFrom;
use crate::config::DetachKeys;
use crate::container::{
    EndpointConfig, FileConfig, GroupConfig, HealthCheck, Limits, LogDriver, NameConfig,
    Namespaces, RestartPolicy, SecretConfig,
};
use crate::net::pasta::{PastaOptionError, PastaOptions};
use crate::net::record::is_name;
use crate::net::slirp::{SlirpOptionError, SlirpOptions};

/// When `create` and `run` ask the registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    Always,
    #[default]
    Missing,
    Never,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid pull option: {text:?}: must be one of \"always\", \"missing\" or \"never\"")]
pub struct UnknownPull {
    text: String,
}

impl FromStr for PullPolicy {
    type Err = UnknownPull;

    fn from_str(text: &str) -> Result<PullPolicy, UnknownPull> {
        match text {
            "always" => Ok(PullPolicy::Always),
            "missing" | "" => Ok(PullPolicy::Missing),
            "never" => Ok(PullPolicy::Never),
            _ => Err(UnknownPull {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for PullPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PullPolicy::Always => "always",
            PullPolicy::Missing => "missing",
            PullPolicy::Never => "never",
        })
    }
}

/// The container's network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkMode {
    /// Nothing was said: what the configuration says, else pasta (an embedded image: none).
    #[default]
    Default,
    None,
    Host,
    Pasta(PastaOptions),
    Slirp(SlirpOptions),
    /// A network namespace by its file.
    File(PathBuf),
    /// One or more that it shares with others (`CreateRequest::endpoints`): the first's name.
    Named(String),
    /// Another container's: its name, or once the container is made its id.
    Container(String),
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UnknownNetwork {
    #[error("network {name} not found")]
    Named { name: String },
    #[error("invalid container format container:<name|id>")]
    Nameless,
    #[error("invalid network namespace {text}: it should be ns:/PATH")]
    Path { text: String },
    #[error(transparent)]
    Pasta(#[from] PastaOptionError),
    #[error(transparent)]
    Slirp(#[from] SlirpOptionError),
}

impl FromStr for NetworkMode {
    type Err = UnknownNetwork;

    fn from_str(text: &str) -> Result<NetworkMode, UnknownNetwork> {
        match text {
            "default" | "" => Ok(NetworkMode::Default),
            "none" => Ok(NetworkMode::None),
            "host" => Ok(NetworkMode::Host),
            "pasta" => Ok(NetworkMode::Pasta(PastaOptions::default())),
            "slirp4netns" => Ok(NetworkMode::Slirp(SlirpOptions::default())),
            "container:" => Err(UnknownNetwork::Nameless),
            _ if text.starts_with("container:") => Ok(NetworkMode::Container(
                text["container:".len()..].to_owned(),
            )),
            name if is_name(name) => Ok(NetworkMode::Named(name.to_owned())),
            _ => match text.split_once(':') {
                Some(("pasta", options)) => Ok(NetworkMode::Pasta(options.parse()?)),
                Some(("slirp4netns", options)) => Ok(NetworkMode::Slirp(options.parse()?)),
                Some(("ns", path)) if path.starts_with('/') => Ok(NetworkMode::File(path.into())),
                Some(("ns", _)) => Err(UnknownNetwork::Path {
                    text: text.to_owned(),
                }),
                _ => Err(UnknownNetwork::Named {
                    name: text.to_owned(),
                }),
            },
        }
    }
}

fn with_options(f: &mut fmt::Formatter<'_>, driver: &str, options: &str) -> fmt::Result {
    match options {
        "" => f.write_str(driver),
        options => write!(f, "{driver}:{options}"),
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetworkMode::Default => f.write_str("default"),
            NetworkMode::None => f.write_str("none"),
            NetworkMode::Host => f.write_str("host"),
            NetworkMode::Pasta(options) => with_options(f, "pasta", &options.to_string()),
            NetworkMode::Slirp(options) => with_options(f, "slirp4netns", &options.to_string()),
            NetworkMode::File(path) => write!(f, "ns:{}", path.display()),
            NetworkMode::Named(name) => f.write_str(name),
            NetworkMode::Container(name) => write!(f, "container:{name}"),
        }
    }
}

/// `net_admin`, `CAP_NET_ADMIN`, `all` as the one canonical name; whether it exists is for the runtime to say.
pub fn capability_name(text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    match upper.as_str() {
        "ALL" => upper,
        _ if upper.starts_with("CAP_") => upper,
        _ => format!("CAP_{upper}"),
    }
}

/// What a container's variables begin with, before the flags' own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvironmentSources {
    /// Every variable of the host comes first (`--env-host`).
    pub host: bool,
    /// Not these of the image (`--unsetenv`).
    pub unset: Vec<String>,
    /// None of the image (`--unsetenv-all`).
    pub unset_all: bool,
    /// Values with `$NAME` or `${NAME}` of what is set so far (`--env-merge`).
    pub merge: Vec<Variable>,
}

/// `create`, and the part of `run` that makes the container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateRequest {
    /// As typed: a name, `name@digest`, a full or short id.
    pub image: String,
    /// What follows the image; empty: the image's own.
    pub command: Vec<String>,
    /// Checked by the engine (`ContainerName`); None: an invented one.
    pub name: Option<String>,
    /// A container that has this name is removed first.
    pub replace: bool,
    /// Files first, then `-e`, in order; the last of a name counts.
    pub env: Vec<Variable>,
    pub environment: EnvironmentSources,
    pub umask: Option<u32>,
    pub timezone: Option<String>,
    /// Of the host: they get an account in the container's files.
    pub host_users: Vec<String>,
    /// Whether the program's user gets one where the image has none. None: with `--userns keep-id`.
    pub account: Option<bool>,
    /// Seconds after which each of its lives ends; 0: never.
    pub timeout: u64,
    /// Containers, by any of their names, that are started before it.
    pub requires: Vec<String>,
    pub oom_score_adj: Option<i32>,
    pub workdir: Option<String>,
    /// `user[:group]`, names or numbers, resolved in the image's own files.
    pub user: Option<String>,
    /// None: the image's; `Some([])`: none at all (`--entrypoint ""`), which also drops the image's command.
    pub entrypoint: Option<Vec<String>>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub annotations: BTreeMap<String, String>,
    pub groups: GroupConfig,
    pub labels: BTreeMap<String, String>,
    pub init: bool,
    /// Binds, volumes and tmpfs, in the order given; no target occurs twice.
    pub mounts: Vec<Mount>,
    pub volumes_from: Vec<VolumesFrom>,
    /// Of volumes that `-v` makes; only `local` exists.
    pub volume_driver: Option<String>,
    pub secrets: Vec<SecretConfig>,
    /// Files that are nowhere else.
    pub files: Vec<FileConfig>,
    pub read_only: bool,
    pub pull: PullPolicy,
    /// No progress of a pull (`-q`).
    pub quiet_pull: bool,
    pub cidfile: Option<PathBuf>,
    /// As it was given; it is one.
    pub stop_signal: Option<String>,
    /// Seconds; -1: for ever.
    pub stop_timeout: Option<i32>,
    /// Canonical names, `CAP_NET_ADMIN` or `ALL`.
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub privileged: bool,
    pub security: Vec<SecurityOption>,
    pub sysctls: BTreeMap<String, String>,
    /// One per resource: the last counts.
    pub ulimits: Vec<Ulimit>,
    pub limits: Limits,
    /// The cgroup that its own is made in; None: bryo's.
    pub cgroup_parent: Option<String>,
    /// Bytes; None: docker's 64 MiB.
    pub shm_size: Option<u64>,
    /// `linux/arm64/v8`; None: the host's.
    pub platform: Option<String>,
    pub network: NetworkMode,
    /// The first is that of `network`.
    pub endpoints: Vec<EndpointConfig>,
    pub namespaces: Namespaces,
    pub devices: Vec<DeviceRequest>,
    /// `net::PortSpec`s in their canonical form.
    pub ports: Vec<String>,
    /// `net::HostPort`s in their canonical form.
    pub host_ports: Vec<String>,
    /// `net::Egress` in its canonical form; None: everything is reached.
    pub egress: Option<String>,
    /// None: the configuration's.
    pub log_driver: Option<LogDriver>,
    /// `--log-opt`; what they mean is for the driver to say.
    pub log_options: BTreeMap<String, String>,
    /// `net::ExposedPorts` in their canonical form.
    pub expose: Vec<String>,
    pub publish_all: bool,
    pub names: NameConfig,
    pub tty: bool,
    /// Keep the standard input open.
    pub interactive: bool,
    /// Over what the image says.
    pub health: Option<HealthCheck>,
    /// Never with `auto_remove`.
    pub restart: RestartPolicy,
    /// Remove it when it ends (`--rm`).
    pub auto_remove: bool,
    /// `-a`: only these streams; None: all that make sense.
    pub attach: Option<Vec<Stream>>,
}

/// `run`: create, start, and stay with it unless told otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRequest {
    pub create: CreateRequest,
    pub detach: bool,
    /// Forward the client's signals to the program.
    pub sig_proxy: bool,
    /// None: the configuration's.
    pub detach_keys: Option<DetachKeys>,
}
