//! What the monitor of a container is told of the networks that it shares with others, and changes of that.

use std::net::IpAddr;

use super::request::{NetworkMode, mac_bytes};
use super::{Engine, EngineError};
use crate::container::{
    ContainerConfig, EndpointConfig, HostConfig, LockedRecord, Record, Settings,
};
use crate::monitor::{BridgedOrders, NetworkOrders, Request};
use crate::net::hosted::HostPort;
use crate::net::ports::PortSpec;
use crate::net::publish;
use crate::net::record::{BINDING_OPTION, DEFAULT, NetworkConfig, NetworkDriver};
use crate::net::start::Holder;
use crate::net::uplink::Uplink;
use crate::net::wire::{self, Attach, Member};
use crate::sys::gate::Gate;
use crate::sys::lock::Guard;
use crate::sys::{pidfd, process};

/// What contradicts itself in the places that were asked for, in docker's words where it has any.
#[derive(Debug, thiserror::Error)]
pub enum EndpointRequestError {
    #[error(
        "invalid endpoint settings: user specified IP address is supported on user defined networks only"
    )]
    AddressOnDefault,
    #[error(
        "invalid endpoint settings: user specified IP address is supported only when connecting to networks with user configured subnets: {ip} is not of network {network}"
    )]
    ForeignAddress { ip: IpAddr, network: String },
    #[error(
        "invalid endpoint settings: network-scoped alias is supported only for containers in user defined networks"
    )]
    AliasOnDefault,
    #[error("network {network} is one of docker's own that has no places for containers")]
    NoPlaces { network: String },
    #[error("network {network} is given twice")]
    Twice { network: String },
    #[error("endpoint with name {container} already exists in network {network}")]
    There { container: String, network: String },
    #[error("container {container} is not connected to network {network}")]
    NotThere { container: String, network: String },
    #[error("container {container} not attached to default bridge network")]
    NotLinked { container: String },
    #[error("container {container} shares no networks with others: its network is {mode}")]
    OwnNetwork { container: String, mode: String },
    #[error(
        "{flag} needs a network that containers share, and {mode} is none: use --network bridge, or one of `network create`"
    )]
    NotShared { flag: &'static str, mode: String },
    #[error("--host-port: port {port} of the container is given twice")]
    HostPortTwice { port: u16 },
}

/// At the address that the network which leads out says, where the ports name none.
fn at_binding(mut ports: Vec<PortSpec>, places: &[Attach]) -> Vec<PortSpec> {
    let mut places = places.iter().filter(|place| place.is_default);
    let options = places.next().map(|place| &place.network.options);
    let address = options.and_then(|options| options.get(BINDING_OPTION)?.parse::<IpAddr>().ok());
    let address = address.filter(|address| !address.is_unspecified());
    for port in &mut ports {
        port.host_ip = port.host_ip.or(address);
    }
    ports
}

impl Engine {
    /// The program that holds the shared networks, as it is to be started where it does not run.
    pub(super) fn holder(&self, image: &str) -> Result<Holder, EngineError> {
        let missing = || EngineError::NoNetworkHelper {
            image: image.to_owned(),
        };
        let uplink = Uplink::find(&self.paths.cache)?.ok_or_else(missing)?;
        Ok(Holder {
            socket: self.paths.net_socket(),
            lock: self.paths.net_lock(),
            networks: self.paths.networks(),
            uplink,
        })
    }

    /// Starts it beside a monitor that was called before, which can't do that itself: its pid namespace ends with its container. If
    /// it fails, it fails again for the monitor, which tells why. When this returns the monitor may join it.
    pub(super) fn start_holder(&self, network: Option<&NetworkOrders>) {
        let Some(NetworkOrders::Bridged(bridged)) = network else {
            return;
        };
        let holder = &bridged.holder;
        let Some(turn) = holder.turn_outside() else {
            return;
        };
        let entered = self.with_home(|home| {
            home.enter_living(turn.into_fd(), |_gate, turn| {
                // It outlives this command, and must not hold its streams.
                let _ = rustix::process::setsid();
                if process::detach_standard_streams().is_err() {
                    return 1;
                }
                let started = holder.start_beside(Guard::of(turn), &Gate::opened());
                started.is_err().into()
            })
        });
        if let Ok(Some(entered)) = entered {
            let _ = pidfd::wait_child(entered.pid);
        }
    }

