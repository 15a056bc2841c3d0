//! How the container is connected, and which names it knows. Never asks the host.

use std::net::IpAddr;
use std::str::FromStr;

use super::value;
use crate::cli::error::CliError;
use crate::cli::ui::Ui;
use crate::container::NameConfig;
use crate::engine::request::{CreateRequest, NetworkMode};
use crate::net::hosts::ExtraHost;
use crate::net::ports::{ExposedPorts, PortSpec};

#[derive(clap::Args, Debug)]
pub struct NetworkFlags {
    /// Network of the container: none, host, pasta, container:NAME
    #[arg(long, visible_alias = "net", value_name = "NETWORK")]
    network: Vec<String>,
    /// Publish a port ([[IP:]HOST:]CONTAINER[/PROTOCOL])
    #[arg(short, long, value_name = "PORT")]
    publish: Vec<String>,
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
        let network = match self.network.as_slice() {
            [] => NetworkMode::Default,
            [one] => NetworkMode::from_str(one)
                .map_err(|error| CliError::argument("--network", one, &error))?,
            _ => {
                return Err(CliError::usage(
                    "run --network: several networks: not yet supported by bryo",
                ));
            }
        };
        if matches!(network, NetworkMode::None | NetworkMode::Host)
            && (self.publish_all || !self.publish.is_empty())
        {
            ui.warning(&format!(
                "published ports are discarded when using {network} network mode"
            ));
        }
        request.network = network;
        request.ports = ports(&self.publish)?;
        request.publish_all = self.publish_all;
        request.expose = exposed(&self.expose)?;
        request.names = names(&self.dns, self.dns_search, self.dns_option, &self.add_host)?;
        Ok(())
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
