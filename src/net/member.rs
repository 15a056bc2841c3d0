//! A container as the inner half of `bryo net` knows it: who it is, and where it is connected.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};

use super::forward::Published;
use super::record::{Pool, random_id};
use super::shared::{Inside, Shared, mac_of};
use super::wire::{Address, Attach, Endpoint, Member};

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
    /// Closed last: its end says that all else is free.
    pub socket: OwnedFd,
}

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
                is_default: attach.is_default,
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
        };
        self.endpoints.push(endpoint.clone());
        Ok(endpoint)
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
        if let (Some(member), false) = (&self.member, gone.is_empty()) {
            // One that is gone already is what was wanted.
            let _ = shared.disconnect(&pair_name(&member.id, network));
        }
        // The kernel has taken the routes of the interface with it.
        let leads_out =
            |endpoint: &Endpoint| endpoint.addresses.iter().any(|a| a.gateway.is_some());
        let order = |endpoint: &&mut Endpoint| (!endpoint.is_default, !leads_out(endpoint));
        let next = self.endpoints.iter_mut().min_by_key(order);
        if let (Some(next), Some(namespace)) = (next, &self.namespace) {
            let routed = shared.route(namespace.as_fd(), &next.interface, &next.addresses);
            next.is_default = routed.is_ok() && leads_out(next);
        }
        gone
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
#[derive(Default)]
pub struct Guests {
    guests: BTreeMap<u64, Guest>,
    last: u64,
    turn: Cell<usize>,
}

impl Guests {
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
