//! Where a container is connected, as docker's `inspect` shows it: what was asked of each place, and what it got if it runs.

use serde_json::{Map, Value, json};

use crate::container::EndpointConfig;
use crate::engine::ContainerSummary;
use crate::net::wire::Endpoint;

pub fn document(container: &ContainerSummary) -> Value {
    let mut map = Map::new();
    let wanted = container.config.endpoints(&container.settings);
    for endpoint in wanted {
        let mut live = container.endpoints.iter();
        let live = live.find(|live| live.network == endpoint.network);
        map.insert(endpoint.network.clone(), place(endpoint, live));
    }
    if !container.config.host.is_bridged() {
        let name = container.config.host.network.clone();
        map.insert(name, place(&EndpointConfig::default(), None));
    }
    map.into()
}

fn place(wanted: &EndpointConfig, live: Option<&Endpoint>) -> Value {
    let ipv4 = live.and_then(Endpoint::ipv4);
    let ipv6 = live.and_then(Endpoint::ipv6);
    let text = |ip: Option<std::net::IpAddr>| ip.map_or_else(String::new, |ip| ip.to_string());
    let list = |items: &[String]| match items {
        [] => Value::Null,
        items => items.into(),
    };
    let options = wanted.interface.as_ref().map(|name| {
        let key = "com.docker.network.endpoint.ifname";
        json!({key: name})
    });
    json!({
        "IPAMConfig": asked(wanted),
        "Links": list(&wanted.links),
        "Aliases": list(&wanted.aliases),
        "DriverOpts": options,
        "GwPriority": wanted.priority,
        "NetworkID": live.map_or("", |live| &live.network_id),
        "EndpointID": live.map_or("", |live| &live.id),
        "Gateway": text(ipv4.and_then(|address| address.gateway)),
        "IPAddress": text(ipv4.map(|address| address.ip)),
        "MacAddress": match live {
            Some(live) => live.mac.clone(),
            None => wanted.mac.clone().unwrap_or_default(),
        },
        "IPPrefixLen": ipv4.map_or(0, |address| address.prefix),
        "IPv6Gateway": text(ipv6.and_then(|address| address.gateway)),
        "GlobalIPv6Address": text(ipv6.map(|address| address.ip)),
        "GlobalIPv6PrefixLen": ipv6.map_or(0, |address| address.prefix),
        "DNSNames": live.map_or(Value::Null, |live| list(&live.names)),
    })
}

/// Addresses that were asked for.
fn asked(wanted: &EndpointConfig) -> Value {
    let mut map = Map::new();
    if let Some(ip) = wanted.ipv4 {
        map.insert("IPv4Address".to_owned(), ip.to_string().into());
    }
    if let Some(ip) = wanted.ipv6 {
        map.insert("IPv6Address".to_owned(), ip.to_string().into());
    }
    if !wanted.more.is_empty() {
        map.insert("LinkLocalIPs".to_owned(), json!(wanted.more));
    }
    match map.is_empty() {
        true => Value::Null,
        false => map.into(),
    }
}
