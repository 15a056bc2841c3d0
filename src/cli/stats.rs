//! `stats`.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::Invocation;
use super::error::{CliError, Kind};
use super::table::{Columns, Layout, Row};
use super::units;
use crate::container::ContainerId;
use crate::engine::request::PsRequest;
use crate::engine::{Engine, EngineError, ListedContainer, Sample};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
    /// Show those that do not run, too
    #[arg(short, long)]
    all: bool,
    /// `table`, `json` or a Go template
    #[arg(long)]
    format: Option<String>,
    /// Show one measurement and end
    #[arg(long)]
    no_stream: bool,
    /// Show whole ids
    #[arg(long)]
    no_trunc: bool,
}

const HEADINGS: &[(&str, &str)] = &[
    ("Container", "CONTAINER"),
    ("ID", "CONTAINER ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];

/// Between the two measurements of a rate: the first has to be quick, the others are for reading.
const FIRST: Duration = Duration::from_millis(500);
const NEXT: Duration = Duration::from_secs(1);

/// How measurements are shown.
pub(super) struct Look<'a> {
    pub format: Option<&'a str>,
    /// One after the other, until somebody ends it.
    pub goes_on: bool,
    /// Ids are whole.
    pub whole: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let engine = invocation.engine()?;
    let look = Look {
        format: args.format.as_deref(),
        goes_on: !args.no_stream,
        whole: args.no_trunc,
    };
    show(&engine, &look, invocation, || chosen(&engine, &args))
}

/// Measures the containers that there are whenever it is time.
pub(super) fn show(
    engine: &Engine,
    look: &Look<'_>,
    invocation: &Invocation,
    chosen: impl Fn() -> Result<Vec<ListedContainer>, CliError>,
) -> Result<u8, CliError> {
    let columns = Columns {
        headings: HEADINGS,
        shown: vec![
            "ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs",
        ],
        quiet: "ID",
    };
    let layout = Layout::new(look.format, false);
    let mut screen = Screen {
        redraws: invocation.ui.stdout_is_terminal && look.goes_on,
        drawn: false,
    };
    let mut said = BTreeSet::new();
    let mut before = samples(engine, &chosen()?)?;
    loop {
        std::thread::sleep(if screen.drawn { NEXT } else { FIRST });
        let containers = chosen()?;
        let now = samples(engine, &containers)?;
        for container in &containers {
            remark(
                invocation,
                container,
                now.get(&container.record.id),
                &mut said,
            );
        }
        let rows: Vec<Row> = containers
            .iter()
            .map(|container| {
                let id = &container.record.id;
                row(container, now.get(id), before.get(id), look.whole)
            })
            .collect();
        let shown = columns.render(&layout, &rows);
        let shown = shown.map_err(|error| Invocation::template(&error))?;
        invocation.ui.result(&screen.draw(&shown))?;
        if !look.goes_on {
            return Ok(0);
        }
        before = now;
    }
}

/// Named ones whatever their state, else those that run.
fn chosen(engine: &Engine, args: &Args) -> Result<Vec<ListedContainer>, CliError> {
    let found = match args.names.is_empty() {
        true => engine.list(&PsRequest {
            all: args.all,
            ..PsRequest::default()
        }),
        false => {
            let names = args.names.iter();
            names.map(|name| engine.listed(name)).collect()
        }
    };
    found.map_err(|error| CliError::engine(Kind::Failed, &error))
}

fn samples(
    engine: &Engine,
    containers: &[ListedContainer],
) -> Result<HashMap<ContainerId, Sample>, CliError> {
    let mut samples = HashMap::new();
    for container in containers {
        match engine.sample(&container.record) {
            Ok(Some(sample)) => drop(samples.insert(container.record.id.clone(), sample)),
            // It ended, or was removed, meanwhile.
            Ok(None) | Err(EngineError::File { .. }) => {}
            Err(error) => return Err(CliError::engine(Kind::Failed, &error)),
        }
    }
    Ok(samples)
}

/// Says once per container which figures are no cgroup's.
fn remark(
    invocation: &Invocation,
    container: &ListedContainer,
    sample: Option<&Sample>,
    said: &mut BTreeSet<ContainerId>,
) {
    let added_up = sample.map_or(&[][..], |sample| &sample.added_up);
    if !added_up.is_empty() && said.insert(container.record.id.clone()) {
        let (name, what) = (&container.name, added_up.join(", "));
        invocation.ui.note(&format!(
            "{name}: no cgroup counts its {what}: added up over its processes"
        ));
    }
}

fn row(
    container: &ListedContainer,
    now: Option<&Sample>,
    before: Option<&Sample>,
    whole: bool,
) -> Row {
    let id = &container.record.id;
    let mut row = Row::default();
    let processors = now.zip(before);
    let processors = processors.map_or(0.0, |(now, before)| now.processors_since(before));
    let (memory, limit) = now.map_or((0, 0), |now| (now.memory, now.memory_limit));
    let share = match limit {
        0 => 0.0,
        limit => memory as f64 / limit as f64,
    };
    let pair = |(a, b): (u64, u64)| format!("{} / {}", units::size(a), units::size(b));
    row.set("Container", id.as_str());
    row.set("ID", if whole { id.as_str() } else { id.short() });
    row.set("Name", container.name.as_str());
    row.set("CPUPerc", format!("{:.2}%", processors * 100.0));
    let (used, most) = (units::binary_size(memory), units::binary_size(limit));
    row.set("MemUsage", format!("{used} / {most}"));
    row.set("MemPerc", format!("{:.2}%", share * 100.0));
    row.set(
        "NetIO",
        pair(now.and_then(|now| now.network).unwrap_or_default()),
    );
    row.set(
        "BlockIO",
        pair(now.map(|now| now.block).unwrap_or_default()),
    );
    row.set("PIDs", now.map_or(0, |now| now.tasks).to_string());
    row
}

/// A terminal shows each measurement in the place of the last; elsewhere they follow each other.
struct Screen {
    redraws: bool,
    drawn: bool,
}

impl Screen {
    fn draw(&mut self, text: &str) -> String {
        let first = !std::mem::replace(&mut self.drawn, true);
        match (self.redraws, first) {
            (false, _) => text.to_owned(),
            (true, true) => format!("\x1b[2J\x1b[H{text}"),
            // Each line to its end, then what is left of the last screen.
            (true, false) => format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_is_redrawn() {
        let mut pipe = Screen {
            redraws: false,
            drawn: false,
        };
        assert_eq!(
            (pipe.draw("a\n"), pipe.draw("b\n")),
            ("a\n".into(), "b\n".into())
        );
        let mut terminal = Screen {
            redraws: true,
            drawn: false,
        };
        assert_eq!(terminal.draw("a\n"), "\x1b[2J\x1b[Ha\n");
        assert_eq!(terminal.draw("b\n"), "\x1b[Hb\x1b[K\n\x1b[J");
    }
}
