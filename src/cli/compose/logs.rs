//! `compose logs`: what a project's containers wrote, whoever wrote it before each line.

use jiff::Timestamp;

use super::found::{self, Scope, Which, failed};
use super::lines::{Lines, Look};
use super::{Globals, Invocation};
use crate::cli::error::{CliError, Kind};
use crate::compose::labels::{self, OneOff};
use crate::container::{Event, LogDriver};
use crate::engine::request::{LogsRequest, Moment};
use crate::engine::{Engine, EngineError, Joining, ListedContainer, LogEvent, LogLabel};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Go on while one of the containers runs, also with those that start meanwhile
    #[arg(short, long)]
    follow: bool,
    /// Which of the service's containers
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    index: u32,
    /// Show no colours
    #[arg(long)]
    no_color: bool,
    /// Do not begin lines with the container's name
    #[arg(long)]
    no_log_prefix: bool,
    /// Show what came after a moment (2024-01-31T15:04:05Z) or in the last while (42m)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Show only so many lines from the end of each log
    #[arg(
        short = 'n',
        long,
        value_name = "LINES",
        default_value = "all",
        allow_hyphen_values = true
    )]
    tail: String,
    /// Begin each line with its time
    #[arg(short, long)]
    timestamps: bool,
    /// Show what came before a moment
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Args {
    fn request(&self, names: Vec<String>) -> Result<LogsRequest, CliError> {
        let now = Timestamp::now();
        let moment = |what, text: Option<&String>| {
            text.map(|text| Moment::parse(what, text, now))
                .transpose()
                .map_err(|error| CliError::usage(error.to_string()))
        };
        Ok(LogsRequest {
            names,
            follow: self.follow,
            // docker takes a negative number, and whatever is no number, for all lines
            tail: self.tail.parse().ok(),
            since: moment("since", self.since.as_ref())?,
            until: moment("until", self.until.as_ref())?,
        })
    }
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    if args.index > 0 && args.services.len() != 1 {
        return Err(failed("--index requires one service to be selected"));
    }
    let scope = globals.scope(&args.services, invocation)?;
    scope.check(&args.services)?;
    let engine = invocation.engine()?;
    let since = Timestamp::now();
    let services = services(args, &scope);
    let found = chosen(args, &engine, &scope, services.as_deref(), invocation)?;
    let names = found.iter().map(|found| found.record.id.to_string());
    let request = args.request(names.collect())?;
    let look = Look {
        colours: globals.colours(&invocation.ui) && !args.no_color,
        names: !args.no_log_prefix,
        times: args.timestamps,
        in_turn: !args.follow,
    };
    let mut lines = Lines::new(&invocation.ui, look);
    for container in &found {
        lines.add(short_name(container));
    }
    let shown = show(
        &engine,
        &request,
        &mut lines,
        Joining {
            since,
            wanted: &|event| is_wanted(event, &scope.name, services.as_deref(), args.index),
        },
    );
    // What came before a failure was wanted all the same.
    let finished = lines.finish();
    shown.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    finished.map(|()| 0)
}

fn show(
    engine: &Engine,
    request: &LogsRequest,
    lines: &mut Lines<'_>,
    joining: Joining<'_>,
) -> Result<(), EngineError> {
    let mut each = |event: LogEvent<'_>| match event {
        LogEvent::Entry(label, entry) => {
            let speaker = speaker(engine, lines, label);
            lines.entry(speaker, entry)
        }
        LogEvent::Exited(label, end) => {
            let again = if end.again { " (restarting)" } else { "" };
            let speaker = speaker(engine, lines, label);
            lines.remark(speaker, &format!("exited with code {}{again}", end.code))
        }
        LogEvent::Pause => lines.flush(),
    };
    match request.follow {
        true => engine.joined_logs(request, &joining, &mut each),
        false => engine.logs(request, &mut each),
    }
}

/// One that has started since is new.
fn speaker(engine: &Engine, lines: &mut Lines<'_>, label: LogLabel<'_>) -> usize {
    while !lines.has(label.number) {
        match engine.listed(label.id) {
            Ok(container) => lines.add(short_name(&container)),
            Err(_) => lines.add(label.name),
        };
    }
    label.number
}

/// What its lines begin with: its name, without the project's where compose has given it.
fn short_name(container: &ListedContainer) -> &str {
    let rest = container.name.strip_prefix(found::project(container));
    let rest = rest.and_then(|rest| rest.strip_prefix(['-', '_']));
    let given = rest.filter(|rest| {
        let number = rest.strip_prefix(found::service(container));
        let number = number.and_then(|rest| rest.strip_prefix(['-', '_']));
        number == Some(found::number(container))
    });
    given.unwrap_or(&container.name)
}

/// Those whose lines are wanted; `None`: of all services there are.
fn services(args: &Args, scope: &Scope) -> Option<Vec<String>> {
    if !args.services.is_empty() {
        return Some(args.services.clone());
    }
    // What the files say is not to be attached to is shown by its name only.
    let services = scope.project.as_ref()?.services.iter();
    let shown = services.filter(|(_, service)| service.attach != Some(false));
    Some(shown.map(|(name, _)| name.clone()).collect())
}

fn chosen(
    args: &Args,
    engine: &Engine,
    scope: &Scope,
    services: Option<&[String]>,
    invocation: &Invocation,
) -> Result<Vec<ListedContainer>, CliError> {
    let which = Which {
        oneoff: OneOff::Exclude,
        all: true,
        services: services.unwrap_or_default(),
    };
    let mut found = match (args.index, services) {
        (0, Some([])) => Vec::new(),
        (0, _) => found::containers(engine, &scope.name, which)?,
        (index, _) => vec![found::one(engine, &scope.name, which, index)?],
    };
    found.retain(|container| {
        let driver = container.settings.log.driver;
        let readable = !matches!(driver, LogDriver::None | LogDriver::Passthrough);
        if !readable {
            let reason = EngineError::UnreadableLog;
            let name = &container.name;
            invocation
                .ui
                .warning(&format!("can't retrieve logs for {name:?}: {reason}"));
        }
        readable
    });
    Ok(found)
}

/// Whether it is an event of a container whose lines are wanted.
fn is_wanted(event: &Event, project: &str, services: Option<&[String]>, index: u32) -> bool {
    let labels = &event.attributes;
    let has = |key: &str, value: &str| labels.get(key).is_some_and(|text| text == value);
    let mut wanted = services.into_iter().flatten();
    has(labels::PROJECT, project)
        && !labels::is_oneoff(labels)
        && (services.is_none() || wanted.any(|service| has(labels::SERVICE, service)))
        && (index == 0 || labels::number(labels) == index)
}
