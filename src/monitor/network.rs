//! What connects the container: a pasta or slirp4netns of its own, started while the root is set up and ready before the program
//! runs, or networks that it shares with others (`bridged`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use super::bridged::{Bridged, BridgedOrders};
use super::protocol::StartFailure;
use super::supervise::Orders;
use crate::net::pasta::{self, Features, PastaError, PastaOptions, Plan, Starting};
use crate::net::ports::PortSpec;
use crate::net::publish::{self, ClaimedPorts, Everywhere, PortMapping, PublishError};
use crate::net::route::HostRoutes;
use crate::net::slirp::{self, SlirpError, SlirpOptions};
use crate::sys::process::{self, ProcessName};
use crate::sys::{pidfd, procfs};

#[derive(serde::Serialize, serde::Deserialize)]
pub enum NetworkOrders {
    Pasta(PastaOrders),
    Slirp(SlirpOrders),
    Bridged(Box<BridgedOrders>),
}

/// What the monitor needs to know to start pasta.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PastaOrders {
    pub binary: PathBuf,
    pub features: Features,
    pub ports: Vec<PortSpec>,
    pub routes: HostRoutes,
    pub options: PastaOptions,
    /// The container's resolver file sends queries to pasta.
    pub dns_forward: bool,
}

/// The same of slirp4netns.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct SlirpOrders {
    pub binary: PathBuf,
    pub ports: Vec<PortSpec>,
    pub options: SlirpOptions,
}

/// A helper on its way, or everything done already.
pub enum StartingNetwork {
    Pasta {
        starting: Starting,
        mappings: Vec<PortMapping>,
    },
    Slirp {
        starting: slirp::Starting,
        mappings: Vec<PortMapping>,
    },
    Bridged(Box<Bridged>),
}

impl NetworkOrders {
    /// Once the program has ended: the ports are free before anybody hears of that. What connected it would keep its namespace.
    pub fn end(&self) {
        match self {
            // passt is the same program, and may be started as `passt.avx2` by itself.
            NetworkOrders::Pasta(pasta) => {
                // Options may publish ports too.
                let has_ports = !pasta.ports.is_empty() || !pasta.options.is_empty();
                end_helper("pas", has_ports);
            }
            NetworkOrders::Slirp(slirp) => end_helper("slirp4netns", !slirp.ports.is_empty()),
            NetworkOrders::Bridged(_) => {}
        }
    }

    /// Connects the container, or begins to. The monitor lives in the host's network namespace.
    pub fn begin(
        &self,
        orders: &Orders,
        namespace: BorrowedFd<'_>,
    ) -> Result<StartingNetwork, StartFailure> {
        match self {
            NetworkOrders::Pasta(pasta) => pasta.begin(namespace),
            NetworkOrders::Slirp(slirp) => slirp.begin(&orders.directory, namespace),
            NetworkOrders::Bridged(bridged) => {
                let connected = Bridged::connect(orders, bridged, namespace)?;
                Ok(StartingNetwork::Bridged(Box::new(connected)))
            }
        }
    }
}

/// Ends a child of the monitor: pasta is one since it has become a daemon. `waits`: returns when it has ended, which takes the
/// kernel some grace periods of RCU.
fn end_helper(name: &str, waits: bool) {
    let children = process::children(0).into_iter();
    let is_helper = |child: &ProcessName| {
        let command = procfs::stat(child.pid).map(|stat| stat.command);
        command.is_ok_and(|command| command.starts_with(name))
    };
    for child in children.filter(is_helper) {
        if let Ok(Some(pidfd)) = child.open_here() {
            let _ = pidfd::kill_hard(pidfd.as_fd());
            if waits {
                let _ = pidfd::reap(pidfd.as_fd());
            }
        }
    }
}

