//! Threads that write small files while the archive is read on. A file is created by the reading thread, in the
//! archive's order, so that names never race; its content and attributes follow through the open descriptor.

use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{Scope, ScopedJoinHandle};

use super::super::layer::LayerPath;
use super::attributes::{Applier, Attributes};
use super::tree::write_all;
use super::{UnpackError, UnpackOptions};

/// One file to fill.
pub(super) struct Job {
    pub(super) fd: OwnedFd,
    pub(super) content: Vec<u8>,
    pub(super) attributes: Attributes,
    pub(super) path: LayerPath,
}

/// A batch ends at this many files or bytes: few enough to bound descriptors and memory, enough to spare wake-ups.
const BATCH_FILES: usize = 64;
const BATCH_BYTES: usize = 512 * 1024;

pub(super) struct Writers<'scope> {
    applier: Arc<Applier>,
    sender: Option<SyncSender<Vec<Job>>>,
    threads: Vec<ScopedJoinHandle<'scope, Result<(), UnpackError>>>,
    batch: Vec<Job>,
    batch_bytes: usize,
}

impl<'scope> Writers<'scope> {
    pub(super) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        options: &UnpackOptions,
    ) -> Result<Writers<'scope>, UnpackError> {
        let applier = Arc::new(Applier::new(options));
        let (sender, receiver) = sync_channel::<Vec<Job>>(options.writers * 2);
        let receiver = Arc::new(Mutex::new(receiver));
        let mut threads = Vec::new();
        for _ in 0..options.writers {
            let (receiver, applier) = (Arc::clone(&receiver), Arc::clone(&applier));
            let thread = std::thread::Builder::new()
                .name("unpack".to_owned())
                .spawn_scoped(scope, move || work(&receiver, &applier))
                .map_err(|source| UnpackError::Thread { source })?;
            threads.push(thread);
        }
        Ok(Writers {
            applier,
            sender: (options.writers > 0).then_some(sender),
            threads,
            batch: Vec::new(),
            batch_bytes: 0,
        })
    }

    pub(super) fn applier(&self) -> Arc<Applier> {
        Arc::clone(&self.applier)
    }

    pub(super) fn are_running(&self) -> bool {
        self.sender.is_some()
    }

    pub(super) fn send(&mut self, job: Job) -> Result<(), UnpackError> {
        self.batch_bytes += job.content.len();
        self.batch.push(job);
        if self.batch.len() >= BATCH_FILES || self.batch_bytes >= BATCH_BYTES {
            return self.flush();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), UnpackError> {
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        match &self.sender {
            Some(sender) if !batch.is_empty() => match sender.send(batch) {
                Ok(()) => Ok(()),
                // All writers are gone, which only an error of theirs explains.
                Err(_) => self.finish(),
            },
            _ => Ok(()),
        }
    }

    /// Waits until every file is whole; the first failure of a writer.
    pub(super) fn finish(&mut self) -> Result<(), UnpackError> {
        let flushed = if self.batch.is_empty() {
            Ok(())
        } else {
            self.flush()
        };
        self.sender = None;
        let mut result = flushed;
        for thread in self.threads.drain(..) {
            let ended = thread.join().expect("a writer does not panic");
            result = result.and(ended);
        }
        result
    }
}

fn work(receiver: &Mutex<Receiver<Vec<Job>>>, applier: &Applier) -> Result<(), UnpackError> {
    let mut failed = None;
    loop {
        let next = {
            let receiver = receiver
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            receiver.recv()
        };
        let Ok(batch) = next else {
            return failed.map_or(Ok(()), Err);
        };
        // After a failure the queue is still emptied, so that the reading thread never waits for nobody.
        if failed.is_some() {
            continue;
        }
        for job in batch {
            let written = write_all(&job.fd, &job.content)
                .map_err(UnpackError::io("write", &job.path))
                .and_then(|()| applier.file(&job.fd, &job.attributes, &job.path));
            if let Err(error) = written {
                failed = Some(error);
                break;
            }
        }
    }
}
