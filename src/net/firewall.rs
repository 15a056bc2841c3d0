//! What may pass between networks: one set of rules for all of them, told apart by the names of their bridges, so that a new
//! network or container changes none. Rules of one container (`guard`) are loaded by a run of `nft`.

use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;

use super::hosts::HOST;
use crate::sys::nftables::{Batch, Chain, Element, Expression, Fact, Hook, Nftables, Set};
use crate::sys::program;

/// What is sent to a transparent socket carries it.
pub const MARK: u32 = 1;

const PROGRAM: &str = "nft";

/// The table of what all networks have in common.
const TABLE: &str = "bryo";

/// Which address the host has now.
const HOST_MAP: Set<'_> = Set {
    table: TABLE,
    name: "host",
};

/// The beginnings of the names of bridges, and of those of internal networks. All but those and the loopback is the way out.
const BRIDGE: &[u8] = b"br-";
const INTERNAL: &[u8] = b"bi-";

const CONNECTION_ESTABLISHED: u32 = 1 << 1;
const CONNECTION_RELATED: u32 = 1 << 2;
const IPS_DST_NAT: u32 = 1 << 5;

/// The rules of all networks, in force in one network namespace.
pub struct Firewall {
    nftables: Rc<Nftables>,
    host: Option<Ipv4Addr>,
}

#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    #[error("nft is not installed, and --egress and --host-port need it")]
    Missing,
    #[error("load the rules of shared networks: {source}")]
    Rules { source: io::Error },
    #[error("start {path}: {source}")]
    Start {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("nft failed: {message}")]
    Failed { message: String },
}

impl FirewallError {
    pub fn hints(&self) -> Vec<String> {
        match self {
            FirewallError::Missing => vec![
                "install it: sudo apt install nftables (Debian, Ubuntu), sudo dnf install nftables (Fedora)"
                    .to_owned(),
            ],
            FirewallError::Rules { .. } => vec![
                "sudo modprobe -a nf_tables nft_masq nft_socket".to_owned(),
                "or use a network of the container's own: --network pasta".to_owned(),
            ],
            FirewallError::Start { .. } | FirewallError::Failed { .. } => {
                vec!["sudo modprobe -a nf_tables nft_masq nft_socket".to_owned()]
            }
        }
    }
}

/// Rules of a container's own can be loaded here.
pub fn need_program() -> Result<(), FirewallError> {
    program::find(PROGRAM)
        .map(drop)
        .ok_or(FirewallError::Missing)
}

impl Firewall {
    /// Loads the rules into the caller's network namespace. `host`: the host's address towards the world. `is_again`: there may be
    /// rules already, of a `bryo net` that the namespace has outlived.
    pub fn load(host: Option<Ipv4Addr>, is_again: bool) -> Result<Firewall, FirewallError> {
        let failed = |source| FirewallError::Rules { source };
        let nftables = Nftables::open().map_err(failed)?;
        nftables.commit(rules(host, is_again)).map_err(failed)?;
        let nftables = Rc::new(nftables);
        Ok(Firewall { nftables, host })
    }

    /// Makes them anew, without an instant between.
    pub fn reload(&self) -> Result<(), FirewallError> {
        let committed = self.nftables.commit(rules(self.host, true));
        committed.map_err(|source| FirewallError::Rules { source })
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
    use Expression::{
        Accept, Drop, Is, IsNot, Load, LookUp, Mark, Mask, Masquerade, Reject, SendTo,
    };
    use Fact::{ConnectionState, ConnectionStatus, Destination, InterfaceIn, InterfaceOut};
    let ipv4 = [Load(Fact::Family), Is(&[libc::NFPROTO_IPV4 as u8])];
    let to_host = HOST.octets();
    let to_host = [Load(Destination), Is(&to_host)];
    let comes = |from: &'static [u8]| [Load(InterfaceIn), Is(from)];
    let goes = |to: &'static [u8]| [Load(InterfaceOut), Is(to)];
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
        &[Load(Destination), LookUp(HOST_MAP.name), SendTo],
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
        Mask(IPS_DST_NAT),
        Is(&[0; 4]),
        Reject,
    ];
    let refuse = [&ipv4[..], &to_host, &untranslated].concat();
    chain("host", false, Hook::Input, FILTER, &[refuse]);
    let mark = vec![Load(Fact::IsTransparent), Is(&[1]), Mark(MARK), Accept];
    chain("prerouting", false, Hook::Prerouting, MANGLE, &[mark]);
    let between = [comes(BRIDGE), goes(BRIDGE)].concat();
    let forward = [
        vec![
            Load(ConnectionState),
            Mask(is_known),
            IsNot(&[0; 4]),
            Accept,
        ],
        [&comes(INTERNAL)[..], &[Drop]].concat(),
        [&goes(INTERNAL)[..], &[Drop]].concat(),
        [&between[..], &[Drop]].concat(),
        vec![Load(InterfaceIn), IsNot(BRIDGE), Drop],
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

/// Changes the rules of one container, by the installed `nft`.
pub fn apply(text: &str) -> Result<(), FirewallError> {
    let path = program::find(PROGRAM).ok_or(FirewallError::Missing)?;
    let failed = |source| FirewallError::Start {
        path: path.clone(),
        source,
    };
    let mut child = Command::new(&path)
        .args(["-f", "-"])
        .current_dir("/")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    // Shorter than a pipe is deep. What it could not be told is its failure, and said below.
    if let Some(mut input) = child.stdin.take() {
        let _ = input.write_all(text.as_bytes());
    }
    let mut message = String::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(16 << 10).read_to_string(&mut message);
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(FirewallError::Failed {
            message: message.trim().replace('\n', "; "),
        }),
    }
}
