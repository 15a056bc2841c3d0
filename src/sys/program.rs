//! Programs of the host that bryo runs where they are installed. Finds them, starts them as from a shell, and ends them in time.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};

use super::signal;

/// Where distributions keep programs that a user's `PATH` may lack.
const USUAL: [&str; 5] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// A program that the caller may run: of `PATH`, whose relative directories count for nothing, or of the usual places.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = std::env::split_paths(&path).filter(|directory| directory.is_absolute());
    let candidates = named.chain(USUAL.map(PathBuf::from));
    let mut files = candidates.map(|directory| directory.join(name));
    files.find(|file| {
        let may_run = rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok();
        may_run && file.is_file()
    })
}

/// The program is killed when the thread that starts it ends.
pub fn end_with_caller(command: &mut Command) {
    let tie = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
    // SAFETY: what runs between fork and exec is one prctl(2), which allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(tie);
    }
}

/// The program is told of every signal. It inherits what its caller has blocked, to read it from a descriptor, and one that is not told of its
/// children's ends keeps them all: pasta of 2026 has a new one each second.
pub fn unblock_signals(command: &mut Command) -> &mut Command {
    // SAFETY: what runs between fork and exec is one sigprocmask(2), which allocates nothing and takes no lock.
    unsafe { command.pre_exec(signal::unblock_all) }
}
