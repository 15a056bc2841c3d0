//! A gate that children wait at until their parent has done what they need, or has failed. Knows not what for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};

/// How many processes may wait at a gate: a byte for each.
const WAITERS: usize = 3;

/// What a child waits at.
pub struct Gate {
    is_new: bool,
    /// None: it is open.
    pipe: Option<OwnedFd>,
}

/// What opens a gate; dropped before, it lets those who wait know that nothing may be done.
pub struct Opener(OwnedFd);

impl Gate {
    /// One that nobody waits at.
    pub fn opened() -> Gate {
        Gate {
            is_new: false,
            pipe: None,
        }
    }

    pub fn closed() -> io::Result<(Gate, Opener)> {
        let (pipe, opener) = pipe_with(PipeFlags::CLOEXEC)?;
        let gate = Gate {
            is_new: true,
            pipe: Some(pipe),
        };
        Ok((gate, Opener(opener)))
    }

    /// It was closed once: what is waited for was made for this child.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Waits until it is opened, once in each of up to `WAITERS` processes; `false` if the parent failed or died, and then nothing
    /// may be done.
    pub fn wait(&mut self) -> bool {
        let pipe = self.pipe.take();
        pipe.is_none_or(|pipe| matches!(rustix::io::read(pipe, &mut [0u8; 1]), Ok(1)))
    }

    /// For a fork that waits itself.
    pub fn for_fork(&self) -> io::Result<Gate> {
        let pipe = self.pipe.as_ref().map(OwnedFd::try_clone);
        Ok(Gate {
            is_new: self.is_new,
            pipe: pipe.transpose()?,
        })
    }

    /// What a fork keeps open to wait.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }
}

impl Opener {
    /// A child that is gone already is noticed by whoever waits for its report.
    pub fn open(&self) {
        let _ = rustix::io::write(&self.0, &[1; WAITERS]);
    }
}

impl AsFd for Opener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
