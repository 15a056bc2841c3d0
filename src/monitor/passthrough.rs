//! The log driver `passthrough`: the program gets the standard streams of whoever starts it, and bryo sees none of its output.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::runtime::execute::Streams;

/// The client's standard streams.
pub struct PassedStreams([OwnedFd; 3]);

impl PassedStreams {
    /// Those of the calling process: a monitor's, before it leaves its client's.
    pub fn own() -> io::Result<PassedStreams> {
        Ok(PassedStreams([
            io::stdin().as_fd().try_clone_to_owned()?,
            io::stdout().as_fd().try_clone_to_owned()?,
            io::stderr().as_fd().try_clone_to_owned()?,
        ]))
    }

    /// The program's; a start may be repeated.
    pub(super) fn streams(&self) -> io::Result<Streams> {
        let [stdin, stdout, stderr] = &self.0;
        Ok(Streams::Passed([
            stdin.try_clone()?,
            stdout.try_clone()?,
            stderr.try_clone()?,
        ]))
    }
}