    /// `hosts`: the text of its hosts file without its own lines.
    pub(super) fn bridged(
        &self,
        record: &Record,
        config: &ContainerConfig,
        settings: &Settings,
        name: &str,
        ports: Vec<PortSpec>,
    ) -> Result<BridgedOrders, EngineError> {
        let hosts = record.path("hosts");
        let hosts = std::fs::read_to_string(&hosts).map_err(EngineError::file("read", &hosts))?;
        let egress = settings.egress_or(config.host.egress.as_deref());
        let member = Member {
            id: record.id.to_string(),
            name: name.to_owned(),
            hostname: config.hostname.clone(),
            servers: config.host.names.servers.clone(),
            egress: egress.map(str::parse).transpose()?,
            host_ports: host_ports(&config.host.host_ports)?,
            understands: wire::VERSION,
        };
        let attach = self.attaches(config.endpoints(settings))?;
        let ports = at_binding(ports, &attach);
        Ok(BridgedOrders {
            holder: self.holder(&config.image)?,
            member,
            attach,
            ports,
            hosts,
            domain: config.domainname.clone(),
        })
    }

    /// The interfaces are numbered in the order of the places; the default route is of the highest priority, and that of IPv6 of the next where it
    /// has none.
    fn attaches(&self, endpoints: &[EndpointConfig]) -> Result<Vec<Attach>, EngineError> {
        let networks = self.networks();
        let mut found = Vec::new();
        for endpoint in endpoints {
            let network = networks.find(&endpoint.network)?;
            check(endpoint, &network)?;
            found.push((endpoint, network));
        }
        let leads_out = found.iter().filter(|(_, network)| !network.internal);
        let mut ways: Vec<&(&EndpointConfig, NetworkConfig)> = leads_out.collect();
        ways.sort_by(|(a, _), (b, _)| {
            let order = b.priority.cmp(&a.priority);
            order.then_with(|| a.network.cmp(&b.network))
        });
        let name = |(endpoint, _): &&(&EndpointConfig, NetworkConfig)| endpoint.network.clone();
        let default = ways.first().map(name);
        let ipv6 = ways.iter().find(|(_, network)| network.has_ipv6());
        let ipv6 = ipv6.map(name).filter(|ipv6| default.as_ref() != Some(ipv6));
        let mut attaches = Vec::new();
        for (number, (endpoint, network)) in found.into_iter().enumerate() {
            let is_way = |way: &Option<String>| way.as_ref() == Some(&endpoint.network);
            let (is_default, is_default_ipv6) = (is_way(&default), is_way(&ipv6));
            attaches.push(Attach {
                is_default_ipv6,
                ..attach(endpoint, network, number, is_default)
            });
        }
        Ok(attaches)
    }

    /// A container that shares networks, or may: with its configuration and name.
    fn sharing(&self, container: &str) -> Result<(Record, ContainerConfig, String), EngineError> {
        let record = self.find(container)?;
        let config = self.config_of(&record)?;
        let name = self.containers.name_of(&record);
        if !config.host.is_bridged() {
            let (container, mode) = (name, config.host.network);
            return Err(EndpointRequestError::OwnNetwork { container, mode }.into());
        }
        Ok((record, config, name))
    }

    /// Connects a container with one more network, now if it runs.
    pub fn connect_network(
        &self,
        endpoint: &EndpointConfig,
        container: &str,
    ) -> Result<(), EngineError> {
        let network = self.networks().find(&endpoint.network)?;
        check(endpoint, &network)?;
        let (record, config, name) = self.sharing(container)?;
        self.change_endpoints(&record, &name, |settings| {
            let mut endpoints = config.endpoints(settings).to_vec();
            if endpoints.iter().any(|known| known.network == network.name) {
                return Err(EndpointRequestError::There {
                    container: name.clone(),
                    network: network.name.clone(),
                });
            }
            endpoints.push(EndpointConfig {
                network: network.name.clone(),
                ..endpoint.clone()
            });
            let attach = self.next_attach(&record, endpoint, &network, &endpoints);
            let attach = Box::new(attach);
            let request = Request::Connect {
                attach,
                endpoints: endpoints.clone(),
            };
            Ok((endpoints, request))
        })?;
        self.emit_network(&network, "connect", Some(record.id.as_str()));
        Ok(())
    }

