//! The program's standard input: a pipe or the terminal's master, written without ever blocking the monitor.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub struct Input {
    /// None: closed, or never open.
    target: Option<OwnedFd>,
    queue: VecDeque<u8>,
    /// Close as soon as the queue is empty.
    ends: bool,
}

/// Above this clients are no longer read: they wait for the program.
const QUEUE_MAX: usize = 256 * 1024;

impl Input {
    /// `target` must not block.
    pub fn new(target: Option<OwnedFd>) -> Input {
        Input {
            target,
            queue: VecDeque::new(),
            ends: false,
        }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        if self.target.is_some() && !self.ends {
            self.queue.extend(bytes);
            self.flush();
        }
    }

    /// End of input, once everything before it is written.
    pub fn end(&mut self) {
        self.ends = true;
        self.flush();
    }

    pub fn flush(&mut self) {
        while let (Some(target), false) = (&self.target, self.queue.is_empty()) {
            let (front, _) = self.queue.as_slices();
            match rustix::io::write(target, front) {
                Ok(written) => drop(self.queue.drain(..written)),
                Err(rustix::io::Errno::AGAIN) => return,
                Err(rustix::io::Errno::INTR) => {}
                // The program has closed it.
                Err(_) => {
                    self.queue.clear();
                    self.target = None;
                }
            }
        }
        if self.ends {
            self.target = None;
        }
    }

    pub fn is_full(&self) -> bool {
        self.queue.len() >= QUEUE_MAX
    }

    /// The descriptor to wait on while something is queued.
    pub fn pending(&self) -> Option<BorrowedFd<'_>> {
        self.target
            .as_ref()
            .filter(|_| !self.queue.is_empty())
            .map(AsFd::as_fd)
    }
}
