//! Compressed layers that are kept as they came (`storage.keep-blobs`): `images/kept/<digest>`. Decides nothing about whether any
//! is kept, and never hands one out whose size is not the manifest's; who sends one compares the digest.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use super::digest::Digest;
use super::document::{Document, descriptor_digest};
use super::names::Names;
use super::store::{Store, StoreError};
use crate::sys::{disk, fs, lock};

/// One that is being written. Dropped before its end, it leaves a temporary file that is swept.
#[derive(Debug)]
pub struct KeptBlob {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
}

impl Store {
    pub(super) fn kept_directory(&self) -> PathBuf {
        self.images.join("kept")
    }

    /// `None` where it is kept already.
    pub fn begin_kept(&self, digest: &Digest) -> Result<Option<KeptBlob>, StoreError> {
        let directory = self.kept_directory();
        let path = directory.join(digest.hex());
        if path.exists() {
            return Ok(None);
        }
        let name = format!("{}{}", fs::TEMPORARY_FILE, fs::random_name());
        let temporary = directory.join(name);
        let file = disk::create(&temporary).map_err(StoreError::io("make", &temporary))?;
        // Held until it has its name: to a sweep an unlocked one is rubbish.
        lock::try_hold_alone(&file).map_err(StoreError::io("lock", &temporary))?;
        Ok(Some(KeptBlob {
            file,
            temporary,
            path,
        }))
    }

    /// A blob that was kept.
    pub fn kept(&self, digest: &Digest, size: u64) -> Option<File> {
        let file = File::open(self.kept_directory().join(digest.hex())).ok()?;
        let found = file.metadata().ok()?.len();
        (found == size).then_some(file)
    }

    /// Removes those that no image's manifest names. While one cannot be read all of them stay. Under the exclusive lock, and
    /// while nobody adds.
    pub(super) fn forget_kept(&self, names: &Names) -> Result<(), StoreError> {
        let directory = self.kept_directory();
        let is_empty = std::fs::read_dir(&directory).is_ok_and(|mut all| all.next().is_none());
        if is_empty {
            return Ok(());
        }
        let mut digests: Vec<Digest> = Vec::new();
        for entry in &names.entries {
            let subject = format!("manifest {}", entry.manifest);
            let Ok(bytes) = self.read_blob(&entry.manifest) else {
                return Ok(());
            };
            let Ok(Document::Manifest(manifest)) = Document::parse(&subject, &bytes, None) else {
                return Ok(());
            };
            for layer in manifest.layers() {
                digests.push(descriptor_digest(&subject, layer)?);
            }
        }
        let keep: HashSet<&str> = digests.iter().map(Digest::hex).collect();
        self.unlink_except(&directory, &keep)
    }
}

impl KeptBlob {
    /// Gives it its name, once its bytes were verified.
    pub fn keep(self) -> io::Result<()> {
        disk::sync(&self.file)?;
        disk::rename(&self.temporary, &self.path)
    }
}

impl Write for KeptBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
