//! The stream below the entries: its buffer, its blocks, and the content of the current entry. Everything consumed is counted, and goes
//! into the split unless it is kept as a file.

use std::io::{self, Read};

use super::super::TarError;
use super::super::header::BLOCK;
use super::TarReader;

impl<R: Read> TarReader<R> {
    pub(super) fn expect_content(&mut self, size: u64) {
        self.remaining = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
    }

    pub(super) fn read_exact_content(&mut self, mut target: &mut [u8]) -> Result<(), TarError> {
        while !target.is_empty() {
            let count = self.read_content(target)?;
            if count == 0 {
                return Err(TarError::Truncated {
                    offset: self.offset,
                });
            }
            target = &mut target[count..];
        }
        Ok(())
    }

    /// Content of the current entry; 0 at its end.
    pub fn read_content(&mut self, target: &mut [u8]) -> Result<usize, TarError> {
        let wanted = self.remaining.min(target.len() as u64) as usize;
        if wanted == 0 {
            return Ok(0);
        }
        if !self.fill()? {
            return Err(TarError::Truncated {
                offset: self.offset,
            });
        }
        let count = wanted.min(self.end - self.start);
        target[..count].copy_from_slice(&self.buffer[self.start..self.start + count]);
        self.consume(count)?;
        self.remaining -= count as u64;
        Ok(count)
    }

    /// Content of the current entry straight from the reader's buffer; empty at its end.
    pub fn content_slice(&mut self) -> Result<&[u8], TarError> {
        self.content_slice_of(u64::MAX)
    }

    /// The same, of at most so many bytes.
    pub fn content_slice_of(&mut self, limit: u64) -> Result<&[u8], TarError> {
        if self.remaining == 0 {
            return Ok(&[]);
        }
        if !self.fill()? {
            return Err(TarError::Truncated {
                offset: self.offset,
            });
        }
        let available = (self.end - self.start) as u64;
        let count = self.remaining.min(available).min(limit) as usize;
        let start = self.start;
        self.consume(count)?;
        self.remaining -= count as u64;
        Ok(&self.buffer[start..start + count])
    }

    pub(super) fn skip_content(&mut self) -> Result<(), TarError> {
        let mut left = self.remaining + self.padding;
        self.remaining = 0;
        self.padding = 0;
        self.kept = false;
        while left > 0 {
            if !self.fill()? {
                return Err(TarError::Truncated {
                    offset: self.offset,
                });
            }
            let count = left.min((self.end - self.start) as u64);
            self.consume(count as usize)?;
            left -= count;
        }
        Ok(())
    }

    /// `false` at a clean end of the stream.
    pub(super) fn read_block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, TarError> {
        let mut filled = 0;
        while filled < BLOCK {
            if !self.fill()? {
                if filled == 0 {
                    return Ok(false);
                }
                return Err(TarError::Truncated {
                    offset: self.offset,
                });
            }
            let count = (BLOCK - filled).min(self.end - self.start);
            block[filled..filled + count]
                .copy_from_slice(&self.buffer[self.start..self.start + count]);
            self.consume(count)?;
            filled += count;
        }
        Ok(true)
    }

    /// Makes sure that the buffer holds something; `false` at the end of the stream.
    pub(super) fn fill(&mut self) -> Result<bool, TarError> {
        while self.start == self.end {
            match self.inner.read(&mut self.buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => (self.start, self.end) = (0, count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(TarError::Read { source }),
            }
        }
        Ok(true)
    }

    pub(super) fn consume(&mut self, count: usize) -> Result<(), TarError> {
        if let Some(split) = self.split.as_mut().filter(|_| !self.kept) {
            let written = split.raw(&self.buffer[self.start..self.start + count]);
            written.map_err(|source| TarError::Split { source })?;
        }
        self.start += count;
        self.offset += count as u64;
        if self.offset > self.limits.bytes {
            return Err(TarError::TooLarge {
                limit: self.limits.bytes,
            });
        }
        Ok(())
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.read_content(target).map_err(io::Error::other)
    }
}
