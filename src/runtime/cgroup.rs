//! The container's cgroup: a child of the one the command runs in, where that is delegated to the user (cgroups(7)).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatFs};

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

/// Removes the cgroup; it may be busy for an instant after its last process ended.
pub fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
