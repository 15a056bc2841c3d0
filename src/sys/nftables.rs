//! nf_tables over netlink: tables, maps, chains and rules, and elements that are put into sets and taken away, without a run of
//! `nft`. Knows the kernel's messages and nothing of what a rule is for.

mod rule;

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use super::netlink::Message;
pub use rule::{Expression, Fact, Value};

// linux/netfilter/nfnetlink.h and linux/netfilter/nf_tables.h.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const SUBSYSTEM: u16 = 10;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const DELETE_TABLE: u16 = SUBSYSTEM << 8 | 2;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;
const NEW_SET: u16 = SUBSYSTEM << 8 | 9;
const NEW_ELEMENT: u16 = SUBSYSTEM << 8 | 12;
const DELETE_ELEMENT: u16 = SUBSYSTEM << 8 | 14;
/// Of a table its name; of all else the name of its table.
const TABLE: u16 = 1;
/// Of a set's elements, and of the set itself.
const SET: u16 = 2;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const SET_FLAGS: u16 = 3;
const SET_KEY_TYPE: u16 = 4;
const SET_KEY_LENGTH: u16 = 5;
const SET_DATA_TYPE: u16 = 6;
const SET_DATA_LENGTH: u16 = 7;
const SET_ID: u16 = 10;
const FLAG_MAP: u32 = 8;
const FLAG_TIMEOUT: u32 = 16;
const LIST_ELEMENTS: u16 = 3;
const LIST_ELEMENT: u16 = 1;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;
const ELEMENT_TIMEOUT: u16 = 4;
const DATA_VALUE: u16 = 1;
/// As much as ordinary limits allow (net.core.wmem_max); the kernel doubles it.
const SEND_BUFFER: usize = 212_992;

/// Whose packets a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet = 1,
    /// What bridges pass on.
    Bridge = 7,
}

#[derive(Clone, Copy)]
pub struct Table<'a> {
    pub family: Family,
    pub name: &'a str,
}

/// A set or map.
#[derive(Clone, Copy)]
pub struct Set<'a> {
    pub table: Table<'a>,
    pub name: &'a str,
}

/// What a set has: what nft calls `ipv4_addr`, `ipv6_addr`, and either with `. inet_service` behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Ipv4,
    Ipv6,
    Ipv4Port,
    Ipv6Port,
}

impl Key {
    /// The kernel keeps it for who lists the set.
    fn number(self) -> u32 {
        const IPV4: u32 = 7;
        const IPV6: u32 = 8;
        const PORT: u32 = 13;
        const BITS: u32 = 6;
        match self {
            Key::Ipv4 => IPV4,
            Key::Ipv6 => IPV6,
            Key::Ipv4Port => IPV4 << BITS | PORT,
            Key::Ipv6Port => IPV6 << BITS | PORT,
        }
    }

    fn length(self) -> u32 {
        match self {
            Key::Ipv4 => 4,
            Key::Ipv6 => 16,
            Key::Ipv4Port => 8,
            Key::Ipv6Port => 20,
        }
    }
}

/// What is put into it.
#[derive(Clone, Copy)]
pub struct Element<'a> {
    /// Parts of a concatenation are filled up to four bytes each.
    pub key: &'a [u8],
    /// Of a map.
    pub data: Option<&'a [u8]>,
    /// It goes by itself after so long.
    pub timeout: Option<Duration>,
}

/// Where packets come to a chain; what it leaves is accepted.
#[derive(Clone, Copy)]
pub struct Chain<'a> {
    pub name: &'a str,
    /// It may translate addresses.
    pub is_nat: bool,
    pub hook: Hook,
    pub priority: i32,
}

/// `NF_INET_…`.
#[derive(Clone, Copy)]
pub enum Hook {
    Prerouting = 0,
    Input = 1,
    Forward = 2,
    Postrouting = 4,
}

/// Changes, all of which are made or none.
#[derive(Default)]
pub struct Batch(Vec<Message>);

impl Batch {
    /// One that is there is no error.
    pub fn add_table(&mut self, table: Table<'_>) {
        self.add(NEW_TABLE, table, libc::NLM_F_CREATE);
    }

