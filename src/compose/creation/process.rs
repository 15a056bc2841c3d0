//! A container's program: what is started, with which variables, streams and end, and how it is guarded.

use std::time::Duration;

use super::{Container, ServiceError, text};
use crate::compose::model::{HealthCheck, Period};
use crate::container::{self, LogDriver, Namespaces, RestartPolicy};
use crate::engine::request::{
    CreateRequest, EnvironmentSources, SecurityOption, Variable, capability_name,
};

impl Container<'_> {
    pub(super) fn run(&self, request: &mut CreateRequest) -> Result<(), ServiceError> {
        let service = self.service;
        request.command = service.command.clone().unwrap_or_default();
        request.entrypoint.clone_from(&service.entrypoint);
        let variables = service.environment.iter();
        request.env = variables
            .map(|(name, value)| Variable {
                name: name.clone(),
                value: value.clone(),
            })
            .collect();
        request.environment = EnvironmentSources::default();
        request.workdir = text(&service.working_dir);
        request.init = service.init.unwrap_or(false);
        request.tty = service.tty;
        request.interactive = service.stdin_open;
        // Nobody means to stay with its input.
        request.attach = Some(Vec::new());
        if !service.stop_signal.is_empty() {
            let signal = self.of().parse("stop_signal", &service.stop_signal)?;
            request.stop_signal = Some(signal);
        }
        request.stop_timeout = service.stop_grace_period.map(seconds);
        request.restart = self.restart()?;
        request.health = self.health()?;
        self.log(request)
    }

    fn restart(&self) -> Result<RestartPolicy, ServiceError> {
        let service = self.service;
        if self.slug.is_some() {
            return Ok(RestartPolicy::No);
        }
        if !service.restart.is_empty() {
            return self.of().parse("restart", &service.restart);
        }
        let deploy = service.deploy.as_ref();
        let Some(policy) = deploy.and_then(|deploy| deploy.restart_policy.as_ref()) else {
            return Ok(RestartPolicy::No);
        };
        let most = policy.max_attempts.unwrap_or(0);
        match policy.condition.as_str() {
            "none" | "no" => Ok(RestartPolicy::No),
            "on-failure" => Ok(RestartPolicy::OnFailure {
                most: u32::try_from(most).unwrap_or(u32::MAX),
            }),
            "" | "any" | "always" => Ok(RestartPolicy::Always),
            other => self.of().parse("deploy.restart_policy.condition", other),
        }
    }

    fn health(&self) -> Result<Option<container::HealthCheck>, ServiceError> {
        let Some(check) = &self.service.healthcheck else {
            return Ok(None);
        };
        let time = |period: Option<Period>| period.map(|period| period.0);
        let HealthCheck {
            test,
            timeout,
            interval,
            retries,
            start_period,
            start_interval,
            disable,
            ..
        } = check;
        let retries = retries.map(|retries| u32::try_from(retries).unwrap_or(u32::MAX));
        Ok(Some(container::HealthCheck {
            test: match disable {
                true => vec!["NONE".to_owned()],
                false => test.clone(),
            },
            interval: time(*interval),
            timeout: time(*timeout),
            start_period: time(*start_period),
            start_interval: time(*start_interval),
            retries,
            on_failure: None,
        }))
    }

    fn log(&self, request: &mut CreateRequest) -> Result<(), ServiceError> {
        let service = self.service;
        let logging = service.logging.as_ref();
        let driver = logging.map_or(service.log_driver.as_str(), |logging| &logging.driver);
        if !driver.is_empty() {
            let driver: LogDriver = self.of().parse("logging.driver", driver)?;
            request.log_driver = Some(driver);
        }
        let options = logging.map_or(&service.log_opt, |logging| &logging.options);
        request.log_options = options.clone();
        Ok(())
    }

    /// Rights and namespaces.
    pub(super) fn guard(&self, request: &mut CreateRequest) -> Result<(), ServiceError> {
        let service = self.service;
        let names = |list: &[String]| list.iter().map(|name| capability_name(name)).collect();
        request.cap_add = names(&service.cap_add);
        request.cap_drop = names(&service.cap_drop);
        request.privileged = service.privileged;
        request.read_only = service.read_only;
        for option in &service.security_opt {
            let mut parsed = self.of().parse("security_opt", option)?;
            if let SecurityOption::SeccompFile(path) = &mut parsed {
                let whole = self.project.working_dir.join(&path);
                *path = whole.to_string_lossy().into_owned();
            }
            request.security.push(parsed);
        }
        request.sysctls = service.sysctls.clone();
        request.cgroup_parent = text(&service.cgroup_parent);
        request.namespaces = Namespaces {
            pid: self.of().parse("pid", &self.mode(&service.pid)?)?,
            ipc: self.of().parse("ipc", &self.mode(&service.ipc)?)?,
            uts: self.of().parse("uts", &service.uts)?,
            user: self.of().parse("userns_mode", &service.userns_mode)?,
            cgroup: self.of().parse("cgroup", &service.cgroup)?,
            ..Namespaces::default()
        };
        Ok(())
    }
}

/// Whole ones, and never none of a little.
fn seconds(period: Period) -> i32 {
    let Period(time) = period;
    let more = u64::from(time > Duration::from_secs(time.as_secs()));
    i32::try_from(time.as_secs() + more).unwrap_or(i32::MAX)
}
