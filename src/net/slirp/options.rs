//! `--network slirp4netns:OPTIONS`, in podman's words. Runs nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::super::record::is_name;
use super::super::subnet::Subnet;

/// What the container's network is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SlirpOptions {
    pub allow_host_loopback: bool,
    pub mtu: u32,
    /// None: 10.0.2.0/24.
    pub cidr: Option<Subnet>,
    pub enable_ipv6: bool,
    /// An address of the host's, or an interface.
    pub outbound_addr: Option<String>,
    pub outbound_addr6: Option<String>,
}

impl Default for SlirpOptions {
    fn default() -> SlirpOptions {
        SlirpOptions {
            allow_host_loopback: false,
            mtu: 65520,
            cidr: None,
            enable_ipv6: true,
            outbound_addr: None,
            outbound_addr6: None,
        }
    }
}

/// In podman's words where it has any.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlirpOptionError {
    #[error("unknown option for slirp4netns: {word:?}")]
    Unknown { word: String },
    #[error("invalid value of {key} for slirp4netns: {value:?}")]
    Invalid { key: String, value: String },
    #[error(
        "port_handler {value} of slirp4netns is not supported: bryo has slirp4netns's own, which keeps the client's address"
    )]
    Handler { value: String },
}

/// Where the container, and the name server, are in the range.
const CONTAINER: u128 = 100;
const SERVER: u128 = 3;

impl SlirpOptions {
    fn at(&self, offset: u128) -> Ipv4Addr {
        let last = u8::try_from(offset).unwrap_or(u8::MAX);
        match self.cidr.and_then(|cidr| cidr.at(offset)) {
            Some(IpAddr::V4(ip)) => ip,
            _ => Ipv4Addr::new(10, 0, 2, last),
        }
    }

    /// The container's.
    pub fn address(&self) -> Ipv4Addr {
        self.at(CONTAINER)
    }

    /// It asks the servers that the host has.
    pub fn server(&self) -> Ipv4Addr {
        self.at(SERVER)
    }
}

impl FromStr for SlirpOptions {
    type Err = SlirpOptionError;

    /// `mtu=1400,cidr=10.7.0.0/24`.
    fn from_str(text: &str) -> Result<SlirpOptions, SlirpOptionError> {
        let mut options = SlirpOptions::default();
        for word in text.split(',') {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let invalid = || SlirpOptionError::Invalid {
                key: key.to_owned(),
                value: value.to_owned(),
            };
            let flag = || value.parse::<bool>().map_err(|_| invalid());
            match key {
                "allow_host_loopback" => options.allow_host_loopback = flag()?,
                "enable_ipv6" => options.enable_ipv6 = flag()?,
                "mtu" => {
                    let mtu = value.parse().ok();
                    let mtu = mtu.filter(|mtu| (68..=65521).contains(mtu));
                    options.mtu = mtu.ok_or_else(invalid)?;
                }
                "cidr" => {
                    let cidr: Subnet = value.parse().map_err(|_| invalid())?;
                    // slirp4netns wants room for its own addresses and the container's.
                    let fits = cidr.is_ipv4() && cidr.prefix() <= 25;
                    options.cidr = Some(cidr).filter(|_| fits);
                    options.cidr.ok_or_else(invalid)?;
                }
                "outbound_addr" if is_outbound::<Ipv4Addr>(value) => {
                    options.outbound_addr = Some(value.to_owned());
                }
                "outbound_addr6" if is_outbound::<Ipv6Addr>(value) => {
                    options.outbound_addr6 = Some(value.to_owned());
                }
                "outbound_addr" | "outbound_addr6" => return Err(invalid()),
                "port_handler" if value == "slirp4netns" => {}
                "port_handler" => {
                    let value = value.to_owned();
                    return Err(SlirpOptionError::Handler { value });
                }
                _ => {
                    let word = word.to_owned();
                    return Err(SlirpOptionError::Unknown { word });
                }
            }
        }
        Ok(options)
    }
}

/// An address of the family, or an interface's name.
fn is_outbound<T: FromStr>(value: &str) -> bool {
    let is_interface = value.len() <= 15 && is_name(value) && value.parse::<IpAddr>().is_err();
    value.parse::<T>().is_ok() || is_interface
}

impl fmt::Display for SlirpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = SlirpOptions::default();
        let mut words = Vec::new();
        let mut say = |key: &str, value: String| words.push(format!("{key}={value}"));
        if self.allow_host_loopback {
            say("allow_host_loopback", "true".to_owned());
        }
        if self.mtu != usual.mtu {
            say("mtu", self.mtu.to_string());
        }
        if let Some(cidr) = self.cidr {
            say("cidr", cidr.to_string());
        }
        if !self.enable_ipv6 {
            say("enable_ipv6", "false".to_owned());
        }
        for (key, value) in [
            ("outbound_addr", &self.outbound_addr),
            ("outbound_addr6", &self.outbound_addr6),
        ] {
            if let Some(value) = value {
                say(key, value.clone());
            }
        }
        f.write_str(&words.join(","))
    }
}

impl TryFrom<String> for SlirpOptions {
    type Error = SlirpOptionError;

    fn try_from(text: String) -> Result<SlirpOptions, SlirpOptionError> {
        match text.as_str() {
            "" => Ok(SlirpOptions::default()),
            text => text.parse(),
        }
    }
}

impl From<SlirpOptions> for String {
    fn from(options: SlirpOptions) -> String {
        options.to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn options_are_podmans() {
        let text = "allow_host_loopback=true,mtu=1400,cidr=10.7.0.0/24,enable_ipv6=false,outbound_addr=eth0";
        let options: SlirpOptions = text.parse().unwrap();
        assert_eq!(options.to_string(), text);
        assert_eq!(options.address(), Ipv4Addr::new(10, 7, 0, 100));
        assert_eq!(options.server(), Ipv4Addr::new(10, 7, 0, 3));
        let usual: SlirpOptions = "port_handler=slirp4netns".parse().unwrap();
        assert_eq!(usual, SlirpOptions::default());
        assert_eq!(usual.to_string(), "");
        assert_eq!(usual.address(), Ipv4Addr::new(10, 0, 2, 100));
        for (wrong, words) in [
            ("", "unknown option for slirp4netns: \"\""),
            (
                "colour=red",
                "unknown option for slirp4netns: \"colour=red\"",
            ),
            ("mtu=1", "invalid value of mtu for slirp4netns: \"1\""),
            ("cidr=10.7.0.0/28", "invalid value of cidr"),
            ("cidr=fd00::/64", "invalid value of cidr"),
            ("enable_ipv6=yes", "invalid value of enable_ipv6"),
            ("outbound_addr=fd00::1", "invalid value of outbound_addr"),
            ("port_handler=rootlesskit", "port_handler rootlesskit"),
        ] {
            let error = wrong.parse::<SlirpOptions>().unwrap_err().to_string();
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }
}
