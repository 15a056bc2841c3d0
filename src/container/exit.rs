//! How a run of a container ended.

use serde::{Deserialize, Serialize};

/// `exit.json`: written by the monitor when its container has ended. One that belongs to an earlier run than the state
/// says is stale: the later run was killed with its monitor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Counts the starts of this container, from 1.
    pub run: u64,
    /// The program's exit code, or 128 plus the signal that ended it.
    pub code: i32,
    /// RFC 3339, UTC, nanoseconds.
    pub finished: String,
    /// Why it did not start; empty if it did.
    pub error: String,
    /// The kernel ended a process of it because it had used up its memory.
    #[serde(default)]
    pub oom_killed: bool,
}
