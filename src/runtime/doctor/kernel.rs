//! The kernel's version and what it lets an unprivileged user do.

use std::path::Path;

use super::probe::{Outcome, Step, in_new_namespace};
use super::storage::existing;
use super::{Check, Finding, State, read, set_sysctl, words};
use crate::runtime::isolation::Isolation;

/// Overlay in user namespaces (5.11).
const OLDEST: (u32, u32) = (5, 11);

pub(super) fn version() -> Finding {
    judge_version(&rustix::system::uname().release().to_string_lossy())
}

pub(super) fn judge_version(release: &str) -> Finding {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Finding::fine(Check::Kernel, format!("Linux {release}"));
    };
    if (major, minor) >= OLDEST {
        return Finding::fine(Check::Kernel, format!("Linux {release}"));
    }
    Finding::broken(
        Check::Kernel,
        format!("Linux {release}"),
        "bryo needs Linux 5.11 or later; upgrade the kernel",
    )
}

/// What limits user namespaces, as the kernel's settings say; `None` where a setting doesn't exist.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// `user.max_user_namespaces`
    pub max: Option<u64>,
    /// `kernel.unprivileged_userns_clone` (Debian, Arch's hardened kernel)
    pub unprivileged: Option<u64>,
    /// `kernel.apparmor_restrict_unprivileged_userns` (Ubuntu from 23.10 on)
    pub apparmor: Option<u64>,
}

impl Limits {
    fn read() -> Limits {
        let number = |name: &str| read(format!("/proc/sys/{name}"))?.parse().ok();
        Limits {
            max: number("user/max_user_namespaces"),
            unprivileged: number("kernel/unprivileged_userns_clone"),
            apparmor: number("kernel/apparmor_restrict_unprivileged_userns"),
        }
    }
}

pub(super) fn user_namespaces(store: &Path) -> Finding {
    let finding = judge_user_namespaces(&in_new_namespace(|| Ok(())), Limits::read());
    match (finding.state, Isolation::find()) {
        (State::Broken, Isolation::Chroot) => confined(finding, makes_nodes(store)),
        _ => finding,
    }
}

/// The last way to keep containers apart is left.
pub(super) fn confined(finding: Finding, makes_nodes: bool) -> Finding {
    let devices = match makes_nodes {
        true => "",
        false => ", device nodes (/dev/null is a file)",
    };
    let meaning = format!(
        "containers are kept apart by chroot alone: each is a copy of its layers, with the network, processes and names of its \
         surroundings, and without mounts{devices} and /proc; for more, start the container around with --security-opt \
         seccomp=unconfined"
    );
    Finding::limited(finding.check, finding.found, meaning)
}

fn makes_nodes(store: &Path) -> bool {
    let place = existing(store).join(format!(".doctor-null-{}", std::process::id()));
    let kind = rustix::fs::FileType::CharacterDevice;
    let (mode, null) = (rustix::fs::Mode::RUSR, rustix::fs::makedev(1, 3));
    let made = rustix::fs::mknodat(rustix::fs::CWD, &place, kind, mode, null);
    let _ = std::fs::remove_file(place);
    made.is_ok()
}

pub(super) fn judge_user_namespaces(outcome: &Outcome, limits: Limits) -> Finding {
    let check = Check::UserNamespaces;
    let (step, source) = match outcome {
        Outcome::Done => return Finding::fine(check, "user namespaces can be created"),
        Outcome::Untried { source } => {
            let found = format!("no attempt could be made: {}", words(source));
            return Finding::limited(check, found, "whether containers run is unknown");
        }
        Outcome::Failed { step, source } => (*step, source),
    };
    let meaning = "no container can run";
    if limits.max == Some(0) {
        return Finding::broken(check, "user.max_user_namespaces is 0", meaning)
            .cured_by(set_sysctl("user.max_user_namespaces", "15000"));
    }
    if limits.unprivileged == Some(0) {
        return Finding::broken(check, "kernel.unprivileged_userns_clone is 0", meaning)
            .cured_by(set_sysctl("kernel.unprivileged_userns_clone", "1"));
    }
    if limits.apparmor.is_some_and(|value| value != 0) {
        let name = "kernel.apparmor_restrict_unprivileged_userns";
        let found = format!("{name} is 1, and no AppArmor profile allows bryo what it needs");
        return Finding::broken(check, found, meaning).cured_by(set_sysctl(name, "0"));
    }
    let found = match step {
        Step::UserNamespace => "a user namespace can't be created",
        Step::WriteMap => "the id map of a new user namespace can't be written",
        Step::MountNamespace | Step::Job => "a new user namespace has no rights",
    };
    let found = format!("{found}: {}", words(source));
    match source.raw_os_error() {
        Some(libc::ENOSPC | libc::EUSERS) => Finding::broken(
            check,
            found,
            "the limit of user namespaces, or of their depth, is reached; no container can run",
        )
        .cured_by(set_sysctl("user.max_user_namespaces", "15000")),
        _ => Finding::broken(
            check,
            found,
            "no container can run; a seccomp or security-module rule of the surroundings forbids it (in a docker \
             container: start that with --security-opt seccomp=unconfined --security-opt apparmor=unconfined, or run bryo as its \
             root, for whom chroot is left)",
        ),
    }
}

pub(super) fn no_new_privileges() -> Finding {
    let status = read("/proc/self/status").unwrap_or_default();
    judge_no_new_privileges(&status)
}

pub(super) fn judge_no_new_privileges(status: &str) -> Finding {
    let check = Check::NoNewPrivileges;
    if status_field(status, "NoNewPrivs") != Some("1") {
        return Finding::fine(check, "programs may gain privileges by their setuid bit");
    }
    Finding::limited(
        check,
        "this process runs with no_new_privs",
        "newuidmap and newgidmap can't do their work: containers have a single user id; start bryo from a login shell, \
         or without NoNewPrivileges= in the systemd unit",
    )
}

fn status_field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key == name).then(|| value.trim())
    })
}

/// What this process is inside of, if it is not the host itself.
pub(super) fn surroundings() -> Option<String> {
    let marks = [
        ("/run/.containerenv", "podman"),
        ("/.dockerenv", "docker"),
        ("/run/systemd/container", "a container"),
    ];
    let container = marks
        .iter()
        .find(|(file, _)| std::path::Path::new(file).exists());
    let map = read("/proc/self/uid_map").unwrap_or_default();
    let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    match (container, whole) {
        (Some((file, engine)), _) => Some(format!("a container of {engine} ({file})")),
        (None, false) => Some("a user namespace".to_owned()),
        (None, true) => None,
    }
}

/// Being in a container is no fault, but explains other findings.
pub(super) fn nesting() -> Finding {
    match surroundings() {
        Some(around) => Finding::fine(Check::Nesting, format!("inside {around}")),
        None => Finding::fine(Check::Nesting, "not inside a container"),
    }
}
