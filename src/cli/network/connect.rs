//! `network connect`.

use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};
use crate::container::EndpointConfig;
use crate::engine::request::{
    EndpointError, parse_alias, parse_driver_option, parse_ipv4, parse_ipv6, parse_link,
    parse_link_local, parse_mac, parse_priority,
};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "NETWORK")]
    network: String,
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Another name for the container in the network
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,
    /// Option of the driver: com.docker.network.endpoint.ifname
    #[arg(long, value_name = "OPTION")]
    driver_opt: Vec<String>,
    /// The network of the highest priority has the default route
    #[arg(
        long,
        value_name = "NUMBER",
        default_value = "0",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    gw_priority: String,
    /// IPv4 address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// IPv6 address
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<String>,
    /// Another name for another container of the network (CONTAINER[:NAME])
    #[arg(long, value_name = "LINK")]
    link: Vec<String>,
    /// One more address of its interface
    #[arg(long, value_name = "ADDRESS")]
    link_local_ip: Vec<String>,
    /// Hardware address
    #[arg(long, value_name = "ADDRESS")]
    mac_address: Option<String>,
}

impl Args {
    fn endpoint(&self) -> Result<EndpointConfig, EndpointError> {
        let each = |texts: &[String], parse: fn(&str) -> Result<String, EndpointError>| {
            let parsed = texts.iter().map(|text| parse(text));
            parsed.collect::<Result<Vec<String>, _>>()
        };
        let more = self.link_local_ip.iter().map(|ip| parse_link_local(ip));
        let interfaces = each(&self.driver_opt, parse_driver_option)?;
        Ok(EndpointConfig {
            network: self.network.clone(),
            ipv4: self.ip.as_deref().map(parse_ipv4).transpose()?,
            ipv6: self.ip6.as_deref().map(parse_ipv6).transpose()?,
            mac: self.mac_address.as_deref().map(parse_mac).transpose()?,
            aliases: each(&self.alias, parse_alias)?,
            links: each(&self.link, parse_link)?,
            more: more.collect::<Result<_, _>>()?,
            priority: parse_priority(&self.gw_priority)?,
            interface: interfaces.into_iter().next_back(),
        })
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let endpoint = args.endpoint();
    let endpoint = endpoint.map_err(|error| CliError::usage(error.to_string()))?;
    let connected = invocation
        .engine()?
        .connect_network(&endpoint, &args.container);
    connected.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    Ok(0)
}
