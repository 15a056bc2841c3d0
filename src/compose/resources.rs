//! A project's networks and volumes as requests to the engine, and which of them are meant. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::fingerprint;
use super::labels;
use super::model::{Named, Network, Project, Texts, Volume};
use crate::engine::request::{CreateNetworkRequest, CreateVolumeRequest};
use crate::net::egress::{Egress, EgressError};

#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    #[error("network {network:?}: x-bryo-egress {value:?}")]
    Egress {
        network: String,
        value: String,
        #[source]
        source: EgressError,
    },
    #[error(
        "network {network:?}: enable_ipv4 is always true: a network without IPv4 is not supported by bryo"
    )]
    NoIpv4 { network: String },
}

/// The keys of the networks that services have.
pub fn networks_of(project: &Project, services: &BTreeSet<String>) -> BTreeSet<String> {
    let chosen = chosen(project, services);
    chosen
        .filter(|service| service.network_mode.is_empty())
        .flat_map(|service| service.networks.keys().cloned())
        .collect()
}

/// The keys of the volumes that services mount.
pub fn volumes_of(project: &Project, services: &BTreeSet<String>) -> BTreeSet<String> {
    let mounts = chosen(project, services).flat_map(|service| &service.volumes);
    let sources = mounts.map(|mount| mount.source.clone());
    sources
        .filter(|source| project.volumes.contains_key(source))
        .collect()
}

fn chosen<'p>(
    project: &'p Project,
    services: &BTreeSet<String>,
) -> impl Iterator<Item = &'p super::Service> {
    let services = services.clone();
    let all = project.services.iter();
    all.filter(move |(name, _)| services.contains(*name))
        .map(|(_, service)| service)
}

fn labelled(of: &Texts, own: [(&str, &str); 3], hash: String) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = of.clone().into_iter().collect();
    let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
    all.extend(own);
    all.insert(labels::CONFIG_HASH.to_owned(), hash);
    all
}

pub fn network(
    project: &str,
    key: &str,
    network: &Network,
) -> Result<CreateNetworkRequest, ResourceError> {
    if network.enable_ipv4 == Some(false) {
        return Err(ResourceError::NoIpv4 {
            network: key.to_owned(),
        });
    }
    let egress = network.egress.as_ref().map(|rules| {
        let value = rules.join(",");
        value
            .parse::<Egress>()
            .map_err(|source| ResourceError::Egress {
                network: key.to_owned(),
                value: value.clone(),
                source,
            })
    });
    let own = [
        (labels::PROJECT, project),
        (labels::NETWORK, key),
        (labels::VERSION, labels::COMPOSE_VERSION),
    ];
    let pools = &network.ipam.config;
    let each = |of: fn(&super::model::Pool) -> &String| {
        let texts = pools.iter().map(of).filter(|text| !text.is_empty());
        texts.cloned().collect::<Vec<_>>()
    };
    let auxiliary = pools.iter().flat_map(|pool| &pool.aux_addresses);
    let or_default = |text: &str, default: &str| match text {
        "" => default.to_owned(),
        text => text.to_owned(),
    };
    Ok(CreateNetworkRequest {
        name: network.name.clone(),
        driver: or_default(&network.driver, "bridge"),
        ipam_driver: or_default(&network.ipam.driver, "default"),
        subnets: each(|pool| &pool.subnet),
        gateways: each(|pool| &pool.gateway),
        ranges: each(|pool| &pool.ip_range),
        auxiliary: auxiliary.map(|(name, ip)| format!("{name}={ip}")).collect(),
        internal: network.internal,
        ipv6: network.enable_ipv6 == Some(true),
        attachable: network.attachable,
        labels: labelled(&network.labels, own, fingerprint::network(network)),
        options: network.driver_opts.clone().into_iter().collect(),
        ipam_options: BTreeMap::new(),
        egress: egress.transpose()?,
        servers: Vec::new(),
        nameless: false,
        routes: Vec::new(),
        ignore: false,
    })
}

pub fn volume(project: &str, key: &str, volume: &Volume) -> CreateVolumeRequest {
    let own = [
        (labels::PROJECT, project),
        (labels::VOLUME, key),
        (labels::VERSION, labels::COMPOSE_VERSION),
    ];
    CreateVolumeRequest {
        name: Some(volume.name.clone()),
        driver: volume.driver.clone(),
        labels: labelled(&volume.labels, own, fingerprint::volume(volume)),
        options: volume.driver_opts.clone().into_iter().collect(),
        uid: None,
        gid: None,
    }
}

/// Those of the keys that the project has itself, in the order of the keys.
pub fn own<'p, T>(
    all: &'p Named<T>,
    keys: &'p BTreeSet<String>,
) -> impl Iterator<Item = (&'p String, &'p T)> {
    all.iter().filter(|(key, _)| keys.contains(*key))
}
