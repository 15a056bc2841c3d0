//! One blob into a repository: asked for, mounted from another repository, or sent in chunks that go on where a broken
//! connection left them.

use bytes::Bytes;
use reqwest::blocking::Response;
use reqwest::header::{LOCATION, RANGE};
use url::Url;

use super::auth::Session;
use super::endpoint::Endpoint;
use super::error::RegistryError;
use super::exchange::{Body, Method, Request};
use super::manifest::Blob;
use super::redirect;
use super::retry::{self, backoff};
use crate::image::Digest;

const BYTES: &str = "application/octet-stream";

/// A repository that is written to.
pub(super) struct Target<'a> {
    pub session: &'a Session<'a>,
    pub endpoint: &'a Endpoint,
    /// As references name it.
    pub repository: &'a str,
    /// The image's name, for messages.
    pub reference: &'a str,
}

/// What came of the request to mount a blob or to begin an upload.
pub(super) enum Begun<'a> {
    Mounted,
    Upload(Upload<'a>),
}

/// An upload at work.
pub(super) struct Upload<'a> {
    target: &'a Target<'a>,
    location: Url,
    /// Bytes that the registry has.
    offset: u64,
}

impl<'a> Target<'a> {
    /// Whether the repository has the blob.
    pub fn has(&self, blob: &Blob) -> Result<bool, RegistryError> {
        let url = self
            .endpoint
            .url(self.repository, "blobs", blob.digest.as_str());
        let response = self.session.send(Request::new(Method::Head, url))?;
        let length = response.headers().get("content-length");
        let length = length.and_then(|text| text.to_str().ok()?.parse::<u64>().ok());
        // A blob of another size is another blob, whatever is said of its digest.
        Ok(response.status().is_success() && length.is_none_or(|length| length == blob.size))
    }

    /// Begins an upload, or takes the blob from another repository of the registry where it has it.
    pub fn begin(&'a self, from: Option<(&Digest, &str)>) -> Result<Begun<'a>, RegistryError> {
        let mut url = self.endpoint.url(self.repository, "blobs", "uploads/");
        if let Some((digest, repository)) = from {
            url.query_pairs_mut()
                .append_pair("mount", digest.as_str())
                .append_pair("from", repository);
        }
        let response = self.session.send(Request::new(Method::Post, url))?;
        match response.status().as_u16() {
            201 if from.is_some() => Ok(Begun::Mounted),
            202 => Ok(Begun::Upload(Upload {
                location: self.location(&response)?,
                target: self,
                offset: 0,
            })),
            _ => Err(self.unexpected("begin an upload for", response)),
        }
    }

    /// A whole small blob.
    pub fn put(&self, bytes: &[u8], digest: &Digest) -> Result<(), RegistryError> {
        match self.begin(None)? {
            Begun::Mounted => Ok(()),
            Begun::Upload(mut upload) => {
                upload.chunk(Bytes::copy_from_slice(bytes))?;
                upload.finish(digest, bytes.len() as u64)
            }
        }
    }

    fn location(&self, response: &Response) -> Result<Url, RegistryError> {
        redirect::location(
            self.session.exchange(),
            self.session.host(),
            response.url(),
            response,
        )
    }

    pub fn unexpected(&self, operation: &str, mut response: Response) -> RegistryError {
        RegistryError::Status {
            operation: format!("{operation} {}", self.reference),
            host: self.session.host().to_owned(),
            status: response.status().as_u16(),
            message: retry::server_message(&mut response),
        }
    }

    fn lost(&self, reason: String) -> RegistryError {
        RegistryError::UploadLost {
            reference: self.reference.to_owned(),
            host: self.session.host().to_owned(),
            reason,
        }
    }
}

impl Upload<'_> {
    /// Sends the next bytes, as often as it takes.
    pub fn chunk(&mut self, bytes: Bytes) -> Result<(), RegistryError> {
        let start = self.offset;
        let end = start + bytes.len() as u64;
        let limits = &self.target.session.exchange().config().limits;
        let mut tries = 0;
        while self.offset < end {
            let before = self.offset;
            let sent = usize::try_from(before - start).expect("it lies within the chunk");
            let failure = match self.patch(bytes.slice(sent..), end) {
                Ok(None) => continue,
                Ok(Some(failure)) => failure,
                Err(error) if retry::is_transient(&error) => error.to_string(),
                Err(error) => return Err(error),
            };
            tries += 1;
            if tries > limits.resumes {
                return Err(self.target.lost(failure));
            }
            tracing::debug!(offset = before, failure, "resume an upload");
            self.target
                .session
                .exchange()
                .pause(backoff(limits, tries))?;
            self.ask(&failure)?;
            if self.offset < start || self.offset > end {
                let offset = self.offset;
                return Err(self.target.lost(format!(
                    "{failure}; the registry has {offset} bytes of it now"
                )));
            }
            if self.offset > before {
                tries = 0;
            }
        }
        Ok(())
    }

