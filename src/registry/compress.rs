//! A layer on its way out: from its tar to compressed chunks, as fast as they are taken. Knows no registry.

use std::io::{self, Write};
use std::sync::mpsc::SyncSender;
use std::thread::{Builder, JoinHandle};

use serde::{Deserialize, Serialize};

use super::pipe::{PipeWriter, ReaderGone, pipe};
use crate::image::{
    BlockWriter, ChunkedWriter, GZIP_LEVEL, Method, Toc, Workers, ZSTD_LEVEL, media_type,
};

/// How layers are compressed that have to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Packing {
    None,
    /// 1 to 9.
    Gzip(u32),
    /// 1 to 22.
    Zstd(i32),
    /// The same with a table of contents.
    ZstdChunked(i32),
}

impl Packing {
    /// The kind of a layer's media type, at its usual level; `None` for one that is not known.
    pub(super) fn of_media_type(media_type: &str) -> Option<Packing> {
        match media_type {
            media_type::OCI_LAYER | media_type::DOCKER_LAYER => Some(Packing::None),
            media_type::OCI_LAYER_GZIP | media_type::DOCKER_LAYER_GZIP => {
                Some(Packing::Gzip(GZIP_LEVEL))
            }
            media_type::OCI_LAYER_ZSTD | media_type::DOCKER_LAYER_ZSTD => {
                Some(Packing::Zstd(ZSTD_LEVEL))
            }
            _ => None,
        }
    }

    /// Whether a blob of this media type, with such a table or not, is what was asked for; the level can't be seen.
    pub(super) fn is_kind_of(self, media_type: &str, has_toc: bool) -> bool {
        let is_chunked = matches!(self, Packing::ZstdChunked(_));
        self.media_type() == Packing::of_media_type(media_type).map_or("", Packing::media_type)
            && (has_toc || !is_chunked)
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Packing::None => media_type::OCI_LAYER,
            Packing::Gzip(_) => media_type::OCI_LAYER_GZIP,
            Packing::Zstd(_) | Packing::ZstdChunked(_) => media_type::OCI_LAYER_ZSTD,
        }
    }
}

/// What the receiver of chunks gets; a sender that vanishes without `End` has failed.
pub(super) enum Piece {
    Chunk(Vec<u8>),
    End,
}

/// Chunks of one size, but for the last.
pub(super) struct Chunks {
    to: SyncSender<Piece>,
    chunk: Vec<u8>,
    size: usize,
}

impl Chunks {
    fn send(&mut self, piece: Piece) -> io::Result<()> {
        self.to
            .send(piece)
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    fn end(mut self) -> io::Result<()> {
        if !self.chunk.is_empty() {
            let chunk = std::mem::take(&mut self.chunk);
            self.send(Piece::Chunk(chunk))?;
        }
        self.send(Piece::End)
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.capacity() == 0 {
            self.chunk.reserve_exact(self.size);
        }
        let length = bytes.len().min(self.size - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..length]);
        if self.chunk.len() == self.size {
            let chunk = std::mem::take(&mut self.chunk);
            self.send(Piece::Chunk(chunk))?;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes the tar, gives compressed chunks of `size` bytes.
pub(super) enum Compressor {
    None(Chunks),
    Blocks(BlockWriter<Chunks>),
    /// A thread reads the tar's entries.
    Chunked(Entries),
}

/// Where that thread gets the tar from.
pub(super) struct Entries {
    to: PipeWriter,
    reading: JoinHandle<io::Result<(Chunks, Option<Toc>)>>,
}

/// Buffers of the tar between who reads the layer and who reads the entries.
const DEPTH: usize = 2;
const BUFFER: usize = 256 * 1024;

impl Entries {
    fn new(workers: &Workers, level: i32, chunks: Chunks) -> io::Result<Entries> {
        let writer = ChunkedWriter::new(workers, level, chunks)?;
        let (to, from) = pipe(DEPTH, BUFFER);
        let reading = Builder::new().name("entries".to_owned());
        let reading = reading.spawn(move || writer.write(from))?;
        Ok(Entries { to, reading })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, ReaderGone> {
        let mut buffer = self.to.buffer()?;
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        self.to.send(buffer, length)?;
        Ok(length)
    }

    fn end(self) -> io::Result<(Chunks, Option<Toc>)> {
        // If nobody reads any more, the thread says why.
        let _ = self.to.end();
        match self.reading.join() {
            Ok(written) => written,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Compressor {
    pub fn new(
        packing: Packing,
        workers: &Workers,
        to: SyncSender<Piece>,
        size: usize,
    ) -> io::Result<Compressor> {
        let chunks = Chunks {
            to,
            chunk: Vec::new(),
            size,
        };
        let method = match packing {
            Packing::None => return Ok(Compressor::None(chunks)),
            Packing::Gzip(level) => Method::Gzip(level),
            Packing::Zstd(level) => Method::Zstd(level),
            Packing::ZstdChunked(level) => {
                return Entries::new(workers, level, chunks).map(Compressor::Chunked);
            }
        };
        BlockWriter::new(workers, method, chunks).map(Compressor::Blocks)
    }

    /// Sends what is left, and that it was all; where its table of contents is, if it has one.
    pub fn end(self) -> io::Result<Option<Toc>> {
        let (chunks, toc) = match self {
            Compressor::None(chunks) => (chunks, None),
            Compressor::Blocks(blocks) => (blocks.finish()?, None),
            Compressor::Chunked(entries) => entries.end()?,
        };
        chunks.end()?;
        Ok(toc)
    }
}

impl Write for Compressor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Compressor::None(chunks) => chunks.write(bytes),
            Compressor::Blocks(blocks) => blocks.write(bytes),
            Compressor::Chunked(entries) => entries
                .write(bytes)
                .map_err(|ReaderGone| io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
