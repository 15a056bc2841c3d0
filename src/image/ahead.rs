//! Has what was unpacked or built written to the disk while archives are read on, or made: what is left for the sync before layers get
//! their names is then little. One writer for all layers that are unpacked at a time: it writes all of the file system, or one file of
//! a layer that has few, and no layer waits for it.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use rustix::fs::{Mode, OFlags};

use super::layer::TempLayer;
use super::ready::FEW;
use super::tar::Entry;
use crate::sys::fs::{self, Links};

/// After so many bytes of an archive. The kernel by itself begins when a tenth of the memory waits to be written.
const STEP: u64 = 16 << 20;

/// The writer, there once something is to be written.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    writer: Mutex<Option<Writer>>,
}

/// What is to be written.
#[derive(Debug)]
enum Work {
    FileSystem,
    File(OwnedFd),
}

#[derive(Debug)]
struct Writer {
    wake: SyncSender<Work>,
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
                .take_while(|_| !is_over.load(Ordering::Relaxed));
            needed.try_for_each(|work| match work {
                Work::FileSystem => fs::write_ahead(&root),
                Work::File(file) => fs::begin_writing(file),
            })
        };
        let thread = Builder::new().name("write ahead".to_owned()).spawn(work);
        let thread = thread.ok()?;
        Some(Writer { wake, thread, ends })
    }
}

impl Ahead {
    fn wake(&self, root: BorrowedFd<'_>, work: Work) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.is_none() {
            *writer = root.try_clone_to_owned().ok().and_then(Writer::start);
        }
        if let Some(writer) = &*writer {
            // One that is at it still takes this along the next time, or leaves a file to its sync; one that has failed says so at the end.
            let _ = writer.wake.try_send(work);
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
            self.ahead.wake(self.root, Work::FileSystem);
        }
    }
}

/// The same for a layer that is there already, while its archive is made. What is synced file by file is written so, too: the rest of
/// the file system may be another program's.
pub(super) struct Reread<'a> {
    layer: &'a TempLayer,
    pace: Pace<'a>,
    entries: u64,
    offset: u64,
    /// Most of its files are on the disk.
    is_linked: bool,
}

impl<'a> Reread<'a> {
    pub(super) fn new(layer: &'a TempLayer, is_linked: bool) -> Reread<'a> {
        Reread {
            layer,
            pace: Pace::new(layer.ahead(), layer.root()),
            entries: 0,
            offset: 0,
            is_linked,
        }
    }

    fn has_few(&self) -> bool {
        self.is_linked || self.entries <= FEW
    }

    pub(super) fn entry(&mut self, entry: &Entry) {
        self.entries += 1;
        if !self.is_linked && self.entries == FEW + 1 {
            let ahead = self.layer.ahead();
            return ahead.wake(self.layer.root(), Work::FileSystem);
        }
        if self.has_few() && entry.size >= STEP {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK;
            let opened = fs::open_in_root(
                self.layer.root(),
                &entry.path,
                flags,
                Mode::empty(),
                Links::Refuse,
            );
            // What can't be opened is not of the kind, and whoever reads it says so.
            if let Ok(file) = opened {
                self.layer.ahead().wake(self.layer.root(), Work::File(file));
            }
        }
    }

    pub(super) fn bytes(&mut self, count: usize) {
        self.offset += count as u64;
        if !self.has_few() {
            self.pace.reached(self.offset);
        }
    }
}
