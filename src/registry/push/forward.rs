//! A layer's original bytes, sent on from where they still are: a blob that the store kept, or a registry that gives it. Makes no
//! blob of its own, and a failure of the place they come from is no failure of the push.

use std::io::Read;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::super::blob::BlobStream;
use super::super::error::RegistryError;
use super::super::locations::Location;
use super::super::manifest::Blob;
use super::super::origin::{self, Origin};
use super::super::upload::{Begun, Upload};
use super::{CHUNK, Push, QUESTIONS};
use crate::image::Digest;

impl Push<'_> {
    /// Sends the very bytes that a registry has, if one can be found that still gives them. A failure there is none of this
    /// push, which then makes a blob of its own.
    pub(super) fn forward<'s>(
        &'s self,
        diff_id: &Digest,
        original: &Blob,
        known: &[Location],
        begun: &mut Option<Upload<'s>>,
    ) -> Result<bool, RegistryError> {
        if self.forward_kept(diff_id, original)? {
            return Ok(true);
        }
        let config = self.target.session.exchange().config();
        let places = known.iter().filter(|at| at.blob() == *original);
        for location in places.take(QUESTIONS) {
            let patience = origin::impatient(config);
            let opened = Origin::open(location, &patience);
            let mut stream = match opened.as_ref().map(|origin| origin.stream(original)) {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    self.not_from(location, &error);
                    continue;
                }
                Err(error) => {
                    self.not_from(location, error);
                    continue;
                }
            };
            self.progress.uploading(diff_id);
            let upload = match begun.take() {
                Some(upload) => Begun::Upload(upload),
                None => self.target.begin(None)?,
            };
            let Begun::Upload(mut upload) = upload else {
                return Ok(true);
            };
            match self.relay(diff_id, original, &mut stream, &mut upload) {
                Ok(()) => {
                    upload.finish(&original.digest, original.size)?;
                    return Ok(true);
                }
                Err(Relay::Source(error)) => self.not_from(location, &error),
                // What was sent before is gone there: the ordinary way begins again.
                Err(Relay::Target(RegistryError::UploadLost { .. })) => return Ok(false),
                Err(Relay::Target(error)) => return Err(error),
            }
        }
        Ok(false)
    }

    /// The same from the store. A file that was damaged is as good as none: the registry compares the digest.
    fn forward_kept(&self, diff_id: &Digest, original: &Blob) -> Result<bool, RegistryError> {
        let Some(mut file) = self.source.kept(&original.digest, original.size) else {
            return Ok(false);
        };
        let Begun::Upload(mut upload) = self.target.begin(None)? else {
            return Ok(true);
        };
        self.progress.uploading(diff_id);
        let mut hasher = Sha256::new();
        let most = usize::try_from(original.size)
            .unwrap_or(CHUNK)
            .clamp(1, CHUNK);
        loop {
            if self.target.session.exchange().is_stopped() {
                return Err(RegistryError::Stopped);
            }
            let mut chunk = Vec::new();
            let read = (&mut file).take(most as u64).read_to_end(&mut chunk);
            match read {
                Ok(0) => break,
                Ok(length) => {
                    hasher.update(&chunk);
                    match upload.chunk(Bytes::from(chunk)) {
                        Err(RegistryError::UploadLost { .. }) => return Ok(false),
                        sent => sent?,
                    }
                    self.progress.advanced(diff_id, length as u64);
                }
                Err(error) => {
                    tracing::debug!(%error, digest = %original.digest, "read a kept blob");
                    return Ok(false);
                }
            }
        }
        if Digest::from_hash(&hasher.finalize()) != original.digest {
            tracing::warn!(digest = %original.digest, "a kept blob was damaged");
            return Ok(false);
        }
        upload.finish(&original.digest, original.size)?;
        Ok(true)
    }

    fn not_from(&self, location: &Location, error: &RegistryError) {
        let Location {
            host, repository, ..
        } = location;
        tracing::debug!(host, repository, %error, "the original layer cannot be had again");
    }

    fn relay(
        &self,
        diff_id: &Digest,
        original: &Blob,
        stream: &mut BlobStream<'_>,
        upload: &mut Upload<'_>,
    ) -> Result<(), Relay> {
        let most = usize::try_from(original.size).unwrap_or(CHUNK);
        loop {
            if self.target.session.exchange().is_stopped() {
                return Err(Relay::Target(RegistryError::Stopped));
            }
            let mut chunk = vec![0; most.clamp(1, CHUNK)];
            let length = stream.read(&mut chunk).map_err(Relay::Source)?;
            if length == 0 {
                return Ok(());
            }
            chunk.truncate(length);
            let sent = upload.chunk(Bytes::from(chunk));
            sent.map_err(Relay::Target)?;
            self.progress.advanced(diff_id, length as u64);
        }
    }
}

/// Which end of a relayed blob failed.
enum Relay {
    Source(RegistryError),
    Target(RegistryError),
}
