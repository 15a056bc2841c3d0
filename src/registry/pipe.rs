//! A bounded pipe of buffers between two threads of one layer. Buffers go round, so a layer of any size costs
//! `depth + 2` of them. A pipe whose writer vanished never looks like one that ended.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

enum Message {
    Chunk(Vec<u8>),
    End,
}

pub(super) struct PipeWriter {
    full: SyncSender<Message>,
    empty: Receiver<Vec<u8>>,
    made: usize,
    depth: usize,
    size: usize,
}

pub(super) struct PipeReader {
    full: Receiver<Message>,
    empty: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    position: usize,
    ended: bool,
}

/// The other end is gone: nobody wants more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ReaderGone;

/// A pipe of `depth` buffers of `size` bytes.
pub(super) fn pipe(depth: usize, size: usize) -> (PipeWriter, PipeReader) {
    let (full_in, full_out) = sync_channel(depth);
    let (empty_in, empty_out) = channel();
    let writer = PipeWriter {
        full: full_in,
        empty: empty_out,
        made: 0,
        depth,
        size,
    };
    let reader = PipeReader {
        full: full_out,
        empty: empty_in,
        chunk: Vec::new(),
        position: 0,
        ended: false,
    };
    (writer, reader)
}

impl PipeWriter {
    /// A buffer of the pipe's size with arbitrary content, to be filled and given to [`PipeWriter::send`].
    pub fn buffer(&mut self) -> Result<Vec<u8>, ReaderGone> {
        if let Ok(buffer) = self.empty.try_recv() {
            return Ok(self.whole(buffer));
        }
        if self.made < self.depth + 2 {
            self.made += 1;
            return Ok(vec![0; self.size]);
        }
        let buffer = self.empty.recv().map_err(|_| ReaderGone)?;
        Ok(self.whole(buffer))
    }

    fn whole(&self, mut buffer: Vec<u8>) -> Vec<u8> {
        buffer.resize(self.size, 0);
        buffer
    }

    /// Hands over the first `length` bytes.
    pub fn send(&mut self, mut buffer: Vec<u8>, length: usize) -> Result<(), ReaderGone> {
        buffer.truncate(length);
        self.full
            .send(Message::Chunk(buffer))
            .map_err(|_| ReaderGone)
    }

    /// Says that this was all. Without it the reader gets an error.
    pub fn end(self) -> Result<(), ReaderGone> {
        self.full.send(Message::End).map_err(|_| ReaderGone)
    }
}

impl PipeReader {
    /// Reads to the end for the sake of the writer's own checks.
    pub fn drain(&mut self) -> io::Result<()> {
        loop {
            let length = self.fill_buf()?.len();
            if length == 0 {
                return Ok(());
            }
            self.consume(length);
        }
    }
}

impl BufRead for PipeReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.position == self.chunk.len() && !self.ended {
            match self.full.recv() {
                Ok(Message::Chunk(chunk)) => {
                    let used = std::mem::replace(&mut self.chunk, chunk);
                    self.position = 0;
                    if used.capacity() > 0 {
                        // A writer that has finished needs no buffers.
                        let _ = self.empty.send(used);
                    }
                }
                Ok(Message::End) => self.ended = true,
                Err(_) => return Err(io::Error::other("the transfer of this layer was given up")),
            }
        }
        Ok(&self.chunk[self.position..])
    }

    fn consume(&mut self, amount: usize) {
        self.position = (self.position + amount).min(self.chunk.len());
    }
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(buffer.len());
        buffer[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_in_order_through_few_buffers() {
        let (mut writer, mut reader) = pipe(2, 10);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for number in 0..1000_u32 {
                    let mut buffer = writer.buffer().unwrap();
                    buffer[..4].copy_from_slice(&number.to_le_bytes());
                    writer.send(buffer, 4).unwrap();
                }
                assert!(writer.made <= 4);
                writer.end().unwrap();
            });
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            let expected: Vec<u8> = (0..1000_u32).flat_map(u32::to_le_bytes).collect();
            assert_eq!(all, expected);
        });
    }

    #[test]
    fn a_vanished_writer_is_an_error_and_not_an_end() {
        let (mut writer, mut reader) = pipe(2, 10);
        let buffer = writer.buffer().unwrap();
        writer.send(buffer, 3).unwrap();
        drop(writer);
        assert!(reader.read_to_end(&mut Vec::new()).is_err());
    }

    #[test]
    fn a_vanished_reader_stops_the_writer() {
        let (mut writer, reader) = pipe(2, 10);
        drop(reader);
        let buffer = writer.buffer().unwrap();
        assert_eq!(writer.send(buffer, 3), Err(ReaderGone));
    }
}
