//! Who ends a container that shares its pid namespace and has no mounts to be known by, when its monitor was killed: a process above the
//! monitor that has nothing open and does nothing else.

use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, wait};

use crate::runtime::sweep;
use crate::sys::process::{self, Forked};
use crate::sys::role;

/// Forks the guard, and below it the caller's stand-in, in which `false` is returned: there the monitor is to be cloned.
pub fn stand() -> io::Result<bool> {
    match process::fork()? {
        Forked::Parent(_) => return Ok(true),
        Forked::Child => {}
    }
    process::adopt_orphans()?;
    match process::fork()? {
        Forked::Parent(below) => watch(below),
        Forked::Child => Ok(false),
    }
}

/// Of its children, who clones the monitor ends first, and then the monitor: what comes afterwards is what was below that.
fn watch(below: Pid) -> ! {
    role::set("guard");
    let _ = process::close_all_except(&[]);
    let mut monitor_is_next = false;
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, _))) if pid == below && !monitor_is_next => monitor_is_next = true,
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(_) => break,
        }
    }
    sweep::end_descendants();
    process::exit_now(0)
}
