//! The shared network namespace from inside: bridges, and the pairs that lead from them into containers. Knows no addresses
//! but those it is told; speaks to no monitor.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sched::CloneFlags;

use super::firewall;
use super::hosts::HOST;
use super::record::{NetworkConfig, Pool};
use super::resolver::EMBEDDED;
use super::static_route::StaticRoute;
use super::subnet::Subnet;
use super::wire::Address;
use crate::sys::netlink::{MAIN_TABLE, Mac, Netlink, Peer, Route};
use crate::sys::{namespace, network};

/// Of what is marked for transparent sockets: everything is local in it.
const LOCAL_TABLE: u8 = 100;

const ANY: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    IpAddr::V6(Ipv6Addr::UNSPECIFIED),
];

/// Of the way to a network without a gateway: the kernel's own, which comes with the gateway's address, goes before it.
const HELD_METRIC: u32 = 4096;

pub struct Shared {
    netlink: Netlink,
    namespace: OwnedFd,
    /// Nothing leads out yet. Gateways, and the host, have no addresses: a packet to one waits in the container that has sent it, in the
    /// kernel's queue behind the question for its neighbour, where it would be refused if it came here.
    held: bool,
}

/// What one end of a pair becomes in a container.
pub struct Inside<'a> {
    pub namespace: BorrowedFd<'a>,
    pub interface: &'a str,
    pub mac: Mac,
    pub addresses: &'a [Address],
    /// More addresses, without a network.
    pub more: &'a [IpAddr],
    /// Ways to other places than the world.
    pub routes: &'a [StaticRoute],
    pub is_default: bool,
    pub is_default_ipv6: bool,
    /// It finds the host also where no way leads out.
    pub sees_host: bool,
}

impl Shared {
    /// Prepares the caller's own network namespace; again, if another has done so before. `held`: what is sent out of it is to wait
    /// for `lead_out`.
    pub fn prepare(held: bool) -> io::Result<Shared> {
        network::bring_up("lo")?;
        namespace::write_proc("/proc/sys/net/ipv4/ip_forward", "1")?;
        // Without IPv6 there is no such file.
        let _ = namespace::write_proc("/proc/sys/net/ipv6/conf/all/forwarding", "1");
        // What a bridge passes on between its own ports is none of the firewall's business. Kernels without the module have
        // no such file.
        for family in ["iptables", "ip6tables"] {
            let path = format!("/proc/sys/net/bridge/bridge-nf-call-{family}");
            let _ = namespace::write_proc(&path, "0");
        }
        let netlink = Netlink::open()?;
        let loopback = netlink.index("lo")?;
        let loopback = loopback.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        for any in ANY {
            let added = netlink.add_mark_rule(any, firewall::MARK, LOCAL_TABLE);
            let added = added.and_then(|()| {
                netlink.add_route(&Route {
                    to: (any, 0),
                    gateway: None,
                    link: loopback,
                    table: LOCAL_TABLE,
                    local: true,
                    metric: None,
                })
            });
            if any.is_ipv4() {
                added?;
            }
        }
        let own: &[Ipv4Addr] = if held { &[EMBEDDED] } else { &[EMBEDDED, HOST] };
        for own in own {
            give_address(&netlink, loopback, IpAddr::V4(*own), 32)?;
        }
        let namespace = namespace::open_own("net")?;
        Ok(Shared {
            netlink,
            namespace,
            held,
        })
    }

    pub fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// The bridge of a network, made if it is not there.
    pub fn bridge(&self, network: &NetworkConfig) -> io::Result<u32> {
        let name = network.interface();
        if let Some(index) = self.netlink.index(&name)? {
            return Ok(index);
        }
        self.netlink
            .add_bridge(&name, bridge_mac(network), network.mtu())?;
        let made = self.netlink.index(&name)?;
        let index = made.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        match self.is_held(network) {
            true => {
                // Routes need a link that is up.
                self.netlink.bring_up(index)?;
                let mut ways = network.pools.iter().map(|pool| held_route(index, pool));
                ways.try_for_each(|way| self.netlink.add_route(&way))?;
            }
            false => {
                self.give_gateways(index, network)?;
                self.netlink.bring_up(index)?;
            }
        }
        Ok(index)
    }

    /// What a bridge that is there may have lost: also by an end of `bryo net` before anything led out.
    pub fn revive_bridge(&self, network: &NetworkConfig) -> io::Result<()> {
        let index = self.bridge(network)?;
        if !self.is_held(network) {
            self.give_gateways(index, network)?;
        }
        self.netlink.bring_up(index)
    }

    fn is_held(&self, network: &NetworkConfig) -> bool {
        self.held && !network.internal
    }

    fn give_gateways(&self, bridge: u32, network: &NetworkConfig) -> io::Result<()> {
        let mut pools = network.pools.iter();
        pools.try_for_each(|pool| {
            give_address(&self.netlink, bridge, pool.gateway, pool.subnet.prefix())
        })
    }

