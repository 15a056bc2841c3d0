//! Decompression of layers and archives, told apart by their first bytes. In this process, no helper programs; the
//! amount that comes out is bounded by what went in.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lzma_rust2::XzReader;

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

/// Why bytes cannot be decompressed. Travels inside `io::Error`.
#[derive(Debug, thiserror::Error)]
pub enum CompressionError {
    #[error("compressed with {name}, which is not supported; gzip, zstd, xz and bzip2 are")]
    Unsupported { name: &'static str },
    #[error("corrupt {name} data: {source}")]
    Corrupt {
        name: &'static str,
        source: io::Error,
    },
    #[error("{input} compressed bytes expand to more than {output}: taken for a bomb")]
    Bomb { input: u64, output: u64 },
}

/// Beyond this much output, at most [`RATIO`] times the input is accepted: deflate itself reaches 1032, real layers 20.
const FREE: u64 = 4 << 30;
const RATIO: u64 = 250;

/// The largest zstd window, in bits: 128 MiB, what `zstd` itself accepts without being asked to.
const WINDOW_LOG_MAX: u32 = 27;

/// What an xz stream's dictionary and tables may take: `xz -9` needs 65 MiB, a stream can ask for 4 GiB.
const XZ_MEMORY_KIB: u32 = 192 << 10;

impl Compression {
    /// Judges by the first bytes (RFC 1952, RFC 8878, the xz and bzip2 file formats).
    pub fn detect(start: &[u8]) -> Result<Compression, CompressionError> {
        let unsupported = |name| Err(CompressionError::Unsupported { name });
        match start {
            [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Compression::Zstd),
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Ok(Compression::Xz),
            [b'B', b'Z', b'h', b'1'..=b'9', b'1', ..] => Ok(Compression::Bzip2),
            [0x04, 0x22, 0x4d, 0x18, ..] => unsupported("lz4"),
            _ => Ok(Compression::None),
        }
    }
}

/// The decompressed bytes of a stream of any supported compression.
pub struct Decompressed<'a> {
    inner: Box<dyn Read + Send + 'a>,
    compression: Compression,
    input: Arc<AtomicU64>,
    output: u64,
}

impl<'a> Decompressed<'a> {
    pub fn new(reader: impl Read + Send + 'a) -> io::Result<Decompressed<'a>> {
        let input = Arc::new(AtomicU64::new(0));
        let mut buffered = BufReader::with_capacity(
            128 * 1024,
            Counting {
                inner: reader,
                count: Arc::clone(&input),
            },
        );
        let start = fill(&mut buffered)?;
        let compression = Compression::detect(start).map_err(io::Error::other)?;
        let inner: Box<dyn Read + Send + 'a> = match compression {
            Compression::None => Box::new(buffered),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered)),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered)?;
                decoder.window_log_max(WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
            Compression::Xz => Box::new(XzReader::new_mem_limit(buffered, true, XZ_MEMORY_KIB)),
            Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(buffered)),
        };
        Ok(Decompressed {
            inner,
            compression,
            input,
            output: 0,
        })
    }

    pub fn compression(&self) -> Compression {
        self.compression
    }
}

/// The first buffer; an interrupted read is tried again.
fn fill<R: Read>(reader: &mut BufReader<R>) -> io::Result<&[u8]> {
    loop {
        match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(reader.buffer()),
        }
    }
}

impl Read for Decompressed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.inner.read(buffer) {
            Ok(count) => count,
            Err(error) => return Err(explain(self.compression, error)),
        };
        self.output += count as u64;
        let input = self.input.load(Ordering::Relaxed);
        if self.compression != Compression::None
            && self.output > FREE.max(input.saturating_mul(RATIO))
        {
            return Err(io::Error::other(CompressionError::Bomb {
                input,
                output: self.output,
            }));
        }
        Ok(count)
    }
}

/// Errors of the stream below pass through; the decoder's own are called what they are.
fn explain(compression: Compression, error: io::Error) -> io::Error {
    let name = match compression {
        Compression::None => return error,
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
        Compression::Xz => "xz",
        Compression::Bzip2 => "bzip2",
    };
    let ours = error
        .get_ref()
        .is_some_and(|inner| inner.is::<super::verify::VerifyError>());
    let of_decoder = matches!(
        error.kind(),
        io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::Other
    );
    if ours || !of_decoder || error.raw_os_error().is_some() {
        return error;
    }
    io::Error::other(CompressionError::Corrupt {
        name,
        source: error,
    })
}

