//! Threads that write copies of files while the tree is walked on. What they have to know of a file they are told: they look at
//! no tree and decide nothing.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::fs::{Gid, Mode, Timestamps, Uid};

use super::leaf::create;
use super::{GraftError, copy_attributes, failed};

/// So many files are copied by the caller before threads are worth their start.
const FEW: usize = 8;

/// Files that wait: each is an open descriptor.
const WAITING: usize = 64;

const THREADS_MAX: usize = 8;

/// Files that are not larger are read and written in one piece.
const PIECE: usize = 64 << 10;

/// A copy to be made.
pub(super) struct Job {
    pub source: File,
    pub size: u64,
    pub directory: Arc<OwnedFd>,
    pub name: Vec<u8>,
    /// In the image.
    pub path: Vec<u8>,
    /// None: whoever makes it.
    pub owner: Option<(u32, u32)>,
    pub mode: Mode,
    pub times: Timestamps,
}

#[derive(Default)]
struct Progress {
    pending: usize,
    failure: Option<GraftError>,
}

#[derive(Default)]
struct Shared {
    progress: Mutex<Progress>,
    settled: Condvar,
}

#[derive(Default)]
pub(super) struct Copiers {
    copied: usize,
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

impl Copiers {
    /// Copies it, now or soon.
    pub fn copy(&mut self, job: Job) -> Result<(), GraftError> {
        self.copied += 1;
        if self.copied > FEW && self.jobs.is_none() {
            self.start();
        }
        let Some(jobs) = &self.jobs else {
            return job.run();
        };
        self.shared.progress().pending += 1;
        match jobs.try_send(job) {
            Ok(()) => Ok(()),
            // All have enough to do, and so the caller helps.
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                let outcome = job.run();
                self.shared.done(Ok(()));
                outcome
            }
        }
    }

    /// Returns when everything is written.
    pub fn settle(&self) -> Result<(), GraftError> {
        let mut progress = self.shared.progress();
        while progress.pending > 0 {
            let woken = self.shared.settled.wait(progress);
            progress = woken.unwrap_or_else(PoisonError::into_inner);
        }
        progress.failure.take().map_or(Ok(()), Err)
    }

    /// Without any thread, everything is done by the caller.
    fn start(&mut self) {
        let others = std::thread::available_parallelism().map_or(1, usize::from) - 1;
        let (jobs, receiver) = sync_channel(WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..others.clamp(1, THREADS_MAX) {
            let (receiver, shared) = (Arc::clone(&receiver), Arc::clone(&self.shared));
            let thread = std::thread::Builder::new().name("copier".to_owned());
            let thread = thread.spawn(move || work(&receiver, &shared));
            self.threads.extend(thread);
        }
        self.jobs = (!self.threads.is_empty()).then_some(jobs);
    }
}

impl Drop for Copiers {
    fn drop(&mut self) {
        self.jobs = None;
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

    fn done(&self, outcome: Result<(), GraftError>) {
        let mut progress = self.progress();
        progress.pending -= 1;
        if let Err(error) = outcome {
            progress.failure.get_or_insert(error);
        }
        if progress.pending == 0 {
            self.settled.notify_all();
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, shared: &Shared) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(job) => shared.done(job.run()),
            Err(_) => return,
        }
    }
}

impl Job {
    fn run(mut self) -> Result<(), GraftError> {
        self.write().map_err(failed("copy", &self.path))
    }

    fn write(&mut self) -> io::Result<()> {
        let mut copy = File::from(create(&self.directory, &self.name)?);
        match self.size {
            0 => {}
            size if size <= PIECE as u64 => copy_pieces(&mut self.source, &mut copy)?,
            _ => {
                io::copy(&mut self.source, &mut copy)?;
            }
        }
        if let Some((uid, gid)) = self.owner {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::fs::fchown(&copy, Some(uid), Some(gid))?;
        }
        rustix::fs::fchmod(&copy, self.mode)?;
        copy_attributes(self.source.as_fd(), copy.as_fd())?;
        Ok(rustix::fs::futimens(&copy, &self.times)?)
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
