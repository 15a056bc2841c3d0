//! The verbs on networks. What is connected with one is read from the containers' records; the network itself is only there
//! while a container is.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::request::{CreateNetworkRequest, NetworkFilters, PruneFilters};
use super::{Engine, EngineError};
use crate::container::{ContainerConfig, Event, EventKind, Record};
use crate::monitor::read_endpoints;
use crate::net::record::{
    BINDING_OPTION, DEFAULT, ICC_OPTION, MTU_OPTIONS, NetworkConfig, NetworkDriver, NetworkError,
    Networks, Pool, is_name, random_id,
};
use crate::net::static_route::StaticRoute;
use crate::net::subnet::{Subnet, SubnetError};
use crate::net::wire::Endpoint;

/// A network, and the running containers that are in it.
#[derive(Clone, Debug)]
pub struct NetworkSummary {
    pub network: NetworkConfig,
    pub members: Vec<NetworkMember>,
    /// Containers, running or not, that are to be in it.
    pub users: usize,
}

#[derive(Clone, Debug)]
pub struct NetworkMember {
    pub id: String,
    pub name: String,
    pub endpoint: Endpoint,
}

/// What is wrong with a network that was asked for, in docker's words where it has any.
#[derive(Debug, thiserror::Error)]
pub enum NetworkRequestError {
    #[error("invalid network name: {name:?}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    Name { name: String },
    #[error("operation is not permitted on predefined {name} network")]
    Predefined { name: String },
    #[error(
        "network name {name} cannot be used: it is a word of --network that means something else"
    )]
    Word { name: String },
    #[error("could not find plugin {driver} in v1 plugin registry: plugin not found")]
    Driver { driver: String },
    #[error("network driver {driver}: {reason}")]
    Impossible {
        driver: String,
        reason: &'static str,
    },
    #[error("ipam driver {driver} is not supported: bryo's networks have `default` alone")]
    Ipam { driver: String },
    #[error("no matching subnet for {what} {value}")]
    NoSubnet { what: &'static str, value: String },
    #[error("{what} without a --subnet of its family")]
    Without { what: &'static str },
    #[error("invalid {what}: {value}")]
    Invalid { what: &'static str, value: String },
    #[error(transparent)]
    Subnet(#[from] SubnetError),
    #[error("subnet {subnet} is too small for a gateway and a container")]
    Small { subnet: Subnet },
    #[error(
        "network option isolate={value}: bryo's networks are always apart; connect the containers with a second one"
    )]
    NeverJoined { value: String },
    #[error("network option {key} is not supported{}", reason_for(key))]
    Option { key: String },
    #[error("multiple overlapping subnet configuration is not supported: {first} and {second}")]
    Overlapping { first: Subnet, second: Subnet },
    #[error("a network has one subnet of each family, and {first} and {second} are of one")]
    SameFamily { first: Subnet, second: Subnet },
    #[error("cannot configure multiple {what}s ({first}, {second}) for the same subnet ({subnet})")]
    Several {
        what: &'static str,
        first: String,
        second: String,
        subnet: Subnet,
    },
    #[error("failed to allocate {what} ({ip}): Address already in use: {reason}")]
    Reserved {
        what: String,
        ip: IpAddr,
        reason: &'static str,
    },
    #[error("network {name} has no names (--disable-dns), so nobody asks its name servers")]
    Nameless { name: String },
    #[error("route {route}: the gateway is in no subnet of the network")]
    ForeignGateway { route: StaticRoute },
    #[error("network {name} has no name servers: its containers have the host's")]
    NoServers { name: String },
    #[error(
        "network {name} is one of docker's own: what its containers reach is the host's, or nothing"
    )]
    NoLimit { name: String },
    #[error("network {name} has its last list again: {message}")]
    NotLimited { name: String, message: String },
    #[error("network {name} has the new list, which is not in force yet for {}: {reason}", containers.join(", "))]
    NotYetLimited {
        name: String,
        containers: Vec<String>,
        reason: &'static str,
    },
    #[error("error while removing network: network {name} has active endpoints ({})", users.join(", "))]
    InUse { name: String, users: Vec<String> },
}

