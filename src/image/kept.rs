//! Compressed layers that are kept as they came (`storage.keep-blobs`): `images/kept/<digest>`. Decides nothing about whether any
//! is kept, and never hands one out whose size is not the manifest's; who sends one compares the digest.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
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

    /// A file without a name, for a blob that is only passed on.
    pub fn scratch(&self) -> Result<File, StoreError> {
        let name = format!("{}{}", fs::TEMPORARY_FILE, fs::random_name());
        let path = self.kept_directory().join(name);
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(StoreError::io("make", &path))?;
        // A sweep may have been quicker.
        match disk::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", &path)(error))
            }
            _ => Ok(file),
        }
    }

    /// A blob that was kept.
    pub fn kept(&self, digest: &Digest, size: u64) -> Option<File> {
        let file = File::open(self.kept_directory().join(digest.hex())).ok()?;
        let found = file.metadata().ok()?.len();
        (found == size).then_some(file)
    }

    /// Each with the bytes that it takes of the disk.
    pub fn kept_sizes(&self) -> Result<BTreeMap<Digest, u64>, StoreError> {
        let directory = self.kept_directory();
        let list = std::fs::read_dir(&directory).map_err(StoreError::io("list", &directory))?;
        let sizes = list.flatten().filter_map(|entry| {
            let name = entry.file_name();
            let digest = format!("sha256:{}", name.to_str()?).parse().ok()?;
            // One that is removed meanwhile is not there.
            Some((digest, entry.metadata().ok()?.blocks() * 512))
        });
        Ok(sizes.collect())
    }

    /// The blobs that an image's manifest names, kept or not; none where it cannot be read.
    pub fn blobs_of(&self, manifest: &Digest) -> Vec<Digest> {
        let subject = format!("manifest {manifest}");
        let Ok(bytes) = self.read_blob(manifest) else {
            return Vec::new();
        };
        let Ok(Document::Manifest(parsed)) = Document::parse(&subject, &bytes, None) else {
            return Vec::new();
        };
        let digests = parsed.layers().iter();
        digests
            .filter_map(|layer| descriptor_digest(&subject, layer).ok())
            .collect()
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