/// Counts what was read through it.
struct Counting<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let mut reader = Decompressed::new(bytes).map_err(|error| error.to_string())?;
        reader
            .read_to_end(&mut out)
            .map_err(|error| error.to_string())?;
        Ok(out)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn each_compression_is_recognised() {
        let plain = b"hello hello hello".repeat(1000);
        let zstd = zstd::encode_all(&plain[..], 3).unwrap();
        assert_eq!(read(&plain).unwrap(), plain);
        assert_eq!(read(&gzip(&plain)).unwrap(), plain);
        assert_eq!(read(&zstd).unwrap(), plain);
        assert_eq!(
            read(&[gzip(&plain), gzip(&plain)].concat()).unwrap().len(),
            34000
        );
        // As zstd:chunked has them, beside the frames of the archive.
        let skipped = b"\x50\x2a\x4d\x18\x05\0\0\0table";
        let chunked = [&skipped[..], &zstd, skipped, &zstd, skipped].concat();
        assert_eq!(read(&chunked).unwrap().len(), 34000);
        assert_eq!(read(b"").unwrap(), b"");
        assert!(read(b"\x04\x22\x4d\x18").unwrap_err().contains("lz4"));
    }

    #[test]
    fn cut_and_corrupt_data_is_an_error_that_says_so() {
        let plain: Vec<u8> = (0..100_000u32).flat_map(|n| n.to_le_bytes()).collect();
        for (name, whole) in [
            ("gzip", gzip(&plain)),
            ("zstd", zstd::encode_all(&plain[..], 3).unwrap()),
        ] {
            let cut = read(&whole[..whole.len() / 2]).unwrap_err();
            assert!(cut.contains(&format!("corrupt {name}")), "{cut}");
        }
    }

    #[test]
    fn changed_gzip_data_fails_its_checksum() {
        // zstd frames need not have one: there only the digest tells.
        let plain: Vec<u8> = (0..100_000u32).flat_map(|n| n.to_le_bytes()).collect();
        let mut broken = gzip(&plain);
        let middle = broken.len() / 2;
        broken[middle..middle + 64].fill(0xaa);
        assert!(read(&broken).unwrap_err().contains("corrupt gzip"));
    }

    /// `hello` by the programs themselves: neither crate writes both.
    const XZ: &[u8] = b"\xfd\x37\x7a\x58\x5a\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5\xa3\x01\x00\x04\x68\x65\x6c\x6c\x6f\x00\x00\x00\x00\xb1\x37\xb9\xdb\xe5\xda\x1e\x9b\x00\x01\x1d\x05\xb8\x2d\x80\xaf\x1f\xb6\xf3\x7d\x01\x00\x00\x00\x00\x04\x59\x5a";
    const BZIP2: &[u8] = b"\x42\x5a\x68\x39\x31\x41\x59\x26\x53\x59\x19\x31\x65\x3d\x00\x00\x00\x81\x00\x02\x44\xa0\x00\x21\x9a\x68\x33\x4d\x07\x33\x8b\xb9\x22\x9c\x28\x48\x0c\x98\xb2\x9e\x80";

    #[test]
    fn xz_and_bzip2_are_read_also_from_several_streams() {
        for (name, bytes) in [("xz", XZ), ("bzip2", BZIP2)] {
            assert_eq!(read(bytes).unwrap(), b"hello", "{name}");
            assert_eq!(read(&bytes.repeat(2)).unwrap(), b"hellohello", "{name}");
            let cut = read(&bytes[..bytes.len() - 9]).unwrap_err();
            assert!(cut.contains(&format!("corrupt {name}")), "{cut}");
        }
    }

    #[test]
    fn an_xz_dictionary_of_gigabytes_is_refused() {
        let mut huge = XZ.to_vec();
        // The block header's one filter has its dictionary size at its end; its checksum follows.
        let header = &mut huge[12..24];
        assert_eq!(header[2], 0x21, "LZMA2");
        header[4] = 38;
        let mut crc = flate2::Crc::new();
        crc.update(&header[..8]);
        header[8..].copy_from_slice(&crc.sum().to_le_bytes());
        assert!(read(&huge).unwrap_err().contains("mem_limit"));
    }

    #[test]
    fn a_huge_window_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(30).unwrap();
        encoder.write_all(&vec![7; 1 << 20]).unwrap();
        let bytes = encoder.finish().unwrap();
        assert!(read(&bytes).unwrap_err().contains("zstd"));
    }
}
