//! Sets up the trace: a line per step with microseconds and role, to stderr or a file. Nothing is set up, and nothing costs
//! time, while it is off. Never decides what is worth a line, and never sees a secret: callers don't pass one.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogFilter;
use crate::sys::role;

#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    #[error("open log file {path}: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error("the trace is set up already")]
    Twice,
}

/// Begins tracing; roles forked later trace to the same place. A role without stderr (a monitor in the background) is seen only
/// with a file.
pub fn start(filter: &LogFilter, file: Option<&Path>) -> Result<(), TraceError> {
    if filter.is_off() {
        return Ok(());
    }
    if let Some(path) = file {
        let opened = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            // A high number: low ones have meanings (0–2, the stub's 3) in what bryo starts.
            .and_then(|file| Ok(rustix::io::fcntl_dupfd_cloexec(&file, 100)?));
        role::keep_trace(opened.map_err(|source| TraceError::Open {
            path: path.to_owned(),
            source,
        })?);
    }
    let output = Output::new(file.is_some());
    let lines = tracing_subscriber::fmt::layer()
        .event_format(Lines {
            start: Instant::now(),
        })
        .with_writer(output)
        .with_ansi(false);
    let subscriber = tracing_subscriber::registry()
        .with(targets(filter.as_str()))
        .with(lines);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TraceError::Twice)
}

/// `debug` → all of bryo from debug on; `net` → everything of that module; `net=debug,monitor` → each its own. Other crates are
/// never traced: theirs are the lines that could show a header.
fn targets(filter: &str) -> Targets {
    let level = |word: &str| -> Option<LevelFilter> {
        match word.to_ascii_lowercase().as_str() {
            // docker knows a level for messages before the end.
            "fatal" => Some(LevelFilter::ERROR),
            // LevelFilter would also read numbers.
            word if word.bytes().all(|b| b.is_ascii_alphabetic()) => word.parse().ok(),
            _ => None,
        }
    };
    let target = |module: &str| match module.strip_prefix("bryo") {
        Some("") => module.to_owned(),
        Some(rest) if rest.starts_with("::") => module.to_owned(),
        _ => format!("bryo::{module}"),
    };
    filter
        .split(',')
        .map(str::trim)
        .fold(Targets::new(), |targets, part| match part.split_once('=') {
            Some((module, word)) => {
                targets.with_target(target(module), level(word).unwrap_or(LevelFilter::TRACE))
            }
            None => match level(part) {
                Some(level) => targets.with_target("bryo", level),
                None => targets.with_target(target(part), LevelFilter::TRACE),
            },
        })
}

/// `    1234 us monitor web: DEBUG net::pasta: start pasta line=[…]`
struct Lines {
    /// Inherited by forked roles: their times continue the cli's.
    start: Instant,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let meta = event.metadata();
        let module = meta.target();
        let module = module.strip_prefix("bryo::").unwrap_or(module);
        let micros = self.start.elapsed().as_micros();
        write!(
            writer,
            "{micros:>8} us {}: {} {module}: ",
            role::get(),
            meta.level()
        )?;
        // A line break in a value must not make a line of its own.
        let mut fields = String::new();
        context.format_fields(Writer::new(&mut fields), event)?;
        for character in fields.chars() {
            match character {
                '\n' => writer.write_str("\\n")?,
                c if c.is_control() => write!(writer, "{}", c.escape_default())?,
                c => writer.write_char(c)?,
            }
        }
        writer.write_char('\n')
    }
}

/// Where lines go. Remembers which file that is: a role may have closed the descriptor and opened another under its number, or
/// pointed stderr elsewhere, and the trace must never end up in a container's data.
#[derive(Clone, Copy)]
struct Output {
    to_file: bool,
    file: Option<(u64, u64)>,
}

impl Output {
    fn new(to_file: bool) -> Output {
        let mut output = Output {
            to_file,
            file: None,
        };
        output.file = output.identity();
        output
    }

    fn identity(self) -> Option<(u64, u64)> {
        let stat = rustix::fs::fstat(self.descriptor()?).ok()?;
        Some((stat.st_dev, stat.st_ino))
    }

    fn descriptor(self) -> Option<BorrowedFd<'static>> {
        static STDERR: std::sync::LazyLock<io::Stderr> = std::sync::LazyLock::new(io::stderr);
        if self.to_file {
            role::trace_fd()
        } else {
            Some(STDERR.as_fd())
        }
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = Output;

    fn make_writer(&'a self) -> Output {
        *self
    }
}

/// One system call per line, so that lines of several roles don't mix. A line that can't be written is lost.
impl Write for Output {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(descriptor) = self.descriptor()
            && self.file.is_some()
            && self.identity() == self.file
        {
            let _ = rustix::io::write(descriptor, line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn filter_names_levels_and_modules() {
        let enabled =
            |filter: &str, target: &str, level: Level| targets(filter).would_enable(target, &level);
        assert!(enabled("debug", "bryo::net::pasta", Level::DEBUG));
        assert!(!enabled("debug", "bryo::net::pasta", Level::TRACE));
        assert!(!enabled("trace", "hyper::client", Level::ERROR));
        assert!(enabled("net", "bryo::net::pasta", Level::TRACE));
        assert!(!enabled("net", "bryo::monitor", Level::ERROR));
        assert!(enabled(
            "bryo::net=info,monitor=debug",
            "bryo::monitor",
            Level::DEBUG
        ));
        assert!(!enabled(
            "bryo::net=info,monitor=debug",
            "bryo::net",
            Level::DEBUG
        ));
        assert!(enabled("fatal", "bryo::net", Level::ERROR));
    }

    #[test]
    fn line_has_time_role_and_step_and_no_second_line() {
        let path = std::env::temp_dir().join(format!("bryo-trace-{}", std::process::id()));
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .unwrap();
        role::keep_trace(file.into());
        let lines = tracing_subscriber::fmt::layer()
            .event_format(Lines {
                start: Instant::now(),
            })
            .with_writer(Output::new(true))
            .with_ansi(false);
        let subscriber = tracing_subscriber::registry()
            .with(targets("debug"))
            .with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(name = "a\nb", "mount root");
            tracing::trace!("unseen");
        });
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(" us "), "{text}");
        assert!(
            text.contains(": DEBUG cli::trace::tests: mount root name=\"a\\nb\""),
            "{text}"
        );
    }
}
