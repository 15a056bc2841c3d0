//! Where a saved image goes: members of a tar that is written in one pass, or files of a directory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::super::blocks::{BlockWriter, GZIP_LEVEL, Method, Workers};
use super::super::digest::Digest;
use super::super::document::media_type;
use super::super::store::Store;
use super::super::tar::{Entry, EntryKind, TarStream};
use super::documents::Described;
use super::{SaveError, SaveFormat};

const BLOBS: &str = "blobs/sha256";

pub(super) trait Target {
    fn begin(&mut self) -> Result<(), SaveError>;
    /// A layer's archive, in the form that this target has layers.
    fn layer(&mut self, store: &Store, diff_id: &Digest) -> Result<Described, SaveError>;
    /// A layer as it was kept, whose digest was compared just now.
    fn kept(&mut self, layer: &Described, from: File) -> Result<(), SaveError>;
    /// A small blob; once more is nothing.
    fn blob(&mut self, digest: &Digest, bytes: &[u8]) -> Result<(), SaveError>;
    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), SaveError>;
    fn end(&mut self) -> Result<(), SaveError>;
}

/// The same bytes whenever the same images are saved: no times, no owners.
pub(super) struct Archive<'a> {
    stream: Option<TarStream<&'a mut dyn Write>>,
    /// The blobs it has.
    written: Vec<Digest>,
}

impl<'a> Archive<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Archive<'a> {
        Archive {
            stream: Some(TarStream::new(out)),
            written: Vec::new(),
        }
    }

    fn stream(&mut self) -> &mut TarStream<&'a mut dyn Write> {
        self.stream
            .as_mut()
            .expect("nothing is written after the end")
    }

    fn entry(&mut self, name: &str, kind: EntryKind, size: u64) -> Result<(), SaveError> {
        let mode = match kind {
            EntryKind::Directory => 0o755,
            _ => 0o644,
        };
        let entry = Entry {
            path: name.as_bytes().to_vec(),
            link: Vec::new(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            size,
            device: (0, 0),
            xattrs: Vec::new(),
        };
        self.stream().entry(&entry).map_err(failed(name))
    }
}

fn failed(subject: &str) -> impl FnOnce(io::Error) -> SaveError {
    move |source| SaveError::Write {
        subject: subject.to_owned(),
        source,
    }
}

/// Content of the current member.
struct Content<'s, 'a>(&'s mut TarStream<&'a mut dyn Write>);

impl Write for Content<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.content(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for Archive<'_> {
    fn begin(&mut self) -> Result<(), SaveError> {
        self.entry("blobs", EntryKind::Directory, 0)?;
        self.entry(BLOBS, EntryKind::Directory, 0)
    }

    fn layer(&mut self, store: &Store, diff_id: &Digest) -> Result<Described, SaveError> {
        let size = store.layer_report(diff_id)?.tar_size;
        let name = format!("{BLOBS}/{}", diff_id.hex());
        self.entry(&name, EntryKind::File, size)?;
        let found = store.write_tar(diff_id, &mut Content(self.stream()))?;
        if found != size {
            return Err(SaveError::Size {
                diff_id: diff_id.clone(),
                recorded: size,
                found,
            });
        }
        self.stream().pad().map_err(failed(&name))?;
        self.written.push(diff_id.clone());
        Ok(Described {
            media_type: media_type::OCI_LAYER.to_owned(),
            digest: diff_id.clone(),
            size,
        })
    }

    fn kept(&mut self, layer: &Described, from: File) -> Result<(), SaveError> {
        if self.written.contains(&layer.digest) {
            return Ok(());
        }
        let name = format!("{BLOBS}/{}", layer.digest.hex());
        self.entry(&name, EntryKind::File, layer.size)?;
        let mut from = from.take(layer.size);
        let copied = io::copy(&mut from, &mut Content(self.stream()));
        let copied = copied.map_err(failed(&name))?;
        if copied != layer.size {
            return Err(failed(&name)(io::ErrorKind::UnexpectedEof.into()));
        }
        self.stream().pad().map_err(failed(&name))?;
        self.written.push(layer.digest.clone());
        Ok(())
    }

    fn blob(&mut self, digest: &Digest, bytes: &[u8]) -> Result<(), SaveError> {
        if self.written.contains(digest) {
            return Ok(());
        }
        self.written.push(digest.clone());
        self.file(&format!("{BLOBS}/{}", digest.hex()), bytes)
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), SaveError> {
        self.entry(name, EntryKind::File, bytes.len() as u64)?;
        let stream = self.stream();
        let written = stream.content(bytes).and_then(|()| stream.pad());
        written.map_err(failed(name))
    }

    fn end(&mut self) -> Result<(), SaveError> {
        match self.stream.take() {
            Some(stream) => stream.finish().map(drop).map_err(failed("the archive")),
            None => Ok(()),
        }
    }
}

