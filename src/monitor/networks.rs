//! What clients ask of a container's places in shared networks (`bridged`) and of its published ports, now and in its next lives.

use std::os::fd::AsFd;

use rustix::process::Pid;

use super::bridged::BridgedOrders;
use super::client::Client;
use super::life::Wish;
use super::network::NetworkOrders;
use super::supervise::{Fault, Monitor};
use crate::container::EndpointConfig;
use crate::net::egress::Egress;
use crate::net::ports::{PortRange, PortSpec};
use crate::net::wire::Attach;

impl Monitor {
    /// Whether the program runs although it is not known yet whether anything leads out of its networks.
    pub(super) fn is_ahead(&self) -> bool {
        self.network
            .as_ref()
            .is_some_and(|network| network.is_ahead())
    }

    /// The way out that the program has not waited for is there, or there is none: then it has not started.
    pub(super) fn learn_of_way(&mut self) {
        let news = self
            .network
            .as_mut()
            .and_then(|network| network.news_of_way());
        match news {
            None => {}
            Some(Ok(())) => self.clients.iter_mut().for_each(Client::settle),
            // It had an end of its own.
            Some(Err(_)) if self.code.is_some() => {}
            Some(Err(failure)) => {
                tracing::debug!(%failure, "nothing leads out");
                self.failure = Some(Fault::Start(failure));
                if self.is_first {
                    self.wish = Wish::End;
                }
                let _ = self.signal(libc::SIGKILL);
            }
        }
    }

    /// One more network, now or when the container begins its next life.
    pub(super) fn connect(
        &mut self,
        attach: Attach,
        endpoints: Vec<EndpointConfig>,
    ) -> Result<(), String> {
        let orders = shared(&mut self.orders.network)?;
        if let Some(network) = &mut self.network {
            let attached = network.attach(&attach).and_then(|()| network.record());
            attached.map_err(|failure| failure.to_string())?;
        }
        orders.attach.push(attach);
        self.settings.endpoints = Some(endpoints);
        self.write_settings()
    }

    pub(super) fn disconnect(
        &mut self,
        network: &str,
        endpoints: Vec<EndpointConfig>,
    ) -> Result<(), String> {
        let orders = shared(&mut self.orders.network)?;
        if let Some(bridged) = &mut self.network {
            bridged
                .detach(network)
                .map_err(|failure| failure.to_string())?;
        }
        orders.attach.retain(|attach| attach.network.id != network);
        let now = self.network.iter().flat_map(|bridged| bridged.places());
        for endpoint in now {
            let of = |attach: &&mut Attach| attach.network.id == endpoint.network_id;
            if let Some(attach) = orders.attach.iter_mut().find(of) {
                attach.is_default = endpoint.is_default;
                attach.is_default_ipv6 = endpoint.is_default_ipv6;
            }
        }
        self.settings.endpoints = Some(endpoints);
        self.write_settings()
    }

    /// What it may reach, now and when it begins its next lives.
    pub(super) fn limit(&mut self, egress: Option<Egress>) -> Result<(), String> {
        let orders = shared(&mut self.orders.network)?;
        if let Some(network) = &mut self.network {
            let limited = network.limit(egress.clone());
            limited.map_err(|failure| failure.to_string())?;
        }
        orders.member.egress = egress;
        Ok(())
    }

    /// What limits it now.
    pub(super) fn egress(&self) -> Option<Egress> {
        match &self.orders.network {
            Some(NetworkOrders::Bridged(orders)) => orders.member.egress.clone(),
            _ => None,
        }
    }

    /// Whether its limits are known to `bryo net`, or nothing of it is there that they could hold for.
    pub(super) fn is_limited(&self) -> bool {
        let network = self.network.as_ref();
        network.is_none_or(|network| network.source().is_some())
    }

    /// The clients that wait for that.
    pub(super) fn tell_limited(&mut self) {
        if self.is_limited() {
            self.clients.iter_mut().for_each(Client::limited);
        }
    }

    /// Publishes more ports, now or when the container begins its next life.
    pub(super) fn publish(&mut self, ports: &[PortSpec]) -> Result<(), String> {
        let orders = shared(&mut self.orders.network)?;
        if let Some(network) = &mut self.network {
            let published = network.publish_more(ports);
            published.map_err(|failure| failure.to_string())?;
        }
        let before = std::mem::take(&mut orders.ports);
        orders.ports = before
            .iter()
            .chain(ports)
            .flat_map(PortSpec::expand)
            .collect();
        self.record_port_settings()
    }

    pub(super) fn unpublish(&mut self, ports: &[PortSpec]) -> Result<(), String> {
        let orders = shared(&mut self.orders.network)?;
        let mut known: Vec<PortSpec> = orders.ports.iter().flat_map(PortSpec::expand).collect();
        let mut outcome = Ok(());
        for wanted in ports.iter().flat_map(PortSpec::expand) {
            let gone = match &mut self.network {
                Some(network) => network.unpublish(&wanted),
                None => {
                    let is_meant = |spec: &&PortSpec| {
                        let host = spec.host.map(PortRange::start);
                        let inside = (spec.container.start(), spec.protocol);
                        wanted.means(spec.host_ip, host, inside)
                    };
                    Ok(known.iter().filter(is_meant).cloned().collect())
                }
            };
            match gone {
                Ok(gone) if gone.is_empty() => {
                    outcome = Err(format!("port {wanted} is not published"));
                }
                Ok(gone) => known.retain(|spec| !gone.contains(spec)),
                Err(failure) => outcome = Err(failure.to_string()),
            }
        }
        orders.ports = known;
        self.record_port_settings().and(outcome)
    }

    /// All of them, in place of those that it was made with.
    fn record_port_settings(&mut self) -> Result<(), String> {
        if let Some(NetworkOrders::Bridged(orders)) = &self.orders.network {
            let ports = orders.ports.iter().map(PortSpec::to_string);
            self.settings.ports = Some(ports.collect());
        }
        self.write_settings()
    }

    /// Makes its places in networks anew.
    pub(super) fn reload_networks(&mut self) -> Result<(), String> {
        shared(&mut self.orders.network)?;
        match &mut self.network {
            Some(network) => network.reload().map_err(|failure| failure.to_string()),
            // The next life makes them.
            None => Ok(()),
        }
    }

    /// The container is called something else; nobody needs to be told where it shares no networks.
    pub(super) fn renamed(&mut self, name: &str) -> Result<(), String> {
        if let Some(network) = &mut self.network {
            network
                .rename(name)
                .map_err(|failure| failure.to_string())?;
        }
        if let Some(NetworkOrders::Bridged(orders)) = &mut self.orders.network {
            name.clone_into(&mut orders.member.name);
        }
        Ok(())
    }

    /// Of the fork that has started `bryo net` again.
    pub(super) fn rejoin_networks(&mut self, pid: Pid) {
        let Some(network) = self.network.as_mut().filter(|n| n.is_starter(pid)) else {
            return;
        };
        if let Some(namespace) = &self.init.network_namespace {
            network.rejoin(namespace.as_fd());
        }
    }
}

/// What was ordered of the networks that the container shares.
fn shared(network: &mut Option<NetworkOrders>) -> Result<&mut BridgedOrders, String> {
    match network {
        Some(NetworkOrders::Bridged(orders)) => Ok(orders),
        _ => Err("the container shares no networks".to_owned()),
    }
}
