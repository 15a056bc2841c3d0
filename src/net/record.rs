//! Networks on disk: `networks/<name>.json`, replaced whole. Knows which ranges are taken; never which containers use one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::egress::Egress;
use super::pasta;
use super::static_route::StaticRoute;
use super::subnet::Subnet;
use crate::paths::{Paths, PathsError};
use crate::sys::lock::{self, Guard, Mode};
use crate::sys::netlink::Netlink;
use crate::sys::{disk, fs as files};

/// The one that every host has.
pub const DEFAULT: &str = "bridge";

/// Of interfaces for which nobody wants another: nothing behind them is slower with large packets.
const MTU: u32 = 65520;

const FILE_MAX: u64 = 1 << 20;

/// `networks/<name>.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkConfig {
    /// 64 hex digits.
    pub id: String,
    pub name: String,
    /// RFC 3339, UTC.
    pub created: String,
    pub driver: NetworkDriver,
    #[serde(default)]
    pub pools: Vec<Pool>,
    #[serde(default)]
    pub ipv6: bool,
    /// Nothing outside is reached from it.
    #[serde(default)]
    pub internal: bool,
    #[serde(default)]
    pub attachable: bool,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    #[serde(default)]
    pub ipam_options: BTreeMap<String, String>,
    /// What its containers are limited to; None: they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Egress>,
    /// Asked for what is not known here, instead of the host's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<IpAddr>,
    /// Its containers don't know each other by name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nameless: bool,
    /// Every container gets them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<StaticRoute>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkDriver {
    #[default]
    Bridge,
    Host,
    Null,
}

impl NetworkDriver {
    pub fn name(self) -> &'static str {
        match self {
            NetworkDriver::Bridge => "bridge",
            NetworkDriver::Host => "host",
            NetworkDriver::Null => "null",
        }
    }
}

/// Addresses of one family that a network gives away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    pub subnet: Subnet,
    pub gateway: IpAddr,
    /// Where addresses come from that nobody asked for by number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Subnet>,
    /// `--aux-address`: never given away.
    #[serde(default)]
    pub auxiliary: BTreeMap<String, IpAddr>,
}

#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error(transparent)]
    Paths(#[from] PathsError),
    #[error("network {name} not found")]
    NotFound { name: String },
    #[error("network with name {name} already exists")]
    Exists { name: String },
    #[error(
        "invalid pool request: Pool overlaps with other one on this address space: {subnet} is that of network {other}"
    )]
    Overlap { subnet: Subnet, other: String },
    #[error(
        "could not find an available, non-overlapping address pool among the defaults to assign to the network"
    )]
    Exhausted,
    #[error("write network {name}: {source}")]
    Write { name: String, source: io::Error },
    #[error("read network {name}: {source}")]
    Read { name: String, source: io::Error },
    #[error("remove network {name}: {source}")]
    Remove { name: String, source: io::Error },
    #[error("list {path}: {source}")]
    List { path: PathBuf, source: io::Error },
    #[error("lock {path}: {source}")]
    Lock { path: PathBuf, source: io::Error },
}

impl NetworkConfig {
    /// Docker's option of the same name, or podman's.
    pub fn mtu(&self) -> u32 {
        let mut words = MTU_OPTIONS.iter();
        let asked = words.find_map(|word| self.options.get(*word));
        asked.and_then(|text| text.parse().ok()).unwrap_or(MTU)
    }

    /// Whether its containers may hear each other.
    pub fn has_traffic_between(&self) -> bool {
        self.options
            .get(ICC_OPTION)
            .is_none_or(|value| value == "true")
    }

    /// What `bryo net` has to understand for it (`wire::VERSION`).
    pub fn version(&self) -> u32 {
        let is_plain = self.servers.is_empty() && !self.nameless && self.routes.is_empty();
        match is_plain {
            true => u32::from(self.egress.is_some()),
            false => 2,
        }
    }

    /// Its containers have addresses of IPv6.
    pub fn has_ipv6(&self) -> bool {
        self.pools.iter().any(|pool| !pool.subnet.is_ipv4())
    }

    pub fn is_default(&self) -> bool {
        self.name == DEFAULT
    }

    /// The bridge's interface. What may not reach the outside is told from the name (`firewall`).
    pub fn interface(&self) -> String {
        let kind = if self.internal { "bi" } else { "br" };
        format!("{kind}-{}", self.id.get(..12).unwrap_or(&self.id))
    }
}

pub const MTU_OPTIONS: [&str; 2] = ["com.docker.network.driver.mtu", "mtu"];
pub const ICC_OPTION: &str = "com.docker.network.bridge.enable_icc";
/// The host's address that ports are published at where none is said.
pub const BINDING_OPTION: &str = "com.docker.network.bridge.host_binding_ipv4";

/// All networks of a user.
#[derive(Clone, Debug)]
pub struct Networks {
    directory: PathBuf,
}

