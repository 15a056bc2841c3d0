//! What a container cannot have where namespaces and mounts are forbidden: refused by name, before anything is made.

use std::os::unix::fs::FileTypeExt;

use super::request::NetworkMode;
use super::{Engine, EngineError};
use crate::config::{NetworkDefault, StorageDriver};
use crate::container::{ContainerConfig, HostConfig, IpcMode, SecretPlace, Sharing, UserMode};
use crate::runtime::capability::{self, CapabilitySet};
use crate::runtime::defaults;
use crate::runtime::isolation::Isolation;

impl Engine {
    /// How containers are kept apart here.
    pub fn isolation(&self) -> Isolation {
        self.with_home(|home| home.isolation())
    }

    /// The network of a container that names none, where there is none but that of the surroundings.
    pub(super) fn only_network(&self, is_builtin: bool) -> Option<NetworkMode> {
        let default = self.config.network_default;
        let asked = !is_builtin && default == NetworkDefault::None;
        (!asked && self.isolation() == Isolation::Chroot).then_some(NetworkMode::Host)
    }

    /// The first thing in the way of such a container here.
    pub(super) fn check_isolation(&self, config: &ContainerConfig) -> Result<(), EngineError> {
        if self.isolation() == Isolation::Namespaces {
            return Ok(());
        }
        let stacked = match self.config.storage_driver {
            StorageDriver::Overlay => Some("storage.driver = \"overlay\""),
            StorageDriver::FuseOverlayfs => Some("storage.driver = \"fuse-overlayfs\""),
            StorageDriver::Auto | StorageDriver::Copy => None,
        };
        let known = Isolation::Chroot.capabilities();
        let found = stacked.map(str::to_owned);
        let found = found.or_else(|| impossible(&config.host, known));
        match found {
            Some(what) => Err(EngineError::Confined { what }),
            None => Ok(()),
        }
    }
}

/// In the words of the command line.
fn impossible(host: &HostConfig, known: CapabilitySet) -> Option<String> {
    let chosen = &host.namespaces;
    let joins = |sharing: &Sharing| matches!(sharing, Sharing::Container(_));
    let is_step = host.step.is_some();
    let flags = [
        (host.privileged && is_step, "RUN --security=insecure"),
        (host.privileged, "--privileged"),
        (host.read_only_root, "--read-only"),
        (!host.sysctls.is_empty(), "--sysctl"),
        (
            !host.devices.is_empty() || !host.device_names.is_empty(),
            "--device",
        ),
        (host.timezone.is_some(), "--tz"),
        (!host.ports.is_empty(), "--publish"),
        (host.publish_all, "--publish-all"),
        (!host.host_ports.is_empty(), "--host-port"),
        (host.egress.is_some(), "--egress"),
        (
            host.open_system_paths,
            "--security-opt systempaths=unconfined",
        ),
        (
            host.seccomp.as_deref() == Some("unconfined"),
            "--security-opt seccomp=unconfined",
        ),
        (
            host.seccomp.is_some() && !host.no_new_privileges,
            "--security-opt seccomp=FILE without no-new-privileges",
        ),
        (joins(&chosen.pid), "--pid container:NAME"),
        (joins(&chosen.uts), "--uts container:NAME"),
        (joins(&chosen.cgroup), "--cgroupns container:NAME"),
        (
            matches!(chosen.ipc, IpcMode::Container(_) | IpcMode::None),
            "--ipc container:NAME and none",
        ),
        (
            !matches!(chosen.user, UserMode::Nested | UserMode::Host),
            "--userns",
        ),
        (
            !chosen.uid_map.is_empty() || !chosen.gid_map.is_empty(),
            "--uidmap and --gidmap",
        ),
        (host.shm_size != defaults::SHM_SIZE, "--shm-size"),
    ];
    let flag = flags.into_iter().find(|(asked, _)| *asked);
    flag.map(|(_, flag)| flag.to_owned())
        .or_else(|| network(host))
        .or_else(|| mount(host))
        .or_else(|| capability(host, known))
}

fn network(host: &HostConfig) -> Option<String> {
    (host.network != "host").then(|| format!("--network {}", host.network))
}

/// What a step of a build finds mounted is put there for its time.
fn mount(host: &HostConfig) -> Option<String> {
    let is_file =
        |secret: &&crate::container::SecretConfig| matches!(secret.place, SecretPlace::File { .. });
    if let Some(secret) = host.secrets.iter().find(is_file) {
        return Some(format!("--secret {}", secret.name));
    }
    if let Some(file) = host.files.first() {
        return Some(format!("a file at {}", file.target));
    }
    let is_socket = |mount: &&crate::container::MountConfig| {
        std::fs::metadata(&mount.source).is_ok_and(|found| found.file_type().is_socket())
    };
    if host.step.is_some() {
        let socket = host.mounts.iter().find(is_socket)?;
        return Some(format!("RUN --mount=type=ssh at {}", socket.target));
    }
    let mount = host.mounts.first()?;
    let flag = match (mount.kind.as_str(), &mount.volume) {
        ("tmpfs", _) => "--tmpfs",
        (_, Some(_)) => "--volume",
        _ => "--volume and --mount",
    };
    Some(format!("{flag} at {}", mount.target))
}

fn capability(host: &HostConfig, known: CapabilitySet) -> Option<String> {
    let wanted = host.cap_add.iter().find(|name| {
        let one = std::slice::from_ref(*name);
        let all = ["ALL".to_owned()];
        let asked = capability::chosen(one, &all, CapabilitySet::NAMED);
        asked.is_ok_and(|asked| asked.intersection(known) != asked)
    });
    wanted.map(|name| format!("--cap-add {name}"))
}
