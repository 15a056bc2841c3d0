//! A file by its URL, as `import` is given one. Verifies nothing: whoever typed the URL decides to trust what is there.

use std::io::{self, Read};

use reqwest::blocking::Response;
use serde::{Deserialize, Serialize};
use url::Url;

use super::config::RegistryConfig;
use super::error::RegistryError;
use super::exchange::{Exchange, Request, host_of, is_loopback, printable};
use super::progress::Progress;
use super::retry;
use super::secret::Secret;
use crate::image::Digest;

/// What a server called the state of a file, by which it knows later whether it is still the same (RFC 9110, 8.8.3). A time of its last
/// change is none: a file may be replaced by an older one, or twice within a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validator {
    pub etag: String,
    /// Of the URL where the redirects ended, which may hold a signature. The word means nothing anywhere else.
    place: Digest,
}

impl Validator {
    fn of(response: &Response) -> Option<Validator> {
        let etag = response.headers().get("etag")?.to_str().ok()?;
        Some(Validator {
            etag: etag.to_owned(),
            place: place_of(response.url()),
        })
    }

    /// Whether it was said of what is there.
    pub(super) fn is_of(&self, url: &Url) -> bool {
        self.place == place_of(url)
    }
}

fn place_of(url: &Url) -> Digest {
    Digest::of(url.as_str().as_bytes())
}

/// A download that has begun; reading it reads on.
pub struct Download {
    /// Without credentials and query: fit to be shown and kept.
    pub url: String,
    /// When the server says it was changed, in seconds since 1970.
    pub modified: Option<u64>,
    pub validator: Option<Validator>,
    body: Response,
}

/// Asks for what a URL of http or https names.
pub fn download(
    text: &str,
    config: &RegistryConfig,
    progress: &dyn Progress,
) -> Result<Download, RegistryError> {
    match download_unless(text, (None, None), config, progress)? {
        Some(download) => Ok(download),
        // Nobody was told that anything is known.
        None => Err(RegistryError::Download {
            url: printable(text, 200),
            status: 304,
        }),
    }
}

/// None: it is still what it was when the server said this of it. The authorization goes to the host that the URL names alone, by https or
/// to the loopback.
pub fn download_unless(
    text: &str,
    (known, authorization): (Option<Validator>, Option<Secret>),
    config: &RegistryConfig,
    progress: &dyn Progress,
) -> Result<Option<Download>, RegistryError> {
    let url = Url::parse(text).map_err(|source| RegistryError::Url {
        text: printable(text, 200),
        source,
    })?;
    let shown = format!("{}://{}{}", url.scheme(), host_of(&url), url.path());
    let shown = printable(&shown, 1000);
    progress.note(&format!("Downloading from {shown}"));
    let exchange = Exchange::new(config);
    let is_safe = url.scheme() == "https" || is_loopback(&url);
    let request = Request {
        unless: known.clone(),
        authorization: authorization.filter(|_| is_safe),
        ..Request::get(url)
    };
    let body = retry::send(&exchange, &request, progress)?;
    match body.status().as_u16() {
        304 if known.is_some_and(|known| known.is_of(body.url())) => Ok(None),
        200 => Ok(Some(Download {
            url: shown,
            modified: modified(&body),
            validator: Validator::of(&body),
            body,
        })),
        status => Err(RegistryError::Download { url: shown, status }),
    }
}

/// RFC 9110, 8.8.2: a date in the form of RFC 5322.
fn modified(response: &Response) -> Option<u64> {
    let text = response.headers().get("last-modified")?.to_str().ok()?;
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    u64::try_from(time.timestamp().as_second()).ok()
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body.read(buffer)
    }
}
