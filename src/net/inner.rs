//! The inner half of `bryo net`: it lives in the shared network namespace, connects containers, answers their questions for
//! names, and passes on what comes to their published ports. One poll loop; forks for nothing.

use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::addresses::Addresses;
use super::dns::{Dns, Source};
use super::egress::Egress;
use super::firewall::Firewall;
use super::forward::{Client, Published};
use super::guard;
use super::member::{Guest, Guests};
use super::record::{NetworkConfig, Networks};
use super::relay::{Relays, Side};
use super::route;
use super::shared::Shared;
use super::start::{Holder, StartError};
use super::wire::{self, Endpoint, FromInner, HostSocket, Refusal, ToInner, Way};
use crate::sys::lock::{self, Mode};
use crate::sys::nflog::PacketLog;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::socket::{self, MESSAGE_MAX};
use crate::sys::timer::Moment;
use crate::sys::{namespace, netlink};

/// How long it waits for the next container once the last has gone: commands often follow each other.
const LINGER: Duration = Duration::from_millis(50);

/// The same for the first: whoever it was started for may be held up.
const FIRST_LINGER: Duration = Duration::from_secs(2);

/// So often it finds itself alone before it gives up a way out that does not come.
const LOOKS: u32 = 40;

/// What the loop waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    Listener,
    Outer,
    /// The host's addresses or routes are others.
    Routes,
    /// It is known what has become of the way out.
    Way,
    Guest(u64),
    /// A published port of a container, and of which client of it.
    Published(u64, usize, Option<Client>),
    /// A port of the host's that is open to a container.
    Hosted(u64, usize),
    /// Packets were refused.
    Refused,
    Relay(u64, Side),
    Dns(Source),
}

/// What the outer half gives this one.
pub struct Line {
    /// Members come over it. It does not block.
    pub listener: OwnedFd,
    /// Sockets come over it. Its end is this half's end.
    pub outer: OwnedFd,
    /// Reads when the host's addresses or routes have changed.
    pub routes: OwnedFd,
    /// Says once what has become of the way out, and closes.
    pub news: OwnedFd,
    /// The host's address towards the world.
    pub host: Option<Ipv4Addr>,
}

pub struct Inner {
    listener: OwnedFd,
    holder: Holder,
    outer: OwnedFd,
    routes: OwnedFd,
    way: Way,
    /// Until it is known.
    news: Option<OwnedFd>,
    firewall: Firewall,
    shared: Shared,
    addresses: Addresses,
    guests: Guests,
    relays: Relays,
    dns: Dns,
    networks: Networks,
    /// The networks whose bridges are there.
    bridges: Vec<NetworkConfig>,
    /// Nobody has said yet which addresses are to be expected back.
    is_fresh: bool,
    is_obsolete: bool,
    /// There once somebody's ways out are limited.
    log: Option<PacketLog>,
    /// Since when nobody has been here, and how long it waits for somebody.
    alone: Option<Moment>,
    linger: Duration,
    /// How often it has found itself alone with a way out that is not there.
    looks: u32,
    buffer: Vec<u8>,
}

impl Inner {
    /// In the shared namespace. `way`: what is to be said of the way out until it is there.
    pub fn new(holder: &Holder, line: Line, firewall: Firewall, way: Way) -> io::Result<Inner> {
        let shared = Shared::prepare(way == Way::Held)?;
        Ok(Inner {
            dns: Dns::new(Networks::at(holder.networks.clone()))?,
            networks: Networks::at(holder.networks.clone()),
            listener: line.listener,
            holder: holder.clone(),
            outer: line.outer,
            routes: line.routes,
            way,
            news: Some(line.news),
            shared,
            addresses: Addresses::default(),
            guests: Guests::new(firewall.nftables(), firewall.is_again()),
            firewall,
            relays: Relays::new(),
            bridges: Vec::new(),
            is_fresh: true,
            is_obsolete: false,
            log: None,
            alone: Some(Moment::now()),
            linger: FIRST_LINGER,
            looks: 0,
            buffer: vec![0; MESSAGE_MAX],
        })
    }

