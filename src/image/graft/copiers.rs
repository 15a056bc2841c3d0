//! Threads that write copies of files while the tree is walked on. What they have to know of a file they are told: they look at
//! no tree and decide nothing.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::fs::{Gid, Uid};

use super::leaf::create;
use super::origins::{Given, NEW_MAX, link};
use super::{GraftError, copy_attributes, failed};
use crate::image::merged::open_file;

/// So many files are copied by the caller before threads are worth their start.
const FEW: usize = 8;

/// Files of one directory that one thread copies: two in one directory wait for each other.
const BATCH: usize = 128;

/// Bytes after which there are enough of them.
const BATCH_SIZE: u64 = 1 << 20;

/// Batches that wait: more are done by whoever finds them.
const WAITING: usize = 4;

const THREADS_MAX: usize = 8;

/// Files that are not larger are read and written in one piece.
const PIECE: usize = 64 << 10;

/// A copy to be made.
pub(super) struct Job {
    /// The same directory of an earlier layer, if that is likely to have the very file.
    pub former: Option<Arc<OwnedFd>>,
    pub source: Arc<OwnedFd>,
    pub from: Vec<u8>,
    pub directory: Arc<OwnedFd>,
    pub name: Vec<u8>,
    /// In the image.
    pub path: Vec<u8>,
    /// None: whoever makes it.
    pub owner: Option<(u32, u32)>,
    pub given: Given,
}

/// Of one directory.
#[derive(Default)]
struct Batch {
    jobs: Vec<Job>,
    size: u64,
}

#[derive(Default)]
struct Progress {
    pending: usize,
    failure: Option<GraftError>,
    /// Those that are no links, as long as they are few.
    copied: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Shared {
    progress: Mutex<Progress>,
    settled: Condvar,
}

#[derive(Default)]
pub(super) struct Copiers {
    copied: usize,
    next: Batch,
    batches: Option<SyncSender<Batch>>,
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

impl Copiers {
    /// Copies it, now or soon.
    pub fn copy(&mut self, job: Job) -> Result<(), GraftError> {
        self.copied += 1;
        if self.copied > FEW && self.batches.is_none() {
            self.start();
        }
        if self.batches.is_none() {
            let copied = job.run()?;
            self.shared.progress().note(copied);
            return Ok(());
        }
        let is_elsewhere = |other: &Job| !Arc::ptr_eq(&other.directory, &job.directory);
        if self.next.jobs.last().is_some_and(is_elsewhere) {
            self.hand_over()?;
        }
        // A link takes as long whatever the file's size.
        if job.former.is_none() {
            self.next.size += job.given.size;
        }
        self.next.jobs.push(job);
        match self.next.jobs.len() >= BATCH || self.next.size >= BATCH_SIZE {
            true => self.hand_over(),
            false => Ok(()),
        }
    }

    fn hand_over(&mut self) -> Result<(), GraftError> {
        let batch = std::mem::take(&mut self.next);
        let (Some(batches), false) = (&self.batches, batch.jobs.is_empty()) else {
            return Ok(());
        };
        self.shared.progress().pending += 1;
        match batches.try_send(batch) {
            Ok(()) => Ok(()),
            // All have enough to do, and so the caller helps.
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => {
                self.shared.done(batch.run());
                Ok(())
            }
        }
    }

    /// Returns when everything is written.
    pub fn settle(&mut self) -> Result<(), GraftError> {
        self.hand_over()?;
        let mut progress = self.shared.progress();
        while progress.pending > 0 {
            let woken = self.shared.settled.wait(progress);
            progress = woken.unwrap_or_else(PoisonError::into_inner);
        }
        progress.failure.take().map_or(Ok(()), Err)
    }

    /// Another file was written.
    pub fn note(&self, path: Vec<u8>) {
        self.shared.progress().note([path]);
    }

    /// The files that are copies and no links; None where they are many.
    pub fn copied(&self) -> Option<Vec<Vec<u8>>> {
        let progress = self.shared.progress();
        (progress.copied.len() <= NEW_MAX).then(|| progress.copied.clone())
    }

    /// Without any thread, everything is done by the caller.
    fn start(&mut self) {
        let others = std::thread::available_parallelism().map_or(1, usize::from) - 1;
        let (batches, receiver) = sync_channel(WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..others.clamp(1, THREADS_MAX) {
            let (receiver, shared) = (Arc::clone(&receiver), Arc::clone(&self.shared));
            let thread = std::thread::Builder::new().name("copier".to_owned());
            let thread = thread.spawn(move || work(&receiver, &shared));
            self.threads.extend(thread);
        }
        self.batches = (!self.threads.is_empty()).then_some(batches);
    }
}

impl Drop for Copiers {
    fn drop(&mut self) {
        self.batches = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        let locked = self.progress.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self, outcome: Result<Vec<Vec<u8>>, GraftError>) {
        let mut progress = self.progress();
        progress.pending -= 1;
        match outcome {
            Ok(copied) => progress.note(copied),
            Err(error) => drop(progress.failure.get_or_insert(error)),
        }
        if progress.pending == 0 {
            self.settled.notify_all();
        }
    }
}

impl Progress {
    fn note(&mut self, copied: impl IntoIterator<Item = Vec<u8>>) {
        let room = (NEW_MAX + 1).saturating_sub(self.copied.len());
        self.copied.extend(copied.into_iter().take(room));
    }
}

fn work(batches: &Mutex<Receiver<Batch>>, shared: &Shared) {
    loop {
        let next = batches.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(batch) = next.recv() else { return };
        drop(next);
        shared.done(batch.run());
    }
}

impl Batch {
    /// The paths of those that are no links.
    fn run(self) -> Result<Vec<Vec<u8>>, GraftError> {
        let jobs = self.jobs.into_iter().map(Job::run);
        jobs.filter_map(Result::transpose).collect()
    }
}

impl Job {
    /// Its path, unless it is a link now.
    fn run(self) -> Result<Option<Vec<u8>>, GraftError> {
        let former = self.former.as_ref();
        if former.is_some_and(|former| link(former, &self.directory, &self.name, &self.given)) {
            return Ok(None);
        }
        self.write().map_err(failed("copy", &self.path))?;
        Ok(Some(self.path))
    }

    fn write(&self) -> io::Result<()> {
        let mut source = File::from(open_file(&self.source, &self.from)?);
        let mut copy = File::from(create(&self.directory, &self.name)?);
        match self.given.size {
            0 => {}
            size if size <= PIECE as u64 => copy_pieces(&mut source, &mut copy)?,
            _ => {
                io::copy(&mut source, &mut copy)?;
            }
        }
        if let Some((uid, gid)) = self.owner {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::fs::fchown(&copy, Some(uid), Some(gid))?;
        }
        rustix::fs::fchmod(&copy, self.given.mode)?;
        copy_attributes(source.as_fd(), copy.as_fd())?;
        Ok(rustix::fs::futimens(&copy, &self.given.times)?)
    }
}

fn copy_pieces(source: &mut File, copy: &mut File) -> io::Result<()> {
    let mut piece = [0; PIECE];
    loop {
        match source.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => copy.write_all(&piece[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
