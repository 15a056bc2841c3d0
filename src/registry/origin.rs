//! Where a layer was fetched from once: asked again for the very bytes, when a push or a save would otherwise have to make others.

use std::fs::File;
use std::io::{Seek, Write};
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

/// So many places are asked for one blob.
const PLACES: usize = 4;

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

/// Writes the very bytes of a blob that a layer came as, from wherever they can still be had; whether anybody has seen that they
/// are that layer. `None` where nobody gives them.
pub fn original(
    diff_id: &Digest,
    digest: &Digest,
    size: u64,
    config: &RegistryConfig,
    mut to: &File,
) -> Option<bool> {
    let known = Locations::below(config.cache.as_deref()).of(diff_id);
    let is_wanted = |at: &&Location| at.digest == *digest && at.size == size;
    let proven = known.iter().filter(is_wanted).any(|at| !at.claimed);
    let patience = impatient(config);
    for location in known.iter().filter(is_wanted).take(PLACES) {
        let (host, repository) = (&location.host, &location.repository);
        let fresh = to.set_len(0).and_then(|()| to.rewind());
        let fetched = fresh.map_err(|error| error.to_string()).and_then(|()| {
            let origin = Origin::open(location, &patience).map_err(|error| error.to_string())?;
            let blob = location.blob();
            let mut stream = origin.stream(&blob).map_err(|error| error.to_string())?;
            let mut chunk = vec![0; 128 * 1024];
            loop {
                match stream.read(&mut chunk).map_err(|error| error.to_string())? {
                    0 => return to.rewind().map_err(|error| error.to_string()),
                    length => to
                        .write_all(&chunk[..length])
                        .map_err(|error| error.to_string())?,
                }
            }
        });
        match fetched {
            Ok(()) => return Some(proven),
            Err(error) => {
                tracing::debug!(
                    host,
                    repository,
                    error,
                    "the original layer cannot be had again"
                );
            }
        }
    }
    None
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
