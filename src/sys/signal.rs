//! Signals: names and numbers, a descriptor that reads them, and the dispositions a program starts with.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Blocks `signals` for this process and reads them from a descriptor that does not block.
pub struct Signals(SignalFd);

impl Signals {
    pub fn watch(signals: &[Signal]) -> io::Result<Signals> {
        let set: SigSet = signals.iter().copied().collect();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
        Ok(Signals(SignalFd::with_flags(
            &set,
            SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
        )?))
    }

    /// The number of a signal that has come; `None` if none is waiting.
    pub fn next(&self) -> io::Result<Option<i32>> {
        Ok(self.0.read_signal()?.map(|info| info.ssi_signo as i32))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Every signal at its default and none blocked: Rust ignores SIGPIPE and children inherit that.
pub fn reset_all() -> io::Result<()> {
    for number in 1..=64 {
        if number != libc::SIGKILL && number != libc::SIGSTOP && !(32..34).contains(&number) {
            default_disposition(number);
        }
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

/// Blocks everything: what arrives while a role is set up waits until `reset_all`.
pub fn block_all() -> io::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
    Ok(())
}

fn default_disposition(number: i32) {
    // SAFETY: SIG_DFL is a valid disposition for every signal but KILL and STOP, which the caller leaves out.
    unsafe {
        libc::signal(number, libc::SIG_DFL);
    }
}

/// Ends this process by `signal` at its default action, so that the parent sees the truth.
pub fn die_by(signal: Signal) -> ! {
    // SAFETY: SIG_DFL runs no code of ours.
    let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) };
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    let _ = nix::sys::signal::raise(signal);
    super::process::exit_now(128 + signal as i32)
}

/// A signal as docker's flags name it: a number, `TERM`, `SIGTERM`, `rtmin+3`; `None` if there is no such signal.
pub fn parse(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |offset: &str, sign: i32, base: i32| {
        let offset: i32 = if offset.is_empty() {
            0
        } else {
            offset[1..].parse().ok()?
        };
        Some(base + sign * offset).filter(|number| (34..=64).contains(number))
    };
    match name {
        name if name.starts_with("RTMIN") => real_time(&name[5..], 1, 34),
        name if name.starts_with("RTMAX") => real_time(&name[5..], -1, 64),
        "CLD" => Some(libc::SIGCHLD),
        "POLL" => Some(libc::SIGIO),
        "IOT" => Some(libc::SIGABRT),
        name => format!("SIG{name}")
            .parse::<Signal>()
            .ok()
            .map(|signal| signal as i32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_named_as_docker_names_them() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("sigterm", 15),
            ("RTMIN+3", 37),
            ("SIGRTMAX-1", 63),
            ("rtmin", 34),
        ] {
            assert_eq!(parse(text), Some(number), "{text}");
        }
        for text in ["0", "65", "-1", "NOPE", "", "RTMIN+99", "RTMIN+x"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
