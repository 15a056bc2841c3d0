//! The verifying reader: bytes from outside are hashed and counted while they are consumed, and cannot be finished
//! without both having been compared. Never stores anything.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use super::digest::Digest;

/// Why bytes are not the ones that were asked for. Travels inside `io::Error` through decoders.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum VerifyError {
    #[error("{expected}: the content's digest is {found}")]
    Digest { expected: Digest, found: Digest },
    #[error("{expected}: ended after {found} of {size} bytes")]
    Short {
        expected: Digest,
        size: u64,
        found: u64,
    },
    #[error("{expected}: more than the {size} bytes announced")]
    Long { expected: Digest, size: u64 },
}

/// Passes bytes through and compares digest and size at the end. The end of the inner reader is an error unless both
/// are right, so a consumer that reads to the end cannot miss it; [`VerifyingReader::finish`] reads what a consumer left.
pub struct VerifyingReader<R> {
    inner: R,
    hasher: Sha256,
    expected: Digest,
    size: Option<u64>,
    seen: u64,
    verified: bool,
}

impl<R: Read> VerifyingReader<R> {
    /// A reader of exactly `size` bytes with this digest.
    pub fn new(inner: R, expected: Digest, size: u64) -> VerifyingReader<R> {
        VerifyingReader {
            inner,
            hasher: Sha256::new(),
            expected,
            size: Some(size),
            seen: 0,
            verified: false,
        }
    }

    /// A reader for content whose size is not known beforehand (a DiffID says nothing of it); its caller bounds it.
    pub fn without_size(inner: R, expected: Digest) -> VerifyingReader<R> {
        VerifyingReader {
            size: None,
            ..VerifyingReader::new(inner, expected, 0)
        }
    }

    /// Reads and verifies the rest; gives the number of bytes in all.
    pub fn finish(mut self) -> io::Result<u64> {
        let mut rest = vec![0; 65536];
        while self.read(&mut rest)? > 0 {}
        Ok(self.seen)
    }

    fn check_end(&mut self) -> Result<(), VerifyError> {
        if let Some(size) = self.size.filter(|size| *size != self.seen) {
            return Err(VerifyError::Short {
                expected: self.expected.clone(),
                size,
                found: self.seen,
            });
        }
        let found = Digest::from_hash(self.hasher.finalize_reset().as_slice());
        if found != self.expected {
            return Err(VerifyError::Digest {
                expected: self.expected.clone(),
                found,
            });
        }
        self.verified = true;
        Ok(())
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.verified {
            return Ok(0);
        }
        let count = self.inner.read(buffer)?;
        if count == 0 {
            self.check_end().map_err(io::Error::other)?;
            return Ok(0);
        }
        self.seen += count as u64;
        if let Some(size) = self.size.filter(|size| self.seen > *size) {
            return Err(io::Error::other(VerifyError::Long {
                expected: self.expected.clone(),
                size,
            }));
        }
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], digest: Digest, size: u64) -> Result<u64, String> {
        VerifyingReader::new(bytes, digest, size)
            .finish()
            .map_err(|error| error.to_string())
    }

    #[test]
    fn only_the_announced_bytes_pass() {
        let digest = Digest::of(b"hello");
        assert_eq!(read(b"hello", digest.clone(), 5), Ok(5));
        assert!(read(b"hell", digest.clone(), 5).is_err_and(|e| e.contains("ended after 4 of 5")));
        assert!(read(b"hello!", digest.clone(), 5).is_err_and(|e| e.contains("more than the 5")));
        assert!(read(b"jello", digest, 5).is_err_and(|e| e.contains("digest is")));
    }
}
