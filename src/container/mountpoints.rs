//! The lowest layer of every container: the places that the engine mounts on, empty, and the link by which old programs find the list
//! of mounts. Where an image lacks them they need not be
//! made in the container's own layer, which takes longer than all mounts together and would look like changes of its program.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::paths::Paths;
use crate::sys::fs::{open_directory, random_name, remove_path, rename_new, sync_directory};
use crate::sys::lock;

const DIRECTORIES: [&str; 4] = ["dev", "etc", "proc", "sys"];
/// docker's containers have it, unless the image has another.
const LINK: (&str, &str) = ("etc/mtab", "/proc/mounts");
const FILES: [&str; 3] = ["etc/hostname", "etc/hosts", "etc/resolv.conf"];

/// Its directory, made if it is missing. `None` if it can't be: then the places are made in each container.
pub fn directory(paths: &Paths) -> Option<PathBuf> {
    let directory = paths.mount_points();
    if directory.is_dir() {
        return Some(directory);
    }
    match make(paths) {
        Ok(()) => Some(directory),
        Err(error) => {
            tracing::debug!(%error, "there is no layer of mount points");
            None
        }
    }
}

fn make(paths: &Paths) -> io::Result<()> {
    let temporary = format!("new-mountpoints-{}", random_name());
    let here = paths.trash().join(&temporary);
    DirBuilder::new().mode(0o700).create(&here)?;
    // Locked by its maker: unlocked, it is rubbish.
    let locked = File::open(&here)?;
    let filled = match lock::try_hold_alone(&locked) {
        Ok(true) => fill(&here),
        Ok(false) => Err(io::Error::from(io::ErrorKind::WouldBlock)),
        Err(error) => Err(error),
    };
    let named = filled.and_then(|()| {
        let data = open_directory(&paths.data)?;
        let from = Path::new("trash").join(&temporary);
        // Another command may have been faster.
        let named = rename_new(&data, from.as_os_str().as_encoded_bytes(), b"lowest")?;
        sync_directory(&data)?;
        Ok(named)
    });
    if !matches!(named, Ok(true)) {
        let _ = remove_path(&here);
    }
    named.map(drop)
}

/// Whatever the umask: a container's users see these modes. All of it is on the disk before it gets its name.
fn fill(directory: &Path) -> io::Result<()> {
    for name in DIRECTORIES {
        let place = directory.join(name);
        fs::create_dir(&place)?;
        fs::set_permissions(&place, Permissions::from_mode(0o755))?;
    }
    for name in FILES {
        let file = File::create(directory.join(name))?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.sync_all()?;
    }
    let (link, target) = LINK;
    std::os::unix::fs::symlink(target, directory.join(link))?;
    for name in DIRECTORIES {
        sync_directory(open_directory(&directory.join(name))?)?;
    }
    fs::set_permissions(directory, Permissions::from_mode(0o755))?;
    sync_directory(open_directory(directory)?)
}
