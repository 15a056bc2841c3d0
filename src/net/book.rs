//! Who is called what, as one container of the shared networks may know it. Asks nobody; the names are the guests' own.

use std::net::IpAddr;

use super::dns::Askers;
use super::member::{Guest, Guests};
use super::names::Book;
use super::record::DEFAULT;
use super::wire::Endpoint;

/// Digits of an id that stand for it.
const SHORT: usize = 12;

/// One container's view.
pub struct View<'a> {
    asker: &'a Guest,
    guests: &'a Guests,
}

impl View<'_> {
    /// The other ends of the asker's networks that have names; docker's default has none.
    fn neighbours(&self) -> impl Iterator<Item = (&Guest, &Endpoint)> {
        let own = self.asker.endpoints.iter();
        let own = own.filter(|endpoint| endpoint.network != DEFAULT && !endpoint.nameless);
        own.flat_map(|own| {
            let all = self.guests.all();
            all.flat_map(|guest| {
                guest
                    .endpoints
                    .iter()
                    .map(move |endpoint| (guest, endpoint))
            })
            .filter(|(_, endpoint)| endpoint.network_id == own.network_id)
        })
    }

    fn named(&self, name: &str) -> Vec<IpAddr> {
        let is_called = |endpoint: &Endpoint| {
            let qualified = name
                .strip_suffix(&endpoint.network.to_ascii_lowercase())
                .and_then(|rest| rest.strip_suffix('.'));
            let mut names = endpoint.names.iter();
            names.any(|known| {
                known.eq_ignore_ascii_case(name)
                    || qualified.is_some_and(|short| known.eq_ignore_ascii_case(short))
            })
        };
        let found = self
            .neighbours()
            .filter(|(_, endpoint)| is_called(endpoint));
        let addresses = found.flat_map(|(_, endpoint)| &endpoint.addresses);
        addresses.map(|address| address.ip).collect()
    }
}

/// Whether a container is meant by its name, or by the beginning of its id.
fn is_called(guest: &Guest, name: &str) -> bool {
    guest.member.as_ref().is_some_and(|member| {
        let short = member.id.get(..SHORT).unwrap_or(&member.id);
        member.name.eq_ignore_ascii_case(name)
            || name.len() >= short.len() && member.id.starts_with(name)
    })
}

impl View<'_> {
    /// On docker's default network too: there a linked container is found by its own name as well.
    fn linked(&self, name: &str) -> Vec<IpAddr> {
        let mut links = self.asker.links.iter();
        let link = links.find(|(network, target, alias)| {
            let by_name = || target.eq_ignore_ascii_case(name) && self.is_default(network);
            alias.eq_ignore_ascii_case(name) || by_name()
        });
        let Some((network, target, _)) = link else {
            return Vec::new();
        };
        if !self.is_default(network) {
            return self.named(&target.to_ascii_lowercase());
        }
        let targets = self.guests.all().filter(|guest| is_called(guest, target));
        let places = targets.flat_map(|guest| &guest.endpoints);
        let places = places.filter(|place| place.network_id == *network);
        let addresses = places.flat_map(|place| &place.addresses);
        addresses.map(|address| address.ip).collect()
    }

    fn is_default(&self, network: &str) -> bool {
        let mut own = self.asker.endpoints.iter();
        own.any(|place| place.network_id == network && place.network == DEFAULT)
    }
}

impl Book for View<'_> {
    /// In another order each time, so that replicas share the work.
    fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        let mut found = self.linked(name);
        if found.is_empty() {
            found = self.named(name);
        }
        let turn = self.guests.next_turn();
        if !found.is_empty() {
            let by = turn % found.len();
            found.rotate_left(by);
        }
        (!found.is_empty()).then_some(found)
    }

    fn name_of(&self, ip: IpAddr) -> Option<String> {
        let has = |endpoint: &Endpoint| endpoint.addresses.iter().any(|a| a.ip == ip);
        let mut neighbours = self.neighbours();
        let (guest, endpoint) = neighbours.find(|(_, endpoint)| has(endpoint))?;
        let member = guest.member.as_ref()?;
        Some(format!("{}.{}", member.name, endpoint.network))
    }

    fn leads_out(&self) -> bool {
        self.asker.endpoints.iter().any(Endpoint::leads_out)
    }
}

impl Guests {
    fn at(&self, ip: IpAddr) -> Option<&Guest> {
        self.all().find(|guest| guest.has_address(ip))
    }
}

impl Askers for Guests {
    fn asker(&self, ip: IpAddr) -> Option<impl Book> {
        let asker = self.at(ip)?;
        Some(View {
            asker,
            guests: self,
        })
    }

    fn servers(&self, ip: IpAddr) -> Vec<IpAddr> {
        let member = self.at(ip).and_then(|guest| guest.member.as_ref());
        member.map_or_else(Vec::new, |member| member.servers.clone())
    }

    fn networks(&self, ip: IpAddr) -> Vec<&str> {
        let endpoints = self.at(ip).into_iter().flat_map(|guest| &guest.endpoints);
        let mut endpoints: Vec<&Endpoint> = endpoints.collect();
        endpoints.sort_by_key(|endpoint| !endpoint.is_default);
        let names = endpoints.into_iter();
        names.map(|endpoint| endpoint.network.as_str()).collect()
    }

    fn permits(&self, ip: IpAddr, query: &[u8]) -> bool {
        self.at(ip).is_some_and(|guest| guest.permits(query))
    }

    fn admits(&self, ip: IpAddr, answer: &[u8]) -> bool {
        self.at(ip).is_some_and(|guest| guest.admits(answer))
    }
}
