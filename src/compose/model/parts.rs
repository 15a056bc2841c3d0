//! The smaller parts of a service.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::service::Condition;
use super::values::{is_empty, is_false, is_zero};
use super::{Extensions, Texts, Variables};

/// One of `ports:`, for one port of the container.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Port {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host_ip: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub target: u16,
    /// A port, a range of them for the engine to choose from, or empty for any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub published: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub app_protocol: String,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}

/// A service's place in a network.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct NetworkPlace {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub driver_opts: Texts,
    #[serde(skip_serializing_if = "is_zero")]
    pub gw_priority: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub interface_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ipv4_address: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ipv6_address: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub link_local_ips: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac_address: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i64,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}

/// One of `depends_on:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Dependency {
    pub condition: Condition,
    /// It is started again when the other one is.
    #[serde(skip_serializing_if = "is_false")]
    pub restart: bool,
    /// Without it the service can't be; else there is only a warning.
    pub required: bool,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}

/// One of `env_file:`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EnvFile {
    pub path: String,
    pub required: Option<bool>,
    /// Empty, or `raw`: nothing is replaced in it.
    pub format: String,
}

/// A path alone where that says everything.
impl Serialize for EnvFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let required = self.required.unwrap_or(true);
        if required && self.format.is_empty() {
            return serializer.serialize_str(&self.path);
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("path", &self.path)?;
        map.serialize_entry("required", &required)?;
        if !self.format.is_empty() {
            map.serialize_entry("format", &self.format)?;
        }
        map.end()
    }
}

/// One of a service's `secrets:` or `configs:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct FileRef {
    /// Its key in `secrets:` or `configs:`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gid: String,
    /// Octal, as a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}

/// One of `devices:`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Device {
    /// A path, or a device of the Container Device Interface.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub permissions: String,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Logging {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub options: Texts,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}

/// A command in the container, at a moment of its life.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Hook {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(skip_serializing_if = "is_false")]
    pub privileged: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub environment: Variables,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct BlkioConfig {
    #[serde(skip_serializing_if = "is_zero")]
    pub weight: u16,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weight_device: Vec<Weight>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_read_bps: Vec<Rate>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_read_iops: Vec<Rate>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_write_bps: Vec<Rate>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub device_write_iops: Vec<Rate>,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Weight {
    pub path: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub weight: u16,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Rate {
    pub path: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub rate: super::Bytes,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct CredentialSpec {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub config: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub registry: String,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}

/// Another compose file's service that this one begins as; gone when the project is resolved.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Extends {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
}

/// A program that makes the service in place of the engine: refused.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Provider {
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "is_empty")]
    pub options: std::collections::BTreeMap<String, Vec<String>>,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct ServiceModel {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub endpoint_var: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model_var: String,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}
