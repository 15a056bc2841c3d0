//! nf_tables over netlink, as far as elements of sets and maps go: put there and taken away without a run of `nft`. Knows no
//! rule, and nothing of what a set is for.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use super::netlink::Message;

// linux/netfilter/nfnetlink.h and linux/netfilter/nf_tables.h.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const SUBSYSTEM: u16 = 10;
const NEW_ELEMENT: u16 = SUBSYSTEM << 8 | 12;
const DELETE_ELEMENT: u16 = SUBSYSTEM << 8 | 14;
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const LIST_ELEMENT: u16 = 1;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;
const ELEMENT_TIMEOUT: u16 = 4;
const DATA_VALUE: u16 = 1;
const FAMILY_INET: u8 = 1;

/// The kernel answers at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// A set or map of a table of the family `inet`.
#[derive(Clone, Copy)]
pub struct Set<'a> {
    pub table: &'a str,
    pub name: &'a str,
}

/// What is put into it.
pub struct Element<'a> {
    /// Parts of a concatenation are filled up to four bytes each.
    pub key: &'a [u8],
    /// Of a map.
    pub data: Option<&'a [u8]>,
    /// It goes by itself after so long.
    pub timeout: Option<Duration>,
}

/// A conversation with nf_tables of the network namespace it was opened in.
pub struct Nftables {
    socket: OwnedFd,
}

impl Nftables {
    pub fn open() -> io::Result<Nftables> {
        let flags = SocketFlags::CLOEXEC;
        let family = rustix::net::AddressFamily::NETLINK;
        let protocol = Some(netlink::NETFILTER);
        let socket = rustix::net::socket_with(family, SocketType::RAW, flags, protocol)?;
        // Of some failures the kernel speaks once for all messages of a batch.
        super::socket::limit_waiting(socket.as_fd(), PATIENCE)?;
        Ok(Nftables { socket })
    }

    /// Puts an element there, instead of one of the same key.
    pub fn put(&self, set: Set<'_>, element: &Element<'_>) -> io::Result<()> {
        let fresh = || change(NEW_ELEMENT, set, element);
        let stale = Element {
            data: None,
            timeout: None,
            ..*element
        };
        match self.commit([change(DELETE_ELEMENT, set, &stale), fresh()]) {
            // There was none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.commit([fresh()]),
            done => done,
        }
    }

    /// One that is not there is no error.
    pub fn remove(&self, set: Set<'_>, key: &[u8]) -> io::Result<()> {
        let element = Element {
            key,
            data: None,
            timeout: None,
        };
        match self.commit([change(DELETE_ELEMENT, set, &element)]) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// All of them or none.
    fn commit<const N: usize>(&self, changes: [Message; N]) -> io::Result<()> {
        let mut batch = frame(BATCH_BEGIN);
        for change in changes {
            batch.extend(change.finished());
        }
        batch.extend(frame(BATCH_END));
        rustix::net::send(&self.socket, &batch, SendFlags::empty())?;
        let mut verdict = Ok(());
        let mut buffer = vec![0; 8192];
        // Each is answered, whatever has become of the others.
        for _ in 0..N {
            let (length, _) = rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::empty())?;
            let answer = Message::verdict(&buffer[..length]);
            verdict = verdict.and(answer);
        }
        verdict
    }
}

/// `struct nfgenmsg` of a batch names the subsystem.
fn frame(kind: u16) -> Vec<u8> {
    let mut message = Message::new(kind, 0);
    let [high, low] = SUBSYSTEM.to_be_bytes();
    message.raw(&[0, 0, high, low]);
    message.finished()
}

fn change(kind: u16, set: Set<'_>, element: &Element<'_>) -> Message {
    let flags = match kind {
        NEW_ELEMENT => libc::NLM_F_ACK | libc::NLM_F_CREATE,
        _ => libc::NLM_F_ACK,
    };
    let mut message = Message::new(kind, flags);
    message.raw(&[FAMILY_INET, 0, 0, 0]);
    message.text(LIST_TABLE, set.table);
    message.text(LIST_SET, set.name);
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
    message
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_element_names_its_table_and_set_and_is_padded() {
        let set = Set {
            table: "bryo",
            name: "host",
        };
        let element = Element {
            key: &[169, 254, 1, 2],
            data: Some(&[192, 0, 2, 1]),
            timeout: Some(Duration::from_secs(2)),
        };
        let bytes = change(NEW_ELEMENT, set, &element).finished();
        assert_eq!(bytes.len() % 4, 0);
        let length = u32::from_ne_bytes(bytes[..4].try_into().unwrap());
        assert_eq!(length as usize, bytes.len());
        let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(has(b"bryo\0") && has(b"host\0"));
        assert!(has(&[8, 0, 1, 0, 169, 254, 1, 2]) && has(&[8, 0, 1, 0, 192, 0, 2, 1]));
        assert!(has(&2000u64.to_be_bytes()));
    }
}
