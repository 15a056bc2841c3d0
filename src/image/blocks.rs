//! Compression of what has to be made anew: in blocks of one size, each by itself, on whichever processor is free. One after the
//! other they are one gzip (RFC 1952, several members) or zstd (RFC 8878, several frames) stream, and the same bytes make the same
//! stream on every machine. Knows nothing of layers, and compresses nothing with a method that it was not told.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Builder;

use libdeflater::{CompressionLvl, Compressor};
use zstd::zstd_safe::{CParameter, compress_bound};

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// 1 to 9.
    Gzip(u32),
    /// 1 to 22.
    Zstd(i32),
}

/// The usual levels. This of gzip makes what is 4 % larger than podman's, three times as fast as level 6 of zlib.
pub const GZIP_LEVEL: u32 = 1;
pub const ZSTD_LEVEL: i32 = 3;

/// At that level: half and a quarter of its tables, which leave room in a processor's second cache. An eighth faster, and what comes of
/// it a sixtieth larger.
const ZSTD_TABLES: [CParameter; 2] = [CParameter::HashLog(16), CParameter::ChainLog(14)];

/// More processors would want more memory than a push may take.
const MOST_THREADS: usize = 4;

impl Method {
    /// What is compressed at once, and is in memory for that. gzip looks back 32 KiB: larger blocks gain nothing. zstd looks back
    /// 2 MiB at its usual level.
    fn block(self) -> usize {
        match self {
            Method::Gzip(_) => 1 << 20,
            Method::Zstd(_) => 2 << 20,
        }
    }
}

/// Whether what begins so may have been compressed here, by the usual methods; what programs elsewhere write has other headers, but for
/// a few.
pub fn begins_as_made_here(start: &[u8]) -> bool {
    match start {
        // gzip: no time, "fastest", no system.
        [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 0xff, ..] => true,
        // zstd: a frame in one segment that says how long its content is, with a checksum.
        [0x28, 0xb5, 0x2f, 0xfd, descriptor, ..] => descriptor & 0x3f == 0x24,
        _ => false,
    }
}

/// The threads that compress, for any number of streams at a time. They begin with the first block, and end with the last writer.
#[derive(Debug, Default)]
pub struct Workers {
    jobs: OnceLock<Sender<Job>>,
}

#[derive(Debug)]
struct Job {
    method: Method,
    buffers: Buffers,
    done: SyncSender<io::Result<Buffers>>,
}

/// A block and, once it is compressed, the whole frame or member that came of it. Filled again and again: fresh memory costs a fault of
/// each page, a twentieth of what compressing does.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub block: Vec<u8>,
    pub packed: Vec<u8>,
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().min(MOST_THREADS))
}

pub(super) fn ended() -> io::Error {
    io::Error::other("the threads that compress have ended")
}

/// The threads, for whoever cuts the blocks himself.
#[derive(Clone, Debug)]
pub(super) struct Packers(Sender<Job>);

impl Packers {
    /// Begins to compress a block.
    pub fn begin(
        &self,
        method: Method,
        buffers: Buffers,
    ) -> io::Result<Receiver<io::Result<Buffers>>> {
        let (done, receiver) = sync_channel(1);
        let job = Job {
            method,
            buffers,
            done,
        };
        self.0.send(job).map_err(|_| ended())?;
        Ok(receiver)
    }
}

impl Workers {
    pub(super) fn packers(&self) -> io::Result<Packers> {
        self.jobs().cloned().map(Packers)
    }

    fn jobs(&self) -> io::Result<&Sender<Job>> {
        if let Some(jobs) = self.jobs.get() {
            return Ok(jobs);
        }
        let (sender, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let mut begun = Ok(());
        for number in 0..processors() {
            let receiver = Arc::clone(&receiver);
            let thread = Builder::new().name("compress".to_owned());
            let spawned = thread.spawn(move || work(&receiver)).map(drop);
            // A thread less is slower, not wrong.
            if number == 0 {
                begun = spawned;
            }
        }
        begun?;
        Ok(self.jobs.get_or_init(|| sender))
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    let mut packer = Packer::default();
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job {
            method,
            mut buffers,
            done,
        }) = next
        else {
            return;
        };
        let packed = packer.pack(method, &mut buffers);
        // Whoever wanted it may have given up.
        let _ = done.send(packed.map(|()| buffers));
    }
}

/// Keeps the tables of the last method: making them anew costs as much as some blocks.
#[derive(Default)]
struct Packer {
    gzip: Option<(u32, Compressor)>,
    zstd: Option<(i32, zstd::bulk::Compressor<'static>)>,
    /// As much as may come of a block, so that the buffers need no more room than what does.
    room: Vec<u8>,
}

impl Packer {
    fn pack(&mut self, method: Method, buffers: &mut Buffers) -> io::Result<()> {
        let length = match method {
            Method::Gzip(level) => self.gzip(level, &buffers.block)?,
            Method::Zstd(level) => self.zstd(level, &buffers.block)?,
        };
        buffers.packed.clear();
        buffers.packed.extend_from_slice(&self.room[..length]);
        Ok(())
    }

