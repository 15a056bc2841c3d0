//! How a monitor ends: exit record, last words to clients, teardown; and how one ends that never began.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::fault;
use super::protocol::StartFailure;
use super::supervise::{Fault, Monitor, Orders};
use crate::container::{Containers, EventLog, ExitRecord, LockedRecord, Record, RunState, Volumes};
use crate::runtime::cgroup;
use crate::runtime::preserved::Preserved;
use crate::sys::fs::remove_path;
use crate::sys::poll::{Interest, PollSet};

/// How long clients that do not read may keep an ended monitor.
const LINGER: Duration = Duration::from_secs(30);

impl Monitor {
    /// The exit becomes visible, then known to the clients; only then the kernel's teardown of the namespaces begins.
    pub(super) fn end(mut self, code: i32) {
        let code = self.code_of_end(code);
        fault::step("ended");
        let _ = self.log.finish();
        // Whoever reads them waits for their end.
        self.orders.passed = None;
        self.orders.preserved = Preserved::default();
        let removed = self.orders.auto_remove;
        // Docker's order; and its name goes with the container.
        if removed && !self.state.restarting && !self.start_failed {
            self.emit_die(code);
        }
        let discarded = removed.then(|| discard(&self.orders)).flatten();
        if discarded.is_none() {
            self.record_end(code);
        }
        fault::step("exit recorded");
        if !removed && !self.state.restarting && !self.start_failed {
            self.emit_die(code);
        }
        // Its ports are free before anybody hears of the end.
        self.network = None;
        if let Some(network) = &self.orders.network {
            network.end();
        }
        let failed = self.failure.as_ref().and_then(Fault::of_start);
        for client in &mut self.clients {
            client.end(code, failed);
        }
        let _ = crate::sys::disk::remove_file(
            self.orders.paths.monitor_socket(self.orders.id.as_str()),
        );
        fault::step("exit told");
        self.linger();
        // Closing the namespaces unmounts the root, which may take a while: nobody waits for it.
        self.init.mount_namespace = None;
        self.init.network_namespace = None;
        if let Some(cgroup) = &self.orders.launch.cgroup {
            let _ = cgroup::remove(cgroup);
        }
        for rubbish in discarded.into_iter().flatten() {
            let _ = remove_path(&rubbish);
        }
        fault::step("torn down");
        // The lock goes last: whoever sees it free may use the directory.
        drop(self.locked.take());
    }

    /// Whether memory ran out in this run; the kernel counts all runs together. Asked once a run.
    pub(super) fn was_oom_killed(&mut self) -> bool {
        let cgroup = self.orders.launch.cgroup.as_deref();
        let kills = cgroup.map_or(0, cgroup::oom_kills);
        let is_new = kills > self.oom_kills;
        self.oom_kills = kills;
        if is_new {
            self.emit("oom", &[]);
        }
        is_new
    }

    /// Without its root the program may have died of a page it could not load any more: the reason is what counts.
    pub(super) fn code_of_end(&self, code: i32) -> i32 {
        self.failure.as_ref().map_or(code, Fault::exit_code)
    }

    /// A run that was about to be followed by another has its record already.
    fn record_end(&mut self, code: i32) {
        if self.state.restarting {
            self.state.restarting = false;
            return self.write_state();
        }
        if self.start_failed {
            return;
        }
        let exit = ExitRecord {
            run: self.state.run,
            code,
            finished: Timestamp::now().to_string(),
            error: self
                .failure
                .as_ref()
                .map(Fault::to_string)
                .unwrap_or_default(),
            oom_killed: self.was_oom_killed(),
        };
        self.record_exit(&exit);
    }

    /// Sends what clients have not read yet.
    fn linger(&mut self) {
        let deadline = Instant::now() + LINGER;
        loop {
            self.clients
                .retain(|client| client.is_behind() && !client.is_gone());
            let left = deadline.saturating_duration_since(Instant::now());
            if self.clients.is_empty() || left.is_zero() {
                return;
            }
            let mut set = PollSet::new();
            for (index, client) in self.clients.iter().enumerate() {
                set.add(client.as_fd(), Interest::Write, index);
            }
            for index in set.wait(Some(left)).unwrap_or_default() {
                self.clients[index].flush();
            }
        }
    }
}

/// A start that failed: the record says so, and a container that is removed when it ends is removed.
pub(super) fn abandon(
    orders: &Orders,
    locked: &LockedRecord,
    state: &RunState,
    error: &StartFailure,
) {
    let exit = ExitRecord {
        run: state.run,
        code: error.exit_code(),
        finished: Timestamp::now().to_string(),
        error: error.to_string(),
        oom_killed: false,
    };
    let _ = locked.write(state);
    let _ = Record::write_exit(&orders.directory, &exit, !orders.auto_remove);
    let _ = crate::sys::disk::remove_file(orders.paths.monitor_socket(orders.id.as_str()));
    if let Some(cgroup) = &orders.launch.cgroup {
        let _ = cgroup::remove(cgroup);
    }
    if orders.auto_remove {
        for rubbish in discard(orders).into_iter().flatten() {
            let _ = remove_path(&rubbish);
        }
    }
}

/// The container and its anonymous volumes go out of sight; what is left of them is given.
fn discard(orders: &Orders) -> Option<Vec<PathBuf>> {
    let record = Record {
        id: orders.id.clone(),
        directory: orders.directory.clone(),
    };
    let containers = Containers::new(&orders.paths);
    let hidden = containers.take_out_of_sight(&record, &orders.name);
    let (directory, name) = hidden.ok()?;
    if !orders.is_step {
        let name = name.as_deref().unwrap_or_else(|| record.id.short());
        let event = orders.identity.again("destroy").with("name", name);
        EventLog::new(&orders.paths).append(&event);
    }
    let mut rubbish = vec![directory];
    let volumes = Volumes::new(&orders.paths);
    rubbish.extend(volumes.release(&orders.anonymous_volumes, &containers));
    Some(rubbish)
}
