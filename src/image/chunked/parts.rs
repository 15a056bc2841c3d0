//! A tar that somebody else reads, with every byte of it once more for whoever writes it on. Knows nothing of tar.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::rc::Rc;

/// What was read and not yet taken: no more than the reader looks ahead.
#[derive(Debug, Default)]
pub(super) struct Seen(VecDeque<u8>);

impl Seen {
    /// The next bytes, all of which were read.
    pub fn take(&mut self, length: u64) -> Vec<u8> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.0.drain(..length.min(self.0.len())).collect()
    }

    pub fn skip(&mut self, length: usize) {
        self.0.drain(..length.min(self.0.len()));
    }

    pub fn take_all(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).into()
    }
}

/// The reader's end.
#[derive(Debug)]
pub(super) struct Parts<R> {
    inner: R,
    seen: Rc<RefCell<Seen>>,
}

impl<R> Parts<R> {
    pub fn new(inner: R) -> Parts<R> {
        Parts {
            inner,
            seen: Rc::default(),
        }
    }

    /// What was not read yet.
    pub fn into_inner(self) -> R {
        self.inner
    }

    pub fn seen(&self) -> Rc<RefCell<Seen>> {
        Rc::clone(&self.seen)
    }
}

impl<R: Read> Read for Parts<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.seen.borrow_mut().0.extend(&buffer[..length]);
        Ok(length)
    }
}
