//! The container's places in networks that it shares with others: taken when it starts, held by a lease, and taken again when
//! `bryo net` was ended (`again`). Knows no bridge and no packet.

mod again;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::network::{claim, record, record_ports};
use super::protocol::StartFailure;
use super::supervise::{Orders, failure};
use crate::container::{Containers, Event, EventKind, EventLog};
use crate::net::egress::Egress;
use crate::net::hosts::own_names;
use crate::net::ports::PortSpec;
use crate::net::publish::{Everywhere, Kept, PortMapping};
use crate::net::start::{Holder, StartError};
use crate::net::wire::{self, Attach, Endpoint, FromInner, Lease, Member, Refusal, ToInner, Way};
use crate::paths::Paths;
use crate::sys::poll::{Interest, PollSet};
use again::join_settled;

const FILE: &str = "endpoints.json";

/// How the container is to be connected.
#[derive(Serialize, Deserialize)]
pub struct BridgedOrders {
    pub holder: Holder,
    pub member: Member,
    pub attach: Vec<Attach>,
    pub ports: Vec<PortSpec>,
    /// `/etc/hosts` without the container's own lines.
    pub hosts: String,
    /// `--domainname`, or nothing.
    pub domain: String,
}

/// A connected container.
pub struct Bridged {
    lease: Option<Lease>,
    /// The shared namespace: bridges and pairs outlive `bryo net` by it.
    shared: OwnedFd,
    holder: Holder,
    member: Member,
    /// With the addresses that were given.
    attached: Vec<(Attach, Endpoint)>,
    published: Vec<Kept>,
    hosts: String,
    domain: String,
    directory: PathBuf,
    paths: Paths,
    /// The steps of a build have no events.
    is_silent: bool,
    /// Who starts `bryo net` again.
    starter: Option<Pid>,
    /// Who has started it for this container, or is still about it: a pidfd.
    founder: Option<OwnedFd>,
    /// How long it waits before that: one that takes nobody in would be asked all the time.
    pause: Duration,
    /// The program runs although nothing leads out yet: what has become of that is still to be told (`news_of_way`).
    ahead: bool,
    /// What the starter says if it gives up.
    starter_report: Option<OwnedFd>,
    /// Nobody could be found any more who makes a way out.
    stranded: Option<StartFailure>,
}

impl Bridged {
    /// Returns when all places are taken, and the way out is there or what is sent to it waits until it is.
    pub(super) fn connect(
        orders: &Orders,
        bridged: &BridgedOrders,
        namespace: BorrowedFd<'_>,
    ) -> Result<Bridged, StartFailure> {
        let published = claim(&bridged.ports, Everywhere::Both)?.keep();
        let join = || Lease::join(&bridged.holder.socket, &bridged.member, namespace);
        // One that is only starting takes members in while its way out is made.
        let (lease, founder) = match join() {
            Ok(lease) => (lease, None),
            Err(error) => {
                tracing::debug!(%error, "bryo net is not there yet");
                join_settled(&bridged.holder, join)?
            }
        };
        let shared = lease.shared.try_clone();
        let mut connected = Bridged {
            shared: shared.map_err(failure("keep the shared network"))?,
            lease: None,
            holder: bridged.holder.clone(),
            member: bridged.member.clone(),
            attached: Vec::new(),
            published,
            hosts: bridged.hosts.clone(),
            domain: bridged.domain.clone(),
            directory: orders.directory.clone(),
            paths: orders.paths.clone(),
            is_silent: orders.is_step,
            starter: None,
            starter_report: None,
            founder,
            pause: Duration::ZERO,
            ahead: false,
            stranded: None,
        };
        // A step of a build that finds no way out is run again otherwise, and nothing of it may have happened.
        let waits = orders.is_step;
        let taken = connected.take(lease, bridged.attach.iter());
        match connected.settle(waits)? {
            true => taken?,
            // It was ended. Who tries again hears why, or does better.
            false => {
                let (lease, founder) = join_settled(&bridged.holder, join)?;
                connected.founder = founder;
                connected.attached.clear();
                let taken = connected.take(lease, bridged.attach.iter());
                match connected.settle(waits)? {
                    true => taken?,
                    false => return Err(explain(StartError::ended())),
                }
            }
        }
        connected.announce("connect");
        connected.record()?;
        Ok(connected)
    }

