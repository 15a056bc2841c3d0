//! What is left of a tar when the content of its files is taken away: headers, padding, whatever follows the end. With the
//! files it gives the archive back byte for byte (the idea of tar-split). Streams only; never touches the file system.

use std::io::{self, BufRead, BufReader, Read, Write};

use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

use super::sparse::Extent;

/// The first bytes: another form of this has another number.
const MAGIC: &[u8; 8] = b"bryotar1";
/// Kinds of records. `RAW`: a length (4 bytes, little endian) and the bytes. `CONTENT`: a size (8), the length of a path (4),
/// the path. `EXTENTS`: what of a sparse file follows, as the length of a list (4), offsets and lengths (8 each), and the path
/// like in `CONTENT`. `END`: nothing more.
const RAW: u8 = 0;
const CONTENT: u8 = 1;
const END: u8 = 2;
const EXTENTS: u8 = 3;

/// Records are given to the compressor so many bytes at a time.
const BATCH: usize = 64 * 1024;
/// No run or path that a writer writes is longer.
const MAX_LENGTH: u32 = 1 << 20;
/// The fastest that makes a header, 512 bytes, less than a tenth of that.
const LEVEL: i32 = 1;
/// A window of 256 KiB reaches back some hundred headers, and bounds the memory of each layer at work.
const WINDOW_LOG: u32 = 18;

/// Writes the split while an archive is read.
pub struct SplitWriter {
    out: Encoder<'static, Box<dyn Write + Send>>,
    batch: Vec<u8>,
    /// Where in the batch the run of raw bytes begins that the next ones belong to.
    run: Option<usize>,
    /// The compressor has had a part of it.
    begun: bool,
}

impl std::fmt::Debug for SplitWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SplitWriter").finish_non_exhaustive()
    }
}

impl SplitWriter {
    pub fn new(out: Box<dyn Write + Send>) -> io::Result<SplitWriter> {
        let mut out = Encoder::new(out, LEVEL)?;
        out.window_log(WINDOW_LOG)?;
        let mut batch = Vec::with_capacity(2 * BATCH);
        batch.extend_from_slice(MAGIC);
        Ok(SplitWriter {
            out,
            batch,
            run: None,
            begun: false,
        })
    }

    /// Bytes of the archive that are nobody's content.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(BATCH) {
            if self.run.is_none() {
                self.run = Some(self.batch.len());
                self.batch.extend_from_slice(&[RAW, 0, 0, 0, 0]);
            }
            self.batch.extend_from_slice(part);
            self.hand_over()?;
        }
        Ok(())
    }

    /// `size` bytes that are the content of the file at `path`.
    pub fn content(&mut self, path: &[u8], size: u64) -> io::Result<()> {
        self.end_run();
        self.batch.push(CONTENT);
        self.batch.extend_from_slice(&size.to_le_bytes());
        let length = u32::try_from(path.len()).map_err(io::Error::other)?;
        self.batch.extend_from_slice(&length.to_le_bytes());
        self.batch.extend_from_slice(path);
        self.hand_over()
    }

    /// These parts of the file at `path`, one after the other.
    pub fn extents(&mut self, path: &[u8], extents: &[Extent]) -> io::Result<()> {
        self.end_run();
        self.batch.push(EXTENTS);
        let length = |bytes: usize| u32::try_from(bytes).map_err(io::Error::other);
        let list = length(extents.len() * 16)?.to_le_bytes();
        self.batch.extend_from_slice(&list);
        for extent in extents {
            self.batch.extend_from_slice(&extent.offset.to_le_bytes());
            self.batch.extend_from_slice(&extent.length.to_le_bytes());
        }
        let path_length = length(path.len())?.to_le_bytes();
        self.batch.extend_from_slice(&path_length);
        self.batch.extend_from_slice(path);
        self.hand_over()
    }

    pub fn finish(mut self) -> io::Result<()> {
        self.end_run();
        self.batch.push(END);
        if !self.begun {
            // All of it is here: the compressor's tables need be no larger, and are what a small layer would touch most of.
            let length = self.batch.len() as u64;
            self.out.set_pledged_src_size(Some(length))?;
        }
        self.out.write_all(&self.batch)?;
        self.out.finish()?.flush()
    }

    fn end_run(&mut self) {
        if let Some(start) = self.run.take() {
            let length = (self.batch.len() - start - 5) as u32;
            self.batch[start + 1..start + 5].copy_from_slice(&length.to_le_bytes());
        }
    }

    fn hand_over(&mut self) -> io::Result<()> {
        if self.batch.len() >= BATCH {
            self.end_run();
            self.begun = true;
            self.out.write_all(&self.batch)?;
            self.batch.clear();
        }
        Ok(())
    }
}

/// One piece of an archive.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Raw(&'a [u8]),
    Content {
        path: &'a [u8],
        size: u64,
    },
    Extents {
        path: &'a [u8],
        extents: Vec<Extent>,
    },
}

