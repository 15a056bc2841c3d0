//! The end of containers that share a pid namespace: their processes do not die with their init, so they are looked for by the
//! mounts they see and killed one by one. Called by their monitor and, where that was killed, by the next command, in the home
//! namespace, whose rights over every process of the user's containers it needs.

use std::os::fd::{AsFd, OwnedFd};

use crate::sys::pidfd;
use crate::sys::process::ProcessName;

/// A program that forks as fast as it is killed is given up after so many rounds.
const ROUNDS: usize = 100;

/// Whether any process of the container is left. Asks without rights: what a process has mounted anybody may read.
pub fn is_anything_left(id: &str) -> bool {
    processes().any(|pid| sees_container(pid, id))
}

/// Kills every process of the container and waits for their ends.
pub fn end_all(id: &str) {
    for _ in 0..ROUNDS {
        let found: Vec<OwnedFd> = processes().filter_map(|pid| open(pid, id)).collect();
        if found.is_empty() {
            return;
        }
        for process in &found {
            let _ = pidfd::kill_hard(process.as_fd());
        }
        for process in &found {
            let _ = pidfd::wait_end(process.as_fd());
        }
    }
}

/// What else a monitor has started.
pub fn end(helpers: &[ProcessName]) {
    for helper in helpers {
        if let Ok(Some(process)) = helper.open() {
            let _ = pidfd::kill_hard(process.as_fd());
        }
    }
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Opened first and looked at then: a pid that was given to another process since is not killed for it.
fn open(pid: i32, id: &str) -> Option<OwnedFd> {
    if !sees_container(pid, id) {
        return None;
    }
    let process = ProcessName::of(pid).ok()?.open().ok()??;
    (pidfd::is_alive(process.as_fd()) && sees_container(pid, id)).then_some(process)
}

/// The container's own files are bound over files of /etc, and its id is in their path. No other mount namespace has them.
fn sees_container(pid: i32, id: &str) -> bool {
    let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo"));
    mounts.is_ok_and(|mounts| mounts.contains(id))
}