    /// One request; why it has to be repeated, if it has.
    fn patch(&mut self, bytes: Bytes, end: u64) -> Result<Option<String>, RegistryError> {
        let request = Request {
            body: Body::Bytes {
                media_type: BYTES.to_owned(),
                bytes,
                at: Some(self.offset),
            },
            once: true,
            ..Request::new(Method::Patch, self.location.clone())
        };
        let response = self.target.session.send(request)?;
        match response.status().as_u16() {
            status @ (200 | 201 | 202 | 204) => {
                self.location = self.target.location(&response)?;
                self.offset = received(&response).unwrap_or(end);
                let short = self.offset != end;
                Ok(short.then(|| format!("answered {status} to a part of a chunk")))
            }
            status @ 416 => Ok(Some(format!("answered {status}"))),
            status if retry::is_temporary(status) => Ok(Some(format!("answered {status}"))),
            404 => Err(self.target.lost("it knows of no such upload".to_owned())),
            _ => Err(self.target.unexpected("upload a layer of", response)),
        }
    }

    /// Asks how far it is.
    fn ask(&mut self, failure: &str) -> Result<(), RegistryError> {
        let request = Request::get(self.location.clone());
        let response = self.target.session.send(request)?;
        if !response.status().is_success() {
            return Err(self.target.lost(failure.to_owned()));
        }
        if response.headers().contains_key(LOCATION) {
            self.location = self.target.location(&response)?;
        }
        self.offset = received(&response).unwrap_or(0);
        Ok(())
    }

    /// Gives the blob its name.
    pub fn finish(self, digest: &Digest, size: u64) -> Result<(), RegistryError> {
        let mut url = self.location;
        url.query_pairs_mut().append_pair("digest", digest.as_str());
        let request = Request {
            body: Body::Bytes {
                media_type: BYTES.to_owned(),
                bytes: Bytes::new(),
                at: None,
            },
            ..Request::new(Method::Put, url)
        };
        let response = self.target.session.send(request)?;
        if response.status().is_success() {
            return Ok(());
        }
        // The first of two answers may have been lost, and the second knows of no upload any more.
        let blob = Blob {
            digest: digest.clone(),
            size,
            media_type: String::new(),
        };
        match response.status().as_u16() {
            404 if self.target.has(&blob)? => Ok(()),
            _ => Err(self
                .target
                .unexpected("end the upload of a layer of", response)),
        }
    }
}

/// How many bytes have arrived: `Range: 0-N`, both ends included, in one unit or none. `0-0` is docker's for nothing.
fn received(response: &Response) -> Option<u64> {
    let text = response.headers().get(RANGE)?.to_str().ok()?;
    let text = text.strip_prefix("bytes=").unwrap_or(text);
    let last: u64 = text.strip_prefix("0-")?.parse().ok()?;
    Some(if last == 0 { 0 } else { last + 1 })
}
