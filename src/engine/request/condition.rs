//! What `wait --condition` waits for, in podman's words.

use std::str::FromStr;

/// A state that a container can be found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Created,
    Running,
    Paused,
    /// Running, and its checks say so.
    Healthy,
    Unhealthy,
    /// Ended, in whichever way.
    Stopped,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConditionError {
    #[error(
        "unknown condition; use one of configured, created, running, paused, healthy, unhealthy, exited, stopped"
    )]
    Unknown,
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Condition, ConditionError> {
        match text {
            // Podman tells more steps of its making apart.
            "configured" | "created" | "initialized" => Ok(Condition::Created),
            "running" => Ok(Condition::Running),
            "paused" => Ok(Condition::Paused),
            "healthy" => Ok(Condition::Healthy),
            "unhealthy" => Ok(Condition::Unhealthy),
            "exited" | "stopped" => Ok(Condition::Stopped),
            _ => Err(ConditionError::Unknown),
        }
    }
}