    /// The way out is there: gateways and the host have their addresses from now on. What waits for them goes on when its container is
    /// told of them (`greet`).
    pub fn lead_out(&mut self, networks: &[NetworkConfig]) -> io::Result<()> {
        self.held = false;
        if let Some(loopback) = self.netlink.index("lo")? {
            give_address(&self.netlink, loopback, IpAddr::V4(HOST), 32)?;
        }
        for network in networks.iter().filter(|network| !network.internal) {
            let Some(bridge) = self.netlink.index(&network.interface())? else {
                continue;
            };
            self.give_gateways(bridge, network)?;
            for pool in &network.pools {
                // The kernel's own is there and goes before it.
                let _ = self.netlink.delete_route(&held_route(bridge, pool));
            }
        }
        Ok(())
    }

    /// Tells a container who has the addresses that it may be asking for already: it would ask again only after a second.
    pub fn greet(
        &self,
        namespace: BorrowedFd<'_>,
        interface: &str,
        bridge: Mac,
        addresses: impl Iterator<Item = IpAddr>,
    ) -> io::Result<()> {
        self.within(namespace, || {
            let netlink = Netlink::open()?;
            let Some(index) = netlink.index(interface)? else {
                return Ok(());
            };
            let mut addresses = addresses;
            addresses.try_for_each(|ip| netlink.add_neighbour(index, ip, bridge))
        })
    }

    /// Connects a container: `name` is the end at the bridge. One that is there has outlived the last `bryo net`.
    pub fn connect(
        &self,
        network: &NetworkConfig,
        name: &str,
        inside: &Inside<'_>,
    ) -> io::Result<()> {
        let bridge = self.bridge(network)?;
        if self.is_connected(name, inside)? {
            return Ok(());
        }
        let peer = Peer {
            name: inside.interface,
            mac: inside.mac,
            namespace: inside.namespace,
        };
        self.netlink.add_pair(name, bridge, network.mtu(), &peer)?;
        let made = self.netlink.index(name)?;
        let index = made.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let connected = self.finish(network, index, inside);
        if connected.is_err() {
            let _ = self.netlink.delete_link(index);
        }
        connected
    }

    /// Both ends are there: they have outlived the last `bryo net`. One without the other goes: that of a container's last life,
    /// or of a shared namespace that is gone.
    fn is_connected(&self, name: &str, inside: &Inside<'_>) -> io::Result<bool> {
        let here = self.netlink.index(name)?;
        let there = self.within(inside.namespace, || {
            let netlink = Netlink::open()?;
            match (here, netlink.index(inside.interface)?) {
                (None, Some(stale)) => netlink.delete_link(stale).map(|()| false),
                (_, there) => Ok(there.is_some()),
            }
        })?;
        match (here, there) {
            (Some(_), true) => Ok(true),
            (Some(stale), false) => {
                // It may go by itself meanwhile.
                let _ = self.netlink.delete_link(stale);
                Ok(false)
            }
            (None, _) => Ok(false),
        }
    }

    fn finish(&self, network: &NetworkConfig, index: u32, inside: &Inside<'_>) -> io::Result<()> {
        if !network.has_traffic_between() {
            self.netlink.isolate_port(index)?;
        }
        self.netlink.bring_up(index)?;
        self.within(inside.namespace, || configure(inside))?;
        // Its first packets of IPv6 would wait a second for the bridge's own address, by which the kernel asks.
        let bridge = self.bridge(network)?;
        for address in inside.addresses.iter().filter(|own| own.ip.is_ipv6()) {
            let told = self.netlink.add_neighbour(bridge, address.ip, inside.mac);
            told.unwrap_or_else(
                |error| tracing::debug!(%error, "the container is to be asked for"),
            );
        }
        Ok(())
    }

    /// Takes a container out of a network.
    pub fn disconnect(&self, name: &str) -> io::Result<()> {
        match self.netlink.index(name)? {
            Some(index) => self.netlink.delete_link(index),
            None => Ok(()),
        }
    }

    /// Removes a bridge that nothing is connected with.
    pub fn remove_bridge(&self, network: &NetworkConfig) -> io::Result<()> {
        self.disconnect(&network.interface())
    }

    /// Leads a container's way out, and its way to the name server, over another of its interfaces.
    pub fn route(
        &self,
        namespace: BorrowedFd<'_>,
        interface: &str,
        addresses: impl Iterator<Item = Address>,
        sees_host: bool,
    ) -> io::Result<()> {
        self.within(namespace, || {
            let netlink = Netlink::open()?;
            match netlink.index(interface)? {
                Some(index) => {
                    add_near_routes(&netlink, index, sees_host)?;
                    add_default_routes(&netlink, index, addresses)
                }
                None => Ok(()),
            }
        })
    }

