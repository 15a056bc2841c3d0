//! What clients ask of the monitor, and what it does about it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::client::Target;
use super::exec::Exec;
use super::life::Wish;
use super::protocol::{Attach, ExecOrders, FromClient, Reply, Request, VERSION, parse_request};
use super::supervise::Monitor;
use crate::container::{RestartPolicy, SettingsChange};
use crate::net::egress::{EgressError, Reach};
use crate::runtime::cgroup;
use crate::runtime::limits::{self, Setting};
use crate::runtime::preserved::Preserved;
use crate::sys::{pidfd, socket};

impl Monitor {
    /// One packet of one client.
    pub(super) fn serve(&mut self, index: usize, buffer: &mut [u8]) {
        let client = &mut self.clients[index];
        let (length, mut fds) = match client.receive(buffer) {
            Ok(socket::Received::Message(length, fds)) => (length, fds),
            Ok(socket::Received::Empty) => return,
            Ok(socket::Received::Closed) | Err(_) => return client.give_up(),
        };
        let target = client.target;
        match parse_request(&buffer[..length], &mut fds) {
            FromClient::Input(bytes) if client.attach.stdin => {
                if let Some(stdio) = self.stdio_of(target) {
                    stdio.input.push(bytes);
                }
            }
            FromClient::InputEnd if client.attach.stdin => self.end_input(target),
            FromClient::Request(request) => self.answer(index, request, fds),
            // What is still on its way to a program that has ended.
            FromClient::Input(_) | FromClient::InputEnd => {}
            FromClient::Unknown => client.reply(&Reply::Version(VERSION)),
        }
    }

    /// `fds` came with it.
    fn answer(&mut self, index: usize, request: Request, fds: Vec<OwnedFd>) {
        let done = match request {
            Request::Attach(attach) => {
                self.attach(index, Target::Program, attach);
                if attach != Attach::default() {
                    self.emit("attach", &[]);
                }
                Ok(())
            }
            Request::Wait => {
                self.clients[index].waits = true;
                return;
            }
            Request::Exec(orders) => return self.exec(index, &orders, fds),
            Request::Signal(number) => self.signal(number),
            Request::Stop(number) => self.stop(number),
            Request::Restart(number) => self.restart(index, number),
            Request::Pause => self.freeze(true),
            Request::Unpause => self.freeze(false),
            Request::Update { change, limits } => {
                let done = self.update(&change, limits);
                if done.is_ok() && change.egress.is_some() && !self.is_limited() {
                    self.clients[index].awaits_limits = true;
                    return;
                }
                done
            }
            Request::Connect { attach, endpoints } => self.connect(*attach, endpoints),
            Request::Disconnect { network, endpoints } => self.disconnect(&network, endpoints),
            Request::ReloadNetworks => self.reload_networks(),
            Request::Publish(ports) => self.publish(&ports),
            Request::Unpublish(ports) => self.unpublish(&ports),
            Request::Renamed(name) => self.renamed(&name),
            Request::Resize { rows, columns } => self.resize(index, (rows, columns)),
        };
        let reply = match done {
            Ok(()) => Reply::Done,
            Err(refusal) => Reply::Refused(refusal),
        };
        self.clients[index].reply(&reply);
    }

    fn resize(&mut self, index: usize, size: (u16, u16)) -> Result<(), String> {
        let target = self.clients[index].target;
        let done = self.stdio_of(target).map(|stdio| stdio.resize(size));
        let (height, width) = (size.0.to_string(), size.1.to_string());
        if target == Target::Program && self.stdio.terminal.is_some() {
            self.emit("resize", &[("height", height), ("width", width)]);
        }
        done.unwrap_or(Ok(())).map_err(|error| error.to_string())
    }

    fn attach(&mut self, index: usize, target: Target, attach: Attach) {
        let client = &mut self.clients[index];
        client.target = target;
        client.attach = attach;
        client.waits = true;
    }

    fn exec(&mut self, index: usize, orders: &ExecOrders, fds: Vec<OwnedFd>) {
        let refusal = if self.resting {
            Some("container is restarting, wait until it runs")
        } else if self.state.paused {
            Some("container is paused, unpause it before exec")
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return self.clients[index].reply(&Reply::Refused(refusal.to_owned()));
        }
        let Some(preserved) = Preserved::received(orders.preserves.clone(), fds) else {
            let refusal = "not the descriptors that the request names came with it";
            return self.clients[index].reply(&Reply::Refused(refusal.to_owned()));
        };
        self.emit_exec("exec_create", orders);
        self.exec_number += 1;
        let number = self.exec_number;
        match Exec::begin(number, orders, preserved, &self.init, &self.orders.launch) {
            Ok(exec) => {
                self.emit_exec("exec_start", orders);
                self.execs.push(exec);
                self.attach(index, Target::Exec(number), orders.attach);
            }
            Err(failure) => self.clients[index].reply(&Reply::Failed(failure)),
        }
    }

