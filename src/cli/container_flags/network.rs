//! How the container is connected. Never asks the host.

use std::str::FromStr;

use crate::cli::error::CliError;
use crate::cli::ui::Ui;
use crate::engine::request::{CreateRequest, NetworkMode};
use crate::net::ports::PortSpec;

#[derive(clap::Args, Debug)]
pub struct NetworkFlags {
    /// Network of the container: none, host, pasta
    #[arg(long, visible_alias = "net", value_name = "NETWORK")]
    network: Vec<String>,
    /// Publish a port ([[IP:]HOST:]CONTAINER[/PROTOCOL])
    #[arg(short, long, value_name = "PORT")]
    publish: Vec<String>,
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
        if network != NetworkMode::Default
            && network != NetworkMode::Pasta
            && !self.publish.is_empty()
        {
            ui.warning(&format!(
                "published ports are discarded when using {network} network mode"
            ));
        }
        request.network = network;
        request.ports = ports(&self.publish)?;
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
