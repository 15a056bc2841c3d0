//! The chains and sets of one place's tables. Decides nothing; writes what its `Guard` says.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use Expression::{
    Accept, Drop, Goto, IsIn, Jump, Limit, Load, LoadBehind, Log, Mark, MarkConnection, Return,
};

use super::super::egress::{Destination, Egress, Target};
use super::super::firewall::{
    CONNECTION_ESTABLISHED, CONNECTION_INVALID, CONNECTION_RELATED, IPS_DST_NAT,
};
use super::super::hosts::HOST;
use super::super::resolver::EMBEDDED;
use super::super::subnet::Subnet;
use super::{GROUP, Guard, Place, Rules, mark, removal};
use crate::sys::nftables::{
    Batch, Chain, Element, Expression, Fact, Family, Hook, Key, Set, Table, Value,
};

type Rule<'a> = Vec<Expression<'a>>;

/// A batch that has so many bytes takes no more rules: it is one message, and that may have some 400 KiB.
const PART: usize = 96 * 1024;

/// Refused packets go there.
const REFUSED: &str = "refused";

/// And those come there of which it is to be seen whether they are.
const CHECKED: &str = "checked";

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
    batches: Vec<Batch>,
    table: Table<'a>,
    /// Of one batch.
    most: usize,
}

impl Writer<'_> {
    fn batch(&mut self) -> &mut Batch {
        let is_full = |batch: &Batch| batch.length() >= self.most;
        if self.batches.last().is_none_or(is_full) {
            self.batches.push(Batch::default());
        }
        self.batches.last_mut().expect("there is one by now")
    }

    fn base(&mut self, name: &str, is_nat: bool, hook: Hook, priority: i32) {
        let chain = Chain {
            name,
            is_nat,
            hook,
            priority,
        };
        let table = self.table;
        self.batch().add_chain(table, &chain);
    }

    fn inner(&mut self, name: &str) {
        let table = self.table;
        self.batch().add_inner_chain(table, name);
    }

    fn set(&mut self, name: &str, key: Key) {
        let table = self.table;
        self.batch().add_set(Set { table, name }, key);
    }

    fn rule(&mut self, chain: &str, expressions: &[Expression<'_>]) {
        let table = self.table;
        self.batch().add_rule(table, chain, expressions);
    }
}

