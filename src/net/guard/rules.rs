//! The chains and sets of one place's tables. Decides nothing; writes what its `Guard` says.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use Expression::{Accept, Drop, Goto, IsIn, Jump, Limit, Load, LoadBehind, Log, Mark, Return};

use super::super::egress::{Destination, Egress, Target};
use super::super::firewall::{CONNECTION_ESTABLISHED, CONNECTION_RELATED, IPS_DST_NAT};
use super::super::hosts::HOST;
use super::super::resolver::EMBEDDED;
use super::super::subnet::Subnet;
use super::{GROUP, Guard, Place, mark};
use crate::sys::nftables::{Batch, Chain, Expression, Fact, Family, Hook, Key, Set, Table, Value};

type Rule<'a> = Vec<Expression<'a>>;

/// So many destinations are allowed by one batch for each limit: a batch is one message, and that may have some 400 KiB.
const AT_ONCE: usize = 128;

/// Refused packets go there.
const REFUSED: &str = "refused";

/// Before and behind the rules of all networks, and before all of the kernel's own.
const FIRST: i32 = -300;
const BEFORE_TRANSLATION: i32 = -101;
const BEHIND: i32 = 10;

const ARP: [u8; 2] = (libc::ETH_P_ARP as u16).to_be_bytes();
const IPV4: [u8; 2] = (libc::ETH_P_IP as u16).to_be_bytes();
const IPV6: [u8; 2] = (libc::ETH_P_IPV6 as u16).to_be_bytes();

const PORT_OF_NAMES: u16 = 53;

const PACKET_BROADCAST: u8 = 1;
const PACKET_MULTICAST: u8 = 2;

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;

/// A table that rules are written into.
struct Writer<'a> {
    batch: &'a mut Batch,
    table: Table<'a>,
}

impl Writer<'_> {
    fn base(&mut self, name: &str, is_nat: bool, hook: Hook, priority: i32) {
        let chain = Chain {
            name,
            is_nat,
            hook,
            priority,
        };
        self.batch.add_chain(self.table, &chain);
    }

    fn rule(&mut self, chain: &str, expressions: &[Expression<'_>]) {
        self.batch.add_rule(self.table, chain, expressions);
    }
}

/// Into tables that are empty.
pub(super) fn write(guard: &Guard<'_>, name: &str, batch: &mut Batch) {
    let mut writer = Writer {
        table: Table {
            family: Family::Bridge,
            name,
        },
        batch,
    };
    write_bridge(guard, &mut writer);
    writer.table.family = Family::Inet;
    write_inet(guard, &mut writer);
}

/// Who sent it is known only here: behind the bridge all of a network look alike.
fn write_bridge(guard: &Guard<'_>, writer: &mut Writer<'_>) {
    let chain = "from";
    writer.base(chain, false, Hook::Prerouting, FIRST);
    let pair = Value::interface(&guard.place.pair);
    writer.rule(
        chain,
        &[Load(Fact::InterfaceIn), Expression::is_not(pair), Accept],
    );
    writer.rule(chain, &[Mark(mark(guard.id))]);
    if !guard.limits().is_empty() {
        let families = [of_ipv4(guard.place), of_ipv6(guard.place)];
        let other = [ARP, IPV4, IPV6].map(|kind| [Load(Fact::LINK_TYPE), Expression::is_not(kind)]);
        writer.rule(chain, &[&other.concat()[..], &[Drop]].concat());
        for rule in families.concat() {
            writer.rule(chain, &[&rule[..], &[Drop]].concat());
        }
    }
}

