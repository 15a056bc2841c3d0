//! The rules of one container that has some of its own: what it may reach (`egress`), and which ports of the host's loopback are
//! open to it. They go by the interface a packet comes in at, so that no address the container takes helps it. Pure; who
//! loads them, and puts addresses into their sets, is `member`.

mod rules;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest, Sha256};

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
    /// Where names have led it that it has asked for.
    pub known: &'a [Known],
}

/// An address that a name stood for, and how long it is open still: connections may outlast that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// What was asked for, and the names that this one was another for.
    pub names: Vec<String>,
    pub ip: IpAddr,
    pub left: Duration,
}

/// The two names that a place's tables have by turns: new ones are written beside those that are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    First,
    Second,
}

impl Side {
    pub fn other(self) -> Side {
        match self {
            Side::First => Side::Second,
            Side::Second => Side::First,
        }
    }
}

/// Tables as changes, each a message: nothing comes to them before the last one, which ends those that were in force.
pub struct Rules {
    pub parts: Vec<Batch>,
    pub last: Batch,
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

    /// What connections may be to that are open already, when the list changes.
    fn set_of_open(&self) -> String {
        format!("{}_open", self.set())
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
pub fn table(id: &str, network: &str, side: Side) -> String {
    let part = |text: &str, length| text.get(..length).unwrap_or(text).to_owned();
    let end = if side == Side::First { "" } else { "-2" };
    format!("bryo-{}-{}{end}", part(id, 12), part(network, 12))
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

/// Fails where tables of this name are in force, and changes nothing.
pub fn probe(name: &str) -> Batch {
    // The last to come and the first to go.
    let family = Family::Bridge;
    let table = Table { family, name };
    let mut batch = Batch::default();
    batch.add_new_table(table);
    batch.delete_table(table);
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

    /// What connections are marked with that these limits have let pass: another list looks at them again. Never 0.
    fn seal(&self) -> u32 {
        let mut hash = Sha256::new();
        for (limit, egress) in self.limits() {
            hash.update(format!("{} {egress}\n", limit.word()));
        }
        let first = hash.finalize();
        u32::from_be_bytes([first[0], first[1], first[2], first[3]]) | 1
    }

    /// `others`: there may be tables of its names.
    pub fn write(&self, side: Side, others: bool) -> Rules {
        let name = table(self.id, &self.place.network, side);
        let mut rules = rules::write(self, &name, others);
        if others {
            let other = table(self.id, &self.place.network, side.other());
            rules.last.append(removal(&other));
        }
        rules
    }

    /// What is in the sets of its names, each with how long it stays; None: as long as the table.
    pub fn openings(&self) -> BTreeMap<(String, Vec<u8>), Option<Duration>> {
        let mut found = BTreeMap::new();
        for (limit, egress) in self.limits() {
            let is_allowed = |known: &&Known| known.names.iter().all(|n| egress.allows_name(n));
            for known in self.known.iter().filter(is_allowed) {
                let asked = known.names.first().into_iter();
                for port in asked.flat_map(|name| egress.ports_of(name)) {
                    let ip = known.ip;
                    let pin = Pin { limit, ip, port };
                    found.insert((pin.set_of_open(), pin.key()), None);
                    if !known.left.is_zero() {
                        let left = found.entry((pin.set(), pin.key())).or_insert(None);
                        *left = (*left).max(Some(known.left));
                    }
                }
            }
        }
        found
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            network: "0123456789abcdef".to_owned(),
            pair: "v0".to_owned(),
            bridge: "br-0".to_owned(),
            bridge_mac: [2, 0, 0, 0, 0, 1],
            addresses: Vec::new(),
            egress: None,
            leads_out: true,
        }
    }

    fn known(names: &[&str], last: u8, left: u64) -> Known {
        Known {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            ip: IpAddr::from([192, 0, 2, last]),
            left: Duration::from_secs(left),
        }
    }

    #[test]
    fn another_list_opens_what_its_names_have_led_to() {
        let place = place();
        let all = [
            known(&["a.test"], 1, 60),
            known(&["a.test"], 2, 0),
            known(&["b.a.test", "a.test"], 3, 60),
            known(&["c.test"], 4, 60),
            known(&["b.a.test"], 1, 90),
        ];
        let openings = |list: &str| {
            let egress: Egress = list.parse().unwrap();
            let guard = Guard {
                id: "0123456789abcdef",
                egress: Some(&egress),
                place: &place,
                opened: &[],
                known: &all,
            };
            let found = guard.openings().into_iter();
            let shown = found.map(|((set, key), left)| {
                let left = left.map_or(0, |left| left.as_secs());
                format!("{set} {} {left}", key[3])
            });
            shown.collect::<Vec<_>>()
        };
        assert_eq!(
            openings("a.test"),
            ["own_all4 1 60", "own_all4_open 1 0", "own_all4_open 2 0"]
        );
        // One that is only another name for what is not in the list leads nowhere; the longest time counts.
        assert_eq!(
            openings("*.a.test:443"),
            ["own_ports4 1 90", "own_ports4_open 1 0"]
        );
        assert_eq!(openings("a.test,*.a.test").len(), 5);
        assert_eq!(openings("none"), [""; 0]);
    }

    #[test]
    fn other_lists_have_other_seals() {
        let (place, opened, none) = (place(), [], Egress::default());
        let egress: Egress = "a.test".parse().unwrap();
        let limited = Place {
            egress: Some(egress.clone()),
            ..place.clone()
        };
        let seal = |egress, place| {
            let known = &[];
            let guard = Guard {
                id: "0123456789abcdef",
                egress,
                place,
                opened: &opened,
                known,
            };
            guard.seal()
        };
        let all = [
            seal(None, &place),
            seal(Some(&egress), &place),
            seal(None, &limited),
            seal(Some(&egress), &limited),
            seal(Some(&none), &place),
        ];
        assert!(all.iter().all(|seal| *seal != 0));
        let different: std::collections::BTreeSet<u32> = all.into_iter().collect();
        assert_eq!(different.len(), 5);
        assert_eq!(seal(Some(&egress), &place), all[1]);
    }
}
