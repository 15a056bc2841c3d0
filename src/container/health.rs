//! How a container's health is checked, and what the checks of its present run have said: `health.json`, written by its monitor.

use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sys::disk;

const FILE: &str = "health.json";

/// Docker's: so many results are kept.
const RESULTS: usize = 5;

/// What an image or the flags say of it; what they do not say has docker's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheck {
    /// `["CMD", program, …]`, `["CMD-SHELL", line]`; `["NONE"]` and nothing: there is none.
    pub test: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// While it lasts failures do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_period: Option<Duration>,
    /// The interval while it lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<Duration>,
    /// So many failures in a row are bad health.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<HealthAction>,
}

/// What the monitor does about bad health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthAction {
    #[default]
    None,
    Kill,
    Restart,
    Stop,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "invalid on-failure action {text:?} for health checks: must be one of \"none\", \"kill\", \"restart\" or \"stop\""
)]
pub struct HealthActionError {
    text: String,
}

impl FromStr for HealthAction {
    type Err = HealthActionError;

    fn from_str(text: &str) -> Result<HealthAction, HealthActionError> {
        match text {
            "none" => Ok(HealthAction::None),
            "kill" => Ok(HealthAction::Kill),
            "restart" => Ok(HealthAction::Restart),
            "stop" => Ok(HealthAction::Stop),
            _ => Err(HealthActionError {
                text: text.to_owned(),
            }),
        }
    }
}

impl HealthCheck {
    /// With what `change` says, over this.
    pub fn with(mut self, change: &HealthCheck) -> HealthCheck {
        if !change.test.is_empty() {
            self.test.clone_from(&change.test);
        }
        self.interval = change.interval.or(self.interval);
        self.timeout = change.timeout.or(self.timeout);
        self.start_period = change.start_period.or(self.start_period);
        self.start_interval = change.start_interval.or(self.start_interval);
        self.retries = change.retries.or(self.retries);
        self.on_failure = change.on_failure.or(self.on_failure);
        self
    }

    /// The words to execute in the container; None: its health is not checked.
    pub fn program(&self) -> Option<Vec<String>> {
        let (kind, rest) = self.test.split_first()?;
        match (kind.as_str(), rest) {
            (_, []) => None,
            ("CMD", words) => Some(words.to_vec()),
            ("CMD-SHELL", line) => {
                let shell = ["/bin/sh", "-c"].map(str::to_owned);
                Some(shell.into_iter().chain(line.iter().cloned()).collect())
            }
            _ => None,
        }
    }

    pub fn interval(&self) -> Duration {
        set_or(self.interval, 30)
    }

    pub fn timeout(&self) -> Duration {
        set_or(self.timeout, 30)
    }

    pub fn start_period(&self) -> Duration {
        self.start_period.unwrap_or_default()
    }

    pub fn start_interval(&self) -> Duration {
        set_or(self.start_interval, 5)
    }

    pub fn retries(&self) -> u32 {
        self.retries.filter(|retries| *retries > 0).unwrap_or(3)
    }
}

/// Docker takes nothing for its default.
fn set_or(time: Option<Duration>, seconds: u64) -> Duration {
    time.filter(|time| !time.is_zero())
        .unwrap_or(Duration::from_secs(seconds))
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    #[default]
    Starting,
    Healthy,
    Unhealthy,
}

impl HealthStatus {
    /// Docker's word.
    pub fn name(self) -> &'static str {
        match self {
            HealthStatus::Starting => "starting",
            HealthStatus::Healthy => "healthy",
            HealthStatus::Unhealthy => "unhealthy",
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthResult {
    /// RFC 3339, UTC, nanoseconds.
    pub start: String,
    pub end: String,
    /// -1: it took too long.
    pub code: i32,
    /// At most 4096 bytes.
    pub output: String,
}

/// Of the run that it names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub run: u64,
    pub status: HealthStatus,
    pub failing_streak: u32,
    /// The last ones, oldest first.
    pub results: Vec<HealthResult>,
}

impl Health {
    /// What has been said in this run of the container in `directory`; None: nothing, or it is not checked.
    pub fn read(directory: &Path, run: u64) -> Option<Health> {
        let text = fs::read(directory.join(FILE)).ok()?;
        let health: Health = serde_json::from_slice(&text).ok()?;
        (health.run == run).then_some(health)
    }

    /// Replaces the file, without syncing: after a crash of the machine the run it speaks of is over.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        let temporary = directory.join(".health");
        disk::write(&temporary, text)?;
        disk::rename(temporary, directory.join(FILE))
    }

    /// Takes the next result in; `counts` is whether a failure does. `true`: the status is another now.
    pub fn take(&mut self, result: HealthResult, retries: u32, counts: bool) -> bool {
        let before = self.status;
        if result.code == 0 {
            self.failing_streak = 0;
            self.status = HealthStatus::Healthy;
        } else if counts || self.status != HealthStatus::Starting {
            self.failing_streak += 1;
            if self.failing_streak >= retries {
                self.status = HealthStatus::Unhealthy;
            }
        }
        self.results.push(result);
        let more = self.results.len().saturating_sub(RESULTS);
        self.results.drain(..more);
        self.status != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(code: i32) -> HealthResult {
        HealthResult {
            start: String::new(),
            end: String::new(),
            code,
            output: String::new(),
        }
    }

    #[test]
    fn failures_count_in_a_row_and_not_while_it_starts() {
        let mut health = Health::default();
        assert!(!health.take(result(1), 2, false));
        assert_eq!(
            (health.status, health.failing_streak),
            (HealthStatus::Starting, 0)
        );
        assert!(health.take(result(0), 2, false));
        assert_eq!(health.status, HealthStatus::Healthy);
        // Once healthy, the start is over.
        assert!(!health.take(result(1), 2, false));
        assert!(health.take(result(1), 2, true));
        assert_eq!(health.status, HealthStatus::Unhealthy);
        assert!(health.take(result(0), 2, true));
        for _ in 0..9 {
            health.take(result(0), 2, true);
        }
        assert_eq!(health.results.len(), RESULTS);
    }

    #[test]
    fn the_flags_go_over_the_image() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let image = HealthCheck {
            test: words("CMD check it"),
            retries: Some(7),
            ..HealthCheck::default()
        };
        let flags = HealthCheck {
            interval: Some(Duration::from_secs(1)),
            ..HealthCheck::default()
        };
        let both = image.clone().with(&flags);
        assert_eq!(both.program(), Some(words("check it")));
        assert_eq!(
            (both.interval(), both.retries()),
            (Duration::from_secs(1), 7)
        );
        let none = HealthCheck {
            test: words("NONE"),
            ..HealthCheck::default()
        };
        assert_eq!(image.with(&none).program(), None);
    }
}
