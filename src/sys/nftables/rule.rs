//! What a rule of nf_tables is made of, as the kernel's messages have it (linux/netfilter/nf_tables.h). Knows no table.

use std::net::IpAddr;

use super::super::netlink::Message;

const NAME: u16 = 1;
const DATA: u16 = 2;
const VALUE: u16 = 1;
const VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
const LIST_ELEMENT: u16 = 1;

/// All expressions hand their values on in one register of 16 bytes, and what does not fit in there in the next.
const REGISTER: u32 = 1;
const NEXT_REGISTER: u32 = 2;
const VERDICT_REGISTER: u32 = 0;

/// The first of the registers of four bytes, which lie in the same memory.
const SHORT_REGISTER: u32 = 8;

/// `NFT_CT_MARK`.
const CONNECTION_MARK: u32 = 3;

// What becomes of a packet that chains hand to each other.
const JUMP: i32 = -3;
const GOTO: i32 = -4;
const RETURN: i32 = -5;

/// What a packet is looked at for, or what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expression<'a> {
    /// A fact about the packet goes into the register.
    Load(Fact),
    /// Another goes behind the first so many bytes.
    LoadBehind(u8, Fact),
    /// The packet is another rule's unless the register begins so; numbers in the host's order, as the kernel keeps them.
    Is(Value),
    /// The same, if it does.
    IsNot(Value),
    /// These bits of the register stay.
    Mask(Value),
    /// What a map of this name has for the register goes into it; the packet is another rule's where it has nothing.
    LookUp(&'a str),
    /// The packet is another rule's unless a set of this name has what is in the register.
    IsIn(&'a str),
    Mark(u32),
    /// All that belongs to the packet's connection finds it (`Fact::ConnectionMark`).
    MarkConnection(u32),
    /// The packet goes to the IPv4 address in the register.
    SendTo,
    SendToPort([u8; 4], u16),
    /// What leaves appears as the interface's own.
    Masquerade,
    /// The packet is another rule's if there have been more than so many a second, and so many at once.
    Limit(u32, u32),
    /// It is reported to a group (nfnetlink_log).
    Log(u16),
    Accept,
    Drop,
    /// To a chain, and back.
    Jump(&'a str),
    /// To a chain, and not back.
    Goto(&'a str),
    Return,
    /// The sender hears of it: the port can't be reached.
    Reject,
    /// Or its TCP connection ends.
    Reset,
    /// Or it hears that this is forbidden.
    Prohibit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// `NFPROTO_IPV4` or `NFPROTO_IPV6`, one byte.
    Family,
    /// `ETH_P_…` as the link says it, two bytes in the network's order.
    Protocol,
    /// `IPPROTO_…`, one byte.
    Transport,
    Mark,
    /// `PACKET_…`, one byte.
    Delivery,
    /// Of the interface it came in by, 16 bytes filled up.
    InterfaceIn,
    InterfaceOut,
    /// `IP_CT_…` as bits, four bytes.
    ConnectionState,
    /// `IPS_…`, four bytes.
    ConnectionStatus,
    /// Four bytes; 0 where none was set.
    ConnectionMark,
    /// 0 where the packet goes as the first one did, 1 for the other way; one byte.
    ConnectionDirection,
    /// `IPPROTO_…` of its connection, one byte: of one that an ICMP error is about, too.
    ConnectionProtocol,
    /// The IPv4 address that its connection was opened to.
    OriginalDestination,
    /// Who answers it: the address behind all translation, and the port of TCP and UDP. The same in both directions.
    PeerIpv4,
    PeerIpv6,
    PeerPort,
    /// Whether a transparent socket waits for it, one byte.
    IsTransparent,
    /// From a header, and where in it: so many bytes behind so many.
    Bytes(Header, u8, u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    Link = 0,
    Network = 1,
    Transport = 2,
}

impl Fact {
    pub const LINK_TARGET: Fact = Fact::Bytes(Header::Link, 0, 6);
    /// `ETH_P_…`, in the network's order.
    pub const LINK_TYPE: Fact = Fact::Bytes(Header::Link, 12, 2);
    /// Of IPv4, of an ARP packet.
    pub const ARP_SENDER: Fact = Fact::Bytes(Header::Network, 14, 4);
    /// Of an IPv4 packet, in its lower half.
    pub const HEADER_LENGTH: Fact = Fact::Bytes(Header::Network, 0, 1);
    pub const SOURCE_IPV4: Fact = Fact::Bytes(Header::Network, 12, 4);
    pub const TARGET_IPV4: Fact = Fact::Bytes(Header::Network, 16, 4);
    pub const SOURCE_IPV6: Fact = Fact::Bytes(Header::Network, 8, 16);
    pub const TARGET_IPV6: Fact = Fact::Bytes(Header::Network, 24, 16);
    /// Of TCP and UDP alike.
    pub const PORT: Fact = Fact::Bytes(Header::Transport, 2, 2);
    pub const ICMP_TYPE: Fact = Fact::Bytes(Header::Transport, 0, 1);
}

/// What is in a register: up to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    bytes: [u8; 16],
    length: usize,
}

impl Value {
    /// Of an interface, filled up as the kernel has it.
    pub fn interface(name: &str) -> Value {
        let mut value = Value::from(name.as_bytes());
        value.length = value.bytes.len();
        value
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// What is beyond the sixteenth byte has no room.
impl From<&[u8]> for Value {
    fn from(all: &[u8]) -> Value {
        let mut bytes = [0; 16];
        let length = all.len().min(bytes.len());
        bytes[..length].copy_from_slice(&all[..length]);
        Value { bytes, length }
    }
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(all: [u8; N]) -> Value {
        const { assert!(N <= 16, "a register has 16 bytes") }
        Value::from(&all[..])
    }
}

impl From<IpAddr> for Value {
    fn from(ip: IpAddr) -> Value {
        match ip {
            IpAddr::V4(ip) => Value::from(ip.octets()),
            IpAddr::V6(ip) => Value::from(ip.octets()),
        }
    }
}

/// In the host's order.
impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value::from(number.to_ne_bytes())
    }
}

impl<'a> Expression<'a> {
    pub fn is(value: impl Into<Value>) -> Expression<'a> {
        Expression::Is(value.into())
    }

    pub fn is_not(value: impl Into<Value>) -> Expression<'a> {
        Expression::IsNot(value.into())
    }

    pub fn mask(value: impl Into<Value>) -> Expression<'a> {
        Expression::Mask(value.into())
    }

    fn name(self) -> &'static str {
        match self {
            Expression::Load(fact) | Expression::LoadBehind(_, fact) => fact.expression(),
            Expression::Is(_) | Expression::IsNot(_) => "cmp",
            Expression::Mask(_) => "bitwise",
            Expression::LookUp(_) | Expression::IsIn(_) => "lookup",
            Expression::Mark(_) => "meta",
            Expression::MarkConnection(_) => "ct",
            Expression::SendTo | Expression::SendToPort(..) => "nat",
            Expression::Masquerade => "masq",
            Expression::Limit(..) => "limit",
            Expression::Log(_) => "log",
            Expression::Accept
            | Expression::Drop
            | Expression::Jump(_)
            | Expression::Goto(_)
            | Expression::Return => "immediate",
            Expression::Reject | Expression::Reset | Expression::Prohibit => "reject",
        }
    }

    /// As a member of a list of expressions.
    pub(super) fn write(self, list: &mut Message) {
        // What is set comes out of registers too.
        match self {
            Expression::Mark(mark) | Expression::MarkConnection(mark) => {
                hold(list, REGISTER, &mark.to_ne_bytes())
            }
            Expression::SendToPort(address, port) => {
                hold(list, REGISTER, &address);
                hold(list, NEXT_REGISTER, &port.to_be_bytes());
            }
            _ => {}
        }
        list.nest(LIST_ELEMENT, |one| {
            one.text(NAME, self.name());
            one.nest(DATA, |data| self.fill(data));
        });
    }

    fn fill(self, data: &mut Message) {
        match self {
            Expression::Load(fact) => fact.fill(data, REGISTER),
            Expression::LoadBehind(length, fact) => {
                fact.fill(data, SHORT_REGISTER + u32::from(length.div_ceil(4)));
            }
            Expression::Is(value) => compare(data, 0, &value),
            Expression::IsNot(value) => compare(data, 1, &value),
            Expression::Mask(mask) => {
                data.network_number(1, REGISTER);
                data.network_number(2, REGISTER);
                data.network_number(3, mask.length as u32);
                data.nest(4, |value| value.attribute(VALUE, mask.bytes()));
                let nothing = &[0; 16][..mask.length];
                data.nest(5, |value| value.attribute(VALUE, nothing));
            }
            Expression::LookUp(map) => {
                data.text(1, map);
                data.network_number(2, REGISTER);
                data.network_number(3, REGISTER);
            }
            Expression::IsIn(set) => {
                data.text(1, set);
                data.network_number(2, REGISTER);
            }
            Expression::Mark(_) => {
                const META_MARK: u32 = 3;
                data.network_number(2, META_MARK);
                data.network_number(3, REGISTER);
            }
            Expression::MarkConnection(_) => {
                data.network_number(2, CONNECTION_MARK);
                data.network_number(4, REGISTER);
            }
            Expression::SendTo => send_to(data),
            Expression::SendToPort(..) => {
                send_to(data);
                data.network_number(5, NEXT_REGISTER);
            }
            Expression::Masquerade => {}
            Expression::Limit(rate, burst) => {
                const SECOND: u64 = 1;
                data.attribute(1, &u64::from(rate).to_be_bytes());
                data.attribute(2, &SECOND.to_be_bytes());
                data.network_number(3, burst);
            }
            Expression::Log(group) => data.attribute(1, &group.to_be_bytes()),
            Expression::Accept => verdict(data, libc::NF_ACCEPT, None),
            Expression::Drop => verdict(data, libc::NF_DROP, None),
            Expression::Jump(chain) => verdict(data, JUMP, Some(chain)),
            Expression::Goto(chain) => verdict(data, GOTO, Some(chain)),
            Expression::Return => verdict(data, RETURN, None),
            Expression::Reject => {
                const ICMP_UNREACHABLE: u32 = 0;
                const PORT: u8 = 3;
                data.network_number(1, ICMP_UNREACHABLE);
                data.attribute(2, &[PORT]);
            }
            Expression::Reset => {
                const TCP_RESET: u32 = 1;
                data.network_number(1, TCP_RESET);
            }
            Expression::Prohibit => {
                const OF_EITHER_FAMILY: u32 = 2;
                const PROHIBITED: u8 = 3;
                data.network_number(1, OF_EITHER_FAMILY);
                data.attribute(2, &[PROHIBITED]);
            }
        }
    }
}

