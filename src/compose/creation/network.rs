//! How a container is connected, and which names it knows.

use std::net::IpAddr;

use super::{Container, ServiceError};
use crate::compose::model::{NetworkPlace, Port};
use crate::container::{EndpointConfig, NameConfig};
use crate::engine::request::{
    CreateRequest, NetworkMode, parse_alias, parse_driver_option, parse_ipv4, parse_ipv6,
    parse_link, parse_link_local, parse_mac,
};
use crate::net::egress::Egress;
use crate::net::hosts::ExtraHost;
use crate::net::ports::{ExposedPorts, PortSpec};

impl Container<'_> {
    pub(super) fn connect(
        &self,
        request: &mut CreateRequest,
        warn: &mut dyn FnMut(String),
    ) -> Result<(), ServiceError> {
        let service = self.service;
        match service.network_mode.as_str() {
            "" => {
                request.endpoints = self.places()?;
                request.network = match request.endpoints.first() {
                    Some(first) => NetworkMode::Named(first.network.clone()),
                    None => NetworkMode::None,
                };
            }
            mode => {
                request.network = self.of().parse("network_mode", &self.mode(mode)?)?;
                if let NetworkMode::Named(network) = &request.network {
                    request.endpoints = vec![EndpointConfig {
                        network: network.clone(),
                        ..EndpointConfig::default()
                    }];
                }
            }
        }
        let ports = service.ports.iter().map(|port| self.port(port));
        let ports = ports.collect::<Result<Vec<_>, _>>()?;
        match request.network {
            NetworkMode::None | NetworkMode::Host if !ports.is_empty() => warn(format!(
                "published ports of service {:?} are discarded when using {} network mode",
                service.name, request.network
            )),
            _ => request.ports = ports,
        }
        for text in &service.expose {
            let ports: ExposedPorts = self.of().parse("expose", text)?;
            let each = ports.ports.ports();
            let each = each.map(|port| format!("{port}/{}", ports.protocol));
            request.expose.extend(each);
        }
        if let Some(rules) = &service.egress {
            let egress: Egress = self.of().parse("x-bryo-egress", &rules.join(","))?;
            request.egress = Some(egress.to_string());
        }
        request.names = self.names()?;
        Ok(())
    }

    /// Its places in the project's networks: what has the highest priority comes first.
    fn places(&self) -> Result<Vec<EndpointConfig>, ServiceError> {
        let service = self.service;
        let mut places: Vec<(&String, NetworkPlace)> = service
            .networks
            .iter()
            .map(|(key, place)| (key, place.clone().unwrap_or_default()))
            .collect();
        places.sort_by(|(a, of_a), (b, of_b)| of_b.priority.cmp(&of_a.priority).then(a.cmp(b)));
        let links = self.links()?;
        let mut endpoints = Vec::new();
        for (number, (key, place)) in places.into_iter().enumerate() {
            let mut endpoint = self.place(key, &place)?;
            endpoint.links.clone_from(&links);
            if number == 0 && !service.mac_address.is_empty() && endpoint.mac.is_none() {
                let mac = parse_mac(&service.mac_address);
                endpoint.mac =
                    Some(mac.map_err(self.of().value("mac_address", &service.mac_address))?);
            }
            endpoints.push(endpoint);
        }
        Ok(endpoints)
    }

    fn place(&self, key: &str, place: &NetworkPlace) -> Result<EndpointConfig, ServiceError> {
        let of = self.of();
        let network = self.project.networks.get(key);
        let network = network.ok_or_else(|| of.undefined("network", key))?;
        let mut endpoint = EndpointConfig {
            network: network.name.clone(),
            priority: place.gw_priority,
            ..EndpointConfig::default()
        };
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        endpoint.mac = said(&place.mac_address)
            .map(|text| parse_mac(&text).map_err(of.value("networks.mac_address", &text)))
            .transpose()?;
        for ip in &place.link_local_ips {
            let ip = parse_link_local(ip).map_err(of.value("networks.link_local_ips", ip))?;
            endpoint.more.push(ip);
        }
        endpoint.interface = said(&place.interface_name);
        for (name, value) in &place.driver_opts {
            let text = format!("{name}={value}");
            let interface = parse_driver_option(&text);
            endpoint.interface = Some(interface.map_err(of.value("networks.driver_opts", &text))?);
        }
        // What runs once beside a service takes neither its names nor its addresses.
        if !self.with_aliases {
            return Ok(endpoint);
        }
        let mut aliases = vec![self.service.name.as_str()];
        aliases.extend(place.aliases.iter().map(String::as_str));
        for alias in aliases {
            let alias = parse_alias(alias).map_err(of.value("networks.aliases", alias))?;
            if !endpoint.aliases.contains(&alias) {
                endpoint.aliases.push(alias);
            }
        }
        endpoint.ipv4 = said(&place.ipv4_address)
            .map(|text| parse_ipv4(&text).map_err(of.value("networks.ipv4_address", &text)))
            .transpose()?;
        endpoint.ipv6 = said(&place.ipv6_address)
            .map(|text| parse_ipv6(&text).map_err(of.value("networks.ipv6_address", &text)))
            .transpose()?;
        Ok(endpoint)
    }

    /// To every container of a service that is linked, and to those outside of the project.
    fn links(&self) -> Result<Vec<String>, ServiceError> {
        let mut links = Vec::new();
        let mut add = |key: &'static str, text: String| {
            let link = parse_link(&text).map_err(self.of().value(key, &text))?;
            links.push(link);
            Ok::<(), ServiceError>(())
        };
        for text in &self.service.links {
            let (service, alias) = text.split_once(':').unwrap_or((text, text));
            for container in (self.members)(service) {
                add("links", format!("{container}:{alias}"))?;
            }
        }
        for text in &self.service.external_links {
            add("external_links", text.clone())?;
        }
        Ok(links)
    }

    fn port(&self, port: &Port) -> Result<String, ServiceError> {
        let Port {
            host_ip,
            target,
            published,
            protocol,
            ..
        } = port;
        let ip = match host_ip.as_str() {
            "" => String::new(),
            ip if ip.contains(':') && !ip.starts_with('[') => format!("[{ip}]:"),
            ip => format!("{ip}:"),
        };
        let protocol = if protocol.is_empty() { "tcp" } else { protocol };
        let text = format!("{ip}{published}:{target}/{protocol}");
        let spec: PortSpec = self.of().parse("ports", &text)?;
        Ok(spec.to_string())
    }

    fn names(&self) -> Result<NameConfig, ServiceError> {
        let (service, of) = (self.service, self.of());
        let servers = service.dns.iter().map(|text| of.parse("dns", text));
        let hosts = service.extra_hosts.iter().map(|text| {
            let host: ExtraHost = of.parse("extra_hosts", text)?;
            Ok(host.to_string())
        });
        for (key, words) in [
            ("dns_search", &service.dns_search),
            ("dns_opt", &service.dns_opt),
        ] {
            let is_none = |word: &&String| {
                word.is_empty() || word.contains(|c: char| c.is_whitespace() || c.is_control())
            };
            if let Some(word) = words.iter().find(is_none) {
                let reason = "it is no word of a resolver's configuration";
                return Err(of.wrong(key, word, reason));
            }
        }
        Ok(NameConfig {
            servers: servers.collect::<Result<Vec<IpAddr>, _>>()?,
            search: service.dns_search.clone(),
            options: service.dns_opt.clone(),
            extra_hosts: hosts.collect::<Result<_, ServiceError>>()?,
        })
    }
}
