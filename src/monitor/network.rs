//! The container's own network helper: pasta, started while the root is set up and ready before the program runs.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::protocol::StartFailure;
use crate::net::pasta::{self, Features, PastaError, Plan, Starting};
use crate::net::ports::PortSpec;
use crate::net::publish::{self, PortMapping};
use crate::net::route::HostRoutes;

/// What the monitor needs to know to start pasta.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct NetworkOrders {
    pub binary: PathBuf,
    pub features: Features,
    pub ports: Vec<PortSpec>,
    pub routes: HostRoutes,
    /// The container's resolver file sends queries to pasta.
    pub dns_forward: bool,
}

/// pasta on its way.
pub struct StartingNetwork {
    starting: Starting,
    mappings: Vec<PortMapping>,
}

impl NetworkOrders {
    /// Chooses the host's ports and starts pasta. The monitor lives in the host's network namespace.
    pub fn begin(&self, namespace: BorrowedFd<'_>) -> Result<StartingNetwork, StartFailure> {
        let claimed = publish::claim(&self.ports);
        let claimed = claimed.map_err(|error| StartFailure::Network {
            message: error.to_string(),
            hints: error.hints(),
        })?;
        let mappings = claimed.release();
        let plan = Plan {
            mappings: &mappings,
            routes: self.routes,
            dns_forward: self.dns_forward,
        };
        let starting =
            pasta::start(&self.binary, self.features, namespace, &plan).map_err(explain)?;
        Ok(StartingNetwork { starting, mappings })
    }
}

impl StartingNetwork {
    /// Waits until the interface is there and the ports listen; records which they are in the container's directory.
    pub fn finish(self, directory: &Path) -> Result<(), StartFailure> {
        self.starting.wait().map_err(explain)?;
        let failed = |error: io::Error| StartFailure::Monitor {
            operation: "record the published ports".to_owned(),
            message: error.to_string(),
        };
        let ports: Vec<PublishedPort> = self.mappings.iter().map(PublishedPort::of).collect();
        let text = serde_json::to_vec(&ports).map_err(|error| failed(error.into()))?;
        let temporary = directory.join(".ports");
        crate::sys::disk::write(&temporary, text)
            .and_then(|()| crate::sys::disk::rename(&temporary, directory.join("ports.json")))
            .map_err(failed)
    }
}

fn explain(error: PastaError) -> StartFailure {
    match error {
        PastaError::Tun => StartFailure::NoTun,
        error => StartFailure::Network {
            message: error.to_string(),
            hints: error.hints(),
        },
    }
}

/// A port of the host that leads into the running container, as `ports.json` has it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PublishedPort {
    pub host_ip: std::net::IpAddr,
    pub host_port: u16,
    pub container_port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

impl PublishedPort {
    fn of(mapping: &PortMapping) -> PublishedPort {
        PublishedPort {
            host_ip: mapping.host_ip,
            host_port: mapping.host_port,
            container_port: mapping.container_port,
            protocol: mapping.protocol.to_string(),
        }
    }

    /// `80/tcp`.
    pub fn inside(&self) -> String {
        format!("{}/{}", self.container_port, self.protocol)
    }

    /// As docker's `ps` shows it: `0.0.0.0:8080->80/tcp`.
    pub fn shown(&self) -> String {
        let host = SocketAddr::new(self.host_ip, self.host_port);
        format!("{host}->{}", self.inside())
    }

    /// The ports of a container's last start.
    pub fn read(directory: &Path) -> Vec<PublishedPort> {
        let text = std::fs::read(directory.join("ports.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }
}