impl Engine {
    pub fn networks(&self) -> Networks {
        Networks::new(&self.paths)
    }

    /// Makes a network; gives its id.
    pub fn create_network(&self, request: &CreateNetworkRequest) -> Result<String, EngineError> {
        let name = &request.name;
        if !is_name(name) {
            return Err(NetworkRequestError::Name { name: name.clone() }.into());
        }
        if is_predefined(name) {
            return Err(NetworkRequestError::Predefined { name: name.clone() }.into());
        }
        if matches!(name.as_str(), "default" | "pasta" | "slirp4netns") {
            return Err(NetworkRequestError::Word { name: name.clone() }.into());
        }
        check_drivers(request)?;
        check_options(&request.options)?;
        if request.nameless && !request.servers.is_empty() {
            return Err(NetworkRequestError::Nameless { name: name.clone() }.into());
        }
        let networks = self.networks();
        // The default one takes its range first.
        let others = networks.all()?;
        let _alone = networks.lock()?;
        if let Some(known) = others.iter().find(|network| network.name == *name) {
            return match request.ignore {
                true => Ok(known.id.clone()),
                false => Err(NetworkError::Exists { name: name.clone() }.into()),
            };
        }
        let others = networks.all()?;
        let id = random_id().map_err(EngineError::system("make a network's id"))?;
        let mut pools = pools(request)?;
        for pool in &pools {
            if let Some(other) = Networks::owner_of(pool.subnet, &others) {
                let (subnet, other) = (pool.subnet, other.name.clone());
                return Err(NetworkError::Overlap { subnet, other }.into());
            }
        }
        if !pools.iter().any(|pool| pool.subnet.is_ipv4()) {
            pools.insert(0, networks.choose_ipv4(&others)?);
        }
        let has_ipv6 = pools.iter().any(|pool| !pool.subnet.is_ipv4());
        if request.ipv6 && !has_ipv6 {
            pools.push(Networks::choose_ipv6(&id));
        }
        check_routes(&request.routes, &pools)?;
        let network = NetworkConfig {
            name: name.clone(),
            created: jiff::Timestamp::now().to_string(),
            driver: NetworkDriver::Bridge,
            ipv6: request.ipv6 || has_ipv6,
            pools,
            internal: request.internal,
            attachable: request.attachable,
            labels: request.labels.clone(),
            options: request.options.clone(),
            ipam_options: request.ipam_options.clone(),
            egress: request.egress.clone(),
            servers: request.servers.clone(),
            nameless: request.nameless,
            routes: request.routes.clone(),
            id,
        };
        networks.write(&network)?;
        self.emit_network(&network, "create", None);
        Ok(network.id)
    }

    pub(super) fn emit_network(
        &self,
        network: &NetworkConfig,
        action: &str,
        container: Option<&str>,
    ) {
        let event = Event::new(EventKind::Network, network.id.clone(), action);
        let event = event
            .with("name", network.name.as_str())
            .with("type", network.driver.name());
        self.emit(&match container {
            Some(id) => event.with("container", id),
            None => event,
        });
    }

    /// By name or id.
    pub fn network(&self, name: &str) -> Result<NetworkSummary, EngineError> {
        let network = self.networks().find(name)?;
        Ok(self.summaries(vec![network])?.remove(0))
    }

    pub fn list_networks(
        &self,
        filters: &NetworkFilters,
    ) -> Result<Vec<NetworkSummary>, EngineError> {
        let all = self.summaries(self.networks().all()?)?;
        Ok(all.into_iter().filter(|n| filters.keep(n)).collect())
    }

