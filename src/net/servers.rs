//! Whom a name is asked of that is not known here: the servers of a network, or the host's. Files, read again when they are others.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::record::Networks;
use super::resolver;

const HOST_FILE: &str = "/etc/resolv.conf";

pub struct Servers {
    host: Known,
    networks: Networks,
    of_networks: BTreeMap<String, Known>,
}

/// What a file said when it was last another.
#[derive(Default)]
struct Known {
    read: Option<(SystemTime, u64)>,
    servers: Vec<IpAddr>,
}

/// A file that has been changed since may be changed again at what its file system takes for the same moment.
const SETTLED: Duration = Duration::from_secs(1);

impl Known {
    fn now(&mut self, path: &Path, read: impl FnOnce() -> Vec<IpAddr>) -> &[IpAddr] {
        let seen = std::fs::metadata(path).ok();
        let seen = seen.and_then(|meta| Some((meta.modified().ok()?, meta.ino())));
        if seen.is_none() || seen != self.read {
            self.servers = read();
            let is_settled = |(modified, _): &(SystemTime, u64)| {
                let age = modified.elapsed();
                age.is_ok_and(|age| age > SETTLED)
            };
            self.read = seen.filter(is_settled);
        }
        &self.servers
    }
}

impl Servers {
    pub fn new(networks: Networks) -> Servers {
        Servers {
            host: Known::default(),
            networks,
            of_networks: BTreeMap::new(),
        }
    }

    /// Those of the networks, in their order; without one, the host's.
    pub fn now(&mut self, networks: &[&str]) -> Vec<IpAddr> {
        let mut servers: Vec<IpAddr> = Vec::new();
        for name in networks {
            let known = self.of_networks.entry((*name).to_owned()).or_default();
            let read = || {
                let network = self.networks.named(name);
                network.map_or_else(|_| Vec::new(), |network| network.servers)
            };
            for server in known.now(&self.networks.file(name), read) {
                if !servers.contains(server) {
                    servers.push(*server);
                }
            }
        }
        if servers.is_empty() {
            let read = || {
                let text = std::fs::read_to_string(HOST_FILE).unwrap_or_default();
                resolver::servers(&text)
            };
            servers = self.host.now(Path::new(HOST_FILE), read).to_vec();
        }
        servers
    }
}
