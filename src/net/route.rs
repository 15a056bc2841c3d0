//! Whether the host has a way out, read from the kernel's tables. Changes nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// Which default routes the host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct HostRoutes {
    pub ipv4: bool,
    pub ipv6: bool,
}

impl HostRoutes {
    /// Reads `/proc/net`; a missing file (IPv6 switched off) means no route.
    pub fn read() -> HostRoutes {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        HostRoutes {
            ipv4: has_default_ipv4(&read("/proc/net/route")),
            ipv6: has_default_ipv6(&read("/proc/net/ipv6_route")),
        }
    }

    /// Whether the way of IPv6 can be used: an interface that has just come up has no address of its link's until it has asked there whether
    /// another has it.
    pub fn is_ipv6_settled() -> bool {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        is_settled(&read("/proc/net/ipv6_route"), &read("/proc/net/if_inet6"))
    }

    /// The host's own address towards the world. Sends nothing: connecting a datagram socket only looks
    /// up the route.
    pub fn host_address() -> Option<Ipv4Addr> {
        own_address(UdpSocket::bind(("0.0.0.0", 0)).ok()?)
    }
}

/// The same over a socket of IPv4 that was made in the host's network namespace.
pub fn own_address(socket: UdpSocket) -> Option<Ipv4Addr> {
    let target: SocketAddr = ([192, 0, 2, 1], 9).into();
    socket.connect(target).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(ip) if !ip.is_loopback() && !ip.is_unspecified() => Some(ip),
        _ => None,
    }
}

/// proc(5): interface, destination, gateway, flags, …, mask in hexadecimal; bit 0 of the flags is "up", bit 9 "reject".
fn has_default_ipv4(table: &str) -> bool {
    table.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let flags = fields.get(3).and_then(|f| u32::from_str_radix(f, 16).ok());
        fields.get(1) == Some(&"00000000")
            && fields.get(7) == Some(&"00000000")
            && flags.is_some_and(|flags| flags & 0x201 == 1)
    })
}

fn has_default_ipv6(table: &str) -> bool {
    default_interface(table).is_some()
}

/// Destination, its prefix length, …, flags, interface. `lo` holds the "unreachable" default of every host.
fn default_interface(table: &str) -> Option<&str> {
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let flags = fields.get(8).and_then(|f| u32::from_str_radix(f, 16).ok());
        let is_default = fields.first()?.bytes().all(|b| b == b'0')
            && fields.get(1) == Some(&"00")
            && flags.is_some_and(|flags| flags & 0x201 == 1);
        let interface = fields.get(9).filter(|interface| **interface != "lo");
        interface.copied().filter(|_| is_default)
    })
}

/// Address, number of the interface, prefix length, scope, flags and the interface's name.
fn is_settled(routes: &str, addresses: &str) -> bool {
    let interface = default_interface(routes);
    addresses.lines().any(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let flags = fields.get(4).and_then(|f| u32::from_str_radix(f, 16).ok());
        fields.get(3) == Some(&"20")
            && fields.get(5).copied() == interface
            && flags.is_some_and(|flags| flags & libc::IFA_F_TENTATIVE == 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_without_an_address_of_its_link_is_not_settled() {
        let zeros = "0".repeat(32);
        let route =
            format!("{zeros} 00 {zeros} 00 {zeros} 00000400 00000001 00000000 00000003 eth0\n");
        let lo = "00000000000000000000000000000001 01 80 10 80       lo\n";
        let eth =
            |flags: &str| format!("{lo}fe800000000000000000000000000001 02 40 20 {flags} eth0\n");
        assert!(!is_settled(&route, lo));
        assert!(!is_settled(&route, &eth("c0")));
        assert!(is_settled(&route, &eth("80")));
    }

    #[test]
    fn default_route_is_seen() {
        let head =
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
        let default = "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
        let subnet = "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert!(has_default_ipv4(&format!("{head}{subnet}{default}")));
        assert!(!has_default_ipv4(&format!("{head}{subnet}")));
        assert!(!has_default_ipv4(head));
        assert!(!has_default_ipv4(""));
    }

    #[test]
    fn unreachable_ipv6_default_of_lo_does_not_count() {
        let zeros = "0".repeat(32);
        let lo = format!("{zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200 lo\n");
        let eth =
            format!("{zeros} 00 {zeros} 00 {zeros} 00000400 00000001 00000000 00000003 eth0\n");
        assert!(!has_default_ipv6(&lo));
        assert!(has_default_ipv6(&format!("{lo}{eth}")));
    }
}
