//! The program's output: pipes or the terminal's master, read without ever blocking the monitor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::protocol::Stream;

pub struct Output {
    pub stream: Stream,
    source: Option<OwnedFd>,
    /// The pipe has been given more room.
    widened: bool,
}

/// Room for a program that floods its output: fewer turns for the same bytes. Only then, because the pages count against
/// a limit of all of the user's pipes (pipe(7), pipe-user-pages-soft).
const WIDE: usize = 1 << 20;

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
            widened: false,
        }
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> Read {
        let Some(source) = &self.source else {
            return Read::End;
        };
        loop {
            match rustix::io::read(source, &mut *buffer) {
                Ok(0) => break,
                Ok(length) => {
                    if length == buffer.len() && !std::mem::replace(&mut self.widened, true) {
                        // A terminal is no pipe, and the limit may be reached: then it stays as it is.
                        let _ = rustix::pipe::fcntl_setpipe_size(source, WIDE);
                    }
                    return Read::Bytes(length);
                }
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
