//! `port`.

use std::net::SocketAddr;

use super::Invocation;
use super::error::{CliError, Kind};
use crate::engine::PublishedPort;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "CONTAINER")]
    name: String,
    /// Only where this port of the container is found: PORT[/PROTOCOL]
    #[arg(value_name = "PORT")]
    port: Option<String>,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let found = invocation.engine()?.container(&args.name, false);
    let mut ports = found
        .map_err(|error| CliError::engine(Kind::Failed, &error))?
        .ports;
    ports.sort_by_key(|port| {
        let inside = (port.container_port, port.protocol.clone());
        (inside, port.host_ip, port.host_port)
    });
    let wanted = args.port.as_deref().map(inside).transpose()?;
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
    if let (Some(port), true) = (&args.port, lines.is_empty()) {
        let words = format!("No public port '{port}' published for {}", args.name);
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
