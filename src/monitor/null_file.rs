//! The file that a confined container has where no device nodes can be made: what is written to its /dev/null is cut off again soon.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{FileType, Mode, OFlags};

use crate::runtime::execute::Launch;
use crate::sys::fs::{Links, open_directory, open_in_root};

pub struct NullFile {
    file: OwnedFd,
    events: OwnedFd,
}

impl NullFile {
    /// `None`: it is a device, or the program has put something else there already.
    pub fn of(launch: &Launch) -> Option<NullFile> {
        if !launch.is_confined() {
            return None;
        }
        let opened = open(launch);
        opened
            .inspect_err(|error| tracing::debug!(%error, "/dev/null is not watched"))
            .ok()?
    }

    pub fn source(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    /// Nothing of it is wanted.
    pub fn cut(&self) {
        let mut buffer = [0; 4096];
        while rustix::io::read(&self.events, &mut buffer).is_ok_and(|length| length > 0) {}
        // A cut is an event too.
        if rustix::fs::fstat(&self.file).is_ok_and(|stat| stat.st_size > 0) {
            let _ = rustix::fs::ftruncate(&self.file, 0);
        }
    }
}

fn open(launch: &Launch) -> io::Result<Option<NullFile>> {
    let root = open_directory(&launch.rootfs.copy())?;
    let place = open_in_root(
        &root,
        b"dev/null",
        OFlags::PATH,
        Mode::empty(),
        Links::Refuse,
    )?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&place)?.st_mode);
    if kind != FileType::RegularFile {
        return Ok(None);
    }
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    let file = rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    inotify::add_watch(&events, path, WatchFlags::MODIFY)?;
    let watched = NullFile { file, events };
    // The program runs already, and of what it has written there is no event.
    watched.cut();
    Ok(Some(watched))
}
