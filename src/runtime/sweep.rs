//! The end of containers that share a pid namespace: their processes do not die with their init, so they are looked for by the
//! mounts they see and killed one by one. Called by their monitor and, where that was killed, by the next command, in the home
//! namespace, whose rights over every process of the user's containers it needs.

use std::os::fd::{AsFd, OwnedFd};

use crate::sys::pidfd;
use crate::sys::process::ProcessName;
use crate::sys::procfs::{self, Stat};

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

/// Kills everything below the calling process, which adopts orphans, until nothing is left; its own children are for it to wait for.
pub fn end_descendants() {
    let mut in_vain = 0;
    while in_vain < ROUNDS {
        let living = descendants();
        let mut found: Vec<OwnedFd> = living.iter().filter_map(open_descendant).collect();
        // One that may not be killed is not waited for.
        found.retain(|process| pidfd::kill_hard(process.as_fd()).is_ok());
        match found.first() {
            // What those have left is seen by the next look.
            Some(first) => {
                let _ = pidfd::wait_end(first.as_fd());
                in_vain = 0;
            }
            None if living.is_empty() => return,
            None => in_vain += 1,
        }
    }
}

/// Those that have not ended, by one look at all processes.
fn descendants() -> Vec<Stat> {
    let Ok(own) = ProcessName::own() else {
        return Vec::new();
    };
    let mut others: Vec<Stat> = processes()
        .filter_map(|pid| procfs::stat(pid).ok())
        .collect();
    let mut parents = vec![own.pid];
    let mut found: Vec<Stat> = Vec::new();
    while let Some(parent) = parents.pop() {
        let below;
        (below, others) = others.into_iter().partition(|stat| stat.parent == parent);
        parents.extend(below.iter().map(|stat: &Stat| stat.pid));
        found.extend(below);
    }
    // A zombie runs no more, and others may wait for it only.
    found.retain(|stat| !matches!(stat.state, 'Z' | 'X'));
    found
}

/// If it still is that process, and where it was: numbers are given again.
fn open_descendant(seen: &Stat) -> Option<OwnedFd> {
    let name = ProcessName {
        pid: seen.pid,
        start: seen.started,
    };
    let process = name.open_here().ok()??;
    let now = procfs::stat(seen.pid).ok()?;
    (now.started == seen.started && now.parent == seen.parent).then_some(process)
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

/// The container's own files are bound over files of /etc, and its id is in their path. No other mount namespace has them. Without mounts
/// it is in the path of the root.
fn sees_container(pid: i32, id: &str) -> bool {
    let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo"));
    let root = || std::fs::read_link(format!("/proc/{pid}/root"));
    mounts.is_ok_and(|mounts| mounts.contains(id))
        || root().is_ok_and(|root| root.to_string_lossy().contains(id))
}