/// A directory that nobody reads before it is whole.
pub(super) struct Directory {
    path: PathBuf,
    /// Where blobs are.
    blobs: PathBuf,
    compress: bool,
    workers: Workers,
}

impl Directory {
    pub(super) fn new(path: &Path, format: SaveFormat, compress: bool) -> Directory {
        Directory {
            path: path.to_owned(),
            blobs: match format {
                SaveFormat::DockerDir => path.to_owned(),
                _ => path.join(BLOBS),
            },
            compress,
            workers: Workers::default(),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), SaveError> {
        std::fs::write(path, bytes).map_err(failed(&path.display().to_string()))
    }
}

impl Target for Directory {
    fn begin(&mut self) -> Result<(), SaveError> {
        let shown = self.blobs.display().to_string();
        std::fs::create_dir_all(&self.blobs).map_err(failed(&shown))
    }

    fn layer(&mut self, store: &Store, diff_id: &Digest) -> Result<Described, SaveError> {
        let path = self.blobs.join(diff_id.hex());
        let shown = path.display().to_string();
        let mut file = File::create_new(&path).map_err(failed(&shown))?;
        if !self.compress {
            let size = store.write_tar(diff_id, &mut file)?;
            return Ok(Described {
                media_type: media_type::OCI_LAYER.to_owned(),
                digest: diff_id.clone(),
                size,
            });
        }
        let hashed = Hashed::new(file);
        let blocks = BlockWriter::new(&self.workers, Method::Gzip(GZIP_LEVEL), hashed);
        let mut encoder = blocks.map_err(failed(&shown))?;
        store.write_tar(diff_id, &mut encoder)?;
        let hashed = encoder.finish().map_err(failed(&shown))?;
        let (_, digest, size) = hashed.finish();
        let named = std::fs::rename(&path, self.blobs.join(digest.hex()));
        named.map_err(failed(&shown))?;
        Ok(Described {
            media_type: media_type::OCI_LAYER_GZIP.to_owned(),
            digest,
            size,
        })
    }

    fn kept(&mut self, layer: &Described, mut from: File) -> Result<(), SaveError> {
        let path = self.blobs.join(layer.digest.hex());
        let shown = path.display().to_string();
        let copied = File::create(&path).and_then(|mut to| io::copy(&mut from, &mut to));
        copied.map(drop).map_err(failed(&shown))
    }

    fn blob(&mut self, digest: &Digest, bytes: &[u8]) -> Result<(), SaveError> {
        self.write(&self.blobs.join(digest.hex()), bytes)
    }

    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), SaveError> {
        self.write(&self.path.join(name), bytes)
    }

    fn end(&mut self) -> Result<(), SaveError> {
        Ok(())
    }
}

/// A file, and what was written into it.
pub(super) struct Hashed {
    inner: File,
    hasher: Sha256,
    size: u64,
}

impl Hashed {
    pub(super) fn new(inner: File) -> Hashed {
        Hashed {
            inner,
            hasher: Sha256::new(),
            size: 0,
        }
    }

    pub(super) fn finish(self) -> (File, Digest, u64) {
        let digest = Digest::from_hash(self.hasher.finalize().as_slice());
        (self.inner, digest, self.size)
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
