//! Which containers `ps --filter` keeps.

use super::containers::ListedContainer;
use super::request::{PsFilters, PsRequest, Status};
use super::{Engine, EngineError};
use crate::container::MountConfig;
use crate::image::Image;
use crate::net::ports::{ExposedPorts, PortRange, PortSpec};

impl PsFilters {
    /// Whether ended containers are wanted without `-a`, as docker has it.
    pub(super) fn asks_for_status(&self) -> bool {
        !self.status.is_empty() || !self.exited.is_empty()
    }
}

impl Engine {
    pub(super) fn filter(
        &self,
        found: Vec<ListedContainer>,
        request: &PsRequest,
    ) -> Result<Vec<ListedContainer>, EngineError> {
        let filters = &request.filters;
        let created = |name: &Option<String>| {
            let summary = name.as_ref().map(|name| self.listed(name)).transpose()?;
            Ok::<_, EngineError>(summary.map(|summary| summary.config.created))
        };
        let (before, since) = (created(&filters.before)?, created(&filters.since)?);
        let ancestors = self.ancestors(filters)?;
        let keep = |summary: &ListedContainer| {
            matches_record(filters, summary)
                && matches_settings(filters, summary)
                && matches_config(filters, summary)
                && before
                    .as_ref()
                    .is_none_or(|before| summary.config.created < *before)
                && since
                    .as_ref()
                    .is_none_or(|since| summary.config.created > *since)
                && ancestors
                    .as_ref()
                    .is_none_or(|all| all.iter().any(|image| descends(summary, image)))
        };
        Ok(found.into_iter().filter(keep).collect())
    }

    /// Images that exist; one that does not has no containers.
    fn ancestors(&self, filters: &PsFilters) -> Result<Option<Vec<Image>>, EngineError> {
        if filters.ancestor.is_empty() {
            return Ok(None);
        }
        let store = self.images()?;
        Ok(Some(
            filters
                .ancestor
                .iter()
                .filter_map(|name| store.resolve(name).ok())
                .collect(),
        ))
    }
}

/// Of the values of one filter one is enough; without any all are meant.
fn any<T>(wanted: &[T], test: impl FnMut(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(test)
}

/// The image itself, or one that begins with all of its layers.
fn descends(summary: &ListedContainer, image: &Image) -> bool {
    let own = &summary.config.layers;
    let theirs: Vec<&str> = image.layers.iter().map(|layer| layer.as_str()).collect();
    let begins = own.len() >= theirs.len() && own.iter().zip(&theirs).all(|(a, b)| a == b);
    summary.config.image_id == image.id.to_string() || (!theirs.is_empty() && begins)
}

fn matches_record(filters: &PsFilters, summary: &ListedContainer) -> bool {
    let status = |wanted: &Status| *wanted == summary.state();
    any(&filters.id, |id| summary.record.id.as_str().starts_with(id))
        && filters.name_matches(&summary.name)
        && any(&filters.status, status)
        && (filters.exited.is_empty()
            || summary
                .exit_code()
                .is_some_and(|code| filters.exited.contains(&code)))
        && any(&filters.health, |health| health == summary.health_word())
}

fn is_of(mount: &MountConfig, volume: &str) -> bool {
    mount
        .volume
        .as_ref()
        .is_some_and(|used| used.name == volume)
}

fn matches_settings(filters: &PsFilters, summary: &ListedContainer) -> bool {
    let settings = &summary.settings;
    let policy = settings.restart.name();
    any(&filters.restart_policy, |wanted| wanted == policy)
        && filters
            .should_start_on_boot
            .is_none_or(|wanted| wanted == settings.starts_on_boot())
}

fn matches_config(filters: &PsFilters, summary: &ListedContainer) -> bool {
    let host = &summary.config.host;
    let volume = |text: &str| {
        host.mounts
            .iter()
            .any(|mount| mount.target == text || mount.source == text || is_of(mount, text))
    };
    let publish = |wanted: &ExposedPorts| {
        let asked = summary.config.ports(&summary.settings).iter();
        let mut asked = asked.filter_map(|text| text.parse::<PortSpec>().ok());
        // Docker's documentation means the container's port, docker itself the host's.
        let mut now = summary.ports.iter();
        asked.any(|spec| {
            let outside = spec.host.is_some_and(|host| host.meets(wanted.ports));
            spec.protocol == wanted.protocol && (outside || spec.container.meets(wanted.ports))
        }) || now.any(|port| {
            let outside = PortRange::single(port.host_port);
            port.protocol == wanted.protocol.to_string() && outside.meets(wanted.ports)
        })
    };
    let expose = |wanted: &ExposedPorts| {
        let exposed = summary.config.process.exposed_ports.iter();
        let mut exposed = exposed.filter_map(|text| text.parse::<ExposedPorts>().ok());
        exposed.any(|known| known.protocol == wanted.protocol && known.ports.meets(wanted.ports))
            || publish(wanted)
    };
    filters.labels.fit(&summary.config.labels)
        && any(&filters.volume, |text| volume(text))
        && any(&filters.network, |name| is_in_network(summary, name))
        && any(&filters.publish, publish)
        && any(&filters.expose, expose)
}

/// By the network's name; of one that it is in now, by its id too.
fn is_in_network(summary: &ListedContainer, wanted: &str) -> bool {
    let config = &summary.config;
    let mut places = config.endpoints(&summary.settings).iter();
    let mut live = summary.endpoints.iter();
    // With its options or without.
    let network = config.host.network.as_str();
    let driver = network.split(':').next().unwrap_or(network);
    (!config.is_bridged() && (network == wanted || driver == wanted))
        || places.any(|place| place.network == wanted)
        || (!wanted.is_empty() && live.any(|live| live.network_id.starts_with(wanted)))
}
