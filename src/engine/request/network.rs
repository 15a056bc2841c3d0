//! What may be asked of networks, and a container's places in them. Values only.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::filter::{FilterError, boolean, split};
use super::label::LabelFilters;
use crate::container::EndpointConfig;
use crate::net::egress::{Egress, Reach};
use crate::net::record::is_name;
use crate::net::static_route::StaticRoute;

/// `network create`, as typed: what it means together is for the engine to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateNetworkRequest {
    pub name: String,
    pub driver: String,
    pub ipam_driver: String,
    pub subnets: Vec<String>,
    pub gateways: Vec<String>,
    pub ranges: Vec<String>,
    /// `name=address`.
    pub auxiliary: Vec<String>,
    pub internal: bool,
    /// None: docker's, IPv4 alone.
    pub ipv6: bool,
    pub attachable: bool,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
    pub ipam_options: BTreeMap<String, String>,
    /// What its containers are limited to; None: they are not.
    pub egress: Option<Egress>,
    /// Asked for what is not known in it, instead of the host's.
    pub servers: Vec<IpAddr>,
    /// Its containers don't know each other by name.
    pub nameless: bool,
    pub routes: Vec<StaticRoute>,
    /// One of this name is no error (podman's `--ignore`).
    pub ignore: bool,
}

/// `network update`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkChange {
    /// Name servers.
    pub add: Vec<IpAddr>,
    pub drop: Vec<IpAddr>,
    /// What its containers are limited to; None: as before.
    pub reach: Option<Reach>,
}

/// `network ls`; a filter that does not count is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkFilters {
    pub dangling: Option<bool>,
    pub drivers: Vec<String>,
    pub ids: Vec<String>,
    pub names: Vec<String>,
    pub labels: LabelFilters,
    pub scopes: Vec<String>,
    /// `builtin` or `custom`.
    pub kinds: Vec<String>,
}

impl NetworkFilters {
    /// Adds one `key=value` of `network ls`.
    pub fn add(&mut self, text: &str) -> Result<(), FilterError> {
        let (key, value) = split(text)?;
        let owned = value.to_owned();
        let wrong = |key, expected| FilterError::Value {
            key,
            value: value.to_owned(),
            expected,
        };
        match key.as_str() {
            "dangling" => {
                self.dangling = Some(boolean(key, value, "neither true nor false")?);
            }
            "driver" => self.drivers.push(owned),
            "id" => self.ids.push(owned),
            "name" => self.names.push(owned),
            "label" => self.labels.want(value),
            "scope" => self.scopes.push(owned),
            "type" if matches!(value, "builtin" | "custom") => self.kinds.push(owned),
            "type" => return Err(wrong(key, "neither builtin nor custom")),
            _ => return Err(FilterError::Key { key }),
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EndpointError {
    #[error("invalid field {text:?}: must be a key=value pair")]
    Field { text: String },
    #[error("invalid field key {key}")]
    Key { key: String },
    #[error("network name/id is not specified")]
    Nameless,
    #[error("invalid IPv4 address: {text}")]
    Ipv4 { text: String },
    #[error("invalid IPv6 address: {text}")]
    Ipv6 { text: String },
    #[error("invalid link-local IP address: {text}")]
    LinkLocal { text: String },
    #[error("{text} is not a valid mac address")]
    Mac { text: String },
    #[error("invalid priority: {text}")]
    Priority { text: String },
    #[error(
        "link-local IP address {ip}: those of 169.254.1.0/24 are bryo's own, for the name server and the host"
    )]
    OwnLinkLocal { ip: IpAddr },
    #[error("conflicting options: cannot specify both {flag} and per-network {what}")]
    Twice {
        flag: &'static str,
        what: &'static str,
    },
    #[error("bad format for links: {text}")]
    Link { text: String },
    #[error("alias {text:?} is no name that others could use")]
    Alias { text: String },
    #[error(
        "driver-opt {text} is not supported: bryo's bridges have com.docker.network.endpoint.ifname alone"
    )]
    Option { text: String },
}

/// The flag of an endpoint that names the interface.
const INTERFACE_OPTION: &str = "com.docker.network.endpoint.ifname";

