//! A layer on its way out: from its tar to compressed chunks, as fast as they are taken. Knows no registry.

use std::io::{self, Write};
use std::sync::mpsc::SyncSender;

use serde::{Deserialize, Serialize};

use crate::image::{BlockWriter, GZIP_LEVEL, Method, Workers, ZSTD_LEVEL, media_type};

/// How layers are compressed that have to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Packing {
    None,
    /// 1 to 9.
    Gzip(u32),
    /// 1 to 22.
    Zstd(i32),
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

    /// Whether a blob of this media type is what was asked for; the level can't be seen.
    pub(super) fn is_kind_of(self, media_type: &str) -> bool {
        let kind = Packing::of_media_type(media_type);
        kind.is_some_and(|kind| std::mem::discriminant(&kind) == std::mem::discriminant(&self))
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Packing::None => media_type::OCI_LAYER,
            Packing::Gzip(_) => media_type::OCI_LAYER_GZIP,
            Packing::Zstd(_) => media_type::OCI_LAYER_ZSTD,
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
        };
        BlockWriter::new(workers, method, chunks).map(Compressor::Blocks)
    }

    /// Sends what is left, and that it was all.
    pub fn end(self) -> io::Result<()> {
        let chunks = match self {
            Compressor::None(chunks) => chunks,
            Compressor::Blocks(blocks) => blocks.finish()?,
        };
        chunks.end()
    }
}

impl Write for Compressor {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Compressor::None(chunks) => chunks.write(bytes),
            Compressor::Blocks(blocks) => blocks.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
