//! A file by its URL, as `import` is given one. Verifies nothing: whoever typed the URL decides to trust what is there.

use std::io::{self, Read};

use reqwest::blocking::Response;
use serde::{Deserialize, Serialize};
use url::Url;

use super::config::RegistryConfig;
use super::error::RegistryError;
use super::exchange::{Exchange, Request, host_of, printable};
use super::progress::Progress;
use super::retry;

/// What a server said of a file, by which it knows later whether it is still the same (RFC 9110, 8.8).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    pub etag: Option<String>,
    /// `Last-Modified`, as it was said.
    pub modified: Option<String>,
}

impl Validators {
    fn of(response: &Response) -> Validators {
        let header = |name| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        Validators {
            etag: header("etag"),
            modified: header("last-modified"),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.modified.is_none()
    }
}

/// A download that has begun; reading it reads on.
pub struct Download {
    /// Without credentials and query: fit to be shown and kept.
    pub url: String,
    /// When the server says it was changed, in seconds since 1970.
    pub modified: Option<u64>,
    pub validators: Validators,
    body: Response,
}

/// Asks for what a URL of http or https names.
pub fn download(
    text: &str,
    config: &RegistryConfig,
    progress: &dyn Progress,
) -> Result<Download, RegistryError> {
    match download_unless(text, None, config, progress)? {
        Some(download) => Ok(download),
        // Nobody was told that anything is known.
        None => Err(RegistryError::Download {
            url: printable(text, 200),
            status: 304,
        }),
    }
}

/// None: it is still what it was when the server said this of it.
pub fn download_unless(
    text: &str,
    known: Option<Validators>,
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
    let is_known = known.is_some();
    let request = Request {
        unless: known,
        ..Request::get(url)
    };
    let body = retry::send(&exchange, &request, progress)?;
    match body.status().as_u16() {
        304 if is_known => Ok(None),
        200 => Ok(Some(Download {
            url: shown,
            modified: modified(&body),
            validators: Validators::of(&body),
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
