//! poll(2) over borrowed descriptors, each with the caller's own word for it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::timer::End;

/// What is waited for on one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    Read,
    Write,
    /// A file of the kernel has changed (`POLLPRI`).
    Exceptional,
    /// Neither: only that the peer has gone.
    Hangup,
}

/// The descriptors of one turn of an event loop.
pub struct PollSet<'fd, Token> {
    fds: Vec<PollFd<'fd>>,
    tokens: Vec<Token>,
}

impl<'fd, Token: Copy> PollSet<'fd, Token> {
    pub fn new() -> Self {
        PollSet {
            fds: Vec::new(),
            tokens: Vec::new(),
        }
    }

    pub fn add(&mut self, fd: BorrowedFd<'fd>, interest: Interest, token: Token) {
        let flags = match interest {
            Interest::Read => PollFlags::IN,
            Interest::Write => PollFlags::OUT,
            Interest::Exceptional => PollFlags::PRI,
            Interest::Hangup => PollFlags::empty(),
        };
        self.fds.push(PollFd::from_borrowed_fd(fd, flags));
        self.tokens.push(token);
    }

    /// Waits until something is ready (or gone, or in error) and gives the tokens of all that is. Empty after `timeout`.
    pub fn wait(mut self, timeout: Option<Duration>) -> io::Result<Vec<Token>> {
        let timeout = timeout.map(|t| Timespec {
            tv_sec: t.as_secs() as i64,
            tv_nsec: i64::from(t.subsec_nanos()),
        });
        match poll(&mut self.fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let ready = self
            .fds
            .iter()
            .zip(&self.tokens)
            .filter(|(fd, _)| !fd.revents().is_empty());
        Ok(ready.map(|(_, token)| *token).collect())
    }

    /// The same until `end`, which comes in time also when the machine has slept meanwhile.
    pub fn wait_until(self, end: Option<End>) -> io::Result<Vec<Token>> {
        let timer = end.map(End::timer).transpose()?;
        let mut fds: Vec<PollFd<'_>> = self.fds;
        // Last, and without a token.
        fds.extend(
            timer
                .as_ref()
                .map(|timer| PollFd::from_borrowed_fd(timer.as_fd(), PollFlags::IN)),
        );
        let tokens = self.tokens;
        PollSet { fds, tokens }.wait(None)
    }
}

impl<Token: Copy> Default for PollSet<'_, Token> {
    fn default() -> Self {
        PollSet::new()
    }
}