impl SlirpOrders {
    /// Chooses the host's ports and starts it.
    fn begin(
        &self,
        directory: &Path,
        namespace: BorrowedFd<'_>,
    ) -> Result<StartingNetwork, StartFailure> {
        // It forwards no port of IPv6.
        let mappings = claim(&self.ports, Everywhere::Ipv4)?.release();
        let told = mappings.clone();
        let starting = slirp::start(&self.binary, &self.options, namespace, directory, told);
        let starting = starting.map_err(explain_slirp)?;
        Ok(StartingNetwork::Slirp { starting, mappings })
    }
}

impl PastaOrders {
    /// Chooses the host's ports and starts pasta.
    pub(super) fn begin(&self, namespace: BorrowedFd<'_>) -> Result<StartingNetwork, StartFailure> {
        let everywhere = match self.options.leads_ipv6(self.routes) {
            true => Everywhere::Both,
            false => Everywhere::Ipv4,
        };
        let mappings = claim(&self.ports, everywhere)?.release();
        let plan = Plan {
            mappings: &mappings,
            routes: self.routes,
            options: &self.options,
            dns_forward: self.dns_forward,
            is_shared: false,
        };
        let starting =
            pasta::start(&self.binary, self.features, namespace, &plan).map_err(explain)?;
        Ok(StartingNetwork::Pasta { starting, mappings })
    }
}

pub(super) fn claim(
    ports: &[PortSpec],
    everywhere: Everywhere,
) -> Result<ClaimedPorts, StartFailure> {
    let claimed = publish::claim(ports, everywhere);
    claimed.map_err(|error| failed(&error, error.hints(), Some(&error)))
}

impl StartingNetwork {
    /// Waits until the interface is there and the ports listen; records which they are in the container's directory. Gives
    /// what has to be held while the container runs.
    pub fn finish(self, directory: &Path) -> Result<Option<Box<Bridged>>, StartFailure> {
        match self {
            StartingNetwork::Bridged(bridged) => Ok(Some(bridged)),
            StartingNetwork::Pasta { starting, mappings } => {
                starting.wait().map_err(explain)?;
                record_ports(directory, &mappings)?;
                Ok(None)
            }
            StartingNetwork::Slirp { starting, mappings } => {
                starting.wait().map_err(explain_slirp)?;
                record_ports(directory, &mappings)?;
                Ok(None)
            }
        }
    }
}

pub(super) fn record_ports(directory: &Path, mappings: &[PortMapping]) -> Result<(), StartFailure> {
    let ports: Vec<PublishedPort> = mappings.iter().map(PublishedPort::of).collect();
    record(directory, "ports.json", &ports)
        .map_err(super::supervise::failure("record the published ports"))
}

/// Puts a file into the container's directory, whole.
pub(super) fn record<T: serde::Serialize>(
    directory: &Path,
    name: &str,
    what: &T,
) -> io::Result<()> {
    let text = serde_json::to_vec(what)?;
    let temporary = directory.join(format!(".{name}"));
    crate::sys::disk::write(&temporary, text)?;
    crate::sys::disk::rename(&temporary, directory.join(name))
}

fn failed(
    error: &dyn std::fmt::Display,
    hints: Vec<String>,
    publish: Option<&PublishError>,
) -> StartFailure {
    StartFailure::Network {
        taken: publish.and_then(PublishError::taken),
        message: error.to_string(),
        hints,
    }
}

fn explain(error: PastaError) -> StartFailure {
    let publish = match &error {
        PastaError::Tun => return StartFailure::NoTun,
        PastaError::Publish(error) => Some(error),
        _ => None,
    };
    failed(&error, error.hints(), publish)
}

fn explain_slirp(error: SlirpError) -> StartFailure {
    let publish = match &error {
        SlirpError::Tun => return StartFailure::NoTun,
        SlirpError::Publish(error) => Some(error),
        _ => None,
    };
    failed(&error, error.hints(), publish)
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

    /// The ports of a container's last start.
    pub fn read(directory: &Path) -> Vec<PublishedPort> {
        let text = std::fs::read(directory.join("ports.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }
}
