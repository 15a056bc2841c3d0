//! Downloads that a later process goes on with: the compressed bytes of large blobs in the cache, for as long as a pull has
//! not got them all. Never believed: what is read from here passes the same verification as what comes from a registry.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::manifest::Blob;
use crate::image::Digest;
use crate::sys::{disk, fault, lock};

/// Nobody comes back for what is older.
const OLD: Duration = Duration::from_secs(7 * 24 * 3600);

/// The beginning of one blob, locked: a second pull of the same blob does without.
pub(super) struct Partial {
    path: PathBuf,
    file: File,
    /// Bytes that an earlier process left and this one has not read yet.
    unread: u64,
}

fn directory(cache: &Path) -> PathBuf {
    cache.join("partial")
}

impl Partial {
    /// `None` where none can be had, which costs no more than a download from the beginning.
    pub fn open(cache: &Path, blob: &Blob) -> Option<Partial> {
        let directory = directory(cache);
        std::fs::create_dir_all(&directory).ok()?;
        let path = directory.join(blob.digest.hex());
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let flags = nix::fcntl::OFlag::O_NOFOLLOW.bits();
        fault::at("make partial download").ok()?;
        let file = options.mode(0o600).custom_flags(flags).open(&path).ok()?;
        if !lock::try_hold_alone(&file).ok()? {
            return None;
        }
        let metadata = file.metadata().ok()?;
        // Its last holder may have had it all and removed it between our open and our lock.
        if metadata.nlink() == 0 {
            return None;
        }
        let mut unread = metadata.len();
        if unread > blob.size {
            file.set_len(0).ok()?;
            unread = 0;
        }
        Some(Partial { path, file, unread })
    }

    /// Whether an earlier process left something.
    pub fn has_unread(&self) -> bool {
        self.unread > 0
    }

    /// The next of the bytes that an earlier process left.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer
            .len()
            .min(usize::try_from(self.unread).unwrap_or(usize::MAX));
        let length = self.file.read(&mut buffer[..length])?;
        self.unread = match length {
            // Shorter than it was: another program is at work here, and nothing more is read.
            0 => 0,
            length => self.unread - length as u64,
        };
        Ok(length)
    }

    /// Keeps what came from the registry behind what was read.
    pub fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        fault::at("write partial download")?;
        self.file.write_all(bytes)
    }

    /// It is whole, or worth nothing.
    pub fn remove(self) {
        // What cannot be removed is swept when it is old.
        let _ = disk::remove_file(&self.path);
    }
}

/// Removes what was left of a blob.
pub(super) fn forget(cache: &Path, digest: &Digest) {
    // Another process that has it open goes on with it.
    let _ = disk::remove_file(directory(cache).join(digest.hex()));
}

/// Removes what nobody went on with for a week.
pub(super) fn sweep(cache: &Path) {
    let now = SystemTime::now();
    for entry in std::fs::read_dir(directory(cache))
        .into_iter()
        .flatten()
        .flatten()
    {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|then| now.duration_since(then).ok());
        if age.is_none_or(|age| age < OLD) {
            continue;
        }
        if let Ok(file) = File::open(entry.path())
            && lock::try_hold_alone(&file).unwrap_or(false)
        {
            tracing::debug!(path = %entry.path().display(), "remove an old partial download");
            let _ = disk::remove_file(entry.path());
        }
    }
}
