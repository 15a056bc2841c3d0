//! What a container is answered that asks for a name: containers of its networks are known here, everything else is for the
//! host's servers. Pure; queries are hostile input.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

/// Seconds: docker's.
const TTL: u32 = 600;

/// What every client takes without saying so (RFC 1035).
const PLAIN_SIZE: usize = 512;

/// What this server itself takes (DNS flag day 2020).
const OWN_SIZE: u16 = 1232;

/// What is to be done with a query.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Answer(Vec<u8>),
    /// To the host's servers.
    Forward,
    /// It is none.
    Ignore,
}

/// What the asking container may know.
pub trait Book {
    /// Addresses of a container of its networks; `None`: there is none of this name.
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>>;
    fn name_of(&self, ip: IpAddr) -> Option<String>;
    /// Whether names outside of its networks are its business.
    fn leads_out(&self) -> bool;
}

/// `limited`: it came as a datagram, and the answer has to fit into one.
pub fn answer(query: &[u8], book: &impl Book, limited: bool) -> Verdict {
    let Some(id) = query.get(..2).map(|id| u16::from_be_bytes([id[0], id[1]])) else {
        return Verdict::Ignore;
    };
    let refuse = |op_code, code| encoded(&Message::error_msg(id, op_code, code));
    let Ok(asked) = Message::from_vec(query) else {
        return refuse(OpCode::Query, ResponseCode::FormErr);
    };
    if asked.metadata.message_type != MessageType::Query {
        return Verdict::Ignore;
    }
    if asked.metadata.op_code != OpCode::Query {
        return refuse(asked.metadata.op_code, ResponseCode::NotImp);
    }
    let [question] = asked.queries.as_slice() else {
        return refuse(OpCode::Query, ResponseCode::FormErr);
    };
    if asked.version() > 0 {
        let mut refusal = response_to(&asked);
        refusal.metadata.response_code = ResponseCode::BADVERS;
        return encoded(&refusal);
    }
    let Some(found) = records(
        &question.name,
        question.query_type,
        question.query_class,
        book,
    ) else {
        if book.leads_out() {
            return Verdict::Forward;
        }
        // CVE-2024-29018: names are a way out.
        let mut refusal = response_to(&asked);
        refusal.metadata.response_code = ResponseCode::Refused;
        return encoded(&refusal);
    };
    let mut response = response_to(&asked);
    response.add_answers(found);
    let room = usize::from(asked.max_payload()).max(PLAIN_SIZE);
    match encoded(&response) {
        Verdict::Answer(bytes) if limited && bytes.len() > room => encoded(&response.truncate()),
        verdict => verdict,
    }
}

fn response_to(asked: &Message) -> Message {
    let mut response = Message::response(asked.metadata.id, OpCode::Query);
    response.metadata.recursion_desired = asked.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.add_queries(asked.queries.clone());
    // Whoever speaks EDNS is answered in it (RFC 6891).
    if asked.edns.is_some() {
        let mut own = Edns::new();
        own.set_max_payload(OWN_SIZE);
        response.set_edns(own);
    }
    response
}

fn encoded(message: &Message) -> Verdict {
    message.to_vec().map_or(Verdict::Ignore, Verdict::Answer)
}

/// `None`: it is not known here.
fn records(
    name: &Name,
    kind: RecordType,
    class: DNSClass,
    book: &impl Book,
) -> Option<Vec<Record>> {
    if class != DNSClass::IN {
        return None;
    }
    let text = name.to_ascii().to_ascii_lowercase();
    let text = text.trim_end_matches('.');
    if let Some(ip) = reverse(text) {
        let found = book.name_of(ip)?;
        let target = Name::from_ascii(format!("{found}.")).ok()?;
        let record = Record::from_rdata(name.clone(), TTL, RData::PTR(PTR(target)));
        return Some(match kind {
            RecordType::PTR | RecordType::ANY => vec![record],
            _ => Vec::new(),
        });
    }
    let addresses = book.addresses(text)?.into_iter();
    let data = addresses.filter_map(|ip| match (ip, kind) {
        (IpAddr::V4(ip), RecordType::A | RecordType::ANY) => Some(RData::A(A(ip))),
        (IpAddr::V6(ip), RecordType::AAAA | RecordType::ANY) => Some(RData::AAAA(AAAA(ip))),
        _ => None,
    });
    Some(
        data.map(|data| Record::from_rdata(name.clone(), TTL, data))
            .collect(),
    )
}

