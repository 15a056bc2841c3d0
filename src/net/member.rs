//! A container as the inner half of `bryo net` knows it: who it is, and where it is connected.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use super::egress::Egress;
use super::forward::Published;
use super::guard::{self, Opened, Place};
use super::hosted::Hosted;
use super::hosts::HOST;
use super::limited::{Limited, Owner};
use super::names;
use super::record::{NetworkConfig, Pool, random_id};
use super::shared::{Inside, Shared, bridge_mac, link_local_ranges, mac_of};
use super::subnet::Subnet;
use super::wire::{self, Address, Attach, Endpoint, FromInner, Member, Refusal, Way};
use crate::sys::nftables::Nftables;
use crate::sys::timer::Moment;

/// A monitor's connection and what was attached through it.
pub struct Guest {
    pub number: u64,
    pub member: Option<Member>,
    /// The container's network namespace.
    pub namespace: Option<OwnedFd>,
    pub endpoints: Vec<Endpoint>,
    /// What this one calls others, and on which network.
    pub links: Vec<(String, String, String)>,
    pub published: Vec<Published>,
    pub hosted: Vec<Hosted>,
    limited: Limited,
    /// How many refusals were told since when.
    told: Cell<(Moment, u32)>,
    /// Closed last: its end says that all else is free.
    pub socket: OwnedFd,
}

/// So many refusals of one container are told in a second.
const TOLD: u32 = 20;

/// How much longer than it says an answer of a name server is good: its reader has to have the time to connect. And how long at
/// most.
const GRACE: Duration = Duration::from_secs(2);
const LONGEST_PIN: Duration = Duration::from_secs(24 * 60 * 60);

impl Guest {
    /// Connects the container with a network, at addresses that are its own.
    pub fn connect(
        &mut self,
        shared: &Shared,
        attach: &Attach,
        taken: &[(IpAddr, Pool)],
    ) -> io::Result<Endpoint> {
        let nobody = || io::Error::other("the monitor has not said whose it is");
        let member = self.member.as_ref().ok_or_else(nobody)?;
        // First, so that not one packet comes out without them.
        if self.hosted.is_empty() {
            let made = member.host_ports.iter().map(|port| Hosted::new(*port));
            self.hosted = made.collect::<io::Result<_>>()?;
        }
        let opened = opened(&self.hosted);
        let owner = owner(member, &opened);
        self.limited.enter(owner, place(member, attach, taken))?;
        let namespace = self.namespace.as_ref().ok_or_else(nobody)?;
        let network = &attach.network;
        let gateway = |pool: &Pool| (!network.internal).then_some(pool.gateway);
        let addresses: Vec<Address> = taken
            .iter()
            .map(|(ip, pool)| Address {
                ip: *ip,
                prefix: pool.subnet.prefix(),
                gateway: gateway(pool),
            })
            .collect();
        let own = taken
            .first()
            .map_or([2, 0x42, 0, 0, 0, 2], |(ip, _)| mac_of(*ip));
        let mac = attach.mac.unwrap_or(own);
        shared.connect(
            network,
            &pair_name(&member.id, &network.id),
            &Inside {
                namespace: namespace.as_fd(),
                interface: &attach.interface,
                mac,
                addresses: &addresses,
                more: &attach.more,
                routes: &network.routes,
                is_default: attach.is_default,
                is_default_ipv6: attach.is_default_ipv6,
                sees_host: !member.host_ports.is_empty(),
            },
        )?;
        let names = names(member, &attach.aliases);
        let links = attach.links.iter().cloned();
        self.links
            .extend(links.map(|(target, alias)| (network.id.clone(), target, alias)));
        let endpoint = Endpoint {
            network: network.name.clone(),
            network_id: network.id.clone(),
            id: random_id()?,
            interface: attach.interface.clone(),
            mac: mac.map(|byte| format!("{byte:02x}")).join(":"),
            addresses,
            names,
            aliases: attach.aliases.clone(),
            is_default: attach.is_default,
            is_default_ipv6: attach.is_default_ipv6,
            nameless: network.nameless,
        };
        self.endpoints.push(endpoint.clone());
        Ok(endpoint)
    }

