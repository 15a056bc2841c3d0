//! How often a monitor runs its program: once, or again on request or by policy, with docker's pauses in between.

use std::time::Duration;

use jiff::Timestamp;

use super::begin::{self, Running};
use super::client::Client;
use super::protocol::{Reply, StartFailure};
use super::stdio::Stdio;
use super::supervise::{Fault, Monitor, failure};
use crate::container::{ExitRecord, Record};
use crate::runtime::cgroup;
use crate::sys::process;
use crate::sys::timer::{Alarm, Moment};

/// How long a run that somebody looks in the way of waits for it at a time.
const LOOKS_AGAIN: Duration = Duration::from_millis(20);
/// Before the first start again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A program that has lived so long is no failing one: the pauses begin anew.
const LONG_LIFE: Duration = Duration::from_secs(10);

/// Before the next start: after the pause before the last one, and a program that has lived so long.
fn next_pause(last: Duration, lived: Duration) -> Duration {
    match last {
        _ if lived >= LONG_LIFE => FIRST_PAUSE,
        Duration::ZERO => FIRST_PAUSE,
        last => (last * 2).min(LONGEST_PAUSE),
    }
}

/// What a user wants once the program has ended; without one the policy decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    #[default]
    Nothing,
    /// That is all.
    End,
    /// Once more, at once.
    Again,
}

impl Monitor {
    /// Until the program has ended for good; gives its last exit code, which is recorded already if it was about to be started again.
    pub(super) fn live(&mut self) -> i32 {
        let mut code = self.watch();
        while let Some(pause) = self.pause_before_next(code) {
            self.record_pause(code);
            if !self.rest(pause) {
                return code;
            }
            code = match self.start_again() {
                Ok(()) => self.watch(),
                Err(failure) => self.record_failure(failure),
            };
        }
        code
    }

    /// None: it ends here.
    fn pause_before_next(&mut self, code: i32) -> Option<Duration> {
        match std::mem::take(&mut self.wish) {
            Wish::End => return None,
            Wish::Again => {
                self.state.restarts = 0;
                return Some(Duration::ZERO);
            }
            Wish::Nothing => {}
        }
        if !self.settings.restart.wants(code, self.state.restarts) {
            return None;
        }
        self.pause = next_pause(self.pause, self.begun.elapsed());
        self.state.restarts += 1;
        Some(self.pause)
    }

    /// The end of one run of several is visible and known to whoever waits for it.
    fn record_pause(&mut self, code: i32) {
        let code = self.code_of_end(code);
        let _ = self.log.finish();
        let fault = self.failure.take();
        let recorded = self.start_failed;
        // First the state: an exit record alone would say that the container has ended.
        self.state.restarting = true;
        self.write_state();
        if !recorded {
            let exit = ExitRecord {
                run: self.state.run,
                code,
                finished: Timestamp::now().to_string(),
                error: fault.as_ref().map(Fault::to_string).unwrap_or_default(),
                oom_killed: self.was_oom_killed(),
            };
            self.record_exit(&exit);
            self.emit_die(code);
        }
        let failed = fault.as_ref().and_then(Fault::of_start);
        for client in &mut self.clients {
            client.end(code, failed);
        }
        self.leave_root();
        self.stdio = Stdio::nothing();
        self.checks = None;
        self.kill_at = None;
    }

    /// What the last run has mounted goes: others may look into the root meanwhile, by a mount of their own.
    fn leave_root(&mut self) {
        self.init.mount_namespace = None;
        if let Some(daemon) = self.daemon.take() {
            let _ = rustix::process::kill_process(daemon, rustix::process::Signal::KILL);
        }
        if let Some(locked) = &self.locked {
            let _ = locked.open();
        }
    }

    /// Serves clients until it is time and nobody looks into the root; `false` if a user does not want the container any more.
    fn rest(&mut self, pause: Duration) -> bool {
        let mut end = Moment::now().after(pause);
        self.resting = true;
        while self.wish != Wish::End {
            if end.has_come() || self.wish == Wish::Again {
                if self.may_go_on() {
                    break;
                }
                end = Moment::now().after(LOOKS_AGAIN);
                self.wish = Wish::Nothing;
            }
            if self.set_alarm(end).is_err() {
                break;
            }
            self.turn();
        }
        self.resting = false;
        self.wish != Wish::End
    }

