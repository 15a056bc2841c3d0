//! Stays with containers in the foreground: their output, their ends, and the signals that end them.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::BorrowedFd;

use nix::sys::signal::Signal as Number;

use super::start::{Cascade, Ended, Follow};
use super::{ExecuteError, Executor};
use crate::compose::labels::{self, OneOff};
use crate::compose::report::{Phase, Report};
use crate::compose::state;
use crate::container::{Record, Status};
use crate::engine::request::{AttachRequest, Signal, StopTimeout};
use crate::engine::{EngineError, EventFollower, ListedContainer, Session, Stops};
use crate::monitor::{Attach, FromMonitor, Reply, Request, Stream};
use crate::sys::signal::Signals;
use crate::sys::timer::End;

/// A line that never ends is shown in pieces of this length.
const LONGEST: usize = 256 * 1024;

/// One container that runs, or did.
pub(super) struct Live {
    pub service: String,
    /// As its output has it.
    pub name: String,
    pub record: Record,
    /// None: it has ended.
    pub session: Option<Session>,
    /// Its output is shown.
    shows: bool,
    /// Lines of which the end is still to come.
    lines: [Vec<u8>; 2],
}

impl Live {
    pub fn new(
        service: &str,
        name: String,
        record: Record,
        session: Option<Session>,
        shows: bool,
    ) -> Live {
        Live {
            service: service.to_owned(),
            name,
            record,
            session,
            shows,
            lines: [Vec::new(), Vec::new()],
        }
    }

    /// What its monitor says next; its exit code, once it has ended for good.
    pub fn hear(&mut self, report: &dyn Report) -> Option<i32> {
        let session = self.session.as_mut()?;
        let code = match session.connection.receive() {
            Ok(FromMonitor::Output(stream, bytes)) => {
                let line = &mut self.lines[usize::from(stream == Stream::Stderr)];
                line.extend_from_slice(bytes);
                show_lines(line, (report, &self.name), stream, false);
                return None;
            }
            Ok(FromMonitor::Reply(Reply::Exited(code))) => Some(code),
            Ok(FromMonitor::Reply(_) | FromMonitor::Nothing) => return None,
            Ok(FromMonitor::Closed) | Err(_) => None,
        };
        for (line, stream) in self.lines.iter_mut().zip([Stream::Stdout, Stream::Stderr]) {
            show_lines(line, (report, &self.name), stream, true);
        }
        let status = self.record.status();
        // By its policy or by somebody's wish its monitor starts it again: it goes on saying what it writes.
        if let (Some(code), Ok(Status::Restarting(..) | Status::Running(_))) = (code, &status) {
            let attach = Attach {
                stdin: false,
                stdout: self.shows,
                stderr: self.shows,
            };
            let session = self.session.as_ref()?;
            let again = session.connection.request(&Request::Attach(attach));
            if again.is_ok() {
                if self.shows {
                    report.status(&self.name, &format!("exited with code {code} (restarting)"));
                }
                return None;
            }
        }
        self.session = None;
        let code = code.unwrap_or_else(|| code_of(&status));
        if self.shows {
            report.status(&self.name, &format!("exited with code {code}"));
        }
        Some(code)
    }
}

/// Of one whose monitor has said nothing.
fn code_of(status: &std::io::Result<Status>) -> i32 {
    match status {
        Ok(Status::Exited(exit)) => exit.code,
        Ok(Status::Killed(_)) => 137,
        _ => 0,
    }
}

/// Those that are whole, or what there is at the end.
fn show_lines(
    pending: &mut Vec<u8>,
    (report, name): (&dyn Report, &str),
    stream: Stream,
    is_end: bool,
) {
    let mut rest = pending.as_slice();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        report.output(name, stream, &rest[..end]);
        rest = &rest[end + 1..];
    }
    if !rest.is_empty() && (is_end || rest.len() > LONGEST) {
        report.output(name, stream, rest);
        rest = &[];
    }
    *pending = rest.to_vec();
}

