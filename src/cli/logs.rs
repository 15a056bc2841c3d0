//! `logs`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::Invocation;
use super::error::CliError;
use super::error::Kind;
use super::ui::Ui;
use crate::engine::request::{LogsRequest, Moment};
use crate::engine::{LogEvent, LogLabel};
use crate::monitor::{LogEntry, Stream};

/// Gathered before it is written.
const BATCH: usize = 128 * 1024;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "CONTAINER", required = true)]
    names: Vec<String>,
    /// Show the attributes that --log-opt gave to the lines
    #[arg(long)]
    details: bool,
    /// Go on while the container writes
    #[arg(short, long)]
    follow: bool,
    /// Of several containers, begin each line with the name instead of the id
    #[arg(long = "names")]
    by_name: bool,
    /// Begin each line with its time
    #[arg(short, long)]
    timestamps: bool,
    /// Show only so many lines from the end
    #[arg(
        short = 'n',
        long,
        value_name = "LINES",
        default_value = "all",
        allow_hyphen_values = true
    )]
    tail: String,
    /// Show what came after a moment (2024-01-31T15:04:05Z) or in the last while (42m)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Show what came before a moment
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Args {
    fn request(&self) -> Result<LogsRequest, CliError> {
        let now = jiff::Timestamp::now();
        let moment = |what, text: Option<&String>| {
            text.map(|text| Moment::parse(what, text, now))
                .transpose()
                .map_err(|error| CliError::failed(&error))
        };
        Ok(LogsRequest {
            names: self.names.clone(),
            follow: self.follow,
            // docker takes a negative number, and whatever is no number, for all lines
            tail: self.tail.parse().ok(),
            since: moment("since", self.since.as_ref())?,
            until: moment("until", self.until.as_ref())?,
        })
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.request()?;
    let engine = invocation.engine()?;
    let mut printer = Printer {
        ui: &invocation.ui,
        prefix: match (args.names.len(), args.by_name) {
            (..2, _) => Prefix::Nothing,
            (_, true) => Prefix::Name,
            (_, false) => Prefix::Id,
        },
        details: args.details,
        timestamps: args.timestamps,
        inside: vec![[false; 2]; args.names.len()],
        stream: Stream::Stdout,
        batch: Vec::with_capacity(BATCH + 64 * 1024),
        written: Ok(()),
    };
    let shown = engine.logs(&request, &mut |event| match event {
        LogEvent::Entry(label, entry) => printer.entry(label, entry),
        LogEvent::Pause => printer.flush(),
        LogEvent::Exited(..) => ControlFlow::Continue(()),
    });
    // what came before a failure was wanted all the same
    let _ = printer.flush();
    shown.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    printer.written.map(|()| 0)
}

enum Prefix {
    Nothing,
    Id,
    Name,
}

/// Writes lines in batches, each stream to its own, in the order in which they were written.
struct Printer<'a> {
    ui: &'a Ui,
    prefix: Prefix,
    details: bool,
    timestamps: bool,
    /// For each container and stream: a part of a long line was shown, and the next gets no time of its own.
    inside: Vec<[bool; 2]>,
    /// Where `batch` belongs.
    stream: Stream,
    batch: Vec<u8>,
    written: Result<(), CliError>,
}

impl Printer<'_> {
    fn entry(&mut self, label: LogLabel<'_>, entry: &LogEntry<'_>) -> ControlFlow<()> {
        if entry.stream != self.stream || self.batch.len() >= BATCH {
            self.flush()?;
            self.stream = entry.stream;
        }
        let inside = &mut self.inside[label.number][usize::from(entry.stream == Stream::Stderr)];
        let begins = !std::mem::replace(inside, !entry.ends_line);
        if begins {
            self.begin_line(label, entry);
        }
        self.batch.extend_from_slice(entry.text);
        if entry.ends_line {
            self.batch.push(b'\n');
        }
        ControlFlow::Continue(())
    }

    fn begin_line(&mut self, label: LogLabel<'_>, entry: &LogEntry<'_>) {
        let prefix = match self.prefix {
            Prefix::Nothing => None,
            Prefix::Id => Some(label.id.get(..12).unwrap_or(label.id)),
            Prefix::Name => Some(label.name),
        };
        let time = self.timestamps.then_some(entry.time);
        for word in prefix.into_iter().chain(time) {
            self.batch.extend_from_slice(word.as_bytes());
            self.batch.push(b' ');
        }
        if self.details {
            self.batch.extend_from_slice(details(entry).as_bytes());
            self.batch.push(b' ');
        }
    }

    fn flush(&mut self) -> ControlFlow<()> {
        if self.batch.is_empty() || self.written.is_err() {
            return ControlFlow::Continue(());
        }
        self.written = match self.stream {
            Stream::Stdout => self.ui.bytes(&self.batch),
            Stream::Stderr => self.ui.error_bytes(&self.batch),
        };
        self.batch.clear();
        match self.written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// docker's: `name=value` in order, separated by commas, as in the query of a URL.
fn details(entry: &LogEntry<'_>) -> String {
    let attributes: BTreeMap<String, String> =
        serde_json::from_slice(entry.attributes).unwrap_or_default();
    let pairs = attributes
        .iter()
        .map(|(name, value)| format!("{}={}", query_escaped(name), query_escaped(value)));
    pairs.collect::<Vec<_>>().join(",")
}

fn query_escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte))
            }
            b' ' => escaped.push('+'),
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}