    /// With the first number that no interface has, and the default route if its priority says so or nothing else leads out.
    fn next_attach(
        &self,
        record: &Record,
        endpoint: &EndpointConfig,
        network: &NetworkConfig,
        endpoints: &[EndpointConfig],
    ) -> Attach {
        let live = self.live_endpoints(record);
        let is_free = |number: &usize| {
            let name = format!("eth{number}");
            live.iter().all(|endpoint| endpoint.interface != name)
        };
        let number = (0..).find(is_free).unwrap_or_default();
        let default = live.iter().find(|endpoint| endpoint.is_default);
        let before = default.map(|default| {
            let mut known = endpoints.iter();
            let known = known.find(|known| known.network == default.network);
            known.map_or(0, |known| known.priority)
        });
        let is_default =
            !network.internal && before.is_none_or(|before| endpoint.priority > before);
        let mut others = live.iter();
        let has_ipv6 = others
            .any(|other| other.leads_out_ipv6() && (other.is_default || other.is_default_ipv6));
        let leads_ipv6 = !network.internal && network.has_ipv6();
        Attach {
            is_default_ipv6: leads_ipv6 && !has_ipv6 && !is_default,
            ..attach(endpoint, network.clone(), number, is_default)
        }
    }

    /// Takes a container out of a network. With `force`, one that is not there is no error.
    pub fn disconnect_network(
        &self,
        network: &str,
        container: &str,
        force: bool,
    ) -> Result<(), EngineError> {
        let network = self.networks().find(network)?;
        let record = self.find(container)?;
        let config = self.config_of(&record)?;
        let name = self.containers.name_of(&record);
        let changed = self.change_endpoints(&record, &name, |settings| {
            let mut endpoints = config.endpoints(settings).to_vec();
            let before = endpoints.len();
            endpoints.retain(|known| known.network != network.name);
            if endpoints.len() == before {
                return Err(EndpointRequestError::NotThere {
                    container: name.clone(),
                    network: network.name.clone(),
                });
            }
            let request = Request::Disconnect {
                network: network.id.clone(),
                endpoints: endpoints.clone(),
            };
            Ok((endpoints, request))
        });
        match changed {
            Err(EngineError::EndpointRequest(EndpointRequestError::NotThere { .. })) if force => {
                return Ok(());
            }
            changed => changed?,
        }
        self.emit_network(&network, "disconnect", Some(record.id.as_str()));
        Ok(())
    }

    /// Makes a running container's places in networks anew; gives its id.
    pub fn reload_networks(&self, container: &str) -> Result<String, EngineError> {
        let (record, _, name) = self.sharing(container)?;
        self.send(&record, &name, &Request::ReloadNetworks)?;
        Ok(record.id.to_string())
    }

    /// The same of all that share networks now.
    pub fn reload_all_networks(&self) -> Result<Vec<String>, EngineError> {
        let records = self.containers.all()?.into_iter();
        let live = records.filter(|record| !self.live_endpoints(record).is_empty());
        let reloaded = live.map(|record| self.reload_networks(record.id.as_str()));
        // What has ended since needs nothing.
        let reloaded = reloaded.filter(|done| !matches!(done, Err(EngineError::NotRunning { .. })));
        reloaded.collect()
    }

    /// Publishes ports of a running container, or no longer.
    pub fn change_ports(
        &self,
        container: &str,
        ports: Vec<PortSpec>,
        publish: bool,
    ) -> Result<(), EngineError> {
        let (record, config, name) = self.sharing(container)?;
        if !publish {
            return self.send(&record, &name, &Request::Unpublish(ports));
        }
        let path = record.path("settings.json");
        let settings = record.settings();
        let settings = settings.map_err(EngineError::file("read", &path))?;
        let places = self.attaches(config.endpoints(&settings))?;
        let ports = at_binding(ports, &places);
        match self.send(&record, &name, &Request::Publish(ports.clone())) {
            // The monitor says which port it is. Whose it is, and what to do, is found by trying the same here.
            Err(refused @ EngineError::Refused { .. }) => {
                let claimed = publish::claim(&ports, publish::Everywhere::Both);
                Err(claimed.map_or_else(|error| self.explain_publish(&error), |_| refused))
            }
            other => other,
        }
    }

    /// Through its monitor if it has one, else in its record.
    fn change_endpoints(
        &self,
        record: &Record,
        name: &str,
        change: impl Fn(&Settings) -> Result<(Vec<EndpointConfig>, Request), EndpointRequestError>,
    ) -> Result<(), EngineError> {
        let path = record.path("settings.json");
        let read = || record.settings().map_err(EngineError::file("read", &path));
        loop {
            if record.status().is_ok_and(|status| status.is_running()) {
                let (_, request) = change(&read()?)?;
                match self.send(record, name, &request) {
                    // It has ended since.
                    Err(EngineError::NotRunning { .. }) => {}
                    other => return other,
                }
            }
            self.wait_for_last_monitor(record, name)?;
            let locked = LockedRecord::acquire(&record.directory);
            let locked = locked.map_err(EngineError::system("lock the container's record"))?;
            // Started meanwhile: its monitor is to be asked.
            let Some(_locked) = locked else { continue };
            let mut settings = read()?;
            settings.endpoints = Some(change(&settings)?.0);
            let written = settings.write(&record.directory);
            return written.map_err(EngineError::file("write", &path));
        }
    }

