//! A role that does one job and gives its result back: in the home namespace unpacking, deleting, pulling; beside it what only
//! talks to a registry.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::signal::Signal;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Engine, EngineError};
use crate::sys::poll::{Interest, PollSet};
use crate::sys::process::{self, Forked};
use crate::sys::signal::{self, Signals};
use crate::sys::{pidfd, role};

/// An error that has crossed the process boundary: its words, not its types.
#[derive(Clone, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RoleFailure {
    /// The whole chain on one line.
    pub message: String,
    pub hints: Vec<String>,
}

impl RoleFailure {
    pub fn of(error: &(dyn Error + 'static), hints: Vec<String>) -> RoleFailure {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(source) = cause {
            let text = source.to_string();
            // Transparent errors repeat their source's words.
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = source.source();
        }
        RoleFailure { message, hints }
    }
}

/// What a line begins with that a role says before its answer, which is JSON.
const LINE: u8 = b'>';

/// The longest line that several threads may write without mixing them up.
const LONGEST: usize = 4096;

/// How a role says what it is at, on the way that its answer will take.
pub struct Saying<'a> {
    to: BorrowedFd<'a>,
}

impl Saying<'_> {
    /// From any thread. What is too long, and what nobody reads any more, is lost.
    pub fn line(&self, text: &str) {
        let line = format!("{}{text}\n", char::from(LINE));
        if line.len() <= LONGEST {
            let _ = rustix::io::write(self.to, line.as_bytes());
        }
    }
}

/// A role at work. Dropped before its end, it is killed.
pub struct Job<T> {
    role: &'static str,
    pid: Option<Pid>,
    result: File,
    answer: Vec<u8>,
    of: PhantomData<T>,
}

impl<T> AsFd for Job<T> {
    /// Readable when there is something to read.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.result.as_fd()
    }
}

impl<T> Job<T> {
    fn new(role: &'static str, pid: Pid, result: OwnedFd) -> Job<T> {
        Job {
            role,
            pid: Some(pid),
            result: File::from(result),
            answer: Vec::new(),
            of: PhantomData,
        }
    }
}

impl<T: DeserializeOwned> Job<T> {
    /// One read of what it has to say; its answer at its end.
    pub fn read(&mut self) -> Result<Option<T>, EngineError> {
        let mut buffer = [0; 16 * 1024];
        match self.result.read(&mut buffer) {
            Ok(0) => {}
            Ok(length) => {
                self.answer.extend_from_slice(&buffer[..length]);
                return Ok(None);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(None),
            Err(_) => {}
        }
        let _ = self.lines();
        let code = match self.pid.take() {
            Some(pid) => pidfd::wait_child(pid).map_err(EngineError::system("wait for a role"))?,
            None => 125,
        };
        answer(self.role, &self.answer, code).map(Some)
    }

    /// The lines that have come since they were last asked for.
    pub fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while self.answer.first() == Some(&LINE) {
            let Some(end) = self.answer.iter().position(|byte| *byte == b'\n') else {
                break;
            };
            let line: Vec<u8> = self.answer.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line[1..end]).into_owned());
        }
        lines
    }

    /// Waits for the answer.
    pub fn wait(mut self) -> Result<T, EngineError> {
        loop {
            if let Some(answer) = self.read()? {
                return Ok(answer);
            }
        }
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        if let Some(pid) = self.pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            let _ = pidfd::wait_child(pid);
        }
    }
}

#[derive(Clone, Copy)]
enum Token {
    Result,
    Signal,
}

impl Engine {
    /// Runs `job` in a fork of this process inside the home namespace. A signal to this process ends the job; what it left
    /// unfinished is unlocked, and so swept by a later command.
    pub fn in_home<T: Serialize + DeserializeOwned>(
        &self,
        role: &'static str,
        job: impl FnOnce() -> Result<T, RoleFailure>,
    ) -> Result<T, EngineError> {
        let signals = watch()?;
        let (pid, result) = self.enter_home(role, |_| job())?;
        let outcome = outcome(role, pid, result, &signals);
        // Its lease is gone with it.
        self.collect_owed();
        outcome
    }

    /// The same without waiting: whoever asked polls for its answer, and watches for signals.
    pub fn start_in_home<T: Serialize + DeserializeOwned>(
        &self,
        role: &'static str,
        job: impl FnOnce() -> Result<T, RoleFailure>,
    ) -> Result<Job<T>, EngineError> {
        self.start_saying_in_home(role, |_| job())
    }

