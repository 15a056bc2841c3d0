//! What may change about a container after it was made: `settings.json`, replaced whole. `settings/one-writer`: while a
//! monitor holds the record's lock it is the monitor's; else it belongs to whoever holds that lock.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::config::EndpointConfig;
use super::folder::Folder;
use super::health::HealthCheck;
use super::limits::Limits;
use super::log::LogSettings;

const FILE: &str = "settings.json";

/// The contents of `settings.json`; a container without that file has the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    pub restart: RestartPolicy,
    pub log: LogSettings,
    /// None: neither image nor flags say anything of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
    /// The user ended it: `unless-stopped` does not start it again at the next boot.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// Instead of those that it was made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// The same of its places in networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<EndpointConfig>>,
    /// The same of its published ports; those that `-P` chose are among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<String>>,
    /// The same of what it may reach: a list, or `any`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<String>,
}

/// What is to be different; nothing is said of the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SettingsChange {
    pub restart: Option<RestartPolicy>,
    /// What it says goes over what is there.
    pub health: Option<HealthCheck>,
    /// All of them, those that stay included.
    pub limits: Option<Limits>,
    /// Options of the log's driver that go over those that are there.
    pub log: BTreeMap<String, String>,
    /// What it may reach: a list, or `any`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<String>,
}

/// Nothing limits what is reached.
pub const ANY: &str = "any";

/// When an ended container is started again by its own monitor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RestartPolicy {
    #[default]
    No,
    /// After a non-zero exit code, at most so often in a row; 0 is no limit.
    OnFailure {
        most: u32,
    },
    Always,
    UnlessStopped,
}

/// A restart policy that is none of docker's, in its words.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RestartPolicyError {
    #[error(
        "invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
    )]
    Unknown { name: String },
    #[error("invalid restart policy format: maximum retry count must be an integer")]
    NoNumber,
    #[error("invalid restart policy: maximum retry count can only be used with 'on-failure'")]
    CountWithout,
}

impl Settings {
    /// Those of the container in `folder`.
    pub fn read(folder: Folder<'_>) -> io::Result<Settings> {
        match folder.parsed(FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Settings::default()),
            read => read,
        }
    }

    /// The places in networks of a container that was made with these.
    pub fn endpoints_or<'a>(&'a self, made: &'a [EndpointConfig]) -> &'a [EndpointConfig] {
        self.endpoints.as_deref().unwrap_or(made)
    }

    /// The published ports of one that was made with these.
    pub fn ports_or<'a>(&'a self, made: &'a [String]) -> &'a [String] {
        self.ports.as_deref().unwrap_or(made)
    }

    /// What one may reach that was made with this limit; None: everything.
    pub fn egress_or<'a>(&'a self, made: Option<&'a str>) -> Option<&'a str> {
        let now = self.egress.as_deref().or(made);
        now.filter(|list| *list != ANY)
    }

    /// Whether it is to run once the host has booted.
    pub fn starts_on_boot(&self) -> bool {
        match self.restart {
            RestartPolicy::Always => true,
            RestartPolicy::UnlessStopped => !self.stopped,
            RestartPolicy::No | RestartPolicy::OnFailure { .. } => false,
        }
    }

    pub fn change(&mut self, change: &SettingsChange) {
        if let Some(restart) = change.restart {
            self.restart = restart;
        }
        if let Some(health) = &change.health {
            let before = self.health.take().unwrap_or_default();
            self.health = Some(before.with(health));
        }
        if let Some(limits) = &change.limits {
            self.limits = Some(limits.clone());
        }
        self.log.options.extend(change.log.clone());
        if let Some(egress) = &change.egress {
            self.egress = Some(egress.clone());
        }
    }

    /// Replaces them durably; a reader sees the old ones or the new ones.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        crate::sys::fs::replace_file(&directory.join(FILE), &text)
    }
}

impl FromStr for RestartPolicy {
    type Err = RestartPolicyError;

    fn from_str(text: &str) -> Result<RestartPolicy, RestartPolicyError> {
        let (name, count) = match text.split_once(':') {
            Some((name, count)) => (name, Some(count)),
            None => (text, None),
        };
        let most = count
            .map(|count| count.parse().map_err(|_| RestartPolicyError::NoNumber))
            .transpose()?;
        let policy = match name {
            "" | "no" => RestartPolicy::No,
            "always" => RestartPolicy::Always,
            "unless-stopped" => RestartPolicy::UnlessStopped,
            "on-failure" => {
                return Ok(RestartPolicy::OnFailure {
                    most: most.unwrap_or(0),
                });
            }
            _ => {
                return Err(RestartPolicyError::Unknown {
                    name: name.to_owned(),
                });
            }
        };
        match most {
            Some(1..) => Err(RestartPolicyError::CountWithout),
            _ => Ok(policy),
        }
    }
}

impl RestartPolicy {
    /// Whether a program that ended by itself with `code`, after so many starts by this policy, is started again.
    pub fn wants(self, code: i32, restarts: u32) -> bool {
        match self {
            RestartPolicy::No => false,
            RestartPolicy::OnFailure { most } => code != 0 && (most == 0 || restarts < most),
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        }
    }

    /// Docker's word, without the count.
    pub fn name(self) -> &'static str {
        match self {
            RestartPolicy::No => "no",
            RestartPolicy::OnFailure { .. } => "on-failure",
            RestartPolicy::Always => "always",
            RestartPolicy::UnlessStopped => "unless-stopped",
        }
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestartPolicy::OnFailure { most: most @ 1.. } => write!(f, "on-failure:{most}"),
            other => f.write_str(other.name()),
        }
    }
}

impl TryFrom<String> for RestartPolicy {
    type Error = RestartPolicyError;

    fn try_from(text: String) -> Result<RestartPolicy, RestartPolicyError> {
        text.parse()
    }
}

impl From<RestartPolicy> for String {
    fn from(policy: RestartPolicy) -> String {
        policy.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_policies_are_docker_s() {
        for (text, shown) in [
            ("no", "no"),
            ("", "no"),
            ("always", "always"),
            ("unless-stopped", "unless-stopped"),
            ("on-failure", "on-failure"),
            ("on-failure:0", "on-failure"),
            ("on-failure:3", "on-failure:3"),
        ] {
            let policy: RestartPolicy = text.parse().expect("docker takes it");
            assert_eq!(policy.to_string(), shown);
        }
        for text in ["never", "always:3", "on-failure:x", "on-failure:-1", "no:2"] {
            assert!(
                text.parse::<RestartPolicy>().is_err(),
                "{text} was accepted"
            );
        }
    }
}
