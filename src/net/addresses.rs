//! Which addresses of the networks are taken by whom, and which is next. Pure: attaching is for others.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::record::{NetworkConfig, Pool};
use super::subnet::Subnet;
use super::wire::Attach;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("Address already in use: {ip} on network {network} is that of another container")]
    Taken { ip: IpAddr, network: String },
    #[error("Address already in use: {ip} of network {network} is not for containers")]
    Reserved { ip: IpAddr, network: String },
    #[error("no available IP addresses on network {network}: all of {subnet} are taken")]
    Exhausted { network: String, subnet: Subnet },
    #[error("invalid address {ip}: it does not belong to any of network {network}'s subnets")]
    Foreign { ip: IpAddr, network: String },
}

/// Of all networks, by their ids.
#[derive(Default)]
pub struct Addresses {
    taken: HashSet<(String, IpAddr)>,
    /// Of containers that are expected back: nobody gets them unless they are asked for.
    expected: HashSet<(String, IpAddr)>,
    /// The one after the last that was given away: what was freed is not used again at once.
    next: HashMap<(String, Subnet), IpAddr>,
}

impl Addresses {
    pub fn expect(&mut self, network: &str, ip: IpAddr) {
        self.expected.insert((network.to_owned(), ip));
    }

    pub fn give_back(&mut self, network: &str, ip: IpAddr) {
        self.taken.remove(&(network.to_owned(), ip));
    }

    /// An address of each of the network's ranges, those that are asked for among them.
    pub fn take(&mut self, attach: &Attach) -> Result<Vec<(IpAddr, Pool)>, AddressError> {
        let network = &attach.network;
        let asked: Vec<IpAddr> = [attach.ipv4.map(IpAddr::V4), attach.ipv6.map(IpAddr::V6)]
            .into_iter()
            .flatten()
            .collect();
        for ip in &asked {
            if !network.pools.iter().any(|pool| pool.subnet.contains(*ip)) {
                return Err(AddressError::Foreign {
                    ip: *ip,
                    network: network.name.clone(),
                });
            }
        }
        let mut given: Vec<(IpAddr, Pool)> = Vec::new();
        for pool in &network.pools {
            // One of each family.
            let family = pool.subnet.is_ipv4();
            let had = given.iter().any(|(ip, _)| ip.is_ipv4() == family);
            let of_family = asked.iter().find(|ip| ip.is_ipv4() == family);
            let here = of_family.is_none_or(|ip| pool.subnet.contains(*ip));
            if had || !here {
                continue;
            }
            match self.choose(network, pool, of_family.copied()) {
                Ok(ip) => given.push((ip, pool.clone())),
                Err(error) => {
                    for (ip, _) in &given {
                        self.give_back(&network.id, *ip);
                    }
                    return Err(error);
                }
            }
        }
        Ok(given)
    }

    fn choose(
        &mut self,
        network: &NetworkConfig,
        pool: &Pool,
        asked: Option<IpAddr>,
    ) -> Result<IpAddr, AddressError> {
        let key = |ip: IpAddr| (network.id.clone(), ip);
        let reserved =
            |ip: IpAddr| ip == pool.gateway || pool.auxiliary.values().any(|other| *other == ip);
        if let Some(ip) = asked {
            if reserved(ip) || !pool.subnet.is_usable(ip) {
                return Err(AddressError::Reserved {
                    ip,
                    network: network.name.clone(),
                });
            }
            if self.taken.contains(&key(ip)) {
                return Err(AddressError::Taken {
                    ip,
                    network: network.name.clone(),
                });
            }
            self.expected.remove(&key(ip));
            self.taken.insert(key(ip));
            return Ok(ip);
        }
        let range = pool.range.unwrap_or(pool.subnet);
        let lot = (network.id.clone(), pool.subnet);
        let start = self.next.get(&lot).copied();
        let is_taken = |ip: IpAddr| {
            reserved(ip) || self.taken.contains(&key(ip)) || self.expected.contains(&key(ip))
        };
        let found = pool.subnet.free_address(range, start, is_taken);
        let ip = found.ok_or_else(|| AddressError::Exhausted {
            network: network.name.clone(),
            subnet: range,
        })?;
        let after = range.offset(ip).and_then(|offset| range.at(offset + 1));
        self.next.insert(lot, after.unwrap_or(range.base()));
        self.taken.insert(key(ip));
        Ok(ip)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn attach(ipv4: Option<&str>) -> Attach {
        let mut pool = Pool::of("10.9.0.0/29".parse().unwrap());
        pool.auxiliary
            .insert("printer".to_owned(), "10.9.0.3".parse().unwrap());
        Attach {
            network: NetworkConfig {
                id: "n".to_owned(),
                name: "small".to_owned(),
                pools: vec![pool],
                ..NetworkConfig::default()
            },
            interface: "eth0".to_owned(),
            ipv4: ipv4.map(|ip| ip.parse().unwrap()),
            ipv6: None,
            mac: None,
            more: Vec::new(),
            aliases: Vec::new(),
            links: Vec::new(),
            is_default: true,
            is_default_ipv6: false,
        }
    }

    fn next(addresses: &mut Addresses) -> Result<String, AddressError> {
        let taken = addresses.take(&attach(None))?;
        Ok(taken[0].0.to_string())
    }

    #[test]
    fn addresses_go_round_and_what_is_reserved_stays() {
        let mut addresses = Addresses::default();
        addresses.expect("n", "10.9.0.5".parse().unwrap());
        assert_eq!(next(&mut addresses).unwrap(), "10.9.0.2");
        addresses.give_back("n", "10.9.0.2".parse().unwrap());
        for expected in ["10.9.0.4", "10.9.0.6", "10.9.0.2"] {
            assert_eq!(next(&mut addresses).unwrap(), expected);
        }
        let error = next(&mut addresses).unwrap_err();
        assert!(matches!(error, AddressError::Exhausted { .. }), "{error}");
    }

    #[test]
    fn an_address_that_is_asked_for_is_given_once() {
        let mut addresses = Addresses::default();
        addresses.expect("n", "10.9.0.5".parse().unwrap());
        let wanted = attach(Some("10.9.0.5"));
        addresses.take(&wanted).unwrap();
        let again = addresses.take(&wanted);
        assert!(matches!(again, Err(AddressError::Taken { .. })));
        // The gateway, the broadcast address, and one that is set aside.
        for ip in ["10.9.0.1", "10.9.0.7", "10.9.0.3"] {
            let error = addresses.take(&attach(Some(ip))).unwrap_err();
            assert!(matches!(error, AddressError::Reserved { .. }), "{error}");
        }
        let error = addresses.take(&attach(Some("10.8.0.2"))).unwrap_err();
        assert!(matches!(error, AddressError::Foreign { .. }), "{error}");
    }
}
