//! What may be asked of volumes, and what the options of docker's `local` driver mean. Values only.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use regex::Regex;

use super::filter::{FilterError, boolean, split};
use super::label::LabelFilters;
use super::mount::{MountError, TmpfsOptions};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateVolumeRequest {
    /// None: an anonymous one.
    pub name: Option<String>,
    pub driver: String,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
    /// Who owns its top directory; podman's.
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

/// `volume ls` and `volume prune`; a filter that does not count is empty.
#[derive(Clone, Debug, Default)]
pub struct VolumeFilters {
    pub dangling: Option<bool>,
    /// Regular expressions found in a name.
    pub names: Vec<Regex>,
    pub labels: LabelFilters,
    pub drivers: Vec<String>,
    /// `all=true`, of prune: named ones too.
    pub all: bool,
}

/// `--volumes-from container[:ro|rw]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumesFrom {
    pub container: String,
    pub read_only: bool,
    /// As typed.
    pub text: String,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid mode: {mode}")]
pub struct VolumesFromError {
    mode: String,
}

/// What a volume's options make of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backing {
    /// A directory in the store.
    Directory,
    /// A tmpfs of each container's own.
    Tmpfs(TmpfsOptions),
    /// A directory of the host, with further options of its mount.
    Bind(PathBuf, Vec<String>),
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VolumeOptionError {
    #[error("invalid option: {key:?}")]
    Unknown { key: String },
    #[error("missing required option: {key:?}")]
    Missing { key: &'static str },
    #[error("quota size requested but no quota support")]
    Quota,
    #[error(
        "volume type {kind:?} is a mount that only root can make: use type=tmpfs, or o=bind with a directory"
    )]
    Kind { kind: String },
    #[error("volume option o={option}: not an option of a bind")]
    Bind { option: String },
    #[error("volume device {device:?} is not an absolute path")]
    Device { device: String },
    #[error(transparent)]
    Tmpfs(#[from] MountError),
}

impl Backing {
    pub fn of(options: &BTreeMap<String, String>) -> Result<Backing, VolumeOptionError> {
        if options.is_empty() {
            return Ok(Backing::Directory);
        }
        for key in options.keys() {
            match key.as_str() {
                "type" | "device" | "o" => {}
                "size" => return Err(VolumeOptionError::Quota),
                _ => return Err(VolumeOptionError::Unknown { key: key.clone() }),
            }
        }
        let get = |key: &'static str| {
            let value = options.get(key).map(String::as_str);
            value.ok_or(VolumeOptionError::Missing { key })
        };
        let (kind, device) = (get("type")?, get("device")?);
        let flags = options.get("o").map_or("", String::as_str);
        let binds = flags
            .split(',')
            .any(|flag| matches!(flag, "bind" | "rbind"));
        match kind {
            "tmpfs" => Ok(Backing::Tmpfs(super::mount::tmpfs_options(flags)?)),
            _ if binds || kind == "bind" => bind(device, flags),
            _ => Err(VolumeOptionError::Kind {
                kind: kind.to_owned(),
            }),
        }
    }
}

fn bind(device: &str, flags: &str) -> Result<Backing, VolumeOptionError> {
    if !device.starts_with('/') || device.contains('\0') {
        return Err(VolumeOptionError::Device {
            device: device.replace('\0', "?"),
        });
    }
    let mut kept = Vec::new();
    for flag in flags.split(',') {
        match flag {
            "" | "bind" | "rbind" | "rw" => {}
            "ro" | "nosuid" | "nodev" | "noexec" => kept.push(flag.to_owned()),
            _ => {
                return Err(VolumeOptionError::Bind {
                    option: flag.to_owned(),
                });
            }
        }
    }
    Ok(Backing::Bind(PathBuf::from(device), kept))
}

impl FromStr for VolumesFrom {
    type Err = VolumesFromError;

    fn from_str(text: &str) -> Result<VolumesFrom, VolumesFromError> {
        let (container, mode) = text.split_once(':').unwrap_or((text, ""));
        let mut read_only = false;
        for option in mode.split(',').filter(|option| !option.is_empty()) {
            match option {
                "ro" => read_only = true,
                "rw" | "z" | "Z" => {}
                _ => {
                    return Err(VolumesFromError {
                        mode: mode.to_owned(),
                    });
                }
            }
        }
        Ok(VolumesFrom {
            container: container.to_owned(),
            read_only,
            text: text.to_owned(),
        })
    }
}

impl VolumeFilters {
    /// Adds one `key=value` of `volume ls`.
    pub fn add(&mut self, text: &str) -> Result<(), FilterError> {
        let (key, value) = split(text)?;
        let owned = value.to_owned();
        match key.as_str() {
            "dangling" => self.dangling = Some(boolean(key, value, "true or false")?),
            "name" => {
                let pattern = Regex::new(value).map_err(|_| FilterError::Value {
                    key,
                    value: owned,
                    expected: "no regular expression",
                })?;
                self.names.push(pattern);
            }
            "label" => self.labels.want(value),
            "driver" => self.drivers.push(owned),
            _ => return Err(FilterError::Key { key }),
        }
        Ok(())
    }

    /// Adds one of `volume prune`.
    pub fn add_to_prune(&mut self, text: &str) -> Result<(), FilterError> {
        let (key, value) = split(text)?;
        match key.as_str() {
            "label" => self.labels.want(value),
            "label!" => self.labels.exclude(value),
            "all" => self.all = boolean(key, value, "true or false")?,
            _ => return Err(FilterError::Key { key }),
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn backing(pairs: &[(&str, &str)]) -> Result<Backing, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Backing::of(&pairs.iter().map(owned).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn options_of_the_local_driver() {
        assert_eq!(backing(&[]), Ok(Backing::Directory));
        let tmpfs = backing(&[
            ("type", "tmpfs"),
            ("device", "tmpfs"),
            ("o", "size=1m,uid=5"),
        ]);
        let Ok(Backing::Tmpfs(tmpfs)) = tmpfs else {
            panic!("{tmpfs:?}");
        };
        assert_eq!(
            (tmpfs.size, &tmpfs.flags[..]),
            (Some(1 << 20), &["uid=5".to_owned()][..])
        );
        assert_eq!(
            backing(&[("type", "none"), ("device", "/srv"), ("o", "bind,ro")]),
            Ok(Backing::Bind("/srv".into(), vec!["ro".to_owned()]))
        );
        for (pairs, message) in [
            (&[("size", "1g")][..], "quota size"),
            (&[("colour", "red")], "invalid option: \"colour\""),
            (&[("type", "tmpfs")], "missing required option: \"device\""),
            (
                &[("type", "nfs"), ("device", ":/x"), ("o", "addr=1.2.3.4")],
                "volume type \"nfs\"",
            ),
            (
                &[("type", "none"), ("device", "srv"), ("o", "bind")],
                "not an absolute path",
            ),
            (
                &[("type", "none"), ("device", "/srv"), ("o", "bind,uid=1")],
                "o=uid=1",
            ),
        ] {
            let error = backing(pairs).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn volumes_from_has_a_mode() {
        let from = |text: &str| {
            text.parse::<VolumesFrom>()
                .map(|f| (f.container, f.read_only))
        };
        assert_eq!(from("web"), Ok(("web".to_owned(), false)));
        assert_eq!(from("web:ro"), Ok(("web".to_owned(), true)));
        assert_eq!(from("web:rw,z"), Ok(("web".to_owned(), false)));
        assert_eq!(from("web:x").unwrap_err().to_string(), "invalid mode: x");
    }
}
