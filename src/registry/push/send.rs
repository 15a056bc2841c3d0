//! A layer that is compressed and sent at once: in one request that has no end before the layer has, and where that fails, or a
//! registry does not want it, in chunks that are sent again each by itself. The same bytes come of it each time.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Builder;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::super::compress::{Chunks, Compressor, Packing, Piece};
use super::super::error::RegistryError;
use super::super::flow::{FlowWriter, flow};
use super::super::manifest::Blob;
use super::super::sink::SinkError;
use super::super::upload::{Appended, Begun, Upload};
use super::{CHUNK, Push};
use crate::image::{Digest, Toc};

/// What came of one request for all of a layer.
enum Whole<'a> {
    Sent(Blob),
    /// The rest has to follow, of an upload that goes on or of a new one.
    Left(Option<Upload<'a>>),
}

impl Push<'_> {
    pub(super) fn send<'s>(
        &'s self,
        diff_id: &Digest,
        packing: Packing,
        mut begun: Option<Upload<'s>>,
    ) -> Result<Blob, RegistryError> {
        if !self.in_parts.load(Ordering::Relaxed) {
            match self.whole(diff_id, packing, begun)? {
                Whole::Sent(blob) => return Ok(blob),
                Whole::Left(upload) => begun = upload,
            }
        }
        match self.in_chunks(diff_id, packing, begun) {
            // What was sent before is gone there: once more from the beginning.
            Err(RegistryError::UploadLost { reason, .. }) => {
                self.again(diff_id, &reason);
                self.in_chunks(diff_id, packing, None)
            }
            sent => sent,
        }
    }

    fn again(&self, diff_id: &Digest, reason: &str) {
        self.progress
            .note(&format!("{}: {reason}, sending it again", diff_id.short()));
    }

    fn whole<'s>(
        &'s self,
        diff_id: &Digest,
        packing: Packing,
        begun: Option<Upload<'s>>,
    ) -> Result<Whole<'s>, RegistryError> {
        let mut upload = match begun {
            Some(upload) => upload,
            None => self.begin()?,
        };
        let (to, flow) = flow();
        let advanced = |length| self.progress.advanced(diff_id, length);
        let (written, sent) = self.beside(diff_id, packing, to, FlowWriter::end, || {
            upload.append(flow, &advanced)
        })?;
        let reason = match sent? {
            Appended::Broken => return Err(written.err().unwrap_or(RegistryError::Stopped)),
            Appended::All(received) => {
                let ((digest, size), toc) = written?;
                if received.is_none_or(|received| received == size) {
                    upload.finish(&digest, size)?;
                    return Ok(Whole::Sent(self.blob(digest, size, packing, toc)));
                }
                "took a part of the layer".to_owned()
            }
            Appended::Part(reason) => {
                tracing::debug!(reason, %diff_id, "resume an upload");
                match upload.resume(&reason) {
                    Ok(()) => return Ok(Whole::Left(Some(upload))),
                    Err(RegistryError::UploadLost { reason, .. }) => reason,
                    Err(error) => return Err(error),
                }
            }
            Appended::Refused(reason) => {
                self.in_parts.store(true, Ordering::Relaxed);
                reason
            }
        };
        self.again(diff_id, &reason);
        Ok(Whole::Left(None))
    }

    fn begin(&self) -> Result<Upload<'_>, RegistryError> {
        match self.target.begin(None)? {
            Begun::Upload(upload) => Ok(upload),
            Begun::Mounted => Err(RegistryError::Stopped),
        }
    }

    fn blob(&self, digest: Digest, size: u64, packing: Packing, toc: Option<Toc>) -> Blob {
        if let Some(toc) = toc {
            self.tocs().insert(digest.clone(), toc);
        }
        Blob {
            digest,
            size,
            media_type: packing.media_type().to_owned(),
        }
    }

    /// Compresses into `to` in a thread beside this one, in which `work` takes it from there.
    #[expect(clippy::type_complexity, reason = "what each of the two came to")]
    fn beside<W: Write + Send + 'static, E: Send, R>(
        &self,
        diff_id: &Digest,
        packing: Packing,
        to: W,
        end: fn(W) -> io::Result<E>,
        work: impl FnOnce() -> R,
    ) -> Result<(Result<(E, Option<Toc>), RegistryError>, R), RegistryError> {
        let failed = |source| RegistryError::ReadLayer {
            diff_id: diff_id.clone(),
            source,
        };
        std::thread::scope(|scope| {
            let compressing =
                Builder::new()
                    .name("compress".to_owned())
                    .spawn_scoped(scope, || {
                        let broken = |error| failed(SinkError::new(CompressFailure(error)));
                        let mut compressor =
                            Compressor::new(packing, &self.workers, to).map_err(broken)?;
                        self.source
                            .write(diff_id, &mut compressor)
                            .map_err(failed)?;
                        let (to, toc) = compressor.end().map_err(broken)?;
                        Ok((end(to).map_err(broken)?, toc))
                    });
            let compressing = compressing.map_err(|source| RegistryError::Thread {
                digest: diff_id.clone(),
                source,
            })?;
            let worked = work();
            match compressing.join() {
                Ok(written) => Ok((written, worked)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// What of the layer an upload has not had yet, or all of it.
    fn in_chunks(
        &self,
        diff_id: &Digest,
        packing: Packing,
        begun: Option<Upload<'_>>,
    ) -> Result<Blob, RegistryError> {
        let (to, pieces) = sync_channel(1);
        let to = Chunks::new(to, CHUNK);
        let (written, sent) = self.beside(diff_id, packing, to, Chunks::end, || {
            self.upload(diff_id, begun, pieces)
        })?;
        match (written, sent) {
            // Who reads the layer saw only that nobody took any more of it.
            (_, Err(Some(error))) => Err(error),
            (Err(error), _) => Err(error),
            (Ok(_), Err(None)) => Err(RegistryError::Stopped),
            (Ok(((), toc)), Ok((digest, size))) => Ok(self.blob(digest, size, packing, toc)),
        }
    }

    /// `Err(None)`: the chunks ended too early, and their sender knows why.
    fn upload(
        &self,
        diff_id: &Digest,
        begun: Option<Upload<'_>>,
        pieces: Receiver<Piece>,
    ) -> Result<(Digest, u64), Option<RegistryError>> {
        let mut upload = match begun {
            Some(upload) => upload,
            None => self.begin()?,
        };
        let mut hasher = Sha256::new();
        let mut size = 0;
        loop {
            if self.target.session.exchange().is_stopped() {
                return Err(Some(RegistryError::Stopped));
            }
            match pieces.recv().map_err(|_| None)? {
                Piece::End => break,
                Piece::Chunk(chunk) => {
                    hasher.update(&chunk);
                    let length = chunk.len() as u64;
                    let had = upload.offset().saturating_sub(size).min(length);
                    size += length;
                    if had < length {
                        upload.chunk(Bytes::from(chunk).slice(had as usize..))?;
                        self.progress.advanced(diff_id, length - had);
                    }
                }
            }
        }
        let digest = Digest::from_hash(&hasher.finalize());
        upload.finish(&digest, size)?;
        Ok((digest, size))
    }
}

/// Compressing failed, which it does only when nobody takes what comes out.
#[derive(Debug, thiserror::Error)]
#[error("compress it: {0}")]
struct CompressFailure(io::Error);
