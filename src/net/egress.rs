//! What a container may reach outside of its networks (`--egress`): parsed, shown, and asked about names. Pure; the rules that
//! enforce it are `guard`'s.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::hosts::HOST_NAMES;
use super::subnet::Subnet;

/// A list of destinations; without one, nothing is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Egress {
    pub allowed: Vec<Destination>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    pub target: Target,
    /// None: all of them, of TCP and UDP.
    pub port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The host, by one of its names.
    Host(&'static str),
    Range(Subnet),
    /// In small letters, without a final dot.
    Name(String),
    /// `*.example.org`: every name below that one.
    Below(String),
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    #[error(
        "invalid destination {text:?}: it should be HOST, ADDRESS, SUBNET or *.DOMAIN, and :PORT behind it for one port alone"
    )]
    Destination { text: String },
    #[error("`{0}` is no destination among others")]
    Word(&'static str),
    #[error(
        "a list of {length} bytes is too long: the most is {LONGEST}, about 3,000 subnets with a port each"
    )]
    Long { length: usize },
}

/// It is told in one message (`sys::socket::MESSAGE_MAX`), with whose it is.
const LONGEST: usize = 60_000;

const NONE: &str = "none";
const ANY: &str = "any";

/// As a flag says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nothing limits it.
    Any,
    Only(Egress),
}

impl Reach {
    pub fn list(self) -> Option<Egress> {
        match self {
            Reach::Any => None,
            Reach::Only(egress) => Some(egress),
        }
    }
}

impl FromStr for Reach {
    type Err = EgressError;

    fn from_str(text: &str) -> Result<Reach, EgressError> {
        match text {
            ANY => Ok(Reach::Any),
            list => list.parse().map(Reach::Only),
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reach::Any => f.write_str(ANY),
            Reach::Only(egress) => egress.fmt(f),
        }
    }
}

impl Egress {
    /// Names as they are written in zones: one with an escape in it has a dot that parts nothing.
    pub fn allows_name(&self, name: &str) -> bool {
        !name.contains('\\') && self.ports_of(name).next().is_some()
    }

    /// Which ports of its addresses; `None` is all.
    pub fn ports_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Option<u16>> + 'a {
        let fits = move |target: &Target| match target {
            Target::Name(known) => known == name,
            Target::Below(domain) => name
                .strip_suffix(domain.as_str())
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|rest| !rest.is_empty()),
            Target::Host(_) | Target::Range(_) => false,
        };
        let fitting = self.allowed.iter().filter(move |d| fits(&d.target));
        fitting.map(|destination| destination.port)
    }
}

impl FromStr for Egress {
    type Err = EgressError;

    fn from_str(text: &str) -> Result<Egress, EgressError> {
        let length = text.len();
        if length > LONGEST {
            return Err(EgressError::Long { length });
        }
        if text.split(',').any(|word| word == ANY) {
            return Err(EgressError::Word(ANY));
        }
        Egress::read(text)
    }
}

impl Egress {
    /// Of any length: a record has what was allowed when it was made.
    fn read(text: &str) -> Result<Egress, EgressError> {
        if text == NONE {
            return Ok(Egress::default());
        }
        let mut allowed: Vec<Destination> = Vec::new();
        let mut known = HashSet::new();
        for word in text.split(',') {
            if word == NONE {
                return Err(EgressError::Word(NONE));
            }
            let destination: Destination = word.parse()?;
            if known.insert(destination.clone()) {
                allowed.push(destination);
            }
        }
        Ok(Egress { allowed })
    }
}

impl FromStr for Destination {
    type Err = EgressError;

    fn from_str(text: &str) -> Result<Destination, EgressError> {
        let wrong = || EgressError::Destination {
            text: text.to_owned(),
        };
        if let Some(range) = range(text) {
            return Ok(Destination {
                target: Target::Range(range),
                port: None,
            });
        }
        let (target, port) = match text.rsplit_once(':') {
            Some((target, port)) => (target, Some(port)),
            None => (text, None),
        };
        let port = match port {
            None => None,
            Some(digits) => {
                let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
                let port = digits.parse().ok().filter(|port| plain && *port != 0);
                Some(port.ok_or_else(wrong)?)
            }
        };
        let bare = target
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let target = match bare {
            Some(bare) => range(bare).map(Target::Range),
            // Without brackets the port would be the address's last part.
            None if target.contains(':') => None,
            None => range(target).map(Target::Range).or_else(|| named(target)),
        };
        let target = target.ok_or_else(wrong)?;
        Ok(Destination { target, port })
    }
}

/// An address alone, or a subnet.
fn range(text: &str) -> Option<Subnet> {
    match text.parse::<IpAddr>() {
        Ok(ip) => Subnet::around(ip, if ip.is_ipv4() { 32 } else { 128 }),
        Err(_) => text.parse().ok(),
    }
}

