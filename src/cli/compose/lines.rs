//! Lines of several containers in one output: whose each is stands before it. Where they come from is for others.

use std::ops::ControlFlow;

use super::{Globals, Invocation};
use crate::cli::error::CliError;
use crate::cli::ui::Ui;
use crate::monitor::{LogEntry, Stream};

/// Gathered before it is written.
const BATCH: usize = 128 * 1024;

/// Docker's colours, in the order in which containers get them.
const COLOURS: [&str; 10] = [
    "36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1",
];

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
    speakers: Vec<Speaker>,
    last: usize,
    width: usize,
    batch: Vec<u8>,
    written: Result<(), CliError>,
}

struct Speaker {
    name: String,
    colour: Option<&'static str>,
    /// What came of a line that has no end yet, of both streams.
    begun: [Vec<u8>; 2],
}

impl Globals {
    /// Whether escape sequences are for standard output.
    pub fn colours(&self, invocation: &Invocation) -> bool {
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let said = std::env::var("COMPOSE_ANSI").ok();
        let said = said.filter(|when| !when.is_empty() && self.ansi == "auto");
        match said.as_deref().unwrap_or(&self.ansi) {
            _ if forbidden => false,
            "always" => true,
            "never" => false,
            // Also the default, "auto".
            _ => invocation.ui.stdout_is_terminal,
        }
    }
}

impl<'a> Lines<'a> {
    pub fn new(ui: &'a Ui, look: Look) -> Lines<'a> {
        Lines {
            ui,
            look,
            speakers: Vec::new(),
            last: 0,
            width: 0,
            batch: Vec::with_capacity(BATCH + 64 * 1024),
            written: Ok(()),
        }
    }

    /// Somebody's lines will come; speakers are counted from 0.
    pub fn add(&mut self, name: &str) -> usize {
        let number = self.speakers.len();
        self.width = self.width.max(name.chars().count());
        self.speakers.push(Speaker {
            name: name.to_owned(),
            colour: self.look.colours.then(|| COLOURS[number % COLOURS.len()]),
            begun: Default::default(),
        });
        number
    }

    pub fn has(&self, speaker: usize) -> bool {
        speaker < self.speakers.len()
    }

    /// Part of a line waits for the rest, so that nobody speaks in between.
    pub fn entry(&mut self, speaker: usize, entry: &LogEntry<'_>) -> ControlFlow<()> {
        let last = std::mem::replace(&mut self.last, speaker);
        if self.look.in_turn && last != speaker {
            self.end_begun(last)?;
        }
        let stream = usize::from(entry.stream == Stream::Stderr);
        let begun = &mut self.speakers[speaker].begun[stream];
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
        let begun = std::mem::take(&mut self.speakers[speaker].begun[stream]);
        self.begin_line(speaker);
        self.batch.extend_from_slice(&begun);
        self.batch.push(b'\n');
        match self.batch.len() >= BATCH {
            true => self.flush(),
            false => ControlFlow::Continue(()),
        }
    }

    fn begin_line(&mut self, speaker: usize) {
        if !self.look.names {
            return;
        }
        let Speaker { name, colour, .. } = &self.speakers[speaker];
        let width = self.width + 1;
        let prefix = painted(&format!("{name:<width$} | "), *colour);
        self.batch.extend_from_slice(prefix.as_bytes());
    }

    /// `web-1 exited with code 0`, behind all that it has said.
    pub fn remark(&mut self, speaker: usize, text: &str) -> ControlFlow<()> {
        self.end_begun(speaker)?;
        let Speaker { name, colour, .. } = &self.speakers[speaker];
        let line = painted(&format!("{name} {text}"), *colour);
        self.batch.extend_from_slice(line.as_bytes());
        self.batch.push(b'\n');
        ControlFlow::Continue(())
    }

    fn end_begun(&mut self, speaker: usize) -> ControlFlow<()> {
        for stream in 0..2 {
            if !self.speakers[speaker].begun[stream].is_empty() {
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
        for speaker in 0..self.speakers.len() {
            if self.end_begun(speaker).is_break() {
                break;
            }
        }
        let _ = self.flush();
        self.written
    }
}

fn painted(text: &str, colour: Option<&str>) -> String {
    match colour {
        Some(colour) => format!("\x1b[{colour}m{text}\x1b[0m"),
        None => text.to_owned(),
    }
}
