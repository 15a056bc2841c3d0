//! The event log: appended to by every process of a user, read and followed without any. Loses an event rather than
//! delay or fail a command.
//!
//! `events/rotation`: a line is written under a shared lock of the file that has the log's name, and the file gives that
//! name up under an exclusive one. So nothing is added to a file that a reader has found renamed and read to its end.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::event::Event;
use crate::paths::Paths;
use crate::sys::disk;
use crate::sys::fault;
use crate::sys::lock;

/// At this size the log gets a new file; the last one is kept, the one before is not.
const FILE_MAX: u64 = 10 << 20;

/// A longer line loses its attributes: labels are an image's, and may be hostile.
const LINE_MAX: usize = 32 << 10;

/// The attributes that are docker's, not labels.
const OWN: [&str; 6] = ["image", "name", "exitCode", "signal", "execID", "oldName"];

/// How often an appender looks again for the log that is being renamed; a stopped process may hold it for ever.
const ATTEMPTS: usize = 8;

/// `events/log` and `events/log.1`, its predecessor.
#[derive(Clone, Debug)]
pub struct EventLog {
    directory: PathBuf,
    file_max: u64,
}

impl EventLog {
    pub fn new(paths: &Paths) -> EventLog {
        EventLog::at(paths.data.join("events"))
    }

    pub(super) fn at(directory: PathBuf) -> EventLog {
        EventLog {
            directory,
            file_max: FILE_MAX,
        }
    }

    fn current(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn previous(&self) -> PathBuf {
        self.directory.join("log.1")
    }

    /// Adds one event, in some microseconds and without syncing; never waits. What cannot be written (a full disk) is lost.
    pub fn append(&self, event: &Event) {
        if let Err(error) = self.write(event) {
            tracing::debug!(%error, action = event.action, "an event is lost");
        }
    }

    fn write(&self, event: &Event) -> io::Result<()> {
        let line = line(event)?;
        fault::at("append event")?;
        let mut file = self.open_for_writing()?;
        // One write: lines of several processes do not mix. A short one leaves a torn line, which readers pass over.
        if file.write(&line)? < line.len() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        if file.metadata()?.len() >= self.file_max {
            self.rotate(&file)?;
        }
        Ok(())
    }

    /// The file that has the log's name, held so that it keeps it (`events/rotation`).
    fn open_for_writing(&self) -> io::Result<File> {
        for _ in 0..ATTEMPTS {
            let file = self.open_or_make()?;
            if lock::try_share(&file)? && is_at(&file, &self.current())? {
                return Ok(file);
            }
            std::thread::yield_now();
        }
        // Somebody sleeps on the lock: better a line that a follower may miss than none.
        self.open_or_make()
    }

    fn open_or_make(&self) -> io::Result<File> {
        let mut options = File::options();
        options.append(true).create(true).mode(0o600);
        match options.open(self.current()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Paths::make(&self.directory).map_err(io::Error::other)?;
                options.open(self.current())
            }
            other => other,
        }
    }

    /// Only by the one that gets the lock at once; the next one to append tries again.
    fn rotate(&self, full: &File) -> io::Result<()> {
        if lock::try_hold_alone(full)? && is_at(full, &self.current())? {
            disk::rename(self.current(), self.previous())?;
        }
        Ok(())
    }

    /// Reads from the oldest event that is kept.
    pub fn read(&self) -> io::Result<EventReader> {
        Ok(EventReader {
            log: self.clone(),
            file: self.oldest()?.map(BufReader::new),
            partial: Vec::new(),
        })
    }

    /// Reads what is added from now on.
    pub fn read_on(&self) -> io::Result<EventReader> {
        let mut file = open(&self.current())?;
        if let Some(file) = &mut file {
            file.seek(io::SeekFrom::End(0))?;
        }
        Ok(EventReader {
            log: self.clone(),
            file: file.map(BufReader::new),
            partial: Vec::new(),
        })
    }