impl Networks {
    pub fn new(paths: &Paths) -> Networks {
        Networks {
            directory: paths.networks(),
        }
    }

    /// By their directory.
    pub fn at(directory: PathBuf) -> Networks {
        Networks { directory }
    }

    /// Held while a network is made, changed or removed.
    pub fn lock(&self) -> Result<Guard, NetworkError> {
        Paths::make(&self.directory)?;
        let path = self.directory.join(".lock");
        lock::lock(&path, Mode::Exclusive).map_err(|source| NetworkError::Lock { path, source })
    }

    /// A network's own.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.json"))
    }

    /// By its name; the default one is made when it is first looked for.
    pub fn named(&self, name: &str) -> Result<NetworkConfig, NetworkError> {
        match self.read(name) {
            Err(NetworkError::NotFound { .. }) if name == DEFAULT => self.make_default(),
            other => other,
        }
    }

    fn read(&self, name: &str) -> Result<NetworkConfig, NetworkError> {
        let not_found = || NetworkError::NotFound {
            name: name.to_owned(),
        };
        if let Some(fixed) = fixed(name) {
            return Ok(fixed);
        }
        if !is_name(name) {
            return Err(not_found());
        }
        let read = files::read_bounded(&self.file(name), FILE_MAX).and_then(|text| {
            serde_json::from_slice(&text)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        });
        read.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => not_found(),
            _ => NetworkError::Read {
                name: name.to_owned(),
                source,
            },
        })
    }

    /// By name, id or the beginning of an id that no other has.
    pub fn find(&self, text: &str) -> Result<NetworkConfig, NetworkError> {
        match self.named(text) {
            Err(NetworkError::NotFound { .. }) => {}
            other => return other,
        }
        let mut fitting = self.all()?.into_iter().filter(|n| n.id.starts_with(text));
        match (fitting.next(), fitting.next()) {
            (Some(network), None) if !text.is_empty() => Ok(network),
            _ => Err(NetworkError::NotFound {
                name: text.to_owned(),
            }),
        }
    }

    /// All of them by name, docker's three among them.
    pub fn all(&self) -> Result<Vec<NetworkConfig>, NetworkError> {
        let mut all = vec![self.named(DEFAULT)?];
        all.extend(fixed("host"));
        all.extend(fixed("none"));
        let failed = |source| NetworkError::List {
            path: self.directory.clone(),
            source,
        };
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".json"));
            let Some(name) = name.filter(|name| is_name(name) && *name != DEFAULT) else {
                continue;
            };
            match self.read(name) {
                Ok(network) => all.push(network),
                Err(NetworkError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    fn make_default(&self) -> Result<NetworkConfig, NetworkError> {
        let _alone = self.lock()?;
        match self.read(DEFAULT) {
            Err(NetworkError::NotFound { .. }) => {}
            other => return other,
        }
        let id = random_id().map_err(|source| NetworkError::Write {
            name: DEFAULT.to_owned(),
            source,
        })?;
        let mut network = NetworkConfig {
            id,
            name: DEFAULT.to_owned(),
            created: jiff::Timestamp::now().to_string(),
            ..NetworkConfig::default()
        };
        network.pools.push(self.choose_ipv4(&[])?);
        self.write(&network)?;
        Ok(network)
    }

    /// Writes a new one. For whoever holds the lock, and has looked for its name and its ranges under it.
    pub fn write(&self, network: &NetworkConfig) -> Result<(), NetworkError> {
        let failed = |source| NetworkError::Write {
            name: network.name.clone(),
            source,
        };
        let text = serde_json::to_vec_pretty(network).map_err(|error| failed(error.into()))?;
        let path = self.file(&network.name);
        match files::create_file(&path, &text).map_err(failed)? {
            true => Ok(()),
            false => Err(NetworkError::Exists {
                name: network.name.clone(),
            }),
        }
    }

    /// Writes one that is there. For whoever holds the lock.
    pub fn replace(&self, network: &NetworkConfig) -> Result<(), NetworkError> {
        let text = serde_json::to_vec_pretty(network).map_err(io::Error::from);
        let path = self.file(&network.name);
        let written = text.and_then(|text| files::replace_file(&path, &text));
        written.map_err(|source| NetworkError::Write {
            name: network.name.clone(),
            source,
        })
    }

    /// For whoever holds the lock.
    pub fn remove(&self, network: &NetworkConfig) -> Result<(), NetworkError> {
        let removed = disk::remove_file(self.file(&network.name));
        removed.map_err(|source| NetworkError::Remove {
            name: network.name.clone(),
            source,
        })
    }

    /// Which other network has addresses of this range.
    pub fn owner_of(subnet: Subnet, networks: &[NetworkConfig]) -> Option<&NetworkConfig> {
        let has = |network: &&NetworkConfig| {
            let mut pools = network.pools.iter();
            pools.any(|pool| pool.subnet.overlaps(subnet))
        };
        networks.iter().find(has)
    }

    /// Docker's ranges and podman's, the first that neither another network nor one of the host's routes has.
    pub fn choose_ipv4(&self, networks: &[NetworkConfig]) -> Result<Pool, NetworkError> {
        let routes = host_routes();
        let free = |subnet: &Subnet| {
            Networks::owner_of(*subnet, networks).is_none()
                && !routes.iter().any(|route| route.overlaps(*subnet))
        };
        let chosen = default_ranges().find(free).ok_or(NetworkError::Exhausted)?;
        Ok(Pool::of(chosen))
    }

    /// A range of its own for a network of this id (RFC 4193).
    pub fn choose_ipv6(id: &str) -> Pool {
        let hash = Sha256::digest(id.as_bytes());
        let mut octets = [0; 16];
        octets[0] = 0xfd;
        octets[1..8].copy_from_slice(&hash[..7]);
        let base = IpAddr::V6(Ipv6Addr::from(octets));
        Pool::of(Subnet::around(base, 64).expect("64 bits are no more than 128"))
    }
}

impl Pool {
    /// With the first address as the gateway, as docker has it.
    pub fn of(subnet: Subnet) -> Pool {
        Pool {
            subnet,
            gateway: subnet.at(1).unwrap_or(subnet.base()),
            range: None,
            auxiliary: BTreeMap::new(),
        }
    }
}

fn default_ranges() -> impl Iterator<Item = Subnet> {
    let large = (17u8..32).map(|second| ([172, second, 0, 0], 16));
    let small = (0u8..16).map(|third| ([192, 168, third * 16, 0], 20));
    // podman's, for whoever has used up docker's thirty.
    let more = (89u8..=255).flat_map(|second| (0u8..=255).map(move |third| (second, third)));
    let more = more.map(|(second, third)| ([10, second, third, 0], 24));
    let ranges = large.chain(small).chain(more);
    ranges.filter_map(|(base, prefix)| Subnet::around(IpAddr::from(base), prefix))
}

/// What the host reaches by other ways, and what lies between it and the shared namespace. A default route takes nothing.
fn host_routes() -> Vec<Subnet> {
    let routes = Netlink::open().and_then(|netlink| netlink.destinations());
    let routes = routes.unwrap_or_default().into_iter();
    let own = (IpAddr::V4(pasta::ADDRESS), 24);
    routes
        .chain([own])
        .filter(|(_, prefix)| *prefix > 0)
        .filter_map(|(ip, prefix)| Subnet::around(ip, prefix))
        .collect()
}

/// Docker's two that need no record.
fn fixed(name: &str) -> Option<NetworkConfig> {
    let driver = match name {
        "host" => NetworkDriver::Host,
        "none" => NetworkDriver::Null,
        _ => return None,
    };
    let hash = Sha256::digest(name.as_bytes());
    Some(NetworkConfig {
        id: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        name: name.to_owned(),
        // Older than everything.
        created: "1970-01-01T00:00:00Z".to_owned(),
        driver,
        ..NetworkConfig::default()
    })
}

/// 64 hex digits that no other network has.
pub fn random_id() -> io::Result<String> {
    let mut bytes = [0u8; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// `[a-zA-Z0-9][a-zA-Z0-9_.-]*`: docker's, and safe as a file's name.
pub fn is_name(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric();
    let rest = |byte: u8| word(byte) || matches!(byte, b'_' | b'.' | b'-');
    text.len() <= 240 && text.bytes().next().is_some_and(word) && text.bytes().all(rest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_default_network_appears_once_and_others_get_other_ranges() {
        let top = std::env::temp_dir().join(format!("bryo-networks-{}", std::process::id()));
        let networks = Networks {
            directory: top.clone(),
        };
        let first = networks.named("bridge").unwrap();
        assert_eq!(networks.named("bridge").unwrap(), first);
        let all = networks.all().unwrap();
        let names: Vec<&str> = all.iter().map(|network| network.name.as_str()).collect();
        assert_eq!(names, ["bridge", "host", "none"]);
        let next = networks.choose_ipv4(&all).unwrap();
        assert!(!next.subnet.overlaps(first.pools[0].subnet));
        assert_eq!(networks.find(&first.id[..8]).unwrap(), first);
        for missing in ["", "nothing", "../bridge", "bridge.json"] {
            let found = networks.find(missing);
            assert!(matches!(found, Err(NetworkError::NotFound { .. })));
        }
        let again = networks.write(&first);
        assert!(matches!(again, Err(NetworkError::Exists { .. })));
        fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn ranges_of_ipv6_are_local_and_each_networks_own() {
        let (one, two) = (Networks::choose_ipv6("a"), Networks::choose_ipv6("b"));
        assert!(!one.subnet.overlaps(two.subnet));
        assert!(one.subnet.to_string().starts_with("fd") && one.subnet.prefix() == 64);
        assert_eq!(one.subnet.offset(one.gateway), Some(1));
    }
}