/// The address in `4.3.2.1.in-addr.arpa` and its like.
fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(digits) = name.strip_suffix(".in-addr.arpa") {
        let bytes: Option<Vec<u8>> = digits.rsplit('.').map(|part| part.parse().ok()).collect();
        let bytes: [u8; 4] = bytes?.try_into().ok()?;
        return Some(IpAddr::V4(Ipv4Addr::from(bytes)));
    }
    let digits = name.strip_suffix(".ip6.arpa")?;
    let nibble = |part: &str| match part.len() {
        1 => u128::from_str_radix(part, 16).ok(),
        _ => None,
    };
    let nibbles: Option<Vec<u128>> = digits.rsplit('.').map(nibble).collect();
    let nibbles = nibbles.filter(|nibbles| nibbles.len() == 32)?;
    let bits = nibbles
        .into_iter()
        .fold(0, |bits, nibble| bits << 4 | nibble);
    Some(IpAddr::V6(Ipv6Addr::from_bits(bits)))
}

/// Whether an answer is one to a query, as far as nobody has to be trusted for it.
pub fn is_answer(answer: &[u8], query: &[u8]) -> bool {
    let question = question(query);
    answer.len() >= 12
        && answer[..2] == query[..2]
        && answer[2] & 0x80 != 0
        && question.is_some_and(|question| {
            let same = answer.get(12..12 + question.len());
            same.is_some_and(|same| same.eq_ignore_ascii_case(question))
        })
}