impl Fact {
    fn expression(self) -> &'static str {
        match self {
            Fact::Family
            | Fact::Protocol
            | Fact::Transport
            | Fact::Mark
            | Fact::Delivery
            | Fact::InterfaceIn
            | Fact::InterfaceOut => "meta",
            Fact::ConnectionState
            | Fact::ConnectionStatus
            | Fact::ConnectionMark
            | Fact::ConnectionDirection
            | Fact::ConnectionProtocol
            | Fact::OriginalDestination
            | Fact::PeerIpv4
            | Fact::PeerIpv6
            | Fact::PeerPort => "ct",
            Fact::IsTransparent => "socket",
            Fact::Bytes(..) => "payload",
        }
    }

    fn fill(self, data: &mut Message, register: u32) {
        // The attribute of its key and the key, and the attribute that says where it goes.
        let (attribute, key, target) = match self {
            Fact::Family => (2, 15, 1),
            Fact::Protocol => (2, 1, 1),
            Fact::Transport => (2, 16, 1),
            Fact::Mark => (2, 3, 1),
            Fact::Delivery => (2, 19, 1),
            Fact::InterfaceIn => (2, 6, 1),
            Fact::InterfaceOut => (2, 7, 1),
            Fact::ConnectionState => (2, 0, 1),
            Fact::ConnectionStatus => (2, 2, 1),
            Fact::ConnectionMark => (2, CONNECTION_MARK, 1),
            Fact::ConnectionDirection => (2, 1, 1),
            Fact::ConnectionProtocol => (2, 10, 1),
            Fact::OriginalDestination => {
                const ORIGINAL: u8 = 0;
                data.attribute(3, &[ORIGINAL]);
                (2, 20, 1)
            }
            Fact::PeerIpv4 | Fact::PeerIpv6 | Fact::PeerPort => {
                const REPLY: u8 = 1;
                data.attribute(3, &[REPLY]);
                let key = match self {
                    Fact::PeerIpv4 => 19,
                    Fact::PeerIpv6 => 21,
                    _ => 11,
                };
                (2, key, 1)
            }
            Fact::IsTransparent => (1, 0, 2),
            Fact::Bytes(header, offset, length) => {
                data.network_number(3, offset.into());
                data.network_number(4, length.into());
                (2, header as u32, 1)
            }
        };
        data.network_number(attribute, key);
        data.network_number(target, register);
    }
}

/// A value of its own goes into a register.
fn hold(list: &mut Message, register: u32, bytes: &[u8]) {
    list.nest(LIST_ELEMENT, |one| {
        one.text(NAME, "immediate");
        one.nest(DATA, |data| {
            data.network_number(1, register);
            data.nest(2, |value| value.attribute(VALUE, bytes));
        });
    });
}

fn send_to(data: &mut Message) {
    const DESTINATION: u32 = 1;
    data.network_number(1, DESTINATION);
    data.network_number(2, libc::NFPROTO_IPV4 as u32);
    data.network_number(3, REGISTER);
}

fn compare(data: &mut Message, operation: u32, value: &Value) {
    data.network_number(1, REGISTER);
    data.network_number(2, operation);
    data.nest(3, |held| held.attribute(VALUE, value.bytes()));
}

fn verdict(data: &mut Message, code: i32, chain: Option<&str>) {
    data.network_number(1, VERDICT_REGISTER);
    data.nest(2, |held| {
        held.nest(VERDICT, |verdict| {
            verdict.network_number(VERDICT_CODE, code as u32);
            if let Some(chain) = chain {
                verdict.text(VERDICT_CHAIN, chain);
            }
        });
    });
}