    /// Makes its place in a network anew, with the addresses it has.
    pub fn reconnect(&mut self, shared: &Shared, attach: &Attach) -> io::Result<Endpoint> {
        let network = &attach.network;
        let is_place = |endpoint: &&Endpoint| endpoint.network_id == network.id;
        let place = self.endpoints.iter().find(is_place).cloned();
        let place = place.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let taken = place.addresses.iter().filter_map(|address| {
            let mut pools = network.pools.iter();
            let pool = pools.find(|pool| pool.subnet.contains(address.ip))?;
            Some((address.ip, pool.clone()))
        });
        let taken: Vec<(IpAddr, Pool)> = taken.collect();
        if let Some(member) = &self.member {
            shared.disconnect(&pair_name(&member.id, &network.id))?;
        }
        let links = std::mem::take(&mut self.links);
        let others = |of: &String| *of != network.id;
        self.links = links
            .iter()
            .filter(|(of, ..)| others(of))
            .cloned()
            .collect();
        let before = std::mem::take(&mut self.endpoints);
        let others = before
            .iter()
            .filter(|endpoint| others(&endpoint.network_id));
        self.endpoints = others.cloned().collect();
        let made = self.connect(shared, attach, &taken);
        if made.is_err() {
            // Its addresses are its own still, and what is missing is made by the next attempt.
            (self.endpoints, self.links) = (before, links);
        }
        made
    }

    /// The old name is nobody's, unless it was one for another reason too.
    pub fn rename(&mut self, name: String) {
        let Some(member) = &mut self.member else {
            return;
        };
        member.name = name;
        for endpoint in &mut self.endpoints {
            endpoint.names = names(member, &endpoint.aliases);
        }
    }

    /// Takes it out of a network; gives what it had there. The default route goes to what is left.
    pub fn disconnect(&mut self, shared: &Shared, network: &str) -> Vec<Endpoint> {
        let (gone, left) = std::mem::take(&mut self.endpoints)
            .into_iter()
            .partition(|endpoint| endpoint.network_id == network);
        self.endpoints = left;
        self.links.retain(|(of, _, _)| of != network);
        let gone: Vec<Endpoint> = gone;
        if !gone.is_empty() {
            self.cut(shared, network);
        }
        self.find_ways(shared);
        gone
    }

    /// The kernel has taken the routes of an interface with it.
    fn find_ways(&mut self, shared: &Shared) {
        let Some(namespace) = &self.namespace else {
            return;
        };
        let (namespace, sees_host) = (namespace.as_fd(), !self.hosted.is_empty());
        let order = |endpoint: &&mut Endpoint| (!endpoint.is_default, !endpoint.leads_out());
        let mut lacks_ipv6 = true;
        if let Some(next) = self.endpoints.iter_mut().min_by_key(order) {
            let addresses = next.addresses.iter().copied();
            let routed = shared.route(namespace, &next.interface, addresses, sees_host);
            next.is_default = routed.is_ok() && next.leads_out();
            lacks_ipv6 = !next.leads_out_ipv6();
            next.is_default_ipv6 = false;
        }
        let others = self.endpoints.iter_mut();
        let mut others = others.filter(|endpoint| endpoint.leads_out_ipv6());
        if let Some(next) = others.next().filter(|_| lacks_ipv6) {
            let addresses = next.addresses.iter().copied();
            let addresses = addresses.filter(|address| address.ip.is_ipv6());
            let routed = shared.route(namespace, &next.interface, addresses, sees_host);
            next.is_default_ipv6 = routed.is_ok();
        }
    }
}

impl Guest {
    /// First the interface, then the rules it had: never the other way round.
    pub fn cut(&mut self, shared: &Shared, network: &str) {
        let Some(member) = &self.member else { return };
        // One that is gone already is what was wanted.
        let _ = shared.disconnect(&pair_name(&member.id, network));
        self.limited.leave(&member.id, network);
    }

    /// The monitor has gone. Where there are rules, the container may outlive it by a moment.
    pub fn end(&mut self, shared: &Shared) {
        if !self.limited.is_ruled() {
            return;
        }
        let places = self.limited.places();
        let networks: Vec<String> = places.map(|place| place.network.clone()).collect();
        for network in networks {
            self.cut(shared, &network);
        }
    }