/// Whether it says more than a network's name. `slirp4netns:mtu=1400` has fields of a driver's.
pub fn has_fields(text: &str) -> bool {
    let of_driver = text.split_once(':');
    let of_driver = of_driver.is_some_and(|(driver, _)| !driver.contains('='));
    text.contains('=') && !of_driver
}

/// `--network NAME` or `--network name=NAME,alias=…,ip=…`.
pub fn parse_endpoint(text: &str) -> Result<EndpointConfig, EndpointError> {
    let mut endpoint = EndpointConfig::default();
    if !has_fields(text) {
        text.clone_into(&mut endpoint.network);
        return Ok(endpoint);
    }
    for field in text.split(',') {
        let (key, value) = field.split_once('=').ok_or_else(|| EndpointError::Field {
            text: field.to_owned(),
        })?;
        match key.trim().to_ascii_lowercase().as_str() {
            "name" => value.clone_into(&mut endpoint.network),
            "alias" => endpoint.aliases.push(parse_alias(value)?),
            "ip" => endpoint.ipv4 = Some(parse_ipv4(value)?),
            "ip6" => endpoint.ipv6 = Some(parse_ipv6(value)?),
            "mac-address" => endpoint.mac = Some(parse_mac(value)?),
            "link-local-ip" => endpoint.more.push(parse_link_local(value)?),
            "gw-priority" => endpoint.priority = parse_priority(value)?,
            "driver-opt" => endpoint.interface = Some(parse_driver_option(value)?),
            other => {
                return Err(EndpointError::Key {
                    key: other.to_owned(),
                });
            }
        }
    }
    match endpoint.network.is_empty() {
        true => Err(EndpointError::Nameless),
        false => Ok(endpoint),
    }
}

fn parsed<T: FromStr>(text: &str, wrong: fn(String) -> EndpointError) -> Result<T, EndpointError> {
    text.parse().map_err(|_| wrong(text.to_owned()))
}

pub fn parse_ipv4(text: &str) -> Result<Ipv4Addr, EndpointError> {
    parsed(text, |text| EndpointError::Ipv4 { text })
}

pub fn parse_ipv6(text: &str) -> Result<Ipv6Addr, EndpointError> {
    parsed(text, |text| EndpointError::Ipv6 { text })
}

pub fn parse_link_local(text: &str) -> Result<IpAddr, EndpointError> {
    let wrong = |text| EndpointError::LinkLocal { text };
    let ip: IpAddr = parsed(text, wrong)?;
    let (is_link_local, is_taken) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[2] == 1),
        IpAddr::V6(ip) => (ip.is_unicast_link_local(), false),
    };
    match (is_link_local, is_taken) {
        (false, _) => Err(wrong(text.to_owned())),
        (true, true) => Err(EndpointError::OwnLinkLocal { ip }),
        (true, false) => Ok(ip),
    }
}

/// What is said of a container's first place beside its `--network`: once, or there.
pub fn add_to_endpoint(
    endpoint: &mut EndpointConfig,
    more: EndpointConfig,
) -> Result<(), EndpointError> {
    let given_twice = [
        (
            "--ip",
            "IPv4 address",
            endpoint.ipv4.is_some() && more.ipv4.is_some(),
        ),
        (
            "--ip6",
            "IPv6 address",
            endpoint.ipv6.is_some() && more.ipv6.is_some(),
        ),
        (
            "--mac-address",
            "MAC address",
            endpoint.mac.is_some() && more.mac.is_some(),
        ),
        (
            "--network-alias",
            "alias",
            !endpoint.aliases.is_empty() && !more.aliases.is_empty(),
        ),
        (
            "--link-local-ip",
            "link-local IP addresses",
            !endpoint.more.is_empty() && !more.more.is_empty(),
        ),
    ];
    if let Some((flag, what, _)) = given_twice.into_iter().find(|(.., twice)| *twice) {
        return Err(EndpointError::Twice { flag, what });
    }
    endpoint.ipv4 = endpoint.ipv4.or(more.ipv4);
    endpoint.ipv6 = endpoint.ipv6.or(more.ipv6);
    endpoint.mac = endpoint.mac.take().or(more.mac);
    endpoint.aliases.extend(more.aliases);
    endpoint.more.extend(more.more);
    endpoint.links.extend(more.links);
    Ok(())
}