    fn oldest(&self) -> io::Result<Option<File>> {
        match open(&self.previous())? {
            None => open(&self.current()),
            found => Ok(found),
        }
    }

    /// Wakes when something may have been added. Made before the first read, it misses nothing.
    pub fn watch(&self) -> io::Result<EventWatch> {
        Paths::make(&self.directory).map_err(io::Error::other)?;
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let changes = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE;
        inotify.add_watch(&self.directory, changes)?;
        Ok(EventWatch(inotify))
    }
}

fn line(event: &Event) -> io::Result<Vec<u8>> {
    let text = |event: &Event| {
        let mut text = serde_json::to_vec(event).map_err(io::Error::other)?;
        text.push(b'\n');
        Ok::<_, io::Error>(text)
    };
    let whole = text(event)?;
    if whole.len() <= LINE_MAX {
        return Ok(whole);
    }
    let short = |text: &String| text.len() <= 512;
    let attributes = event.attributes.clone().into_iter();
    let bare = Event {
        action: event.action.chars().take(512).collect(),
        attributes: attributes
            .filter(|(key, value)| short(key) && short(value))
            .take(16)
            .chain(OWN.iter().filter_map(|key| kept(event, key)))
            .collect(),
        ..event.clone()
    };
    text(&bare)
}

fn kept(event: &Event, key: &str) -> Option<(String, String)> {
    let value = event.attributes.get(key)?;
    Some((key.to_owned(), value.chars().take(512).collect()))
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether `path` names this very file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads events in the order in which they were written, across the change of files.
pub struct EventReader {
    log: EventLog,
    file: Option<BufReader<File>>,
    /// A line of which only the beginning was there.
    partial: Vec<u8>,
}

impl EventReader {
    /// The next event; `None` where there is none yet.
    pub fn next_event(&mut self) -> io::Result<Option<Event>> {
        loop {
            if let Some(event) = self.next_in_file()? {
                return Ok(Some(event));
            }
            match self.following()? {
                None => return Ok(None),
                Some(file) => {
                    // What was added between the last read and the renaming.
                    if let Some(event) = self.next_in_file()? {
                        return Ok(Some(event));
                    }
                    self.partial.clear();
                    self.file = Some(BufReader::new(file));
                }
            }
        }
    }

    fn next_in_file(&mut self) -> io::Result<Option<Event>> {
        let Some(file) = &mut self.file else {
            return Ok(None);
        };
        loop {
            file.read_until(b'\n', &mut self.partial)?;
            if !self.partial.ends_with(b"\n") {
                return Ok(None);
            }
            let event = parse(&self.partial);
            self.partial.clear();
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// The file after the present one, if that is not the log any more.
    fn following(&self) -> io::Result<Option<File>> {
        let (current, previous) = (self.log.current(), self.log.previous());
        match &self.file {
            None => self.log.oldest(),
            Some(file) if is_at(file.get_ref(), &current)? => Ok(None),
            // One that is not even the predecessor has been replaced by it.
            Some(file) if !is_at(file.get_ref(), &previous)? => open(&previous),
            Some(_) => open(&current),
        }
    }
}

/// An event, also where it was glued to a line that a full disk tore; `None` for anything else.
fn parse(line: &[u8]) -> Option<Event> {
    serde_json::from_slice(line).ok().or_else(|| {
        let line = std::str::from_utf8(line).ok()?;
        // Inside a string its quotes would be escaped.
        serde_json::from_str(&line[line.rfind("{\"time\":")?..]).ok()
    })
}

/// Becomes readable when the log changes.
pub struct EventWatch(Inotify);

impl EventWatch {
    /// Forgets what made it readable; to be called before the log is read.
    pub fn clear(&self) {
        // More than one read's worth leaves it readable: the log is then read once more, for nothing.
        let _ = self.0.read_events();
    }
}

impl AsFd for EventWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::event::EventKind;
    use super::*;

    struct Scratch(EventLog);

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0.directory);
        }
    }

    fn log(name: &str, file_max: u64) -> Scratch {
        let directory =
            std::env::temp_dir().join(format!("bryo-events-{name}-{}", std::process::id()));
        Scratch(EventLog {
            directory,
            file_max,
        })
    }

    fn event(number: usize) -> Event {
        Event::new(EventKind::Container, number.to_string(), "start").with("name", "web")
    }

    fn ids(reader: &mut EventReader) -> Vec<usize> {
        std::iter::from_fn(|| reader.next_event().unwrap())
            .map(|event| event.id.parse().unwrap())
            .collect()
    }

    #[test]
    fn a_follower_misses_nothing_while_four_writers_change_files() {
        let scratch = log("follow", 200_000);
        let log = &scratch.0;
        let mut reader = log.read().unwrap();
        let mut seen = Vec::new();
        // As many as make two or three files; the reader keeps up, so none is overtaken.
        for round in 0..6 {
            std::thread::scope(|scope| {
                for writer in 0..4 {
                    scope.spawn(move || {
                        for number in 0..250 {
                            log.append(&event(round * 1000 + writer * 250 + number));
                        }
                    });
                }
                seen.extend(ids(&mut reader));
            });
            seen.extend(ids(&mut reader));
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..6000).collect::<Vec<_>>());
        assert!(log.previous().exists(), "the log was never rotated");
        let kept = fs::metadata(log.previous()).unwrap().len();
        assert!(kept < 400_000, "{kept} bytes in one file");
    }

    #[test]
    fn what_is_kept_is_read_again_in_order() {
        let scratch = log("kept", 2_000);
        (0..100).for_each(|number| scratch.0.append(&event(number)));
        let kept = ids(&mut scratch.0.read().unwrap());
        assert!(kept.len() > 15 && kept.len() < 100, "{kept:?}");
        assert_eq!(kept, (100 - kept.len()..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_torn_line_costs_only_itself() {
        let scratch = log("torn", 1 << 20);
        scratch.0.append(&event(1));
        let torn = b"{\"time\":1,\"kind\":\"contai";
        let mut file = File::options()
            .append(true)
            .open(scratch.0.current())
            .unwrap();
        file.write_all(torn).unwrap();
        scratch.0.append(&event(2));
        assert_eq!(ids(&mut scratch.0.read().unwrap()), [1, 2]);
    }

    #[test]
    fn a_line_has_a_limit_and_keeps_what_names_the_container() {
        let scratch = log("long", 1 << 20);
        let long = event(1)
            .with("hostile", "x".repeat(1 << 20))
            .with("tier", "front");
        scratch.0.append(&long);
        let read = scratch.0.read().unwrap().next_event().unwrap().unwrap();
        assert_eq!(read.attributes.keys().collect::<Vec<_>>(), ["name", "tier"]);
    }

    #[test]
    fn where_nothing_can_be_written_an_event_is_lost_and_nothing_else() {
        let log = EventLog {
            directory: PathBuf::from("/proc/bryo-events"),
            file_max: FILE_MAX,
        };
        log.append(&event(1));
        assert!(log.read().unwrap().next_event().unwrap().is_none());
    }

    #[test]
    fn a_watch_wakes_for_a_line_and_for_a_new_file() {
        use crate::sys::poll::{Interest, PollSet};
        let scratch = log("watch", 100);
        let watch = scratch.0.watch().unwrap();
        let woken = || {
            let mut set = PollSet::new();
            set.add(watch.as_fd(), Interest::Read, ());
            let ready = set.wait(Some(std::time::Duration::ZERO)).unwrap();
            watch.clear();
            !ready.is_empty()
        };
        assert!(!woken());
        for number in 0..3 {
            scratch.0.append(&event(number));
            assert!(woken(), "event {number} woke nobody");
        }
    }
}
