//! One blob as a stream that survives broken connections and ends only when size and digest are right.

use std::io::Read;

use reqwest::blocking::Response;
use reqwest::header::CONTENT_RANGE;
use sha2::{Digest as _, Sha256};

use super::auth::Session;
use super::error::RegistryError;
use super::exchange::{Request, read_reason};
use super::manifest::Blob;
use super::partial::Partial;
use super::retry::{self, backoff};
use crate::image::Digest;

/// So many bytes since the last resumption show that the connection is merely bad.
const PROGRESS: u64 = 1 << 20;

/// Where a blob comes from.
pub(super) struct Source<'a> {
    pub session: &'a Session<'a>,
    /// The image's name, for messages.
    pub reference: &'a str,
    /// Requests of this blob.
    pub url: url::Url,
}

/// The verifying stream. `read` gives `Ok(0)` only after the last byte was checked.
pub(super) struct BlobStream<'a> {
    source: Source<'a>,
    blob: &'a Blob,
    response: Option<Response>,
    hasher: Sha256,
    received: u64,
    /// Since the last real progress.
    resumes: u32,
    /// Bytes that were there at the last resumption.
    resumed_at: u64,
    verified: bool,
    partial: Option<Partial>,
    /// Some of the bytes are an earlier process's.
    had_partial: bool,
}

