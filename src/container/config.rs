//! What a container was made as. Written once when it is created and never changed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::id::ContainerId;
use super::limits::Limits;
use super::namespaces::Namespaces;
use super::settings::Settings;

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
    /// Empty: the kernel's `(none)`.
    #[serde(default)]
    pub domainname: String,
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
    /// None: 0022.
    #[serde(default)]
    pub umask: Option<u32>,
    /// Variables that every program gets and this one does not, unless `env` has them.
    #[serde(default)]
    pub unset_env: Vec<String>,
}

/// How the host was asked to run it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostConfig {
    /// `none`, `host`, `pasta` and `slirp4netns` with their options, `ns:` and a path, `container:` and an id, or the name of the first of `endpoints`' networks.
    pub network: String,
    /// Its places in networks that it shares, as it was made; `Settings::endpoints` has the later ones.
    #[serde(default)]
    pub endpoints: Vec<EndpointConfig>,
    /// Published ports in their canonical form, `127.0.0.1:8080:80/tcp`. As it was made; `Settings::ports` has the later ones.
    pub ports: Vec<String>,
    /// Ports of the host's loopback that it may reach, `5432:5432`.
    #[serde(default)]
    pub host_ports: Vec<String>,
    /// What it may reach beyond its networks, `example.org:443,10.0.0.0/8`; None: everything. As it was made; `Settings::egress` has the later one.
    #[serde(default)]
    pub egress: Option<String>,
    pub mounts: Vec<MountConfig>,
    /// `container[:ro|rw]`, as asked for; their mounts are among `mounts`.
    #[serde(default)]
    pub volumes_from: Vec<String>,
    #[serde(default)]
    pub secrets: Vec<SecretConfig>,
    /// Files that came with the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileConfig>,
    pub read_only_root: bool,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub privileged: bool,
    pub no_new_privileges: bool,
    /// The text of a seccomp profile, or `unconfined`; None is the built-in one.
    pub seccomp: Option<String>,
    pub open_system_paths: bool,
    /// The security modules that it was said to have nothing of, as it was said.
    #[serde(default)]
    pub unconfined: Vec<String>,
    pub sysctls: BTreeMap<String, String>,
    pub ulimits: Vec<UlimitConfig>,
    /// As it was made; `Settings::limits` has the later ones.
    #[serde(default)]
    pub limits: Limits,
    /// `--cgroup-parent`, as it was written: found at every start.
    #[serde(default)]
    pub cgroup_parent: Option<String>,
    pub shm_size: u64,
    pub init: bool,
    pub auto_remove: bool,
    /// Made by `run`: if nobody is about to start it, it was abandoned.
    #[serde(default)]
    pub starts_at_once: bool,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    #[serde(default)]
    pub namespaces: Namespaces,
    #[serde(default)]
    pub devices: Vec<DeviceConfig>,
    /// Of the Container Device Interface, `vendor.com/class=name`: resolved at every start.
    #[serde(default)]
    pub device_names: Vec<String>,
    #[serde(default)]
    pub groups: GroupConfig,
    #[serde(default)]
    pub names: NameConfig,
    /// Every exposed port gets a free one of the host's at every start.
    #[serde(default)]
    pub publish_all: bool,
    #[serde(default)]
    pub oom_score_adj: Option<i32>,
    /// `Europe/Paris`, or `local` for the host's.
    #[serde(default)]
    pub timezone: Option<String>,
    /// Of the host, by name or number: they get an account in the container's files.
    #[serde(default)]
    pub host_users: Vec<String>,
    /// Whether the program's user gets one where the image has none. None: with `--userns keep-id`.
    #[serde(default)]
    pub account: Option<bool>,
    /// Seconds after which each of its lives ends; 0: never.
    #[serde(default)]
    pub timeout: u64,
    /// Full ids of containers that are started before it.
    #[serde(default)]
    pub requires: Vec<String>,
    /// A step of a build: what it writes goes to the layer being made in this directory below `layers/`. It ends with the
    /// build, and nobody hears of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

/// What was asked of a place in a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointConfig {
    pub network: String,
    pub ipv4: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
    /// `02:42:ac:11:00:02`.
    pub mac: Option<String>,
    pub aliases: Vec<String>,
    /// `container:alias`.
    pub links: Vec<String>,
    /// More addresses of its interface.
    pub more: Vec<IpAddr>,
    /// The highest has the default route; of equals, the first by name.
    pub priority: i64,
    /// The interface's name; None: `eth` and a number.
    pub interface: Option<String>,
}

/// A device node of the host, or a directory of them, and where it is in the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceConfig {
    pub source: String,
    pub target: String,
}

/// Groups beside those of the program's user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupConfig {
    /// Names, resolved in the image's own files at every start, or numbers.
    pub add: Vec<String>,
    /// Those of the user who starts it, which the container sees as unmapped ones.
    pub keep: bool,
}

/// What the container's `/etc/hosts` and `/etc/resolv.conf` say beside, or instead of, the host's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NameConfig {
    pub servers: Vec<IpAddr>,
    pub search: Vec<String>,
    pub options: Vec<String>,
    /// `name:address`.
    pub extra_hosts: Vec<String>,
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

impl MountConfig {
    pub fn is_read_only(&self) -> bool {
        self.options.iter().any(|option| option == "ro")
    }
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

/// A file that is nowhere but in the container's record: the container finds it on a tmpfs, as it does a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileConfig {
    /// Absolute.
    pub target: String,
    #[serde(with = "base64")]
    pub content: Vec<u8>,
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
}

impl fmt::Debug for FileConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileConfig")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// Bytes in JSON.
mod base64 {
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::STANDARD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        STANDARD.encode(bytes).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}

/// One resource limit: docker's name (`nofile`) and values; `u64::MAX` is no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UlimitConfig {
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}

impl ProcessConfig {
    /// Docker's `StdinOnce`: its maker meant to attach to its input.
    pub fn stdin_once(&self) -> bool {
        self.open_stdin && self.attached.iter().any(|stream| stream == "stdin")
    }
}

impl HostConfig {
    /// It shares networks with others, or did.
    pub fn is_bridged(&self) -> bool {
        is_bridged(&self.network)
    }
}

/// Whether it is the name of a shared network.
pub(super) fn is_bridged(network: &str) -> bool {
    // No name has a colon in it; all drivers with options have.
    !matches!(network, "none" | "host" | "pasta" | "slirp4netns") && !network.contains(':')
}

/// A volume in a container, as events tell of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumePlace {
    pub name: String,
    pub target: String,
    pub read_only: bool,
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

    /// Its places in networks, as they are now.
    pub fn endpoints<'a>(&'a self, settings: &'a Settings) -> &'a [EndpointConfig] {
        settings.endpoints_or(&self.host.endpoints)
    }

    /// Its published ports, as they are asked for now.
    pub fn ports<'a>(&'a self, settings: &'a Settings) -> &'a [String] {
        settings.ports_or(&self.host.ports)
    }

    /// Where it has volumes, anonymous ones too.
    pub fn volume_places(&self) -> Vec<VolumePlace> {
        let places = self.host.mounts.iter().filter_map(|mount| {
            Some(VolumePlace {
                name: mount.volume.as_ref()?.name.clone(),
                target: mount.target.clone(),
                read_only: mount.is_read_only(),
            })
        });
        places.collect()
    }

    /// The volumes that were made for this container alone.
    pub fn anonymous_volumes(&self) -> Vec<String> {
        let used = self.host.mounts.iter().filter_map(|m| m.volume.as_ref());
        used.filter(|volume| volume.anonymous)
            .map(|volume| volume.name.clone())
            .collect()
    }
}