/// What is dropped: all but what comes from its own addresses, without options that lead elsewhere; and what goes past the
/// gateway to others than neighbours, who might pass it on.
fn of_ipv4(place: &Place) -> Vec<Rule<'static>> {
    let arp = [Load(Fact::LINK_TYPE), Expression::is(ARP)];
    let ipv4 = [Load(Fact::Protocol), Expression::is(IPV4)];
    let own = || place.addresses.iter().filter(|(ip, _)| ip.is_ipv4());
    if own().next().is_none() {
        return vec![
            arp.to_vec(),
            vec![Load(Fact::LINK_TYPE), Expression::is(IPV4)],
        ];
    }
    // One may have several ranges.
    let addresses: BTreeSet<Subnet> = own().map(|(ip, _)| single(*ip)).collect();
    let addresses: Vec<Subnet> = addresses.into_iter().collect();
    let everybody = [(Ipv4Addr::new(224, 0, 0, 0), 4), (Ipv4Addr::BROADCAST, 32)];
    let everybody = everybody.map(|(ip, prefix)| range(ip, prefix));
    let near: Vec<Subnet> = own().map(|(_, subnet)| *subnet).chain(everybody).collect();
    let long = [
        Load(Fact::HEADER_LENGTH),
        Expression::mask([0x0f]),
        Expression::is_not([5]),
    ];
    vec![
        [&arp[..], &not_among(Fact::ARP_SENDER, &addresses)].concat(),
        [&ipv4[..], &not_among(Fact::SOURCE_IPV4, &addresses)].concat(),
        [&ipv4[..], &long].concat(),
        [
            &past(place)[..],
            &ipv4,
            &not_among(Fact::TARGET_IPV4, &near),
        ]
        .concat(),
    ]
}

fn of_ipv6(place: &Place) -> Vec<Rule<'static>> {
    let ipv6 = [Load(Fact::Protocol), Expression::is(IPV6)];
    let own = || place.addresses.iter().filter(|(ip, _)| ip.is_ipv6());
    let link = range(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10);
    let everybody = range(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8);
    let none_yet = single(Ipv6Addr::UNSPECIFIED.into());
    let from = [none_yet, link].into_iter();
    let from: Vec<Subnet> = from.chain(own().map(|(ip, _)| single(*ip))).collect();
    let near = [everybody, link].into_iter();
    let near: Vec<Subnet> = near.chain(own().map(|(_, subnet)| *subnet)).collect();
    let speaks = |kind: u8| {
        let ipv6 = [Load(Fact::LINK_TYPE), Expression::is(IPV6)];
        [&ipv6[..], &icmpv6(kind)].concat()
    };
    vec![
        [&ipv6[..], &not_among(Fact::SOURCE_IPV6, &from)].concat(),
        speaks(ROUTER_ADVERTISEMENT),
        speaks(REDIRECT),
        [
            &past(place)[..],
            &ipv6,
            &not_among(Fact::TARGET_IPV6, &near),
        ]
        .concat(),
    ]
}

fn past(place: &Place) -> [Expression<'static>; 2] {
    let gateway = Value::from(place.bridge_mac);
    [Load(Fact::LINK_TARGET), Expression::is_not(gateway)]
}

fn write_inet(guard: &Guard<'_>, writer: &mut Writer<'_>) {
    write_ports(guard, writer);
    let limits = guard.limits();
    if limits.is_empty() {
        return;
    }
    // Frames to some addresses of the link's own reach the host past the bridge, and past its rules.
    writer.base("direct", false, Hook::Prerouting, FIRST);
    let pair = Value::interface(&guard.place.pair);
    writer.rule(
        "direct",
        &[Load(Fact::InterfaceIn), Expression::is(pair), Drop],
    );
    writer.batch.add_inner_chain(writer.table, REFUSED);
    writer.rule(REFUSED, &[Limit(20, 40), Log(GROUP)]);
    let reset = Expression::Reset;
    writer.rule(
        REFUSED,
        &[&transport(libc::IPPROTO_TCP)[..], &[reset]].concat(),
    );
    writer.rule(REFUSED, &[Expression::Prohibit]);
    for (limit, egress) in &limits {
        write_limit(limit.word(), egress, writer);
    }
    let bridge = Value::interface(&guard.place.bridge);
    for (chain, hook) in [("out", Hook::Forward), ("in", Hook::Input)] {
        writer.base(chain, false, hook, BEHIND);
        let is_other = Expression::is_not(mark(guard.id));
        writer.rule(chain, &[Load(Fact::Mark), is_other, Accept]);
        writer.rule(
            chain,
            &[Load(Fact::InterfaceIn), Expression::is_not(bridge), Accept],
        );
        let known = CONNECTION_ESTABLISHED | CONNECTION_RELATED;
        writer.rule(chain, &has_bits(Fact::ConnectionState, known));
    }
    let [tcp, udp] = [libc::IPPROTO_TCP, libc::IPPROTO_UDP].map(|kind| [kind as u8]);
    let other = [tcp, udp].map(|kind| [Load(Fact::Transport), Expression::is_not(kind)]);
    writer.rule("out", &[&other.concat()[..], &[Goto(REFUSED)]].concat());
    for (limit, _) in &limits {
        writer.rule("out", &[Jump(limit.word())]);
    }
    write_inward(writer);
}