/// The bytes of the one question of a query, whose name is not compressed.
fn question(query: &[u8]) -> Option<&[u8]> {
    let mut at = 12;
    loop {
        match *query.get(at)? {
            0 => break,
            length if length < 64 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
    query.get(12..at + 5)
}

/// The name that is asked for, in small letters and without its final dot.
pub fn asked_name(query: &[u8]) -> Option<String> {
    let asked = Message::from_vec(query).ok()?;
    asked.queries.first().map(|question| plain(&question.name))
}

fn plain(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    text.trim_end_matches('.').to_owned()
}

/// What is said to whoever may not know.
pub fn refusal(query: &[u8]) -> Option<Vec<u8>> {
    let asked = Message::from_vec(query).ok()?;
    let mut response = response_to(&asked);
    response.metadata.response_code = ResponseCode::Refused;
    response.to_vec().ok()
}

/// What a server's answer says of the name that was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// It, and what it is another name of, and so on.
    pub names: Vec<String>,
    /// With the seconds for which the whole chain holds.
    pub addresses: Vec<(IpAddr, u32)>,
}

/// Longer chains are none that a resolver follows.
const CHAIN: usize = 16;

/// Of one name in one answer.
const ADDRESSES: usize = 64;

/// Follows the names in an answer, in whatever order they are.
pub fn found(answer: &[u8]) -> Option<Found> {
    let message = Message::from_vec(answer).ok()?;
    let mut name = message.queries.first()?.name.clone();
    let mut found = Found::default();
    let mut holds = u32::MAX;
    while found.names.len() < CHAIN {
        found.names.push(plain(&name));
        let of_name = || message.answers.iter().filter(|record| record.name == name);
        for record in of_name() {
            let ip = match &record.data {
                RData::A(ip) => IpAddr::V4(ip.0),
                RData::AAAA(ip) => IpAddr::V6(ip.0),
                _ => continue,
            };
            if found.addresses.iter().all(|(known, _)| *known != ip) {
                found.addresses.push((ip, record.ttl.min(holds)));
            }
            // A name that stands for more is no name of a service.
            if found.addresses.len() > ADDRESSES {
                return None;
            }
        }
        let next = of_name().find_map(|record| match &record.data {
            RData::CNAME(target) => Some((target.0.clone(), record.ttl)),
            _ => None,
        });
        let Some((target, ttl)) = next else { break };
        holds = holds.min(ttl);
        name = target;
        if found.names.contains(&plain(&name)) {
            return None;
        }
    }
    Some(found)
}

/// What is said when no server answers.
pub fn failure(query: &[u8]) -> Option<Vec<u8>> {
    let asked = Message::from_vec(query).ok()?;
    let mut response = response_to(&asked);
    response.metadata.response_code = ResponseCode::ServFail;
    response.to_vec().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use hickory_proto::op::Query;
    use proptest::prelude::*;

    use super::*;

    struct Test {
        leads_out: bool,
        count: u8,
    }

    impl Book for Test {
        fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
            let last = 2..2 + self.count;
            let all = last.map(|last| IpAddr::from([10, 9, 0, last]));
            (name == "db").then(|| all.collect())
        }

        fn name_of(&self, ip: IpAddr) -> Option<String> {
            (ip == IpAddr::from([10, 9, 0, 2])).then(|| "db.net".to_owned())
        }

        fn leads_out(&self) -> bool {
            self.leads_out
        }
    }

    const OPEN: Test = Test {
        leads_out: true,
        count: 1,
    };

    fn query(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::new(77, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message.to_vec().unwrap()
    }

    fn answered(verdict: Verdict) -> Message {
        match verdict {
            Verdict::Answer(bytes) => Message::from_vec(&bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn containers_are_answered_and_the_rest_is_passed_on_or_refused() {
        let found = answered(answer(&query("DB.", RecordType::A), &OPEN, true));
        assert_eq!(found.metadata.id, 77);
        assert_eq!(found.answers[0].data, RData::A(A::new(10, 9, 0, 2)));
        let none = answered(answer(&query("db.", RecordType::AAAA), &OPEN, true));
        assert_eq!(none.metadata.response_code, ResponseCode::NoError);
        assert!(none.answers.is_empty());
        let back = query("2.0.9.10.in-addr.arpa.", RecordType::PTR);
        let back = answered(answer(&back, &OPEN, true));
        assert_eq!(back.answers[0].data.to_string(), "db.net.");
        let outside = query("example.org.", RecordType::A);
        assert_eq!(answer(&outside, &OPEN, true), Verdict::Forward);
        let closed = Test {
            leads_out: false,
            ..OPEN
        };
        let refused = answered(answer(&outside, &closed, true));
        assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
    }

    #[test]
    fn an_answer_that_is_too_long_for_a_datagram_says_so() {
        let many = Test {
            leads_out: true,
            count: 200,
        };
        let asked = query("db.", RecordType::A);
        let cut = answered(answer(&asked, &many, true));
        assert!(cut.metadata.truncation);
        let whole = answered(answer(&asked, &many, false));
        assert_eq!(whole.answers.len(), 200);
    }

    #[test]
    fn who_speaks_edns_is_answered_in_it() {
        let many = Test {
            leads_out: true,
            count: 60,
        };
        let asked = |version: u8| {
            let mut message = Message::from_vec(&query("db.", RecordType::A)).unwrap();
            let mut edns = Edns::new();
            edns.set_max_payload(4096).set_version(version);
            message.set_edns(edns);
            answered(answer(&message.to_vec().unwrap(), &many, true))
        };
        let found = asked(0);
        assert_eq!(found.answers.len(), 60);
        assert_eq!(found.edns.map(|edns| edns.max_payload()), Some(OWN_SIZE));
        let newer = asked(1);
        // Which has its number in common with another.
        let badvers = u16::from(ResponseCode::BADVERS);
        assert_eq!(u16::from(newer.metadata.response_code), badvers);
        assert!(newer.answers.is_empty());
        let plain = answered(answer(&query("db.", RecordType::A), &many, true));
        assert!(plain.metadata.truncation && plain.edns.is_none());
    }

    #[test]
    fn only_an_answer_to_the_same_question_is_one() {
        let asked = query("example.org.", RecordType::A);
        let mut reply = answered(Verdict::Answer(failure(&asked).unwrap()));
        let bytes = |message: &Message| message.to_vec().unwrap();
        assert!(is_answer(&bytes(&reply), &asked));
        assert!(!is_answer(&asked, &asked), "a query is none");
        assert!(!is_answer(
            &bytes(&reply),
            &query("example.com.", RecordType::A)
        ));
        reply.metadata.id = 78;
        assert!(!is_answer(&bytes(&reply), &asked));
        assert!(!is_answer(&[], &asked));
    }

    #[test]
    fn a_chain_of_names_is_followed_in_any_order_and_ends() {
        let mut reply = answered(Verdict::Answer(
            failure(&query("A.test.", RecordType::A)).unwrap(),
        ));
        let name = |text: &str| Name::from_ascii(text).unwrap();
        let address =
            |of: &str, last| Record::from_rdata(name(of), 60, RData::A(A::new(192, 0, 2, last)));
        let alias = |of: &str, to: &str, ttl| {
            Record::from_rdata(
                name(of),
                ttl,
                RData::CNAME(hickory_proto::rr::rdata::CNAME(name(to))),
            )
        };
        reply.add_answers([
            address("c.test.", 1),
            alias("b.test.", "c.test.", 9),
            alias("a.test.", "b.test.", 30),
            address("other.test.", 2),
        ]);
        let seen = found(&reply.to_vec().unwrap()).unwrap();
        assert_eq!(seen.names, ["a.test", "b.test", "c.test"]);
        assert_eq!(seen.addresses, [(IpAddr::from([192, 0, 2, 1]), 9)]);
        let mut crowded = reply.clone();
        crowded.add_answers((0..ADDRESSES as u8).map(|last| address("c.test.", last)));
        assert_eq!(
            found(&crowded.to_vec().unwrap()).map(|seen| seen.addresses.len()),
            Some(ADDRESSES)
        );
        crowded.add_answers([address("c.test.", 200)]);
        assert_eq!(found(&crowded.to_vec().unwrap()), None);
        reply.add_answers([alias("c.test.", "a.test.", 30)]);
        assert_eq!(found(&reply.to_vec().unwrap()), None);
    }

    proptest! {
        #[test]
        fn nothing_that_comes_does_any_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = answer(&bytes, &OPEN, true);
            let asked = query("example.org.", RecordType::A);
            let _ = is_answer(&bytes, &asked);
            let _ = failure(&bytes);
            let _ = (asked_name(&bytes), refusal(&bytes), found(&bytes));
            if bytes.len() > 12 {
                let _ = is_answer(&asked, &bytes);
            }
        }
    }
}
