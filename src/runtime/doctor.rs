//! What this host offers and lacks, as typed findings with the command that cures each. Changes nothing, prints nothing; the
//! words of `bryo doctor` around them are the cli's. Other commands that fail ask [`explain`] for the same diagnosis.

mod identity;
mod kernel;
mod network;
pub(super) mod probe;
mod session;
mod storage;

use std::path::Path;

use serde::Serialize;

use super::home;
use super::isolation::Isolation;
use crate::paths::Paths;
use crate::sys::{program, text};

/// One thing that is looked at; its text names it in `bryo doctor --json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    Kernel,
    UserNamespaces,
    SubordinateIds,
    IdMapHelpers,
    NoNewPrivileges,
    Overlay,
    Store,
    Fuse,
    Tun,
    Pasta,
    Cgroup,
    RuntimeDirectory,
    Linger,
    Nesting,
}

/// In the order in which they are shown: what everything needs first.
pub const CHECKS: &[Check] = &[
    Check::Kernel,
    Check::UserNamespaces,
    Check::SubordinateIds,
    Check::IdMapHelpers,
    Check::NoNewPrivileges,
    Check::Overlay,
    Check::Store,
    Check::Fuse,
    Check::Tun,
    Check::Pasta,
    Check::Cgroup,
    Check::RuntimeDirectory,
    Check::Linger,
    Check::Nesting,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Fine,
    /// Containers run, but something is slower, missing or less safe.
    Limited,
    /// Containers don't run.
    Broken,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub check: Check,
    pub state: State,
    /// What was seen, e.g. `/dev/net/tun can't be opened: permission denied`.
    pub found: String,
    /// What follows for the user; empty when all is fine.
    pub meaning: String,
    /// Commands to type, the best one first; empty when there is none.
    pub cure: Vec<String>,
}

impl Finding {
    fn fine(check: Check, found: impl Into<String>) -> Finding {
        Finding {
            check,
            state: State::Fine,
            found: found.into(),
            meaning: String::new(),
            cure: Vec::new(),
        }
    }

    fn limited(check: Check, found: impl Into<String>, meaning: impl Into<String>) -> Finding {
        Finding {
            state: State::Limited,
            meaning: meaning.into(),
            ..Finding::fine(check, found)
        }
    }

    fn broken(check: Check, found: impl Into<String>, meaning: impl Into<String>) -> Finding {
        Finding {
            state: State::Broken,
            ..Finding::limited(check, found, meaning)
        }
    }

    fn cured_by(mut self, command: impl Into<String>) -> Finding {
        self.cure.push(command.into());
        self
    }

    /// One line for the error of another command.
    pub fn message(&self) -> String {
        match self.meaning.as_str() {
            "" => self.found.clone(),
            meaning => format!("{}: {meaning}", self.found),
        }
    }
}

/// All checks, each independent of the others' results. The caller is single-threaded: some fork.
pub fn examine(paths: &Paths) -> Vec<Finding> {
    CHECKS.iter().map(|check| look(*check, paths)).collect()
}

/// One check, for a command that failed: `None` when it is fine, and the failure has another reason.
pub fn explain(check: Check, paths: &Paths) -> Option<Finding> {
    Some(look(check, paths)).filter(|finding| finding.state != State::Fine)
}

/// One check, whatever comes of it.
pub fn finding(check: Check, paths: &Paths) -> Finding {
    look(check, paths)
}

/// What this process is inside of, if it is not the host itself: `a container of podman (/run/.containerenv)`.
pub fn surroundings() -> Option<String> {
    kernel::surroundings()
}

/// The worst state decides the exit code of `bryo doctor`: 1 when anything is broken.
pub fn worst(findings: &[Finding]) -> State {
    let states = findings.iter().map(|finding| finding.state);
    states.max().unwrap_or(State::Fine)
}

fn look(check: Check, paths: &Paths) -> Finding {
    if let Some(why) = why_unused(check)
        && Isolation::find() == Isolation::Chroot
    {
        return Finding::fine(check, format!("not used: {why}"));
    }
    match check {
        Check::Kernel => kernel::version(),
        Check::UserNamespaces => kernel::user_namespaces(&paths.data),
        Check::NoNewPrivileges => kernel::no_new_privileges(),
        Check::Nesting => kernel::nesting(),
        Check::SubordinateIds => identity::subordinate_ids(),
        Check::IdMapHelpers => identity::helpers(),
        Check::Overlay => storage::overlay(&paths.data),
        Check::Store => storage::store(&paths.data),
        Check::Fuse => storage::fuse(),
        Check::Tun => network::tun(),
        Check::Pasta => network::pasta(),
        Check::Cgroup => session::cgroup(),
        Check::RuntimeDirectory => session::runtime_directory(paths),
        Check::Linger => session::linger(),
    }
}

/// What a check matters for is not had where chroot alone keeps containers apart.
fn why_unused(check: Check) -> Option<String> {
    match check {
        Check::SubordinateIds | Check::IdMapHelpers => {
            let count = home::maps().map_or(1, |maps| maps.users.len());
            Some(format!(
                "containers have the {count} ids of their surroundings"
            ))
        }
        Check::Overlay | Check::Fuse => Some("each container has a copy of its layers".to_owned()),
        Check::Tun | Check::Pasta => {
            Some("containers have the network of their surroundings".to_owned())
        }
        _ => None,
    }
}

/// The words of an error without the number that std adds.
fn words(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(_) => text::without_numbers(&error.to_string()).to_lowercase(),
        None => error.to_string(),
    }
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

/// A command that installs a package; the package manager is the one that is there.
fn install(debian: &str, fedora: &str, arch: &str, alpine: &str) -> String {
    let managers = [
        ("apt-get", "apt install", debian),
        ("dnf", "dnf install", fedora),
        ("zypper", "zypper install", fedora),
        ("pacman", "pacman -S", arch),
        ("apk", "apk add", alpine),
    ];
    let found = managers
        .iter()
        .find(|(name, ..)| program::find(name).is_some());
    let (_, command, package) = found.unwrap_or(&managers[0]);
    format!("sudo {command} {package}")
}

/// A kernel setting now and after the next boot.
fn set_sysctl(name: &str, value: &str) -> String {
    format!("echo {name}={value} | sudo tee -a /etc/sysctl.d/99-bryo.conf && sudo sysctl --system")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