    fn may_go_on(&self) -> bool {
        let locked = self.locked.as_ref();
        locked.is_none_or(|locked| locked.try_close().unwrap_or(true))
    }

    pub(super) fn set_alarm(&mut self, moment: Moment) -> std::io::Result<()> {
        if self.alarm.is_none() {
            self.alarm = Some(Alarm::new()?);
        }
        self.alarm.as_mut().expect("made above").set(moment)
    }

    /// The namespaces, the network helper and the root of the last run go first.
    fn start_again(&mut self) -> Result<(), StartFailure> {
        self.wish = Wish::Nothing;
        self.is_first = false;
        self.network = None;
        self.init.network_namespace = None;
        process::end_all_others();
        self.renew_cgroup()?;
        self.state.run += 1;
        self.state.restarting = false;
        self.state.paused = false;
        self.state.init = 0;
        self.state.started.clear();
        self.write_state();
        let Running {
            init,
            stdio,
            driver,
            daemon,
            network,
            null_file,
        } = begin::start(&self.orders, None, &mut || Ok(()))?;
        self.init = init;
        self.stdio = stdio;
        self.daemon = daemon;
        self.network = network;
        self.null_file = null_file;
        self.name_processes();
        driver.name().clone_into(&mut self.state.driver);
        self.state.started = Timestamp::now().to_string();
        self.begun = Moment::now();
        self.write_state();
        self.begin_checks();
        self.emit_start();
        let certain = !self.is_ahead();
        for client in self.restarters() {
            client.started(certain);
        }
        Ok(())
    }

    /// Linux compares the kill count of the cgroup it clones from with that of the one it clones into (seen on 6.18): in a
    /// cgroup that `cgroup.kill` was written to, whatever is cloned is killed at once.
    fn renew_cgroup(&mut self) -> Result<(), StartFailure> {
        let Some(cgroup) = &self.orders.launch.cgroup else {
            return Ok(());
        };
        // One that is still busy is used again.
        let _ = cgroup::remove(cgroup);
        let renewed = self.orders.cgroup.make_at(cgroup);
        self.oom_kills = cgroup::oom_kills(cgroup);
        renewed
            .map_err(|error| failure("renew the container's cgroup")(std::io::Error::other(error)))
    }

    /// A start that failed ends its run as a program would. What follows is not known yet: see `record_pause`.
    fn record_failure(&mut self, failure: StartFailure) -> i32 {
        let code = failure.exit_code();
        self.state.restarting = true;
        self.write_state();
        let exit = ExitRecord {
            run: self.state.run,
            code,
            finished: Timestamp::now().to_string(),
            error: failure.to_string(),
            oom_killed: false,
        };
        self.record_exit(&exit);
        self.start_failed = true;
        for client in self.restarters() {
            client.reply(&Reply::Failed(failure.clone()));
        }
        code
    }

    /// Who waits for this start.
    fn restarters(&mut self) -> impl Iterator<Item = &mut Client> {
        let clients = self.clients.iter_mut();
        clients.filter_map(|client| std::mem::take(&mut client.restarts).then_some(client))
    }

    /// What the record says is not worth failing for: the lock decides whether the container runs.
    pub(super) fn write_state(&self) {
        if let Some(locked) = &self.locked
            && let Err(error) = locked.write(&self.state)
        {
            tracing::warn!(%error, "the run state is not written");
        }
    }

    /// Where the disk is full, the code at least fits into the state, which has its place already.
    pub(super) fn record_exit(&mut self, exit: &ExitRecord) {
        let durable = !self.orders.auto_remove;
        if Record::write_exit(&self.orders.directory, exit, durable).is_err() {
            self.state.code = Some(exit.code);
            self.write_state();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_minute_and_begin_anew_after_a_long_life() {
        let mut pause = Duration::ZERO;
        let pauses = std::iter::repeat_with(|| {
            pause = next_pause(pause, Duration::from_millis(9_999));
            pause.as_millis()
        });
        let pauses: Vec<u128> = pauses.take(12).collect();
        let doubled = [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200];
        assert_eq!(pauses[..10], doubled);
        assert_eq!(pauses[10..], [60_000, 60_000]);
        assert_eq!(next_pause(LONGEST_PAUSE, LONG_LIFE), FIRST_PAUSE);
    }
}