/// `others`: there may be unfinished ones of this name. What leads to the chains comes last.
pub(super) fn write(guard: &Guard<'_>, name: &str, others: bool) -> Rules {
    let [bridge, inet] = [Family::Bridge, Family::Inet].map(|family| Table { family, name });
    let begin = if others {
        removal(name)
    } else {
        Batch::default()
    };
    let mut behind = Writer {
        batches: vec![begin],
        table: inet,
        most: PART,
    };
    behind.batch().add_new_table(inet);
    write_chains(guard, &mut behind);
    let mut before = Writer {
        batches: Vec::new(),
        table: bridge,
        most: usize::MAX,
    };
    before.batch().add_new_table(bridge);
    write_bridge(guard, &mut before);
    before.table = inet;
    write_inet(guard, &mut before);
    let last = before.batches.pop();
    Rules {
        parts: behind.batches,
        last: last.expect("the table is in it"),
    }
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

/// Where packets come to the table.
fn write_inet(guard: &Guard<'_>, writer: &mut Writer<'_>) {
    write_ports(guard, writer);
    if guard.limits().is_empty() {
        return;
    }
    // Frames to some addresses of the link's own reach the host past the bridge, and past its rules.
    writer.base("direct", false, Hook::Prerouting, FIRST);
    let pair = Value::interface(&guard.place.pair);
    writer.rule(
        "direct",
        &[Load(Fact::InterfaceIn), Expression::is(pair), Drop],
    );
    let bridge = Value::interface(&guard.place.bridge);
    for (chain, hook) in [("out", Hook::Forward), ("in", Hook::Input)] {
        writer.base(chain, false, hook, BEHIND);
        let is_other = Expression::is_not(mark(guard.id));
        writer.rule(chain, &[Load(Fact::Mark), is_other, Accept]);
        writer.rule(
            chain,
            &[Load(Fact::InterfaceIn), Expression::is_not(bridge), Accept],
        );
    }
    writer.rule("out", &[Goto(CHECKED)]);
    write_inward(writer);
    // What others go on saying to it is looked at in the same way.
    let chain = "back";
    writer.base(chain, false, Hook::Forward, BEHIND);
    writer.rule(
        chain,
        &[Load(Fact::InterfaceOut), Expression::is_not(bridge), Accept],
    );
    let addresses: BTreeSet<IpAddr> = guard.place.addresses.iter().map(|(ip, _)| *ip).collect();
    for ip in addresses {
        let is_own = [Load(target(ip.is_ipv4())), Expression::is(ip)];
        writer.rule(
            chain,
            &[&of_family(ip.is_ipv4())[..], &is_own, &[Goto(CHECKED)]].concat(),
        );
    }
}

/// What they come to.
fn write_chains(guard: &Guard<'_>, writer: &mut Writer<'_>) {
    let limits = guard.limits();
    if limits.is_empty() {
        return;
    }
    writer.inner(REFUSED);
    let tcp = transport(libc::IPPROTO_TCP);
    let answers = [Load(Fact::ConnectionDirection), Expression::is([1])];
    let reset = [Expression::Reset];
    writer.rule(REFUSED, &[&answers[..], &tcp, &reset].concat());
    writer.rule(REFUSED, &[&answers[..], &[Drop]].concat());
    writer.rule(REFUSED, &[Limit(20, 40), Log(GROUP)]);
    writer.rule(REFUSED, &[&tcp[..], &reset].concat());
    writer.rule(REFUSED, &[Expression::Prohibit]);
    let openings = guard.openings();
    for (limit, egress) in &limits {
        let has_open = !openings.is_empty();
        write_limit(limit.word(), egress, has_open, writer);
    }
    for ((set, key), timeout) in &openings {
        let table = writer.table;
        let element = Element {
            key,
            data: None,
            timeout: *timeout,
        };
        let set = Set { table, name: set };
        writer.batch().add_element(set, &element);
    }
    let chain = CHECKED;
    writer.inner(chain);
    // It is of no connection: nobody would translate its address.
    let invalid = has_bits(Fact::ConnectionState, CONNECTION_INVALID);
    writer.rule(chain, &[&invalid[..], &[Drop]].concat());
    let is_known = [
        Load(Fact::ConnectionMark),
        Expression::is(guard.seal()),
        Accept,
    ];
    writer.rule(chain, &is_known);
    let [tcp, udp] = [libc::IPPROTO_TCP, libc::IPPROTO_UDP].map(|kind| [kind as u8]);
    let other = [tcp, udp].map(|kind| [Load(Fact::ConnectionProtocol), Expression::is_not(kind)]);
    writer.rule(chain, &[&other.concat()[..], &[Goto(REFUSED)]].concat());
    for (limit, _) in &limits {
        writer.rule(chain, &[Jump(limit.word())]);
    }
    writer.rule(chain, &[MarkConnection(guard.seal())]);
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
    let known = CONNECTION_ESTABLISHED | CONNECTION_RELATED;
    let is_known = has_bits(Fact::ConnectionState, known);
    writer.rule(chain, &[&is_known[..], &[Accept]].concat());
    let is_led = has_bits(Fact::ConnectionStatus, IPS_DST_NAT);
    writer.rule(chain, &[&is_led[..], &[Accept]].concat());
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

/// A chain that leads back for what is allowed. It goes by connections: whoever opens one, and whoever answers it, come to it
/// alike. `has_open`: what is open may go on to more addresses than new connections lead to.
fn write_limit(word: &str, egress: &Egress, has_open: bool, writer: &mut Writer<'_>) {
    let families = [
        (4, true, Key::Ipv4Port, Key::Ipv4),
        (6, false, Key::Ipv6Port, Key::Ipv6),
    ];
    let ends = if has_open { &["", "_open"][..] } else { &[""] };
    let mut names: Vec<(String, bool, bool)> = Vec::new();
    for end in ends {
        for (family, is_ipv4, with_port, alone) in families {
            for (kind, key) in [("ports", with_port), ("all", alone)] {
                let name = format!("{word}_{kind}{family}{end}");
                writer.set(&name, key);
                names.push((name, is_ipv4, kind == "ports"));
            }
        }
    }
    writer.inner(word);
    for rule in egress.allowed.iter().filter_map(fixed) {
        writer.rule(word, &rule);
    }
    let known = CONNECTION_ESTABLISHED | CONNECTION_RELATED;
    for (name, is_ipv4, has_port) in &names {
        let mut rule: Rule<'_> = Vec::new();
        if name.ends_with("_open") {
            rule.extend(has_bits(Fact::ConnectionState, known));
        }
        rule.push(Load(peer(*is_ipv4)));
        if *has_port {
            let behind = if *is_ipv4 { 4 } else { 16 };
            rule.push(LoadBehind(behind, Fact::PeerPort));
        }
        rule.extend([IsIn(name), Return]);
        writer.rule(word, &rule);
    }
    writer.rule(word, &[Goto(REFUSED)]);
}

/// What needs no name server.
fn fixed(destination: &Destination) -> Option<Rule<'static>> {
    let mut rule = match &destination.target {
        Target::Host(_) => vec![
            Load(Fact::OriginalDestination),
            Expression::is(HOST.octets()),
        ],
        Target::Range(range) => {
            if range.prefix() == 0 {
                of_family(range.is_ipv4()).to_vec()
            } else {
                let mut rule = begins(peer(range.is_ipv4()), *range);
                rule.push(Expression::is(range.base()));
                rule
            }
        }
        Target::Name(_) | Target::Below(_) => return None,
    };
    if let Some(port) = destination.port {
        rule.extend([Load(Fact::PeerPort), Expression::is(port.to_be_bytes())]);
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

fn peer(is_ipv4: bool) -> Fact {
    match is_ipv4 {
        true => Fact::PeerIpv4,
        false => Fact::PeerIpv6,
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

/// The rule is for what has one of these bits.
fn has_bits(fact: Fact, bits: u32) -> Rule<'static> {
    let none = Expression::is_not(0u32);
    vec![Load(fact), Expression::mask(bits), none]
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