    /// Fails where there is one.
    pub fn add_new_table(&mut self, table: Table<'_>) {
        self.add(NEW_TABLE, table, libc::NLM_F_CREATE | libc::NLM_F_EXCL);
    }

    pub fn delete_table(&mut self, table: Table<'_>) {
        self.add(DELETE_TABLE, table, 0);
    }

    /// From IPv4 addresses to others.
    pub fn add_map(&mut self, map: Set<'_>) {
        let message = self.add_named(map, Key::Ipv4, FLAG_MAP);
        message.network_number(SET_DATA_TYPE, Key::Ipv4.number());
        message.network_number(SET_DATA_LENGTH, Key::Ipv4.length());
    }

    /// Of elements that go by themselves.
    pub fn add_set(&mut self, set: Set<'_>, key: Key) {
        self.add_named(set, key, FLAG_TIMEOUT);
    }

    fn add_named(&mut self, set: Set<'_>, key: Key, flags: u32) -> &mut Message {
        // Names a set within its batch.
        let id = self.0.len() as u32;
        let message = self.add(NEW_SET, set.table, libc::NLM_F_CREATE);
        message.text(SET, set.name);
        message.network_number(SET_FLAGS, flags);
        message.network_number(SET_KEY_TYPE, key.number());
        message.network_number(SET_KEY_LENGTH, key.length());
        message.network_number(SET_ID, id);
        message
    }

    pub fn add_chain(&mut self, table: Table<'_>, chain: &Chain<'_>) {
        let message = self.add(NEW_CHAIN, table, libc::NLM_F_CREATE);
        message.text(CHAIN_NAME, chain.name);
        message.nest(CHAIN_HOOK, |hook| {
            hook.network_number(HOOK_NUMBER, chain.hook as u32);
            hook.attribute(HOOK_PRIORITY, &chain.priority.to_be_bytes());
        });
        message.network_number(CHAIN_POLICY, libc::NF_ACCEPT as u32);
        message.text(CHAIN_TYPE, if chain.is_nat { "nat" } else { "filter" });
    }

    /// One that packets come to from other chains of its table.
    pub fn add_inner_chain(&mut self, table: Table<'_>, name: &str) {
        let message = self.add(NEW_CHAIN, table, libc::NLM_F_CREATE);
        message.text(CHAIN_NAME, name);
    }

    /// Behind those that the chain has.
    pub fn add_rule(&mut self, table: Table<'_>, chain: &str, expressions: &[Expression<'_>]) {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_APPEND;
        let message = self.add(NEW_RULE, table, flags);
        message.text(RULE_CHAIN, chain);
        message.nest(RULE_EXPRESSIONS, |list| {
            for expression in expressions {
                expression.write(list);
            }
        });
    }

    /// One of the same key stays as it is.
    pub fn add_element(&mut self, set: Set<'_>, element: &Element<'_>) {
        let message = self.add(NEW_ELEMENT, set.table, libc::NLM_F_CREATE);
        write_element(message, set, element);
    }

    fn delete_element(&mut self, set: Set<'_>, key: &[u8]) {
        let message = self.add(DELETE_ELEMENT, set.table, 0);
        let element = Element {
            key,
            data: None,
            timeout: None,
        };
        write_element(message, set, &element);
    }

    /// How long it is as a message.
    pub fn length(&self) -> usize {
        self.0.iter().map(Message::length).sum()
    }

    /// What another changes is changed with it, behind all of its own.
    pub fn append(&mut self, Batch(more): Batch) {
        self.0.extend(more);
    }

    fn add(&mut self, kind: u16, table: Table<'_>, flags: i32) -> &mut Message {
        let mut message = Message::new(kind, flags);
        message.raw(&[table.family as u8, 0, 0, 0]);
        message.text(TABLE, table.name);
        self.0.push(message);
        self.0.last_mut().expect("one was added just now")
    }
}

