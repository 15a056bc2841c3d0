//! Redirects: which are followed, and what goes with them. Never sends credentials to a host that did not ask for them.

use reqwest::blocking::Response;
use reqwest::header::LOCATION;
use url::Url;

use super::error::RegistryError;
use super::exchange::{Body, Exchange, Method, Request, host_of, is_loopback, printable};

const LIMIT: usize = 5;

/// Sends a request and follows its redirects. The authorization stays with scheme, host and port it was made for.
pub(super) fn send(exchange: &Exchange<'_>, request: &Request) -> Result<Response, RegistryError> {
    let origin = host_of(&request.url);
    let mut request = request.clone();
    let mut seen = vec![request.url.clone()];
    loop {
        let response = exchange.send(&request)?;
        if !is_followed(&request, response.status().as_u16()) {
            return Ok(response);
        }
        let target = location(exchange, &origin, &request.url, &response)?;
        if seen.contains(&target) {
            return Err(RegistryError::RedirectLoop {
                host: origin,
                url: shown(&target),
            });
        }
        if seen.len() > LIMIT {
            return Err(RegistryError::TooManyRedirects {
                host: origin,
                limit: LIMIT,
            });
        }
        if target.origin() != request.url.origin() {
            request.authorization = None;
        }
        seen.push(target.clone());
        request.url = target;
    }
}

/// A form holds a secret and goes nowhere else; what is not read-only only where method and body are kept (RFC 9110).
fn is_followed(request: &Request, status: u16) -> bool {
    match (request.method, &request.body) {
        (_, Body::Form(_)) => false,
        (Method::Get | Method::Head, _) => matches!(status, 301 | 302 | 303 | 307 | 308),
        _ => matches!(status, 307 | 308),
    }
}

/// Where the `Location` of an answer leads, if that is an address to go to from here.
pub(super) fn location(
    exchange: &Exchange<'_>,
    origin: &str,
    from: &Url,
    response: &Response,
) -> Result<Url, RegistryError> {
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let refused = |target: &str| RegistryError::RedirectTarget {
        host: origin.to_owned(),
        target: printable(target, 200),
    };
    let mut target = from.join(location).map_err(|_| refused(location))?;
    if location.is_empty() {
        return Err(refused(location));
    }
    target.set_fragment(None);
    // Credentials in a URL would become an Authorization header that nobody here decided about.
    let has_credentials = !target.username().is_empty() || target.password().is_some();
    match (from.scheme(), target.scheme()) {
        _ if has_credentials || target.host().is_none() => Err(refused(&shown(&target))),
        (_, "https") => Ok(target),
        ("https", "http") => Err(RegistryError::RedirectDowngrade {
            host: origin.to_owned(),
            target: host_of(&target),
        }),
        ("http", "http") if may_be_plain(exchange, &target) => Ok(target),
        _ => Err(refused(&shown(&target))),
    }
}

fn may_be_plain(exchange: &Exchange<'_>, target: &Url) -> bool {
    is_loopback(target) || exchange.config().is_insecure(&host_of(target))
}

/// Without query, which holds signatures in the addresses of content networks, and without credentials.
fn shown(url: &Url) -> String {
    let text = format!("{}://{}{}", url.scheme(), host_of(url), url.path());
    printable(&text, 200)
}
