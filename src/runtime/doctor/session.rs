//! What the login session gives: a delegated cgroup, a runtime directory, life after logout.

use std::path::Path;

use super::{Check, Finding};
use crate::paths::{Paths, RuntimeFallback};
use crate::runtime::cgroup::{NoCgroup, Place};
use crate::sys::program;

/// The controllers that limits and statistics need.
const CONTROLLERS: &[&str] = &["cpu", "memory", "pids"];

pub(super) fn cgroup() -> Finding {
    let place = Place::find();
    let controllers = place.as_ref().map(Place::controllers);
    let controllers = controllers.unwrap_or_default();
    judge_cgroup(place, &controllers, has_systemd())
}

pub(super) fn judge_cgroup(
    place: Result<Place, NoCgroup>,
    controllers: &str,
    systemd: bool,
) -> Finding {
    let check = Check::Cgroup;
    let meaning = "limits of memory and cpu, pause and stats don't work; everything else does";
    let place = match place {
        Ok(place) => place,
        Err(reason) => {
            let finding = Finding::limited(check, reason.to_string(), meaning);
            return match (reason, systemd) {
                (NoCgroup::NotMounted, true) => finding.cured_by(
                    "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line",
                ),
                (NoCgroup::NotMounted, false) => {
                    finding.cured_by("sudo mount -t cgroup2 none /sys/fs/cgroup")
                }
                // The user's own systemd does not run; that of a user who lingers does.
                (NoCgroup::NotDelegated, true) => finding.cured_by("loginctl enable-linger"),
                (NoCgroup::NotDelegated, false) => finding,
            };
        }
    };
    let missing: Vec<&str> = CONTROLLERS
        .iter()
        .filter(|name| !controllers.split_whitespace().any(|c| c == **name))
        .copied()
        .collect();
    if missing.is_empty() {
        return Finding::fine(check, place.to_string());
    }
    let finding = Finding::limited(
        check,
        format!("{place}, without {}", missing.join(", ")),
        "limits of these don't work; everything else does",
    );
    if !systemd {
        return finding;
    }
    finding.cured_by(
        "sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | \
         sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload",
    )
}

fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

pub(super) fn runtime_directory(paths: &Paths) -> Finding {
    use std::os::unix::fs::MetadataExt;
    let own = nix::unistd::geteuid().as_raw();
    let meta = std::fs::symlink_metadata(&paths.runtime).ok();
    if let Some(meta) = meta
        && (meta.uid() != own || !meta.is_dir())
    {
        let shown = paths.runtime.display();
        let found = format!("{shown} belongs to user {}", meta.uid());
        return Finding::broken(
            Check::RuntimeDirectory,
            found,
            "bryo has no place for its sockets",
        )
        .cured_by(format!("sudo rm -rf {shown}"));
    }
    judge_runtime(paths)
}

pub(super) fn judge_runtime(paths: &Paths) -> Finding {
    let check = Check::RuntimeDirectory;
    let used = paths.runtime.display();
    let found = match &paths.runtime_fallback {
        None => return Finding::fine(check, used.to_string()),
        Some(RuntimeFallback::Unset) => "XDG_RUNTIME_DIR is not set".to_owned(),
        Some(RuntimeFallback::Missing { path }) => {
            format!(
                "XDG_RUNTIME_DIR names {}, which doesn't exist",
                path.display()
            )
        }
        Some(other) => other.to_string(),
    };
    let meaning = format!(
        "{used} is used instead; commands of other sessions of yours may not see these containers"
    );
    Finding::limited(check, found, meaning)
        .cured_by("export XDG_RUNTIME_DIR=/run/user/$(id -u)   # after logging in as this user, not with su or sudo")
}

pub(super) fn linger() -> Finding {
    let check = Check::Linger;
    if !has_systemd() || program::find("loginctl").is_none() {
        return Finding::fine(check, "no session manager ends processes at logout");
    }
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid())
        .ok()
        .flatten();
    let name = user.map(|user| user.name).unwrap_or_default();
    if Path::new("/var/lib/systemd/linger").join(&name).exists() {
        return Finding::fine(check, format!("processes of {name} outlive the session"));
    }
    Finding::limited(
        check,
        format!("{name} doesn't linger"),
        "systemd may end your containers when you log out",
    )
    .cured_by("loginctl enable-linger")
}
