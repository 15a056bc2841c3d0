//! The column of ports: docker's order, and one text for ports that follow each other. Knows no container.

use std::net::{IpAddr, SocketAddr};

/// One that is published, or, without an address of the host's, exposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownPort {
    /// The host's address and port.
    pub outside: Option<(IpAddr, u16)>,
    pub inside: u16,
    pub protocol: String,
}

/// Ports of one kind from `first` to `last`.
struct Group {
    ip: Option<IpAddr>,
    protocol: String,
    first: u16,
    last: u16,
}

impl Group {
    fn is_of(&self, port: &ShownPort) -> bool {
        self.ip == port.outside.map(|(ip, _)| ip) && self.protocol == port.protocol
    }

    fn text(&self) -> String {
        let range = match self.first == self.last {
            true => self.first.to_string(),
            false => format!("{}-{}", self.first, self.last),
        };
        match self.ip {
            Some(IpAddr::V6(ip)) => format!("[{ip}]:{range}->{range}/{}", self.protocol),
            Some(ip) => format!("{ip}:{range}->{range}/{}", self.protocol),
            None => format!("{range}/{}", self.protocol),
        }
    }
}

/// `80-81/tcp, 127.0.0.1:8080->80/tcp`: what has the same number on both sides first, and groups of those that follow each other.
pub fn text(mut ports: Vec<ShownPort>) -> String {
    ports.sort_by_key(|port| {
        let (ip, number) = port.outside.unzip();
        let ip = ip.map_or_else(String::new, |ip| ip.to_string());
        (port.inside, ip, number, port.protocol.clone())
    });
    let mut groups: Vec<Group> = Vec::new();
    let mut texts = Vec::new();
    let mut others = Vec::new();
    for port in ports {
        let inside = port.inside;
        match port.outside {
            Some((ip, number)) if number != inside => {
                let host = SocketAddr::new(ip, number);
                others.push(format!("{host}->{inside}/{}", port.protocol));
                continue;
            }
            _ => {}
        }
        match groups.iter_mut().find(|group| group.is_of(&port)) {
            Some(group) if inside.checked_sub(1) == Some(group.last) => group.last = inside,
            Some(group) => {
                texts.push(group.text());
                (group.first, group.last) = (inside, inside);
            }
            None => groups.push(Group {
                ip: port.outside.map(|(ip, _)| ip),
                protocol: port.protocol,
                first: inside,
                last: inside,
            }),
        }
    }
    texts.extend(groups.iter().map(Group::text));
    texts.extend(others);
    texts.join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_in_docker_s_order_and_grouped() {
        // docker's own cases (cli/command/formatter).
        let port = |outside: Option<(&str, u16)>, inside, protocol: &str| ShownPort {
            outside: outside.map(|(ip, number)| (ip.parse().unwrap(), number)),
            inside,
            protocol: protocol.to_owned(),
        };
        for (ports, shown) in [
            (vec![port(None, 9988, "tcp")], "9988/tcp"),
            (
                vec![port(None, 9988, "tcp"), port(None, 9988, "udp")],
                "9988/tcp, 9988/udp",
            ),
            (
                vec![
                    port(None, 9990, "tcp"),
                    port(Some(("1.2.3.4", 9988)), 9988, "tcp"),
                    port(None, 9991, "tcp"),
                ],
                "1.2.3.4:9988->9988/tcp, 9990-9991/tcp",
            ),
            (
                vec![
                    port(Some(("1.2.3.4", 8899)), 9988, "tcp"),
                    port(Some(("1.2.3.4", 99)), 99, "tcp"),
                ],
                "1.2.3.4:99->99/tcp, 1.2.3.4:8899->9988/tcp",
            ),
            (
                vec![
                    port(Some(("1.2.3.4", 9989)), 9989, "tcp"),
                    port(Some(("1.2.3.4", 9988)), 9988, "tcp"),
                ],
                "1.2.3.4:9988-9989->9988-9989/tcp",
            ),
            (
                vec![
                    port(None, 80, "tcp"),
                    port(None, 1024, "tcp"),
                    port(None, 80, "udp"),
                    port(None, 1024, "udp"),
                ],
                "80/tcp, 80/udp, 1024/tcp, 1024/udp",
            ),
            (
                vec![
                    port(Some(("::", 80)), 80, "tcp"),
                    port(Some(("0.0.0.0", 80)), 80, "tcp"),
                ],
                "0.0.0.0:80->80/tcp, [::]:80->80/tcp",
            ),
        ] {
            assert_eq!(text(ports), shown);
        }
    }
}
