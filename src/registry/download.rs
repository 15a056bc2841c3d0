//! A file by its URL, as `import` is given one. Verifies nothing: whoever typed the URL decides to trust what is there.

use std::io::{self, Read};

use reqwest::blocking::Response;
use url::Url;

use super::config::RegistryConfig;
use super::error::RegistryError;
use super::exchange::{Exchange, Request, host_of, printable};
use super::progress::Progress;
use super::retry;

/// A download that has begun; reading it reads on.
pub struct Download {
    /// Without credentials and query: fit to be shown and kept.
    pub url: String,
    /// When the server says it was changed, in seconds since 1970.
    pub modified: Option<u64>,
    body: Response,
}

/// Asks for what a URL of http or https names.
pub fn download(
    text: &str,
    config: &RegistryConfig,
    progress: &dyn Progress,
) -> Result<Download, RegistryError> {
    let url = Url::parse(text).map_err(|source| RegistryError::Url {
        text: printable(text, 200),
        source,
    })?;
    let shown = format!("{}://{}{}", url.scheme(), host_of(&url), url.path());
    let shown = printable(&shown, 1000);
    progress.note(&format!("Downloading from {shown}"));
    let exchange = Exchange::new(config);
    let body = retry::send(&exchange, &Request::get(url), progress)?;
    match body.status().as_u16() {
        200 => Ok(Download {
            url: shown,
            modified: modified(&body),
            body,
        }),
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
