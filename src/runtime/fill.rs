//! The first filling of a volume with what the image has at its place. Crash-safe: what is copied is whole before a name in
//! the volume appears, and an interrupted move is finished by the next start. Never replaces anything in a volume.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::sys::copy::{Owners, copy_directory_attributes, copy_tree, times};
use crate::sys::fs::{
    list_directory, open_directory, remove_tree, rename_new, stat_at, sync_filesystem,
};
use crate::sys::lock;

/// A volume to be filled if it is empty.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Filling {
    /// The volume's own directory: `data` in it is what containers see, beside it is room to copy.
    pub directory: PathBuf,
    /// Survive a power loss; else it goes with its container.
    pub durable: bool,
}

/// Being copied: worth nothing after a crash.
const COPY: &[u8] = b"copy";
/// Copied whole: what is left in it belongs into the volume.
const WHOLE: &[u8] = b"whole";
const DATA: &[u8] = b"data";

impl Filling {
    /// Fills the volume from the directory `source` of an image. Two containers at once wait for each other.
    pub fn fill(&self, source: BorrowedFd<'_>, owners: Owners) -> io::Result<()> {
        let volume = open_directory(&self.directory)?;
        lock::hold_alone(&volume)?;
        let data = open_below(&volume, DATA)?;
        if stat_at(&volume, WHOLE)?.is_some() {
            return move_in(&volume, &data, owners);
        }
        if !list_directory(&data)?.is_empty() {
            return Ok(());
        }
        if list_directory(source)?.is_empty() {
            return copy_directory_attributes(source, data.as_fd(), owners);
        }
        remove_tree(&volume, COPY).map_err(io::Error::other)?;
        rustix::fs::mkdirat(&volume, COPY, Mode::RWXU)?;
        let copy = open_below(&volume, COPY)?;
        copy_tree(source, copy.as_fd(), owners)?;
        if self.durable {
            sync_filesystem(&volume)?;
        }
        rename_new(&volume, COPY, WHOLE)?;
        move_in(&volume, &data, owners)
    }
}

/// Entry by entry, never over one that a container has made meanwhile; can be interrupted and done again.
fn move_in(volume: &OwnedFd, data: &OwnedFd, owners: Owners) -> io::Result<()> {
    let whole = open_below(volume, WHOLE)?;
    let stat = rustix::fs::fstat(&whole)?;
    copy_directory_attributes(whole.as_fd(), data.as_fd(), owners)?;
    for (name, _) in list_directory(&whole)? {
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&whole, &name[..], data, &name[..], flags) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    // The moves have changed it.
    rustix::fs::futimens(data, &times(&stat))?;
    remove_tree(volume, WHOLE).map_err(io::Error::other)
}

fn open_below(volume: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(volume, name, flags, Mode::empty())?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sys::fs::remove_path;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    struct Scratch(PathBuf);

    impl Drop for Scratch {
        fn drop(&mut self) {
            remove_path(&self.0).unwrap();
        }
    }

    /// An image's directory with three entries, and an empty volume.
    fn scratch(name: &str) -> (Scratch, Filling, OwnedFd) {
        let top = std::env::temp_dir().join(format!("bryo-fill-{name}-{}", std::process::id()));
        fs::create_dir_all(top.join("image/sub")).unwrap();
        fs::create_dir_all(top.join("volume/data")).unwrap();
        for file in ["one", "two", "sub/three"] {
            fs::write(top.join("image").join(file), file).unwrap();
        }
        fs::set_permissions(top.join("image"), fs::Permissions::from_mode(0o1750)).unwrap();
        let filling = Filling {
            directory: top.join("volume"),
            durable: true,
        };
        let image = open_directory(&top.join("image")).unwrap();
        (Scratch(top), filling, image)
    }

    fn read(filling: &Filling, name: &str) -> Option<String> {
        fs::read_to_string(filling.directory.join("data").join(name)).ok()
    }

    #[test]
    fn an_empty_volume_is_filled_once_and_kept_ever_after() {
        let (_scratch, filling, image) = scratch("once");
        filling.fill(image.as_fd(), Owners::Kept).unwrap();
        assert_eq!(read(&filling, "sub/three").as_deref(), Some("sub/three"));
        let mode = fs::metadata(filling.directory.join("data")).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o1750);
        fs::remove_file(filling.directory.join("data/one")).unwrap();
        filling.fill(image.as_fd(), Owners::Kept).unwrap();
        assert_eq!(read(&filling, "one"), None);
        assert_eq!(fs::read_dir(&filling.directory).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_filling_left_is_thrown_away_or_finished() {
        let (_scratch, filling, image) = scratch("killed");
        // Killed while copying.
        fs::create_dir(filling.directory.join("copy")).unwrap();
        fs::write(filling.directory.join("copy/half"), "").unwrap();
        // Killed while moving: one entry is in, and a container has made another since.
        filling.fill(image.as_fd(), Owners::Kept).unwrap();
        assert_eq!(read(&filling, "half"), None);
        fs::rename(
            filling.directory.join("data"),
            filling.directory.join("whole"),
        )
        .unwrap();
        fs::create_dir(filling.directory.join("data")).unwrap();
        fs::rename(
            filling.directory.join("whole/one"),
            filling.directory.join("data/one"),
        )
        .unwrap();
        fs::write(filling.directory.join("data/two"), "the container's").unwrap();
        filling.fill(image.as_fd(), Owners::Kept).unwrap();
        assert_eq!(read(&filling, "one").as_deref(), Some("one"));
        assert_eq!(read(&filling, "two").as_deref(), Some("the container's"));
        assert_eq!(read(&filling, "sub/three").as_deref(), Some("sub/three"));
        assert_eq!(fs::read_dir(&filling.directory).unwrap().count(), 1);
    }

    #[test]
    fn two_at_once_fill_it_once() {
        let (_scratch, filling, image) = scratch("twice");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| filling.fill(image.as_fd(), Owners::Kept).unwrap());
            }
        });
        assert_eq!(read(&filling, "sub/three").as_deref(), Some("sub/three"));
        assert_eq!(fs::read_dir(&filling.directory).unwrap().count(), 1);
    }
}
