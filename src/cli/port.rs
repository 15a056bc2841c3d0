//! `port`: where a container's ports are found; and, which no other engine has, more of them or fewer while it runs.

use std::net::SocketAddr;

use super::Invocation;
use super::error::{CliError, Kind};
use crate::engine::PublishedPort;
use crate::net::ports::PortSpec;

#[derive(clap::Args, Debug)]
#[command(
    override_usage = "bryo port CONTAINER [PORT[/PROTOCOL]]\n       bryo port add CONTAINER [[IP:]HOST:]CONTAINER-PORT[/PROTOCOL]...\n       bryo port rm CONTAINER [[IP:]HOST:]CONTAINER-PORT[/PROTOCOL]..."
)]
pub struct Args {
    /// A container, or `add` or `rm` to publish a port of a running container or end that
    #[arg(value_name = "CONTAINER")]
    name: String,
    /// Only where this port of the container is found (PORT[/PROTOCOL]); after `add` and `rm` the container, and what is to be published as in `run -p`
    #[arg(value_name = "PORT")]
    more: Vec<String>,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    match (args.name.as_str(), args.more.as_slice()) {
        // A container may be called so too, and then one word follows at most.
        ("add", [name, ports @ ..]) if !ports.is_empty() => change(name, ports, true, invocation),
        ("rm", [name, ports @ ..]) if !ports.is_empty() => change(name, ports, false, invocation),
        (verb @ ("add" | "rm"), [name]) if !is_container(verb, invocation)? => {
            Err(CliError::usage(format!(
                "bryo port {verb} {name}: which ports? As in bryo port {verb} {name} 8080:80"
            )))
        }
        (name, []) => list(name, None, invocation),
        (name, [port]) => list(name, Some(port), invocation),
        _ => Err(CliError::usage(
            "bryo port takes a container and at most one of its ports".to_owned(),
        )),
    }
}

/// A container may be called `add`.
fn is_container(name: &str, invocation: &Invocation) -> Result<bool, CliError> {
    Ok(invocation.engine()?.container(name, false).is_ok())
}

fn change(
    name: &str,
    ports: &[String],
    publish: bool,
    invocation: &Invocation,
) -> Result<u8, CliError> {
    let specs = ports.iter().map(|text| text.parse::<PortSpec>());
    let specs = specs.collect::<Result<Vec<_>, _>>();
    let specs = specs.map_err(|error| CliError::usage(error.to_string()))?;
    let changed = invocation.engine()?.change_ports(name, specs, publish);
    changed.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    Ok(0)
}

fn list(name: &str, port: Option<&str>, invocation: &Invocation) -> Result<u8, CliError> {
    let found = invocation.engine()?.container(name, false);
    let mut ports = found
        .map_err(|error| CliError::engine(Kind::Failed, &error))?
        .ports;
    ports.sort_by_key(|port| {
        let inside = (port.container_port, port.protocol.clone());
        (inside, port.host_ip, port.host_port)
    });
    let wanted = port.map(inside).transpose()?;
    let lines: Vec<String> = match &wanted {
        None => ports
            .iter()
            .map(|port| format!("{} -> {}", port.inside(), outside(port)))
            .collect(),
        Some(wanted) => ports
            .iter()
            .filter(|port| port.inside() == *wanted)
            .map(|port| outside(port).to_string())
            .collect(),
    };
    if let (Some(port), true) = (port, lines.is_empty()) {
        let words = format!("No public port '{port}' published for {name}");
        return Err(CliError::new(Kind::Failed, words));
    }
    for line in lines {
        invocation.ui.line(&line)?;
    }
    Ok(0)
}

/// `80` is `80/tcp`.
fn inside(text: &str) -> Result<String, CliError> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, ""));
    let number: u16 = port
        .parse()
        .map_err(|_| CliError::new(Kind::Failed, format!("invalid port ({port})")))?;
    let protocol = if protocol.is_empty() { "tcp" } else { protocol };
    Ok(format!("{number}/{protocol}"))
}

fn outside(port: &PublishedPort) -> SocketAddr {
    SocketAddr::new(port.host_ip, port.host_port)
}
