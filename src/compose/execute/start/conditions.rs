//! How far what others need has come: whether it runs, is healthy, or has done its work.

use super::{Stage, Starter};
use crate::compose::execute::ExecuteError;
use crate::compose::model::Condition;
use crate::compose::order::{self, Need};
use crate::compose::plan::State;
use crate::compose::report::Phase;
use crate::compose::state;

impl Starter<'_> {
    pub(super) fn is_met(&mut self) -> Result<bool, ExecuteError> {
        let services = &self.executor.project.services;
        for need in self
            .orders
            .meets
            .iter()
            .flat_map(|name| order::needs(&services[name]))
        {
            if !self.orders.chosen.contains(&need.service) {
                continue;
            }
            match self.holds(&need) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) if need.required => return Err(error),
                Err(_) => {}
            }
        }
        Ok(true)
    }

    /// `--wait`: it is healthy, or runs, or has done what others wait for.
    pub(super) fn is_fine(&mut self, service: &str) -> Result<bool, ExecuteError> {
        let mut needs = self.tasks.iter().flat_map(|task| &task.needs);
        let completes =
            needs.any(|need| need.service == service && need.condition == Condition::Completed);
        if completes {
            return self.is_completed(service);
        }
        for name in self.members(service) {
            let one = self.executor.engine.listed(&name)?;
            let is_checked = one.health.is_some();
            match state::state(&one) {
                State::Running if !is_checked => {}
                State::Running => match one.health_word() {
                    "healthy" => self.say_once(service, &name, "Healthy"),
                    "unhealthy" => return Err(ExecuteError::Unhealthy { name }),
                    _ => return Ok(false),
                },
                State::Exited | State::Created => {
                    let code = one.exit_code().unwrap_or(0);
                    return Err(ExecuteError::Exited { name, code });
                }
                State::Paused | State::Restarting => return Ok(false),
            }
        }
        Ok(true)
    }

    pub(super) fn holds(&mut self, need: &Need) -> Result<bool, ExecuteError> {
        let task = self.tasks.iter().find(|task| task.service == need.service);
        if task.is_none_or(|task| task.stage != Stage::Up) {
            return Ok(false);
        }
        if self.executor.dry_run {
            return Ok(true);
        }
        match need.condition {
            Condition::Started => Ok(true),
            Condition::Completed => self.is_completed(&need.service),
            Condition::Healthy => self.is_healthy(&need.service),
        }
    }

    fn is_healthy(&mut self, service: &str) -> Result<bool, ExecuteError> {
        for name in self.members(service) {
            let one = self.executor.engine.listed(&name)?;
            self.say_waiting(service, &name);
            let failed = |error: ExecuteError| ExecuteError::Dependency {
                reason: error.to_string(),
            };
            match state::state(&one) {
                State::Running if one.health.is_none() => {
                    return Err(failed(ExecuteError::NoHealthCheck { name }));
                }
                State::Running => match one.health_word() {
                    "healthy" => self.say_once(service, &name, "Healthy"),
                    "unhealthy" => {
                        self.failed(&name);
                        return Err(failed(ExecuteError::Unhealthy { name }));
                    }
                    _ => return Ok(false),
                },
                State::Exited | State::Created => {
                    self.failed(&name);
                    let code = one.exit_code().unwrap_or(0);
                    return Err(failed(ExecuteError::Exited { name, code }));
                }
                State::Paused | State::Restarting => return Ok(false),
            }
        }
        Ok(true)
    }

    fn is_completed(&mut self, service: &str) -> Result<bool, ExecuteError> {
        for name in self.members(service) {
            let one = self.executor.engine.listed(&name)?;
            self.say_waiting(service, &name);
            match (state::state(&one), one.exit_code()) {
                (State::Exited, Some(0)) => self.say_once(service, &name, "Exited"),
                (State::Exited, code) => {
                    self.failed(&name);
                    return Err(ExecuteError::NotCompleted {
                        service: service.to_owned(),
                        code: code.unwrap_or(0),
                    });
                }
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    pub(super) fn failed(&self, name: &str) {
        let report = self.executor.report;
        report.container(name, Phase::Failed, "Error");
    }

    fn say_waiting(&mut self, service: &str, name: &str) {
        if self.is_new(service, format!("{name} waits")) {
            let report = self.executor.report;
            report.container(name, Phase::Working, "Waiting");
        }
    }

    fn say_once(&mut self, service: &str, name: &str, words: &str) {
        if self.is_new(service, format!("{name} {words}")) {
            self.executor.report.container(name, Phase::Done, words);
        }
    }

    fn is_new(&mut self, service: &str, words: String) -> bool {
        let mut tasks = self.tasks.iter_mut();
        let task = tasks.find(|task| task.service == service);
        task.is_some_and(|task| task.told.insert(words))
    }

    /// Whether somebody looks at its health or its end.
    pub(super) fn is_watched(&self, service: &str) -> bool {
        let services = &self.executor.project.services;
        let meets = self.orders.meets.iter();
        let mut meets = meets.flat_map(|name| order::needs(&services[name]));
        let mut needs = self.tasks.iter().flat_map(|task| &task.needs);
        let waits = |need: &Need| need.service == service && need.condition != Condition::Started;
        self.orders.wait.is_some() || needs.any(waits) || meets.any(|need| waits(&need))
    }
}