    /// The host goes down and says so to every process: the program gets its time, and no policy starts it again now. Nobody has
    /// stopped the container: the next boot may.
    pub(super) fn end_with_host(&mut self) {
        self.wish = Wish::End;
        if !self.resting {
            self.end_in_time(self.orders.stop_signal);
        }
    }

    pub(super) fn signal(&mut self, number: i32) -> Result<(), String> {
        if self.resting {
            return Err("container is restarting: no program runs now".to_owned());
        }
        if number == libc::SIGKILL
            && let Some(cgroup) = &self.orders.launch.cgroup
        {
            cgroup::kill(cgroup);
        }
        pidfd::kill(self.init.pidfd.as_fd(), number).map_err(|error| error.to_string())?;
        // What is frozen would get it only then.
        match self.state.paused {
            true => self.freeze(false),
            false => Ok(()),
        }
    }

    /// A signal that is meant to be the end.
    fn stop(&mut self, number: i32) -> Result<(), String> {
        self.wish = Wish::End;
        if self.settings.restart != RestartPolicy::No && !self.settings.stopped {
            self.settings.stopped = true;
            self.write_settings()?;
        }
        match self.resting {
            true => Ok(()),
            false => self.signal(number),
        }
    }

    fn restart(&mut self, index: usize, number: i32) -> Result<(), String> {
        if self.wish == Wish::End {
            return Err("container is being stopped".to_owned());
        }
        self.wish = Wish::Again;
        let client = &mut self.clients[index];
        client.restarts = true;
        client.waits = !self.resting;
        match self.resting {
            true => Ok(()),
            false => self.signal(number),
        }
    }

    fn freeze(&mut self, on: bool) -> Result<(), String> {
        if self.resting {
            return Err("container is restarting".to_owned());
        }
        if self.state.paused == on {
            let word = if on { "already" } else { "not" };
            return Err(format!("container is {word} paused"));
        }
        let done = cgroup::freeze(self.cgroup("frozen")?, on);
        done.map_err(|error| format!("freeze the container's cgroup: {error}"))?;
        self.state.paused = on;
        self.write_state();
        self.emit(if on { "pause" } else { "unpause" }, &[]);
        Ok(())
    }

    /// The container's own, or why it could not be done what is asked for.
    fn cgroup(&self, done: &str) -> Result<&Path, String> {
        self.orders.launch.cgroup.as_deref().ok_or_else(|| {
            let why = self.orders.cgroup.why_none();
            let why = why.map_or(String::new(), |why| format!(": {why}"));
            format!("container has no cgroup that could be {done}{why}")
        })
    }

    /// What the kernel or the disk refuses is not recorded.
    fn update(&mut self, change: &SettingsChange, limits: Vec<Setting>) -> Result<(), String> {
        let Some(list) = &change.egress else {
            return self.update_rest(change, limits);
        };
        let before = self.egress();
        let reach: Reach = list
            .parse()
            .map_err(|error: EgressError| error.to_string())?;
        self.limit(reach.list())?;
        self.update_rest(change, limits).inspect_err(|_| {
            // At worst it is limited as was asked for until it ends.
            let _ = self.limit(before);
        })
    }

    fn update_rest(&mut self, change: &SettingsChange, limits: Vec<Setting>) -> Result<(), String> {
        let mut settings = self.settings.clone();
        settings.change(change);
        let log = settings.log.options().map_err(|error| error.to_string())?;
        // Between two lives there is nothing to limit yet.
        if change.limits.is_some() && !self.resting {
            let cgroup = self.cgroup("limited")?;
            limits::apply(cgroup, &limits).map_err(|error| error.to_string())?;
        }
        let before = std::mem::replace(&mut self.settings, settings);
        if let Err(failure) = self.write_settings() {
            self.settings = before;
            return Err(failure);
        }
        if change.limits.is_some() {
            // Of the cgroup that the next life begins in: a new one, where nothing has to be lifted.
            let limits = limits.into_iter().filter(|limit| !limit.lifts());
            self.orders.cgroup.limits = limits.collect();
        }
        (self.orders.log.max_size, self.orders.log.max_file) = (log.max_size, log.max_file);
        self.log.keep(log.max_size, log.max_file);
        if change.health.is_some() && !self.resting {
            self.renew_checks();
        }
        self.emit("update", &[]);
        Ok(())
    }

    /// It was started by a user, or by what starts containers at boot.
    pub(super) fn unmark_stopped(&mut self) {
        if std::mem::take(&mut self.settings.stopped) {
            // At worst it is not started again by itself.
            let _ = self.write_settings();
        }
    }

    pub(super) fn write_settings(&self) -> Result<(), String> {
        let written = self.settings.write(&self.orders.directory);
        written.map_err(|error| format!("write the container's settings: {error}"))
    }
}