impl<'a> BlobStream<'a> {
    pub fn open(source: Source<'a>, blob: &'a Blob) -> Result<BlobStream<'a>, RegistryError> {
        let config = source.session.exchange().config();
        let cache = config.cache.as_deref();
        let cache = cache.filter(|_| blob.size >= config.limits.partial_from);
        let partial = cache.and_then(|cache| Partial::open(cache, blob));
        let mut stream = BlobStream {
            had_partial: partial.as_ref().is_some_and(Partial::has_unread),
            partial,
            source,
            blob,
            response: None,
            hasher: Sha256::new(),
            received: 0,
            resumes: 0,
            resumed_at: 0,
            verified: false,
        };
        // The registry is asked when what is here has been read.
        if !stream.had_partial {
            stream.connect()?;
        }
        Ok(stream)
    }

    /// A whole small blob in memory; the caller has bounded its size.
    pub fn read_all(mut self) -> Result<Vec<u8>, RegistryError> {
        let mut bytes = Vec::new();
        let mut chunk = vec![0; 32 * 1024];
        loop {
            match self.read(&mut chunk)? {
                0 => return Ok(bytes),
                length => bytes.extend_from_slice(&chunk[..length]),
            }
        }
    }

    /// Fills the buffer, except at the end.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, RegistryError> {
        let mut filled = 0;
        while filled < buffer.len() && !self.verified {
            match self.read_once(&mut buffer[filled..])? {
                Some(length) => filled += length,
                None => self.verify()?,
            }
        }
        Ok(filled)
    }

    /// Some bytes, or `None` when the expected size is reached and nothing follows.
    fn read_once(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, RegistryError> {
        if let Some(length) = self.read_partial(buffer) {
            return Ok(Some(length));
        }
        if self.response.is_none() && self.received < self.blob.size {
            self.connect()?;
        }
        let Some(response) = &mut self.response else {
            return Ok(None);
        };
        let left = self.blob.size - self.received;
        // One byte more than expected, to notice a blob that is too long.
        let wanted = usize::try_from(left.saturating_add(1)).unwrap_or(usize::MAX);
        let wanted = wanted.min(buffer.len());
        match response.read(&mut buffer[..wanted]) {
            Ok(0) if left == 0 => Ok(None),
            Ok(0) => {
                self.resume("it ended early")?;
                Ok(Some(0))
            }
            Ok(length) => {
                let count = u64::try_from(length).unwrap_or(u64::MAX);
                if count > left {
                    return Err(RegistryError::BlobTooLong {
                        digest: self.blob.digest.clone(),
                        expected: self.blob.size,
                    });
                }
                self.hasher.update(&buffer[..length]);
                self.received += count;
                let kept = self
                    .partial
                    .as_mut()
                    .map(|partial| partial.keep(&buffer[..length]));
                if let Some(Err(error)) = kept {
                    tracing::debug!(digest = %self.blob.digest, %error, "the download is not kept");
                    self.forget_partial();
                }
                Ok(Some(length))
            }
            // All bytes are here, only the goodbye is missing.
            Err(_) if left == 0 => Ok(None),
            Err(error) => {
                self.resume(&read_reason(&error))?;
                Ok(Some(0))
            }
        }
    }

    /// Some bytes of what an earlier process left; `None` when there are no more.
    fn read_partial(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let partial = self
            .partial
            .as_mut()
            .filter(|partial| partial.has_unread())?;
        match partial.read(buffer) {
            Ok(length) if length > 0 => {
                self.hasher.update(&buffer[..length]);
                self.received += length as u64;
                self.resumed_at = self.received;
                Some(length)
            }
            _ => {
                self.forget_partial();
                None
            }
        }
    }

    fn forget_partial(&mut self) {
        if let Some(partial) = self.partial.take() {
            partial.remove();
        }
    }

    /// Whether some of the bytes come from an earlier process.
    pub fn had_partial(&self) -> bool {
        self.had_partial
    }

    fn verify(&mut self) -> Result<(), RegistryError> {
        let actual = Digest::from_hash(&self.hasher.finalize_reset());
        self.forget_partial();
        if actual != self.blob.digest && self.had_partial {
            return Err(RegistryError::StalePartial {
                digest: self.blob.digest.clone(),
            });
        }
        if actual != self.blob.digest {
            return Err(RegistryError::BlobDigest {
                digest: self.blob.digest.clone(),
                actual,
            });
        }
        self.verified = true;
        self.response = None;
        Ok(())
    }

    fn resume(&mut self, reason: &str) -> Result<(), RegistryError> {
        let limits = &self.source.session.exchange().config().limits;
        self.response = None;
        if self.received >= self.resumed_at + PROGRESS {
            self.resumes = 0;
        }
        self.resumed_at = self.received;
        if self.resumes >= limits.resumes {
            return Err(RegistryError::BlobBroken {
                digest: self.blob.digest.clone(),
                tries: self.resumes + 1,
                received: self.received,
                expected: self.blob.size,
                reason: reason.to_owned(),
            });
        }
        self.resumes += 1;
        tracing::debug!(digest = %self.blob.digest, received = self.received, reason, "resume");
        let wait = backoff(limits, self.resumes);
        self.source.session.exchange().pause(wait)?;
        self.connect()
    }

    fn connect(&mut self) -> Result<(), RegistryError> {
        let request = Request {
            from: self.received,
            ..Request::get(self.source.url.clone())
        };
        let mut response = self.source.session.send(request)?;
        match response.status().as_u16() {
            200 => self.check_length(&response, self.blob.size)?,
            206 if self.received > 0 && range_start(&response) == Some(self.received) => {
                self.check_length(&response, self.blob.size - self.received)?;
                self.response = Some(response);
                return Ok(());
            }
            404 | 410 => {
                return Err(RegistryError::UnknownBlob {
                    reference: self.source.reference.to_owned(),
                    host: self.source.session.host().to_owned(),
                    digest: self.blob.digest.clone(),
                });
            }
            status => {
                return Err(RegistryError::Status {
                    operation: format!("fetch blob {}", self.blob.digest),
                    host: self.source.session.host().to_owned(),
                    status,
                    message: retry::server_message(&mut response),
                });
            }
        }
        self.response = Some(response);
        self.skip(self.received)
    }

    /// A server that answers a range with the whole blob: what is known already is read again and dropped. It is the
    /// digest of what was used that is verified, so a server that sends something else now changes nothing.
    fn skip(&mut self, mut left: u64) -> Result<(), RegistryError> {
        let mut scrap = vec![0; 64 * 1024];
        while left > 0 {
            let Some(response) = &mut self.response else {
                return Ok(());
            };
            let wanted = usize::try_from(left).map_or(scrap.len(), |left| left.min(scrap.len()));
            match response.read(&mut scrap[..wanted]) {
                Ok(0) => return self.resume("it ended early"),
                Ok(length) => left -= u64::try_from(length).unwrap_or(left),
                Err(error) => return self.resume(&read_reason(&error)),
            }
        }
        Ok(())
    }

    /// A length announced wrongly is a wrong blob, known before a byte of it is read.
    fn check_length(&self, response: &Response, expected: u64) -> Result<(), RegistryError> {
        match response.content_length() {
            Some(length) if length != expected => Err(RegistryError::BlobSize {
                digest: self.blob.digest.clone(),
                expected: self.blob.size,
                actual: length + (self.blob.size - expected),
            }),
            _ => Ok(()),
        }
    }
}

/// The first byte of `Content-Range: bytes 5-9/10`.
fn range_start(response: &Response) -> Option<u64> {
    let value = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let range = value.strip_prefix("bytes ")?;
    range.split('-').next()?.trim().parse().ok()
}
