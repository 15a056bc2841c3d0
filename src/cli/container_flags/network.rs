//! How the container is connected, and which names it knows. Never asks the host.

use std::net::IpAddr;
use std::str::FromStr;

use super::value;
use crate::cli::error::CliError;
use crate::cli::ui::Ui;
use crate::container::{EndpointConfig, NameConfig};
use crate::engine::request::{
    CreateRequest, EndpointError, NetworkMode, add_to_endpoint, has_fields, parse_alias,
    parse_endpoint, parse_ipv4, parse_ipv6, parse_link, parse_link_local, parse_mac,
};
use crate::net::egress::Reach;
use crate::net::hosted::HostPort;
use crate::net::hosts::ExtraHost;
use crate::net::ports::{ExposedPorts, PortSpec};

#[derive(clap::Args, Debug)]
pub struct NetworkFlags {
    /// Network of the container: none, host, pasta[:OPTIONS], slirp4netns[:OPTIONS], ns:PATH, container:NAME, or networks by name (name=NAME,alias=...,ip=...)
    #[arg(long, visible_alias = "net", value_name = "NETWORK")]
    network: Vec<String>,
    /// Another name for the container in its network
    #[arg(long, visible_alias = "net-alias", value_name = "NAME")]
    network_alias: Vec<String>,
    /// IPv4 address in its network
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// IPv6 address in its network
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<String>,
    /// Hardware address in its network
    #[arg(long, value_name = "ADDRESS")]
    mac_address: Option<String>,
    /// One more address of its interface
    #[arg(long, value_name = "ADDRESS")]
    link_local_ip: Vec<String>,
    /// Another name for another container of its network (CONTAINER[:NAME])
    #[arg(long, value_name = "LINK")]
    link: Vec<String>,
    /// Publish a port ([[IP:]HOST:]CONTAINER[/PROTOCOL])
    #[arg(short, long, value_name = "PORT")]
    publish: Vec<String>,
    /// Let the container reach a port of the host's 127.0.0.1 as a port of host.docker.internal (PORT[:CONTAINER-PORT])
    #[arg(long, value_name = "PORT")]
    host_port: Vec<String>,
    /// Reach nothing outside of its networks but these (none, any, or HOST, ADDRESS, SUBNET, *.DOMAIN, each with :PORT or not)
    #[arg(long, value_name = "DESTINATIONS")]
    egress: Vec<String>,
    /// Publish every exposed port on a free port of the host
    #[arg(short = 'P', long)]
    publish_all: bool,
    /// Say that the program listens on a port (PORT[-PORT][/PROTOCOL])
    #[arg(long, value_name = "PORT")]
    expose: Vec<String>,
    /// Another name in /etc/hosts (NAME:ADDRESS, `host-gateway` is the host)
    #[arg(long, value_name = "HOST")]
    add_host: Vec<String>,
    /// Name server to ask instead of the host's
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<String>,
    /// Option of the resolver
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION")]
    dns_option: Vec<String>,
    /// Domain in which short names are looked for (`.` for none)
    #[arg(long, value_name = "DOMAIN")]
    dns_search: Vec<String>,
}

impl NetworkFlags {
    pub fn apply(self, request: &mut CreateRequest, ui: &Ui) -> Result<(), CliError> {
        let (network, endpoints) = self.places()?;
        if matches!(network, NetworkMode::None | NetworkMode::Host)
            && (self.publish_all || !self.publish.is_empty())
        {
            ui.warning(&format!(
                "published ports are discarded when using {network} network mode"
            ));
        }
        request.network = network;
        request.endpoints = endpoints;
        request.ports = ports(&self.publish)?;
        request.publish_all = self.publish_all;
        let port = |text: &String| value::<HostPort>("--host-port", text);
        let host_ports = self
            .host_port
            .iter()
            .map(|text| port(text).map(|p| p.to_string()));
        request.host_ports = host_ports.collect::<Result<_, _>>()?;
        if !self.egress.is_empty() {
            let reach: Reach = value("--egress", &self.egress.join(","))?;
            request.egress = reach.list().map(|egress| egress.to_string());
        }
        request.expose = exposed(&self.expose)?;
        request.names = names(&self.dns, self.dns_search, self.dns_option, &self.add_host)?;
        Ok(())
    }