    /// Until the last container has gone, or the outer half has.
    pub fn live(mut self) {
        loop {
            let left = match (self.guests.is_empty(), self.alone) {
                (false, _) => {
                    self.alone = None;
                    self.looks = 0;
                    None
                }
                (true, None) => {
                    self.alone = Some(Moment::now());
                    Some(self.linger)
                }
                (true, Some(since)) => Some(self.linger.saturating_sub(since.elapsed())),
            };
            if self.is_obsolete || matches!(self.way, Way::Shut(_)) {
                return;
            }
            if left.is_some_and(|left| left.is_zero()) {
                if self.closes() {
                    return;
                }
                self.alone = Some(Moment::now());
                continue;
            }
            self.dns.tick(&self.outer);
            for token in self.wait(left) {
                match token {
                    Token::Outer => return,
                    Token::Routes => self.find_host(),
                    Token::Way => self.hear_of_way(),
                    Token::Listener => self.accept(),
                    Token::Guest(number) => self.serve(number),
                    Token::Published(number, at, client) => self.forward(number, at, client),
                    Token::Hosted(number, at) => self.lead_in(number, at),
                    Token::Refused => self.tell_refused(),
                    Token::Relay(number, _) => self.relays.act(number),
                    Token::Dns(source) => {
                        let buffer = &mut self.buffer;
                        self.dns.act(source, &self.guests, &self.outer, buffer);
                    }
                }
            }
        }
    }

    /// Goes out of sight, unless somebody is about to come.
    fn closes(&mut self) -> bool {
        let Ok(Some(_alone)) = lock::try_lock(&self.holder.lock, Mode::Exclusive) else {
            // Who starts it waits for the way out, and removes what is left.
            self.looks += u32::from(self.way.is_pending());
            return self.looks > LOOKS;
        };
        self.accept();
        self.guests.is_empty() && crate::sys::disk::remove_file(&self.holder.socket).is_ok()
    }

    fn wait(&self, left: Option<Duration>) -> Vec<Token> {
        let mut set = PollSet::new();
        set.add(self.outer.as_fd(), Interest::Hangup, Token::Outer);
        set.add(self.listener.as_fd(), Interest::Read, Token::Listener);
        set.add(self.routes.as_fd(), Interest::Read, Token::Routes);
        for guest in self.guests.all() {
            set.add(
                guest.socket.as_fd(),
                Interest::Read,
                Token::Guest(guest.number),
            );
        }
        if let Some(news) = &self.news {
            set.add(news.as_fd(), Interest::Read, Token::Way);
        }
        for guest in self.guests.all() {
            for (at, published) in guest.published.iter().enumerate() {
                for (client, source) in published.sources() {
                    let token = Token::Published(guest.number, at, client);
                    set.add(source, Interest::Read, token);
                }
            }
        }
        for guest in self.guests.all() {
            for (at, hosted) in guest.hosted.iter().enumerate() {
                let token = Token::Hosted(guest.number, at);
                set.add(hosted.source().as_fd(), Interest::Read, token);
            }
        }
        if let Some(log) = &self.log {
            set.add(log.as_fd(), Interest::Read, Token::Refused);
        }
        self.relays.watch(&mut set);
        self.dns.watch(&mut set, Token::Dns);
        let soonest = [left, self.dns.patience()].into_iter().flatten().min();
        set.wait(soonest).unwrap_or_default()
    }

    /// All members hear of it. Where there is none, all ends.
    fn hear_of_way(&mut self) {
        let Some(news) = self.news.take() else { return };
        let mut text = Vec::new();
        // It is written at once.
        let _ = File::from(news).read_to_end(&mut text);
        let told = serde_json::from_slice(&text).unwrap_or_else(|_| Err(StartError::ended()));
        self.way = match told.and_then(|()| self.lead_out()) {
            Ok(()) => Way::Open,
            Err(error) => Way::Shut(error),
        };
        for guest in self.guests.all() {
            guest.tell_way(&self.way);
        }
    }

    fn lead_out(&mut self) -> Result<(), StartError> {
        if self.way == Way::Held {
            let led = self.shared.lead_out(&self.bridges);
            led.map_err(|error| StartError::plain(format!("lead networks out: {error}")))?;
            for guest in self.guests.all() {
                guest.greet(&self.shared, &self.bridges);
            }
        }
        Ok(())
    }

    /// What can't be found out is as if the host had no address.
    fn find_host(&mut self) {
        netlink::forget_waiting(self.routes.as_fd(), &mut self.buffer);
        let socket = wire::host_socket(&self.outer, HostSocket::Udp4);
        let host = socket
            .ok()
            .and_then(|socket| route::own_address(socket.into()));
        // What could not be said now is said at the next change.
        let _ = self.firewall.lead_to_host(host);
    }

    fn forward(&mut self, number: u64, at: usize, client: Option<Client>) {
        let Some(guest) = self.guests.get_mut(number) else {
            return;
        };
        let Some(published) = guest.published.get_mut(at) else {
            return;
        };
        match client {
            None => published.take(&guest.endpoints, &mut self.relays, &mut self.buffer),
            Some(client) => published.answer(client, &mut self.buffer),
        }
    }

    fn lead_in(&mut self, number: u64, at: usize) {
        let Some(guest) = self.guests.get_mut(number) else {
            return;
        };
        if let Some(hosted) = guest.hosted.get(at) {
            let is_own = |ip| guest.has_address(ip);
            hosted.take(is_own, &self.outer, &mut self.relays);
        }
    }