/// Reads a split again.
pub struct SplitReader<'a, R: BufRead> {
    inner: Decoder<'a, R>,
    bytes: Vec<u8>,
}

impl<R: Read> SplitReader<'_, BufReader<R>> {
    pub fn new(inner: R) -> io::Result<Self> {
        let mut inner = Decoder::new(inner)?;
        inner.window_log_max(WINDOW_LOG)?;
        let mut magic = [0; MAGIC.len()];
        inner.read_exact(&mut magic)?;
        if &magic != MAGIC {
            return Err(malformed("it is of another form"));
        }
        Ok(SplitReader {
            inner,
            bytes: Vec::new(),
        })
    }

    /// The next piece of the archive, in its order; `None` at its end.
    pub fn next_piece(&mut self) -> io::Result<Option<Piece<'_>>> {
        let [kind] = self.array()?;
        match kind {
            RAW => {
                self.read_bytes()?;
                Ok(Some(Piece::Raw(&self.bytes)))
            }
            CONTENT => {
                let size = u64::from_le_bytes(self.array()?);
                self.read_bytes()?;
                let path = &self.bytes;
                Ok(Some(Piece::Content { path, size }))
            }
            EXTENTS => {
                self.read_bytes()?;
                if !self.bytes.len().is_multiple_of(16) {
                    return Err(malformed("a list of an impossible length"));
                }
                let number = |at: &[u8]| at.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
                let pairs = self.bytes.chunks_exact(16).map(|pair| Extent {
                    offset: number(&pair[..8]),
                    length: number(&pair[8..]),
                });
                let extents = pairs.collect();
                self.read_bytes()?;
                let path = &self.bytes;
                Ok(Some(Piece::Extents { path, extents }))
            }
            END => Ok(None),
            _ => Err(malformed("a record of an unknown kind")),
        }
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut array = [0; N];
        self.inner.read_exact(&mut array)?;
        Ok(array)
    }

    fn read_bytes(&mut self) -> io::Result<()> {
        let length = u32::from_le_bytes(self.array()?);
        if length > MAX_LENGTH {
            return Err(malformed("a record of an impossible length"));
        }
        self.bytes.resize(length as usize, 0);
        self.inner.read_exact(&mut self.bytes)
    }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(write: impl FnOnce(&mut SplitWriter)) -> Vec<u8> {
        let out = Shared::default();
        let mut writer = SplitWriter::new(Box::new(out.clone())).unwrap();
        write(&mut writer);
        writer.finish().unwrap();
        let bytes = out.0.lock().unwrap();
        bytes.clone()
    }

    /// Where in the raw bytes, which path, how many bytes.
    type Contents = Vec<(usize, Vec<u8>, u64)>;

    fn read(bytes: &[u8]) -> io::Result<(Vec<u8>, Contents)> {
        let mut reader = SplitReader::new(bytes)?;
        let (mut raw, mut contents) = (Vec::new(), Vec::new());
        while let Some(piece) = reader.next_piece()? {
            match piece {
                Piece::Raw(bytes) => raw.extend_from_slice(bytes),
                Piece::Content { path, size } => contents.push((raw.len(), path.to_vec(), size)),
                Piece::Extents { path, extents } => {
                    let size = extents.iter().map(|extent| extent.length).sum();
                    contents.push((raw.len(), path.to_vec(), size));
                }
            }
        }
        Ok((raw, contents))
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(pieces in proptest::collection::vec((0usize..200_000, any::<u64>(), "[a-z]{0,40}"), 0..12)) {
            let (mut raw, mut contents) = (Vec::new(), Vec::new());
            let bytes = written(|writer| {
                for (length, size, path) in &pieces {
                    let run: Vec<u8> = (0..*length).map(|at| (at / 7) as u8).collect();
                    writer.raw(&run).unwrap();
                    raw.extend_from_slice(&run);
                    writer.content(path.as_bytes(), *size).unwrap();
                    contents.push((raw.len(), path.as_bytes().to_vec(), *size));
                }
            });
            prop_assert_eq!(read(&bytes).unwrap(), (raw, contents));
        }

        #[test]
        fn a_damaged_split_is_an_error_or_another_archive(position in 0usize..400, value in any::<u8>()) {
            let mut bytes = written(|writer| {
                for n in 0..40u64 {
                    writer.raw(format!("header {n}").as_bytes()).unwrap();
                    writer.content(b"a/path", n).unwrap();
                }
            });
            let position = position % bytes.len();
            bytes[position] = value;
            let _ = read(&bytes);
        }
    }

    #[test]
    fn a_split_that_was_cut_is_an_error() {
        let bytes = written(|writer| writer.raw(&[7; 1000]).unwrap());
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "cut to {length}");
        }
        assert!(read(&zstd::encode_all(&b"something else"[..], 1).unwrap()).is_err());
    }
}
