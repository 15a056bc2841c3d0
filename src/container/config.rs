//! What a container was made as. Written once when it is created and never changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::id::ContainerId;
use super::limits::Limits;

/// `config.json` of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerConfig {
    pub id: ContainerId,
    /// The name it was created with. The symlink below `names/` decides; this says where to look for it.
    #[serde(default)]
    pub name: String,
    /// RFC 3339, UTC, nanoseconds.
    pub created: String,
    /// The image as it was named: `debian`, `quay.io/x/y:1`, an id.
    pub image: String,
    /// The digest of the image's config.
    pub image_id: String,
    /// Directory names below `layers/`, bottom first.
    pub layers: Vec<String>,
    pub hostname: String,
    pub labels: BTreeMap<String, String>,
    pub process: ProcessConfig,
    pub host: HostConfig,
}

/// The program: the image's settings with the flags applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessConfig {
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    /// `NAME=value`, in order.
    pub env: Vec<String>,
    /// As written in the image or flag: resolved in the image's own files at every start.
    pub user: String,
    pub working_dir: String,
    pub tty: bool,
    pub open_stdin: bool,
    /// `stdin`, `stdout`, `stderr`: what whoever made it meant to attach to.
    pub attached: Vec<String>,
    pub stop_signal: Option<String>,
    /// Seconds; -1 is for ever.
    pub stop_timeout: Option<i32>,
    /// `80/tcp`, from the image.
    pub exposed_ports: Vec<String>,
    /// Paths at which the image, or `-v PATH`, wants a volume of the container's own.
    pub volumes: Vec<String>,
}

/// How the host was asked to run it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostConfig {
    /// `none`, `host` or `pasta`.
    pub network: String,
    /// Published ports in their canonical form, `127.0.0.1:8080:80/tcp`.
    pub ports: Vec<String>,
    pub mounts: Vec<MountConfig>,
    /// `container[:ro|rw]`, as asked for; their mounts are among `mounts`.
    #[serde(default)]
    pub volumes_from: Vec<String>,
    #[serde(default)]
    pub secrets: Vec<SecretConfig>,
    pub read_only_root: bool,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub privileged: bool,
    pub no_new_privileges: bool,
    /// The text of a seccomp profile, or `unconfined`; None is the built-in one.
    pub seccomp: Option<String>,
    pub open_system_paths: bool,
    pub sysctls: BTreeMap<String, String>,
    pub ulimits: Vec<UlimitConfig>,
    /// As it was made; `Settings::limits` has the later ones.
    #[serde(default)]
    pub limits: Limits,
    pub shm_size: u64,
    pub init: bool,
    pub auto_remove: bool,
    /// Made by `run`: if nobody is about to start it, it was abandoned.
    #[serde(default)]
    pub starts_at_once: bool,
}

/// One mount in the words of the OCI runtime specification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountConfig {
    /// `bind`, `tmpfs` or `volume`.
    pub kind: String,
    /// Absolute, empty for a tmpfs and a volume.
    pub source: String,
    pub target: String,
    pub options: Vec<String>,
    /// Give everything in it to the container's user at every start (`U`).
    #[serde(default)]
    pub chown: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeUse>,
}

/// Which volume a mount is of, and how it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeUse {
    pub name: String,
    /// Made for this container; goes with it where it is asked for.
    pub anonymous: bool,
    /// Fill it with what the image has at the target, if it is empty.
    pub copy: bool,
    /// The directory or file in it that is mounted; empty: all of it.
    pub subpath: String,
}

/// One secret, read again at every start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretConfig {
    pub name: String,
    pub place: SecretPlace,
}

/// Where a container finds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretPlace {
    /// A file on a tmpfs, at an absolute path.
    File {
        target: String,
        uid: u32,
        gid: u32,
        mode: u32,
    },
    Variable {
        name: String,
    },
}

/// One resource limit: docker's name (`nofile`) and values; `u64::MAX` is no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UlimitConfig {
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}

impl ContainerConfig {
    /// What is executed: the entrypoint, then the command.
    pub fn arguments(&self) -> Vec<String> {
        self.process
            .entrypoint
            .iter()
            .chain(&self.process.command)
            .cloned()
            .collect()
    }

    /// The volumes that were made for this container alone.
    pub fn anonymous_volumes(&self) -> Vec<String> {
        let used = self.host.mounts.iter().filter_map(|m| m.volume.as_ref());
        used.filter(|volume| volume.anonymous)
            .map(|volume| volume.name.clone())
            .collect()
    }
}
