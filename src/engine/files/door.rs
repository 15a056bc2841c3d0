//! Into a container's root with a job: through its running init, or through a mount of its own where it does not run.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use nix::sched::CloneFlags;
use rustix::fs::Mode;
use rustix::pipe::{PipeFlags, pipe_with};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::start::{PATIENCE, SOON};
use super::super::worker::RoleFailure;
use super::super::{Engine, EngineError};
use super::own_layer::prepare;
use crate::container::{ContainerConfig, HeldRest, LockedRecord, Record, RunState, Status};
use crate::runtime::isolation::Isolation;
use crate::runtime::rootfs::Driver;
use crate::runtime::view::{self, Rest};
use crate::sys::process::{self, Forked, ProcessName};
use crate::sys::{namespace, pidfd};

/// What is needed to go into a container, found out before the role that does is forked.
pub struct Entrance {
    record: Record,
    name: String,
    pub rest: Rest,
}

/// The way in, open: the container can't be started meanwhile, or runs.
pub enum Door {
    Running { init: OwnedFd, pid: i32 },
    AtRest { hold: Hold },
}

/// What keeps it so.
pub enum Hold {
    /// No monitor.
    Ended(#[expect(dead_code)] LockedRecord),
    /// One that is about to start it again.
    Resting(#[expect(dead_code)] HeldRest),
}

impl Engine {
    /// With its binds and volumes, or its root alone.
    pub(super) fn entrance(
        &self,
        record: &Record,
        config: &ContainerConfig,
        with_binds: bool,
    ) -> Result<Entrance, EngineError> {
        let binds = match with_binds {
            true => self.binds_at_rest(record, config)?,
            false => Vec::new(),
        };
        Ok(Entrance {
            name: self.containers.name_after(record, &config.name),
            record: record.clone(),
            rest: Rest {
                rootfs: self.rootfs(record, config),
                binds,
                read_only: config.host.read_only_root,
                isolation: self.isolation(),
            },
        })
    }
}

impl Entrance {
    /// Opens the way that the container's state leaves. Called by the role that goes in: what it holds ends with it.
    pub fn open(&self) -> Result<Door, EngineError> {
        let began = Instant::now();
        loop {
            let status = self.record.status();
            let status = status.map_err(EngineError::system("read the container's state"))?;
            // What is frozen has a root all the same.
            if let Status::Running(state) | Status::Paused(state) = &status
                && let Some((init, pid)) = running(state)?
            {
                return Ok(Door::Running { init, pid });
            }
            let locked = LockedRecord::acquire(&self.record.directory);
            let locked = locked.map_err(EngineError::system("lock the container's record"))?;
            if let Some(locked) = locked {
                wait_for_monitor(&locked)?;
                let hold = Hold::Ended(locked);
                return Ok(Door::AtRest { hold });
            }
            if let Some(rest) = self.rest_of(&status)? {
                let hold = Hold::Resting(rest);
                return Ok(Door::AtRest { hold });
            }
            // It is being started or ended, or another command copies.
            if began.elapsed() > PATIENCE {
                let name = self.name.clone();
                return Err(EngineError::Silent { name });
            }
            std::thread::sleep(SOON);
        }
    }

    /// Of a container that its monitor is about to start again, and that stays so while this is held.
    fn rest_of(&self, status: &Status) -> Result<Option<HeldRest>, EngineError> {
        let Status::Restarting(..) = status else {
            return Ok(None);
        };
        let failed = EngineError::system("hold the container between two runs");
        let Some(held) = HeldRest::acquire(&self.record.directory).map_err(failed)? else {
            return Ok(None);
        };
        let now = self.record.status();
        let now = now.map_err(EngineError::system("read the container's state"))?;
        Ok((now == *status).then_some(held))
    }

    /// Does `job` with the container's root as this role's own. The role lives in the home namespace and is of no other use
    /// afterwards.
    pub fn inside<T: Serialize + DeserializeOwned>(
        &self,
        door: Door,
        job: impl FnOnce() -> Result<T, RoleFailure>,
    ) -> Result<T, RoleFailure> {
        rustix::process::umask(Mode::from_raw_mode(0o022));
        match door {
            Door::Running { init, pid } => {
                let joined = match self.rest.isolation {
                    Isolation::Namespaces => view::join(init.as_fd(), pid),
                    Isolation::Chroot => view::confine(&self.rest.rootfs),
                };
                joined.map_err(|source| {
                    failure(&EngineError::System {
                        operation: "enter the container",
                        source,
                    })
                })?;
                job()
            }
            Door::AtRest { hold } => {
                let ended = if self.rest.rootfs.driver == Driver::FuseOverlayfs {
                    in_pid_namespace(|| self.mounted(job))
                } else {
                    self.mounted(job)
                };
                drop(hold);
                ended
            }
        }
    }

    fn mounted<T>(&self, job: impl FnOnce() -> Result<T, RoleFailure>) -> Result<T, RoleFailure> {
        prepare(&self.rest.rootfs)?;
        let entered = view::enter(&self.rest);
        entered.map_err(|error| RoleFailure::of(&error, Vec::new()))?;
        job()
    }
}

/// The init of a run that is going on, by a pidfd that can be no other process: its parent is the monitor, which lives.
fn running(state: &RunState) -> Result<Option<(OwnedFd, i32)>, EngineError> {
    let failed = EngineError::system("find the container's init");
    if state.started.is_empty() {
        return Ok(None);
    }
    let Some(monitor) = state.monitor.open().map_err(failed)? else {
        return Ok(None);
    };
    let found = ProcessName::of(state.init).and_then(|init| {
        let is_child = init.parent()? == state.monitor.pid;
        Ok(init.open()?.filter(|_| is_child))
    });
    // It has just ended.
    let Ok(Some(init)) = found else {
        return Ok(None);
    };
    Ok(pidfd::is_alive(monitor.as_fd()).then_some((init, state.init)))
}

/// What the last run has mounted is gone when its monitor is.
fn wait_for_monitor(locked: &LockedRecord) -> Result<(), EngineError> {
    let failed = |source| EngineError::System {
        operation: "wait for the last monitor",
        source,
    };
    let Some(last) = locked.last() else {
        return Ok(());
    };
    match last.monitor.open().map_err(failed)? {
        Some(monitor) => pidfd::wait_end(monitor.as_fd()).map_err(failed),
        None => Ok(()),
    }
}

/// fuse-overlayfs must die with whoever uses it: the job is done by PID 1 of a pid namespace.
fn in_pid_namespace<T: Serialize + DeserializeOwned>(
    job: impl FnOnce() -> Result<T, RoleFailure>,
) -> Result<T, RoleFailure> {
    let failed = |operation: &'static str| {
        move |source: std::io::Error| failure(&EngineError::System { operation, source })
    };
    let (mut result, report) = pipe_with(PipeFlags::CLOEXEC)
        .map(|(read, write)| (std::fs::File::from(read), write))
        .map_err(|error| failed("make a pipe")(error.into()))?;
    namespace::leave(CloneFlags::CLONE_NEWPID).map_err(failed("make a pid namespace"))?;
    let child = match process::fork().map_err(failed("fork a role"))? {
        Forked::Parent(child) => child,
        Forked::Child => {
            drop(result);
            let _ = rustix::process::set_parent_process_death_signal(Some(
                rustix::process::Signal::KILL,
            ));
            process::exit_now(super::side::say(&report, &job()))
        }
    };
    drop(report);
    let mut text = Vec::new();
    let read = result.read_to_end(&mut text);
    let code = pidfd::wait_child(child).map_err(failed("wait for a role"))?;
    read.map_err(failed("read the answer of a role"))?;
    serde_json::from_slice::<Result<T, RoleFailure>>(&text).unwrap_or_else(|_| {
        Err(failure(&EngineError::RoleDied {
            role: "worker",
            code,
        }))
    })
}

pub fn failure(error: &EngineError) -> RoleFailure {
    RoleFailure::of(error, error.hints())
}
