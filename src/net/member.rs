//! A container as the inner half of `bryo net` knows it: who it is, and where it is connected.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use super::egress::Egress;
use super::forward::Published;
use super::guard::{self, Guard, Limit, Opened, Pin, Place};
use super::hosted::Hosted;
use super::hosts::HOST;
use super::names;
use super::pins::Pins;
use super::record::{NetworkConfig, Pool, random_id};
use super::shared::{Inside, Shared, bridge_mac, link_local_ranges, mac_of};
use super::subnet::Subnet;
use super::wire::{self, Address, Attach, Endpoint, FromInner, Member, Refusal, Way};
use crate::sys::nftables::{Element, Family, Nftables, Set, Table};
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
    /// Those of its places that have rules of their own.
    places: Vec<Place>,
    pub hosted: Vec<Hosted>,
    pins: RefCell<Pins>,
    nftables: Rc<Nftables>,
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
        let place = guarded(member, attach, taken, &mut self.hosted, &self.nftables)?;
        self.places
            .retain(|known| known.network != attach.network.id);
        self.places.extend(place);
        let table = guard::table(&member.id, &attach.network.id);
        self.pins.get_mut().forget(&table);
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
        let before = self.places.len();
        self.places.retain(|place| place.network != network);
        if self.places.len() != before {
            // What stays is of an interface that is not there.
            let table = guard::table(&member.id, network);
            let _ = self.nftables.commit(guard::removal(&table));
        }
    }

    /// The monitor has gone. Where there are rules, the container may outlive it by a moment.
    pub fn end(&mut self, shared: &Shared) {
        let networks: Vec<String> = self.places.iter().map(|p| p.network.clone()).collect();
        for network in networks {
            self.cut(shared, &network);
        }
    }

    fn egress(&self) -> Option<&Egress> {
        self.member.as_ref()?.egress.as_ref()
    }

    fn is_limited(&self) -> bool {
        self.egress().is_some() || self.places.iter().any(|place| place.egress.is_some())
    }

    /// A name may be asked for that some way out leads to.
    fn allows(&self, name: &str) -> bool {
        let allows = |egress: Option<&Egress>| egress.is_none_or(|e| e.allows_name(name));
        // Places without rules of their own lead everywhere.
        let open = self.endpoints.iter().any(|endpoint| {
            let mut places = self.places.iter();
            places.all(|place| place.network != endpoint.network_id) && endpoint.leads_out()
        });
        let mut ways = self.places.iter().filter(|place| place.leads_out);
        allows(self.egress()) && (open || ways.any(|place| allows(place.egress.as_ref())))
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
        let Some(name) = found.names.first() else {
            return false;
        };
        let mut pinned = found.addresses.iter().map(|(ip, ttl)| {
            let time = Duration::from_secs((*ttl).into()) + GRACE;
            self.pin(name, *ip, time.min(LONGEST_PIN))
        });
        // An answer that can't be used is none.
        pinned.all(|pinned| pinned.is_ok())
    }

    /// Opens an address in all places.
    fn pin(&self, name: &str, ip: IpAddr, time: Duration) -> io::Result<()> {
        let Some(member) = &self.member else {
            return Ok(());
        };
        for place in &self.places {
            let table = guard::table(&member.id, &place.network);
            let limits = [
                (Limit::Own, member.egress.as_ref()),
                (Limit::Network, place.egress.as_ref()),
            ];
            for (limit, egress) in limits {
                for port in egress.iter().flat_map(|egress| egress.ports_of(name)) {
                    let pin = Pin { limit, ip, port };
                    let set = Set {
                        table: Table {
                            family: Family::Inet,
                            name: &table,
                        },
                        name: &pin.set(),
                    };
                    let key = (table.clone(), pin.set(), pin.key());
                    if !self.pins.borrow().would_last(&key, time) {
                        continue;
                    }
                    let element = Element {
                        key: &key.2,
                        data: None,
                        timeout: Some(time),
                    };
                    let mut pins = self.pins.borrow_mut();
                    self.nftables.put(set, &element, pins.knows(&key))?;
                    pins.note(key, time);
                }
            }
        }
        Ok(())
    }

    pub fn has_address(&self, ip: IpAddr) -> bool {
        let mut places = self.endpoints.iter();
        places.any(|place| place.addresses.iter().any(|address| address.ip == ip))
    }

    pub fn has_mark(&self, mark: u32) -> bool {
        let member = self.member.as_ref().filter(|_| !self.places.is_empty());
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

/// Loads the rules of a place, if it has any.
fn guarded(
    member: &Member,
    attach: &Attach,
    taken: &[(IpAddr, Pool)],
    hosted: &mut Vec<Hosted>,
    nftables: &Nftables,
) -> io::Result<Option<Place>> {
    if hosted.is_empty() {
        let made = member.host_ports.iter().map(|port| Hosted::new(*port));
        *hosted = made.collect::<io::Result<_>>()?;
    }
    let network = &attach.network;
    let near = attach.more.iter().flat_map(|ip| {
        let ranges = link_local_ranges().filter(|_| ip.is_ipv4());
        let ranges = ranges.chain(Subnet::around(*ip, 64).filter(|_| ip.is_ipv6()));
        ranges.map(|range| (*ip, range))
    });
    let given = taken.iter().map(|(ip, pool)| (*ip, pool.subnet));
    let place = Place {
        network: network.id.clone(),
        pair: pair_name(&member.id, &network.id),
        bridge: network.interface(),
        bridge_mac: bridge_mac(network),
        addresses: given.chain(near).collect(),
        egress: network.egress.clone(),
        leads_out: !network.internal,
    };
    let opened: Vec<Opened> = hosted.iter().map(Hosted::opened).collect();
    let guard = Guard {
        id: &member.id,
        egress: member.egress.as_ref(),
        place: &place,
        opened: &opened,
    };
    if !guard.is_needed() {
        return Ok(None);
    }
    let loaded = match nftables.commit(guard.fresh()) {
        // Of the last `bryo net`, or of the place that is made anew.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            nftables.commit(guard.again())
        }
        done => done,
    };
    loaded
        .and_then(|()| guard.more().try_for_each(|batch| nftables.commit(batch)))
        .map_err(|error| io::Error::new(error.kind(), format!("load its rules: {error}")))?;
    Ok(Some(place))
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
    last: u64,
    turn: Cell<usize>,
}

impl Guests {
    /// `nftables`: of the shared namespace.
    pub fn new(nftables: Rc<Nftables>) -> Guests {
        Guests {
            guests: BTreeMap::new(),
            nftables,
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
            places: Vec::new(),
            hosted: Vec::new(),
            pins: RefCell::default(),
            nftables: Rc::clone(&self.nftables),
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