    /// Does something in a container's network namespace, and comes back.
    pub fn within<T>(
        &self,
        namespace: BorrowedFd<'_>,
        job: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        namespace::join(namespace, CloneFlags::CLONE_NEWNET)?;
        let done = job();
        // What follows must not happen in a container.
        let back = namespace::join(self.namespace.as_fd(), CloneFlags::CLONE_NEWNET);
        back.expect("the namespace is held, and its owner is this process's user namespace");
        done
    }
}

/// The way to a network whose gateway has no address yet.
fn held_route(bridge: u32, pool: &Pool) -> Route {
    Route {
        to: (pool.subnet.base(), pool.subnet.prefix()),
        gateway: None,
        link: bridge,
        table: MAIN_TABLE,
        local: false,
        metric: Some(HELD_METRIC),
    }
}

/// One that is there already is no error.
fn give_address(netlink: &Netlink, link: u32, ip: IpAddr, prefix: u8) -> io::Result<()> {
    match netlink.add_address(link, ip, prefix) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// In the container's namespace.
fn configure(inside: &Inside<'_>) -> io::Result<()> {
    let netlink = Netlink::open()?;
    let index = netlink.index(inside.interface)?;
    let index = index.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    for address in inside.addresses {
        netlink.add_address(index, address.ip, address.prefix)?;
    }
    for ip in inside.more {
        netlink.add_address_alone(index, *ip, if ip.is_ipv4() { 16 } else { 64 })?;
    }
    netlink.bring_up(index)?;
    add_link_local_routes(&netlink, index, inside.more)?;
    add_near_routes(&netlink, index, inside.sees_host)?;
    for route in inside.routes {
        netlink.add_route(&Route {
            to: (route.to.base(), route.to.prefix()),
            gateway: Some(route.gateway),
            link: index,
            table: MAIN_TABLE,
            local: false,
            metric: Some(route.metric),
        })?;
    }
    let addresses = inside.addresses.iter().copied();
    let ways = addresses.filter(|address| {
        let is_ipv6 = address.ip.is_ipv6();
        inside.is_default || (inside.is_default_ipv6 && is_ipv6)
    });
    add_default_routes(&netlink, index, ways)
}

/// 169.254.0.0/16 without 169.254.1.0/24, where the name server and the host are: third bytes and prefixes.
const LINK_LOCAL: [(u8, u8); 8] = [
    (0, 24),
    (2, 23),
    (4, 22),
    (8, 21),
    (16, 20),
    (32, 19),
    (64, 18),
    (128, 17),
];

/// Where others are that have such addresses.
pub fn link_local_ranges() -> impl Iterator<Item = Subnet> {
    let ranges = LINK_LOCAL.iter();
    ranges.filter_map(|(third, prefix)| Subnet::around([169, 254, *third, 0].into(), *prefix))
}

/// To others that have such addresses. Those of IPv6 have the kernel's own route.
fn add_link_local_routes(netlink: &Netlink, link: u32, own: &[IpAddr]) -> io::Result<()> {
    if !own.iter().any(IpAddr::is_ipv4) {
        return Ok(());
    }
    link_local_ranges().try_for_each(|range| {
        netlink.add_route(&Route {
            to: (range.base(), range.prefix()),
            gateway: None,
            link,
            table: MAIN_TABLE,
            local: false,
            metric: None,
        })
    })
}

/// The name server is behind every bridge, and so are the host's ports that are open to the container.
fn add_near_routes(netlink: &Netlink, link: u32, sees_host: bool) -> io::Result<()> {
    let route = |to| Route {
        to: (IpAddr::V4(to), 32),
        gateway: None,
        link,
        table: MAIN_TABLE,
        local: false,
        metric: None,
    };
    netlink.add_route(&route(EMBEDDED))?;
    match sees_host {
        true => netlink.add_route(&route(HOST)),
        false => Ok(()),
    }
}

fn add_default_routes(
    netlink: &Netlink,
    link: u32,
    addresses: impl Iterator<Item = Address>,
) -> io::Result<()> {
    for gateway in addresses.filter_map(|address| address.gateway) {
        let any = ANY[usize::from(gateway.is_ipv6())];
        netlink.add_route(&Route {
            to: (any, 0),
            gateway: Some(gateway),
            link,
            table: MAIN_TABLE,
            local: false,
            metric: None,
        })?;
    }
    Ok(())
}

pub fn bridge_mac(network: &NetworkConfig) -> Mac {
    let gateway = network.pools.first().map(|pool| pool.gateway);
    gateway.map_or([2, 0x42, 0, 0, 0, 1], mac_of)
}

/// Locally administered, and unique where the address is: docker's own.
pub fn mac_of(ip: IpAddr) -> Mac {
    let [a, b, c, d] = match ip {
        IpAddr::V4(ip) => ip.octets(),
        IpAddr::V6(ip) => {
            let [.., a, b, c, d] = ip.octets();
            [a, b, c, d]
        }
    };
    [0x02, 0x42, a, b, c, d]
}
