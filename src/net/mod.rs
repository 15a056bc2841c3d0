//! Networks as the host and the container see them: ports, pasta, the shared namespace, name files. Never reads containers' records.
pub mod addresses;
mod book;
mod dns;
pub mod egress;
pub mod firewall;
mod forward;
mod guard;
pub mod hosted;
pub mod hosts;
mod inner;
mod member;
mod names;
pub mod occupant;
mod outer;
pub mod pasta;
mod pins;
pub mod ports;
pub mod publish;
pub mod record;
mod relay;
pub mod resolver;
pub mod route;
mod servers;
mod shared;
pub mod slirp;
pub mod start;
pub mod static_route;
pub mod subnet;
pub mod uplink;
pub mod wire;

use std::path::{Path, PathBuf};

/// A helper that is installed: a search of `PATH` and of the directories that a user's `PATH` may lack.
fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/bin", "/usr/local/bin", "/usr/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| is_executable(candidate))
}

/// Whether there is a program that somebody may run.
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
