//! What is fuzzed of this module: queries of containers and answers of servers. It takes any bytes and fails only where a promise
//! is broken. The same inputs are replayed by the tests; only they and `fuzz/` are built with it.

use std::net::IpAddr;

use super::names::{self, Verdict};

/// Two containers of one name.
struct Book {
    leads_out: bool,
}

impl names::Book for Book {
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        let known = [
            IpAddr::from([10, 9, 0, 2]),
            IpAddr::from([0xfd, 0, 0, 0, 0, 0, 0, 2]),
        ];
        (name == "db").then(|| known.repeat(40))
    }

    fn name_of(&self, ip: IpAddr) -> Option<String> {
        (ip == IpAddr::from([10, 9, 0, 2])).then(|| "db.net".to_owned())
    }

    fn leads_out(&self) -> bool {
        self.leads_out
    }
}

/// What a query is answered with fits where it came from and is an answer to it; what a server sends is bounded.
pub fn dns(bytes: &[u8]) {
    for (limited, leads_out) in [(true, true), (true, false), (false, false)] {
        match names::answer(bytes, &Book { leads_out }, limited) {
            Verdict::Answer(answer) => {
                assert!(answer[..2] == bytes[..2] && answer[2] & 0x80 != 0);
                assert!(answer.len() <= usize::from(u16::MAX));
            }
            Verdict::Forward => assert!(leads_out),
            Verdict::Ignore => {}
        }
    }
    if let Some(refusal) = names::refusal(bytes) {
        assert!(refusal[..2] == bytes[..2] && refusal[2] & 0x80 != 0);
    }
    let _ = names::asked_name(bytes);
    if let Some(found) = names::found(bytes) {
        assert!(found.names.len() <= 16 && found.addresses.len() <= 64);
    }
    // Half of it is the question, the other half what is said to be its answer.
    let (query, answer) = bytes.split_at(bytes.len() / 2);
    if query.len() >= 2 {
        let _ = names::is_answer(answer, query);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::corpus::replay;

    #[test]
    fn the_corpus_holds_no_finding() {
        replay("dns", dns);
    }
}
