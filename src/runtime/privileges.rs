//! What init gives up before it becomes the program: limits, ids, capabilities, system calls. Order matters everywhere.

use std::io;

use rustix::process::{Gid, Uid};

use super::capability::ProcessCapabilities;
use super::execute::{Launch, SetupError};
use super::seccomp::Program;
use super::user::Account;
use crate::sys::{capability, seccomp};

/// The limits of `--ulimit`; others stay the user's.
pub fn limit_resources(launch: &Launch) -> Result<(), SetupError> {
    for limit in launch.process()?.rlimits().iter().flatten() {
        let name = limit.typ().to_string();
        let failed = |error: io::Error| {
            SetupError::step(
                format!("set {name} to {}:{}", limit.soft(), limit.hard()),
                &error,
            )
        };
        super::limit::set(&name, limit.soft(), limit.hard()).map_err(failed)?;
    }
    Ok(())
}

/// Docker's order: the filter loads while CAP_SYS_ADMIN is still effective, unless no_new_privs is asked for, and then last.
pub fn drop_privileges(
    launch: &Launch,
    filter: Option<&Program>,
    account: &Account,
) -> Result<(), SetupError> {
    let spec = launch.process()?;
    let failed = |what: &'static str| move |error: io::Error| SetupError::step(what, &error);
    let sets = ProcessCapabilities::from_spec(spec.capabilities().as_ref(), account.uid);
    let no_new_privileges = spec.no_new_privileges().unwrap_or(false);
    capability::limit_bounding(sets.bounding.bits()).map_err(failed("limit the bounding set"))?;
    capability::clear_ambient().map_err(failed("clear the ambient set"))?;
    take_ids(account, launch.keep_groups)?;
    if let (Some(filter), false) = (filter, no_new_privileges) {
        seccomp::load(&filter.instructions, filter.flags)
            .map_err(failed("load the seccomp filter"))?;
    }
    let masks = capability::Masks {
        effective: sets.effective.bits(),
        permitted: sets.permitted.bits(),
        inheritable: sets.inheritable.bits(),
    };
    capability::set(masks).map_err(failed("set capabilities"))?;
    if no_new_privileges {
        capability::set_no_new_privileges().map_err(failed("set no_new_privs"))?;
        if let Some(filter) = filter {
            seccomp::load(&filter.instructions, filter.flags)
                .map_err(failed("load the seccomp filter"))?;
        }
    }
    Ok(())
}

/// Groups, then gid, then uid; the capabilities stay until they are set on purpose.
fn take_ids(account: &Account, keep_groups: bool) -> Result<(), SetupError> {
    let gid = Gid::from_raw(account.gid);
    let groups: Vec<Gid> = account
        .groups
        .iter()
        .map(|group| Gid::from_raw(*group))
        .collect();
    if !keep_groups {
        match rustix::thread::set_thread_groups(&groups) {
            // A single-id namespace denies setgroups (user_namespaces(7)); then root keeps what the user had.
            Err(rustix::io::Errno::PERM) if super::home::is_single_id() => {}
            other => other.map_err(|error| {
                let last = account.groups.iter().max().copied().unwrap_or(account.gid);
                SetupError::identity("set groups up to", last, &error.into())
            })?,
        }
    }
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .map_err(|error| SetupError::identity("set gid", account.gid, &error.into()))?;
    capability::keep_across_setuid(true)
        .map_err(|error| SetupError::step("keep capabilities", &error))?;
    let uid = Uid::from_raw(account.uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid)
        .map_err(|error| SetupError::identity("set uid", account.uid, &error.into()))?;
    // Effective capabilities are cleared by the change of uid, permitted ones are kept.
    let held = capability::get().map_err(|error| SetupError::step("read capabilities", &error))?;
    let raised = capability::Masks {
        effective: held.permitted,
        ..held
    };
    capability::set(raised).map_err(|error| SetupError::step("raise capabilities", &error))?;
    capability::keep_across_setuid(false)
        .map_err(|error| SetupError::step("keep capabilities", &error))
}
