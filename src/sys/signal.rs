//! Signals: a descriptor that reads them, and the dispositions a program starts with.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Blocks `signals` for this process and reads them from a descriptor that does not block.
pub struct Signals {
    reader: SignalFd,
    before: SigSet,
}

impl Signals {
    pub fn watch(signals: &[Signal]) -> io::Result<Signals> {
        let set: SigSet = signals.iter().copied().collect();
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), Some(&mut before))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let reader = SignalFd::with_flags(&set, flags)?;
        Ok(Signals { reader, before })
    }

    /// The number of a signal that has come; `None` if none is waiting.
    pub fn next(&self) -> io::Result<Option<i32>> {
        Ok(self.reader.read_signal()?.map(|info| info.ssi_signo as i32))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // What came meanwhile takes its default action now.
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None);
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// Every signal at its default and none blocked: Rust ignores SIGPIPE and children inherit that.
pub fn reset_all() -> io::Result<()> {
    for number in 1..=64 {
        if number != libc::SIGKILL && number != libc::SIGSTOP {
            default_disposition(number);
        }
    }
    unblock_all()
}

pub fn unblock_all() -> io::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

/// A pipe whose reader has gone gives EPIPE, so that its writer can say what it knows.
pub fn ignore_broken_pipes() -> io::Result<()> {
    // SAFETY: ignoring a signal runs no code of ours.
    unsafe { nix::sys::signal::signal(Signal::SIGPIPE, nix::sys::signal::SigHandler::SigIgn) }?;
    Ok(())
}

/// By the system call itself: the C library refuses 32 and 33, which it uses within its own programs, but a caller may have
/// left them ignored. The kernel's sigaction is a handler, flags, a restorer and a mask of 64 bits; zero is the default.
fn default_disposition(number: i32) {
    let default = [0u64; 4];
    // SAFETY: a live, zeroed structure of the kernel's layout; SIG_DFL runs no code of ours.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            number,
            default.as_ptr(),
            std::ptr::null::<u64>(),
            8,
        );
    }
}