    fn tell_refused(&mut self) {
        let Some(log) = &self.log else { return };
        for seen in log.take(&mut self.buffer) {
            let destination = match seen.port {
                Some(port) => SocketAddr::new(seen.to, port).to_string(),
                None => seen.to.to_string(),
            };
            let protocol = protocol_name(seen.protocol);
            for guest in self.guests.all().filter(|guest| guest.has_mark(seen.mark)) {
                let destination = destination.clone();
                let protocol = protocol.clone();
                guest.tell(Refusal::Packet {
                    destination,
                    protocol,
                });
            }
        }
    }

    fn accept(&mut self) {
        while let Ok(Some(socket)) = socket::accept(self.listener.as_fd()) {
            self.guests.add(socket);
        }
    }

    /// One message of one monitor; its end frees what its container has.
    fn serve(&mut self, number: u64) {
        let Some(mut guest) = self.guests.take(number) else {
            return;
        };
        let received = wire::receive::<ToInner>(guest.socket.as_fd(), &mut self.buffer);
        let (message, fds) = match received {
            Ok(Some(received)) => received,
            Ok(None) => return self.guests.put(guest),
            Err(_) => return self.forget(guest),
        };
        let reply = self.answer(&mut guest, message, fds);
        let mut welcome = Vec::new();
        if matches!(reply, FromInner::Welcome { .. }) {
            welcome.push(self.shared.namespace());
        }
        match wire::send(guest.socket.as_fd(), &reply, &welcome) {
            Ok(true) => self.guests.put(guest),
            // Whoever does not read what it asked for is no monitor.
            _ => self.forget(guest),
        }
    }

    fn answer(&mut self, guest: &mut Guest, message: ToInner, mut fds: Vec<OwnedFd>) -> FromInner {
        let failed = |message: String| FromInner::Failed { message };
        match message {
            ToInner::Hello | ToInner::Join(_) if !is_own_user_namespace(fds.first()) => {
                // Whoever was here lived in this home, and it is gone: the next `bryo net` needs the place.
                self.is_obsolete = true;
                failed("another home namespace".to_owned())
            }
            ToInner::Hello => FromInner::Done,
            ToInner::Join(member) => {
                guest.namespace = fds.pop();
                guest.member = Some(member);
                self.linger = LINGER;
                FromInner::Welcome {
                    is_fresh: self.is_fresh,
                    version: wire::VERSION,
                    way: self.way.clone(),
                }
            }
            ToInner::Expect(others) => {
                self.is_fresh = false;
                for (network, ip) in &others {
                    self.addresses.expect(network, *ip);
                }
                FromInner::Done
            }
            ToInner::Attach(attach) => match self.attach(guest, &attach) {
                Ok(endpoint) => FromInner::Attached(Box::new(endpoint)),
                Err(message) => failed(message),
            },
            ToInner::Reload(attach) => match self.reload(guest, &attach) {
                Ok(endpoint) => FromInner::Attached(Box::new(endpoint)),
                Err(message) => failed(message),
            },
            ToInner::Detach { network } => {
                self.detach(guest, &network);
                FromInner::Left(guest.endpoints.clone())
            }
            ToInner::Rename(name) => {
                guest.rename(name);
                FromInner::Renamed(guest.endpoints.clone())
            }
            ToInner::Limit(egress) => match self.limit(guest, egress) {
                Ok(()) => FromInner::Done,
                Err(message) => failed(message),
            },
            ToInner::LimitNetwork(name) => match self.limit_network(&name) {
                Ok(limited) => FromInner::Limited(limited),
                Err(message) => failed(message),
            },
            ToInner::Publish(mapping) => {
                let nothing = || io::Error::from(io::ErrorKind::InvalidInput);
                let socket = fds.pop().ok_or_else(nothing);
                match socket.and_then(|socket| Published::new(mapping, socket)) {
                    Ok(published) => {
                        guest.published.push(published);
                        FromInner::Done
                    }
                    Err(error) => failed(format!("listen on a published port: {error}")),
                }
            }
            ToInner::Unpublish(mapping) => {
                guest
                    .published
                    .retain(|published| *published.mapping() != mapping);
                FromInner::Done
            }
        }
    }

    fn attach(&mut self, guest: &mut Guest, attach: &wire::Attach) -> Result<Endpoint, String> {
        let is_new = self.retire_bridges(&attach.network);
        if is_new && self.way != Way::Held {
            // One that has outlived a `bryo net` may lack what comes with the way out.
            let revived = self.shared.revive_bridge(&attach.network);
            revived.map_err(|error| {
                format!("connect with network {}: {error}", attach.network.name)
            })?;
        }
        let attach = &self.as_recorded(attach);
        let of_guest = guest.member.as_ref().is_some_and(|m| m.egress.is_some());
        self.hear_refused(of_guest || attach.network.egress.is_some())?;
        let taken = self
            .addresses
            .take(attach)
            .map_err(|error| error.to_string())?;
        let connected = guest.connect(&self.shared, attach, &taken);
        connected.map_err(|error| {
            guest.cut(&self.shared, &attach.network.id);
            for (ip, _) in &taken {
                self.addresses.give_back(&attach.network.id, *ip);
            }
            format!("connect with network {}: {error}", attach.network.name)
        })
    }

