//! Where a reference's content may come from: mirrors first, then the registry's own location. From configuration alone,
//! asks nobody.

use url::Url;

use super::config::{DOCKER_HUB, RegistryConfig};
use super::error::RegistryError;
use super::exchange::host_of;
use super::registries_conf::Rule;
use crate::image::Reference;

/// One place, before it is known how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// As references name it, for messages.
    pub registry: String,
    /// `host[:port][/prefix]`, optionally with a scheme.
    pub location: String,
    /// The part of a repository that `location` stands for.
    pub strip: String,
    pub insecure: bool,
}

/// A location taken apart: both ways to speak to it, and what comes before repositories.
pub(super) struct Address<'a> {
    pub scheme: Option<&'a str>,
    pub secure: Url,
    pub plain: Url,
    pub prefix: String,
}

impl Place {
    /// The registry itself, without its mirrors.
    pub fn of_registry(config: &RegistryConfig, registry: &str) -> Result<Place, RegistryError> {
        let rule = config.rules.of_registry(registry);
        let mut places = places_of(config, registry, rule, "", |_| false)?;
        Ok(places.pop().expect("the registry itself is the last place"))
    }

    pub fn address(&self) -> Result<Address<'_>, RegistryError> {
        let fault = || RegistryError::Location {
            registry: self.registry.clone(),
            location: self.location.clone(),
        };
        let (scheme, rest) = match self.location.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => (Some(scheme), rest),
            Some(_) => return Err(fault()),
            None => (None, self.location.as_str()),
        };
        let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let base = |scheme: &str| {
            let url = Url::parse(&format!("{scheme}://{host}/v2/")).map_err(|_| fault())?;
            let plain_host = url.username().is_empty() && url.password().is_none();
            let exact = plain_host && url.path() == "/v2/" && url.query().is_none();
            if exact { Ok(url) } else { Err(fault()) }
        };
        Ok(Address {
            scheme,
            secure: base("https")?,
            plain: base("http")?,
            prefix: prefix.trim_matches('/').to_owned(),
        })
    }
}

/// A repository's name at a location: its front taken off, the location's put before the rest.
pub(super) fn rewritten(repository: &str, strip: &str, prefix: &str) -> String {
    let rest = repository.strip_prefix(strip).unwrap_or(repository);
    let name = format!("{prefix}/{}", rest.trim_start_matches('/'));
    name.trim_matches('/').to_owned()
}

/// Best first; never empty.
pub(super) fn places(
    config: &RegistryConfig,
    reference: &Reference,
) -> Result<Vec<Place>, RegistryError> {
    let rule = config.rules.of(reference);
    let by_digest = reference.digest().is_some();
    let mirrored = |mirror: &super::registries_conf::Mirror| mirror.serves(by_digest);
    places_of(
        config,
        reference.registry(),
        rule,
        reference.repository(),
        mirrored,
    )
}

/// The place that what is pushed goes to: mirrors are for reading.
pub(super) fn own_place(
    config: &RegistryConfig,
    reference: &Reference,
) -> Result<Place, RegistryError> {
    let mut places = places(config, reference)?;
    Ok(places.pop().expect("the registry itself is the last place"))
}

fn places_of(
    config: &RegistryConfig,
    registry: &str,
    rule: Option<&Rule>,
    repository: &str,
    mirrored: impl Fn(&super::registries_conf::Mirror) -> bool,
) -> Result<Vec<Place>, RegistryError> {
    let own = match registry {
        DOCKER_HUB => "registry-1.docker.io",
        host => host,
    };
    let place = |location: &str, strip: &str, insecure| Place {
        registry: registry.to_owned(),
        location: location.to_owned(),
        strip: strip.to_owned(),
        insecure,
    };
    let blocked = |by: String| RegistryError::Blocked {
        registry: registry.to_owned(),
        by,
    };
    if let Some(entry) = config.hosts.get(registry) {
        if entry.blocked {
            return Err(blocked("config.toml".to_owned()));
        }
        let mirrors = entry.mirrors.iter();
        let mut all: Vec<Place> = mirrors.map(|at| place(at, "", false)).collect();
        let location = entry.location.as_deref().unwrap_or(own);
        all.push(place(location, "", entry.insecure));
        return Ok(all);
    }
    let Some(rule) = rule else {
        return Ok(vec![place(own, "", false)]);
    };
    if rule.blocked {
        return Err(blocked(rule.file.display().to_string()));
    }
    let strip = rule.stripped(registry, repository);
    // docker.io stands for its host also where a rule names it as a location.
    let at = |location: &str| match location.strip_prefix(DOCKER_HUB) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            format!("registry-1.docker.io{rest}")
        }
        _ => location.to_owned(),
    };
    let mirrors = rule.mirrors.iter().filter(|mirror| mirrored(mirror));
    let mut all: Vec<Place> = mirrors
        .map(|mirror| place(&at(&mirror.location), &strip, mirror.insecure))
        .collect();
    all.push(match &rule.location {
        Some(location) => place(&at(location), &strip, rule.insecure),
        None => place(own, "", rule.insecure),
    });
    Ok(all)
}

/// The host that is asked for a registry itself.
pub(super) fn host(config: &RegistryConfig, registry: &str) -> Result<String, RegistryError> {
    let place = Place::of_registry(config, registry)?;
    Ok(host_of(&place.address()?.secure))
}

/// The hosts that may be asked for a reference, with the repository's name there.
pub(super) fn hosts(
    config: &RegistryConfig,
    reference: &Reference,
) -> Result<Vec<(String, String)>, RegistryError> {
    let of = |place: Place| {
        let address = place.address()?;
        let repository = rewritten(reference.repository(), &place.strip, &address.prefix);
        Ok((host_of(&address.secure), repository))
    };
    places(config, reference)?.into_iter().map(of).collect()
}
