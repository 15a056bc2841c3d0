//! Ranges of addresses: a prefix and its length, of either family. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `172.18.0.0/16`: an address whose bits behind the prefix are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    base: IpAddr,
    prefix: u8,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubnetError {
    #[error("invalid CIDR address: {text}")]
    Syntax { text: String },
    #[error("invalid subnet {text}: it should be {meant}")]
    HostBits { text: String, meant: Subnet },
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// How many bits an address of the family has.
fn width(ip: IpAddr) -> u32 {
    match ip {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn address(bits: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

impl Subnet {
    /// The one that `ip` is in.
    pub fn around(ip: IpAddr, prefix: u8) -> Option<Subnet> {
        let spare = width(ip).checked_sub(prefix.into())?;
        let base = bits(ip).checked_shr(spare).unwrap_or(0);
        let base = address(base.checked_shl(spare).unwrap_or(0), ip);
        Some(Subnet { base, prefix })
    }

    pub fn base(self) -> IpAddr {
        self.base
    }

    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The bits that all its addresses have in common.
    pub fn mask(self) -> IpAddr {
        let width = width(self.base);
        let behind = width - u32::from(self.prefix);
        let all = u128::MAX >> (128 - width);
        address(all & all.checked_shl(behind).unwrap_or(0), self.base)
    }

    pub fn is_ipv4(self) -> bool {
        self.base.is_ipv4()
    }

    pub fn contains(self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.is_ipv4() && Subnet::around(ip, self.prefix) == Some(self)
    }

    pub fn overlaps(self, other: Subnet) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }

    pub fn is_within(self, other: Subnet) -> bool {
        self.prefix >= other.prefix && other.contains(self.base)
    }

    /// How many addresses there are behind the first one.
    fn last_offset(self) -> u128 {
        let spare = width(self.base) - u32::from(self.prefix);
        1u128
            .checked_shl(spare)
            .map_or(u128::MAX, |count| count - 1)
    }

    /// The `offset`-th address; `None` beyond the last.
    pub fn at(self, offset: u128) -> Option<IpAddr> {
        (offset <= self.last_offset()).then(|| address(bits(self.base) + offset, self.base))
    }

    pub fn offset(self, ip: IpAddr) -> Option<u128> {
        self.contains(ip).then(|| bits(ip) - bits(self.base))
    }

    /// Whether a container may have this address of it: neither the network's own nor, of IPv4, the broadcast one.
    pub fn is_usable(self, ip: IpAddr) -> bool {
        let last = self.last_offset();
        match self.offset(ip) {
            // RFC 3021: of two addresses both are usable.
            Some(_) if last < 2 => true,
            Some(0) => false,
            Some(offset) => !(self.is_ipv4() && offset == last),
            None => false,
        }
    }

    /// The first address from `start` on, around the range and back to its beginning, that may be given away.
    pub fn free_address(
        self,
        range: Subnet,
        start: Option<IpAddr>,
        is_taken: impl Fn(IpAddr) -> bool,
    ) -> Option<IpAddr> {
        let last = range.last_offset();
        let begin = start.and_then(|ip| range.offset(ip)).unwrap_or(0);
        // More than this many are never taken at once.
        let most = last.min(1 << 20);
        (0..=most)
            .map(|step| match begin.checked_add(step) {
                Some(offset) if offset <= last => offset,
                _ => step - (last - begin) - 1,
            })
            .filter_map(|offset| range.at(offset))
            .find(|ip| self.is_usable(*ip) && !is_taken(*ip))
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Subnet, SubnetError> {
        let syntax = || SubnetError::Syntax {
            text: text.to_owned(),
        };
        let (ip, prefix) = text.split_once('/').ok_or_else(syntax)?;
        let ip: IpAddr = ip.parse().map_err(|_| syntax())?;
        let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|_| digits);
        let meant = prefix.and_then(|prefix| Subnet::around(ip, prefix));
        match meant.ok_or_else(syntax)? {
            meant if meant.base != ip => Err(SubnetError::HostBits {
                text: text.to_owned(),
                meant,
            }),
            meant => Ok(meant),
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl TryFrom<String> for Subnet {
    type Error = SubnetError;

    fn try_from(text: String) -> Result<Subnet, SubnetError> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> String {
        subnet.to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_knows_what_is_in_it() {
        let net = subnet("172.18.0.0/16");
        assert!(net.contains(ip("172.18.255.1")) && !net.contains(ip("172.19.0.1")));
        assert!(net.overlaps(subnet("172.16.0.0/12")) && !net.overlaps(subnet("10.0.0.0/8")));
        assert!(subnet("172.18.5.0/24").is_within(net) && !net.is_within(subnet("172.18.5.0/24")));
        assert!(!net.overlaps(subnet("::/0")));
        assert_eq!(subnet("0.0.0.0/0").to_string(), "0.0.0.0/0");
        for usable in ["172.18.0.1", "172.18.255.254"] {
            assert!(net.is_usable(ip(usable)));
        }
        for not in ["172.18.0.0", "172.18.255.255", "172.19.0.1"] {
            assert!(!net.is_usable(ip(not)));
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "x/8",
            "::/129",
        ] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
        let error = "10.1.2.3/16".parse::<Subnet>().unwrap_err();
        let words = "invalid subnet 10.1.2.3/16: it should be 10.1.0.0/16";
        assert_eq!(error.to_string(), words);
    }

    #[test]
    fn free_addresses_are_found_around_the_range() {
        let net = subnet("10.9.0.0/29");
        let taken = [ip("10.9.0.1"), ip("10.9.0.2")];
        let is_taken = |ip: IpAddr| taken.contains(&ip);
        let found = |start| net.free_address(net, start, is_taken);
        assert_eq!(found(None), Some(ip("10.9.0.3")));
        assert_eq!(found(Some(ip("10.9.0.6"))), Some(ip("10.9.0.6")));
        assert_eq!(found(Some(ip("10.9.0.7"))), Some(ip("10.9.0.3")));
        assert_eq!(net.free_address(net, None, |_| true), None);
        let six = subnet("fd00::/64");
        let first = six.free_address(six, None, |_| false);
        assert_eq!(first, Some(ip("fd00::1")));
    }
}