/// The project is being stopped, what depends on others first.
struct Leaving {
    groups: VecDeque<Vec<ListedContainer>>,
    stops: Option<Stops>,
    /// Of the group that is being stopped.
    names: Vec<String>,
}

pub(super) struct Follower<'a> {
    executor: &'a Executor<'a>,
    follow: &'a Follow,
    pub signals: Signals,
    pub news: EventFollower,
    leaving: Option<Leaving>,
    was_interrupted: bool,
    /// Of the first that ended where that ends all.
    code: Option<i32>,
    /// Of the service that was named.
    code_from: Option<i32>,
}

impl<'a> Follower<'a> {
    pub fn new(
        executor: &'a Executor<'a>,
        follow: &'a Follow,
    ) -> Result<Follower<'a>, ExecuteError> {
        let signals = Signals::watch(&[Number::SIGINT, Number::SIGTERM]);
        Ok(Follower {
            executor,
            follow,
            signals: signals.map_err(|source| EngineError::System {
                operation: "watch for signals",
                source,
            })?,
            news: executor.engine.follow_events()?,
            leaving: None,
            was_interrupted: false,
            code: None,
            code_from: None,
        })
    }

    pub fn shows(&self, service: &str) -> bool {
        self.follow.attach.contains(service)
    }

    /// Says whose output is shown.
    pub fn announce(&self, members: &BTreeMap<String, Vec<String>>) {
        let shown = members.iter().filter(|(service, _)| self.shows(service));
        let names = shown.flat_map(|(_, names)| names);
        let mut names: Vec<String> = names.map(|name| self.executor.short(name)).collect();
        names.sort();
        self.executor.report.attached(&names);
    }

    pub fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    pub fn is_stopping(&self) -> bool {
        let stops = self
            .leaving
            .as_ref()
            .and_then(|leaving| leaving.stops.as_ref());
        stops.is_some_and(|stops| stops.deadline().is_some())
    }

    /// All have ended, and nobody is being stopped.
    pub fn is_over(&self, lives: &[Live]) -> bool {
        let stopping = self.leaving.as_ref();
        let stopping = stopping.is_some_and(|one| one.stops.is_some() || !one.groups.is_empty());
        !stopping && lives.iter().all(|live| live.session.is_none())
    }

    pub fn outcome(&self) -> Ended {
        match self.was_interrupted {
            true => Ended::Interrupted,
            false => Ended::Exited(self.code_from.or(self.code).unwrap_or(0)),
        }
    }

    pub fn deadline(&self) -> Option<End> {
        self.leaving.as_ref()?.stops.as_ref()?.deadline()
    }

    pub fn stop_fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let stops = self
            .leaving
            .as_ref()
            .and_then(|leaving| leaving.stops.as_ref());
        stops.into_iter().flat_map(Stops::fds)
    }

    /// The first asks the containers to end, the second ends them.
    pub fn signals(&mut self, services: &[String]) -> Result<(), ExecuteError> {
        while let Ok(Some(_)) = self.signals.next() {
            if self.leaving.is_none() {
                let words = "Gracefully Stopping... press Ctrl+C again to force";
                self.executor.report.note(words);
                self.was_interrupted = true;
                self.leave(services)?;
                continue;
            }
            let all = self
                .executor
                .containers_of(services, false, OneOff::Exclude)?;
            self.executor.kill_group(&all, Signal::KILL)?;
        }
        Ok(())
    }

    fn leave(&mut self, services: &[String]) -> Result<(), ExecuteError> {
        let all = self
            .executor
            .containers_of(services, false, OneOff::Exclude)?;
        let alive = all.into_iter().filter(|one| state::state(one).is_alive());
        self.leaving = Some(Leaving {
            groups: self.executor.in_order_of_end(alive.collect()).into(),
            stops: None,
            names: Vec::new(),
        });
        self.advance()
    }

    /// Once more, when all that was to be stopped has ended.
    pub fn leave_rest(&mut self, services: &[String]) -> Result<(), ExecuteError> {
        let leaving = self.leaving.as_ref();
        match leaving.is_some_and(|one| one.stops.is_none() && one.groups.is_empty()) {
            true => self.leave(services),
            false => Ok(()),
        }
    }

    /// Goes on with stopping.
    pub fn advance(&mut self) -> Result<(), ExecuteError> {
        let Executor { engine, report, .. } = *self.executor;
        let timeout = self.follow.timeout;
        let timeout = timeout.map_or(StopTimeout::Default, StopTimeout::Seconds);
        let Some(leaving) = &mut self.leaving else {
            return Ok(());
        };
        loop {
            if let Some(stops) = &mut leaving.stops {
                let names = &leaving.names;
                engine.advance_stops(stops, &mut |index, how| said(report, &names[index], &how))?;
                if !stops.is_empty() {
                    return Ok(());
                }
                leaving.stops = None;
            }
            let Some(group) = leaving.groups.pop_front() else {
                return Ok(());
            };
            leaving.names = group.iter().map(|one| one.name.clone()).collect();
            for one in &group {
                report.container(&one.name, Phase::Working, "Stopping");
                super::hooks::before_stop(self.executor, one)?;
            }
            let records = group.into_iter().map(|one| one.record).collect();
            let names = &leaving.names;
            let stops = engine.begin_stops(records, None, timeout, &mut |index, how| {
                said(report, &names[index], &how)
            });
            leaving.stops = Some(stops);
        }
    }

    /// Somebody has started one of them: it is shown again.
    pub fn events(&mut self, lives: &mut [Live]) -> Result<(), ExecuteError> {
        let project = &self.executor.project.name;
        for event in self.news.news()? {
            let label = |key: &str| event.attributes.get(key).map(String::as_str);
            let service = label(labels::SERVICE).unwrap_or_default();
            let is_ours = event.action == "start"
                && label(labels::PROJECT) == Some(project)
                && label(labels::ONEOFF) != Some("True")
                && self.shows(service);
            let is_heard =
                |live: &Live| live.record.id.as_str() == event.id && live.session.is_some();
            if !is_ours || lives.iter().any(is_heard) || self.leaving.is_some() {
                continue;
            }
            // One that was started by this command is heard as soon as it has answered.
            let Ok(one) = self.executor.engine.listed(&event.id) else {
                continue;
            };
            let known = lives
                .iter()
                .position(|live| live.record.id == one.record.id);
            let Some(known) = known else { continue };
            let attach = Attach {
                stdin: false,
                stdout: true,
                stderr: true,
            };
            let session = self
                .executor
                .engine
                .attach(&one.record, &AttachRequest { attach });
            lives[known].session = session.ok();
        }
        Ok(())
    }

    pub fn exited(&mut self, service: &str, code: i32) -> Result<(), ExecuteError> {
        if self.follow.exit_from.as_deref() == Some(service) && self.code_from.is_none() {
            self.code_from = Some(code);
        }
        let ends_all = match self.follow.cascade {
            Cascade::Nothing => false,
            Cascade::Stop => true,
            Cascade::StopOnFailure => code != 0,
        };
        if !ends_all || self.leaving.is_some() {
            return Ok(());
        }
        self.code = Some(code);
        self.executor.report.note("Aborting on container exit...");
        let services: Vec<String> = self.executor.project.services.keys().cloned().collect();
        self.leave(&services)
    }
}

fn said(report: &dyn Report, name: &str, how: &Result<crate::engine::Stopped, EngineError>) {
    match how {
        Ok(_) => report.container(name, Phase::Done, "Stopped"),
        Err(error) => {
            report.container(name, Phase::Failed, "Error while Stopping");
            report.warn(&error.to_string());
        }
    }
}