    /// Who is linked on the default network is there.
    fn check_on_default(&self, container: &str) -> Result<(), EngineError> {
        let record = self.find(container)?;
        let config = self.config_of(&record)?;
        let settings = record.settings().unwrap_or_default();
        let mut places = config.endpoints(&settings).iter();
        match config.host.is_bridged() && places.any(|place| place.network == DEFAULT) {
            true => Ok(()),
            false => Err(EndpointRequestError::NotLinked {
                container: container.to_owned(),
            }
            .into()),
        }
    }

    /// Whether there is what a network's name stands for.
    pub fn check_network(&self, mode: &NetworkMode) -> Result<(), EngineError> {
        if let NetworkMode::Named(name) = mode {
            self.networks().find(name)?;
        }
        Ok(())
    }

    /// Before a container is made: its networks are there, and can be what was asked of them.
    pub(super) fn check_endpoints(&self, endpoints: &[EndpointConfig]) -> Result<(), EngineError> {
        let networks = self.networks();
        let mut seen: Vec<String> = Vec::new();
        for endpoint in endpoints {
            let network = networks.find(&endpoint.network)?;
            check(endpoint, &network)?;
            if seen.contains(&network.id) {
                let network = network.name;
                return Err(EndpointRequestError::Twice { network }.into());
            }
            // The names of other networks are looked for when they are asked for; here only what is linked is known.
            for link in endpoint.links.iter().filter(|_| network.is_default()) {
                let target = link
                    .split_once(':')
                    .map_or(link.as_str(), |(target, _)| target);
                self.check_on_default(target)?;
            }
            seen.push(network.id);
        }
        Ok(())
    }
}

/// Before a container is made: what only shared networks can do is not asked of another.
pub(super) fn check_reach(host: &HostConfig) -> Result<(), EngineError> {
    let asked = [
        ("--egress", host.egress.is_some()),
        ("--host-port", !host.host_ports.is_empty()),
    ];
    let asked = asked.into_iter().find(|(_, asked)| *asked);
    if let (Some((flag, _)), false) = (asked, host.is_bridged()) {
        let mode = host.network.clone();
        return Err(EndpointRequestError::NotShared { flag, mode }.into());
    }
    let ports = host_ports(&host.host_ports)?;
    for (number, port) in ports.iter().enumerate() {
        let port = port.container;
        if ports[..number].iter().any(|other| other.container == port) {
            return Err(EndpointRequestError::HostPortTwice { port }.into());
        }
    }
    Ok(())
}

fn host_ports(texts: &[String]) -> Result<Vec<HostPort>, EngineError> {
    let parsed = texts.iter().map(|text| text.parse());
    Ok(parsed.collect::<Result<_, _>>()?)
}

pub(super) fn check(
    endpoint: &EndpointConfig,
    network: &NetworkConfig,
) -> Result<(), EndpointRequestError> {
    if network.driver != NetworkDriver::Bridge {
        let network = network.name.clone();
        return Err(EndpointRequestError::NoPlaces { network });
    }
    let asked = [endpoint.ipv4.map(IpAddr::V4), endpoint.ipv6.map(IpAddr::V6)];
    for ip in asked.into_iter().flatten() {
        if network.is_default() {
            return Err(EndpointRequestError::AddressOnDefault);
        }
        if !network.pools.iter().any(|pool| pool.subnet.contains(ip)) {
            let network = network.name.clone();
            return Err(EndpointRequestError::ForeignAddress { ip, network });
        }
    }
    match network.is_default() && !endpoint.aliases.is_empty() {
        true => Err(EndpointRequestError::AliasOnDefault),
        false => Ok(()),
    }
}

pub(super) fn attach(
    endpoint: &EndpointConfig,
    network: NetworkConfig,
    number: usize,
    is_default: bool,
) -> Attach {
    let interface = endpoint.interface.clone();
    let links = endpoint.links.iter();
    let links = links.filter_map(|link| link.split_once(':'));
    Attach {
        interface: interface.unwrap_or_else(|| format!("eth{number}")),
        ipv4: endpoint.ipv4,
        ipv6: endpoint.ipv6,
        mac: endpoint.mac.as_deref().and_then(mac_bytes),
        more: endpoint.more.clone(),
        aliases: endpoint.aliases.clone(),
        links: links
            .map(|(target, alias)| (target.to_owned(), alias.to_owned()))
            .collect(),
        network,
        is_default,
        is_default_ipv6: false,
    }
}
