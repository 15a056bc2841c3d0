//! Descriptors of whoever starts a program that the program gets under their own numbers (`--preserve-fds`). Never looks at what
//! they are.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys::{process, socket};

#[derive(Debug, Default)]
pub struct Preserved {
    /// The program's number of each.
    numbers: Vec<i32>,
    fds: Vec<OwnedFd>,
}

impl Preserved {
    /// Those that the calling process was started with; else the first number that it was not.
    pub fn inherited(numbers: Vec<i32>) -> io::Result<Result<Preserved, i32>> {
        let mut fds = Vec::new();
        for number in &numbers {
            match process::inherited(*number)? {
                Some(fd) => fds.push(fd),
                None => return Ok(Err(*number)),
            }
        }
        Ok(Ok(Preserved { numbers, fds }))
    }

    /// As they came with a message that names their numbers; none where that is not true, or where a number is a standard stream's.
    pub fn received(numbers: Vec<i32>, fds: Vec<OwnedFd>) -> Option<Preserved> {
        let fits = numbers.len() == fds.len() && numbers.iter().all(|number| *number > 2);
        fits.then_some(Preserved { numbers, fds })
    }

    pub fn numbers(&self) -> &[i32] {
        &self.numbers
    }

    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.fds.iter().map(AsFd::as_fd).collect()
    }

    /// To a monitor that is about to be born, and that knows the numbers.
    pub fn send(&self, line: BorrowedFd<'_>) -> io::Result<()> {
        match self.is_empty() {
            true => Ok(()),
            false => socket::send(line, &[b"d"], &self.fds()).map(drop),
        }
    }

    /// What was sent before.
    pub fn receive(line: BorrowedFd<'_>, numbers: &[i32]) -> io::Result<Preserved> {
        if numbers.is_empty() {
            return Ok(Preserved::default());
        }
        let received = match socket::receive_message(line)? {
            Some((_, fds)) => Preserved::received(numbers.to_vec(), fds),
            None => None,
        };
        received.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// A start may be repeated.
    pub fn try_clone(&self) -> io::Result<Preserved> {
        let fds = self.fds.iter().map(OwnedFd::try_clone);
        Ok(Preserved {
            numbers: self.numbers.clone(),
            fds: fds.collect::<io::Result<_>>()?,
        })
    }

    /// The lowest number that is none of the program's.
    pub(super) fn above(&self) -> i32 {
        self.numbers.iter().max().map_or(3, |last| last + 1)
    }

    /// Makes room below `above`, for `install`.
    pub(super) fn lift(&mut self) -> io::Result<()> {
        let above = self.above();
        for fd in &mut self.fds {
            *fd = process::above(fd.as_fd(), above)?;
        }
        Ok(())
    }

    /// Where the program expects them. Nothing that is still needed may lie below `above`.
    pub(super) fn install(&self) -> io::Result<()> {
        let mut each = self.numbers.iter().zip(&self.fds);
        each.try_for_each(|(number, fd)| process::install_fd(fd.as_fd(), *number))
    }
}
