//! Devices by name, as the Container Device Interface has them (CNCF CDI specification 0.8): the files of a host's directories, and
//! what a named device changes in a container. Reads those files; opens no device.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

/// `vendor.com/class=name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceName {
    /// `vendor.com/class`.
    pub kind: String,
    pub name: String,
}

/// What a device changes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Edits {
    pub env: Vec<String>,
    pub device_nodes: Vec<DeviceNode>,
    pub mounts: Vec<Mount>,
    pub hooks: Vec<Hook>,
    #[serde(rename = "additionalGids", alias = "additionalGIDs")]
    pub additional_gids: Vec<u32>,
    net_devices: Vec<IgnoredAny>,
    intel_rdt: Option<IgnoredAny>,
}

/// Its numbers and owner are the host's own: a node cannot be made in a user namespace, only bound.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceNode {
    path: PathBuf,
    host_path: Option<PathBuf>,
}

impl DeviceNode {
    pub fn target(&self) -> &Path {
        &self.path
    }

    pub fn source(&self) -> &Path {
        self.host_path.as_deref().unwrap_or(&self.path)
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    pub host_path: PathBuf,
    pub container_path: PathBuf,
    #[serde(default)]
    pub options: Vec<String>,
    #[serde(rename = "type", default)]
    pub kind: String,
}

/// A program of the host's that prepares the container's root.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    pub hook_name: String,
    pub path: PathBuf,
    #[serde(default)]
    pub args: Vec<String>,
    #[serde(default)]
    pub env: Vec<String>,
    /// Seconds after which it is ended, and has failed.
    pub timeout: Option<i64>,
}

#[derive(Debug, thiserror::Error)]
pub enum CdiError {
    #[error("{text:?} is no name of a CDI device: it is VENDOR/CLASS=NAME")]
    Name { text: String },
    #[error("unresolvable CDI devices {name}: no file of {directories} describes it{fault}")]
    Unknown {
        name: String,
        directories: String,
        /// What could not be read on the way, which may have been the one.
        fault: String,
    },
    #[error("CDI device {name} is described twice, in {first} and {second}")]
    Twice {
        name: String,
        first: PathBuf,
        second: PathBuf,
    },
    #[error("CDI device {name} needs {what}, which a container without root can't have")]
    NeedsRoot { name: String, what: &'static str },
    #[error("CDI device {name} has a hook {hook}, and bryo runs only those of createContainer")]
    Hook { name: String, hook: String },
}

impl DeviceName {
    pub fn parse(text: &str) -> Result<DeviceName, CdiError> {
        let wrong = || CdiError::Name {
            text: text.to_owned(),
        };
        let (kind, name) = text.split_once('=').ok_or_else(wrong)?;
        let (vendor, class) = kind.split_once('/').ok_or_else(wrong)?;
        let word = |text: &str, more: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
            let first = text.chars().next();
            first.is_some_and(|c| c.is_ascii_alphanumeric()) && text.chars().all(known)
        };
        if !(word(vendor, "_-.") && word(class, "_-.") && word(name, "_-.:")) {
            return Err(wrong());
        }
        Ok(DeviceName {
            kind: kind.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Whether the value of `--device` can only be one: a path of a device has no `=` behind a relative first part.
    pub fn looks_like(text: &str) -> bool {
        !text.starts_with(['/', '.']) && DeviceName::parse(text).is_ok()
    }
}

impl std::fmt::Display for DeviceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.kind, self.name)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpecFile {
    kind: String,
    #[serde(default)]
    devices: Vec<Device>,
    #[serde(default)]
    container_edits: Edits,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    name: String,
    #[serde(default)]
    container_edits: Edits,
}

/// More than any real file; a larger one is refused before it is in memory.
const LIMIT: u64 = 4 << 20;

/// The edits of one device: those of its file first, then its own. Of several directories the last that describes it counts.
pub fn find(name: &DeviceName, directories: &[PathBuf]) -> Result<Vec<Edits>, CdiError> {
    let mut found: Option<Vec<Edits>> = None;
    let mut fault = String::new();
    for directory in directories {
        let mut here: Option<PathBuf> = None;
        for path in files(directory) {
            let file = match read(&path) {
                Ok(file) => file,
                Err(error) => {
                    fault = format!("; {} can't be read: {error}", path.display());
                    continue;
                }
            };
            let device = file.devices.into_iter().find(|d| d.name == name.name);
            let Some(device) = device.filter(|_| file.kind == name.kind) else {
                continue;
            };
            if let Some(first) = here {
                return Err(CdiError::Twice {
                    name: name.to_string(),
                    first,
                    second: path,
                });
            }
            found = Some(vec![file.container_edits, device.container_edits]);
            here = Some(path);
        }
    }
    let edits = found.ok_or_else(|| CdiError::Unknown {
        name: name.to_string(),
        directories: list(directories),
        fault,
    })?;
    for edit in &edits {
        check(name, edit)?;
    }
    Ok(edits)
}

fn list(directories: &[PathBuf]) -> String {
    let shown = directories.iter().map(|path| path.display().to_string());
    shown.collect::<Vec<_>>().join(", ")
}

fn check(name: &DeviceName, edits: &Edits) -> Result<(), CdiError> {
    let needs_root = |what| CdiError::NeedsRoot {
        name: name.to_string(),
        what,
    };
    if !edits.net_devices.is_empty() {
        return Err(needs_root("a network interface of the host's"));
    }
    if edits.intel_rdt.is_some() {
        return Err(needs_root("Intel RDT"));
    }
    let other = edits
        .hooks
        .iter()
        .find(|h| h.hook_name != "createContainer");
    match other {
        Some(hook) => Err(CdiError::Hook {
            name: name.to_string(),
            hook: hook.hook_name.clone(),
        }),
        None => Ok(()),
    }
}

/// By name, so that the order is always the same. A directory that is not there has none.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| is_json(path) || is_yaml(path))
        .collect();
    paths.sort();
    paths
}

fn has_extension(path: &Path, known: &[&str]) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| known.contains(&extension))
}

fn is_json(path: &Path) -> bool {
    has_extension(path, &["json"])
}

fn is_yaml(path: &Path) -> bool {
    has_extension(path, &["yaml", "yml"])
}

fn read(path: &Path) -> io::Result<SpecFile> {
    let mut text = String::new();
    File::open(path)?.take(LIMIT).read_to_string(&mut text)?;
    if is_json(path) {
        return serde_json::from_str(&text).map_err(io::Error::from);
    }
    serde_saphyr::from_str(&text).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_paths() {
        for text in ["nvidia.com/gpu=all", "a/b=0:1", "vendor.com/class=a_b-c.d"] {
            assert!(DeviceName::looks_like(text), "{text}");
        }
        for text in [
            "/dev/a=b", "./a/b=c", "a=b", "a/b", "a/b=", "a/b=c/d", "/b=c", "a/=c",
        ] {
            assert!(!DeviceName::looks_like(text), "{text}");
        }
    }
}
