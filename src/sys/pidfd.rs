//! Pidfds: which host pid they stand for, signals, and reaping.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::process::{Pid, Signal, WaitIdOptions, WaitOptions, WaitStatus};

use super::procfs;

/// The pid that the mounted procfs uses for the process: pids that clone returns are local to the caller's pid namespace,
/// and `/proc/PID` of such a number is another process.
pub fn host_pid(pidfd: BorrowedFd<'_>) -> io::Result<i32> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let info = procfs::text(path)?;
    let line = info.lines().find_map(|line| line.strip_prefix("Pid:"));
    let pid = line.and_then(|pid| pid.trim().parse::<i32>().ok());
    pid.filter(|pid| *pid > 0)
        .ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
}

/// Sends signal number `signal`; a process that is gone already is no error.
pub fn kill(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: plain integers; the descriptor is borrowed for the call.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    match sent {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            gone if gone.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            error => Err(error),
        },
    }
}

/// SIGKILL, for the many places that mean exactly that.
pub fn kill_hard(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    kill(pidfd, Signal::KILL.as_raw())
}

/// Blocks until the process has ended; does not reap, so it works for processes that are not our children.
pub fn wait_end(pidfd: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        let mut fds = [rustix::event::PollFd::from_borrowed_fd(
            pidfd,
            rustix::event::PollFlags::IN,
        )];
        match rustix::event::poll(&mut fds, None) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reaps a child by its pidfd: its exit code, or 128 plus the signal that ended it.
pub fn reap(pidfd: BorrowedFd<'_>) -> io::Result<i32> {
    loop {
        match rustix::process::waitid(rustix::process::WaitId::PidFd(pidfd), WaitIdOptions::EXITED)
        {
            Ok(Some(status)) => {
                let code = status
                    .exit_status()
                    .or(status.terminating_signal().map(|signal| 128 + signal));
                return Ok(code.unwrap_or(255));
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reaps any child that has ended, without waiting for one.
pub fn reap_any() -> Option<(Pid, i32)> {
    match rustix::process::wait(WaitOptions::NOHANG) {
        Ok(Some((pid, status))) => Some((pid, code_of(status))),
        _ => None,
    }
}

/// Waits for the child `pid`: its exit code, or 128 plus the signal that ended it.
pub fn wait_child(pid: Pid) -> io::Result<i32> {
    loop {
        match rustix::process::waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return Ok(code_of(status)),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn code_of(status: WaitStatus) -> i32 {
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or(signal).unwrap_or(255)
}

/// Whether the process has not ended yet.
pub fn is_alive(pidfd: BorrowedFd<'_>) -> bool {
    let mut fds = [rustix::event::PollFd::from_borrowed_fd(
        pidfd,
        rustix::event::PollFlags::IN,
    )];
    let now = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(0))
}
