//! `compose port`: where a port of a service is found.

use std::net::SocketAddr;

use super::found::{self, failed};
use super::{Globals, Invocation};
use crate::cli::error::CliError;
use crate::cli::status;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "SERVICE")]
    service: String,
    /// The port inside
    #[arg(value_name = "PRIVATE_PORT")]
    port: String,
    /// Which of the service's containers
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    index: u32,
    /// tcp or udp
    #[arg(long, value_name = "PROTOCOL", default_value = "tcp")]
    protocol: String,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let port: u16 = args
        .port
        .parse()
        .map_err(|_| failed(format!("invalid port ({})", args.port)))?;
    let protocol = args.protocol.to_lowercase();
    let name = globals.name(invocation)?;
    let engine = invocation.engine()?;
    let container = found::running_one(&engine, &name, &args.service, args.index)?;
    let ports = status::shown_ports(&container);
    let found = ports
        .iter()
        .find(|shown| shown.inside == port && shown.protocol == protocol);
    match found.map(|shown| shown.outside) {
        Some(Some((ip, number))) => invocation
            .ui
            .line(&SocketAddr::new(ip, number).to_string())?,
        // Exposed, and not published.
        Some(None) => invocation.ui.line(":0")?,
        None => {
            let known = ports.iter().map(|shown| {
                let number = shown.outside.map_or(0, |(_, number)| number);
                format!("{number}/{}", shown.protocol)
            });
            return Err(failed(format!(
                "no port {port}/{protocol} for container {}: {}",
                container.name,
                known.collect::<Vec<_>>().join(", ")
            )));
        }
    }
    Ok(0)
}
