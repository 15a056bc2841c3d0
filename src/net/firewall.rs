//! What may pass between networks: one set of rules for all of them, told apart by the names of their bridges, so that a new
//! network or container changes none. Rules of one container are `guard`'s.

use std::io;
use std::net::Ipv4Addr;
use std::rc::Rc;

use super::hosts::HOST;
use crate::sys::nftables::{
    Batch, Chain, Element, Expression, Fact, Family, Hook, Nftables, Set, Table,
};

/// What is sent to a transparent socket carries it.
pub const MARK: u32 = 1;

/// The table of what all networks have in common.
const TABLE: Table<'_> = Table {
    family: Family::Inet,
    name: "bryo",
};

/// Which address the host has now.
const HOST_MAP: Set<'_> = Set {
    table: TABLE,
    name: "host",
};

/// The beginnings of the names of bridges, and of those of internal networks. All but those and the loopback is the way out.
const BRIDGE: &[u8] = b"br-";
const INTERNAL: &[u8] = b"bi-";

pub(super) const CONNECTION_INVALID: u32 = 1;
pub(super) const CONNECTION_ESTABLISHED: u32 = 1 << 1;
pub(super) const CONNECTION_RELATED: u32 = 1 << 2;
pub(super) const IPS_DST_NAT: u32 = 1 << 5;

/// The rules of all networks, in force in one network namespace.
pub struct Firewall {
    nftables: Rc<Nftables>,
    host: Option<Ipv4Addr>,
    is_again: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("load the rules of shared networks: {source}")]
pub struct FirewallError {
    source: io::Error,
}

impl FirewallError {
    pub fn hints(&self) -> Vec<String> {
        vec![
            "sudo modprobe -a nf_tables nft_masq nft_socket".to_owned(),
            "or use a network of the container's own: --network pasta".to_owned(),
        ]
    }
}

impl Firewall {
    /// Loads the rules into the caller's network namespace. `host`: the host's address towards the world. `is_again`: there may be
    /// rules already, of a `bryo net` that the namespace has outlived.
    pub fn load(host: Option<Ipv4Addr>, is_again: bool) -> Result<Firewall, FirewallError> {
        let failed = |source| FirewallError { source };
        let nftables = Nftables::open().map_err(failed)?;
        nftables.commit(rules(host, is_again)).map_err(failed)?;
        let nftables = Rc::new(nftables);
        Ok(Firewall {
            nftables,
            host,
            is_again,
        })
    }

    /// Makes them anew, without an instant between.
    pub fn reload(&self) -> Result<(), FirewallError> {
        let committed = self.nftables.commit(rules(self.host, true));
        committed.map_err(|source| FirewallError { source })
    }

    /// Leads what is sent to `HOST` to this address of the host.
    pub fn lead_to_host(&mut self, address: Option<Ipv4Addr>) -> io::Result<()> {
        if address == self.host {
            return Ok(());
        }
        match address {
            Some(address) => {
                let is_there = self.host.is_some();
                let data = address.octets();
                let element = host_element(&data);
                self.nftables.put(HOST_MAP, &element, is_there)
            }
            None => self.nftables.remove(HOST_MAP, &HOST.octets()),
        }?;
        self.host = address;
        Ok(())
    }

    /// Whether the namespace has outlived another `bryo net`, whose rules may be there.
    pub fn is_again(&self) -> bool {
        self.is_again
    }

    /// For what is put into other tables of the same namespace.
    pub fn nftables(&self) -> Rc<Nftables> {
        Rc::clone(&self.nftables)
    }
}

fn host_element(address: &[u8; 4]) -> Element<'_> {
    const KEY: [u8; 4] = HOST.octets();
    Element {
        key: &KEY,
        data: Some(address),
        timeout: None,
    }
}

/// In one transaction. `br-…` are bridges, `bi-…` those of internal networks. What is sent to the host by its name goes to the
/// address that the host has now, or where a rule of the container's own (`guard`) leads it; else nowhere.
fn rules(host: Option<Ipv4Addr>, is_again: bool) -> Batch {
    use Expression::{Accept, Drop, Load, LookUp, Mark, Masquerade, Reject, SendTo};
    use Fact::{ConnectionState, ConnectionStatus, InterfaceIn, InterfaceOut};
    let ipv4 = [
        Load(Fact::Family),
        Expression::is([libc::NFPROTO_IPV4 as u8]),
    ];
    let to_host = [Load(Fact::TARGET_IPV4), Expression::is(HOST.octets())];
    let comes = |from: &[u8]| [Load(InterfaceIn), Expression::is(from)];
    let goes = |to: &[u8]| [Load(InterfaceOut), Expression::is(to)];
    let is_known = CONNECTION_ESTABLISHED | CONNECTION_RELATED;

    let mut batch = Batch::default();
    batch.add_table(TABLE);
    if is_again {
        batch.delete_table(TABLE);
        batch.add_table(TABLE);
    }
    batch.add_map(HOST_MAP);
    if let Some(host) = host {
        batch.add_element(HOST_MAP, &host_element(&host.octets()));
    }
    let mut chain = |name, is_nat, hook, priority, rules: &[Vec<Expression<'_>>]| {
        let chain = Chain {
            name,
            is_nat,
            hook,
            priority,
        };
        batch.add_chain(TABLE, &chain);
        for rule in rules {
            batch.add_rule(TABLE, name, rule);
        }
    };
    let lead = [
        &ipv4[..],
        &to_host,
        &[Load(Fact::TARGET_IPV4), LookUp(HOST_MAP.name), SendTo],
    ];
    chain(
        "translate",
        true,
        Hook::Prerouting,
        DSTNAT,
        &[lead.concat()],
    );
    let untranslated = [
        Load(ConnectionStatus),
        Expression::mask(IPS_DST_NAT),
        Expression::is(0u32),
        Reject,
    ];
    let refuse = [&ipv4[..], &to_host, &untranslated].concat();
    chain("host", false, Hook::Input, FILTER, &[refuse]);
    let mark = vec![
        Load(Fact::IsTransparent),
        Expression::is([1]),
        Mark(MARK),
        Accept,
    ];
    chain("prerouting", false, Hook::Prerouting, MANGLE, &[mark]);
    let between = [comes(BRIDGE), goes(BRIDGE)].concat();
    let forward = [
        vec![
            Load(ConnectionState),
            Expression::mask(is_known),
            Expression::is_not(0u32),
            Accept,
        ],
        [&comes(INTERNAL)[..], &[Drop]].concat(),
        [&goes(INTERNAL)[..], &[Drop]].concat(),
        [&between[..], &[Drop]].concat(),
        vec![Load(InterfaceIn), Expression::is_not(BRIDGE), Drop],
    ];
    chain("forward", false, Hook::Forward, FILTER, &forward);
    let leave = [
        [&goes(BRIDGE)[..], &[Accept]].concat(),
        [&goes(INTERNAL)[..], &[Accept]].concat(),
        [&goes(LOOPBACK)[..], &[Accept]].concat(),
        vec![Masquerade],
    ];
    chain("postrouting", true, Hook::Postrouting, SRCNAT, &leave);
    batch
}

/// The whole name.
const LOOPBACK: &[u8] = b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// The priorities that nft has names for.
const DSTNAT: i32 = -100;
const FILTER: i32 = 0;
const MANGLE: i32 = -150;
const SRCNAT: i32 = 100;