fn named(text: &str) -> Option<Target> {
    let text = text.to_ascii_lowercase();
    let text = text.strip_suffix('.').unwrap_or(&text);
    if let Some(host) = HOST_NAMES.into_iter().find(|name| *name == text) {
        return Some(Target::Host(host));
    }
    match text.strip_prefix("*.") {
        Some(domain) => is_name(domain).then(|| Target::Below(domain.to_owned())),
        None => is_name(text).then(|| Target::Name(text.to_owned())),
    }
}

/// What may be asked of a name server; something that looks like an address but is none is a slip.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(byte)
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253
        && text.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.target, self.port) {
            (Target::Host(name), _) => f.write_str(name)?,
            (Target::Name(name), _) => f.write_str(name)?,
            (Target::Below(domain), _) => write!(f, "*.{domain}")?,
            (Target::Range(range), port) => {
                let whole = range.prefix() == if range.is_ipv4() { 32 } else { 128 };
                let shown = match whole {
                    true => range.base().to_string(),
                    false => range.to_string(),
                };
                match port.is_some() && !range.is_ipv4() {
                    true => write!(f, "[{shown}]")?,
                    false => f.write_str(&shown)?,
                }
            }
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.allowed.is_empty() {
            return f.write_str(NONE);
        }
        for (number, destination) in self.allowed.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{destination}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Egress {
    type Error = EgressError;

    fn try_from(text: String) -> Result<Egress, EgressError> {
        Egress::read(&text)
    }
}

impl From<Egress> for String {
    fn from(egress: Egress) -> String {
        egress.to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_is_read_and_shown() {
        for (text, shown) in [
            ("none", "none"),
            ("Example.ORG.", "example.org"),
            (
                "example.org:443,*.example.net:80",
                "example.org:443,*.example.net:80",
            ),
            ("192.0.2.1,192.0.2.0/24:53", "192.0.2.1,192.0.2.0/24:53"),
            ("192.0.2.1/32:53", "192.0.2.1:53"),
            (
                "2001:db8::/32,[2001:db8::1]:443",
                "2001:db8::/32,[2001:db8::1]:443",
            ),
            ("host.docker.internal:5432", "host.docker.internal:5432"),
            ("a.test,a.test", "a.test"),
        ] {
            assert_eq!(text.parse::<Egress>().unwrap().to_string(), shown);
        }
        for wrong in [
            "",
            ",",
            "none,a.test",
            "any,a.test",
            "any",
            "*",
            "*.",
            "a..b",
            "a.test:",
            "a.test:0",
            "a.test:70000",
            "192.0.2.300",
            "192.0.2.1/24",
            "a b",
            "[192.0.2.1",
            "2001:db8::1:443x",
            "*.*.test",
            "a.test:+8",
        ] {
            assert!(wrong.parse::<Egress>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_word_lifts_the_limit() {
        for (text, list) in [("any", None), ("none", Some(Egress::default()))] {
            let reach: Reach = text.parse().unwrap();
            assert_eq!(reach.to_string(), text);
            assert_eq!(reach.list(), list);
        }
        assert!("".parse::<Reach>().is_err());
    }

    #[test]
    fn a_list_has_an_end() {
        let most = vec!["192.0.2.1:443"; LONGEST / 14].join(",");
        assert_eq!(most.parse::<Egress>().unwrap().allowed.len(), 1);
        let long = format!("{most},192.0.2.128/25:443,192.0.2.2:443");
        let length = long.len();
        assert_eq!(long.parse::<Egress>(), Err(EgressError::Long { length }));
        assert_eq!(Egress::try_from(long).unwrap().allowed.len(), 3);
    }

    #[test]
    fn a_name_is_allowed_by_itself_or_by_its_domain() {
        let egress: Egress = "one.test:443,*.two.test,*.two.test:80".parse().unwrap();
        let ports = |name| egress.ports_of(name).collect::<Vec<_>>();
        assert_eq!(ports("one.test"), [Some(443)]);
        assert_eq!(ports("a.two.test"), [None, Some(80)]);
        assert_eq!(ports("a.b.two.test").len(), 2);
        for foreign in [
            "two.test",
            "xone.test",
            "xtwo.test",
            "a.one.test",
            "test",
            "",
        ] {
            assert!(!egress.allows_name(foreign), "{foreign}");
        }
        assert!(!Egress::default().allows_name("one.test"));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(text in "(\\*\\.|\\[)?[a-z0-9.:/-]{0,20}(\\])?(:[0-9]{1,5})?") {
            if let Ok(egress) = text.parse::<Egress>() {
                prop_assert_eq!(egress.to_string().parse::<Egress>().unwrap(), egress);
            }
        }
    }
}