    /// The network, and the places in networks that are shared: what else is said of one is said of the first.
    fn places(&self) -> Result<(NetworkMode, Vec<EndpointConfig>), CliError> {
        let usage = |error: EndpointError| CliError::usage(error.to_string());
        let mut endpoints = Vec::new();
        for text in &self.network {
            endpoints.push(parse_endpoint(text).map_err(usage)?);
        }
        let mode = |name: &str| {
            let mode = NetworkMode::from_str(name);
            mode.map_err(|error| CliError::argument("--network", name, &error))
        };
        let first = endpoints.first().map_or("default", |first| &first.network);
        let network = mode(first)?;
        let mut each = endpoints.iter().map(|endpoint| mode(&endpoint.network));
        let all_named = each.try_fold(true, |named, mode| {
            Ok::<_, CliError>(named && matches!(mode?, NetworkMode::Named(_)))
        })?;
        if endpoints.len() > 1 && !all_named {
            return Err(CliError::usage(
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
            ));
        }
        let said = !(self.network_alias.is_empty()
            && self.ip.is_none()
            && self.ip6.is_none()
            && self.mac_address.is_none()
            && self.link_local_ip.is_empty()
            && self.link.is_empty())
            || self.network.iter().any(|text| has_fields(text));
        if !said && (endpoints.is_empty() || !all_named) {
            return Ok((network, Vec::new()));
        }
        // Whether it has places is known when it is known which it is.
        endpoints.resize_with(endpoints.len().max(1), EndpointConfig::default);
        let more = self.of_first_place().map_err(usage)?;
        add_to_endpoint(&mut endpoints[0], more).map_err(usage)?;
        Ok((network, endpoints))
    }

    fn of_first_place(&self) -> Result<EndpointConfig, EndpointError> {
        let aliases = self.network_alias.iter().map(|text| parse_alias(text));
        let more = self.link_local_ip.iter().map(|text| parse_link_local(text));
        let links = self.link.iter().map(|text| parse_link(text));
        Ok(EndpointConfig {
            ipv4: self.ip.as_deref().map(parse_ipv4).transpose()?,
            ipv6: self.ip6.as_deref().map(parse_ipv6).transpose()?,
            mac: self.mac_address.as_deref().map(parse_mac).transpose()?,
            aliases: aliases.collect::<Result<_, _>>()?,
            more: more.collect::<Result<_, _>>()?,
            links: links.collect::<Result<_, _>>()?,
            ..EndpointConfig::default()
        })
    }
}

/// What `-p` says, in its one canonical form.
fn ports(flags: &[String]) -> Result<Vec<String>, CliError> {
    let canonical = |text: &String| match text.parse::<PortSpec>() {
        Ok(spec) => Ok(spec.to_string()),
        Err(error) => Err(CliError::usage(error.to_string())),
    };
    flags.iter().map(canonical).collect()
}

/// As docker records them: a port each.
fn exposed(flags: &[String]) -> Result<Vec<String>, CliError> {
    let mut all = Vec::new();
    for text in flags {
        let ports: ExposedPorts = value("--expose", text)?;
        let each = ports.ports.ports();
        all.extend(each.map(|port| format!("{port}/{}", ports.protocol)));
    }
    Ok(all)
}

fn names(
    servers: &[String],
    search: Vec<String>,
    options: Vec<String>,
    hosts: &[String],
) -> Result<NameConfig, CliError> {
    let server = |text: &String| {
        let parsed = text.parse::<IpAddr>();
        parsed.map_err(|_| CliError::usage(format!("{text} is not an ip address")))
    };
    // A word with a line break in it would write lines of its own into the file.
    let words = search.iter().chain(&options);
    for word in words {
        if word.is_empty() || word.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(CliError::usage(format!(
                "{word:?} is no word of a resolver's configuration"
            )));
        }
    }
    let host = |text: &String| value::<ExtraHost>("--add-host", text).map(|host| host.to_string());
    Ok(NameConfig {
        servers: servers.iter().map(server).collect::<Result<_, _>>()?,
        search,
        options,
        extra_hosts: hosts.iter().map(host).collect::<Result<_, _>>()?,
    })
}