    /// The same for a job that says lines before its answer. Those that nobody took before the answer came are lost.
    pub(super) fn start_saying_in_home<T: Serialize + DeserializeOwned>(
        &self,
        role: &'static str,
        job: impl FnOnce(&Saying<'_>) -> Result<T, RoleFailure>,
    ) -> Result<Job<T>, EngineError> {
        let (pid, result) = self.enter_home(role, job)?;
        Ok(Job::new(role, pid, result))
    }

    fn enter_home<T: Serialize>(
        &self,
        role: &'static str,
        job: impl FnOnce(&Saying<'_>) -> Result<T, RoleFailure>,
    ) -> Result<(Pid, OwnedFd), EngineError> {
        let (result, report) = report_pipe()?;
        let parent = rustix::process::getpid();
        let entered = self.with_home(|home| {
            home.enter(false, report, |mut gate, report| {
                run_job(role, || gate.wait(), parent, report.as_fd(), job)
            })
        });
        let entered = entered.map_err(|error| self.explain_home(error))?;
        Ok((entered.pid, result))
    }

    /// The same in a fork that stays where this process is: the job needs threads, and nothing of the store.
    pub fn beside<T: Serialize + DeserializeOwned>(
        &self,
        role: &'static str,
        job: impl FnOnce() -> Result<T, RoleFailure>,
    ) -> Result<T, EngineError> {
        let signals = watch()?;
        let (pid, result) = fork_beside(role, |_| job())?;
        outcome(role, pid, result, &signals)
    }

    /// The same without waiting, for a job that says lines before its answer.
    pub(super) fn start_saying_beside<T: Serialize + DeserializeOwned>(
        &self,
        role: &'static str,
        job: impl FnOnce(&Saying<'_>) -> Result<T, RoleFailure>,
    ) -> Result<Job<T>, EngineError> {
        let (pid, result) = fork_beside(role, job)?;
        Ok(Job::new(role, pid, result))
    }
}

fn fork_beside<T: Serialize>(
    role: &'static str,
    job: impl FnOnce(&Saying<'_>) -> Result<T, RoleFailure>,
) -> Result<(Pid, OwnedFd), EngineError> {
    let (result, report) = report_pipe()?;
    let parent = rustix::process::getpid();
    match process::fork().map_err(EngineError::system("fork a role"))? {
        Forked::Parent(pid) => Ok((pid, result)),
        Forked::Child => {
            let kept: Vec<BorrowedFd<'_>> = [report.as_fd()]
                .into_iter()
                .chain(role::trace_fd())
                .collect();
            let _ = process::close_all_except(&kept);
            process::exit_now(run_job(role, || true, parent, report.as_fd(), job))
        }
    }
}

fn report_pipe() -> Result<(OwnedFd, OwnedFd), EngineError> {
    pipe_with(PipeFlags::CLOEXEC).map_err(|error| EngineError::System {
        operation: "make a pipe",
        source: error.into(),
    })
}

fn watch() -> Result<Signals, EngineError> {
    let watched = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    Signals::watch(&watched).map_err(EngineError::system("watch for signals"))
}

/// What the role `pid` came to; a signal to this process ends it.
fn outcome<T: DeserializeOwned>(
    role: &'static str,
    pid: Pid,
    result: OwnedFd,
    signals: &Signals,
) -> Result<T, EngineError> {
    let said = read_answer(result, signals);
    if said.is_err() {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    let code = pidfd::wait_child(pid).map_err(EngineError::system("wait for a role"))?;
    let said = said.map_err(|signal| EngineError::Interrupted { signal })?;
    answer(role, &said, code)
}

fn answer<T: DeserializeOwned>(
    role: &'static str,
    said: &[u8],
    code: i32,
) -> Result<T, EngineError> {
    match serde_json::from_slice::<Result<T, RoleFailure>>(said) {
        Ok(outcome) => outcome.map_err(EngineError::Role),
        Err(_) => Err(EngineError::RoleDied { role, code }),
    }
}

fn run_job<T: Serialize>(
    name: &str,
    may_begin: impl FnOnce() -> bool,
    parent: Pid,
    report: BorrowedFd<'_>,
    job: impl FnOnce(&Saying<'_>) -> Result<T, RoleFailure>,
) -> i32 {
    role::set(name);
    if signal::reset_all().is_err() || !may_begin() {
        return 125;
    }
    // Without its parent nobody wants the result; the parent may have died before this was set.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    if rustix::process::getppid() != Some(parent) {
        return 125;
    }
    tracing::debug!("work");
    let outcome = job(&Saying { to: report });
    tracing::debug!(done = outcome.is_ok(), "end");
    let code = i32::from(outcome.is_err());
    let text = serde_json::to_vec(&outcome).unwrap_or_default();
    let mut rest = text.as_slice();
    while !rest.is_empty() {
        match rustix::io::write(report, rest) {
            Ok(written) => rest = &rest[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return 125,
        }
    }
    code
}

/// Everything the role writes until it closes its end, or the signal that came first.
fn read_answer(result: OwnedFd, signals: &Signals) -> Result<Vec<u8>, i32> {
    let mut answer = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let mut result = File::from(result);
    loop {
        let mut set = PollSet::new();
        set.add(result.as_fd(), Interest::Read, Token::Result);
        set.add(signals.as_fd(), Interest::Read, Token::Signal);
        for token in set.wait(None).unwrap_or_default() {
            match token {
                Token::Signal => {
                    if let Ok(Some(signal)) = signals.next() {
                        return Err(signal);
                    }
                }
                Token::Result => match result.read(&mut buffer) {
                    Ok(0) => return Ok(answer),
                    Ok(length) => answer.extend_from_slice(&buffer[..length]),
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(_) => return Ok(answer),
                },
            }
        }
    }
}