/// The ports of the host's that are open to it.
fn write_ports(guard: &Guard<'_>, writer: &mut Writer<'_>) {
    if guard.opened.is_empty() {
        return;
    }
    let chain = "ports";
    writer.base(chain, true, Hook::Prerouting, BEFORE_TRANSLATION);
    for opened in guard.opened {
        let own = [Load(Fact::Mark), Expression::is(mark(guard.id))];
        let to = to_port(HOST, libc::IPPROTO_TCP, opened.container);
        let lead = [Expression::SendToPort(HOST.octets(), opened.listener)];
        writer.rule(chain, &[&own[..], &to, &lead].concat());
    }
}

/// What it says to the shared namespace itself: it asks for names, and finds its neighbours.
fn write_inward(writer: &mut Writer<'_>) {
    let chain = "in";
    writer.rule(chain, &has_bits(Fact::ConnectionStatus, IPS_DST_NAT));
    for protocol in [libc::IPPROTO_UDP, libc::IPPROTO_TCP] {
        let asks = to_port(EMBEDDED, protocol, PORT_OF_NAMES);
        writer.rule(chain, &[&asks[..], &[Accept]].concat());
    }
    let ipv6 = of_family(false);
    for kind in [
        NEIGHBOUR_SOLICITATION,
        NEIGHBOUR_ADVERTISEMENT,
        ROUTER_SOLICITATION,
    ] {
        writer.rule(chain, &[&ipv6[..], &icmpv6(kind), &[Accept]].concat());
    }
    // What interfaces say to everybody of their own accord is no try to get out.
    for delivery in [PACKET_BROADCAST, PACKET_MULTICAST] {
        writer.rule(
            chain,
            &[Load(Fact::Delivery), Expression::is([delivery]), Drop],
        );
    }
    writer.rule(chain, &[Goto(REFUSED)]);
}

/// A chain that leads back for what is allowed.
fn write_limit(word: &str, egress: &Egress, writer: &mut Writer<'_>) {
    let families = [
        (4, true, Key::Ipv4Port, Key::Ipv4),
        (6, false, Key::Ipv6Port, Key::Ipv6),
    ];
    let mut of_names: Vec<Rule<'_>> = Vec::new();
    let names = families.map(|(family, ..)| {
        let name = |kind| format!("{word}_{kind}{family}");
        (name("ports"), name("all"))
    });
    for ((_, is_ipv4, with_port, alone), (ports, all)) in families.iter().zip(&names) {
        for (name, key) in [(ports, with_port), (all, alone)] {
            let table = writer.table;
            writer.batch.add_set(Set { table, name }, *key);
        }
        let family = of_family(*is_ipv4);
        let load = Load(target(*is_ipv4));
        let port = LoadBehind(if *is_ipv4 { 4 } else { 16 }, Fact::PORT);
        of_names.push([&family[..], &[load, port, IsIn(ports), Return]].concat());
        of_names.push([&family[..], &[load, IsIn(all), Return]].concat());
    }
    writer.batch.add_inner_chain(writer.table, word);
    for rule in egress.allowed.iter().filter_map(fixed).take(AT_ONCE) {
        writer.rule(word, &rule);
    }
    for rule in of_names {
        writer.rule(word, &rule);
    }
    writer.rule(word, &[Goto(REFUSED)]);
}

