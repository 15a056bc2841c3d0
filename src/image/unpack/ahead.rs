//! Has what was unpacked written to the disk while the archive is read on: what is left for the sync before a layer gets its name
//! is then little.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use super::UnpackError;
use crate::sys::fs;

/// After so many bytes of an archive. The kernel by itself begins when a tenth of the memory waits to be written.
const STEP: u64 = 16 << 20;

pub(super) struct Ahead<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    root: BorrowedFd<'env>,
    /// There once something is to be written.
    writer: Option<(SyncSender<()>, ScopedJoinHandle<'scope, io::Result<()>>)>,
    next: u64,
}

impl<'scope, 'env> Ahead<'scope, 'env> {
    /// Of the file system that holds `root`.
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        root: BorrowedFd<'env>,
    ) -> Ahead<'scope, 'env> {
        Ahead {
            scope,
            root,
            writer: None,
            next: STEP,
        }
    }

    /// `offset`: how far the archive was read.
    pub(super) fn reached(&mut self, offset: u64) {
        if offset < self.next {
            return;
        }
        self.next = offset + STEP;
        if self.writer.is_none() {
            let (wake, woken) = sync_channel(1);
            let root = self.root;
            let work = move || woken.iter().try_for_each(|()| fs::write_ahead(root));
            let thread = std::thread::Builder::new().name("write ahead".to_owned());
            // Without a thread all is written at the end.
            let thread = thread.spawn_scoped(self.scope, work).ok();
            self.writer = thread.map(|thread| (wake, thread));
        }
        if let Some((wake, _)) = &self.writer {
            // One that is at it still takes this along the next time; one that has failed says so at the end.
            let _ = wake.try_send(());
        }
    }

    pub(super) fn finish(self) -> Result<(), UnpackError> {
        let Some((wake, thread)) = self.writer else {
            return Ok(());
        };
        drop(wake);
        let written = thread.join().expect("a writer does not panic");
        written.map_err(|source| UnpackError::Ahead { source })
    }
}
