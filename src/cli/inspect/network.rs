//! A network as docker's `network inspect` shows it: the same keys, in the same order.

use serde_json::{Map, Value, json};

use crate::engine::{NetworkMember, NetworkSummary};
use crate::net::record::{
    BINDING_OPTION, DEFAULT, ICC_OPTION, MTU_OPTIONS, NetworkConfig, NetworkDriver, Pool,
};
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
    let pools = match network.driver {
        NetworkDriver::Bridge => network.pools.iter().map(pool).collect(),
        _ => Value::Null,
    };
    let options = match network.is_default() {
        true => options_of_default(network),
        false => json!(network.options),
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
            "Config": pools,
        },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": false,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": false,
        "Containers": containers,
        "Options": options,
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

/// What docker's default network says of itself, as it is here.
fn options_of_default(network: &NetworkConfig) -> Value {
    json!({
        "com.docker.network.bridge.default_bridge": "true",
        ICC_OPTION: network.has_traffic_between().to_string(),
        "com.docker.network.bridge.enable_ip_masquerade": "true",
        BINDING_OPTION: "0.0.0.0",
        "com.docker.network.bridge.name": network.interface(),
        MTU_OPTIONS[0]: network.mtu().to_string(),
    })
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
