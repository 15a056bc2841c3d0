//! What lists show of a container: those parts of `config.json` alone, since parsing all of it would take most of a list's time.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::config::{EndpointConfig, MountConfig, is_bridged};
use super::settings::Settings;

/// The members are those of `ContainerConfig`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Outline {
    pub created: String,
    pub image: String,
    pub image_id: String,
    pub layers: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub process: ProgramOutline,
    pub host: HostOutline,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ProgramOutline {
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub exposed_ports: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HostOutline {
    pub network: String,
    #[serde(default)]
    endpoints: Vec<EndpointConfig>,
    pub ports: Vec<String>,
    #[serde(default)]
    pub publish_all: bool,
    pub mounts: Vec<MountConfig>,
    pub auto_remove: bool,
    #[serde(default)]
    pub starts_at_once: bool,
    #[serde(default)]
    pub step: Option<String>,
}

impl Outline {
    /// What is executed: the entrypoint, then the command.
    pub fn arguments(&self) -> impl Iterator<Item = &String> {
        self.process.entrypoint.iter().chain(&self.process.command)
    }

    /// It shares networks with others, or did.
    pub fn is_bridged(&self) -> bool {
        is_bridged(&self.host.network)
    }

    /// Its published ports, as they are asked for now.
    pub fn ports<'a>(&'a self, settings: &'a Settings) -> &'a [String] {
        settings.ports_or(&self.host.ports)
    }

    /// Its places in networks, as they are now.
    pub fn endpoints<'a>(&'a self, settings: &'a Settings) -> &'a [EndpointConfig] {
        settings.endpoints_or(&self.host.endpoints)
    }
}