    fn make_room(&mut self, bound: usize) {
        if self.room.len() < bound {
            self.room = vec![0; bound];
        }
    }

    fn gzip(&mut self, level: u32, bytes: &[u8]) -> io::Result<usize> {
        let (_, mut compressor) = match self.gzip.take() {
            Some(known) if known.0 == level => known,
            _ => {
                let refused = |_| io::Error::other(format!("gzip has no level {level}"));
                let number = i32::try_from(level).map_err(io::Error::other)?;
                let checked = CompressionLvl::new(number).map_err(refused)?;
                (level, Compressor::new(checked))
            }
        };
        self.make_room(compressor.gzip_compress_bound(bytes.len()));
        let length = compressor.gzip_compress(bytes, &mut self.room);
        self.gzip = Some((level, compressor));
        length.map_err(io::Error::other)
    }

    fn zstd(&mut self, level: i32, bytes: &[u8]) -> io::Result<usize> {
        let (_, mut compressor) = match self.zstd.take() {
            Some(known) if known.0 == level => known,
            _ => {
                let mut compressor = zstd::bulk::Compressor::new(level)?;
                compressor.include_checksum(true)?;
                if level == ZSTD_LEVEL {
                    for table in ZSTD_TABLES {
                        compressor.set_parameter(table)?;
                    }
                }
                (level, compressor)
            }
        };
        self.make_room(compress_bound(bytes.len()));
        let length = compressor.compress_to_buffer(bytes, &mut self.room[..]);
        self.zstd = Some((level, compressor));
        length
    }
}

/// Takes bytes, writes them compressed. What is not finished is no whole stream.
#[derive(Debug)]
pub struct BlockWriter<W: Write> {
    to: W,
    method: Method,
    packers: Packers,
    /// The block that is being filled.
    next: Buffers,
    /// In the order of the stream.
    at_work: VecDeque<Receiver<io::Result<Buffers>>>,
    /// What is free again.
    spare: Vec<Buffers>,
    most: usize,
    begun: bool,
}

impl<W: Write> BlockWriter<W> {
    pub fn new(workers: &Workers, method: Method, to: W) -> io::Result<BlockWriter<W>> {
        Ok(BlockWriter {
            to,
            method,
            packers: workers.packers()?,
            next: Buffers::default(),
            at_work: VecDeque::new(),
            spare: Vec::new(),
            most: processors(),
            begun: false,
        })
    }

    /// Writes what is left, and gives back what it was written to.
    pub fn finish(mut self) -> io::Result<W> {
        if !self.next.block.is_empty() || !self.begun {
            self.hand_over()?;
        }
        while !self.at_work.is_empty() {
            self.take_one()?;
        }
        Ok(self.to)
    }

    fn hand_over(&mut self) -> io::Result<()> {
        self.begun = true;
        if self.at_work.len() == self.most {
            self.take_one()?;
        }
        let free = self.spare.pop().unwrap_or_default();
        let full = std::mem::replace(&mut self.next, free);
        self.at_work
            .push_back(self.packers.begin(self.method, full)?);
        Ok(())
    }

    fn take_one(&mut self) -> io::Result<()> {
        let Some(first) = self.at_work.pop_front() else {
            return Ok(());
        };
        let mut done = first.recv().map_err(|_| ended())??;
        self.to.write_all(&done.packed)?;
        done.block.clear();
        self.spare.push(done);
        Ok(())
    }
}

impl<W: Write> Write for BlockWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = self.method.block();
        let block = &mut self.next.block;
        if block.capacity() == 0 {
            block.reserve_exact(size);
        }
        let length = bytes.len().min(size - block.len());
        block.extend_from_slice(&bytes[..length]);
        if block.len() == size {
            self.hand_over()?;
        }
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::image::Decompressed;

    fn pack(method: Method, bytes: &[u8], pieces: usize) -> Vec<u8> {
        let mut writer = BlockWriter::new(&Workers::default(), method, Vec::new()).unwrap();
        for piece in bytes.chunks(pieces) {
            writer.write_all(piece).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn a_stream_of_blocks_is_one_stream() {
        let bytes: Vec<u8> = (0..(5 << 20) + 7u32)
            .map(|number| (number.wrapping_mul(number) >> 13) as u8)
            .collect();
        for method in [
            Method::Gzip(1),
            Method::Gzip(9),
            Method::Zstd(1),
            Method::Zstd(ZSTD_LEVEL),
            Method::Zstd(19),
        ] {
            for length in [0, 1, 1 << 20, bytes.len()] {
                let packed = pack(method, &bytes[..length], 100_000);
                let mut back = Vec::new();
                let mut reader = Decompressed::new(&packed[..]).unwrap();
                reader.read_to_end(&mut back).unwrap();
                assert!(back == bytes[..length], "{method:?} {length}");
                // However it was written.
                assert!(
                    packed == pack(method, &bytes[..length], 7_777),
                    "{method:?}"
                );
            }
        }
    }

    #[test]
    fn whoever_takes_no_more_stops_the_writer() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = BlockWriter::new(&Workers::default(), Method::Gzip(1), Full).unwrap();
        let written = writer.write_all(&vec![7; (MOST_THREADS + 3) << 20]);
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
