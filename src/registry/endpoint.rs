//! Where a registry's API is: from the name in a reference to scheme, host and prefix. Asks the host only whether a
//! loopback registry speaks TLS.

use url::Url;

use super::config::DOCKER_HUB;
use super::error::RegistryError;
use super::exchange::{Exchange, Request, host_of, is_loopback};

/// The API of one registry, as far as `/v2/`.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    base: Url,
    /// Put before every repository, with a slash at its end; empty for most.
    prefix: String,
}

impl Endpoint {
    /// `docker.io` is served by another host than its name, and the configuration may send any registry elsewhere.
    pub fn find(exchange: &Exchange<'_>, registry: &str) -> Result<Endpoint, RegistryError> {
        let config = exchange.config();
        let entry = config.hosts.get(registry).cloned().unwrap_or_default();
        let location = entry.location.clone().unwrap_or_else(|| {
            let moved = registry == DOCKER_HUB;
            if moved {
                "registry-1.docker.io"
            } else {
                registry
            }
            .to_owned()
        });
        let fault = || RegistryError::Location {
            registry: registry.to_owned(),
            location: location.clone(),
        };
        let (scheme, rest) = match location.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => (Some(scheme), rest),
            Some(_) => return Err(fault()),
            None => (None, location.as_str()),
        };
        let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let base = |scheme: &str| {
            let url = Url::parse(&format!("{scheme}://{host}/v2/")).map_err(|_| fault())?;
            let plain_host = url.username().is_empty() && url.password().is_none();
            let exact = plain_host && url.path() == "/v2/" && url.query().is_none();
            if exact { Ok(url) } else { Err(fault()) }
        };
        let secure = base("https")?;
        let insecure = entry.insecure || config.is_insecure(&host_of(&secure));
        let base = match scheme {
            Some("http") if insecure || is_loopback(&secure) => base("http")?,
            Some("http") => {
                return Err(RegistryError::RedirectDowngrade {
                    host: registry.to_owned(),
                    target: host.to_owned(),
                });
            }
            None if insecure => base("http")?,
            None if is_loopback(&secure) => probe(exchange, secure, base("http")?)?,
            _ => secure,
        };
        let prefix = prefix.trim_matches('/');
        Ok(Endpoint {
            base,
            prefix: if prefix.is_empty() {
                String::new()
            } else {
                format!("{prefix}/")
            },
        })
    }

    pub fn host(&self) -> String {
        host_of(&self.base)
    }

    pub fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }

    /// The repository's name on this endpoint.
    pub fn repository(&self, repository: &str) -> String {
        format!("{}{repository}", self.prefix)
    }

    /// `/v2/<repository>/<kind>/<name>`. All parts come from checked references and digests.
    pub fn url(&self, repository: &str, kind: &str, name: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!(
            "/v2/{}/{kind}/{name}",
            self.repository(repository)
        ));
        url
    }
}

/// A loopback registry may speak either; as docker does, https is tried first. A certificate that is not trusted is an
/// answer (the server does speak TLS), so it never leads to plain HTTP.
fn probe(exchange: &Exchange<'_>, secure: Url, plain: Url) -> Result<Url, RegistryError> {
    match exchange.send(&Request::get(secure.clone())) {
        Ok(_) => Ok(secure),
        Err(
            error @ (RegistryError::Certificate { .. }
            | RegistryError::Client { .. }
            | RegistryError::ReadCertificates { .. }
            | RegistryError::UnknownHost { .. }),
        ) => Err(error),
        Err(_) => Ok(plain),
    }
}
