//! Programs of the host that bryo runs where they are installed. Only finds them.

use std::path::PathBuf;

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
