//! `wait --condition`: until a container is found in one of some states.

use std::os::fd::AsFd;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::request::{Condition, WaitRequest};
use super::{Engine, EngineError};
use crate::container::{Health, HealthStatus, Record, Status};
use crate::sys::poll::{Interest, PollSet};

impl Engine {
    /// The exit code, or -1 where the container has not ended, as podman prints it.
    pub fn wait_for(&self, record: &Record, request: &WaitRequest) -> Result<i32, EngineError> {
        let inotify = watch(record).map_err(EngineError::system("watch the container"))?;
        loop {
            let _ = inotify.read_events();
            let status = match record.status() {
                Ok(status) => status,
                Err(_) => {
                    let name = record.id.short().to_owned();
                    return Err(EngineError::Container(
                        crate::container::ContainerError::NotFound { name },
                    ));
                }
            };
            if conditions(record, &status)
                .iter()
                .any(|found| request.conditions.contains(found))
            {
                return Ok(match status {
                    Status::Exited(exit) => exit.code,
                    Status::Killed(_) => 137,
                    _ => -1,
                });
            }
            // The end of a monitor that is killed changes no file.
            let mut set = PollSet::new();
            set.add(inotify.as_fd(), Interest::Read, ());
            set.wait(Some(request.interval))
                .map_err(EngineError::system("watch the container"))?;
        }
    }
}

/// What is true of a container now.
fn conditions(record: &Record, status: &Status) -> Vec<Condition> {
    let state = match status {
        Status::Created => return vec![Condition::Created],
        Status::Exited(_) | Status::Killed(_) => return vec![Condition::Stopped],
        Status::Paused(_) => return vec![Condition::Paused],
        Status::Restarting(..) => return Vec::new(),
        Status::Running(state) => state,
    };
    let health = Health::read(&record.directory, state.run).map(|health| health.status);
    let health = match health {
        Some(HealthStatus::Healthy) => Some(Condition::Healthy),
        Some(HealthStatus::Unhealthy) => Some(Condition::Unhealthy),
        Some(HealthStatus::Starting) | None => None,
    };
    [Condition::Running].into_iter().chain(health).collect()
}

/// Wakes when the state is written in place, and when the exit record appears.
fn watch(record: &Record) -> std::io::Result<Inotify> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let changes =
        AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_MOVE_SELF;
    inotify.add_watch(&record.directory, changes)?;
    Ok(inotify)
}