fn write_element(message: &mut Message, set: Set<'_>, element: &Element<'_>) {
    message.text(SET, set.name);
    message.nest(LIST_ELEMENTS, |list| {
        list.nest(LIST_ELEMENT, |one| {
            one.nest(ELEMENT_KEY, |key| key.attribute(DATA_VALUE, element.key));
            if let Some(data) = element.data {
                one.nest(ELEMENT_DATA, |value| value.attribute(DATA_VALUE, data));
            }
            if let Some(timeout) = element.timeout {
                let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
                one.attribute(ELEMENT_TIMEOUT, &milliseconds.to_be_bytes());
            }
        });
    });
}

/// A conversation with nf_tables of the network namespace it was opened in. Kept for as long as there is something to say: its
/// end waits until the kernel has freed what was deleted, a grace period of RCU.
pub struct Nftables {
    socket: OwnedFd,
}

impl Nftables {
    pub fn open() -> io::Result<Nftables> {
        let flags = SocketFlags::CLOEXEC;
        let family = rustix::net::AddressFamily::NETLINK;
        let protocol = Some(netlink::NETFILTER);
        let socket = rustix::net::socket_with(family, SocketType::RAW, flags, protocol)?;
        // A batch is one message. What the kernel does not grant fails when it is needed.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER);
        Ok(Nftables { socket })
    }

    /// Puts an element there, instead of one of the same key if there may be one.
    pub fn put(&self, set: Set<'_>, element: &Element<'_>, may_be_there: bool) -> io::Result<()> {
        let mut fresh = Batch::default();
        if may_be_there {
            fresh.delete_element(set, element.key);
            fresh.add_element(set, element);
            match self.commit(std::mem::take(&mut fresh)) {
                // Taking it back costs a grace period: who knows that there is none says so.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => return done,
            }
        }
        fresh.add_element(set, element);
        self.commit(fresh)
    }

    /// One that is not there is no error.
    pub fn remove(&self, set: Set<'_>, key: &[u8]) -> io::Result<()> {
        let mut stale = Batch::default();
        stale.delete_element(set, key);
        match self.commit(stale) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// All of them or none. The kernel has answered when it has taken the batch: with every failure, and to the last change, which asks
    /// for it. That each one asked would be more than the socket has room for.
    pub fn commit(&self, Batch(mut changes): Batch) -> io::Result<()> {
        let Some(last) = changes.last_mut() else {
            return Ok(());
        };
        last.ask_for_answer();
        let mut batch = frame(BATCH_BEGIN);
        for change in changes {
            batch.extend(change.finished());
        }
        batch.extend(frame(BATCH_END));
        rustix::net::send(&self.socket, &batch, SendFlags::empty())?;
        let mut verdict = None;
        let mut buffer = vec![0; 8192];
        loop {
            match rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    let answer = Message::verdict(&buffer[..length]);
                    verdict = Some(verdict.unwrap_or(Ok(())).and(answer));
                }
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        verdict.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))
    }
}

/// `struct nfgenmsg` of a batch names the subsystem.
fn frame(kind: u16) -> Vec<u8> {
    let mut message = Message::new(kind, 0);
    let [high, low] = SUBSYSTEM.to_be_bytes();
    message.raw(&[0, 0, high, low]);
    message.finished()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_element_names_its_table_and_set_and_is_padded() {
        let table = Table {
            family: Family::Inet,
            name: "bryo",
        };
        let set = Set {
            table,
            name: "host",
        };
        let element = Element {
            key: &[169, 254, 1, 2],
            data: Some(&[192, 0, 2, 1]),
            timeout: Some(Duration::from_secs(2)),
        };
        let mut batch = Batch::default();
        batch.add_element(set, &element);
        let bytes = batch.0.remove(0).finished();
        assert_eq!(bytes.len() % 4, 0);
        let length = u32::from_ne_bytes(bytes[..4].try_into().unwrap());
        assert_eq!(length as usize, bytes.len());
        let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(has(b"bryo\0") && has(b"host\0"));
        assert!(has(&[8, 0, 1, 0, 169, 254, 1, 2]) && has(&[8, 0, 1, 0, 192, 0, 2, 1]));
        assert!(has(&2000u64.to_be_bytes()));
    }
}