pub fn parse_priority(text: &str) -> Result<i64, EndpointError> {
    parsed(text, |text| EndpointError::Priority { text })
}

/// In its one canonical form, `02:42:ac:11:00:02`; one of a group is none of an interface.
pub fn parse_mac(text: &str) -> Result<String, EndpointError> {
    let wrong = || EndpointError::Mac {
        text: text.to_owned(),
    };
    match mac_bytes(text) {
        Some(bytes) if bytes[0] & 1 == 0 && bytes != [0; 6] => {
            Ok(bytes.map(|byte| format!("{byte:02x}")).join(":"))
        }
        _ => Err(wrong()),
    }
}

pub fn mac_bytes(text: &str) -> Option<[u8; 6]> {
    let parts = text.split([':', '-']).map(|part| match part.len() {
        2 => u8::from_str_radix(part, 16).ok(),
        _ => None,
    });
    let bytes: Option<Vec<u8>> = parts.collect();
    bytes?.try_into().ok()
}

/// A name in the DNS: labels of letters, digits, `-` and `_`.
pub fn parse_alias(text: &str) -> Result<String, EndpointError> {
    match is_name(text) && text.len() <= 253 && text.split('.').all(|l| (1..=63).contains(&l.len()))
    {
        true => Ok(text.to_owned()),
        false => Err(EndpointError::Alias {
            text: text.to_owned(),
        }),
    }
}

/// `container[:alias]`, as `container:alias`.
pub fn parse_link(text: &str) -> Result<String, EndpointError> {
    let wrong = || EndpointError::Link {
        text: text.to_owned(),
    };
    let (target, alias) = match text.split_once(':') {
        Some((target, alias)) => (target, alias),
        None => (text, text),
    };
    let target = target.strip_prefix('/').unwrap_or(target);
    let alias = alias.rsplit('/').next().unwrap_or(alias);
    if !is_name(target) || parse_alias(alias).is_err() {
        return Err(wrong());
    }
    Ok(format!("{target}:{alias}"))
}

pub fn parse_driver_option(text: &str) -> Result<String, EndpointError> {
    let wrong = || EndpointError::Option {
        text: text.to_owned(),
    };
    let (key, value) = text.split_once('=').ok_or_else(wrong)?;
    let good = (1..=15).contains(&value.len()) && is_name(value) && value != "lo";
    match key == INTERFACE_OPTION && good {
        true => Ok(value.to_owned()),
        false => Err(wrong()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_name_or_fields() {
        let plain = parse_endpoint("db").unwrap();
        assert_eq!(plain.network, "db");
        let text =
            "name=db,alias=a,alias=b.c,ip=10.9.0.5,mac-address=02-42-0a-09-00-05,gw-priority=-1";
        let long = parse_endpoint(text).unwrap();
        assert_eq!(long.aliases, ["a", "b.c"]);
        assert_eq!(long.mac.as_deref(), Some("02:42:0a:09:00:05"));
        assert_eq!((long.priority, long.ipv4.is_some()), (-1, true));
        for (wrong, words) in [
            ("alias=x", "network name/id is not specified"),
            ("name=x,y", "invalid field \"y\": must be a key=value pair"),
            ("name=x,colour=red", "invalid field key colour"),
            ("name=x,ip=1.2.3", "invalid IPv4 address: 1.2.3"),
            (
                "name=x,mac-address=01:00:00:00:00:00",
                "01:00:00:00:00:00 is not a valid mac address",
            ),
            (
                "name=x,alias=a b",
                "alias \"a b\" is no name that others could use",
            ),
        ] {
            assert_eq!(parse_endpoint(wrong).unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn links_name_a_container_and_what_it_is_called() {
        assert_eq!(parse_link("db").unwrap(), "db:db");
        assert_eq!(parse_link("/db:/web/store").unwrap(), "db:store");
        for wrong in ["", ":x", "db:", "db:a\nb"] {
            assert!(parse_link(wrong).is_err(), "{wrong:?}");
        }
    }
}