/// The destinations that the tables were written without, for a chain that is there.
pub(super) fn more(name: &str, word: &str, egress: &Egress) -> Vec<Batch> {
    let family = Family::Inet;
    let rules: Vec<Rule<'_>> = egress.allowed.iter().filter_map(fixed).collect();
    let left = rules.get(AT_ONCE..).unwrap_or_default();
    let batch = |rules: &[Rule<'_>]| {
        let mut batch = Batch::default();
        for rule in rules {
            // Its last one refuses.
            batch.insert_rule(Table { family, name }, word, rule);
        }
        batch
    };
    left.chunks(AT_ONCE).map(batch).collect()
}

/// What needs no name server.
fn fixed(destination: &Destination) -> Option<Rule<'static>> {
    let mut rule = match &destination.target {
        Target::Host(_) => vec![
            Load(Fact::OriginalDestination),
            Expression::is(HOST.octets()),
        ],
        Target::Range(range) => {
            let mut rule = of_family(range.is_ipv4()).to_vec();
            if range.prefix() > 0 {
                rule.extend(begins(target(range.is_ipv4()), *range));
                rule.push(Expression::is(range.base()));
            }
            rule
        }
        Target::Name(_) | Target::Below(_) => return None,
    };
    if let Some(port) = destination.port {
        rule.extend([Load(Fact::PORT), Expression::is(port.to_be_bytes())]);
    }
    rule.push(Return);
    Some(rule)
}

fn of_family(is_ipv4: bool) -> [Expression<'static>; 2] {
    let family = match is_ipv4 {
        true => libc::NFPROTO_IPV4,
        false => libc::NFPROTO_IPV6,
    };
    [Load(Fact::Family), Expression::is([family as u8])]
}

fn target(is_ipv4: bool) -> Fact {
    match is_ipv4 {
        true => Fact::TARGET_IPV4,
        false => Fact::TARGET_IPV6,
    }
}

/// To an address and a port of it.
fn to_port(ip: Ipv4Addr, protocol: i32, port: u16) -> Rule<'static> {
    let to = [Load(Fact::TARGET_IPV4), Expression::is(ip.octets())];
    let port = [Load(Fact::PORT), Expression::is(port.to_be_bytes())];
    [&of_family(true)[..], &to, &transport(protocol), &port].concat()
}

fn transport(protocol: i32) -> [Expression<'static>; 2] {
    [Load(Fact::Transport), Expression::is([protocol as u8])]
}

fn icmpv6(kind: u8) -> Rule<'static> {
    let kind = [Load(Fact::ICMP_TYPE), Expression::is([kind])];
    [transport(libc::IPPROTO_ICMPV6), kind].concat()
}

/// Accepts what has one of these bits.
fn has_bits(fact: Fact, bits: u32) -> Rule<'static> {
    let none = Expression::is_not(0u32);
    vec![Load(fact), Expression::mask(bits), none, Accept]
}

/// The rule is for what is in none of them.
fn not_among(fact: Fact, ranges: &[Subnet]) -> Rule<'static> {
    let each = ranges.iter().map(|range| {
        let is_other = Expression::is_not(range.base());
        [&begins(fact, *range)[..], &[is_other]].concat()
    });
    each.flatten().collect()
}

/// What has to be the base of the range.
fn begins(fact: Fact, range: Subnet) -> Rule<'static> {
    let all = if range.is_ipv4() { 32 } else { 128 };
    match range.prefix() == all {
        true => vec![Load(fact)],
        false => vec![Load(fact), Expression::mask(range.mask())],
    }
}

fn single(ip: IpAddr) -> Subnet {
    range(ip, if ip.is_ipv4() { 32 } else { 128 })
}

fn range(ip: impl Into<IpAddr>, prefix: u8) -> Subnet {
    Subnet::around(ip.into(), prefix).expect("no family has so few bits")
}
