//! `network create`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::cli::Invocation;
use crate::cli::container_flags::value;
use crate::cli::error::{CliError, Kind};
use crate::engine::request::{CreateNetworkRequest, Label};
use crate::net::egress::Reach;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "NETWORK")]
    name: String,
    /// Containers may be connected by hand, as they may with every network
    #[arg(long)]
    attachable: bool,
    /// Address that no container gets (NAME=ADDRESS)
    #[arg(long, value_name = "ADDRESS")]
    aux_address: Vec<String>,
    /// Driver of the network: only `bridge`
    #[arg(short, long, default_value = "bridge")]
    driver: String,
    /// Gateway of a subnet
    #[arg(long, value_name = "ADDRESS")]
    gateway: Vec<String>,
    /// Let its containers reach nothing outside but these (none, any, or HOST, ADDRESS, SUBNET, *.DOMAIN, each with :PORT or not)
    #[arg(long, value_name = "DESTINATIONS")]
    egress: Vec<String>,
    /// Reach nothing outside of the network
    #[arg(long)]
    internal: bool,
    /// Part of a subnet that containers get their addresses from
    #[arg(long, value_name = "RANGE")]
    ip_range: Vec<String>,
    /// Driver of the addresses: only `default`
    #[arg(long, value_name = "DRIVER", default_value = "default")]
    ipam_driver: String,
    /// Give IPv4 addresses (only `true`: no network is without)
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, default_value = "true", hide_default_value = true, value_name = "BOOL")]
    ipv4: String,
    /// Give IPv6 addresses too
    #[arg(long)]
    ipv6: bool,
    /// Set a label (KEY=VALUE)
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
    /// Set an option of the driver: com.docker.network.driver.mtu, com.docker.network.bridge.enable_icc, com.docker.network.bridge.host_binding_ipv4
    #[arg(short, long, value_name = "OPTION")]
    opt: Vec<String>,
    /// How far the network reaches: only `local`
    #[arg(long, value_name = "SCOPE", default_value = "local")]
    scope: String,
    /// Range of addresses (172.30.0.0/16)
    #[arg(long, value_name = "SUBNET")]
    subnet: Vec<String>,
    /// Containers of the network don't know each other by name
    #[arg(long)]
    disable_dns: bool,
    /// Name server to ask instead of the host's
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    dns: Vec<String>,
    /// Way to another place over a machine of the network (DESTINATION,GATEWAY[,METRIC])
    #[arg(long, value_name = "ROUTE")]
    route: Vec<String>,
    /// A network of this name is no error
    #[arg(long)]
    ignore: bool,
}

impl Args {
    fn request(self) -> Result<CreateNetworkRequest, CliError> {
        let refused = |text: String| CliError::new(Kind::Unsupported, text);
        if self.scope != "local" {
            return Err(refused(format!(
                "--scope {}: bryo has no swarm, its networks are local",
                self.scope
            )));
        }
        match self.ipv4.as_str() {
            "true" | "1" => {}
            "false" | "0" => {
                return Err(refused(
                    "--ipv4=false: a network without IPv4 is not supported by bryo".to_owned(),
                ));
            }
            other => {
                return Err(CliError::usage(format!(
                    "invalid argument {other:?} for \"--ipv4\" flag: parsing {other:?}: invalid syntax"
                )));
            }
        }
        let mut labels = BTreeMap::new();
        for text in &self.label {
            let label: Label = value("--label", text)?;
            labels.insert(label.key, label.value);
        }
        let option = |text: &String| {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            let key = match key {
                "mtu" => "com.docker.network.driver.mtu",
                key => key,
            };
            (key.to_owned(), value.to_owned())
        };
        let routes = self.route.iter().map(|text| value("--route", text));
        Ok(CreateNetworkRequest {
            name: self.name,
            driver: self.driver,
            ipam_driver: self.ipam_driver,
            subnets: self.subnet,
            gateways: self.gateway,
            ranges: self.ip_range,
            auxiliary: self.aux_address,
            internal: self.internal,
            ipv6: self.ipv6,
            attachable: self.attachable,
            labels,
            options: self.opt.iter().map(option).collect(),
            ipam_options: BTreeMap::new(),
            egress: match self.egress.as_slice() {
                [] => None,
                given => value::<Reach>("--egress", &given.join(","))?.list(),
            },
            servers: servers("--dns", &self.dns)?,
            nameless: self.disable_dns,
            routes: routes.collect::<Result<_, _>>()?,
            ignore: self.ignore,
        })
    }
}

/// Addresses of name servers.
pub(super) fn servers(flag: &str, texts: &[String]) -> Result<Vec<IpAddr>, CliError> {
    texts.iter().map(|text| value(flag, text)).collect()
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.request()?;
    let made = invocation.engine()?.create_network(&request);
    let id = made.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    invocation.ui.line(&id)?;
    Ok(0)
}
