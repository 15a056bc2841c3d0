//! The health checks of the container's present run: when they are due, what they write, what follows from them.

use std::time::Duration;

use jiff::Timestamp;
use rustix::process::Signal;

use super::exec::Exec;
use super::life::Wish;
use super::protocol::{Attach, ExecOrders};
use super::supervise::Monitor;
use crate::container::{Health, HealthAction, HealthCheck, HealthResult, HealthStatus, Settings};
use crate::runtime::enter::ProgramChoice;
use crate::runtime::preserved::Preserved;
use crate::sys::timer::Moment;

/// Docker's: more of a check's output is not kept.
const OUTPUT: usize = 4096;

/// What is known of the health, and the check that is going on.
pub struct Checks {
    check: HealthCheck,
    health: Health,
    next: Moment,
    current: Option<Current>,
}

struct Current {
    exec: u64,
    began: Timestamp,
    begun: Moment,
    deadline: Moment,
    output: Vec<u8>,
    late: bool,
}

impl Checks {
    /// For the run that has just begun; None: its health is not checked.
    pub fn of(settings: &Settings, run: u64, begun: Moment) -> Option<Checks> {
        let check = settings.health.clone()?;
        check.program()?;
        let health = Health {
            run,
            ..Health::default()
        };
        let mut checks = Checks {
            next: begun,
            check,
            health,
            current: None,
        };
        checks.next = begun.after(checks.pause(begun));
        Some(checks)
    }

    fn pause(&self, begun: Moment) -> Duration {
        match self.health.status == HealthStatus::Starting && self.is_starting(begun) {
            true => self.check.start_interval(),
            false => self.check.interval(),
        }
    }

    fn is_starting(&self, begun: Moment) -> bool {
        begun.elapsed() < self.check.start_period()
    }

    /// When there is something to do for it.
    pub fn due(&self) -> Moment {
        match &self.current {
            Some(current) if !current.late => current.deadline,
            // Killed already: its end comes by itself.
            Some(_) => self.next.after(Duration::from_secs(3600)),
            None => self.next,
        }
    }

    /// What an executed program writes, if it is the check.
    pub fn take_output(&mut self, exec: u64, bytes: &[u8]) {
        if let Some(current) = &mut self.current
            && current.exec == exec
        {
            let room = OUTPUT.saturating_sub(current.output.len());
            current
                .output
                .extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }
}

impl Monitor {
    /// Begins to check the run that has just begun, and to count its time.
    pub(super) fn begin_checks(&mut self) {
        self.kill_at = self.orders.timeout.map(|timeout| self.begun.after(timeout));
        self.checks = Checks::of(&self.settings, self.state.run, self.begun);
        if let Some(checks) = &self.checks {
            let _ = checks.health.write(&self.orders.directory);
        }
    }

    /// Whatever is due now, and the alarm for what is next.
    pub(super) fn tend(&mut self) {
        if self.kill_at.is_some_and(Moment::has_come) {
            self.kill_at = None;
            // What was paused is not any more then, and would be checked while it ends.
            self.checks = None;
            let _ = self.signal(libc::SIGKILL);
        }
        let paused = self.state.paused;
        if let Some(checks) = &mut self.checks
            && !paused
            && checks.due().has_come()
        {
            match &mut checks.current {
                Some(current) => {
                    current.late = true;
                    let exec = current.exec;
                    self.kill_exec(exec);
                }
                None => self.begin_check(),
            }
        }
        // What is paused is not checked, but its time goes on.
        let due = self.checks.as_ref().filter(|_| !paused).map(Checks::due);
        if let Some(next) = due.into_iter().chain(self.kill_at).min() {
            // Without an alarm a check comes late: with whatever happens next.
            let _ = self.set_alarm(next);
        }
    }

    fn kill_exec(&self, number: u64) {
        let exec = self.execs.iter().find(|exec| exec.number == number);
        if let Some(pid) = exec.and_then(Exec::pid) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }

    fn begin_check(&mut self) {
        let Some(checks) = &mut self.checks else {
            return;
        };
        let program = ProgramChoice {
            args: checks.check.program().unwrap_or_default(),
            ..ProgramChoice::default()
        };
        let orders = ExecOrders {
            id: String::new(),
            program,
            attach: Attach {
                stdin: false,
                stdout: true,
                stderr: true,
            },
            terminal_size: None,
            preserves: Vec::new(),
        };
        self.exec_number += 1;
        let begun = Moment::now();
        checks.current = Some(Current {
            exec: self.exec_number,
            began: Timestamp::now(),
            begun,
            deadline: begun.after(checks.check.timeout()),
            output: Vec::new(),
            late: false,
        });
        let nothing = Preserved::default();
        let launch = &self.orders.launch;
        match Exec::begin(self.exec_number, &orders, nothing, &self.init, launch) {
            Ok(exec) => self.execs.push(exec),
            Err(failure) => self.end_check(self.exec_number, -1, &failure.to_string()),
        }
    }

    /// An executed program has ended: perhaps it was the check. `reason`: why it did not run.
    pub(super) fn end_check(&mut self, exec: u64, code: i32, reason: &str) {
        let begun = self.begun;
        let Some(checks) = &mut self.checks else {
            return;
        };
        let Some(current) = checks.current.take_if(|current| current.exec == exec) else {
            return;
        };
        let (code, output) = if current.late {
            let limit = checks.check.timeout();
            (-1, format!("Health check exceeded timeout ({limit:?})"))
        } else if reason.is_empty() {
            (code, String::from_utf8_lossy(&current.output).into_owned())
        } else {
            (code, reason.to_owned())
        };
        let result = HealthResult {
            start: current.began.to_string(),
            end: Timestamp::now().to_string(),
            code,
            output,
        };
        let counts = current.begun >= begun.after(checks.check.start_period());
        let changed = checks.health.take(result, checks.check.retries(), counts);
        checks.next = Moment::now().after(checks.pause(begun));
        let status = checks.health.status;
        let action = checks.check.on_failure.unwrap_or_default();
        let _ = checks.health.write(&self.orders.directory);
        if changed {
            self.emit(&format!("health_status: {}", status.name()), &[]);
            if status == HealthStatus::Unhealthy {
                self.answer_bad_health(action);
            }
        }
    }

    fn answer_bad_health(&mut self, action: HealthAction) {
        let (signal, wish) = match action {
            HealthAction::None => return,
            HealthAction::Kill => (libc::SIGKILL, Wish::Nothing),
            HealthAction::Stop => (self.orders.stop_signal, Wish::End),
            HealthAction::Restart => (self.orders.stop_signal, Wish::Again),
        };
        if self.wish == Wish::Nothing {
            self.wish = wish;
        }
        self.end_in_time(signal);
    }

    /// Sends a signal that is to end the program, and SIGKILL when its time is over.
    pub(super) fn end_in_time(&mut self, signal: i32) {
        if let Some(grace) = self.orders.stop_grace {
            // Its own time may be over sooner.
            let end = Moment::now().after(grace);
            self.kill_at = Some(self.kill_at.map_or(end, |own| own.min(end)));
        }
        let _ = self.signal(signal);
    }

    /// The settings have changed: what is being checked goes on, the next check is by the new ones.
    pub(super) fn renew_checks(&mut self) {
        let mut renewed = Checks::of(&self.settings, self.state.run, self.begun);
        if let (Some(new), Some(old)) = (&mut renewed, self.checks.take()) {
            new.health = old.health;
            new.current = old.current;
            new.next = Moment::now().after(new.pause(self.begun));
        }
        self.checks = renewed;
    }
}
