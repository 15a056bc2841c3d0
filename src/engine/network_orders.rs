//! What connects a container, as its monitor is told it: its own pasta or slirp4netns, shared networks (`bridged`), or nothing.

use super::launch::resolver_for;
use super::request::NetworkMode;
use super::{Engine, EngineError};
use crate::config::NetworkDefault;
use crate::container::{ContainerConfig, NameConfig, Record, Settings};
use crate::monitor::{NetworkOrders, PastaOrders, SlirpOrders};
use crate::net::pasta::{self, PastaError, PastaOptions};
use crate::net::ports::{self, ExposedPorts, PortSpec};
use crate::net::record;
use crate::net::route::HostRoutes;
use crate::net::slirp;
use crate::runtime::doctor::{self, Check};

impl Engine {
    /// Where this process is inside a container in which nothing connects further ones: what the container is, and what is
    /// missing in it. Then a step of a build has no other network than this process.
    pub fn without_way_out(&self) -> Option<(String, String)> {
        if !matches!(
            self.config.network_default,
            NetworkDefault::Bridge | NetworkDefault::Pasta
        ) {
            return None;
        }
        let has_helper = pasta::find().is_some() || slirp::find().is_some();
        let missing = match (has_helper, doctor::explain(Check::Tun, &self.paths)) {
            (false, _) => "neither pasta nor slirp4netns is installed".to_owned(),
            (true, Some(finding)) => finding.found,
            (true, None) => return None,
        };
        Some((doctor::surroundings()?, missing))
    }

    /// Nobody, if it wants no network, the host's or one that is there.
    pub(super) fn network_orders(
        &self,
        record: &Record,
        config: &ContainerConfig,
        settings: &Settings,
        name: &str,
        dns_forward: bool,
    ) -> Result<Option<NetworkOrders>, EngineError> {
        let mode = network_mode(config)?;
        let ports = || published(config, settings);
        Ok(Some(match mode {
            NetworkMode::Named(_) => {
                let bridged = self.bridged(record, config, settings, name, ports()?)?;
                NetworkOrders::Bridged(Box::new(bridged))
            }
            NetworkMode::Pasta(options) => {
                let missing = || EngineError::NoNetworkHelper {
                    image: config.image.clone(),
                };
                let orders = self.pasta_orders(ports()?, options, dns_forward)?;
                NetworkOrders::Pasta(orders.ok_or_else(missing)?)
            }
            NetworkMode::Slirp(options) => NetworkOrders::Slirp(SlirpOrders {
                binary: slirp::find().ok_or(slirp::SlirpError::Missing)?,
                ports: ports()?,
                options,
            }),
            _ => return Ok(None),
        }))
    }

    /// `None`: it is not installed.
    fn pasta_orders(
        &self,
        ports: Vec<PortSpec>,
        options: PastaOptions,
        dns_forward: bool,
    ) -> Result<Option<PastaOrders>, PastaError> {
        let Some(binary) = pasta::find() else {
            return Ok(None);
        };
        Ok(Some(PastaOrders {
            features: pasta::probe(&binary, &self.paths.cache)?,
            ports,
            routes: HostRoutes::read(),
            options,
            dns_forward,
            binary,
        }))
    }

    /// For a container of which only the network is known.
    pub(super) fn expected_pasta(&self) -> Option<PastaOrders> {
        let options = PastaOptions::default();
        let mode = NetworkMode::Pasta(options.clone());
        let forward = resolver_for(&mode, &NameConfig::default()).forward;
        self.pasta_orders(Vec::new(), options, forward).ok()?
    }
}

/// The container's network, as its record has it.
pub(super) fn network_mode(config: &ContainerConfig) -> Result<NetworkMode, EngineError> {
    Ok(config.host.network.parse()?)
}

/// With those that are chosen for `-P`.
fn published(config: &ContainerConfig, settings: &Settings) -> Result<Vec<PortSpec>, EngineError> {
    let ports = config.ports(settings).iter().map(|text| text.parse());
    let mut ports = ports.collect::<Result<Vec<PortSpec>, _>>()?;
    if config.host.publish_all && settings.ports.is_none() {
        let exposed = config.process.exposed_ports.iter().map(|text| text.parse());
        let exposed = exposed.collect::<Result<Vec<ExposedPorts>, _>>()?;
        ports.extend(ports::publish_all(&exposed, &ports));
    }
    Ok(ports)
}

/// What the configuration says of a container that names no network, and the host can do.
pub(super) fn default_network(default: NetworkDefault) -> NetworkMode {
    match default {
        NetworkDefault::Bridge => NetworkMode::Named(record::DEFAULT.to_owned()),
        NetworkDefault::Pasta => {
            let is_left = pasta::find().is_none() && slirp::find().is_some();
            match is_left {
                true => NetworkMode::Slirp(slirp::SlirpOptions::default()),
                false => NetworkMode::Pasta(pasta::PastaOptions::default()),
            }
        }
        NetworkDefault::None => NetworkMode::None,
        NetworkDefault::Host => NetworkMode::Host,
    }
}
