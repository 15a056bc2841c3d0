//! The container's cgroup: a child of the one the command runs in, where that is delegated to the user (cgroups(7)).

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Access, StatFs};

use crate::sys::poll::{Interest, PollSet};

/// statfs(2)
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;

/// Why containers get no cgroup of their own here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCgroup {
    #[error("no cgroup v2 hierarchy is mounted")]
    NotMounted,
    #[error("the cgroup of this session is not delegated to the user")]
    NotDelegated,
}

/// The cgroup of the calling process, if its user may make children in it.
pub fn delegated() -> Result<PathBuf, NoCgroup> {
    let mount = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
    let mount = mount
        .into_iter()
        .find(|path| is_cgroup2(path))
        .ok_or(NoCgroup::NotMounted)?;
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))
        .ok_or(NoCgroup::NotMounted)?;
    let directory = mount.join(own);
    let writable = |path: &Path| rustix::fs::access(path, Access::WRITE_OK).is_ok();
    // Moving a process needs the right to write where it comes from: the common ancestor, which this is.
    if writable(&directory) && writable(&directory.join("cgroup.procs")) {
        Ok(directory)
    } else {
        Err(NoCgroup::NotDelegated)
    }
}

fn is_cgroup2(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat: StatFs| stat.f_type as u64 == CGROUP2_SUPER_MAGIC)
}

/// Where the cgroup of one container goes.
pub fn path_of(parent: &Path, container_hex: &str) -> PathBuf {
    parent.join(format!("bryo-{container_hex}"))
}

/// Makes the cgroup of one container.
pub fn create(directory: &Path) -> io::Result<()> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Ends everything in the cgroup at once (`cgroup.kill`, Linux 5.14). Without it the pid namespace does the same.
pub fn kill(directory: &Path) {
    // An older kernel has no such file; the caller ends the processes by other means too.
    let _ = fs::write(directory.join("cgroup.kill"), "1");
}

/// How long the kernel may take to stop every task: one that waits for a disk has to come back first.
const FREEZE_TIMEOUT: Duration = Duration::from_secs(2);

/// Freezes everything in the cgroup, or lets it go on (`cgroup.freeze`, Linux 5.2). All of it or nothing: where a task cannot
/// be stopped in time, none stays so.
pub fn freeze(directory: &Path, on: bool) -> io::Result<()> {
    let write = |on: bool| fs::write(directory.join("cgroup.freeze"), if on { "1" } else { "0" });
    write(on)?;
    let mut events = File::open(directory.join("cgroup.events"))?;
    let deadline = Instant::now() + FREEZE_TIMEOUT;
    loop {
        let mut text = String::new();
        events.rewind()?;
        events.read_to_string(&mut text)?;
        if text.lines().any(|line| line == "frozen 1") == on {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let _ = write(!on);
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        let mut set = PollSet::new();
        set.add(events.as_fd(), Interest::Exceptional, ());
        set.wait(Some(left))?;
    }
}

/// Removes the cgroup; it may be busy for an instant after its last process ended.
pub fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