    /// It may reach what this list says, from now on.
    pub fn limit(&mut self, egress: Option<Egress>) -> io::Result<()> {
        let Some(member) = &mut self.member else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let opened = opened(&self.hosted);
        let owner = Owner {
            egress: egress.as_ref(),
            ..owner(member, &opened)
        };
        self.limited.change(owner, |_| {})?;
        member.egress = egress;
        Ok(())
    }

    /// The same of all that is in a network. Whether it is.
    pub fn limit_in(&mut self, network: &str, egress: Option<&Egress>) -> io::Result<bool> {
        let Some(member) = &self.member else {
            return Ok(false);
        };
        let is_there = |place: &Place| place.network == network;
        if !self.limited.places().any(is_there) {
            return Ok(false);
        }
        let opened = opened(&self.hosted);
        let changed = self.limited.change(owner(member, &opened), |place| {
            if is_there(place) {
                place.egress = egress.cloned();
            }
        });
        changed.map(|()| true)
    }

    fn egress(&self) -> Option<&Egress> {
        self.member.as_ref()?.egress.as_ref()
    }

    fn is_limited(&self) -> bool {
        self.egress().is_some() || self.limited.places().any(|place| place.egress.is_some())
    }

    /// A name may be asked for that some way out leads to.
    fn allows(&self, name: &str) -> bool {
        let allows = |egress: Option<&Egress>| egress.is_none_or(|e| e.allows_name(name));
        let mut ways = self.limited.places().filter(|place| place.leads_out);
        allows(self.egress()) && ways.any(|place| allows(place.egress.as_ref()))
    }

    pub fn permits(&self, query: &[u8]) -> bool {
        if !self.is_limited() {
            return true;
        }
        let Some(name) = names::asked_name(query) else {
            return false;
        };
        let permitted = self.allows(&name);
        if !permitted {
            self.tell(Refusal::Name(name));
        }
        permitted
    }

    pub fn admits(&self, answer: &[u8]) -> bool {
        if !self.is_limited() {
            return true;
        }
        let Some(found) = names::found(answer) else {
            return false;
        };
        if let Some(name) = found.names.iter().find(|name| !self.allows(name)) {
            self.tell(Refusal::Name(name.clone()));
            return false;
        }
        if found.names.is_empty() {
            return false;
        }
        let mut pinned = found.addresses.iter().map(|(ip, ttl)| {
            let time = Duration::from_secs((*ttl).into()) + GRACE;
            self.pin(&found.names, *ip, time.min(LONGEST_PIN))
        });
        // An answer that can't be used is none.
        pinned.all(|pinned| pinned.is_ok())
    }

    /// Opens an address.
    fn pin(&self, names: &[String], ip: IpAddr, time: Duration) -> io::Result<()> {
        match &self.member {
            Some(member) => self.limited.pin(owner(member, &[]), names, ip, time),
            None => Ok(()),
        }
    }

    pub fn has_address(&self, ip: IpAddr) -> bool {
        let mut places = self.endpoints.iter();
        places.any(|place| place.addresses.iter().any(|address| address.ip == ip))
    }

    pub fn has_mark(&self, mark: u32) -> bool {
        let member = self.member.as_ref().filter(|_| self.limited.is_ruled());
        member.is_some_and(|member| guard::mark(&member.id) == mark)
    }

    /// Tells the monitor what has become of the way out, if it understands that.
    pub fn tell_way(&self, way: &Way) {
        let understands = self.member.as_ref().map_or(0, |member| member.understands);
        if understands >= wire::VERSION_OF_WAYS {
            let _ = wire::send(self.socket.as_fd(), &FromInner::Way(way.clone()), &[]);
        }
    }

    /// Tells the container who its gateways are, and the host: it may be asking for them.
    pub fn greet(&self, shared: &Shared, networks: &[NetworkConfig]) {
        let Some(namespace) = &self.namespace else {
            return;
        };
        let host = (!self.hosted.is_empty()).then_some(IpAddr::V4(HOST));
        for endpoint in &self.endpoints {
            let mut networks = networks.iter();
            let Some(network) = networks.find(|network| network.id == endpoint.network_id) else {
                continue;
            };
            let gateways = endpoint.addresses.iter().filter_map(|own| own.gateway);
            let told = shared.greet(
                namespace.as_fd(),
                &endpoint.interface,
                bridge_mac(network),
                gateways.chain(host),
            );
            // It asks once more.
            told.unwrap_or_else(
                |error| tracing::debug!(%error, "a container is not told of gateways"),
            );
        }
    }

