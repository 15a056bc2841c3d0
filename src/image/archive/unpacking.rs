//! The layers of an archive into the store, several at a time, each verified, named all together.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::blocks::begins_as_made_here;
use super::super::compression::Decompressed;
use super::super::digest::Digest;
use super::super::layer::{KnownBlob, LayerReport, TempLayer};
use super::super::unpack::{UnpackOptions, unpack};
use super::super::verify::VerifyingReader;
use super::{ArchiveError, Job};

/// A layer as its image names it.
pub(super) struct Wanted {
    pub(super) member: String,
    pub(super) by: String,
    /// `None` where nothing says it.
    pub(super) diff_id: Option<Digest>,
    /// What a manifest says of the member itself (OCI).
    pub(super) blob: Option<KnownBlob>,
}

pub(super) type Unpacked = (TempLayer, LayerReport);

/// What could not be kept of these layers.
pub(super) fn warnings_of(unpacked: &[Unpacked]) -> Vec<String> {
    let each = unpacked.iter();
    each.flat_map(|(_, report)| report.warnings.clone())
        .collect()
}

impl Job<'_> {
    /// Unpacks what the store does not have.
    pub(super) fn unpack_missing(&self, wanted: &[Wanted]) -> Result<Vec<Unpacked>, ArchiveError> {
        let mut seen = HashSet::new();
        let missing: Vec<&Wanted> = wanted
            .iter()
            .filter(|layer| {
                let here = |diff_id: &Digest| self.store.has_layer(diff_id);
                seen.insert(&layer.diff_id) && !layer.diff_id.as_ref().is_some_and(here)
            })
            .collect();
        self.unpack_all(&missing)
    }

    fn unpack_all(&self, missing: &[&Wanted]) -> Result<Vec<Unpacked>, ArchiveError> {
        let threads = self.options.parallel.min(missing.len());
        // A single layer may use the other processors for its small files.
        let writers = if missing.len() == 1 {
            self.options.unpack.writers
        } else {
            0
        };
        let options = UnpackOptions {
            writers,
            ..self.options.unpack
        };
        if threads <= 1 {
            let one = |layer: &&Wanted| self.unpack_one(layer, &options);
            return missing.iter().map(one).collect();
        }
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(layer) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let result = self.unpack_one(layer, &options);
                        if result.is_err() {
                            next.store(missing.len(), Ordering::Relaxed);
                        }
                        let mut results = results.lock().unwrap_or_else(|e| e.into_inner());
                        results.push(result);
                    }
                });
            }
        });
        let results = results.into_inner().unwrap_or_else(|e| e.into_inner());
        results.into_iter().collect()
    }

    pub(super) fn unpack_one(
        &self,
        wanted: &Wanted,
        options: &UnpackOptions,
    ) -> Result<Unpacked, ArchiveError> {
        let section = self.members.open(&wanted.member, &wanted.by)?;
        let layer = self.store.begin_layer()?;
        let report = match &wanted.blob {
            None => read_layer(wanted, section, &layer, options)?,
            Some(blob) => {
                let (start, section) = content(wanted, begun(section))?;
                let mut verified = VerifyingReader::new(section, blob.digest.clone(), blob.size);
                let mut report = read_layer(wanted, &mut verified, &layer, options)?;
                content(wanted, verified.finish())?;
                report.blobs.push(KnownBlob {
                    as_made_here: begins_as_made_here(&start),
                    ..blob.clone()
                });
                report
            }
        };
        match &wanted.diff_id {
            Some(expected) if *expected != report.diff_id => Err(ArchiveError::DiffId {
                member: wanted.member.clone(),
                expected: expected.clone(),
                found: report.diff_id,
            }),
            _ => Ok((layer, report)),
        }
    }

    /// A member's bytes, verified.
    pub(super) fn blob(
        &self,
        digest: &Digest,
        size: u64,
        by: &str,
    ) -> Result<Vec<u8>, ArchiveError> {
        let name = self.blob_name(digest);
        let bytes = self.members.document(&name, by)?;
        let verified = VerifyingReader::new(&bytes[..], digest.clone(), size).finish();
        verified.map_err(|source| ArchiveError::Content {
            member: name,
            source,
        })?;
        Ok(bytes)
    }
}

/// The first bytes, and all of them.
fn begun<R: Read>(mut from: R) -> io::Result<(Vec<u8>, impl Read)> {
    let mut start = Vec::new();
    from.by_ref().take(16).read_to_end(&mut start)?;
    let all = io::Cursor::new(start.clone()).chain(from);
    Ok((start, all))
}

fn read_layer(
    wanted: &Wanted,
    reader: impl Read + Send,
    layer: &TempLayer,
    options: &UnpackOptions,
) -> Result<LayerReport, ArchiveError> {
    let tar = content(wanted, Decompressed::new(reader))?;
    unpack(tar, layer, options).map_err(|source| ArchiveError::Layer {
        member: wanted.member.clone(),
        source,
    })
}

fn content<T>(wanted: &Wanted, result: std::io::Result<T>) -> Result<T, ArchiveError> {
    result.map_err(|source| ArchiveError::Content {
        member: wanted.member.clone(),
        source,
    })
}
