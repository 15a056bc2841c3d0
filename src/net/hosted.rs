//! Ports of the host's loopback that are open to one container (`--host-port`): what the flag says, and the sockets that wait for
//! the container inside the shared namespace. Connects on the host's side to nothing else.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::guard::Opened;
use super::hosts::HOST;
use super::relay::Relays;
use super::wire::{HostSocket, host_socket};
use crate::sys::network::{self, Transport};

/// So many connections are taken in one turn.
const TURN: usize = 32;

/// `5432[:container-port]`: a TCP port of the host's 127.0.0.1, and what the container calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPort {
    pub host: u16,
    pub container: u16,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid host port {text:?}: it should be PORT or PORT:CONTAINER-PORT")]
pub struct HostPortError {
    text: String,
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<HostPort, HostPortError> {
        let wrong = || HostPortError {
            text: text.to_owned(),
        };
        let port = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            let port = digits.parse().ok().filter(|port| plain && *port != 0);
            port.ok_or_else(wrong)
        };
        let (host, container) = text.split_once(':').unwrap_or((text, text));
        Ok(HostPort {
            host: port(host)?,
            container: port(container)?,
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.container)
    }
}

impl TryFrom<String> for HostPort {
    type Error = HostPortError;

    fn try_from(text: String) -> Result<HostPort, HostPortError> {
        text.parse()
    }
}

impl From<HostPort> for String {
    fn from(port: HostPort) -> String {
        port.to_string()
    }
}

/// Where the container's connections arrive; only a rule of its own leads here.
pub struct Hosted {
    port: HostPort,
    listener: OwnedFd,
    own: u16,
}

impl Hosted {
    /// In the shared namespace.
    pub fn new(port: HostPort) -> io::Result<Hosted> {
        let listener = network::bound_early(Transport::Tcp, SocketAddr::new(IpAddr::V4(HOST), 0))?;
        let own = network::own_port(listener.as_fd())?;
        Ok(Hosted {
            port,
            listener,
            own,
        })
    }

    pub fn opened(&self) -> Opened {
        Opened {
            container: self.port.container,
            listener: self.own,
        }
    }

    pub fn source(&self) -> &OwnedFd {
        &self.listener
    }

    /// Each connection of the container goes on to the host's loopback. The rule that leads here knows it by a mark, which is a part of
    /// its id: one that is another's in truth ends.
    pub fn take(&self, is_own: impl Fn(IpAddr) -> bool, outer: &OwnedFd, relays: &mut Relays) {
        for _ in 0..TURN {
            let Ok(Some((client, from))) = network::accept(self.listener.as_fd()) else {
                return;
            };
            // One that can't be passed on ends.
            if !is_own(from.ip()) {
                continue;
            }
            if let Ok(server) = self.connect(outer) {
                let _ = relays.add(client, server);
            }
        }
    }

    fn connect(&self, outer: &OwnedFd) -> io::Result<OwnedFd> {
        let server = host_socket(outer, HostSocket::Tcp4)?;
        let to = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.port.host);
        network::connect(server.as_fd(), to)?;
        Ok(server)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_itself_or_has_another_number_inside() {
        for (text, shown) in [("5432", "5432:5432"), ("5432:80", "5432:80")] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), shown);
        }
        for wrong in [
            "",
            "0",
            "a",
            "5432:",
            ":80",
            "1:2:3",
            "70000",
            "80:+8",
            "127.0.0.1:80",
        ] {
            let error = wrong.parse::<HostPort>().unwrap_err().to_string();
            assert!(error.starts_with("invalid host port"), "{error}");
        }
    }
}
