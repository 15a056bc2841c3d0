//! What a rule of nf_tables is made of, as the kernel's messages have it (linux/netfilter/nf_tables.h). Knows no table.

use super::super::netlink::Message;

const NAME: u16 = 1;
const DATA: u16 = 2;
const VALUE: u16 = 1;
const VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;

/// All expressions hand their values on in one register.
const REGISTER: u32 = 1;
const VERDICT_REGISTER: u32 = 0;

/// What a packet is looked at for, or what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expression<'a> {
    /// A fact about the packet goes into the register.
    Load(Fact),
    /// The packet is another rule's unless the register begins so; numbers in the host's order, as the kernel keeps them.
    Is(&'a [u8]),
    /// The same, if it does.
    IsNot(&'a [u8]),
    /// These bits of the register stay.
    Mask(u32),
    /// What a map of this name has for the register goes into it; the packet is another rule's where it has nothing.
    LookUp(&'a str),
    Mark(u32),
    /// The packet goes to the IPv4 address in the register.
    SendTo,
    /// What leaves appears as the interface's own.
    Masquerade,
    Accept,
    Drop,
    /// The sender hears of it: the port can't be reached.
    Reject,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// `NFPROTO_IPV4` or `NFPROTO_IPV6`, one byte.
    Family,
    /// Of the interface it came in by, 16 bytes filled up.
    InterfaceIn,
    InterfaceOut,
    /// Of an IPv4 packet.
    Destination,
    /// `IP_CT_…` as bits, four bytes.
    ConnectionState,
    /// `IPS_…`, four bytes.
    ConnectionStatus,
    /// Whether a transparent socket waits for it, one byte.
    IsTransparent,
}

impl Expression<'_> {
    fn name(self) -> &'static str {
        match self {
            Expression::Load(fact) => fact.expression(),
            Expression::Is(_) | Expression::IsNot(_) => "cmp",
            Expression::Mask(_) => "bitwise",
            Expression::LookUp(_) => "lookup",
            Expression::Mark(_) => "meta",
            Expression::SendTo => "nat",
            Expression::Masquerade => "masq",
            Expression::Accept | Expression::Drop => "immediate",
            Expression::Reject => "reject",
        }
    }

    /// As a member of a list of expressions.
    pub(super) fn write(self, list: &mut Message) {
        const LIST_ELEMENT: u16 = 1;
        // What is set comes out of the register too.
        if let Expression::Mark(mark) = self {
            list.nest(LIST_ELEMENT, |one| {
                one.text(NAME, "immediate");
                one.nest(DATA, |data| {
                    data.network_number(1, REGISTER);
                    data.nest(2, |value| value.attribute(VALUE, &mark.to_ne_bytes()));
                });
            });
        }
        list.nest(LIST_ELEMENT, |one| {
            one.text(NAME, self.name());
            one.nest(DATA, |data| self.fill(data));
        });
    }

    fn fill(self, data: &mut Message) {
        match self {
            Expression::Load(fact) => fact.fill(data),
            Expression::Is(value) => compare(data, 0, value),
            Expression::IsNot(value) => compare(data, 1, value),
            Expression::Mask(mask) => {
                data.network_number(1, REGISTER);
                data.network_number(2, REGISTER);
                data.network_number(3, 4);
                data.nest(4, |value| value.attribute(VALUE, &mask.to_ne_bytes()));
                data.nest(5, |value| value.attribute(VALUE, &[0; 4]));
            }
            Expression::LookUp(map) => {
                data.text(1, map);
                data.network_number(2, REGISTER);
                data.network_number(3, REGISTER);
            }
            Expression::Mark(_) => {
                const META_MARK: u32 = 3;
                data.network_number(2, META_MARK);
                data.network_number(3, REGISTER);
            }
            Expression::SendTo => {
                const DESTINATION: u32 = 1;
                data.network_number(1, DESTINATION);
                data.network_number(2, libc::NFPROTO_IPV4 as u32);
                data.network_number(3, REGISTER);
            }
            Expression::Masquerade => {}
            Expression::Accept => verdict(data, libc::NF_ACCEPT),
            Expression::Drop => verdict(data, libc::NF_DROP),
            Expression::Reject => {
                const ICMP_UNREACHABLE: u32 = 0;
                const PORT: u8 = 3;
                data.network_number(1, ICMP_UNREACHABLE);
                data.attribute(2, &[PORT]);
            }
        }
    }
}

impl Fact {
    fn expression(self) -> &'static str {
        match self {
            Fact::Family | Fact::InterfaceIn | Fact::InterfaceOut => "meta",
            Fact::Destination => "payload",
            Fact::ConnectionState | Fact::ConnectionStatus => "ct",
            Fact::IsTransparent => "socket",
        }
    }

    fn fill(self, data: &mut Message) {
        // Its key, and the attribute that says where it goes.
        let (key, register) = match self {
            Fact::Family => ((2, 15), 1),
            Fact::InterfaceIn => ((2, 6), 1),
            Fact::InterfaceOut => ((2, 7), 1),
            Fact::ConnectionState => ((2, 0), 1),
            Fact::ConnectionStatus => ((2, 2), 1),
            Fact::IsTransparent => ((1, 0), 2),
            Fact::Destination => {
                const NETWORK_HEADER: u32 = 1;
                data.network_number(3, 16);
                data.network_number(4, 4);
                ((2, NETWORK_HEADER), 1)
            }
        };
        data.network_number(key.0, key.1);
        data.network_number(register, REGISTER);
    }
}

fn compare(data: &mut Message, operation: u32, value: &[u8]) {
    data.network_number(1, REGISTER);
    data.network_number(2, operation);
    data.nest(3, |held| held.attribute(VALUE, value));
}

fn verdict(data: &mut Message, code: i32) {
    data.network_number(1, VERDICT_REGISTER);
    data.nest(2, |held| {
        held.nest(VERDICT, |verdict| {
            verdict.network_number(VERDICT_CODE, code as u32);
        });
    });
}
