//! One HTTP request and its answer: clients per host, proxies, time limits, and what a failure means. Follows nothing,
//! retries nothing, knows no credentials but the header it is given.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, IF_NONE_MATCH,
    RANGE,
};
use url::{Host, Url};

use super::config::RegistryConfig;
use super::download::Validator;
use super::error::RegistryError;
use super::secret::Secret;
use super::tls;

/// So many bytes of a body are sent each second at the least; a slower connection counts as broken.
const SLOWEST: u64 = 64 * 1024;

/// A request that may be sent more than once.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub url: Url,
    pub method: Method,
    /// The `Accept` header; empty for none.
    pub accept: &'static str,
    pub authorization: Option<Secret>,
    /// Ask for the bytes from here on.
    pub from: u64,
    /// Only if it is another than this one; said only where this was said.
    pub unless: Option<Validator>,
    pub body: Body,
    /// Its sender decides itself whether it is sent again.
    pub once: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Post,
    Patch,
    Put,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    None,
    /// A form; it holds a refresh token.
    Form(Secret),
    Bytes {
        media_type: String,
        bytes: Bytes,
        /// Where in an upload they belong.
        at: Option<u64>,
    },
}

impl Request {
    pub fn get(url: Url) -> Request {
        Request {
            url,
            method: Method::Get,
            accept: "",
            authorization: None,
            from: 0,
            unless: None,
            body: Body::None,
            once: false,
        }
    }

    pub fn new(method: Method, url: Url) -> Request {
        Request {
            method,
            ..Request::get(url)
        }
    }
}

/// Clients by host, made when first needed.
pub(super) struct Exchange<'a> {
    config: &'a RegistryConfig,
    clients: Mutex<BTreeMap<String, Client>>,
    stopped: Mutex<bool>,
    stopping: Condvar,
}

impl<'a> Exchange<'a> {
    pub fn new(config: &'a RegistryConfig) -> Exchange<'a> {
        Exchange {
            config,
            clients: Mutex::new(BTreeMap::new()),
            stopped: Mutex::new(false),
            stopping: Condvar::new(),
        }
    }

    /// Ends every wait of this transfer, now and from now on.
    pub fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stopping.notify_all();
    }

    pub fn is_stopped(&self) -> bool {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits before another try; an error when the transfer has been stopped meanwhile.
    pub fn pause(&self, long: Duration) -> Result<(), RegistryError> {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .stopping
            .wait_timeout_while(stopped, long, |stopped| !*stopped);
        let (stopped, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *stopped {
            return Err(RegistryError::Stopped);
        }
        Ok(())
    }

    pub fn config(&self) -> &'a RegistryConfig {
        self.config
    }

    /// One request, one answer of whatever status.
    pub fn send(&self, request: &Request) -> Result<Response, RegistryError> {
        let host = host_of(&request.url);
        let mut headers = HeaderMap::new();
        if !request.accept.is_empty() {
            headers.insert(ACCEPT, HeaderValue::from_static(request.accept));
        }
        if let Some(value) = request.authorization.as_ref().and_then(Secret::header) {
            headers.insert(AUTHORIZATION, value);
        }
        if let Some(known) = &request.unless
            && known.is_of(&request.url)
            && let Ok(value) = HeaderValue::from_str(&known.etag)
        {
            headers.insert(IF_NONE_MATCH, value);
        }
        if request.from > 0
            && let Ok(value) = HeaderValue::from_str(&format!("bytes={}-", request.from))
        {
            headers.insert(RANGE, value);
        }
        let client = self.client(&request.url)?;
        let url = request.url.clone();
        let builder = match request.method {
            Method::Get => client.get(url),
            Method::Head => client.head(url),
            Method::Post => client.post(url),
            Method::Patch => client.patch(url),
            Method::Put => client.put(url),
        };
        let builder = self.with_body(builder.headers(headers), &request.body);
        let answer = builder.send();
        let response = answer.map_err(|error| self.classify(&request.url, error))?;
        tracing::debug!(
            host,
            path = request.url.path(),
            status = response.status().as_u16(),
            "http"
        );
        Ok(response)
    }

    /// A body has the time that its length takes, and the server as long as for any answer.
    fn with_body(&self, builder: RequestBuilder, body: &Body) -> RequestBuilder {
        match body {
            Body::None => builder,
            Body::Form(form) => builder
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.expose().to_owned()),
            Body::Bytes {
                media_type,
                bytes,
                at,
            } => {
                let length = bytes.len() as u64;
                let seconds = Duration::from_secs(length / SLOWEST);
                let builder = builder
                    .header(CONTENT_TYPE, media_type)
                    .timeout(self.config.limits.idle_timeout + seconds)
                    .body(bytes.clone());
                match at {
                    // The specification of distribution: both ends included, without a unit.
                    Some(at) if length > 0 => {
                        builder.header(CONTENT_RANGE, format!("{at}-{}", at + length - 1))
                    }
                    _ => builder,
                }
            }
        }
    }

