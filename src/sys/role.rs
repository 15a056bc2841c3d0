//! The name of the running role and the descriptor of its trace: what every forked role has to carry on. Says nothing itself.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, OnceLock, PoisonError};

static ROLE: Mutex<String> = Mutex::new(String::new());
static TRACE: OnceLock<OwnedFd> = OnceLock::new();

/// Names the role of this process, e.g. `monitor web`: in each line of the trace and, as `bryo: monitor web`, in `ps -o comm`
/// (the kernel keeps 15 bytes). Called first thing by a forked role.
pub fn set(name: &str) {
    *ROLE.lock().unwrap_or_else(PoisonError::into_inner) = name.to_owned();
    let mut comm = format!("bryo: {name}").into_bytes();
    comm.retain(|byte| *byte != 0);
    let comm = CString::new(comm).expect("zero bytes were removed");
    // A name that can't be set harms nobody.
    let _ = nix::sys::prctl::set_name(&comm);
}

/// The role's name; `cli` for a process that was given none.
pub fn get() -> String {
    let role = ROLE.lock().unwrap_or_else(PoisonError::into_inner);
    if role.is_empty() {
        "cli".to_owned()
    } else {
        role.clone()
    }
}

/// Hands over the descriptor that trace lines go to, for the rest of the program. The first call wins.
pub fn keep_trace(fd: OwnedFd) {
    let _ = TRACE.set(fd);
}

/// The descriptor that a role spares when it closes what it inherited; `None` when nothing is traced to a file.
pub fn trace_fd() -> Option<BorrowedFd<'static>> {
    TRACE.get().map(AsFd::as_fd)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[test]
    fn role_is_named_in_trace_and_ps() {
        // A thread of its own: the name set belongs to the thread, and the test runner's is not ours.
        std::thread::spawn(|| {
            super::set("monitor web");
            assert_eq!(super::get(), "monitor web");
            let comm = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
            assert_eq!(comm, "bryo: monitor w\n");
            super::set("");
            assert_eq!(super::get(), "cli");
        })
        .join()
        .unwrap();
    }
}