    fn summaries(&self, networks: Vec<NetworkConfig>) -> Result<Vec<NetworkSummary>, EngineError> {
        let mut all: Vec<NetworkSummary> = networks
            .into_iter()
            .map(|network| NetworkSummary {
                network,
                members: Vec::new(),
                users: 0,
            })
            .collect();
        for record in self.containers.all()? {
            let Ok(config) = record.config() else {
                continue;
            };
            for endpoint in self.live_endpoints(&record) {
                let of = |n: &&mut NetworkSummary| n.network.id == endpoint.network_id;
                if let Some(summary) = all.iter_mut().find(of) {
                    summary.members.push(NetworkMember {
                        id: record.id.to_string(),
                        name: self.containers.name_after(&record, &config.name),
                        endpoint,
                    });
                }
            }
            let wanted = wanted_networks(&record, &config);
            for summary in &mut all {
                summary.users += usize::from(wanted.contains(&summary.network.name));
            }
        }
        Ok(all)
    }

    /// Where a running container is connected.
    pub(super) fn live_endpoints(&self, record: &Record) -> Vec<Endpoint> {
        match record.is_held() {
            Ok(true) => read_endpoints(&record.directory),
            _ => Vec::new(),
        }
    }

    /// Refused while a running container is in it.
    pub fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let networks = self.networks();
        let _alone = networks.lock()?;
        let summary = self.network(name)?;
        let network = &summary.network;
        if is_predefined(&network.name) {
            let name = network.name.clone();
            return Err(NetworkRequestError::Predefined { name }.into());
        }
        if !summary.members.is_empty() {
            let users = summary.members.iter().map(|member| {
                let endpoint = member.endpoint.id.get(..12).unwrap_or_default();
                format!("name:{:?} id:{endpoint:?}", member.name)
            });
            return Err(NetworkRequestError::InUse {
                name: network.name.clone(),
                users: users.collect(),
            }
            .into());
        }
        networks.remove(network)?;
        self.emit_network(network, "destroy", None);
        Ok(())
    }

    /// Removes the networks that no container is to be in; gives their names.
    pub fn prune_networks(&self, filters: &PruneFilters) -> Result<Vec<String>, EngineError> {
        let mut removed = Vec::new();
        for summary in self.list_networks(&NetworkFilters::default())? {
            let network = &summary.network;
            if !filters.matches(network.created.parse().ok(), &network.labels) {
                continue;
            }
            let name = &network.name;
            if summary.users > 0 || !summary.members.is_empty() || is_predefined(name) {
                continue;
            }
            match self.remove_network(name) {
                Ok(()) => removed.push(name.clone()),
                // Somebody uses or has removed it since.
                Err(
                    EngineError::NetworkRequest(NetworkRequestError::InUse { .. })
                    | EngineError::Network(NetworkError::NotFound { .. }),
                ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }
}

/// The names of the networks that a container is to be in when it runs.
fn wanted_networks(record: &Record, config: &ContainerConfig) -> Vec<String> {
    let settings = record.settings().unwrap_or_default();
    let endpoints = config.endpoints(&settings).iter();
    endpoints.map(|endpoint| endpoint.network.clone()).collect()
}

pub(super) fn is_predefined(name: &str) -> bool {
    matches!(name, DEFAULT | "host" | "none")
}

fn check_drivers(request: &CreateNetworkRequest) -> Result<(), NetworkRequestError> {
    let reason = match request.driver.as_str() {
        "bridge" => None,
        "macvlan" | "ipvlan" => {
            Some("only root can put an interface onto one of the host's; use a bridge, and -p")
        }
        "overlay" => Some("bryo has no swarm"),
        "host" | "null" | "none" => Some("only one instance of it is allowed"),
        driver => {
            return Err(NetworkRequestError::Driver {
                driver: driver.to_owned(),
            });
        }
    };
    if let Some(reason) = reason {
        let driver = request.driver.clone();
        return Err(NetworkRequestError::Impossible { driver, reason });
    }
    match request.ipam_driver.as_str() {
        "default" | "" | "host-local" => Ok(()),
        driver => Err(NetworkRequestError::Ipam {
            driver: driver.to_owned(),
        }),
    }
}

fn check_routes(routes: &[StaticRoute], pools: &[Pool]) -> Result<(), NetworkRequestError> {
    let is_foreign = |route: &&StaticRoute| {
        let mut pools = pools.iter();
        !pools.any(|pool| pool.subnet.contains(route.gateway))
    };
    match routes.iter().find(is_foreign) {
        Some(route) => Err(NetworkRequestError::ForeignGateway { route: *route }),
        None => Ok(()),
    }
}

fn check_options(options: &BTreeMap<String, String>) -> Result<(), NetworkRequestError> {
    for (key, value) in options {
        let invalid = |what| NetworkRequestError::Invalid {
            what,
            value: value.clone(),
        };
        match key.as_str() {
            key if MTU_OPTIONS.contains(&key) => {
                let mtu = value.parse::<u32>().ok();
                mtu.filter(|mtu| (68..=65535).contains(mtu))
                    .ok_or_else(|| invalid("MTU"))?;
            }
            ICC_OPTION => {
                value.parse::<bool>().map_err(|_| invalid(ICC_OPTION))?;
            }
            BINDING_OPTION => {
                value
                    .parse::<Ipv4Addr>()
                    .map_err(|_| invalid(BINDING_OPTION))?;
            }
            // What they are always.
            "com.docker.network.bridge.enable_ip_masquerade"
                if value.parse::<bool>() == Ok(true) => {}
            "com.docker.network.bridge.gateway_mode_ipv4"
            | "com.docker.network.bridge.gateway_mode_ipv6"
                if value == "nat" => {}
            // podman's: bryo's networks are always apart, whatever theirs say.
            "isolate" if matches!(value.as_str(), "true" | "strict") => {}
            "isolate" => {
                return Err(NetworkRequestError::NeverJoined {
                    value: value.clone(),
                });
            }
            _ => return Err(NetworkRequestError::Option { key: key.clone() }),
        }
    }
    Ok(())
}

/// Docker's options that have nothing to act upon here, or another way.
fn reason_for(key: &str) -> &'static str {
    match key.strip_prefix("com.docker.network.").unwrap_or_default() {
        "bridge.name" => {
            ": the bridges are in a namespace of their own, where bryo's rules know them by their names"
        }
        "bridge.enable_ip_masquerade" | "bridge.gateway_mode_ipv4" | "bridge.gateway_mode_ipv6" => {
            ": without root nothing leads to the containers' own addresses; for a network without a way out there is --internal"
        }
        "bridge.inhibit_ipv4" => ": containers reach the outside by the bridge's address",
        "bridge.trusted_host_interfaces" => {
            ": no interface of the host's leads to the containers' own addresses"
        }
        "host_ipv4" | "host_ipv6" => {
            ": --network pasta:--outbound,ADDRESS chooses it for one container"
        }
        "container_iface_prefix" => {
            ": --network name=NETWORK,driver-opt=com.docker.network.endpoint.ifname=NAME says one container's"
        }
        _ => "",
    }
}

/// The ranges that were asked for, each with what belongs to it.
fn pools(request: &CreateNetworkRequest) -> Result<Vec<Pool>, NetworkRequestError> {
    let mut pools = Vec::new();
    for text in &request.subnets {
        let subnet: Subnet = text.parse()?;
        if subnet.at(3).is_none() {
            return Err(NetworkRequestError::Small { subnet });
        }
        check_beside(subnet, &pools)?;
        pools.push(Pool::of(subnet));
    }
    let mut gateways: Vec<IpAddr> = Vec::new();
    for text in &request.gateways {
        let ip = address("gateway", text)?;
        let pool = pool_of(&mut pools, "gateway", ip, text)?;
        let mut before = gateways
            .iter()
            .filter(|known| pool.subnet.contains(**known));
        if let Some(first) = before.next() {
            return Err(several("gateway", first, &ip, pool.subnet));
        }
        gateways.push(ip);
        pool.gateway = ip;
    }
    for text in &request.ranges {
        let range: Subnet = text.parse()?;
        let pool = pool_of(&mut pools, "ip-range", range.base(), text)?;
        if !range.is_within(pool.subnet) {
            return Err(NetworkRequestError::NoSubnet {
                what: "ip-range",
                value: text.clone(),
            });
        }
        if let Some(first) = pool.range {
            return Err(several("range", &first, &range, pool.subnet));
        }
        pool.range = Some(range);
    }
    for text in &request.auxiliary {
        let invalid = || NetworkRequestError::Invalid {
            what: "aux-address",
            value: text.clone(),
        };
        let (name, value) = text.split_once('=').ok_or_else(invalid)?;
        let ip = address("aux-address", value)?;
        let pool = pool_of(&mut pools, "aux-address", ip, value)?;
        pool.auxiliary.insert(name.to_owned(), ip);
    }
    pools.iter().try_for_each(check_reserved)?;
    Ok(pools)
}

/// The places of a network have one address of each family.
fn check_beside(subnet: Subnet, pools: &[Pool]) -> Result<(), NetworkRequestError> {
    let of_family = |pool: &&Pool| pool.subnet.is_ipv4() == subnet.is_ipv4();
    let Some(other) = pools.iter().find(of_family) else {
        return Ok(());
    };
    let (first, second) = (other.subnet, subnet);
    Err(match first.overlaps(second) {
        true => NetworkRequestError::Overlapping { first, second },
        false => NetworkRequestError::SameFamily { first, second },
    })
}

/// The gateway and what is kept free are addresses that a machine can have, each once.
fn check_reserved(pool: &Pool) -> Result<(), NetworkRequestError> {
    let reserved = |what: &str, ip: IpAddr, reason| NetworkRequestError::Reserved {
        what: what.to_owned(),
        ip,
        reason,
    };
    let unusable = "it is the subnet's own or its broadcast address";
    if !pool.subnet.is_usable(pool.gateway) {
        return Err(reserved("gateway", pool.gateway, unusable));
    }
    let mut taken = vec![pool.gateway];
    for (name, ip) in &pool.auxiliary {
        let what = format!("aux-address {name}");
        if !pool.subnet.is_usable(*ip) {
            return Err(reserved(&what, *ip, unusable));
        }
        if taken.contains(ip) {
            return Err(reserved(&what, *ip, "it is given twice, or the gateway's"));
        }
        taken.push(*ip);
    }
    Ok(())
}

fn several(
    what: &'static str,
    first: &dyn std::fmt::Display,
    second: &dyn std::fmt::Display,
    subnet: Subnet,
) -> NetworkRequestError {
    NetworkRequestError::Several {
        what,
        first: first.to_string(),
        second: second.to_string(),
        subnet,
    }
}

fn address(what: &'static str, text: &str) -> Result<IpAddr, NetworkRequestError> {
    text.parse().map_err(|_| NetworkRequestError::Invalid {
        what,
        value: text.to_owned(),
    })
}

fn pool_of<'a>(
    pools: &'a mut [Pool],
    what: &'static str,
    ip: IpAddr,
    text: &str,
) -> Result<&'a mut Pool, NetworkRequestError> {
    if pools.is_empty() {
        return Err(NetworkRequestError::Without { what });
    }
    let found = pools.iter_mut().find(|pool| pool.subnet.contains(ip));
    found.ok_or_else(|| NetworkRequestError::NoSubnet {
        what,
        value: text.to_owned(),
    })
}

impl NetworkFilters {
    fn keep(&self, summary: &NetworkSummary) -> bool {
        let network = &summary.network;
        let any = |wanted: &[String], fits: &dyn Fn(&String) -> bool| {
            wanted.is_empty() || wanted.iter().any(fits)
        };
        let kind = match is_predefined(&network.name) {
            true => "builtin",
            false => "custom",
        };
        let idle = kind == "custom" && summary.users == 0 && summary.members.is_empty();
        self.dangling.is_none_or(|dangling| dangling == idle)
            && any(&self.drivers, &|driver| driver == network.driver.name())
            && any(&self.ids, &|id| network.id.contains(id.as_str()))
            && any(&self.names, &|name| network.name.contains(name.as_str()))
            && any(&self.scopes, &|scope| scope == "local")
            && any(&self.kinds, &|wanted| wanted == kind)
            && self.labels.fit(&network.labels)
    }
}
