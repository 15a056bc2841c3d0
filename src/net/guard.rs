//! The rules of one container that has some of its own: what it may reach (`egress`), and which ports of the host's loopback are
//! open to it. They go by the interface a packet comes in at, so that no address the container takes helps it. Pure; who
//! loads them, and puts addresses into their sets, is `member`.

mod rules;

use std::net::IpAddr;

use super::egress::Egress;
use super::subnet::Subnet;
use crate::sys::netlink::Mac;
use crate::sys::nftables::{Batch, Family, Table};

/// Refused packets are reported to it (nfnetlink_log).
pub const GROUP: u16 = 7;

/// One of the container's places in networks.
#[derive(Clone, Debug)]
pub struct Place {
    /// The network's id.
    pub network: String,
    /// Its end at the bridge, and the bridge.
    pub pair: String,
    pub bridge: String,
    pub bridge_mac: Mac,
    /// Those that it may send from, and the network's ranges.
    pub addresses: Vec<(IpAddr, Subnet)>,
    /// Of the network.
    pub egress: Option<Egress>,
    pub leads_out: bool,
}

/// A port of the host's loopback, as the container sees it, and where this half listens for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    pub container: u16,
    pub listener: u16,
}

/// What the rules of one place are made of. Each place has tables of its own, so that none is ever without while others change.
pub struct Guard<'a> {
    /// Of the container.
    pub id: &'a str,
    pub egress: Option<&'a Egress>,
    pub place: &'a Place,
    pub opened: &'a [Opened],
}

/// Who limits the container; it names the sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    Own,
    Network,
}

impl Limit {
    fn word(self) -> &'static str {
        match self {
            Limit::Own => "own",
            Limit::Network => "net",
        }
    }
}

/// An address that a name stood for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    pub limit: Limit,
    pub ip: IpAddr,
    pub port: Option<u16>,
}

impl Pin {
    pub fn set(&self) -> String {
        let kind = if self.port.is_some() { "ports" } else { "all" };
        let family = if self.ip.is_ipv4() { 4 } else { 6 };
        format!("{}_{kind}{family}", self.limit.word())
    }

    /// The parts of a concatenation have four bytes each.
    pub fn key(&self) -> Vec<u8> {
        let mut key = match self.ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        if let Some(port) = self.port {
            key.extend(port.to_be_bytes());
            key.extend([0, 0]);
        }
        key
    }
}

/// Of the tables of a container's place.
pub fn table(id: &str, network: &str) -> String {
    let part = |text: &str, length| text.get(..length).unwrap_or(text).to_owned();
    format!("bryo-{}-{}", part(id, 12), part(network, 12))
}

/// What its packets are marked with: never the mark of transparent sockets. Two containers with one mark are limited to what
/// both may do.
pub fn mark(id: &str) -> u32 {
    let digits = id.get(..6).unwrap_or_default();
    u32::from_str_radix(digits, 16).unwrap_or(0) << 8 | 0xfe
}

/// Both of them have the same name.
const FAMILIES: [Family; 2] = [Family::Bridge, Family::Inet];

/// The tables of this name go, if they are there.
pub fn removal(name: &str) -> Batch {
    let mut batch = Batch::default();
    for family in FAMILIES {
        let table = Table { family, name };
        batch.add_table(table);
        batch.delete_table(table);
    }
    batch
}

impl Guard<'_> {
    fn limits(&self) -> Vec<(Limit, &Egress)> {
        let own = self.egress.map(|egress| (Limit::Own, egress));
        let network = self.place.egress.as_ref();
        let network = network.map(|egress| (Limit::Network, egress));
        own.into_iter().chain(network).collect()
    }

    /// Whether there is anything to be ruled.
    pub fn is_needed(&self) -> bool {
        !self.opened.is_empty() || !self.limits().is_empty()
    }

    /// Its tables, where there are none of their names. They are shut but for as much as one batch has room for.
    pub fn fresh(&self) -> Batch {
        let name = table(self.id, &self.place.network);
        self.written(&name, Batch::default(), Batch::add_new_table)
    }

    /// What else is allowed, one batch after the other.
    pub fn more(&self) -> impl Iterator<Item = Batch> + '_ {
        let limits = self.limits().into_iter();
        limits.flat_map(move |(limit, egress)| {
            rules::more(&table(self.id, &self.place.network), limit.word(), egress)
        })
    }

    /// Instead of those that are there.
    pub fn again(&self) -> Batch {
        let name = table(self.id, &self.place.network);
        self.written(&name, removal(&name), Batch::add_table)
    }

    fn written(&self, name: &str, mut batch: Batch, add: fn(&mut Batch, Table<'_>)) -> Batch {
        for family in FAMILIES {
            add(&mut batch, Table { family, name });
        }
        rules::write(self, name, &mut batch);
        batch
    }
}
