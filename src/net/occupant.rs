//! Whose a port of the host's is, and which is free instead: for whoever is told that it is taken. Reads `/proc`; changes nothing.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;

use crate::sys::network::{self, Transport};
use crate::sys::procfs;

/// A process of the user's own that has the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupant {
    pub pid: i32,
    pub command: String,
}

/// The tables of sockets, and the state of those that others come to.
const TABLES: [(&str, Option<&str>); 4] = [
    ("tcp", Some("0A")),
    ("tcp6", Some("0A")),
    ("udp", None),
    ("udp6", None),
];

/// So many ports behind the one that is taken are tried.
const NEAR: u16 = 200;

/// Of sockets that belong to others, nobody is found.
pub fn occupant(port: u16) -> Option<Occupant> {
    let sockets: BTreeSet<String> = TABLES
        .iter()
        .flat_map(|(table, state)| {
            let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
            inodes(&text, port, *state)
        })
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let pid = pids
        .filter(|_| !sockets.is_empty())
        .find(|pid| has_one(*pid, &sockets))?;
    let command = procfs::stat(pid).ok()?.command;
    Some(Occupant { pid, command })
}

fn has_one(pid: i32, sockets: &BTreeSet<String>) -> bool {
    let opened = fs::read_dir(format!("/proc/{pid}/fd"));
    let links = opened.into_iter().flatten().flatten();
    let mut targets = links.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.any(|target| {
        let name = str::from_utf8(target.as_os_str().as_bytes());
        name.is_ok_and(|name| sockets.contains(name))
    })
}

/// proc(5): number, local address, remote address, state, …, the socket's inode as the tenth.
fn inodes(table: &str, port: u16, state: Option<&str>) -> Vec<String> {
    let wanted = format!("{port:04X}");
    let lines = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (_, local) = fields.get(1)?.split_once(':')?;
        let in_state = state.is_none_or(|state| fields.get(3) == Some(&state));
        let inode = fields.get(9).filter(|inode| **inode != "0")?;
        (local == wanted && in_state).then(|| (*inode).to_owned())
    });
    lines.collect()
}

/// The next port behind one that nobody has at this address.
pub fn next_free(address: SocketAddr) -> Option<u16> {
    let first = address.port().checked_add(1)?;
    let last = address.port().saturating_add(NEAR);
    (first..=last).find(|port| {
        let address = SocketAddr::new(address.ip(), *port);
        let is_free = |transport| network::bound(transport, address).is_ok();
        is_free(Transport::Tcp) && is_free(Transport::Udp)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_of_this_process_is_its_own_and_the_next_is_another() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let found = occupant(address.port()).unwrap();
        assert_eq!(found.pid, std::process::id().cast_signed());
        if let Some(next) = next_free(address) {
            assert!(next > address.port());
        }
    }

    #[test]
    fn sockets_that_only_talk_do_not_have_the_port() {
        let table = "  sl  local_address rem_address   st\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0\n\
            1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 4243 1 0\n\
            2: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4244 1 0\n";
        assert_eq!(inodes(table, 8080, Some("0A")), ["4242"]);
        assert_eq!(inodes(table, 80, Some("0A")), ["4244"]);
        assert!(inodes("", 80, None).is_empty());
    }
}
