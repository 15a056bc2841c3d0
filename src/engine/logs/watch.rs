//! Waits until a log grows, is rotated, or its container ends. Reads no log.

use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::news::News;
use super::{Reading, Source};
use crate::engine::EngineError;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::timer::End;

pub(super) struct Watch(Inotify);

fn failed(error: Errno) -> EngineError {
    EngineError::System {
        operation: "watch the log",
        source: error.into(),
    }
}

impl Watch {
    pub fn new() -> Result<Watch, EngineError> {
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        Inotify::init(flags).map(Watch).map_err(failed)
    }

    /// Watches the files that are written now; what is watched already costs nothing.
    pub fn renew(&mut self, sources: &[Source]) -> Result<(), EngineError> {
        // The exit record and the next file of a log appear by a rename; or the directory itself is renamed away.
        let changes = AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_DELETE_SELF;
        for source in sources.iter().filter(|source| !source.ended) {
            self.add(&source.record.directory, changes)?;
            let Reading::Files(_, path) = &source.reading else {
                continue;
            };
            if let Some(directory) = path.parent() {
                self.add(directory, changes)?;
            }
            self.add(path, AddWatchFlags::IN_MODIFY)?;
        }
        Ok(())
    }

    /// What is gone needs no watch: the next look finds that.
    fn add(&self, path: &Path, flags: AddWatchFlags) -> Result<(), EngineError> {
        match self.0.add_watch(path, flags) {
            Ok(_) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// A monitor that is killed changes no file: its end is waited for too.
    pub fn wait(
        &self,
        sources: &[Source],
        news: Option<&News<'_>>,
        end: Option<End>,
    ) -> Result<(), EngineError> {
        let monitors = sources.iter().filter(|source| !source.ended).map(|source| {
            let status = source.record.status().ok()?;
            status.live()?.monitor.open().ok().flatten()
        });
        let monitors: Vec<_> = monitors.collect();
        // Ended since the last look.
        if monitors.iter().any(Option::is_none) {
            return Ok(());
        }
        let mut set = PollSet::new();
        set.add(self.0.as_fd(), Interest::Read, ());
        if let Some(news) = news {
            set.add(news.as_fd(), Interest::Read, ());
        }
        for monitor in monitors.iter().flatten() {
            set.add(monitor.as_fd(), Interest::Read, ());
        }
        for source in sources.iter().filter(|source| !source.ended) {
            if let Reading::Journal(reader) = &source.reading {
                set.add(reader.as_fd(), Interest::Read, ());
            }
        }
        set.wait_until(end)
            .map_err(EngineError::system("watch the log"))?;
        let _ = self.0.read_events();
        Ok(())
    }
}
