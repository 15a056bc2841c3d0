//! The program's output: pipes or the terminal's master, read without ever blocking the monitor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::protocol::Stream;

pub struct Output {
    pub stream: Stream,
    source: Option<OwnedFd>,
}

/// What one read gave.
pub enum Read {
    Bytes(usize),
    Nothing,
    End,
}

impl Output {
    /// `source` must not block.
    pub fn new(stream: Stream, source: OwnedFd) -> Output {
        Output {
            stream,
            source: Some(source),
        }
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> Read {
        let Some(source) = &self.source else {
            return Read::End;
        };
        loop {
            match rustix::io::read(source, &mut *buffer) {
                Ok(0) => break,
                Ok(length) => return Read::Bytes(length),
                Err(rustix::io::Errno::AGAIN) => return Read::Nothing,
                Err(rustix::io::Errno::INTR) => {}
                // EIO: every program on the terminal has closed it.
                Err(_) => break,
            }
        }
        self.source = None;
        Read::End
    }

    pub fn source(&self) -> Option<BorrowedFd<'_>> {
        self.source.as_ref().map(AsFd::as_fd)
    }
}