    /// Whoever asks may have read the network's record before it was changed: what limits its containers is what the record says now.
    fn as_recorded(&self, attach: &wire::Attach) -> wire::Attach {
        let mut attach = attach.clone();
        let network = &mut attach.network;
        match self.networks.named(&network.name) {
            Ok(recorded) if recorded.id == network.id => network.egress = recorded.egress,
            // It is gone, or can't be read: nothing newer is known.
            _ => {}
        }
        attach
    }

    fn hear_refused(&mut self, is_limited: bool) -> Result<(), String> {
        if is_limited && self.log.is_none() {
            let log = PacketLog::open(guard::GROUP);
            self.log = Some(log.map_err(|error| format!("log what is refused: {error}"))?);
        }
        Ok(())
    }

    /// Another list for one container.
    fn limit(&mut self, guest: &mut Guest, egress: Option<Egress>) -> Result<(), String> {
        self.hear_refused(egress.is_some())?;
        let limited = guest.limit(egress);
        limited.map_err(|error| format!("limit what the container reaches: {error}"))
    }

    /// The list that the network's record has, for all who are in it; gives their ids.
    fn limit_network(&mut self, name: &str) -> Result<Vec<String>, String> {
        let recorded = self.networks.named(name);
        let network = recorded.map_err(|error| error.to_string())?;
        self.hear_refused(network.egress.is_some())?;
        let mut limited = Vec::new();
        for guest in self.guests.all_mut() {
            let id = guest.member.as_ref().map(|member| member.id.clone());
            let id = id.unwrap_or_default();
            match guest.limit_in(&network.id, network.egress.as_ref()) {
                Ok(true) => limited.push(id),
                Ok(false) => {}
                Err(error) => return Err(format!("limit what container {id} reaches: {error}")),
            }
        }
        Ok(limited)
    }

    fn reload(&mut self, guest: &mut Guest, attach: &wire::Attach) -> Result<Endpoint, String> {
        let attach = &self.as_recorded(attach);
        self.firewall.reload().map_err(|error| error.to_string())?;
        let network = &attach.network;
        let made = self.shared.revive_bridge(network);
        let made = made.and_then(|()| guest.reconnect(&self.shared, attach));
        made.map_err(|error| format!("connect again with network {}: {error}", network.name))
    }

    /// A bridge stays when its last container leaves, which costs nothing; until a network that was made since has its addresses.
    /// Whether it was not known.
    fn retire_bridges(&mut self, wanted: &NetworkConfig) -> bool {
        if self.bridges.iter().any(|network| network.id == wanted.id) {
            return false;
        }
        let guests = &self.guests;
        let shared = &self.shared;
        self.bridges.retain(|network| {
            let overlap = network.pools.iter().any(|pool| {
                let mut others = wanted.pools.iter();
                others.any(|other| other.subnet.overlaps(pool.subnet))
            });
            let mut endpoints = guests.all().flat_map(|guest| &guest.endpoints);
            let is_used = endpoints.any(|endpoint| endpoint.network_id == network.id);
            !overlap || is_used || shared.remove_bridge(network).is_err()
        });
        self.bridges.push(wanted.clone());
        true
    }

    fn detach(&mut self, guest: &mut Guest, network: &str) {
        for endpoint in guest.disconnect(&self.shared, network) {
            for address in &endpoint.addresses {
                self.addresses.give_back(network, address.ip);
            }
        }
    }

    /// Its ends of the pairs go with the container's namespace, which nothing here keeps.
    fn forget(&mut self, mut guest: Guest) {
        guest.end(&self.shared);
        for endpoint in &guest.endpoints {
            for address in &endpoint.addresses {
                self.addresses.give_back(&endpoint.network_id, address.ip);
            }
        }
    }
}

fn is_own_user_namespace(theirs: Option<&OwnedFd>) -> bool {
    let theirs = theirs.and_then(|fd| namespace::identity(fd.as_fd()).ok());
    theirs.is_some() && theirs == namespace::own_identity("user").ok()
}

fn protocol_name(number: u8) -> String {
    let known = [
        (1, "icmp"),
        (6, "tcp"),
        (17, "udp"),
        (58, "icmpv6"),
        (132, "sctp"),
    ];
    let known = known.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}
