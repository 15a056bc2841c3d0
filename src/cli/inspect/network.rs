//! A network as docker's `network inspect` shows it: the same keys, in the same order.

use serde_json::{Map, Value, json};

use crate::engine::{NetworkMember, NetworkSummary};
use crate::net::record::{DEFAULT, NetworkConfig, Pool};
use crate::net::wire::Address;

pub fn document(summary: &NetworkSummary) -> Value {
    let network = &summary.network;
    let members = summary.members.iter();
    let containers: Map<String, Value> = members
        .map(|member| (member.id.clone(), container(member)))
        .collect();
    let ipam_options = match (network.ipam_options.is_empty(), network.name.as_str()) {
        (true, DEFAULT | "host" | "none") => Value::Null,
        _ => json!(network.ipam_options),
    };
    let mut document = json!({
        "Name": network.name,
        "Id": network.id,
        "Created": network.created,
        "Scope": "local",
        "Driver": network.driver.name(),
        "EnableIPv4": true,
        "EnableIPv6": network.ipv6,
        "IPAM": {
            "Driver": "default",
            "Options": ipam_options,
            "Config": network.pools.iter().map(pool).collect::<Vec<_>>(),
        },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": false,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": false,
        "Containers": containers,
        "Options": network.options,
        "Labels": network.labels,
    });
    // What docker's networks have not.
    let more = [
        (
            "Egress",
            network.egress.as_ref().map(|e| json!(e.to_string())),
        ),
        ("DNSEnabled", network.nameless.then(|| json!(false))),
        (
            "NetworkDNSServers",
            (!network.servers.is_empty()).then(|| json!(network.servers)),
        ),
        (
            "Routes",
            (!network.routes.is_empty()).then(|| routes(network)),
        ),
    ];
    if let Some(map) = document.as_object_mut() {
        for (key, value) in more {
            map.extend(value.map(|value| (key.to_owned(), value)));
        }
    }
    document
}

fn routes(network: &NetworkConfig) -> Value {
    let routes = network.routes.iter().map(|route| {
        json!({"Destination": route.to.to_string(), "Gateway": route.gateway, "Metric": route.metric})
    });
    routes.collect()
}

fn pool(pool: &Pool) -> Value {
    let mut map = Map::new();
    map.insert("Subnet".to_owned(), pool.subnet.to_string().into());
    if let Some(range) = pool.range {
        map.insert("IPRange".to_owned(), range.to_string().into());
    }
    map.insert("Gateway".to_owned(), pool.gateway.to_string().into());
    if !pool.auxiliary.is_empty() {
        map.insert("AuxiliaryAddresses".to_owned(), json!(pool.auxiliary));
    }
    map.into()
}

fn container(member: &NetworkMember) -> Value {
    let shown = |address: Option<Address>| {
        address.map_or(String::new(), |a| format!("{}/{}", a.ip, a.prefix))
    };
    let endpoint = &member.endpoint;
    json!({
        "Name": member.name,
        "EndpointID": endpoint.id,
        "MacAddress": endpoint.mac,
        "IPv4Address": shown(endpoint.ipv4()),
        "IPv6Address": shown(endpoint.ipv6()),
    })
}
