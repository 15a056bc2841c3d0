//! Has what was unpacked written to the disk while archives are read on: what is left for the sync before layers get their names is
//! then little. One writer for all layers that are unpacked at a time: it writes all of the file system, and no layer waits for it.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::sys::fs;

/// After so many bytes of an archive. The kernel by itself begins when a tenth of the memory waits to be written.
const STEP: u64 = 16 << 20;

/// The writer, there once something is to be written.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    writer: Mutex<Option<Writer>>,
}

#[derive(Debug)]
struct Writer {
    wake: SyncSender<()>,
    thread: JoinHandle<io::Result<()>>,
    ends: Arc<AtomicBool>,
}

impl Writer {
    /// Of the file system that holds `root`. `None`: without a thread all is written at the end.
    fn start(root: OwnedFd) -> Option<Writer> {
        let (wake, woken) = sync_channel(1);
        let ends = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ends);
        let work = move || {
            let mut needed = woken
                .iter()
                .take_while(|()| !is_over.load(Ordering::Relaxed));
            needed.try_for_each(|()| fs::write_ahead(&root))
        };
        let thread = Builder::new().name("write ahead".to_owned()).spawn(work);
        let thread = thread.ok()?;
        Some(Writer { wake, thread, ends })
    }
}

impl Ahead {
    fn wake(&self, root: BorrowedFd<'_>) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.is_none() {
            *writer = root.try_clone_to_owned().ok().and_then(Writer::start);
        }
        if let Some(writer) = &*writer {
            // One that is at it still takes this along the next time; one that has failed says so at the end.
            let _ = writer.wake.try_send(());
        }
    }

    /// Waits for what was begun. An error counts: the sync that comes now need not hear of it any more.
    pub(super) fn finish(&self) -> io::Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Writer { wake, thread, ends }) = writer.take() else {
            return Ok(());
        };
        ends.store(true, Ordering::Relaxed);
        drop(wake);
        thread.join().expect("a writer does not panic")
    }
}

/// How far one archive was read, and when its files are next to be written.
pub(super) struct Pace<'a> {
    ahead: &'a Ahead,
    root: BorrowedFd<'a>,
    next: u64,
}

impl<'a> Pace<'a> {
    pub(super) fn new(ahead: &'a Ahead, root: BorrowedFd<'a>) -> Pace<'a> {
        Pace {
            ahead,
            root,
            next: STEP,
        }
    }

    pub(super) fn reached(&mut self, offset: u64) {
        if offset >= self.next {
            self.next = offset + STEP;
            self.ahead.wake(self.root);
        }
    }
}
