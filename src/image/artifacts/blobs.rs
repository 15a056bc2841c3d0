//! The blobs of artifacts on their way in and out: written under a temporary name, compared while they are read, and what their first
//! bytes say they are. Never which of them are needed.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use super::super::digest::Digest;
use super::super::store::{Store, StoreError};
use crate::sys::{disk, fs, lock};

/// A blob that is not in the store yet. Dropped before it is, it leaves a temporary file that is swept.
#[derive(Debug)]
pub struct NewBlob {
    pub(super) file: File,
    pub(super) temporary: PathBuf,
    hasher: Sha256,
    size: u64,
}

impl Write for NewBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.write(bytes)?;
        self.hasher.update(&bytes[..length]);
        self.size += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl NewBlob {
    /// The digest and size of what was written.
    pub fn described(&self) -> (Digest, u64) {
        let hash = self.hasher.clone().finalize();
        (Digest::from_hash(hash.as_slice()), self.size)
    }
}

impl Store {
    /// A file that is going to be a blob.
    pub fn begin_blob(&self) -> Result<NewBlob, StoreError> {
        let name = format!("{}{}", fs::TEMPORARY_FILE, fs::random_name());
        let temporary = self.kept_directory().join(name);
        let file = disk::create(&temporary).map_err(StoreError::io("make", &temporary))?;
        // Held until it has its name: to a sweep an unlocked one is rubbish.
        lock::try_hold_alone(&file).map_err(StoreError::io("lock", &temporary))?;
        Ok(NewBlob {
            file,
            temporary,
            hasher: Sha256::new(),
            size: 0,
        })
    }

    pub fn has_blob(&self, digest: &Digest, size: u64) -> bool {
        let found = self.blob_path(digest).metadata();
        found.is_ok_and(|meta| meta.is_file() && meta.len() == size)
    }

    /// A blob's bytes, not compared with anything yet.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        let path = self.blob_path(digest);
        File::open(&path).map_err(StoreError::io("open", &path))
    }
}

/// Bytes whose digest is compared when they end.
pub struct ComparedBlob {
    file: File,
    hasher: Sha256,
    digest: Digest,
}

impl ComparedBlob {
    pub fn new(file: File, digest: Digest) -> ComparedBlob {
        ComparedBlob {
            file,
            hasher: Sha256::new(),
            digest,
        }
    }
}

impl Read for ComparedBlob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        if length == 0 && !buffer.is_empty() {
            let found = Digest::from_hash(self.hasher.clone().finalize().as_slice());
            if found != self.digest {
                let digest = &self.digest;
                return Err(io::Error::other(format!(
                    "blob {digest} was damaged: it has digest {found} now"
                )));
            }
        }
        Ok(length)
    }
}

/// What a file's first bytes say it is, in the words of the WHATWG's sniffing, which podman's are.
pub fn sniff(start: &[u8]) -> &'static str {
    const KNOWN: &[(&[u8], &str)] = &[
        (b"%PDF-", "application/pdf"),
        (b"%!PS-Adobe-", "application/postscript"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"BM", "image/bmp"),
        (b"PK\x03\x04", "application/zip"),
        (b"\x1f\x8b\x08", "application/x-gzip"),
        (b"Rar!\x1a\x07", "application/x-rar-compressed"),
        (b"\0asm", "application/wasm"),
        (b"OggS\0", "application/ogg"),
        (b"<?xml", "text/xml; charset=utf-8"),
        (b"\xfe\xff", "text/plain; charset=utf-16be"),
        (b"\xff\xfe", "text/plain; charset=utf-16le"),
    ];
    if let Some((_, name)) = KNOWN.iter().find(|(prefix, _)| start.starts_with(prefix)) {
        return name;
    }
    let binary = |byte: &u8| matches!(byte, 0..=8 | 11 | 14..=26 | 28..=31);
    match start.iter().any(binary) {
        true => "application/octet-stream",
        false => "text/plain; charset=utf-8",
    }
}