    /// Takes places of a `bryo net`.
    fn take<'a>(
        &mut self,
        lease: Lease,
        places: impl Iterator<Item = &'a Attach>,
    ) -> Result<(), StartFailure> {
        let shared = lease.shared.try_clone();
        self.shared = shared.map_err(failure("keep the shared network"))?;
        self.lease = Some(lease);
        self.expect().map_err(failure("join bryo net"))?;
        self.needs(self.member.version())?;
        for attach in places {
            self.attach(attach)?;
        }
        self.publish(0)
    }

    /// Whether there is a way out, or it may be gone ahead without; `false`: the one whose places were taken has ended.
    fn settle(&mut self, waits: bool) -> Result<bool, StartFailure> {
        let is_held = self.is_held();
        let Some(lease) = &mut self.lease else {
            return Ok(false);
        };
        match &lease.way {
            Way::Untold => drop(self.holder.settle().map_err(explain)?),
            Way::Held if !waits && is_held => self.ahead = true,
            // It may have said why it has ended; its end is seen below.
            _ => drop(lease.settle()),
        }
        match self.lease.as_ref().map(|lease| &lease.way) {
            Some(Way::Shut(error)) => Err(explain(error.clone())),
            _ => Ok(self.is_held()),
        }
    }

    /// What has become of the way out that the program was not kept waiting for: once, when that is known.
    pub(super) fn news_of_way(&mut self) -> Option<Result<(), StartFailure>> {
        if !self.ahead {
            return None;
        }
        let news = match (self.stranded.take(), &self.lease) {
            (Some(failure), _) => Err(failure),
            // Another is being started.
            (None, None) => return None,
            (None, Some(lease)) => match &lease.way {
                Way::Coming | Way::Held => return None,
                Way::Open | Way::Untold => Ok(()),
                Way::Shut(error) => Err(explain(error.clone())),
            },
        };
        self.ahead = false;
        if news.is_err() {
            // The container ends: no other is to be started for it.
            self.lease = None;
        }
        Some(news)
    }

    /// Whether the program runs although nothing leads out yet.
    pub(super) fn is_ahead(&self) -> bool {
        self.ahead
    }

    /// Whether the one whose places were taken lives.
    fn is_held(&self) -> bool {
        let mut set = PollSet::new();
        if let Some(lease) = &self.lease {
            set.add(lease.as_fd(), Interest::Hangup, ());
        }
        let ended = set.wait(Some(Duration::ZERO));
        self.lease.is_some() && ended.is_ok_and(|ended| ended.is_empty())
    }

    /// As docker does when a container starts and when it ends.
    fn announce(&self, action: &str) {
        let log = EventLog::new(&self.paths);
        let places = self.attached.iter().filter(|_| !self.is_silent);
        for (attach, endpoint) in places {
            let event = Event::new(EventKind::Network, endpoint.network_id.clone(), action)
                .with("name", endpoint.network.as_str())
                .with("type", attach.network.driver.name())
                .with("container", self.member.id.as_str());
            log.append(&event);
        }
    }

    /// What an older `bryo net` does not understand, it would leave out.
    fn needs(&self, version: u32) -> Result<(), StartFailure> {
        match &self.lease {
            Some(lease) if lease.version < version => Err(StartFailure::Network {
                message: "the shared networks are held by an older bryo, which can't do what is asked of it".to_owned(),
                hints: vec!["end all containers that share networks, and start them again: bryo restart -a".to_owned()],
                taken: None,
            }),
            _ => Ok(()),
        }
    }

    /// What `bryo net` says of its own accord: what was refused, what has become of the way out, or that it has ended.
    pub(super) fn hear(&mut self) {
        if self.tell_refusals(true).is_err() {
            self.lost();
        }
    }

    fn tell_refusals(&mut self, waits: bool) -> io::Result<()> {
        let Some(lease) = &mut self.lease else {
            return Ok(());
        };
        let refusals = lease.refusals(waits)?;
        if refusals.is_empty() || self.is_silent {
            return Ok(());
        }
        let log = EventLog::new(&self.paths);
        let default = self
            .attached
            .iter()
            .find(|(_, endpoint)| endpoint.is_default);
        let Some((attach, endpoint)) = default.or_else(|| self.attached.first()) else {
            return Ok(());
        };
        for refusal in refusals {
            let event = Event::new(EventKind::Network, endpoint.network_id.clone(), "refuse")
                .with("name", endpoint.network.as_str())
                .with("type", attach.network.driver.name())
                .with("container", self.member.id.as_str());
            log.append(&match refusal {
                Refusal::Packet {
                    destination,
                    protocol,
                } => event
                    .with("destination", destination)
                    .with("protocol", protocol),
                Refusal::Name(name) => event.with("query", name),
            });
        }
        Ok(())
    }

    /// Tells a new `bryo net` which addresses are others'.
    fn expect(&mut self) -> io::Result<()> {
        let Some(lease) = self.lease.as_mut().filter(|lease| lease.is_fresh) else {
            return Ok(());
        };
        let records = Containers::new(&self.paths).all().unwrap_or_default();
        let held = records
            .iter()
            .filter(|record| record.is_held().unwrap_or(false));
        let others: Vec<(String, IpAddr)> = held
            .flat_map(|record| read_endpoints(&record.directory))
            .flat_map(|endpoint| {
                let network = endpoint.network_id;
                let addresses = endpoint.addresses.into_iter();
                addresses.map(move |address| (network.clone(), address.ip))
            })
            .collect();
        lease.ask(&ToInner::Expect(others), &[]).map(drop)
    }

    fn ask(
        &mut self,
        message: &ToInner,
        fds: &[BorrowedFd<'_>],
    ) -> Result<FromInner, StartFailure> {
        let lost = || io::Error::from(io::ErrorKind::NotConnected);
        let lease = self.lease.as_mut().ok_or_else(lost);
        let answer = lease.and_then(|lease| lease.ask(message, fds));
        // Its end is noticed by whoever listens.
        let _ = self.tell_refusals(false);
        match answer.map_err(failure("ask bryo net"))? {
            FromInner::Failed { message } => Err(StartFailure::Network {
                message,
                hints: Vec::new(),
                taken: None,
            }),
            answer => Ok(answer),
        }
    }

    pub(super) fn attach(&mut self, attach: &Attach) -> Result<(), StartFailure> {
        self.needs(attach.network.version())?;
        let message = ToInner::Attach(Box::new(attach.clone()));
        let FromInner::Attached(endpoint) = self.ask(&message, &[])? else {
            return Err(failure("ask bryo net")(io::ErrorKind::InvalidData.into()));
        };
        let mut attach = attach.clone();
        for address in &endpoint.addresses {
            match address.ip {
                IpAddr::V4(ip) => attach.ipv4 = Some(ip),
                IpAddr::V6(ip) => attach.ipv6 = Some(ip),
            }
        }
        self.attached.push((attach, *endpoint));
        Ok(())
    }

    /// From the `first` on. The sockets stay here too: what comes while there is no `bryo net` waits in them.
    fn publish(&mut self, first: usize) -> Result<(), StartFailure> {
        let published = std::mem::take(&mut self.published);
        let mut told = published.iter().skip(first).map(|port| {
            self.ask(
                &ToInner::Publish(port.mapping.clone()),
                &[port.socket.as_fd()],
            )
        });
        let told = told.try_for_each(|answer| answer.map(drop));
        self.published = published;
        told
    }

    /// What others may know of it, and its own hosts file: written in place, since the container has this very file.
    pub(super) fn record(&self) -> Result<(), StartFailure> {
        let published = self.published.iter();
        let mappings: Vec<PortMapping> = published.map(|port| port.mapping.clone()).collect();
        record_ports(&self.directory, &mappings)?;
        let endpoints: Vec<&Endpoint> = self.attached.iter().map(|(_, e)| e).collect();
        let written = record(&self.directory, FILE, &endpoints);
        written.map_err(failure("record the container's networks"))?;
        let mut text = self.hosts.clone();
        let names = own_names(&self.member.hostname, &self.domain);
        for address in endpoints.iter().flat_map(|endpoint| &endpoint.addresses) {
            text.push_str(&format!("{}\t{names}\n", address.ip));
        }
        crate::sys::disk::write(self.directory.join("hosts"), text)
            .map_err(failure("write the container's hosts file"))
    }

    pub(super) fn detach(&mut self, network: &str) -> Result<(), StartFailure> {
        let message = ToInner::Detach {
            network: network.to_owned(),
        };
        let FromInner::Left(left) = self.ask(&message, &[])? else {
            return Err(failure("ask bryo net")(io::ErrorKind::InvalidData.into()));
        };
        let of = |endpoint: &Endpoint| {
            let mut left = left.iter();
            left.find(|left| left.network_id == endpoint.network_id)
        };
        let before = std::mem::take(&mut self.attached).into_iter();
        let now = before.filter_map(|(attach, endpoint)| {
            let endpoint = of(&endpoint)?.clone();
            Some((
                Attach {
                    is_default: endpoint.is_default,
                    is_default_ipv6: endpoint.is_default_ipv6,
                    ..attach
                },
                endpoint,
            ))
        });
        self.attached = now.collect();
        self.record()
    }

    pub(super) fn publish_more(&mut self, ports: &[PortSpec]) -> Result<(), StartFailure> {
        let more = claim(ports, Everywhere::Both)?.keep();
        let before = self.published.len();
        self.published.extend(more);
        // The next `bryo net` is told of all.
        let told = match self.lease {
            Some(_) => self.publish(before),
            None => Ok(()),
        };
        if told.is_err() {
            self.published.truncate(before);
        }
        told.and_then(|()| self.record())
    }

    /// Gives the specifications that go, each with all that it published.
    pub(super) fn unpublish(&mut self, wanted: &PortSpec) -> Result<Vec<PortSpec>, StartFailure> {
        let meant = self.published.iter().filter(|port| {
            let PortMapping {
                host_ip,
                host_port,
                container_port,
                protocol,
            } = port.mapping;
            wanted.means(Some(host_ip), Some(host_port), (container_port, protocol))
        });
        let specs: Vec<PortSpec> = meant.map(|port| port.spec.clone()).collect();
        if specs.is_empty() {
            return Ok(specs);
        }
        self.needs(1)?;
        let before = std::mem::take(&mut self.published).into_iter();
        let (gone, left): (Vec<Kept>, _) = before.partition(|port| specs.contains(&port.spec));
        self.published = left;
        // Without a lease, the next `bryo net` is told only of those that are left.
        if self.lease.is_some() {
            for port in gone {
                self.ask(&ToInner::Unpublish(port.mapping), &[])?;
            }
        }
        self.record().map(|()| specs)
    }

    /// Makes all places anew, with the addresses they have.
    pub(super) fn reload(&mut self) -> Result<(), StartFailure> {
        self.needs(2)?;
        for number in 0..self.attached.len() {
            let message = ToInner::Reload(Box::new(self.attached[number].0.clone()));
            let FromInner::Attached(endpoint) = self.ask(&message, &[])? else {
                return Err(failure("ask bryo net")(io::ErrorKind::InvalidData.into()));
            };
            self.attached[number].1 = *endpoint;
        }
        self.record()
    }

    /// What it may reach. Where `bryo net` has ended, the next one is told, and what was in force stays until then.
    pub(super) fn limit(&mut self, egress: Option<Egress>) -> Result<(), StartFailure> {
        self.needs(wire::VERSION_OF_LIMITS)?;
        if let Some(lease) = &mut self.lease {
            match lease.ask(&ToInner::Limit(egress.clone()), &[]) {
                Ok(FromInner::Failed { message }) => {
                    return Err(StartFailure::Network {
                        message,
                        hints: Vec::new(),
                        taken: None,
                    });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err(failure("ask bryo net")(error));
                }
                Err(_) => self.lost(),
            }
        }
        self.member.egress = egress;
        // An end is noticed by whoever listens.
        let _ = self.tell_refusals(false);
        Ok(())
    }

    /// Its places, with what was asked for each.
    pub(super) fn places(&self) -> impl Iterator<Item = &Endpoint> {
        self.attached.iter().map(|(_, endpoint)| endpoint)
    }

    /// Others find it by another name from now on.
    pub(super) fn rename(&mut self, name: &str) -> Result<(), StartFailure> {
        if self.lease.is_none() {
            // The next `bryo net` is told.
            name.clone_into(&mut self.member.name);
            return Ok(());
        }
        let FromInner::Renamed(renamed) = self.ask(&ToInner::Rename(name.to_owned()), &[])? else {
            return Err(failure("ask bryo net")(io::ErrorKind::InvalidData.into()));
        };
        name.clone_into(&mut self.member.name);
        for (_, endpoint) in &mut self.attached {
            let mut now = renamed.iter();
            if let Some(now) = now.find(|now| now.network_id == endpoint.network_id) {
                endpoint.names.clone_from(&now.names);
            }
        }
        self.record()
    }

    /// What the loop listens to: it reads when `bryo net` has ended.
    pub(super) fn source(&self) -> Option<BorrowedFd<'_>> {
        self.lease.as_ref().map(AsFd::as_fd)
    }
}

pub(super) fn explain(error: StartError) -> StartFailure {
    match error.no_tun {
        true => StartFailure::NoTun,
        false => StartFailure::Network {
            message: error.message,
            hints: error.hints,
            taken: None,
        },
    }
}

/// The places that a container has, or had in its last run.
pub fn read_endpoints(directory: &Path) -> Vec<Endpoint> {
    let text = std::fs::read(directory.join(FILE)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}
