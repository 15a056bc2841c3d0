//! The layers of one image, several at once: each downloads, verifies and decompresses in threads of its own while the
//! sink unpacks. Memory is bounded by the pipes, whatever the layers' sizes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use super::auth::Session;
use super::blob::{BlobStream, Source};
use super::decompress::{Stop, decompress};
use super::error::RegistryError;
use super::lanes;
use super::manifest::Blob;
use super::partial;
use super::pipe::{PipeWriter, ReaderGone, pipe};
use super::progress::Progress;
use super::{BlobKeeper, LayerSink, SinkError};
use crate::image::Digest;

/// Compressed bytes wait in 4 to 6 buffers of 128 KiB, the tar in as many of 256 KiB: 2.3 MiB for each layer at work.
const DEPTH: usize = 4;
const COMPRESSED_CHUNK: usize = 128 * 1024;
const TAR_CHUNK: usize = 256 * 1024;

/// A layer to fetch, under both its names.
#[derive(Clone)]
pub(super) struct Layer {
    pub blob: Blob,
    pub diff_id: Digest,
}

/// What all layers of a pull share.
pub(super) struct Fetch<'a> {
    pub session: &'a Session<'a>,
    pub reference: &'a str,
    pub sink: &'a dyn LayerSink,
    pub progress: &'a dyn Progress,
    /// The blob's address at the registry.
    pub url: &'a (dyn Fn(&Digest) -> url::Url + Sync),
}

impl<'a> Fetch<'a> {
    pub fn new(
        session: &'a Session<'a>,
        reference: &'a str,
        sink: &'a dyn LayerSink,
        progress: &'a dyn Progress,
        url: &'a (dyn Fn(&Digest) -> url::Url + Sync),
    ) -> Fetch<'a> {
        Fetch {
            session,
            reference,
            sink,
            progress,
            url,
        }
    }

    /// Fetches every layer that the sink lacks; the first failure stops the others and is the result.
    pub fn all(&self, mut layers: Vec<Layer>) -> Result<(), RegistryError> {
        // The largest first: it decides when the last one ends.
        layers.sort_by_key(|layer| std::cmp::Reverse(layer.blob.size));
        lanes::each(layers, self.session.exchange(), |layer| {
            match self.one(&layer) {
                Err(RegistryError::StalePartial { .. }) => self.one(&layer),
                fetched => fetched,
            }
        })
    }

    fn limits(&self) -> &super::config::Limits {
        &self.session.exchange().config().limits
    }

    fn is_stopped(&self) -> bool {
        self.session.exchange().is_stopped()
    }

    /// One layer through its chain: download and hash, decompress, and (on this thread) the sink.
    fn one(&self, layer: &Layer) -> Result<(), RegistryError> {
        let digest = &layer.blob.digest;
        self.progress.started(digest);
        let (compressed_in, compressed_out) = pipe(DEPTH, COMPRESSED_CHUNK);
        let (tar_in, mut tar_out) = pipe(DEPTH, TAR_CHUNK);
        let limits = self.limits();
        let had_partial = AtomicBool::new(false);
        let (downloaded, decompressed, stored) = std::thread::scope(|scope| {
            let downloading = spawn(scope, "download", digest, || {
                self.download(layer, compressed_in, &had_partial)
            })?;
            let decompressing = spawn(scope, "decompress", digest, || {
                decompress(&layer.blob, limits, compressed_out, tar_in)
            })?;
            let mut stored = self.sink.store(&layer.diff_id, &mut tar_out);
            if stored.is_ok() {
                // A sink that stops at the end of the archive leaves the last checks undone.
                stored = tar_out.drain().map_err(SinkError::new);
            }
            drop(tar_out);
            Ok::<_, RegistryError>((join(downloading), join(decompressing), stored))
        })?;
        // Who is furthest upstream knows best: below it everybody saw only a broken pipe.
        downloaded?;
        // What made no sense before it was verified may be an earlier process's: without that it is seen.
        let is_faulty = stored.is_err() || matches!(decompressed, Err(Stop::Fault(_)));
        if is_faulty && had_partial.into_inner() {
            if let Some(cache) = &self.session.exchange().config().cache {
                partial::forget(cache, digest);
            }
            return Err(RegistryError::StalePartial {
                digest: digest.clone(),
            });
        }
        match decompressed {
            Err(Stop::Fault(error)) => return Err(error),
            Err(Stop::Neighbour) | Ok(()) => {}
        }
        stored.map_err(|source| RegistryError::StoreLayer {
            digest: digest.clone(),
            source,
        })?;
        self.progress.finished(digest);
        Ok(())
    }

    /// Nothing to say where the reader gave up: it has its own reason.
    fn download(
        &self,
        layer: &Layer,
        mut to: PipeWriter,
        had_partial: &AtomicBool,
    ) -> Result<(), RegistryError> {
        let blob = &layer.blob;
        let source = Source {
            session: self.session,
            reference: self.reference,
            url: (self.url)(&blob.digest),
        };
        let mut stream = BlobStream::open(source, blob)?;
        had_partial.store(stream.had_partial(), Ordering::Relaxed);
        let mut keeper = self.sink.keeper(&blob.digest);
        let mut is_first = true;
        loop {
            if self.is_stopped() {
                return Err(RegistryError::Stopped);
            }
            let Ok(mut buffer) = to.buffer() else {
                return Ok(());
            };
            let length = stream.read(&mut buffer)?;
            if std::mem::take(&mut is_first) {
                self.sink.begins(&layer.diff_id, &buffer[..length]);
            }
            let kept = keeper
                .as_mut()
                .map(|keeper| keeper.write_all(&buffer[..length]));
            let kept = match kept {
                Some(Ok(())) if length == 0 => keeper.take().map_or(Ok(()), BlobKeeper::done),
                Some(kept) => kept,
                None => Ok(()),
            };
            if let Err(error) = kept {
                let short = blob.digest.short();
                self.progress
                    .note(&format!("{short}: it is not kept: {error}"));
                keeper = None;
            }
            if length == 0 {
                self.progress.downloaded(&blob.digest);
                let _: Result<(), ReaderGone> = to.end();
                return Ok(());
            }
            let count = u64::try_from(length).unwrap_or(u64::MAX);
            self.progress.advanced(&blob.digest, count);
            if to.send(buffer, length).is_err() {
                return Ok(());
            }
        }
    }
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    digest: &Digest,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, RegistryError> {
    let builder = Builder::new().name(name.to_owned());
    builder
        .spawn_scoped(scope, work)
        .map_err(|source| RegistryError::Thread {
            digest: digest.clone(),
            source,
        })
}

fn join<T>(handle: ScopedJoinHandle<'_, T>) -> T {
    match handle.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
