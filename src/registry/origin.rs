//! Where a layer was fetched from once: asked again for the very bytes, when a push would otherwise have to make others.

use std::time::Duration;

use super::auth::{Session, Subject};
use super::blob::{BlobStream, Source};
use super::config::{DOCKER_HUB, Limits, RegistryConfig};
use super::credentials;
use super::endpoint::Endpoint;
use super::error::RegistryError;
use super::exchange::Exchange;
use super::locations::{Location, Locations};
use super::manifest::Blob;
use super::place::Place;
use super::progress::Silent;
use crate::image::Digest;

/// The repository of one location.
pub(super) struct Origin<'a> {
    endpoint: Endpoint,
    session: Session<'a>,
    name: String,
}

/// The settings for a registry that one can do without: it is asked once.
pub(super) fn impatient(config: &RegistryConfig) -> RegistryConfig {
    RegistryConfig {
        limits: Limits {
            attempts: 1,
            resumes: 1,
            connect_timeout: config.limits.connect_timeout.min(Duration::from_secs(5)),
            ..config.limits.clone()
        },
        // The blob is on its way to somewhere else; nobody goes on with it here.
        cache: None,
        ..config.clone()
    }
}

impl<'a> Origin<'a> {
    pub fn open(
        location: &Location,
        config: &'a RegistryConfig,
    ) -> Result<Origin<'a>, RegistryError> {
        refuse_blocked(config, &location.host)?;
        let place = Place {
            registry: location.host.clone(),
            location: location.host.clone(),
            strip: String::new(),
            insecure: false,
        };
        let exchange = Exchange::new(config);
        let endpoint = Endpoint::at(&exchange, &place)?;
        let repository = location.repository.as_str();
        let name = format!("{}/{repository}", location.host);
        let subject = Subject {
            scopes: vec![format!("repository:{repository}:pull")],
            name: name.clone(),
            verb: "pull",
            is_login: false,
        };
        let found = credentials::find(config, &endpoint.host(), Some(repository))?;
        Ok(Origin {
            session: Session::with(exchange, &endpoint, subject, found, &Silent),
            endpoint,
            name,
        })
    }

    /// The bytes, which end only when they are all right.
    pub fn stream<'s>(&'s self, blob: &'s Blob) -> Result<BlobStream<'s>, RegistryError> {
        let repository = self.name.split_once('/').map_or("", |(_, rest)| rest);
        let source = Source {
            session: &self.session,
            reference: &self.name,
            url: self.endpoint.url(repository, "blobs", blob.digest.as_str()),
        };
        BlobStream::open(source, blob)
    }
}

/// A registry that is blocked now may have been none when the layer came from it.
fn refuse_blocked(config: &RegistryConfig, host: &str) -> Result<(), RegistryError> {
    let registry = match host {
        "registry-1.docker.io" => DOCKER_HUB,
        host => host,
    };
    let by_host = config
        .hosts
        .get(registry)
        .is_some_and(|entry| entry.blocked);
    let rule = config
        .rules
        .of_registry(registry)
        .filter(|rule| rule.blocked);
    let by = match rule {
        Some(rule) => rule.file.display().to_string(),
        None if by_host => "config.toml".to_owned(),
        None => return Ok(()),
    };
    Err(RegistryError::Blocked {
        registry: registry.to_owned(),
        by,
    })
}

impl RegistryConfig {
    /// Looks up who the user is where these layers came from, on behalf of a role that can't.
    pub fn look_up_origins(&mut self, diff_ids: &[Digest]) -> Result<(), RegistryError> {
        let locations = Locations::below(self.cache.as_deref());
        for diff_id in diff_ids {
            for location in locations.of(diff_id) {
                credentials::know(self, &location.host, &location.repository)?;
            }
        }
        Ok(())
    }
}
