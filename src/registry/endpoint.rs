//! Where a registry's API is: from the name in a reference to scheme, host and prefix. Asks the host only whether a
//! loopback registry speaks TLS.

use url::Url;

use super::error::RegistryError;
use super::exchange::{Exchange, Request, host_of, is_loopback};
use super::place::{self, Address, Place};
use super::tls;

/// The API of one registry, as far as `/v2/`.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    base: Url,
    /// Taken from the front of every repository; empty for most.
    strip: String,
    /// Put there instead.
    prefix: String,
}

impl Endpoint {
    /// The registry itself, whatever repository of it is meant.
    pub fn find(exchange: &Exchange<'_>, registry: &str) -> Result<Endpoint, RegistryError> {
        Endpoint::at(exchange, &Place::of_registry(exchange.config(), registry)?)
    }

    /// One place of those that a reference's content may come from.
    pub fn at(exchange: &Exchange<'_>, place: &Place) -> Result<Endpoint, RegistryError> {
        let config = exchange.config();
        let Address {
            scheme,
            secure,
            plain,
            prefix,
        } = place.address()?;
        let verify = config.access.tls_verify;
        let insecure = match verify {
            Some(verify) => !verify,
            None => place.insecure || config.is_insecure(&host_of(&secure)),
        };
        let may_be_plain = is_loopback(&secure) && verify.is_none();
        let base = match scheme {
            Some("http") if insecure || may_be_plain => plain,
            Some("http") => {
                return Err(RegistryError::RedirectDowngrade {
                    host: place.registry.clone(),
                    target: host_of(&secure),
                });
            }
            None if verify == Some(false) => probe(exchange, secure, plain)?,
            None if insecure => plain,
            None if may_be_plain => probe(exchange, secure, plain)?,
            _ => secure,
        };
        Ok(Endpoint {
            base,
            strip: place.strip.clone(),
            prefix,
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
        place::rewritten(repository, &self.strip, &self.prefix)
    }

    /// `/v2/`, which says whether one is let in.
    pub fn base(&self) -> Url {
        self.base.clone()
    }

    pub fn catalog_url(&self) -> Url {
        self.beside("/v2/_catalog")
    }

    /// Docker Hub's search, which is of the first version of the API and has a host of its own.
    pub fn search_url(&self) -> Url {
        let mut url = self.beside("/v1/search");
        if url.host_str() == Some("registry-1.docker.io") {
            let moved = url.set_host(Some("index.docker.io"));
            moved.expect("an https address may have another host");
        }
        url
    }

    fn beside(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
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

/// A loopback registry may speak either, and so may one that need not be verified; as docker does, https is tried first. A certificate that is not trusted is an
/// answer (the server does speak TLS), and so is the wish for one, so it never leads to plain HTTP.
fn probe(exchange: &Exchange<'_>, secure: Url, plain: Url) -> Result<Url, RegistryError> {
    // Reading the system's roots takes longer than all else.
    if is_loopback(&secure) && tls::is_spoken_by(&secure) == Some(false) {
        return Ok(plain);
    }
    match exchange.send(&Request::get(secure.clone())) {
        Ok(_) => Ok(secure),
        Err(
            error @ (RegistryError::Certificate { .. }
            | RegistryError::Client { .. }
            | RegistryError::NoClientCertificate { .. }
            | RegistryError::ReadCertificates { .. }
            | RegistryError::UnknownHost { .. }),
        ) => Err(error),
        Err(_) => Ok(plain),
    }
}
