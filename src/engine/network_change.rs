//! `network update`: what may change about a network that is there. Containers that are in it have it at once.

use std::io;

use super::networks::NetworkRequestError;
use super::request::NetworkChange;
use super::start::{PATIENCE, SOON};
use super::{Engine, EngineError};
use crate::container::Status;
use crate::net::record::{NetworkConfig, NetworkDriver};
use crate::net::wire;
use crate::sys::timer::Moment;

/// So often it ends without a word before that is taken for its answer.
const UNHEARD: u32 = 3;

impl Engine {
    /// Gives its name.
    pub fn update_network(&self, name: &str, change: NetworkChange) -> Result<String, EngineError> {
        let networks = self.networks();
        // The default one is made by whoever looks for it, under the lock.
        networks.find(name)?;
        let _alone = networks.lock()?;
        let before = networks.find(name)?;
        let mut network = before.clone();
        let name = network.name.clone();
        check(&network, &change)?;
        let NetworkChange { add, drop, reach } = change;
        network.servers.retain(|server| !drop.contains(server));
        for server in add {
            if !network.servers.contains(&server) {
                network.servers.push(server);
            }
        }
        let is_limit = reach.is_some();
        if let Some(reach) = reach {
            network.egress = reach.list();
        }
        networks.replace(&network)?;
        if is_limit {
            self.limit_members(&before, &network)?;
        }
        self.emit_network(&network, "update", None);
        Ok(name)
    }

    /// Who comes into the network from now on reads its record. Who is in it is told of it; where that fails, the record is as before.
    fn limit_members(
        &self,
        before: &NetworkConfig,
        network: &NetworkConfig,
    ) -> Result<(), EngineError> {
        let name = network.name.clone();
        let socket = self.paths.net_socket();
        let deadline = Moment::now().after(PATIENCE);
        let mut unheard = 0;
        loop {
            let limited = match wire::limit_network(&socket, &name) {
                Ok(Ok(limited)) => limited,
                Ok(Err(message)) => {
                    self.networks().replace(before)?;
                    let _ = wire::limit_network(&socket, &name);
                    return Err(NetworkRequestError::NotLimited { name, message }.into());
                }
                Err(error) => {
                    // One that is too old hangs up, as does one that is killed.
                    unheard += u32::from(error.kind() == io::ErrorKind::UnexpectedEof);
                    Vec::new()
                }
            };
            // Those of a `bryo net` that has ended are taken in by the next.
            let containers = self.members_without(network, &limited)?;
            let reason = match (containers.is_empty(), unheard > UNHEARD) {
                (true, _) => return Ok(()),
                (false, true) => {
                    "the shared networks are held by an older bryo; end all containers that share networks, and start them again"
                }
                (false, false) if deadline.has_come() => "they are not in their networks now",
                (false, false) => {
                    std::thread::sleep(SOON);
                    continue;
                }
            };
            return Err(NetworkRequestError::NotYetLimited {
                name,
                containers,
                reason,
            }
            .into());
        }
    }

    /// The names of the containers that run in a network and are none of these.
    fn members_without(
        &self,
        network: &NetworkConfig,
        known: &[String],
    ) -> Result<Vec<String>, EngineError> {
        let mut names = Vec::new();
        for record in self.containers.all()? {
            let is_known = known.iter().any(|id| id == record.id.as_str());
            // Between two runs of a restart policy it is in none.
            let runs = || {
                let status = record.status();
                matches!(status, Ok(Status::Running(_) | Status::Paused(_)))
            };
            let is_there = || {
                let places = self.live_endpoints(&record);
                places.iter().any(|place| place.network_id == network.id)
            };
            if !is_known && runs() && is_there() {
                names.push(self.containers.name_of(&record));
            }
        }
        Ok(names)
    }
}

fn check(network: &NetworkConfig, change: &NetworkChange) -> Result<(), NetworkRequestError> {
    let name = network.name.clone();
    match network.driver {
        NetworkDriver::Bridge if network.nameless && !change.add.is_empty() => {
            Err(NetworkRequestError::Nameless { name })
        }
        NetworkDriver::Bridge => Ok(()),
        _ if change.reach.is_some() => Err(NetworkRequestError::NoLimit { name }),
        _ => Err(NetworkRequestError::NoServers { name }),
    }
}
