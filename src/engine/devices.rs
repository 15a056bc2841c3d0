//! The devices of a container: checked when it is made, looked up again at every start. Opens none.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::request::DeviceRequest;
use super::{Engine, EngineError};
use crate::container::{DeviceConfig, HostConfig, MountConfig};
use crate::runtime::cdi::{self, DeviceName, Edits, Hook};

/// What the devices change in a specification.
#[derive(Default)]
pub(super) struct Devices {
    pub env: Vec<String>,
    pub mounts: Vec<MountConfig>,
    pub groups: Vec<String>,
    pub hooks: Vec<Hook>,
}

impl Engine {
    /// The nodes and the names asked for; all of them have to be there.
    pub(super) fn settle_devices(
        &self,
        requests: &[DeviceRequest],
    ) -> Result<(Vec<DeviceConfig>, Vec<String>), EngineError> {
        let mut nodes = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for request in requests {
            match request {
                DeviceRequest::Node { source, target } => {
                    let device = DeviceConfig {
                        source: source.clone(),
                        target: target.clone(),
                    };
                    nodes_of(&device)?;
                    nodes.push(device);
                }
                DeviceRequest::Named(name) => {
                    cdi::find(&DeviceName::parse(name)?, &self.device_directories())?;
                    if !names.contains(name) {
                        names.push(name.clone());
                    }
                }
            }
        }
        Ok((nodes, names))
    }

    /// Whether a name of the Container Device Interface stands for anything here.
    pub fn has_device(&self, name: &str) -> Result<(), EngineError> {
        cdi::find(&DeviceName::parse(name)?, &self.device_directories())?;
        Ok(())
    }

    /// Later ones win.
    fn device_directories(&self) -> Vec<PathBuf> {
        let user = self.paths.config.parent().map(|config| config.join("cdi"));
        let system = ["/etc/cdi", "/var/run/cdi"].map(PathBuf::from);
        system.into_iter().chain(user).collect()
    }

    pub(super) fn devices(&self, host: &HostConfig) -> Result<Devices, EngineError> {
        let mut devices = Devices::default();
        for device in &host.devices {
            let nodes = nodes_of(device)?;
            devices.mounts.extend(nodes.into_iter().map(node));
        }
        for name in &host.device_names {
            for edits in cdi::find(&DeviceName::parse(name)?, &self.device_directories())? {
                devices.take(edits)?;
            }
        }
        Ok(devices)
    }
}

impl Devices {
    fn take(&mut self, edits: Edits) -> Result<(), EngineError> {
        for device in &edits.device_nodes {
            let config = DeviceConfig {
                source: device.source().to_string_lossy().into_owned(),
                target: device.target().to_string_lossy().into_owned(),
            };
            self.mounts.extend(nodes_of(&config)?.into_iter().map(node));
        }
        self.env.extend(edits.env);
        self.mounts.extend(edits.mounts.into_iter().map(mounted));
        let groups = edits.additional_gids.into_iter().filter(|gid| *gid != 0);
        self.groups.extend(groups.map(|gid| gid.to_string()));
        self.hooks.extend(edits.hooks);
        Ok(())
    }
}

fn node(device: DeviceConfig) -> MountConfig {
    MountConfig {
        kind: "bind".to_owned(),
        source: device.source,
        target: device.target,
        options: vec!["rbind".to_owned(), "rprivate".to_owned()],
        ..MountConfig::default()
    }
}

fn mounted(mount: cdi::Mount) -> MountConfig {
    let kind = match mount.kind.as_str() {
        "" => "bind".to_owned(),
        kind => kind.to_owned(),
    };
    MountConfig {
        source: mount.host_path.to_string_lossy().into_owned(),
        target: mount.container_path.to_string_lossy().into_owned(),
        options: mount.options,
        kind,
        ..MountConfig::default()
    }
}

/// The device itself; of a directory every device in it, as docker does.
fn nodes_of(device: &DeviceConfig) -> Result<Vec<DeviceConfig>, EngineError> {
    let source = Path::new(&device.source);
    let failed = |source: std::io::Error| EngineError::Device {
        path: device.source.clone(),
        source,
    };
    let kind = fs::metadata(source).map_err(failed)?.file_type();
    if kind.is_char_device() || kind.is_block_device() {
        return Ok(vec![device.clone()]);
    }
    if !kind.is_dir() {
        return Err(failed(std::io::Error::other("not a device node")));
    }
    let mut nodes = Vec::new();
    let mut waiting = vec![(source.to_owned(), PathBuf::from(&device.target))];
    while let Some((directory, target)) = waiting.pop() {
        for entry in fs::read_dir(&directory).map_err(failed)?.flatten() {
            let (source, target) = (entry.path(), target.join(entry.file_name()));
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => waiting.push((source, target)),
                Ok(kind) if kind.is_char_device() || kind.is_block_device() => {
                    nodes.push(DeviceConfig {
                        source: source.to_string_lossy().into_owned(),
                        target: target.to_string_lossy().into_owned(),
                    });
                }
                _ => {}
            }
        }
    }
    Ok(nodes)
}
