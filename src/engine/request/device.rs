//! `--device` and `--gpus`: nodes of the host's and names of the Container Device Interface, in docker's grammar.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::runtime::cdi::DeviceName;

/// One value of `--device`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceRequest {
    /// A node, or a directory of nodes, and where it shall be.
    Node { source: String, target: String },
    /// `vendor.com/class=name`.
    Named(String),
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DeviceError {
    #[error("bad device specification: {text}")]
    Format { text: String },
    #[error("bad mode specified: {mode}")]
    Mode { mode: String },
    #[error(
        "{mode:?} can't be kept: without root no devices controller limits what a program may do with a device that its user may open"
    )]
    Limited { mode: String },
    #[error("invalid value for --gpus: {text:?}: it is all, a number, or device=ID[,ID...]")]
    Gpus { text: String },
}

impl FromStr for DeviceRequest {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<DeviceRequest, DeviceError> {
        if DeviceName::looks_like(text) {
            return Ok(DeviceRequest::Named(text.to_owned()));
        }
        let is_mode = |part: &str| !part.is_empty() && part.chars().all(|c| "rwm".contains(c));
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, mode) = match parts[..] {
            [source] => (source, source, "rwm"),
            // docker: what could be a mode is one.
            [source, mode] if is_mode(mode) => (source, source, mode),
            [source, target] => (source, target, "rwm"),
            [source, target, mode] if is_mode(mode) => (source, target, mode),
            [_, _, mode] => {
                return Err(DeviceError::Mode {
                    mode: mode.to_owned(),
                });
            }
            _ => ("", "", ""),
        };
        if !source.starts_with('/') || !target.starts_with('/') {
            return Err(DeviceError::Format {
                text: text.to_owned(),
            });
        }
        if !(mode.contains('r') && mode.contains('w')) {
            return Err(DeviceError::Limited {
                mode: mode.to_owned(),
            });
        }
        Ok(DeviceRequest::Node {
            source: source.to_owned(),
            target: target.to_owned(),
        })
    }
}

/// What `--gpus` asks for, by the names that `nvidia-ctk cdi generate` gives.
pub fn parse_gpus(text: &str) -> Result<Vec<DeviceRequest>, DeviceError> {
    let wrong = || DeviceError::Gpus {
        text: text.to_owned(),
    };
    let bare = text.trim_matches('"');
    let ids: Vec<String> = match bare.strip_prefix("device=") {
        Some(list) => list.split(',').map(str::to_owned).collect(),
        None if bare == "all" => vec!["all".to_owned()],
        None => match bare.strip_prefix("count=").unwrap_or(bare).parse::<u32>() {
            Ok(count @ 1..=64) => (0..count).map(|id| id.to_string()).collect(),
            _ => return Err(wrong()),
        },
    };
    let named = ids.iter().map(|id| {
        let name = format!("nvidia.com/gpu={id}");
        let known = DeviceName::looks_like(&name);
        known
            .then_some(DeviceRequest::Named(name))
            .ok_or_else(wrong)
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(source: &str, target: &str) -> Result<DeviceRequest, DeviceError> {
        Ok(DeviceRequest::Node {
            source: source.to_owned(),
            target: target.to_owned(),
        })
    }

    #[test]
    fn devices_are_read_as_docker_does() {
        assert_eq!("/dev/kvm".parse(), node("/dev/kvm", "/dev/kvm"));
        assert_eq!("/dev/kvm:rw".parse(), node("/dev/kvm", "/dev/kvm"));
        assert_eq!("/dev/a:/dev/b:rwm".parse(), node("/dev/a", "/dev/b"));
        let named = DeviceRequest::Named("v.com/c=n".to_owned());
        assert_eq!("v.com/c=n".parse(), Ok(named));
        for text in [
            "kvm",
            "/dev/a:b",
            "/dev/a:/dev/b:x",
            "/dev/a:/b:rw:c",
            "/dev/a:r",
            "",
        ] {
            assert!(text.parse::<DeviceRequest>().is_err(), "{text}");
        }
    }

    #[test]
    fn gpus_are_names_of_the_device_interface() {
        let names = |text: &str| {
            let requests = parse_gpus(text).unwrap_or_default().into_iter();
            let names = requests.map(|request| match request {
                DeviceRequest::Named(name) => name.replace("nvidia.com/gpu=", ""),
                DeviceRequest::Node { source, .. } => source,
            });
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names("all"), "all");
        assert_eq!(names("2"), "0 1");
        assert_eq!(names("\"device=0,GPU-3a\""), "0 GPU-3a");
        for text in ["0", "some", "device=", "-1", "device=a/b"] {
            assert_eq!(names(text), "", "{text}");
        }
    }
}
