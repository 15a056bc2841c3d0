//! `bryo net` as monitors start it: for a container that is to be connected, and again where one has ended. What is taken of it
//! then is the other half's.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::super::protocol::StartFailure;
use super::super::supervise::failure;
use super::{Bridged, explain};
use crate::net::start::{Holder, StartError};
use crate::net::wire::Lease;
use crate::sys::gate::Gate;
use crate::sys::lock::{self, Mode};
use crate::sys::poll::{Interest, PollSet};
use crate::sys::process::{self, Forked, ProcessName};
use crate::sys::timer::Moment;
use crate::sys::{pidfd, role};

/// How long a `bryo net` below this monitor may take to leave.
const LEAVING: Duration = Duration::from_millis(300);

/// Between two attempts to start `bryo net` again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Bridged {
    /// `bryo net` has ended: another is started by a fork of the monitor, or by another monitor that was faster.
    pub(in crate::monitor) fn lost(&mut self) {
        tracing::debug!("bryo net has ended");
        self.lease = None;
        // Without it nobody hears why none could be started.
        let (told, report) = pipe_with(PipeFlags::CLOEXEC).ok().unzip();
        match process::fork() {
            Ok(Forked::Parent(pid)) => (self.starter, self.starter_report) = (Some(pid), told),
            Ok(Forked::Child) => {
                let mut kept = vec![self.shared.as_fd()];
                kept.extend(report.as_ref().map(AsFd::as_fd));
                kept.extend(role::trace_fd());
                let _ = process::close_all_except(&kept);
                std::thread::sleep(self.pause);
                let started = start_again(&self.holder, self.shared.as_fd(), self.ahead);
                if let (Err(error), Some(report)) = (&started, report) {
                    let text = serde_json::to_vec(error).unwrap_or_default();
                    let _ = std::fs::File::from(report).write_all(&text);
                }
                process::exit_now(started.is_err().into())
            }
            Err(error) => tracing::warn!(%error, "bryo net can't be started again"),
        }
    }

    /// Whether `pid` was the one that starts it.
    pub(in crate::monitor) fn is_starter(&self, pid: Pid) -> bool {
        self.starter == Some(pid)
    }

    /// Takes the same places again.
    pub(in crate::monitor) fn rejoin(&mut self, namespace: BorrowedFd<'_>) {
        self.starter = None;
        let report = self.starter_report.take();
        match self.try_rejoin(namespace) {
            Ok(()) => {
                tracing::debug!("bryo net is there again");
                self.pause = Duration::ZERO;
            }
            Err(error) if self.ahead => {
                tracing::debug!(%error, "bryo net can't be started again");
                self.lease = None;
                self.stranded = Some(explain(reported(report)));
            }
            Err(error) => {
                tracing::warn!(%error, "the container is not in its networks");
                self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
                self.lost();
            }
        }
    }

    fn try_rejoin(&mut self, namespace: BorrowedFd<'_>) -> Result<(), StartFailure> {
        let lease = Lease::join(&self.holder.socket, &self.member, namespace);
        let lease = lease.map_err(failure("join bryo net"))?;
        let before = std::mem::take(&mut self.attached);
        let taken = self.take(lease, before.iter().map(|(attach, _)| attach));
        if taken.is_err() {
            // Those that are missing are tried again with all others.
            self.attached = before;
        }
        taken?;
        self.record()
    }
}

/// One that was started again below this monitor ends with it: if nobody else uses it, it is given the time to leave nothing.
impl Drop for Bridged {
    fn drop(&mut self) {
        // The ports are free before anybody hears of the container's end.
        self.published.clear();
        if let Some(lease) = self.lease.take() {
            lease.end();
        }
        self.announce("disconnect");
        let begun = Moment::now();
        let nets = process::children(0).into_iter().filter(|c| is_net(*c));
        for net in nets.filter_map(|child| child.open_here().ok().flatten()) {
            let mut set = PollSet::new();
            set.add(net.as_fd(), Interest::Read, ());
            let _ = set.wait(Some(LEAVING.saturating_sub(begun.elapsed())));
        }
        // One that is only beginning would leave its socket: it is of no use to anybody.
        let founder = self.founder.as_ref();
        let begins =
            self.starter.is_some() || founder.is_some_and(|pidfd| pidfd::is_alive(pidfd.as_fd()));
        if begins || process::children(0).into_iter().any(is_net) {
            process::end_all_others();
        }
        if let Ok(Some(_alone)) = lock::try_lock(&self.holder.lock, Mode::Exclusive)
            && !self.holder.is_there()
        {
            let _ = crate::sys::disk::remove_file(&self.holder.socket);
        }
    }
}

/// Joins one that is ready: the last one, or another that is started here. The monitor's own ends with its container; the next who
/// notices starts another.
pub(super) fn join_settled(
    holder: &Holder,
    join: impl Fn() -> io::Result<Lease>,
) -> Result<(Lease, Option<OwnedFd>), StartFailure> {
    let settled = holder.settle().map_err(explain)?;
    let joined = join();
    drop(settled);
    if let Ok(lease) = joined {
        return Ok((lease, None));
    }
    tracing::debug!("start bryo net");
    let founder = holder.ensure_beside(&Gate::opened()).map_err(explain)?;
    if let Ok(lease) = join() {
        let flags = rustix::process::PidfdFlags::empty();
        let founder = founder.and_then(|pid| rustix::process::pidfd_open(pid, flags).ok());
        return Ok((lease, founder));
    }
    // Why it takes nobody in is told to who waits for it.
    holder.ensure(None).map_err(explain)?;
    let lease = join().map_err(failure("join bryo net"))?;
    Ok((lease, None))
}

fn is_net(child: ProcessName) -> bool {
    let title = std::fs::read(format!("/proc/{}/cmdline", child.pid)).unwrap_or_default();
    title.starts_with(b"bryo: net")
}

/// In a fork of the monitor: until it has worked, or `once`. It ends with the monitor.
fn start_again(holder: &Holder, shared: BorrowedFd<'_>, once: bool) -> Result<(), StartError> {
    role::set("monitor, network");
    let mut pause = FIRST_PAUSE;
    loop {
        let again = shared.try_clone_to_owned();
        let again = again
            .map_err(|error| StartError::plain(format!("keep the shared network: {error}")))?;
        match holder.ensure(Some(again)) {
            Ok(()) => return Ok(()),
            Err(error) if once => return Err(error),
            Err(error) => tracing::warn!(%error, "bryo net does not start"),
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Why `bryo net` could not be started again. Who was to say so has ended.
fn reported(report: Option<OwnedFd>) -> StartError {
    let mut text = Vec::new();
    if let Some(report) = report {
        let _ = std::fs::File::from(report).read_to_end(&mut text);
    }
    serde_json::from_slice(&text).unwrap_or_else(|_| StartError::ended())
}
