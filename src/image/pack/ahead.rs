//! Reads the files of a layer before their turn comes in its archive: other threads open and read small ones, batch by batch, while
//! those before them are written. Which files there are, and in what order they are written, is the packer's to say.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::{LAYER_FILE, PackError, Xattrs, attributes, open};
use crate::image::tar::Entry;

/// Files that one thread reads at a time.
const BATCH: usize = 64;

/// So many are known before the first of them is written, and so much else between them.
const FILES_MAX: usize = 4 * BATCH;
const ITEMS_MAX: usize = 4096;

/// Larger ones are read when it is their turn.
const SMALL: u64 = 32 << 10;

/// What these read is hashed by one.
const THREADS_MAX: usize = 3;

/// A file to be read.
pub(super) struct Wanted {
    pub directory: Arc<OwnedFd>,
    pub name: Vec<u8>,
    /// Of the archive.
    pub path: Vec<u8>,
}

pub(super) enum Found {
    /// It went away or became something else.
    Nothing,
    Small {
        stat: Box<Stat>,
        xattrs: Xattrs,
        bytes: Vec<u8>,
    },
    Large,
}

/// What comes next in the archive.
pub(super) enum Item {
    Entry(Box<Entry>),
    File(Wanted, Result<Found, PackError>),
}

type Read = VecDeque<(Wanted, Result<Found, PackError>)>;

/// What is to be written, in its order.
#[derive(Default)]
pub(super) struct Queue {
    /// None: the next file.
    items: VecDeque<Option<Box<Entry>>>,
    /// Files among them.
    files: usize,
    next: Vec<Wanted>,
    handed_over: u64,
    taken: u64,
    /// Of the batch that was taken last.
    read: Read,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    has_work: Condvar,
    has_read: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(u64, Vec<Wanted>)>,
    read: HashMap<u64, Read>,
    is_over: bool,
}

impl Queue {
    /// None: there is nobody who could read meanwhile.
    pub fn new() -> Option<Queue> {
        (others() > 0).then(Queue::default)
    }

    pub fn add(&mut self, wanted: Wanted) {
        self.items.push_back(None);
        self.files += 1;
        self.next.push(wanted);
        if self.next.len() == BATCH {
            self.hand_over();
        }
    }

    /// Gives the entry back if it is its turn.
    pub fn add_entry(&mut self, entry: Entry) -> Option<Entry> {
        if self.items.is_empty() {
            return Some(entry);
        }
        self.items.push_back(Some(Box::new(entry)));
        None
    }

    /// What has to be written now, so that not too much waits; at the end all of it.
    pub fn take(&mut self, is_end: bool) -> Option<Item> {
        let has_to = is_end || self.files > FILES_MAX || self.items.len() > ITEMS_MAX;
        let item = has_to.then(|| self.items.pop_front()).flatten()?;
        if let Some(entry) = item {
            return Some(Item::Entry(entry));
        }
        self.files -= 1;
        if self.read.is_empty() {
            if self.taken == self.handed_over {
                self.hand_over();
            }
            self.read = self.shared.take(self.taken);
            self.taken += 1;
        }
        let (wanted, found) = self.read.pop_front()?;
        Some(Item::File(wanted, found))
    }

    fn hand_over(&mut self) {
        let batch = std::mem::take(&mut self.next);
        let mut state = self.shared.state();
        state.waiting.push_back((self.handed_over, batch));
        drop(state);
        self.shared.has_work.notify_one();
        self.handed_over += 1;
        // The first one alone is read as fast as a thread is started.
        if self.handed_over == 2 {
            self.start();
        }
    }

    /// Without any thread, everything is read by the caller.
    fn start(&mut self) {
        for _ in 0..others().min(THREADS_MAX) {
            let shared = Arc::clone(&self.shared);
            let thread = Builder::new().name("reader".to_owned());
            self.threads.extend(thread.spawn(move || shared.work()));
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.shared.has_work.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.state();
        while !state.is_over {
            state = match state.waiting.pop_front() {
                Some(batch) => self.read(state, batch),
                None => {
                    let woken = self.has_work.wait(state);
                    woken.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    /// The batch with this number. Whoever waits for it reads another one meanwhile.
    fn take(&self, number: u64) -> Read {
        let mut state = self.state();
        loop {
            if let Some(read) = state.read.remove(&number) {
                return read;
            }
            state = match state.waiting.pop_front() {
                Some(batch) => self.read(state, batch),
                None => {
                    let woken = self.has_read.wait(state);
                    woken.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    fn read<'s>(
        &'s self,
        state: MutexGuard<'s, State>,
        (number, batch): (u64, Vec<Wanted>),
    ) -> MutexGuard<'s, State> {
        drop(state);
        let read = batch.into_iter().map(|wanted| {
            let found = wanted.read();
            (wanted, found)
        });
        let read = read.collect();
        let mut state = self.state();
        state.read.insert(number, read);
        self.has_read.notify_all();
        state
    }
}

impl Wanted {
    fn read(&self) -> Result<Found, PackError> {
        let opened = open(self.directory.as_fd(), &self.name, LAYER_FILE, &self.path)?;
        let Some(fd) = opened else {
            return Ok(Found::Nothing);
        };
        let stat = rustix::fs::fstat(&fd).map_err(PackError::io("look at", &self.path))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(Found::Nothing);
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        if size > SMALL {
            return Ok(Found::Large);
        }
        let xattrs = attributes(&fd);
        Ok(Found::Small {
            stat: Box::new(stat),
            xattrs: xattrs.map_err(PackError::io("read the attributes of", &self.path))?,
            bytes: self.content(&fd, size as usize)?,
        })
    }

    /// Not more than `size` bytes; fewer if the file has become smaller.
    fn content(&self, fd: &OwnedFd, size: usize) -> Result<Vec<u8>, PackError> {
        let mut bytes = vec![0; size];
        let mut length = 0;
        while length < size {
            match rustix::io::read(fd, &mut bytes[length..]) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(PackError::io("read", &self.path)(errno)),
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// Processors beside the caller's.
fn others() -> usize {
    std::thread::available_parallelism().map_or(0, |all| all.get() - 1)
}