    fn client(&self, url: &Url) -> Result<Client, RegistryError> {
        let host = host_of(url);
        let key = format!("{}://{host}", url.scheme());
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = self.make_client(url, &host)?;
        clients.insert(key, client.clone());
        Ok(client)
    }

    fn make_client(&self, url: &Url, host: &str) -> Result<Client, RegistryError> {
        let tls = if url.scheme() == "https" && self.config.access.tls_verify == Some(false) {
            tls::unverified(host, &self.certificate_directories(host))?
        } else if url.scheme() == "https" {
            tls::client_config(host, &self.certificate_directories(host))?
        } else {
            tls::no_roots(host)?
        };
        let limits = &self.config.limits;
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("bryo/", env!("CARGO_PKG_VERSION")))
            // Credentials and protocols are decided at every hop, by `redirect`.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(limits.connect_timeout)
            .timeout(limits.idle_timeout);
        if is_loopback(url) {
            builder = builder.no_proxy();
        }
        builder.build().map_err(|source| RegistryError::Client {
            host: host.to_owned(),
            source: source.without_url(),
        })
    }

    fn certificate_directories(&self, host: &str) -> Vec<PathBuf> {
        if let Some(directory) = &self.config.access.cert_dir {
            return vec![directory.clone()];
        }
        let below = |directory: &PathBuf| directory.join(host);
        self.config.certs_dirs.iter().map(below).collect()
    }

    fn classify(&self, url: &Url, error: reqwest::Error) -> RegistryError {
        let host = host_of(url);
        if error.is_dns() {
            let reason = root_cause(&error);
            let reason = reason.replace("failed to lookup address information: ", "");
            return RegistryError::UnknownHost { host, reason };
        }
        if let Some(tls) = find_cause::<rustls::Error>(&error) {
            return self.classify_tls(host, tls);
        }
        if error.is_timeout() {
            let limits = &self.config.limits;
            let after = if error.is_connect() {
                limits.connect_timeout
            } else {
                limits.idle_timeout
            };
            return RegistryError::Timeout { host, after };
        }
        let reason = root_cause(&error);
        if error.is_connect() {
            RegistryError::Connect {
                reason: match proxy_variable(url) {
                    Some(name) => format!("{reason} (through the proxy that {name} names)"),
                    None => reason,
                },
                host,
            }
        } else {
            RegistryError::Broken { host, reason }
        }
    }

    fn classify_tls(&self, host: String, error: &rustls::Error) -> RegistryError {
        match error {
            rustls::Error::InvalidCertificate(fault) => RegistryError::Certificate {
                directory: self.certificate_directories(&host).into_iter().next(),
                reason: certificate_reason(fault),
                host,
            },
            rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired) => {
                RegistryError::NoClientCertificate {
                    directory: self.certificate_directories(&host).into_iter().next(),
                    host,
                }
            }
            rustls::Error::InvalidMessage(_) => RegistryError::Tls {
                host,
                reason: "the answer is not TLS, does it speak plain HTTP?".to_owned(),
            },
            other => RegistryError::Tls {
                reason: other.to_string(),
                host,
            },
        }
    }
}

fn certificate_reason(fault: &rustls::CertificateError) -> String {
    match fault {
        rustls::CertificateError::UnknownIssuer => "signed by an unknown authority".to_owned(),
        other => rustls::Error::InvalidCertificate(other.clone()).to_string(),
    }
}

/// `host` or `host:port`, as certs.d, credentials and messages name a server.
pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The variable whose proxy may be in the way; its value can hold credentials, so only the name is shown.
fn proxy_variable(url: &Url) -> Option<&'static str> {
    let names: [&str; 4] = match url.scheme() {
        "https" => ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"],
        _ => ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"],
    };
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let set = names.into_iter().find(is_set);
    set.filter(|_| !is_loopback(url))
}

/// Whether the URL names this machine, by the addresses and the one name that never leave it.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// The innermost message: "Connection refused (os error 111)" without the layers of libraries above it.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(next) = innermost.source() {
        innermost = next;
    }
    printable(&innermost.to_string(), 200)
}

/// Looks through a chain of sources, and into `io::Error`s, whose `source` skips the error they hold.
fn find_cause<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        if let Some(inner) = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            let inner: &(dyn Error + 'static) = inner;
            if let Some(found) = find_cause::<T>(inner) {
                return Some(found);
            }
        }
        next = error.source();
    }
    None
}

/// A body of at most `limit` bytes; `None` when there is more, so that nothing is ever cut silently.
pub(super) fn read_bounded(response: &mut Response, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let announced = response.content_length();
    if announced.is_some_and(|length| length > limit) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    response.take(limit + 1).read_to_end(&mut bytes)?;
    let within = u64::try_from(bytes.len()).is_ok_and(|length| length <= limit);
    Ok(within.then_some(bytes))
}

/// The innermost message of an error that reading a body gave.
pub(super) fn read_reason(error: &io::Error) -> String {
    root_cause(error)
}

/// A server's text made fit for one line of a terminal: no control characters, at most `limit` characters.
pub(super) fn printable(text: &str, limit: usize) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(visible).take(limit).collect()
}