    /// Tells the monitor, if it listens and has not heard enough.
    pub fn tell(&self, refusal: Refusal) {
        let (since, count) = self.told.get();
        let (since, count) = match since.elapsed() < Duration::from_secs(1) {
            true => (since, count),
            false => (Moment::now(), 0),
        };
        self.told.set((since, count + 1));
        if count < TOLD {
            let _ = wire::send(self.socket.as_fd(), &FromInner::Refused(refusal), &[]);
        }
    }
}

fn owner<'a>(member: &'a Member, opened: &'a [Opened]) -> Owner<'a> {
    Owner {
        id: &member.id,
        egress: member.egress.as_ref(),
        opened,
    }
}

fn opened(hosted: &[Hosted]) -> Vec<Opened> {
    hosted.iter().map(Hosted::opened).collect()
}

/// As its rules have to know it.
fn place(member: &Member, attach: &Attach, taken: &[(IpAddr, Pool)]) -> Place {
    let network = &attach.network;
    let near = attach.more.iter().flat_map(|ip| {
        let ranges = link_local_ranges().filter(|_| ip.is_ipv4());
        let ranges = ranges.chain(Subnet::around(*ip, 64).filter(|_| ip.is_ipv6()));
        ranges.map(|range| (*ip, range))
    });
    let given = taken.iter().map(|(ip, pool)| (*ip, pool.subnet));
    Place {
        network: network.id.clone(),
        pair: pair_name(&member.id, &network.id),
        bridge: network.interface(),
        bridge_mac: bridge_mac(network),
        addresses: given.chain(near).collect(),
        egress: network.egress.clone(),
        leads_out: !network.internal,
    }
}

/// Its own name, the beginning of its id, its host name and the aliases, each once.
fn names(member: &Member, aliases: &[String]) -> Vec<String> {
    let mut names = vec![member.name.clone()];
    let short = member.id.get(..12).unwrap_or(&member.id);
    let more = [short, &member.hostname].into_iter();
    for name in more.chain(aliases.iter().map(String::as_str)) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The end at the bridge: 15 bytes are the most that an interface's name has.
fn pair_name(container: &str, network: &str) -> String {
    let part = |text: &str, length| text.get(..length).unwrap_or_default().to_owned();
    format!("v{}{}", part(container, 8), part(network, 6))
}

/// All who are here.
pub struct Guests {
    guests: BTreeMap<u64, Guest>,
    nftables: Rc<Nftables>,
    is_revived: bool,
    last: u64,
    turn: Cell<usize>,
}

impl Guests {
    /// `nftables`: of the shared namespace. `is_revived`: another `bryo net` was there before.
    pub fn new(nftables: Rc<Nftables>, is_revived: bool) -> Guests {
        Guests {
            guests: BTreeMap::new(),
            nftables,
            is_revived,
            last: 0,
            turn: Cell::default(),
        }
    }

    pub fn add(&mut self, socket: OwnedFd) {
        self.last += 1;
        let number = self.last;
        self.put(Guest {
            number,
            socket,
            member: None,
            namespace: None,
            endpoints: Vec::new(),
            links: Vec::new(),
            published: Vec::new(),
            hosted: Vec::new(),
            limited: Limited::new(Rc::clone(&self.nftables), self.is_revived),
            told: Cell::new((Moment::now(), 0)),
        });
    }

    pub fn take(&mut self, number: u64) -> Option<Guest> {
        self.guests.remove(&number)
    }

    pub fn get_mut(&mut self, number: u64) -> Option<&mut Guest> {
        self.guests.get_mut(&number)
    }

    pub fn put(&mut self, guest: Guest) {
        self.guests.insert(guest.number, guest);
    }

    pub fn all(&self) -> impl Iterator<Item = &Guest> {
        self.guests.values()
    }

    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut Guest> {
        self.guests.values_mut()
    }

    /// A number that is another each time.
    pub fn next_turn(&self) -> usize {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        turn
    }

    pub fn is_empty(&self) -> bool {
        self.guests.is_empty()
    }
}
