//! The rules of one container that has some of its own: what it may reach (`egress`), and which ports of the host's loopback are
//! open to it. They go by the interface a packet comes in at, so that no address the container takes helps it. Pure; who
//! loads them is `firewall`, who puts addresses into their sets is `member`.

use std::net::IpAddr;

use super::egress::{Destination, Egress, Target};
use super::hosts::HOST;
use super::resolver::EMBEDDED;
use super::subnet::Subnet;
use crate::sys::netlink::Mac;

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

/// The tables go, if they are there.
pub fn removal(id: &str, network: &str) -> String {
    let table = table(id, network);
    let families = ["bridge", "inet"].into_iter();
    let each = families.map(|f| format!("table {f} {table} {{}}\ndelete table {f} {table}\n"));
    each.collect()
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

    /// In one transaction, instead of those that were there.
    pub fn text(&self) -> String {
        let mut text = removal(self.id, &self.place.network);
        self.write_bridge(&mut text);
        self.write_inet(&mut text);
        text
    }

    /// Who sent it is known only here: behind the bridge all of a network look alike.
    fn write_bridge(&self, text: &mut String) {
        let table = table(self.id, &self.place.network);
        line(text, &format!("table bridge {table} {{\nchain from {{"));
        line(
            text,
            "type filter hook prerouting priority -300; policy accept;",
        );
        line(text, &format!("iifname != {:?} accept", self.place.pair));
        line(text, &format!("meta mark set {:#x}", mark(self.id)));
        if !self.limits().is_empty() {
            write_limits(text, self.place);
        }
        line(text, "}\n}");
    }

    fn write_inet(&self, text: &mut String) {
        let limits = self.limits();
        let mark = format!("{:#x}", mark(self.id));
        let table = table(self.id, &self.place.network);
        line(text, &format!("table inet {table} {{"));
        if !self.opened.is_empty() {
            line(text, "chain ports {");
            line(
                text,
                "type nat hook prerouting priority dstnat - 1; policy accept;",
            );
        }
        for Opened {
            container,
            listener,
        } in self.opened
        {
            let to = format!("meta mark {mark} ip daddr {HOST} tcp dport {container}");
            line(text, &format!("{to} dnat ip to {HOST}:{listener}"));
        }
        if !self.opened.is_empty() {
            line(text, "}");
        }
        if limits.is_empty() {
            return line(text, "}");
        }
        // Frames to some addresses of the link's own reach the host past the bridge, and past its rules.
        line(text, "chain direct {");
        line(
            text,
            "type filter hook prerouting priority raw; policy accept;",
        );
        line(text, &format!("iifname {:?} drop\n}}", self.place.pair));
        line(text, "chain refused {");
        line(
            text,
            &format!("limit rate 20/second burst 40 packets log group {GROUP}"),
        );
        line(text, "meta l4proto tcp reject with tcp reset");
        line(text, "reject with icmpx type admin-prohibited\n}");
        for (limit, egress) in &limits {
            write_limit(text, limit.word(), egress);
        }
        let others = format!(
            "meta mark != {mark} accept\niifname != {:?} accept",
            self.place.bridge
        );
        line(text, "chain out {");
        line(
            text,
            "type filter hook forward priority filter + 10; policy accept;",
        );
        line(text, &others);
        line(text, "ct state established,related accept");
        line(text, "meta l4proto != { tcp, udp } goto refused");
        for (limit, _) in &limits {
            line(text, &format!("jump {}", limit.word()));
        }
        line(text, "}\nchain in {");
        line(
            text,
            "type filter hook input priority filter + 10; policy accept;",
        );
        line(text, &others);
        line(text, "ct state established,related accept");
        line(text, "ct status & dnat == dnat accept");
        for protocol in ["udp", "tcp"] {
            line(
                text,
                &format!("ip daddr {EMBEDDED} {protocol} dport 53 accept"),
            );
        }
        line(
            text,
            "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } accept",
        );
        // What interfaces say to everybody of their own accord is no try to get out.
        line(text, "meta pkttype { broadcast, multicast } drop");
        line(text, "goto refused\n}\n}");
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// From its own addresses alone, without options that lead elsewhere; and past the gateway only to neighbours, who might
/// pass it on.
fn write_limits(text: &mut String, place: &Place) {
    let of = |ipv4: bool| {
        let all = place
            .addresses
            .iter()
            .filter(move |(ip, _)| ip.is_ipv4() == ipv4);
        all.map(|(ip, subnet)| (ip.to_string(), subnet.to_string()))
    };
    let list = |own: &[String]| own.join(", ");
    let (own4, nets4): (Vec<_>, Vec<_>) = of(true).unzip();
    let (own6, nets6): (Vec<_>, Vec<_>) = of(false).unzip();
    let [a, b, c, d, e, f] = place.bridge_mac;
    let past = format!("ether daddr != {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    line(text, "ether type != { arp, ip, ip6 } drop");
    if own4.is_empty() {
        line(text, "ether type { arp, ip } drop");
    } else {
        line(text, &format!("arp saddr ip != {{ {} }} drop", list(&own4)));
        line(text, &format!("ip saddr != {{ {} }} drop", list(&own4)));
        line(text, "ip hdrlength != 5 drop");
        let near = [
            nets4,
            vec!["224.0.0.0/4".to_owned(), "255.255.255.255".to_owned()],
        ]
        .concat();
        line(
            text,
            &format!("{past} ip daddr != {{ {} }} drop", list(&near)),
        );
    }
    let link = ["::".to_owned(), "fe80::/10".to_owned()];
    let own6 = [&link[..], &own6].concat();
    line(text, &format!("ip6 saddr != {{ {} }} drop", list(&own6)));
    line(text, "icmpv6 type { nd-router-advert, nd-redirect } drop");
    let near = ["ff00::/8".to_owned(), "fe80::/10".to_owned()];
    let near = [&near[..], &nets6].concat();
    line(
        text,
        &format!("{past} ip6 daddr != {{ {} }} drop", list(&near)),
    );
}

fn write_limit(text: &mut String, word: &str, egress: &Egress) {
    for (family, kind) in [(4, "ipv4_addr"), (6, "ipv6_addr")] {
        let ports = format!("set {word}_ports{family}");
        line(
            text,
            &format!("{ports} {{ type {kind} . inet_service; flags timeout; }}"),
        );
        line(
            text,
            &format!("set {word}_all{family} {{ type {kind}; flags timeout; }}"),
        );
    }
    line(text, &format!("chain {word} {{"));
    for rule in egress.allowed.iter().filter_map(fixed) {
        line(text, &rule);
    }
    for (family, ip) in [(4, "ip"), (6, "ip6")] {
        line(
            text,
            &format!("{ip} daddr . th dport @{word}_ports{family} return"),
        );
        line(text, &format!("{ip} daddr @{word}_all{family} return"));
    }
    line(text, "goto refused\n}");
}

/// What needs no name server.
fn fixed(destination: &Destination) -> Option<String> {
    let port = destination.port.map(|port| format!("th dport {port} "));
    let port = port.unwrap_or_default();
    match &destination.target {
        Target::Host(_) => Some(format!("ct original ip daddr {HOST} {port}return")),
        Target::Range(range) => {
            let word = if range.is_ipv4() { "ip" } else { "ip6" };
            Some(format!("{word} daddr {range} {port}return"))
        }
        Target::Name(_) | Target::Below(_) => None,
    }
}
