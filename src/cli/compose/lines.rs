//! Lines of several containers in one output: whose each is stands before it. Where they come from is for others.

use std::ops::ControlFlow;

use super::prefixes::Prefixes;
use crate::cli::error::CliError;
use crate::cli::ui::Ui;
use crate::monitor::{LogEntry, Stream};

/// Gathered before it is written.
const BATCH: usize = 128 * 1024;

/// What stands before the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub colours: bool,
    pub names: bool,
    pub times: bool,
    /// Nobody speaks before the last one has said all.
    pub in_turn: bool,
}

/// Writes lines in batches, both streams to standard output, as docker does.
pub(super) struct Lines<'a> {
    ui: &'a Ui,
    look: Look,
    prefixes: Prefixes,
    /// What came of a line that has no end yet: of each speaker, of both streams.
    begun: Vec<[Vec<u8>; 2]>,
    last: usize,
    batch: Vec<u8>,
    written: Result<(), CliError>,
}

impl<'a> Lines<'a> {
    pub fn new(ui: &'a Ui, look: Look) -> Lines<'a> {
        Lines {
            ui,
            look,
            prefixes: Prefixes::new(look.colours),
            begun: Vec::new(),
            last: 0,
            batch: Vec::with_capacity(BATCH + 64 * 1024),
            written: Ok(()),
        }
    }

    /// Somebody's lines will come; speakers are counted from 0.
    pub fn add(&mut self, name: &str) -> usize {
        self.begun.push(Default::default());
        self.prefixes.add(name)
    }

    pub fn has(&self, speaker: usize) -> bool {
        speaker < self.begun.len()
    }

    /// Part of a line waits for the rest, so that nobody speaks in between.
    pub fn entry(&mut self, speaker: usize, entry: &LogEntry<'_>) -> ControlFlow<()> {
        let last = std::mem::replace(&mut self.last, speaker);
        if self.look.in_turn && last != speaker {
            self.end_begun(last)?;
        }
        let stream = usize::from(entry.stream == Stream::Stderr);
        let begun = &mut self.begun[speaker][stream];
        if begun.is_empty() && self.look.times {
            begun.extend_from_slice(entry.time.as_bytes());
            begun.push(b' ');
        }
        begun.extend_from_slice(entry.text);
        match entry.ends_line {
            true => self.end_line(speaker, stream),
            false => ControlFlow::Continue(()),
        }
    }

    fn end_line(&mut self, speaker: usize, stream: usize) -> ControlFlow<()> {
        let begun = std::mem::take(&mut self.begun[speaker][stream]);
        self.begin_line(speaker);
        self.batch.extend_from_slice(&begun);
        self.batch.push(b'\n');
        match self.batch.len() >= BATCH {
            true => self.flush(),
            false => ControlFlow::Continue(()),
        }
    }

    fn begin_line(&mut self, speaker: usize) {
        if self.look.names {
            let prefix = self.prefixes.before_line(speaker);
            self.batch.extend_from_slice(prefix.as_bytes());
        }
    }

    /// `web-1 exited with code 0`, behind all that it has said.
    pub fn remark(&mut self, speaker: usize, text: &str) -> ControlFlow<()> {
        self.end_begun(speaker)?;
        let line = self.prefixes.remark(speaker, text);
        self.batch.extend_from_slice(line.as_bytes());
        self.batch.push(b'\n');
        ControlFlow::Continue(())
    }

    fn end_begun(&mut self, speaker: usize) -> ControlFlow<()> {
        for stream in 0..2 {
            if !self.begun[speaker][stream].is_empty() {
                self.end_line(speaker, stream)?;
            }
        }
        ControlFlow::Continue(())
    }

    pub fn flush(&mut self) -> ControlFlow<()> {
        if !self.batch.is_empty() && self.written.is_ok() {
            self.written = self.ui.bytes(&self.batch);
            self.batch.clear();
        }
        match self.written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    /// Also what has no end of its line.
    pub fn finish(mut self) -> Result<(), CliError> {
        for speaker in 0..self.begun.len() {
            if self.end_begun(speaker).is_break() {
                break;
            }
        }
        let _ = self.flush();
        self.written
    }
}
