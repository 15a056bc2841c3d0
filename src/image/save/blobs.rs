//! The blobs that layers came as, for a save that gives them back: those that the store kept, and those that a registry still
//! gives. Hands out none whose bytes were not compared with its digest.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek};

use sha2::{Digest as _, Sha256};

use super::super::blocks::{BlockWriter, GZIP_LEVEL, Method, Workers, ZSTD_LEVEL};
use super::super::compression::Decompressed;
use super::super::digest::Digest;
use super::super::document::media_type;
use super::super::store::Store;
use super::documents::Described;
use super::target::Hashed;
use super::{Originals, Plan, SaveError, SaveFormat, SaveOptions};

pub(super) struct Blobs<'a> {
    pub(super) store: &'a Store,
    pub(super) options: &'a SaveOptions,
    pub(super) originals: &'a dyn Originals,
    /// What was asked for before it is written; nothing where nobody has it.
    pub(super) here: HashMap<Digest, Option<File>>,
    /// Compress, for all layers.
    pub(super) workers: Workers,
}

impl Blobs<'_> {
    /// A layer's original blob, once.
    pub(super) fn take(
        &mut self,
        diff_id: &Digest,
        original: &Described,
    ) -> Result<Option<File>, SaveError> {
        match self.here.remove(&original.digest) {
            Some(found) => Ok(found),
            None => self.find(diff_id, original),
        }
    }

    /// A layer's archive, compressed: who writes an archive has to know its size before.
    pub(super) fn compressed(
        &self,
        diff_id: &Digest,
        method: Method,
    ) -> Result<(Described, File), SaveError> {
        let failed = |source| SaveError::Write {
            subject: format!("layer {diff_id}"),
            source,
        };
        let hashed = Hashed::new(self.store.scratch()?);
        let mut encoder = BlockWriter::new(&self.workers, method, hashed).map_err(failed)?;
        self.store.write_tar(diff_id, &mut encoder)?;
        let hashed = encoder.finish().map_err(failed)?;
        let (mut file, digest, size) = hashed.finish();
        file.rewind().map_err(failed)?;
        let media_type = match method {
            Method::Gzip(_) => media_type::OCI_LAYER_GZIP,
            Method::Zstd(_) => media_type::OCI_LAYER_ZSTD,
        };
        let described = Described {
            media_type: media_type.to_owned(),
            digest,
            size,
        };
        Ok((described, file))
    }

    /// The digests that an image's layers will have.
    pub(super) fn expected(&mut self, plan: &Plan<'_>) -> Result<Vec<Digest>, SaveError> {
        let mut digests = Vec::new();
        for (diff_id, original) in plan.diff_ids.iter().zip(&plan.blobs) {
            if !self.here.contains_key(&original.digest) {
                let found = self.find(diff_id, original)?;
                self.here.insert(original.digest.clone(), found);
            }
            let is_here = self.here.get(&original.digest).is_some_and(Option::is_some);
            digests.push(if is_here { &original.digest } else { diff_id }.clone());
        }
        Ok(digests)
    }

    /// The very bytes by compressing the layer once more, where these began as ours do.
    fn made_again(
        &self,
        diff_id: &Digest,
        original: &Described,
    ) -> Result<Option<File>, SaveError> {
        let report = self.store.layer_report(diff_id)?;
        let mut known = report.blobs.iter();
        let is_ours = known.any(|blob| blob.digest == original.digest && blob.as_made_here);
        let method = match is_ours {
            true if original.media_type.ends_with("gzip") => Method::Gzip(GZIP_LEVEL),
            true if original.media_type.ends_with("zstd") => Method::Zstd(ZSTD_LEVEL),
            _ => return Ok(None),
        };
        let (made, file) = self.compressed(diff_id, method)?;
        Ok((made.digest == original.digest).then_some(file))
    }

    /// What came uncompressed is made from the layer; nothing is fetched for docker's own archive, whose layers are uncompressed otherwise,
    /// unless that has to have the manifest's digest.
    fn find(&self, diff_id: &Digest, original: &Described) -> Result<Option<File>, SaveError> {
        let is_plain = original.digest == *diff_id;
        if self.options.compress || is_plain {
            return Ok(None);
        }
        let kept = self.store.kept(&original.digest, original.size);
        if let Some(mut file) = kept
            && hash(&mut file).is_ok_and(|found| found == original.digest)
            && file.rewind().is_ok()
        {
            return Ok(Some(file));
        }
        if self.options.format == SaveFormat::DockerArchive && !self.options.require_digest {
            return Ok(None);
        }
        if let Some(file) = self.made_again(diff_id, original)? {
            return Ok(Some(file));
        }
        let mut file = self.store.scratch()?;
        let fetched = self
            .originals
            .fetch(diff_id, &original.digest, original.size, &file);
        let Some(proven) = fetched else {
            return Ok(None);
        };
        // What only a manifest says of a blob is compared before anybody else has to believe it.
        let is_layer = proven || is_of(&mut file, diff_id);
        Ok((is_layer && file.rewind().is_ok()).then_some(file))
    }
}

fn is_of(file: &mut File, diff_id: &Digest) -> bool {
    let unpacked = file
        .rewind()
        .and_then(|()| hash(&mut Decompressed::new(file)?));
    unpacked.is_ok_and(|found| found == *diff_id)
}

fn hash(from: &mut dyn Read) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 128 * 1024];
    loop {
        match from.read(&mut chunk)? {
            0 => return Ok(Digest::from_hash(&hasher.finalize())),
            length => hasher.update(&chunk[..length]),
        }
    }
}
